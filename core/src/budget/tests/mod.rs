//! Budgets: how they are written, their slots, and what is told of them.

use std::sync::Arc;

use super::*;

mod beside;
mod cost;
mod feasible;
mod model;
mod one_domain;
mod random;
mod slots;
mod texts;

fn per(key: &str) -> Per {
    Per::Tag(key.to_owned())
}

fn domain(text: &str) -> Arc<Domain> {
    Arc::new(text.parse().unwrap())
}
