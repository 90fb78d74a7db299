//! What people write to order a rollout, and how it becomes a [`crate::rollout::Spec`].
//!
//! Owns the names, forms and defaults of the fields (docs/rollout-spec.md has them all) and what is
//! said of a mistake: every one found, each with its place and what to write instead. Knows neither
//! TOML nor JSON, nor where releases are kept. Types to read first: [`Document`], [`Tree`].
//!
//! A place is a path such as `waves[2].min_success`; the first wave is 1, as everywhere.

mod budgets;
mod delivery;
mod error;
mod gates;
mod health;
mod names;
mod read;
mod reader;
mod regression;
mod salt;
mod schedule;
mod spelled;
mod tree;
mod waves;
mod written;

#[cfg(test)]
mod tests;

pub use self::{
    error::{DocumentError, FAULTS_MAX, Fault},
    names::FIELDS,
    regression::RegressionName,
    salt::salt_of,
    spelled::spelled,
    tree::Tree,
    written::{Document, ReleaseName},
};
