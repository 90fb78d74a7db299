//! Releases: a named version, and which artifact it is.

use groundswell_core::{release::Release, time::Time};
use rusqlite::{Connection, Row, params};

use super::read::all;
use crate::store::StoreError;

/// Whether it was new. One that is there already is left as it is.
pub(super) fn put(
    connection: &Connection,
    release: &Release,
    now: Time,
) -> Result<bool, StoreError> {
    let sql = "INSERT INTO release (name, version, artifact, artifact_bytes, created_at) \
               VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
    let Release { name, version, artifact, artifact_bytes } = release;
    let bytes = *artifact_bytes as i64;
    let artifact = artifact.to_string();
    let added = connection.prepare_cached(sql)?.execute(params![
        name,
        version,
        artifact,
        bytes,
        now.as_millis()
    ])?;
    Ok(added == 1)
}

pub(super) fn list(
    connection: &Connection,
    name: Option<&str>,
) -> Result<Vec<(Release, Time)>, StoreError> {
    let sql = "SELECT name, version, artifact, artifact_bytes, created_at FROM release \
               WHERE ?1 IS NULL OR name = ?1 ORDER BY name, created_at, version";
    all(connection, sql, params![name], release)
}

/// In the order of names and versions, which is that of the table.
pub(super) fn page(
    connection: &Connection,
    name: Option<&str>,
    after: Option<(&str, &str)>,
    limit: usize,
) -> Result<Vec<(Release, Time)>, StoreError> {
    let sql = "SELECT name, version, artifact, artifact_bytes, created_at FROM release \
               WHERE (?1 IS NULL OR name = ?1) AND (?2 IS NULL OR (name, version) > (?2, ?3)) \
               ORDER BY name, version LIMIT ?4";
    let (after_name, after_version) = after.unzip();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    all(connection, sql, params![name, after_name, after_version, limit], release)
}

fn release(row: &Row<'_>) -> Result<(Release, Time), StoreError> {
    let artifact: String = row.get(2)?;
    let artifact = artifact
        .parse()
        .map_err(|error| StoreError::Damaged(format!("a stored artifact: {error}")))?;
    let release = Release {
        name: row.get(0)?,
        version: row.get(1)?,
        artifact,
        artifact_bytes: row.get::<_, i64>(3)?.unsigned_abs(),
    };
    Ok((release, Time::from_millis(row.get(4)?)))
}
