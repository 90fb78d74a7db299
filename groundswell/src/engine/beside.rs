//! What is written down of a rollout that is changed while nobody drives it.

use groundswell_core::{
    log::{Acted, Beside, CohortCounts, DECISIONS, Record},
    rollout::{Progression, Wish},
    time::Time,
};

use crate::{
    clock::zone_database,
    store::{CohortRecord, RolloutRecord, Store, StoreError},
};

/// A cohort as the log has it.
pub(super) fn counted(record: &CohortRecord) -> CohortCounts {
    CohortCounts { wave: record.wave, zone: record.zone.clone(), counts: record.counts }
}

/// By which decisions the rollout is changed.
pub(crate) fn decider() -> Record {
    Record::Beside(Beside { decisions: DECISIONS, zones: zone_database().to_owned() })
}

/// The decisions by which a rollout is changed, and its devices as they are counted: what somebody
/// who changes it goes by.
///
/// # Errors
/// [`StoreError`] if they cannot be read.
pub(crate) fn looked_at(
    store: &impl Store,
    record: &RolloutRecord,
) -> Result<Vec<Record>, StoreError> {
    let cohorts = store.cohorts(record.key, record.progression.round)?;
    Ok(vec![decider(), Record::Counted(cohorts.iter().map(counted).collect())])
}

/// An operator's act at this time, and where the rollout stands since, or why nothing changed.
pub(crate) fn acted(
    wish: Wish<'_>,
    done: Result<&Progression, String>,
    now: Time,
) -> impl Iterator<Item = Record> {
    let (stands, refused) = match done {
        Ok(progression) => (Some(Record::stands(progression, now)), None),
        Err(why) => (None, Some(why)),
    };
    [Record::Acted(Acted::of(wish, refused))].into_iter().chain(stands)
}
