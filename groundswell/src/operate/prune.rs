//! Taking back the older part of a log; what is left runs again as before.

use groundswell_core::{log::Report, time::Time};
use serde::Serialize;

use super::{OperateError, State, replay::replay_by};
use crate::store::{RolloutKey, Store, StoreError, Which};

/// Rows taken back in one transaction: some 20 ms of it.
const ROWS_MAX: usize = 1_000;

/// What was taken back of the log of a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// The number of the rollout.
    pub rollout: i64,
    /// The rows that are gone.
    pub rows: u64,
    /// What that gained, in bytes of text: what went, less what stands for it.
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
            match prune(&mut self.store, record.key, before) {
                Ok(pruned) => all.extend(pruned),
                // Others are no worse for it.
                Err(StoreError::Damaged(what)) => {
                    let kept = Some(format!("its log cannot be read: {what}"));
                    all.push(Pruned { rollout: record.key.0, rows: 0, bytes: 0, kept });
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(all)
    }
}

/// Takes back what was written down of a rollout before this time; none if there is nothing.
///
/// One row takes the place of those that go, and the log begins with it at once. Whoever dies before
/// they are gone leaves them to the next one.
///
/// # Errors
/// If the store cannot be read or written, or a row makes no sense.
pub fn prune(
    store: &mut dyn Store,
    rollout: RolloutKey,
    before: Time,
) -> Result<Option<Pruned>, StoreError> {
    take_away(store, rollout)?;
    let (mut rows, mut bytes, mut last, mut base) = (0, 0, 0, None);
    let mut report = Report::default();
    store.at_once(&mut |store| {
        (rows, bytes, last) = beginning(store, rollout, before)?;
        if rows < 2 {
            return Ok(());
        }
        report = replay_by(store, rollout, &mut |replay, row| {
            if row.seq == last {
                base = replay.base();
            }
        })?;
        Ok(())
    })?;
    if let Some(first) = report.mismatches.first() {
        let kept = Some(format!("its log does not run again: {first}"));
        return Ok(Some(Pruned { rollout: rollout.0, rows: 0, bytes: 0, kept }));
    }
    let Some(base) = base else { return Ok(None) };
    let bytes_left = store.shorten_log(rollout, last, &base)?;
    take_away(store, rollout)?;
    let bytes = bytes.saturating_sub(bytes_left);
    Ok(Some(Pruned { rollout: rollout.0, rows: rows - 1, bytes, kept: None }))
}

/// Takes away what is before the beginning of a log.
fn take_away(store: &mut dyn Store, rollout: RolloutKey) -> Result<(), StoreError> {
    while store.prune_log(rollout, ROWS_MAX)? == ROWS_MAX {}
    Ok(())
}

/// What was written down before this time: how many rows, their bytes, and the last of them.
fn beginning(
    store: &dyn Store,
    rollout: RolloutKey,
    before: Time,
) -> Result<(u64, u64, i64), StoreError> {
    let (mut rows, mut bytes, mut last, mut is_over) = (0, 0, 0, false);
    store.for_each_log_row(rollout, &mut |row| {
        // A clock that was set back ends it, too: what goes is the beginning.
        is_over |= row.at >= before;
        if !is_over {
            (rows, bytes, last) = (rows + 1, bytes + row.body.len() as u64, row.seq);
        }
        Ok(())
    })?;
    Ok((rows, bytes, last))
}
