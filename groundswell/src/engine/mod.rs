//! What drives a rollout: one synchronous step that owns all order, and the shell around it.
//!
//! [`step::Engine::step`] turns facts into commands; it asks [`groundswell_core`] for every
//! decision and touches nothing. The shell gathers the facts (outcomes of deliveries, commits,
//! candidates, the clock) and carries the commands out. Production and every simulation run the
//! same step. Types to read first: [`fact::Fact`], [`fact::Command`].

pub(crate) mod beside;
mod budgets;
pub mod choose;
pub(crate) mod cohort;
mod course;
pub mod fact;
pub mod giving_up;
pub mod hub;
mod inquirer;
mod lane;
pub(crate) mod outlet;
mod pace;
mod patrol;
mod places;
mod shared;
pub(crate) mod shell;
pub mod step;
mod story;
pub mod takeover;
pub mod watch;
