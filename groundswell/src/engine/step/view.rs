//! What is seen of a run from outside: how far its rollouts are, and what they wait for.

use groundswell_core::{
    progress::Progress, rollout::Progression, snapshot::Counts, time::Time, waiting::WaitingOn,
};

use super::{Course, Engine};
use crate::store::RolloutKey;

impl Engine {
    /// The rollouts that are driven.
    pub fn rollouts(&self) -> impl Iterator<Item = RolloutKey> {
        self.courses.keys().copied()
    }

    /// How far a rollout is; `sent_bytes` is the shell's to count.
    pub fn progress(&mut self, key: RolloutKey, now: Time, sent_bytes: u64) -> Option<Progress> {
        self.courses.get_mut(&key).map(|course| course.progress(now, sent_bytes))
    }

    /// Why not more happens in a rollout, as it was decided last.
    pub fn waiting_on(&self, key: RolloutKey) -> Option<&[WaitingOn]> {
        self.courses.get(&key).map(Course::waiting_on)
    }

    /// The devices of a rollout, counted.
    pub fn counts(&self, key: RolloutKey) -> Option<&Counts> {
        self.courses.get(&key).map(Course::counts)
    }

    /// Where a rollout stands.
    pub fn progression(&self, key: RolloutKey) -> Option<&Progression> {
        self.courses.get(&key).map(|course| &course.progression)
    }

    /// Whether deliveries of a rollout that have not sent anything yet may do so.
    pub fn may_send(&self, key: RolloutKey) -> bool {
        self.courses.get(&key).is_some_and(Course::may_send)
    }
}
