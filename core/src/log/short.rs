//! What a log has the most of, in few words: lists whose places say what a name would.
//!
//! Only how it is written differs: what is read back is the same.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    assignment::{Fact, State},
    gate::{
        Ruling, Tally, Unreachable, Verdict,
        external::{Approval, Besides, Evidence},
    },
    outcome::{Answer, Outcome},
    plan::Change,
    rollout::{Wave, WaveState},
    time::Time,
    waiting::WaitingOn,
};

/// Where a fact leads as a rule, if there is one: a state is written down if it is another.
pub(super) const fn usual(fact: &Fact) -> Option<State> {
    match fact {
        Fact::Claimed => Some(State::Delivering),
        Fact::Delivered(Outcome::Accepted { .. }) => Some(State::Verifying),
        Fact::Asked(Answer::Version { .. }) => Some(State::Succeeded),
        _ => None,
    }
}

/// Succeeded, failed, unreachable, open, and all; and what is not mostly there.
#[derive(Serialize, Deserialize)]
struct ShortTally(
    u64,
    u64,
    u64,
    u64,
    u64,
    #[serde(default, skip_serializing_if = "Seldom::is_usual")] Seldom,
);

/// What is made of devices unreachable, and how many of those that failed had regressed.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum Seldom {
    Rule(Unreachable),
    Regressed(Unreachable, u64),
}

impl Seldom {
    const fn is_usual(&self) -> bool {
        matches!(self, Self::Rule(Unreachable::Ignore))
    }
}

impl Default for Seldom {
    fn default() -> Self {
        Self::Rule(Unreachable::Ignore)
    }
}

impl From<Tally> for ShortTally {
    fn from(Tally { succeeded, failed, regressed, unreachable, rule, open, of }: Tally) -> Self {
        let seldom = match regressed {
            0 => Seldom::Rule(rule),
            regressed => Seldom::Regressed(rule, regressed),
        };
        Self(succeeded, failed, unreachable, open, of, seldom)
    }
}

impl From<ShortTally> for Tally {
    fn from(ShortTally(succeeded, failed, unreachable, open, of, seldom): ShortTally) -> Self {
        let (rule, regressed) = match seldom {
            Seldom::Rule(rule) => (rule, 0),
            Seldom::Regressed(rule, regressed) => (rule, regressed),
        };
        Self { succeeded, failed, regressed, unreachable, rule, open, of }
    }
}

/// When, what, on which numbers, and what was asked for; and what external gates said, if any did.
#[derive(Serialize, Deserialize)]
struct ShortVerdict(
    Time,
    Ruling,
    ShortTally,
    Option<u8>,
    #[serde(default, skip_serializing_if = "Besides::is_nothing")] Besides,
);

impl From<Verdict> for ShortVerdict {
    fn from(Verdict { at, ruling, tally, min_success, besides }: Verdict) -> Self {
        Self(at, ruling, tally.into(), min_success, besides)
    }
}

