//! What has to hold whatever bytes come in, for whoever makes such bytes up.
//!
//! Owns the properties, one function for each border that strangers write to; each panics if its
//! property does not hold. `make fuzz` hands them what an engine makes up, and a test what is kept in
//! `fuzz/seeds` and what became of faults that were found. Nothing that is shipped has this module.

mod import;
mod selector;
mod spec;
#[cfg(test)]
mod tests;

use groundswell_core::time::Time;

pub use self::{import::import, selector::selector, spec::spec};
pub use crate::api::fuzzed::headers;

/// When everything here happens, so that it happens alike again.
pub(crate) const NOW: Time = Time::from_millis(1_800_000_000_000);

/// Whether a text is one that a line of a terminal shows, and no more than that.
pub(crate) fn is_plain(text: &str, bytes_max: usize) -> bool {
    text.len() <= bytes_max && !text.contains(char::is_control)
}
