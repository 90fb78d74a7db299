//! What happened to a rollout, or to one device of it, as its log tells.

use groundswell_core::{
    ids::AssignmentId,
    log::{DeviceStory, Entry, Line, Others, Record, Report, Story},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{OperateError, State};
use crate::store::{LogRow, RolloutKey, RolloutRecord, Store, StoreError, Which};

/// What the log of a rollout tells.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Explained {
    /// The rollout's number.
    pub rollout: i64,
    /// The device's id, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Whether the device is in the rollout, as far as that is stored.
    #[serde(default = "is_true", skip_serializing_if = "Clone::clone")]
    pub is_in: bool,
    /// What happened, in order.
    #[schema(value_type = Vec<Object>)]
    pub lines: Vec<Line>,
    /// Why it may not be true, if the log does not run again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
}

const fn is_true() -> bool {
    true
}

impl State {
    /// Tells a rollout from its log.
    ///
    /// # Errors
    /// [`OperateError::Store`] if it cannot be read, or makes no sense.
    pub fn explain(&self, record: &RolloutRecord) -> Result<Explained, OperateError> {
        let mut story = Story::beside(self.others()?);
        for_each_entry(&self.store, record.key, &mut |entry| story.entry(entry))?;
        Ok(explained(record, None, true, story.finish()))
    }

    /// Tells one device of a rollout from its log.
    ///
    /// # Errors
    /// [`OperateError::UnknownDevice`], and as [`State::explain`].
    pub fn explain_device(
        &self,
        record: &RolloutRecord,
        id: &str,
    ) -> Result<Explained, OperateError> {
        let (key, _) = self.find_device(id)?;
        let (mut is_in, mut story) = (false, DeviceStory::new(id, vec![]));
        let others = self.others()?;
        // Its assignments and what the log says of them: of one moment.
        self.store.at_once(&mut |store| {
            let standings = store.standings(key)?;
            let here = standings.iter().filter(|standing| standing.rollout == record.key);
            let ids: Vec<AssignmentId> = here.map(|standing| standing.id).collect();
            is_in = !ids.is_empty();
            story = DeviceStory::new(id, ids).beside(others.clone());
            for_each_entry(store, record.key, &mut |entry| story.entry(entry))
        })?;
        Ok(explained(record, Some(id), is_in, story.finish()))
    }

    /// All rollouts with their releases, as a story calls those that it comes across.
    fn others(&self) -> Result<Others, OperateError> {
        let all = self.store.rollouts(Which::All)?.into_iter();
        Ok(all
            .map(|of| (of.key.0, format!("{} {}", of.spec.release.name, of.spec.release.version)))
            .collect())
    }
}

fn explained(
    record: &RolloutRecord,
    device: Option<&str>,
    is_in: bool,
    (lines, report): (Vec<Line>, Report),
) -> Explained {
    let doubt = report.mismatches.first().map(ToString::to_string);
    Explained { rollout: record.key.0, device: device.map(str::to_owned), is_in, lines, doubt }
}

fn for_each_entry(
    store: &dyn Store,
    rollout: RolloutKey,
    each: &mut dyn FnMut(&Entry),
) -> Result<(), StoreError> {
    store.for_each_log_row(rollout, &mut |LogRow { seq, at, body }| {
        let what = |error| StoreError::Damaged(format!("row {seq} of the log: {error}"));
        let records: Vec<Record> = serde_json::from_str(&body).map_err(what)?;
        each(&Entry { at, records });
        Ok(())
    })
}
