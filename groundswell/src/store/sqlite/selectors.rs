//! What is asked about a selector before it is used.

use groundswell_core::{selector::Selector, time::Time};
use rusqlite::{params_from_iter, types::Value};

use super::{
    SqliteStore,
    selector::{self, Condition},
};
use crate::store::{SelectorStore, StoreError};

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
}
