//! What is asked about a selector before it is used.

use groundswell_core::{selector::Selector, time::Time};
use rusqlite::{params_from_iter, types::Value};

use super::{
    SqliteStore,
    selector::{self, Condition},
};
use crate::store::{RolloutKey, SelectorStore, StoreError};

impl SelectorStore for SqliteStore {
    fn count_devices_to(
        &self,
        select: Option<&Selector>,
        max: u64,
        now: Time,
    ) -> Result<u64, StoreError> {
        let Condition { from, sql, mut params } = selector::condition(select, now);
        let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {from} WHERE {sql} LIMIT ?)");
        params.push(Value::Integer(i64::try_from(max).unwrap_or(i64::MAX)));
        let mut statement = self.connection.prepare(&sql)?;
        let count: i64 = statement.query_row(params_from_iter(params), |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    fn for_each_outside(
        &self,
        rollout: RolloutKey,
        select: &Selector,
        each: &mut dyn FnMut(&str, bool) -> bool,
    ) -> Result<(), StoreError> {
        let Condition { from, sql, mut params } = selector::condition(Some(select), Time::ZERO);
        // A condition may be NULL, and a row for which it is, is none.
        let sql = format!(
            "SELECT o.id, o.key NOT IN (SELECT device FROM removed) FROM cohort c \
             JOIN assignment a INDEXED BY assignment_cohort ON a.cohort = c.key \
             JOIN device o ON o.key = a.device \
             WHERE NOT EXISTS (SELECT 1 FROM {from} WHERE d.key = o.key AND {sql}) AND c.rollout = ?"
        );
        params.push(Value::Integer(rollout.0));
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.query(params_from_iter(params))?;
        while let Some(row) = rows.next()? {
            if !each(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?, row.get(1)?) {
                break;
            }
        }
        Ok(())
    }
}
