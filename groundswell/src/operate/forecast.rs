//! What a rollout would do if it were started now: its devices, by waves and zones.

use std::collections::BTreeMap;

use groundswell_core::{
    assignment::State as Standing,
    hours::{Phase, Zone},
    rollout::{Membership, Spec, WaveSize},
    selector::Selector,
    time::Time,
    wave,
};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{OperateError, State};
use crate::{
    engine::choose::{self, Division},
    store::{Alike, Assign, DeviceKey, Store},
};

/// Devices of a wave that are named.
const FIRST_SHOWN: usize = 3;

/// What a rollout would do.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Forecast {
    /// When that is.
    #[schema(value_type = i64)]
    pub at: Time,
    /// Whether devices that match later join.
    #[schema(value_type = String)]
    pub membership: Membership,
    /// Devices that are chosen now.
    pub devices: u64,
    /// Those of them that have no address, and so are left as they are.
    pub without_address: u64,
    /// Those of them that could not be rolled back, because nobody knows what they run; none unless
    /// that is what follows when it goes wrong.
    pub without_way_back: u64,
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
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ForecastWave {
    /// Counted from 1.
    pub number: usize,
    /// Its devices; none where only the draw can tell, which was not made.
    pub devices: Option<u64>,
    /// Some of them, if the draw was made.
    pub first: Vec<String>,
    /// Which devices it takes, as its spec says; none if there are no waves.
    #[schema(value_type = Option<Object>)]
    pub size: Option<WaveSize>,
    /// How long its gate waits, in seconds.
    pub soak_secs: u64,
    /// The least share of successes, in percent.
    pub min_success: Option<u8>,
}

/// When the devices of a zone may be touched.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ForecastZone {
    /// The zone.
    #[schema(value_type = String)]
    pub zone: Zone,
    /// Its devices.
    pub devices: u64,
    /// Whether it is open when the rollout may begin, and until or from when.
    #[schema(value_type = Object)]
    pub phase: Phase,
}

