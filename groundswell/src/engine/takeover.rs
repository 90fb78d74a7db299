//! How a driver takes over what is in a state directory.

use std::io;

use groundswell_core::rollout::Numbers;

use super::step::Taken;
use crate::store::{Batch, RolloutRecord, Store, StoreError, reserve::Reserve};

/// Why what an earlier driver left could not be taken over.
#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The reserve.
    #[error("the reserve for a full disk cannot be read")]
    Reserve(#[source] io::Error),
}

/// Writes to the database what an earlier run could not; before the epoch is raised, which is how
/// that run is known to be the last one.
///
/// # Errors
/// [`TakeoverError`]; nothing of the reserve is lost.
pub fn recover(store: &mut impl Store, reserve: &Reserve) -> Result<(), TakeoverError> {
    let batches: Vec<Batch> = reserve.kept().map_err(TakeoverError::Reserve)?;
    if batches.is_empty() {
        return Ok(());
    }
    match store.commit_kept(&batches) {
        Ok(()) => tracing::info!("took over what was kept when the disk was full"),
        // Whoever came after that run took its devices over as in doubt, and has asked them.
        Err(error @ StoreError::Stale { .. }) => {
            tracing::warn!("what was kept when the disk was full is left out: {error}");
        }
        Err(error) => return Err(error.into()),
    }
    reserve.clear().map_err(TakeoverError::Reserve)
}

/// A rollout with all that a driver has to know of it.
///
/// # Errors
/// [`StoreError`] if it cannot be read.
pub fn take(store: &impl Store, record: RolloutRecord) -> Result<Taken, StoreError> {
    let cohorts = store.cohorts(record.key, record.progression.round)?;
    let active = store.active(record.key)?;
    let rivals = store.rivals(record.key)?;
    Ok(Taken { record, cohorts, active, rivals })
}

/// What an act on a rollout that nobody drives is judged by.
///
/// # Errors
/// [`StoreError`] if it cannot be read.
pub(crate) fn numbers(store: &impl Store, record: &RolloutRecord) -> Result<Numbers, StoreError> {
    let cohorts = store.cohorts(record.key, record.progression.round)?;
    let counted = cohorts.iter().map(|cohort| (cohort.wave, cohort.counts));
    Ok(Numbers::of(&record.progression, counted))
}
