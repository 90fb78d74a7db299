//! Where a rollout stands, as far as that changed since it stood somewhere before.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize};

use super::relative::Timed;
use crate::{
    brake,
    gate::regression::Results,
    rollout::{PauseReason, Progression, State, WAVES_LIMIT, Wave},
    time::Time,
};

/// Where a rollout stands. What is left out is as it was when it stood somewhere before; if the
/// number of its waves is told, as it is in a rollout that was just written down. Rounds that ended
/// are not in it: they follow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::option_option, reason = "left out is not none: as it was, or not any more")]
pub struct Stands {
    /// The state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paused: Option<BTreeSet<PauseReason>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    round: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    started_at: Option<Option<Time>>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    ended_at: Option<Option<Time>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failures_accepted: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    results_accepted: Option<Results>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    brakes: Option<Vec<brake::Verdict>>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    prepared: Option<Option<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    no_device: Option<bool>,
    #[serde(rename = "back", default, skip_serializing_if = "Option::is_none")]
    is_to_roll_back: Option<bool>,
    /// How many waves there are, if nothing before counts.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    wave_count: Option<usize>,
    /// The waves that changed, by their places.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "super::short::waves")]
    waves: Vec<(usize, Wave)>,
}

/// A value that is there and may be none.
#[expect(clippy::option_option, reason = "left out is not none")]
pub(super) fn said<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

fn changed<T: PartialEq + Clone>(was: &T, is: &T) -> Option<T> {
    (was != is).then(|| is.clone())
}

fn set<T: Clone>(place: &mut T, said: Option<&T>) {
    if let Some(said) = said {
        place.clone_from(said);
    }
}

impl Stands {
    /// All of it, whatever was before.
    pub fn whole(is: &Progression) -> Self {
        let waves = is.waves.len();
        Self { wave_count: Some(waves), ..Self::since(&Progression::blank(waves), is) }
    }

    /// What changed since it stood there; all of it if there are other waves.
    pub fn between(was: Option<&Progression>, is: &Progression) -> Self {
        match was.filter(|was| was.waves.len() == is.waves.len()) {
            Some(was) => Self::since(was, is),
            None => Self::whole(is),
        }
    }

    fn since(was: &Progression, is: &Progression) -> Self {
        // All fields by name: one that is new must not be left out.
        let Progression {
            state,
            paused,
            round,
            generation,
            started_at,
            ended_at,
            failures_accepted,
            results_accepted,
            brakes,
            prepared,
            no_device,
            is_to_roll_back,
            waves,
            earlier: _,
        } = is;
        let waves = was.waves.iter().zip(waves).enumerate();
        let waves = waves.filter_map(|(at, (was, is))| Some((at, changed(was, is)?)));
        Self {
            state: changed(&was.state, state),
            paused: changed(&was.paused, paused),
            round: changed(&was.round, round),
            generation: changed(&was.generation, generation),
            started_at: changed(&was.started_at, started_at),
            ended_at: changed(&was.ended_at, ended_at),
            failures_accepted: changed(&was.failures_accepted, failures_accepted),
            results_accepted: changed(&was.results_accepted, results_accepted),
            brakes: changed(&was.brakes, brakes),
            prepared: changed(&was.prepared, prepared),
            no_device: changed(&was.no_device, no_device),
            is_to_roll_back: changed(&was.is_to_roll_back, is_to_roll_back),
            wave_count: None,
            waves: waves.collect(),
        }
    }

    /// Whether nothing before counts.
    pub(super) const fn is_whole(&self) -> bool {
        self.wave_count.is_some()
    }

    /// Where the rollout stands that stood there before.
    ///
    /// # Errors
    /// Says why it makes no sense.
    pub fn after(&self, was: Option<&Progression>) -> Result<Progression, String> {
        let mut is = match (self.wave_count, was) {
            (Some(count), _) if count > WAVES_LIMIT => {
                return Err(format!("it has {count} waves, the most is {WAVES_LIMIT}"));
            }
            (Some(count), _) => Progression::blank(count),
            (None, Some(was)) => Progression { earlier: vec![], ..was.clone() },
            (None, None) => {
                return Err("it says what changed, and nothing before says of what".to_owned());
            }
        };
        let of = is.waves.len();
        for (at, wave) in &self.waves {
            let place = is.waves.get_mut(*at);
            let place = place.ok_or_else(|| {
                format!("it tells of wave {}, and there are {of}", at.saturating_add(1))
            })?;
            place.clone_from(wave);
        }
        set(&mut is.state, self.state.as_ref());
        set(&mut is.paused, self.paused.as_ref());
        set(&mut is.round, self.round.as_ref());
        set(&mut is.generation, self.generation.as_ref());
        set(&mut is.started_at, self.started_at.as_ref());
        set(&mut is.ended_at, self.ended_at.as_ref());
        set(&mut is.failures_accepted, self.failures_accepted.as_ref());
        set(&mut is.results_accepted, self.results_accepted.as_ref());
        set(&mut is.brakes, self.brakes.as_ref());
        set(&mut is.prepared, self.prepared.as_ref());
        set(&mut is.no_device, self.no_device.as_ref());
        set(&mut is.is_to_roll_back, self.is_to_roll_back.as_ref());
        Ok(is)
    }
}

impl Timed for Stands {
    fn for_each_time(&mut self, each: &mut dyn FnMut(&mut Time)) {
        let Self { started_at, ended_at, brakes, waves, .. } = self;
        started_at.for_each_time(each);
        ended_at.for_each_time(each);
        for verdict in brakes.iter_mut().flatten() {
            each(&mut verdict.at);
        }
        for (_, wave) in waves {
            wave.for_each_time(each);
        }
    }
}