impl State {
    /// What a rollout of this spec would do if it were started `now`, as far as counts tell: no
    /// device is drawn, and none is named.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn outline(&self, spec: &Spec, now: Time) -> Result<Forecast, OperateError> {
        let select = spec.select.as_deref().map(choose::parse).transpose()?;
        let alike = match &spec.rolls_back {
            Some(_) => self.count_going_back(spec, now)?,
            None => self.store.count_chosen(select.as_ref(), now)?,
        };
        let count = |holds: &dyn Fn(&&Alike) -> bool| -> u64 {
            alike.iter().filter(holds).map(|alike| alike.devices).sum()
        };
        let devices = count(&|_| true);
        let mut zones: BTreeMap<Zone, u64> = BTreeMap::new();
        for Alike { time_zone, devices, .. } in &alike {
            if let Some(zone) = choose::zone_of(spec, time_zone.as_deref()) {
                *zones.entry(zone).or_default() += devices;
            }
        }
        let sizes = wave::sizes(&spec.waves, devices, &self.led(spec, select.as_ref(), now)?);
        let waves = sizes.into_iter().enumerate();
        Ok(Forecast {
            at: now,
            membership: spec.membership,
            devices,
            without_address: count(&|alike| !alike.has_address),
            // It was told when it was written down.
            without_way_back: 0,
            waves: waves
                .map(|(wave, devices)| forecast_wave(spec, wave, devices, vec![]))
                .collect(),
            zones: forecast_zones(spec, &zones, now),
        })
    }

    /// The devices that a rollback would have, counted by their zones.
    fn count_going_back(&self, spec: &Spec, now: Time) -> Result<Vec<Alike>, OperateError> {
        let mut alike: BTreeMap<(Option<String>, bool), u64> = BTreeMap::new();
        choose::for_each(&self.store, spec, now, &mut |device| {
            let zone = device.time_zone.map(str::to_owned);
            *alike.entry((zone, device.has_address)).or_default() += 1;
        })?;
        let alike = alike.into_iter();
        let alike = alike.map(|((time_zone, has_address), devices)| Alike {
            time_zone,
            has_address,
            devices,
        });
        Ok(alike.collect())
    }

    /// How many devices the first, the first two, ... of the waves' own selectors choose that stand
    /// before all that are drawn.
    fn led(
        &self,
        spec: &Spec,
        select: Option<&Selector>,
        now: Time,
    ) -> Result<Vec<u64>, OperateError> {
        let mut any: Option<Selector> = None;
        let mut led = vec![];
        for text in wave::leading_selectors(&spec.waves) {
            let own = choose::parse(text)?;
            let so_far = match any {
                Some(any) => any.or(own),
                None => own,
            };
            let both = match select {
                Some(select) => so_far.clone().and(select.clone()),
                None => so_far.clone(),
            };
            led.push(self.store.count_devices(Some(&both), now)?);
            any = Some(so_far);
        }
        Ok(led)
    }

    /// What a rollout of this spec would do if it were started `now`: its devices are drawn.
    ///
    /// # Errors
    /// [`OperateError::Store`], and [`OperateError::NoWayBack`] if it is to be rolled back when it goes
    /// wrong and could not be.
    pub fn forecast(&self, spec: &Spec, now: Time) -> Result<Forecast, OperateError> {
        let without_way_back = self.look_ahead(spec, now)?;
        Ok(Forecast { without_way_back, ..self.drawn(spec, now)? })
    }

    /// The same, whether or not it could be rolled back.
    pub(super) fn drawn(&self, spec: &Spec, now: Time) -> Result<Forecast, OperateError> {
        let division = choose::choose(&self.store, spec, now)?;
        let no_address = division.devices.iter().filter(|device| device.state != Standing::Queued);
        Ok(Forecast {
            at: now,
            membership: spec.membership,
            devices: division.devices.len() as u64,
            without_address: no_address.count() as u64,
            without_way_back: 0,
            waves: self.waves(spec, &division, now)?,
            zones: forecast_zones(spec, &zones_of(&division), now),
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
        choose::for_each(&self.store, spec, now, &mut |device| {
            if let Some(id) = ids.get_mut(&device.key) {
                device.id.clone_into(id);
            }
        })?;
        let wave = |wave| {
            let first = of_wave(wave).take(FIRST_SHOWN);
            let first = first.filter_map(|device| ids.get(&device.device).cloned()).collect();
            forecast_wave(spec, wave, Some(of_wave(wave).count() as u64), first)
        };
        Ok((0..spec.wave_count()).map(wave).collect())
    }
}

fn forecast_wave(
    spec: &Spec,
    wave: usize,
    devices: Option<u64>,
    first: Vec<String>,
) -> ForecastWave {
    let (soak, min_success) = spec.gate(wave);
    ForecastWave {
        number: wave + 1,
        devices,
        first,
        size: spec.waves.get(wave).map(|wave| wave.size.clone()),
        soak_secs: soak.as_secs(),
        min_success,
    }
}

fn zones_of(division: &Division) -> BTreeMap<Zone, u64> {
    let mut by_cohort = vec![0; division.cohorts.len()];
    division.devices.iter().for_each(|device| by_cohort[device.cohort] += 1);
    let mut devices = BTreeMap::new();
    for (cohort, count) in division.cohorts.iter().zip(by_cohort) {
        if let Some(zone) = &cohort.zone {
            *devices.entry(zone.clone()).or_default() += count;
        }
    }
    devices
}

fn forecast_zones(spec: &Spec, devices: &BTreeMap<Zone, u64>, now: Time) -> Vec<ForecastZone> {
    let begins_at = spec.start_at.map_or(now, |at| at.max(now));
    let forecast = |(zone, devices): (&Zone, &u64)| ForecastZone {
        zone: zone.clone(),
        devices: *devices,
        phase: spec.schedule.hours.at(zone, begins_at),
    };
    devices.iter().map(forecast).collect()
}
