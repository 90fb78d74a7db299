//! Which world is run: a seed, and what of it is left out to see a failure more clearly.

use std::{fmt, str::FromStr};

use super::rhythm::Rhythm;

/// Steps after which a world is left as it is.
pub(crate) const STEPS_MAX: u64 = 60_000;

/// A kind of things that go wrong, which can be left out of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The driver dies between two commands, and by the clock.
    Crash,
    /// The driver dies in the middle of what the store does for it.
    Job,
    /// The power is cut while the store writes.
    Torn,
    /// The disk is full.
    Disk,
    /// The driver stands still, and wakes up when another one may have taken over.
    Stale,
    /// Outcomes come lost, late and twice.
    Outcome,
    /// The driver's clock is set.
    Clock,
    /// The driver is told to stop.
    Stop,
    /// The store takes its time.
    Slow,
    /// Artifacts cannot be read.
    Artifact,
    /// Opening an artifact and choosing devices take their time.
    Opening,
}

impl Kind {
    pub(crate) const ALL: [Self; 11] = [
        Self::Crash,
        Self::Job,
        Self::Torn,
        Self::Disk,
        Self::Stale,
        Self::Outcome,
        Self::Clock,
        Self::Stop,
        Self::Slow,
        Self::Artifact,
        Self::Opening,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Job => "job",
            Self::Torn => "torn",
            Self::Disk => "disk",
            Self::Stale => "stale",
            Self::Outcome => "outcome",
            Self::Clock => "clock",
            Self::Stop => "stop",
            Self::Slow => "slow",
            Self::Artifact => "artifact",
            Self::Opening => "opening",
        }
    }
}

/// A world to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    /// It is left as it is after so many steps.
    pub(crate) steps_max: u64,
    /// No more devices than these, later ones included; none for as many as are drawn.
    pub(crate) devices_max: Option<u64>,
    /// No more rollouts than these.
    pub(crate) rollouts_max: Option<u64>,
    /// No more acts of operators than these.
    pub(crate) acts_max: Option<u64>,
    /// What may go wrong, if the world's draw has it.
    pub(crate) faults: Vec<Kind>,
    /// Fails by itself once so many devices were updated behind a restart: to see that a failure
    /// is noticed, shrunk and played again.
    pub(crate) plant: Option<u64>,
}

impl Scenario {
    pub(crate) fn of(seed: u64) -> Self {
        Self {
            seed,
            steps_max: STEPS_MAX,
            devices_max: None,
            rollouts_max: None,
            acts_max: None,
            faults: Kind::ALL.to_vec(),
            plant: None,
        }
    }

    /// How large it is, and in which rhythm it goes.
    pub(crate) fn rhythm(&self) -> Rhythm {
        let mut rhythm = Rhythm::of(self.seed);
        rhythm.devices = rhythm.devices.min(self.devices_max.unwrap_or(u64::MAX));
        rhythm.rollouts = rhythm.rollouts.min(self.rollouts_max.unwrap_or(u64::MAX));
        rhythm
    }

    pub(crate) fn has(&self, kind: Kind) -> bool {
        self.faults.contains(&kind)
    }

    /// What is asked for by names and values, as [`fmt::Display`] writes them; none without a seed.
    pub(crate) fn asked(value_of: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let number = |name: &str| match value_of(name) {
            Some(text) if !text.is_empty() => {
                text.parse().map(Some).map_err(|_| format!("{name}={text} is no number"))
            }
            _ => Ok(None),
        };
        let Some(seed) = number("SEED")? else { return Ok(None) };
        let mut asked = Self::of(seed);
        asked.steps_max = number("STEPS")?.unwrap_or(asked.steps_max);
        asked.devices_max = number("DEVICES")?;
        asked.rollouts_max = number("ROLLOUTS")?;
        asked.acts_max = number("ACTS")?;
        asked.plant = number("PLANT")?;
        if let Some(text) = value_of("FAULTS").filter(|text| !text.is_empty()) {
            let names = text.split(',').filter(|name| *name != "none");
            asked.faults = names.map(str::parse).collect::<Result<_, _>>()?;
        }
        Ok(Some(asked))
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| format!("{name} is none of the faults"))
    }
}

impl fmt::Display for Scenario {
    /// As `make sim` is asked for it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SEED={}", self.seed)?;
        let limits = [
            ("DEVICES", self.devices_max),
            ("ROLLOUTS", self.rollouts_max),
            ("ACTS", self.acts_max),
            ("PLANT", self.plant),
            ("STEPS", Some(self.steps_max).filter(|steps| *steps != STEPS_MAX)),
        ];
        for (name, limit) in limits {
            if let Some(limit) = limit {
                write!(f, " {name}={limit}")?;
            }
        }
        if self.faults != Kind::ALL {
            let names: Vec<_> = self.faults.iter().map(|kind| kind.name()).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(",") };
            write!(f, " FAULTS={names}")?;
        }
        Ok(())
    }
}

#[test]
fn a_scenario_is_asked_for_as_it_is_told() {
    let read = |text: &str| {
        let value_of = |name: &str| {
            let values = text.split(' ').filter_map(|word| word.split_once('='));
            values.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).next()
        };
        Scenario::asked(value_of)
    };
    let all = Scenario::of(17);
    assert_eq!(all.to_string(), "SEED=17");
    let faults = vec![Kind::Crash, Kind::Torn];
    let few = Scenario { devices_max: Some(3), faults, steps_max: 812, ..all.clone() };
    assert_eq!(few.to_string(), "SEED=17 DEVICES=3 STEPS=812 FAULTS=crash,torn");
    let least = Scenario {
        rollouts_max: Some(1),
        acts_max: Some(0),
        plant: Some(9),
        faults: vec![],
        ..few.clone()
    };
    for scenario in [all, few, least] {
        assert_eq!(read(&scenario.to_string()).unwrap().unwrap(), scenario);
    }
    assert_eq!(read("STEPS=3 DEVICES=").unwrap(), None);
    assert_eq!(read("SEED=3 DEVICES=x").unwrap_err(), "DEVICES=x is no number");
    assert_eq!(read("SEED=3 FAULTS=rain").unwrap_err(), "rain is none of the faults");
}
