//! What operators and pipelines ask: one file per noun.

pub mod devices;
