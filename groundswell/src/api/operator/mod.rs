//! What operators and pipelines ask: one file per noun.

pub mod acts;
pub mod audit;
pub mod device_edit;
pub mod devices;
pub mod events;
pub mod import;
pub mod rollouts;
pub mod tokens;
