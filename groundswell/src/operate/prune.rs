//! Taking back the older part of a log; what is left runs again as before.

use groundswell_core::{
    log::{Entry, Record, Replay},
    time::Time,
};
use serde::Serialize;

use super::{OperateError, State};
use crate::{
    clock::zone_database,
    store::{LogRow, RolloutKey, Store, StoreError, Which},
};

/// Rows taken back in one transaction: some 20 ms of it.
const ROWS_MAX: usize = 1_000;

/// What was taken back of the log of a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// The number of the rollout.
    pub rollout: i64,
    /// The rows that are gone.
    pub rows: u64,
    /// What they took, in bytes of text.
    pub bytes: u64,
    /// Why nothing was taken back, if the log does not run again: it is evidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
}

impl State {
    /// Takes back what was written down before this time, rollout by rollout, and says of each
    /// what that was.
    ///
    /// # Errors
    /// [`OperateError::Store`]; what was done before it stays done.
    pub fn prune(&mut self, before: Time) -> Result<Vec<Pruned>, OperateError> {
        let mut all = vec![];
        for record in self.store.rollouts(Which::All)? {
            all.extend(prune(&mut self.store, record.key, before)?);
        }
        Ok(all)
    }
}

/// Takes back what was written down of a rollout before this time; none if there is nothing.
///
/// One row takes the place of those that go. They go from the last to the first, so that whatever
/// is left when this is cut short still runs again.
///
/// # Errors
/// If the store cannot be read or written, or a row makes no sense.
pub fn prune(
    store: &mut dyn Store,
    rollout: RolloutKey,
    before: Time,
) -> Result<Option<Pruned>, StoreError> {
    let mut replay = Replay::new(zone_database());
    let (mut rows, mut bytes, mut last, mut is_over) = (0, 0, 0, false);
    store.for_each_log_row(rollout, &mut |LogRow { seq, at, body }| {
        is_over |= at >= before;
        if is_over {
            return Ok(());
        }
        let what = |error| StoreError::Damaged(format!("row {seq} of the log: {error}"));
        let records: Vec<Record> = serde_json::from_str(&body).map_err(what)?;
        replay.entry(&Entry { at, records });
        (rows, bytes, last) = (rows + 1, bytes + body.len() as u64, seq);
        Ok(())
    })?;
    let report = replay.report();
    if let Some(first) = report.mismatches.first() {
        let kept = Some(format!("its log does not run again: {}", first.what));
        return Ok(Some(Pruned { rollout: rollout.0, rows: 0, bytes: 0, kept }));
    }
    let Some(base) = replay.base().filter(|_| rows > 1) else { return Ok(None) };
    store.shorten_log(rollout, last, &base)?;
    while store.prune_log(rollout, last, ROWS_MAX)? == ROWS_MAX {}
    Ok(Some(Pruned { rollout: rollout.0, rows: rows - 1, bytes, kept: None }))
}
