//! Tokens, the audit log, and what was created under which key.

use std::sync::LazyLock;

use groundswell_core::time::Time;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{SqliteStore, rows};
use crate::{
    access::{Change, Entry, Kind, Token, TokenId},
    store::{AccessStore, Attribution, AuditEnd, Created, StoreError},
};

/// How long a key keeps anybody from creating the same again.
const KEY_MILLIS: i64 = 24 * 3_600_000;

const COLUMNS: &str =
    "id, hash, name, kind, created_at, expires_at, revoked_at, last_used_at, uses";

impl AccessStore for SqliteStore {
    fn attribute(&mut self, by: Attribution) {
        self.attribution = Some(Box::new(by));
    }

    fn attribution(&self) -> Option<&Attribution> {
        self.attribution.as_deref()
    }

    fn unattribute(&mut self) {
        self.expected = None;
        self.attribution = None;
    }

    fn put_token(&mut self, token: &Token) -> Result<(), StoreError> {
        let transaction = self.write()?;
        put(&transaction, token)?;
        transaction.commit()
    }

    fn token(&self, id: &TokenId) -> Result<Option<Token>, StoreError> {
        static SQL: LazyLock<String> =
            LazyLock::new(|| format!("SELECT {COLUMNS} FROM token WHERE id = ?1"));
        let mut statement = self.connection.prepare_cached(&SQL)?;
        let found = statement.query_row([&id.0], |row| Ok(token(row))).optional()?;
        found.transpose()
    }

    fn tokens(
        &self,
        after: Option<&TokenId>,
        limit: usize,
        with_devices: bool,
    ) -> Result<Vec<Token>, StoreError> {
        // Said to the planner, which would not see by a parameter that the index will do.
        let of = if with_devices { "" } else { "AND device IS NULL" };
        let sql = format!("SELECT {COLUMNS} FROM token WHERE id > ?1 {of} ORDER BY id LIMIT ?2");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let after = after.map_or("", |id| &id.0);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![after, limit])?;
        let mut tokens = vec![];
        while let Some(row) = rows.next()? {
            tokens.push(token(row)?);
        }
        Ok(tokens)
    }

    fn note_used(&mut self, used: &[(TokenId, Time)]) -> Result<(), StoreError> {
        let transaction = self.write()?;
        {
            let sql = "UPDATE token SET last_used_at = max(ifnull(last_used_at, 0), ?2) \
                       WHERE id = ?1";
            let mut statement = transaction.prepare_cached(sql)?;
            for (id, at) in used {
                statement.execute(params![id.0, at.as_millis()])?;
            }
        }
        transaction.commit()
    }

    fn created(
        &self,
        token: &TokenId,
        key: &str,
        now: Time,
    ) -> Result<Option<Created>, StoreError> {
        created(&self.connection, token, key, now)
    }

    fn note_change(&mut self, change: &Change) -> Result<(), StoreError> {
        self.attribution = Some(Box::new(Attribution { change: change.clone(), created: None }));
        let transaction = self.write()?;
        transaction.commit()
    }

    fn audit_end(&self) -> Result<AuditEnd, StoreError> {
        let sql = "SELECT (SELECT ifnull(max(seq), 0) FROM audit), seq, hash \
                   FROM (SELECT 1) LEFT JOIN audit_end";
        let end = self.connection.prepare_cached(sql)?.query_row([], |row| {
            let hash = row.get_ref(2)?.as_bytes_or_null()?.unwrap_or_default();
            // One that is none of ours fits no entry.
            let hash = hash.try_into().unwrap_or_default();
            let noted = row.get::<_, Option<i64>>(1)?.map(|seq| (seq, hash));
            Ok(AuditEnd { last: row.get(0)?, noted })
        });
        Ok(end?)
    }

    fn for_each_audited(
        &self,
        after: i64,
        each: &mut dyn FnMut(Entry) -> bool,
    ) -> Result<(), StoreError> {
        let sql = "SELECT seq, body, hash FROM audit WHERE seq > ?1 ORDER BY seq";
        audited(&self.connection, sql, after, each)
    }

    fn for_each_audited_back(
        &self,
        before: Option<i64>,
        each: &mut dyn FnMut(Entry) -> bool,
    ) -> Result<(), StoreError> {
        let sql = "SELECT seq, body, hash FROM audit WHERE seq < ?1 ORDER BY seq DESC";
        audited(&self.connection, sql, before.unwrap_or(i64::MAX), each)
    }
}

/// Bytes that are none of ours are handed on as they are: the chain tells.
fn audited(
    connection: &Connection,
    sql: &str,
    from: i64,
    each: &mut dyn FnMut(Entry) -> bool,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([from])?;
    while let Some(row) = rows.next()? {
        let bytes = |column| row.get_ref(column).map(|value| value.as_bytes().unwrap_or_default());
        let body = String::from_utf8_lossy(bytes(1)?).into_owned();
        let hash = bytes(2)?.try_into().unwrap_or_default();
        if !each(Entry { seq: row.get(0)?, body, hash }) {
            break;
        }
    }
    Ok(())
}

