//! What is driven now, for devices that ask what waits for them: read so often only.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use groundswell_core::{hours::Phase, time::Time};
use parking_lot::Mutex;

use super::{Api, Problem};
use crate::store::{RolloutKey, RolloutRecord};

/// How old what is told may be: ten reads a second cost nothing, whoever asks.
const AGE_MAX: Duration = Duration::from_millis(100);

/// The rollouts that are driven, as they were read last.
#[derive(Debug, Default)]
pub(super) struct Driven(Mutex<Option<Arc<Rollouts>>>);

/// The rollouts that were driven at a moment.
#[derive(Debug)]
pub(super) struct Rollouts {
    read_at: Instant,
    pub(super) records: Vec<RolloutRecord>,
    pub(super) keys: Vec<RolloutKey>,
    /// When devices of a zone may be touched, for each rollout that was asked about.
    openings: Mutex<HashMap<(RolloutKey, String), Option<Time>>>,
}

impl Api {
    /// The rollouts that are driven, no longer than [`AGE_MAX`] ago.
    pub(super) fn driven(&self) -> Result<Arc<Rollouts>, Problem> {
        let mut known = self.driven_now().0.lock();
        if let Some(known) = known.as_ref().filter(|known| known.read_at.elapsed() < AGE_MAX) {
            return Ok(known.clone());
        }
        let read_at = Instant::now();
        let records = self.glance(|state, _| state.driven())?;
        let keys = records.iter().map(|record| record.key).collect();
        let openings = Mutex::default();
        let rollouts = Arc::new(Rollouts { read_at, records, keys, openings });
        *known = Some(rollouts.clone());
        Ok(rollouts)
    }
}

impl Rollouts {
    pub(super) fn of(&self, key: RolloutKey) -> Option<&RolloutRecord> {
        self.records.iter().find(|record| record.key == key)
    }

    /// When devices of this zone may be touched by a rollout, if they may not now.
    pub(super) fn opens_at(
        &self,
        record: &RolloutRecord,
        device_zone: Option<&str>,
        now: Time,
    ) -> Option<Time> {
        let zone = record.spec.schedule.hours_zone_of(device_zone)?;
        let of = (record.key, zone.name().to_owned());
        *self.openings.lock().entry(of).or_insert_with(|| {
            match record.spec.schedule.hours.at(&zone, now) {
                Phase::Open { .. } => None,
                Phase::Closed { opens_at, .. } => opens_at,
            }
        })
    }
}
