//! A copy of the database as it is at one moment, whoever writes to it meanwhile.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::store::StoreError;

pub(super) fn copy_to(connection: &Connection, file: &Path) -> Result<(), StoreError> {
    let name = file.to_str().ok_or_else(|| {
        StoreError::Damaged(format!("{} is no name that a database can have", file.display()))
    })?;
    // Who only looks may write nothing, which would go for the copy, too.
    let is_looking: bool = connection.pragma_query_value(None, "query_only", |row| row.get(0))?;
    connection.pragma_update(None, "query_only", false)?;
    let copied = connection.execute("VACUUM INTO ?1", [name]);
    connection.pragma_update(None, "query_only", is_looking)?;
    copied?;
    let copy = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    copy.execute("UPDATE driver SET copied_to = (SELECT coalesce(max(key), 0) FROM rollout)", [])?;
    let found: String = copy.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" { Ok(()) } else { Err(StoreError::Damaged(found)) }
}
