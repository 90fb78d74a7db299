//! A driver that was taken for dead, and wakes up with something to write when another one drives.

use groundswell::store::{
    SqliteStore, StoreError,
    writer::{Done, Job, do_job},
};

use super::World;

/// The store as the sleeper has it, and what it was about to write.
pub(crate) type Sleeper = (SqliteStore, Job);

impl World {
    /// A driver is gone, with this as the first thing it has not written.
    pub(crate) fn fall_asleep(&mut self, store: SqliteStore, left: Option<Job>) {
        self.asleep = left.filter(|job| matches!(job, Job::Commit(_))).map(|job| (store, job));
    }

    /// Another driver has taken over: what the sleeper writes now must be refused.
    pub(crate) fn wake_sleeper(&mut self) {
        let Some((mut store, job)) = self.asleep.take() else { return };
        match do_job(&mut store, job) {
            Done::Committed(_, Err(StoreError::Stale { .. })) => {}
            other => self.fail(&format!(
                "what a driver writes that another one took over from is not refused: {other:?}"
            )),
        }
    }
}
