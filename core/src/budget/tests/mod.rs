//! Budgets: how they are written, their slots, and what is told of them.

use super::*;

mod texts;

fn per(key: &str) -> Per {
    Per::Tag(key.to_owned())
}
