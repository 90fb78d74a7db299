//! Values of tags, read beside what they belong to.

use std::fmt::Write as _;

use groundswell_core::budget::Per;
use rusqlite::types::Value;

/// Columns, each after a comma, with the values of so many tags of a device; their keys are the
/// parameters from `first_key` on.
pub(super) fn columns(device: &str, count: usize, first_key: usize) -> String {
    (first_key..first_key + count).fold(String::new(), |mut sql, key| {
        let _ = write!(
            sql,
            ", (SELECT value FROM tag INDEXED BY tag_device WHERE device = {device} AND key = ?{key})"
        );
        sql
    })
}

/// The key of the tag that divides devices.
pub(super) fn key(per: &Per) -> Value {
    Value::Text(per.tag().to_owned())
}
