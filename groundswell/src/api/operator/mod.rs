//! What operators and pipelines ask: one file per noun.

pub mod acts;
pub mod devices;
pub mod rollouts;
pub mod whoami;
