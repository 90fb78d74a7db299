//! A connection that only looks, beside whoever writes or begins to.

use std::{fs, os::unix::ffi::OsStrExt, path::Path};

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};

use super::open::BUSY_MAX;
use crate::store::StoreError;

/// What means something else in the path of a URI (<https://www.sqlite.org/uri.html>).
const URI_PATH: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#');

/// Pages that are kept in memory, in KiB: those that lead to a device are 4 MiB where there are a
/// million.
const CACHE_KIB: i64 = 8 << 10;

/// Opens the database at `path` to look at it.
///
/// It takes part in the locks of those who write, so that what it sees stays whole when a driver
/// begins meanwhile. For that there have to be files beside the database; whoever makes them takes
/// them away again at its end. Only where they cannot be made is it read as it is, without locks:
/// there nobody can write.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    let log = fs::metadata(path.with_extension("db-wal"));
    // Somebody drives it, or was killed: the files are there, and what is in them is not ours. Empty
    // ones are of others who look.
    if log.is_ok_and(|log| log.len() > 0) {
        return Ok(with(path, "mode=ro", OpenFlags::SQLITE_OPEN_READ_ONLY)?);
    }
    let looked = with(path, "mode=rw", OpenFlags::SQLITE_OPEN_READ_WRITE).and_then(|connection| {
        connection.pragma_update(None, "query_only", true)?;
        // The first look makes the files.
        connection.pragma_query_value(None, "schema_version", |row| row.get::<_, i64>(0))?;
        Ok(connection)
    });
    match looked {
        Err(error) if is_of_place(&error) => {
            let how = "mode=ro&immutable=1";
            Ok(with(path, how, OpenFlags::SQLITE_OPEN_READ_ONLY)?)
        }
        looked => Ok(looked?),
    }
}

fn with(path: &Path, how: &str, mode: OpenFlags) -> Result<Connection, rusqlite::Error> {
    let name = percent_encode(path.as_os_str().as_bytes(), URI_PATH);
    // One thread at a time has it, as the type says: no lock around every column that is read.
    let flags = mode | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(format!("file:{name}?{how}"), flags)?;
    connection.busy_timeout(BUSY_MAX)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    keep_plans(&connection)?;
    Ok(connection)
}

/// Whether nothing can be made where the database is.
fn is_of_place(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
        )
    )
}

/// Has statements planned once: otherwise those that a partial index might serve are planned again
/// whenever a parameter changes, which takes ten times as long as running them.
pub(super) fn keep_plans(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}
