//! What operators and pipelines ask: one file per noun.

pub mod acts;
pub mod artifacts;
pub mod audit;
pub mod budgets;
pub mod device_edit;
pub mod devices;
pub mod events;
pub mod import;
pub mod releases;
pub mod rollouts;
pub mod selectors;
pub mod system;
pub mod tokens;
pub mod uploads;
pub mod whoami;