/// What was created under a key that is still remembered.
fn created(
    connection: &Connection,
    token: &TokenId,
    key: &str,
    now: Time,
) -> Result<Option<Created>, StoreError> {
    let sql = "SELECT request, subject, at FROM created WHERE token = ?1 AND key = ?2 AND at >= ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let since = now.as_millis() - KEY_MILLIS;
    let found = statement.query_row(params![token.0, key, since], |row| {
        let at = Time::from_millis(row.get(2)?);
        let (token, key) = (token.clone(), key.to_owned());
        Ok(Created { token, key, request: row.get(0)?, subject: row.get(1)?, at })
    });
    Ok(found.optional()?)
}

/// Writes down by whom the transaction is; refused if somebody else has created something under the
/// same key meanwhile.
pub(super) fn write_attribution(
    transaction: &Connection,
    by: &Attribution,
) -> Result<(), StoreError> {
    // Behind what was noted, whatever was cut off since: the gap stays.
    let last = "SELECT seq, hash FROM audit_end UNION ALL \
                SELECT * FROM (SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1) \
                ORDER BY seq DESC LIMIT 1";
    let last =
        transaction.prepare_cached(last)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)));
    let body = rows::to_json(&by.change)?;
    let entry = Entry::after(last.optional()?, body);
    let sql = "INSERT INTO audit (seq, body, hash) VALUES (?1, ?2, ?3)";
    let mut statement = transaction.prepare_cached(sql)?;
    statement.execute(params![entry.seq, entry.body, entry.hash])?;
    let sql = "INSERT OR REPLACE INTO audit_end (one, seq, hash) VALUES (1, ?1, ?2)";
    transaction.prepare_cached(sql)?.execute(params![entry.seq, entry.hash])?;
    if let Some(Created { token, key, request, subject, at }) = &by.created {
        if created(transaction, token, key, *at)?.is_some() {
            return Err(StoreError::CreatedMeanwhile);
        }
        let old = at.as_millis() - KEY_MILLIS;
        transaction.prepare_cached("DELETE FROM created WHERE at < ?1")?.execute([old])?;
        let sql = "INSERT INTO created (token, key, request, subject, at) \
                   VALUES (?1, ?2, ?3, ?4, ?5)";
        let values = params![token.0, key, request, subject, at.as_millis()];
        transaction.prepare_cached(sql)?.execute(values)?;
    }
    Ok(())
}

pub(super) fn put(transaction: &Connection, token: &Token) -> Result<(), StoreError> {
    let device = match &token.kind {
        Kind::Device { device } => Some(device),
        Kind::Operator { .. } | Kind::Enrollment { .. } => None,
    };
    let millis = |at: Option<Time>| at.map(Time::as_millis);
    let sql = "INSERT INTO token (id, hash, name, kind, device, created_at, expires_at, \
               revoked_at, last_used_at, uses) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    transaction.prepare_cached(sql)?.execute(params![
        token.id.0,
        token.hash,
        token.name,
        rows::to_json(&token.kind)?,
        device,
        token.created_at.as_millis(),
        millis(token.expires_at),
        millis(token.revoked_at),
        millis(token.last_used_at),
        i64::try_from(token.uses).unwrap_or(i64::MAX),
    ])?;
    Ok(())
}

fn token(row: &Row<'_>) -> Result<Token, StoreError> {
    let time = |column: usize| -> Result<Option<Time>, rusqlite::Error> {
        Ok(row.get::<_, Option<i64>>(column)?.map(Time::from_millis))
    };
    let kind = row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?;
    Ok(Token {
        id: TokenId(row.get(0)?),
        hash: row.get(1)?,
        name: row.get(2)?,
        kind: rows::json(kind)?,
        created_at: Time::from_millis(row.get(4)?),
        expires_at: time(5)?,
        revoked_at: time(6)?,
        last_used_at: time(7)?,
        uses: row.get::<_, i64>(8)?.unsigned_abs(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(key: &str, subject: &str, at: i64) -> Attribution {
        let (token, at) = (TokenId("ci".to_owned()), Time::from_millis(at));
        let change = Change {
            at,
            who: "ci".to_owned(),
            from: "here".to_owned(),
            action: "rollout.create".to_owned(),
            subject: subject.to_owned(),
            before: None,
            after: None,
            request: None,
        };
        let (key, subject) = (key.to_owned(), subject.to_owned());
        Attribution { change, created: Some(Created { token, key, request: [7; 32], subject, at }) }
    }

    #[test]
    fn a_key_keeps_others_out_for_a_day_and_creates_again_then() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = SqliteStore::open(&dir.path().join("state.db")).unwrap();
        let token = TokenId("ci".to_owned());
        let mut create = |subject: &str, at: i64| {
            store.attribute(by("nightly", subject, at));
            store.within(|_| Ok(())).map(|()| {
                let found = store.created(&token, "nightly", Time::from_millis(at)).unwrap();
                found.map(|created| created.subject)
            })
        };
        assert_eq!(create("1", 0).unwrap().as_deref(), Some("1"));
        // Two at the same moment both looked before any of them was done.
        assert!(matches!(create("2", KEY_MILLIS), Err(StoreError::CreatedMeanwhile)));
        assert_eq!(create("3", KEY_MILLIS + 1).unwrap().as_deref(), Some("3"));
        let mut actions = 0;
        store
            .for_each_audited(0, &mut |_| {
                actions += 1;
                true
            })
            .unwrap();
        assert_eq!(actions, 2, "what was refused is not there");
    }
}
