//! Why an operator does something, in his own words: kept, and shown on terminals of others.

use groundswell_core::device::check_printable;

use super::OperateError;

/// Longest reason: some lines of a terminal, which say what a ticket is about.
pub const REASON_CHARS_MAX: usize = 500;

/// A reason without the blanks around it; `length` is what is said of none, and of a novel.
pub(super) fn reason_of(given: &str, length: OperateError) -> Result<&str, OperateError> {
    let reason = given.trim();
    if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX {
        return Err(length);
    }
    check_printable("--reason", reason)?;
    Ok(reason)
}
