//! What happened to a rollout, or to one device of it, as its log tells.

use groundswell_core::{
    ids::AssignmentId,
    log::{DeviceStory, Entry, Line, Others, Record, Report, Story},
    release::Release,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{OperateError, State};
use crate::store::{
    LogRow, ReleasedOf, ReleasedSlot, RolloutKey, RolloutRecord, Store, StoreError,
    TroubleStore as _, Which,
};

/// Released slots that are told of a rollout, the last ones: as many as lines of its end.
const RELEASES_MAX: usize = 300;

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
        let mut story = Story::beside(self.others()?).without(self.unseen_of(record.key)?);
        for_each_entry(&self.store, record.key, &mut |entry| story.entry(entry))?;
        let mut told = story.finish();
        self.put_releases(&mut told.0, record, None)?;
        Ok(explained(record, None, true, told))
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
        let mut told = story.finish();
        self.put_releases(&mut told.0, record, Some(id))?;
        Ok(explained(record, Some(id), is_in, told))
    }

    /// Puts the slots that operators released among what the log tells: they hold for what a device
    /// failed in, whichever rollouts waited for them.
    fn put_releases(
        &self,
        lines: &mut Vec<Line>,
        record: &RolloutRecord,
        only: Option<&str>,
    ) -> Result<(), OperateError> {
        let released = self.store.released_slots(ReleasedOf::Rollout(record.key), RELEASES_MAX)?;
        for ReleasedSlot { id, domain, reason, at, .. } in released {
            let is_meant = only.is_none_or(|only| *only == id) && self.sees_device(&id)?;
            if lines.is_empty() || !is_meant {
                continue;
            }
            let whose = only.map_or_else(|| format!("the slot of {id}"), |_| "its slot".to_owned());
            let text = format!("the operator released {whose} in {domain}: {reason}");
            let place = lines.iter().position(|line| line.at > at).unwrap_or(lines.len());
            lines.insert(place, Line { at, text });
        }
        Ok(())
    }

    /// All rollouts that may be known with their releases, as a story calls those that it comes across.
    fn others(&self) -> Result<Others, OperateError> {
        let mut known = vec![];
        for of in self.store.rollouts(Which::All)? {
            if self.is_in_scope(&of, self.sight.as_ref())? {
                let Release { name, version, .. } = &of.spec.release;
                known.push((of.key.0, format!("{name} {version}")));
            }
        }
        let known: Others = known.into_iter().collect();
        Ok(if self.sight.is_some() { known.and_no_more() } else { known })
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
