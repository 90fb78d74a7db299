//! Which devices a rollout has, and in which waves.
//!
//! Reads what the selector chooses and divides it by the core's rule. The result is in the order
//! in which rows are written: by wave, then zone, then as drawn; so a wave's rows lie together.

use std::collections::{BTreeMap, HashSet};

use groundswell_core::{
    assignment::{SkipReason, State},
    hours::Zone,
    release::Release,
    rollback::{Return, Survey},
    rollout::{Spec, WaveSize},
    selector::Selector,
    time::Time,
    wave,
};
use sha2::{Digest, Sha256};

use crate::store::{Assign, Chosen, CohortName, DeviceKey, RolloutKey, Store, StoreError};

/// The devices of a rollout, divided.
#[derive(Clone, Debug, Default)]
pub struct Division {
    /// The cohorts that the devices name by their places.
    pub cohorts: Vec<CohortName>,
    /// The devices, in the order in which they are written.
    pub devices: Vec<Assign>,
    /// Sha-256 of all that: the same as long as the same devices are chosen the same way.
    pub digest: [u8; 32],
}

/// A device before it has a wave.
struct Drawn {
    place: u128,
    device: DeviceKey,
    zone: u32,
    has_address: bool,
}

/// Chooses and divides the devices of a rollout, when it is `now`.
///
/// # Errors
/// [`StoreError`] if they cannot be read, or if the stored selector is none.
pub fn choose<S: Store>(store: &S, spec: &Spec, now: Time) -> Result<Division, StoreError> {
    let mut zones = Zones::new(spec);
    let mut drawn = vec![];
    for_each(store, spec, now, &mut |device| {
        drawn.push(Drawn {
            place: wave::place(&spec.salt, device.id),
            device: device.key,
            zone: zones.of(device.time_zone),
            has_address: device.has_address,
        });
    })?;
    drawn.sort_unstable_by_key(|drawn| (drawn.place, drawn.device));
    let chosen = chosen_by_waves(store, spec, now, &drawn)?;
    let waves = wave::divide(&spec.waves, &chosen);
    Ok(divide(&drawn, &waves, &zones))
}

/// Hands every device that a rollout would have to `each`, when it is `now`.
///
/// # Errors
/// As [`choose`].
pub fn for_each<S: Store>(
    store: &S,
    spec: &Spec,
    now: Time,
    each: &mut dyn FnMut(Chosen<'_>),
) -> Result<(), StoreError> {
    let Some(of) = &spec.rolls_back else {
        let select = spec.select.as_deref().map(parse).transpose()?;
        return store.for_each_chosen(select.as_ref(), now, each);
    };
    let goes = Return::To(&spec.release.version);
    store.for_each_changed(RolloutKey(of.number), &mut |device, changed| {
        if changed.returns(&of.version) == goes {
            each(device);
        }
    })
}

/// Where the devices that a rollout changed go back to, and the releases of its name.
#[derive(Clone, Debug, Default)]
pub struct LookedBack {
    /// The devices, counted.
    pub survey: Survey,
    /// The releases that are written down.
    pub known: Vec<Release>,
}

/// Looks up where the devices go that `rollout` changed by sending `release`.
///
/// # Errors
/// [`StoreError`] if they cannot be read.
pub fn look_back<S: Store>(
    store: &S,
    rollout: RolloutKey,
    release: &Release,
) -> Result<LookedBack, StoreError> {
    let mut survey = Survey::default();
    store.for_each_changed(rollout, &mut |_, changed| survey.add(&changed, &release.version))?;
    let known = store.releases(Some(&release.name))?;
    Ok(LookedBack { survey, known: known.into_iter().map(|(release, _)| release).collect() })
}

/// A stored selector.
///
/// # Errors
/// [`StoreError::Damaged`] if it is none.
pub fn parse(text: &str) -> Result<Selector, StoreError> {
    Selector::parse(text).map_err(|error| StoreError::Damaged(format!("a selector: {error}")))
}

/// The zones that occur, by their places.
struct Zones<'a> {
    spec: &'a Spec,
    names: BTreeMap<String, u32>,
    found: Vec<Option<Zone>>,
}

impl<'a> Zones<'a> {
    const fn new(spec: &'a Spec) -> Self {
        Self { spec, names: BTreeMap::new(), found: vec![] }
    }

    fn of(&mut self, device_zone: Option<&str>) -> u32 {
        let name = device_zone.unwrap_or_default();
        if let Some(at) = self.names.get(name) {
            return *at;
        }
        let zone = zone_of(self.spec, device_zone);
        let at = self.found.iter().position(|known| *known == zone).unwrap_or_else(|| {
            self.found.push(zone);
            self.found.len() - 1
        });
        self.names.insert(name.to_owned(), at as u32);
        at as u32
    }
}

/// In whose zone the hours of a device are judged; none if there are none.
pub fn zone_of(spec: &Spec, device_zone: Option<&str>) -> Option<Zone> {
    spec.schedule.hours_zone_of(device_zone)
}

/// Which of the waves' own selectors choose each device.
fn chosen_by_waves<S: Store>(
    store: &S,
    spec: &Spec,
    now: Time,
    drawn: &[Drawn],
) -> Result<Vec<wave::Chosen>, StoreError> {
    let mut chosen = vec![0; drawn.len()];
    for (number, wave) in spec.waves.iter().enumerate() {
        let WaveSize::Select(text) = &wave.size else { continue };
        let selector = parse(text)?;
        let mut own = HashSet::new();
        store.for_each_chosen(Some(&selector), now, &mut |device| {
            own.insert(device.key);
        })?;
        for (bits, drawn) in chosen.iter_mut().zip(drawn) {
            *bits |= wave::Chosen::from(own.contains(&drawn.device)) << number;
        }
    }
    Ok(chosen)
}

fn divide(drawn: &[Drawn], waves: &[u16], zones: &Zones<'_>) -> Division {
    let mut order: Vec<u32> = (0..drawn.len() as u32).collect();
    let key = |at: &u32| (waves[*at as usize], drawn[*at as usize].zone, *at);
    order.sort_unstable_by_key(key);
    let mut division = Division::default();
    let mut hasher = Sha256::new();
    for at in order {
        let (Drawn { device, zone, has_address, .. }, wave) =
            (&drawn[at as usize], usize::from(waves[at as usize]));
        let name = CohortName { wave, zone: zones.found[*zone as usize].clone() };
        if division.cohorts.last() != Some(&name) {
            hasher.update(format!("\n{wave} {:?}:", name.zone.as_ref().map(Zone::name)));
            division.cohorts.push(name);
        }
        let state = match has_address {
            true => State::Queued,
            false => State::Skipped(SkipReason::NoAddress),
        };
        hasher.update(device.0.to_be_bytes());
        let cohort = division.cohorts.len() - 1;
        division.devices.push(Assign { device: *device, cohort, state });
    }
    division.digest = hasher.finalize().into();
    division
}

#[cfg(test)]
mod tests;
