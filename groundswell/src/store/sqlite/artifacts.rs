//! Uploads that are under way, and which releases an artifact is of.

use groundswell_core::{
    release::{Digest, Release},
    time::Time,
};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{SqliteStore, read::all, release};
use crate::{
    access::TokenId,
    store::{Along, ArtifactStore, MadeRelease, Removal, StoreError, Upload},
};

const COLUMNS: &str = "id, digest, bytes, token, begun_at";

impl ArtifactStore for SqliteStore {
    fn put_upload(&mut self, upload: &Upload, uploads_max: usize) -> Result<bool, StoreError> {
        let transaction = self.write()?;
        let sql = "INSERT INTO upload (id, digest, bytes, token, begun_at) \
                   SELECT ?1, ?2, ?3, ?4, ?5 WHERE (SELECT count(*) FROM upload) < ?6";
        let Upload { id, digest, bytes, token, begun_at } = upload;
        let added = transaction.prepare_cached(sql)?.execute(params![
            id,
            digest.to_string(),
            i64::try_from(*bytes).unwrap_or(i64::MAX),
            token.0,
            begun_at.as_millis(),
            i64::try_from(uploads_max).unwrap_or(i64::MAX),
        ])?;
        if added == 0 {
            return Ok(false);
        }
        transaction.commit()?;
        Ok(true)
    }

    fn upload(&self, id: &str) -> Result<Option<Upload>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM upload WHERE id = ?1");
        Ok(all(&self.connection, &sql, [id], upload)?.pop())
    }

    fn uploads(&self) -> Result<Vec<Upload>, StoreError> {
        all(&self.connection, &format!("SELECT {COLUMNS} FROM upload ORDER BY id"), [], upload)
    }

    fn end_upload(&mut self, id: Option<&str>, along: Along<'_>) -> Result<bool, StoreError> {
        let transaction = self.write()?;
        if let Some(id) = id {
            transaction.prepare_cached("DELETE FROM upload WHERE id = ?1")?.execute([id])?;
        }
        if !along() {
            return Ok(false);
        }
        transaction.commit()?;
        Ok(true)
    }

    fn remove_artifact(&mut self, digest: Digest, along: Along<'_>) -> Result<Removal, StoreError> {
        let transaction = self.write()?;
        if let Some(by) = made_of(&transaction, digest)? {
            return Ok(Removal::InUse(by));
        }
        if !along() {
            return Ok(Removal::Failed);
        }
        transaction.commit()?;
        Ok(Removal::Done)
    }

    fn make_release(
        &mut self,
        release: &Release,
        is_kept: Along<'_>,
        now: Time,
    ) -> Result<MadeRelease, StoreError> {
        let transaction = self.write()?;
        let sql = "SELECT artifact FROM release WHERE name = ?1 AND version = ?2";
        let known: Option<String> = transaction
            .prepare_cached(sql)?
            .query_row([&release.name, &release.version], |row| row.get(0))
            .optional()?;
        if let Some(known) = known {
            let known = digest(&known)?;
            let is_same = known == release.artifact;
            return Ok(if is_same { MadeRelease::Same } else { MadeRelease::Differs(known) });
        }
        if !is_kept() {
            return Ok(MadeRelease::NoArtifact);
        }
        release::put(&transaction, release, now)?;
        transaction.commit()?;
        Ok(MadeRelease::New)
    }

    fn release_page(
        &self,
        name: Option<&str>,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<(Release, Time)>, StoreError> {
        release::page(&self.connection, name, after, limit)
    }
}

/// What is made of an artifact, in words: one of them.
fn made_of(connection: &Connection, digest: Digest) -> Result<Option<String>, StoreError> {
    let digest = digest.to_string();
    let sql = "SELECT name, version FROM release WHERE artifact = ?1 LIMIT 1";
    let release = connection.prepare_cached(sql)?.query_row([&digest], |row| {
        let (name, version): (String, String) = (row.get(0)?, row.get(1)?);
        Ok(format!("the release {name} {version}"))
    });
    if let Some(release) = release.optional()? {
        return Ok(Some(release));
    }
    // A push has no release of its own; its spec is JSON, with the digest somewhere in it.
    let sql = "SELECT key FROM rollout WHERE instr(spec, ?1) > 0 LIMIT 1";
    let rollout = connection
        .prepare_cached(sql)?
        .query_row([&digest], |row| Ok(format!("rollout {}", row.get::<_, i64>(0)?)));
    Ok(rollout.optional()?)
}

fn digest(text: &str) -> Result<Digest, StoreError> {
    text.parse().map_err(|error| StoreError::Damaged(format!("a stored artifact: {error}")))
}

fn upload(row: &Row<'_>) -> Result<Upload, StoreError> {
    Ok(Upload {
        id: row.get(0)?,
        digest: digest(&row.get::<_, String>(1)?)?,
        bytes: row.get::<_, i64>(2)?.unsigned_abs(),
        token: TokenId(row.get(3)?),
        begun_at: Time::from_millis(row.get(4)?),
    })
}
