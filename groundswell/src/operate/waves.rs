//! The waves of a rollout as they stand, and those of its earlier rounds as they stood.

use groundswell_core::{
    brake,
    gate::{
        Verdict,
        external::{Approval, Besides, Evidence, External},
    },
    rollout::{self, Round, WaveStand, WaveState},
    snapshot::Counts,
    time::Time,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schema::{CountsSchema, RolloutStateSchema};

/// A round that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoundView {
    /// Counted from 1.
    pub number: u32,
    /// How it ended.
    #[schema(value_type = RolloutStateSchema)]
    pub state: rollout::State,
    /// When it began to run.
    #[schema(value_type = Option<i64>)]
    pub started_at: Option<Time>,
    /// When it ended.
    #[schema(value_type = Option<i64>)]
    pub ended_at: Option<Time>,
    /// Its devices, counted.
    #[schema(value_type = CountsSchema)]
    pub counts: Counts,
    /// Its waves, in order.
    pub waves: Vec<RoundWave>,
    /// What the brake did in it, and operators over it, in order.
    #[schema(value_type = Vec<Object>)]
    pub brakes: Vec<brake::Verdict>,
}

/// A wave of a round that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoundWave {
    /// Counted from 1.
    pub number: usize,
    /// Where it stood then.
    #[serde(flatten)]
    pub state: Stand,
    /// What its gate ruled, and operators in its place, in order.
    #[schema(value_type = Vec<Object>)]
    pub verdicts: Vec<Verdict>,
}

impl From<&Round> for RoundView {
    fn from(round: &Round) -> Self {
        let Round { number, state, started_at, ended_at, counts, waves, brakes } = round;
        let waves = waves.iter().enumerate().map(|(wave, stands)| RoundWave {
            number: wave + 1,
            state: Stand::of(stands.state, *state, *ended_at),
            verdicts: stands.verdicts.clone(),
        });
        Self {
            number: *number,
            state: *state,
            started_at: *started_at,
            ended_at: *ended_at,
            counts: *counts,
            waves: waves.collect(),
            brakes: brakes.clone(),
        }
    }
}

/// A wave as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaveView {
    /// Counted from 1.
    pub number: usize,
    /// Where it stands.
    #[serde(flatten)]
    pub state: Stand,
    /// What its gate ruled, and operators in its place, in order.
    #[schema(value_type = Vec<Object>)]
    pub verdicts: Vec<Verdict>,
    /// When an operator approved what is behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub approved_at: Option<Time>,
    /// Why, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_because: Option<String>,
    /// What external gates said when it was ruled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub said: Vec<Said>,
    /// External gates that an operator went over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<PassedOver>,
    /// Its devices, counted.
    #[schema(value_type = CountsSchema)]
    pub counts: Counts,
}

/// An external gate that had not said go, as far as is known, when an operator went over it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PassedOver {
    /// Which one, by its place in the spec, counted from 1.
    pub gate: usize,
    /// What it asks.
    pub asks: String,
}

impl PassedOver {
    /// Those of a wave that was ruled last so.
    pub(super) fn of(verdict: Option<Verdict>, gates: &[External]) -> Vec<Self> {
        let Some(Besides::Unsaid(unsaid)) = verdict.map(|verdict| verdict.besides) else {
            return vec![];
        };
        let asks = |place: usize| gates.get(place).map(ToString::to_string).unwrap_or_default();
        unsaid.places().map(|place| Self { gate: place + 1, asks: asks(place) }).collect()
    }
}

/// What an external gate said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Said {
    /// Which one, by its place in the spec, counted from 1.
    pub gate: usize,
    /// What it asks.
    pub asks: String,
    /// What was answered, in words.
    pub answer: String,
    /// When.
    #[schema(value_type = i64)]
    pub at: Time,
}

impl Said {
    /// What is kept of it, with what the gate asks.
    pub(super) fn of(evidence: &Evidence, gates: &[External], approved: Option<&Approval>) -> Self {
        let answer = evidence.answer.as_ref();
        let reason = approved.and_then(|approval| approval.reason.as_ref());
        let because = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        Self {
            gate: evidence.gate + 1,
            asks: gates.get(evidence.gate).map(ToString::to_string).unwrap_or_default(),
            answer: answer.map_or_else(|| format!("approved{because}"), ToString::to_string),
            at: evidence.at,
        }
    }
}

/// The state of a wave, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stand {
    /// In a word or two.
    #[schema(value_type = String)]
    pub state: WaveStand,
    /// Since when; none if its turn has not come.
    #[schema(value_type = Option<i64>)]
    pub since: Option<Time>,
}

impl Stand {
    /// Of a wave in a rollout that is in a state, and ended then if it did.
    pub(super) fn of(wave: WaveState, rollout: rollout::State, ended_at: Option<Time>) -> Self {
        let state = WaveStand::of(wave, rollout);
        let since = match wave {
            WaveState::Pending => None,
            WaveState::Open { since } | WaveState::Soaking { since } => {
                Some(ended_at.unwrap_or(since))
            }
            WaveState::Passed { at } | WaveState::Stopped { at } => Some(at),
        };
        Self { state, since }
    }
}
