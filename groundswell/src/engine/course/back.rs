//! A rollout that went wrong is rolled back: who goes back to what is looked up once nothing is open
//! in it any more, and the rollouts that do it are written down with its end.

use std::time::Duration;

use groundswell_core::{
    bites,
    log::Record,
    plan::Change,
    rollback::{self, Otherwise, Releases},
    rollout::{Progression, State},
    time::Time,
};

use super::Course;
use crate::{
    engine::{beside::decider, choose::LookedBack, fact::Command},
    store::{NewRollout, Rollback},
};

/// The wait after it could not be looked up.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// How far it is known who goes back to what.
#[derive(Debug, Default)]
pub(super) struct Back {
    is_looking: bool,
    /// After a look that failed.
    not_before: Time,
    found: Option<LookedBack>,
    /// What is written down with the end.
    rollback: Option<Box<Rollback>>,
}

impl Course {
    /// Whether it must not end yet, because nobody has looked who goes back to what.
    pub(super) fn is_looking_back(&self) -> bool {
        self.progression.state == State::Aborting
            && self.progression.is_to_roll_back
            && self.back.found.is_none()
    }

    /// Has it looked up, once all that devices came to is durable: it is read from there.
    pub(super) fn look_back(&mut self, now: Time, commands: &mut Vec<Command>) {
        let is_open = self.counts.waiting() + self.counts.active() > 0;
        if !self.is_looking_back() || is_open || self.back.is_looking || self.is_being_written() {
            return;
        }
        let is_durable = !self.is_committing && !self.is_joining && !self.has_pending();
        let may_look = !self.is_stopping() && !self.has_store_failed;
        if is_durable && may_look && now >= self.back.not_before {
            self.back.is_looking = true;
            commands.push(Command::LookBack(self.key, Box::new(self.spec.release.clone())));
        }
    }

    /// When that is tried again.
    pub(super) fn look_back_at(&self) -> Option<Time> {
        let at = Some(self.back.not_before).filter(|at| *at > self.decided_at);
        at.filter(|_| self.is_looking_back() && !self.back.is_looking)
    }

    /// It was looked up, or could not be.
    pub(in crate::engine) fn looked_back(&mut self, now: Time, found: Option<Box<LookedBack>>) {
        self.back.is_looking = false;
        if let Some(found) = found {
            self.back.found = Some(*found);
            return;
        }
        let (rollout, secs) = (self.key.0, LOOK_AGAIN.as_secs());
        tracing::error!(
            rollout,
            "what its devices ran before cannot be read; it is tried again in {secs} s"
        );
        self.back.not_before = now + LOOK_AGAIN;
    }

    /// It ends: what rolls it back is written down in the same commit, so that a kill loses neither
    /// and makes nothing twice.
    pub(super) fn roll_back(&mut self, change: &Change, now: Time) {
        let is_forgotten = bites!(RollbackForgotten);
        if *change != Change::Aborted || !self.progression.is_to_roll_back || is_forgotten {
            return;
        }
        let Some(LookedBack { survey, known }) = self.back.found.take() else { return };
        let Releases { found, missing } = rollback::releases(&survey, &known);
        let missing = missing.into_iter().map(|(version, _)| version.to_owned()).collect();
        let rollouts = found.into_iter().map(|(release, _)| {
            let id = rollback::id(self.id, self.progression.round, &release.version);
            let spec = rollback::spec(&self.spec, self.name(), release, &Otherwise::default());
            let mut progression = Progression::draft(&spec);
            rollback::start(&mut progression, now);
            let stands = Record::stands(&progression, now);
            let records = vec![decider(), Record::StartedBy(self.key.0), stands];
            NewRollout { id, spec, progression, records }
        });
        let rollouts = rollouts.collect();
        self.back.rollback = Some(Box::new(Rollback { rollouts, survey, missing }));
    }

    /// What is to be written down now.
    pub(super) fn take_rollback(&mut self) -> Option<Box<Rollback>> {
        self.back.rollback.take()
    }

    /// What was known of the round before is nothing to the next.
    pub(super) fn forget_back(&mut self) {
        self.back = Back::default();
    }
}
