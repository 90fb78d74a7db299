//! What a rollout would do if it were started now: its devices, by waves and zones.

use std::collections::BTreeMap;

use groundswell_core::{
    assignment::State as Standing,
    hours::{Phase, Zone},
    rollout::{Membership, Spec, WaveSize},
    time::Time,
};
use hashbrown::HashMap;
use serde::Serialize;

use super::{OperateError, State};
use crate::{
    engine::choose::{self, Division},
    store::{Assign, DeviceKey, Store},
};

/// Devices of a wave that are named.
const FIRST_SHOWN: usize = 3;

/// What a rollout would do.
#[derive(Clone, Debug, Serialize)]
pub struct Forecast {
    /// When that is.
    pub at: Time,
    /// Whether devices that match later join.
    pub membership: Membership,
    /// Devices that are chosen now.
    pub devices: u64,
    /// Those of them that have no address, and so are left as they are.
    pub without_address: u64,
    /// Its waves, in order.
    pub waves: Vec<ForecastWave>,
    /// The zones that hours are judged in; none if devices may be touched at any time.
    pub zones: Vec<ForecastZone>,
}

impl Forecast {
    /// Whether its spec says anything of waves.
    pub fn has_waves(&self) -> bool {
        self.waves.iter().any(|wave| wave.size.is_some())
    }
}

/// A wave before it is one.
#[derive(Clone, Debug, Serialize)]
pub struct ForecastWave {
    /// Counted from 1.
    pub number: usize,
    /// Its devices.
    pub devices: u64,
    /// Some of them.
    pub first: Vec<String>,
    /// Which devices it takes, as its spec says; none if there are no waves.
    pub size: Option<WaveSize>,
    /// How long its gate waits, in seconds.
    pub soak_secs: u64,
    /// The least share of successes, in percent.
    pub min_success: Option<u8>,
}

/// When the devices of a zone may be touched.
#[derive(Clone, Debug, Serialize)]
pub struct ForecastZone {
    /// The zone.
    pub zone: Zone,
    /// Its devices.
    pub devices: u64,
    /// Whether it is open when the rollout may begin, and until or from when.
    pub phase: Phase,
}

impl State {
    /// What a rollout of this spec would do if it were started `now`.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn forecast(&self, spec: &Spec, now: Time) -> Result<Forecast, OperateError> {
        let division = choose::choose(&self.store, spec, now)?;
        let no_address = division.devices.iter().filter(|device| device.state != Standing::Queued);
        Ok(Forecast {
            at: now,
            membership: spec.membership,
            devices: division.devices.len() as u64,
            without_address: no_address.count() as u64,
            waves: self.waves(spec, &division, now)?,
            zones: zones(spec, &division, now),
        })
    }

    fn waves(
        &self,
        spec: &Spec,
        division: &Division,
        now: Time,
    ) -> Result<Vec<ForecastWave>, OperateError> {
        let of_wave = |wave: usize| {
            let has = move |device: &&Assign| division.cohorts[device.cohort].wave == wave;
            division.devices.iter().filter(has)
        };
        let shown = (0..spec.wave_count()).flat_map(|wave| of_wave(wave).take(FIRST_SHOWN));
        let mut ids: HashMap<DeviceKey, String> =
            shown.map(|device| (device.device, String::new())).collect();
        let select = spec.select.as_deref().map(choose::parse).transpose()?;
        self.store.for_each_chosen(select.as_ref(), now, &mut |device| {
            if let Some(id) = ids.get_mut(&device.key) {
                device.id.clone_into(id);
            }
        })?;
        let wave = |wave| {
            let (soak, min_success) = spec.gate(wave);
            let first = of_wave(wave).take(FIRST_SHOWN);
            ForecastWave {
                number: wave + 1,
                devices: of_wave(wave).count() as u64,
                first: first.filter_map(|device| ids.get(&device.device).cloned()).collect(),
                size: spec.waves.get(wave).map(|wave| wave.size.clone()),
                soak_secs: soak.as_secs(),
                min_success,
            }
        };
        Ok((0..spec.wave_count()).map(wave).collect())
    }
}

fn zones(spec: &Spec, division: &Division, now: Time) -> Vec<ForecastZone> {
    let begins_at = spec.start_at.map_or(now, |at| at.max(now));
    let mut devices: BTreeMap<&Zone, u64> = BTreeMap::new();
    for device in &division.devices {
        if let Some(zone) = &division.cohorts[device.cohort].zone {
            *devices.entry(zone).or_default() += 1;
        }
    }
    let forecast = |(zone, devices): (&Zone, u64)| ForecastZone {
        zone: zone.clone(),
        devices,
        phase: spec.schedule.hours.at(zone, begins_at),
    };
    devices.into_iter().map(forecast).collect()
}