impl From<ShortVerdict> for Verdict {
    fn from(ShortVerdict(at, ruling, tally, min_success, besides): ShortVerdict) -> Self {
        Self { at, ruling, tally: tally.into(), min_success, besides }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ShortWaveState {
    Pending,
    Open(Time),
    Soaking(Time),
    Passed(Time),
    Stopped(Time),
}

/// What external gates said, and whether it was approved.
#[derive(Serialize, Deserialize)]
struct ShortSaid {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    approved: Option<Approval>,
    #[serde(rename = "said", default, skip_serializing_if = "Vec::is_empty")]
    evidence: Vec<Evidence>,
}

/// Place, state and verdicts; and what external gates said, if any did.
#[derive(Serialize, Deserialize)]
struct ShortWave(
    usize,
    ShortWaveState,
    Vec<ShortVerdict>,
    #[serde(default, skip_serializing_if = "Option::is_none")] Option<ShortSaid>,
);

impl From<&(usize, Wave)> for ShortWave {
    fn from((place, wave): &(usize, Wave)) -> Self {
        let Wave { state, verdicts, approved, evidence } = wave;
        let state = match *state {
            WaveState::Pending => ShortWaveState::Pending,
            WaveState::Open { since } => ShortWaveState::Open(since),
            WaveState::Soaking { since } => ShortWaveState::Soaking(since),
            WaveState::Passed { at } => ShortWaveState::Passed(at),
            WaveState::Stopped { at } => ShortWaveState::Stopped(at),
        };
        let verdicts = verdicts.iter().copied().map(ShortVerdict::from).collect();
        let said = ShortSaid { approved: approved.clone(), evidence: evidence.clone() };
        let is_said = said.approved.is_some() || !said.evidence.is_empty();
        Self(*place, state, verdicts, is_said.then_some(said))
    }
}

impl From<ShortWave> for (usize, Wave) {
    fn from(ShortWave(place, state, verdicts, said): ShortWave) -> Self {
        let state = match state {
            ShortWaveState::Pending => WaveState::Pending,
            ShortWaveState::Open(since) => WaveState::Open { since },
            ShortWaveState::Soaking(since) => WaveState::Soaking { since },
            ShortWaveState::Passed(at) => WaveState::Passed { at },
            ShortWaveState::Stopped(at) => WaveState::Stopped { at },
        };
        let verdicts = verdicts.into_iter().map(Verdict::from).collect();
        let (approved, evidence) = said.map_or((None, vec![]), |s| (s.approved, s.evidence));
        (place, Wave { state, verdicts, approved, evidence })
    }
}

/// A change with the verdict of a gate in it; others are what they are.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ShortChange {
    Rule(usize, ShortVerdict),
    #[serde(untagged)]
    Other(Change),
}

impl From<Change> for ShortChange {
    fn from(change: Change) -> Self {
        match change {
            Change::Rule(wave, verdict) => Self::Rule(wave, verdict.into()),
            other => Self::Other(other),
        }
    }
}

impl From<ShortChange> for Change {
    fn from(short: ShortChange) -> Self {
        match short {
            ShortChange::Rule(wave, verdict) => Self::Rule(wave, verdict.into()),
            ShortChange::Other(other) => other,
        }
    }
}

/// What every wave waits for once; other reasons are what they are.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ShortWait {
    /// The wave, how many there are, until when, what is asked for, and the numbers.
    Soak(usize, usize, Time, Option<u8>, ShortTally),
    /// The wave, how many there are, devices that ended, all, and what is asked for.
    Wave(usize, usize, u64, u64, Option<u8>),
    #[serde(untagged)]
    Other(WaitingOn),
}

impl From<&WaitingOn> for ShortWait {
    fn from(reason: &WaitingOn) -> Self {
        match reason.clone() {
            WaitingOn::Soak { wave, of, until, min_success, tally } => {
                Self::Soak(wave, of, until, min_success, tally.into())
            }
            WaitingOn::Wave { wave, of, ended, devices, min_success } => {
                Self::Wave(wave, of, ended, devices, min_success)
            }
            other => Self::Other(other),
        }
    }
}

impl From<ShortWait> for WaitingOn {
    fn from(short: ShortWait) -> Self {
        match short {
            ShortWait::Soak(wave, of, until, min_success, tally) => {
                Self::Soak { wave, of, until, min_success, tally: tally.into() }
            }
            ShortWait::Wave(wave, of, ended, devices, min_success) => {
                Self::Wave { wave, of, ended, devices, min_success }
            }
            ShortWait::Other(other) => other,
        }
    }
}

pub(super) mod waves {
    use super::{Deserialize as _, Deserializer, Serializer, ShortWave, Wave};

    pub(crate) fn serialize<S: Serializer>(
        waves: &[(usize, Wave)],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(waves.iter().map(ShortWave::from))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<(usize, Wave)>, D::Error> {
        Ok(Vec::<ShortWave>::deserialize(from)?.into_iter().map(Into::into).collect())
    }
}

pub(super) mod change {
    use super::{Change, Deserialize as _, Deserializer, Serialize as _, Serializer, ShortChange};

    #[expect(clippy::ref_option, reason = "the signature serde asks for")]
    pub(crate) fn serialize<S: Serializer>(
        change: &Option<Change>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        change.map(ShortChange::from).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Change>, D::Error> {
        Ok(Option::<ShortChange>::deserialize(from)?.map(Change::from))
    }
}

pub(super) mod waits {
    use super::{Deserialize as _, Deserializer, Serializer, ShortWait, WaitingOn};

    #[expect(clippy::ref_option, reason = "the signature serde asks for")]
    pub(crate) fn serialize<S: Serializer>(
        waiting_on: &Option<Vec<WaitingOn>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(waiting_on.iter().flatten().map(ShortWait::from))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Vec<WaitingOn>>, D::Error> {
        Ok(Some(Vec::<ShortWait>::deserialize(from)?.into_iter().map(WaitingOn::from).collect()))
    }
}
