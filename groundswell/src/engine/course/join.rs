//! Devices that join a rollout while it goes on.

use std::sync::Arc;

use groundswell_core::{
    assignment::{SkipReason, State},
    device::Device,
    rollout::{Membership, State as RolloutState},
    selector::Selector,
    time::Time,
    wave,
};

use super::Course;
use crate::{
    engine::{choose, fact::Command},
    store::{
        Assign, CohortName, DeviceKey,
        writer::{Assignment, Job},
    },
};

impl Course {
    /// Takes in devices that were written since: those that match now and are not in it yet. Which
    /// of them it has already, the store knows.
    pub(super) fn may_join(&mut self, now: Time, devices: &[(DeviceKey, Device)]) {
        let is_going_on = matches!(
            self.progression.state,
            RolloutState::Scheduled | RolloutState::Running | RolloutState::Paused
        );
        let is_ending = self
            .sweep
            .as_ref()
            .is_some_and(|sweep| sweep.why != groundswell_core::plan::SweepReason::WindowClosed);
        if self.spec.membership != Membership::Dynamic || !is_going_on || is_ending {
            return;
        }
        let select = self.spec.select.as_deref().and_then(|text| Selector::parse(text).ok());
        for (key, device) in devices {
            if select.as_ref().is_none_or(|select| select.matches(device, now)) {
                let place = wave::place(&self.spec.salt, &device.id);
                let current = self.progression.current();
                let wave = wave::wave_of_joiner(&self.spec.waves, place, current);
                let zone = choose::zone_of(&self.spec, device.time_zone.as_deref());
                let state = match device.address {
                    Some(_) => State::Queued,
                    None => State::Skipped(SkipReason::NoAddress),
                };
                let name = CohortName { wave, zone };
                self.joiners.push((name, *key, state));
            }
        }
    }

    /// Has those who join written down, while nothing else of the rollout is.
    pub(super) fn join(&mut self, now: Time, commands: &mut Vec<Command>) {
        // What was decided before is written down before: never, if that could not be written.
        let is_busy = self.is_committing || self.is_joining || !self.log.is_empty();
        if self.joiners.is_empty() || is_busy || self.has_store_failed {
            return;
        }
        self.is_joining = true;
        let mut cohorts: Vec<CohortName> = vec![];
        let mut devices = vec![];
        for (name, device, state) in std::mem::take(&mut self.joiners) {
            let cohort = cohorts.iter().position(|known| *known == name).unwrap_or_else(|| {
                cohorts.push(name);
                cohorts.len() - 1
            });
            devices.push(Assign { device, cohort, state });
        }
        commands.push(Command::Store(Job::Assign(Assignment {
            rollout: self.key,
            round: self.progression.round,
            cohorts: Arc::from(cohorts),
            devices,
            all_new: false,
            now,
        })));
    }

    /// Whether everybody who may join was written down.
    pub(super) const fn has_joined(&self) -> bool {
        self.joiners.is_empty() && !self.is_joining
    }
}
