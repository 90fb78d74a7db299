//! Where a rollout stands.

use std::{collections::BTreeSet, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Round, Spec};
use crate::{
    brake,
    gate::{
        Verdict,
        external::{Approval, Evidence},
        regression::Results,
    },
    time::Time,
};

/// Where a rollout stands, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Written down; its devices are not chosen.
    Draft,
    /// Its devices are being written down; nothing is sent.
    Preparing,
    /// Waits for its time.
    Scheduled,
    /// Devices are claimed as limits allow.
    Running,
    /// Nothing new is claimed, for the reasons kept beside it.
    Paused,
    /// Every device ended, and well enough.
    Completed,
    /// Every device ended, and not well enough.
    Failed,
    /// Nothing new is claimed; what is open may end.
    Canceling,
    /// Given up by the operator.
    Canceled,
    /// What is open is being stopped.
    Aborting,
    /// Given up, and what was open was stopped.
    Aborted,
}

impl State {
    /// Every state there is.
    pub const ALL: [Self; 11] = [
        Self::Draft,
        Self::Preparing,
        Self::Scheduled,
        Self::Running,
        Self::Paused,
        Self::Completed,
        Self::Failed,
        Self::Canceling,
        Self::Canceled,
        Self::Aborting,
        Self::Aborted,
    ];

    /// As stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Preparing => "preparing",
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Canceling => "canceling",
            Self::Canceled => "canceled",
            Self::Aborting => "aborting",
            Self::Aborted => "aborted",
        }
    }

    /// Reads what [`State::as_str`] wrote.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether nothing will ever happen again, except by a next round.
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Canceled | Self::Aborted)
    }

    /// Whether a driver has something to do for it, now or later.
    pub const fn is_driven(self) -> bool {
        !self.is_ended() && !matches!(self, Self::Draft)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why nothing new is claimed. Reasons stand side by side: one never clears another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// The operator wanted it.
    Operator,
    /// The gate of a wave said stop.
    Gate,
    /// More devices failed than `max_failures` allows.
    Brake,
    /// More devices failed than the baseline of the regression test explains.
    Regression,
    /// The artifact cannot be read.
    Artifact,
}

impl fmt::Display for PauseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Operator => "operator",
            Self::Gate => "gate",
            Self::Brake => "brake",
            Self::Regression => "regression test",
            Self::Artifact => "artifact",
        })
    }
}

/// Where a rollout stands, with all that a decision needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progression {
    /// The state.
    pub state: State,
    /// Why it is paused; empty unless it is.
    pub paused: BTreeSet<PauseReason>,
    /// Which round it is in, counted from 1.
    pub round: u32,
    /// Raised by operator's acts, changes of the spec, of waves and by gates, never by outcomes.
    pub generation: u64,
    /// When it began to run; none before.
    pub started_at: Option<Time>,
    /// When it ended; none before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// Failures that an operator has accepted by advancing over the brake.
    pub failures_accepted: u64,
    /// What came of devices before an operator advanced over the regression test.
    #[serde(default, skip_serializing_if = "Results::is_none")]
    pub results_accepted: Results,
    /// What the brake and the regression test did in this round, and operators over them, in order; at most
    /// [`VERDICTS_MAX`](crate::brake::VERDICTS_MAX).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub brakes: Vec<brake::Verdict>,
    /// What was chosen, as a digest, while its devices are being written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepared: Option<String>,
    /// Whether it failed because it has no device: none was chosen, and none may join.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_device: bool,
    /// Whether it is rolled back once nothing is open in it any more, because it went wrong.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_to_roll_back: bool,
    /// Its waves, in order; at least one.
    pub waves: Vec<Wave>,
    /// The rounds before this one, oldest first; at most [`ROUNDS_MAX`](super::ROUNDS_MAX).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Arc<Round>>,
}

/// Verdicts over a wave that are kept. A gate stops once and an operator overrides it once; only a
/// push that is given again and again has the same wave judged more often.
pub const VERDICTS_MAX: usize = 8;

/// Where a wave stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wave {
    /// The state.
    pub state: WaveState,
    /// What its gate said for good, and operators in its place, in order; at most
    /// [`VERDICTS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<Verdict>,
    /// That an operator approved what is behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<Approval>,
    /// What external gates said when it was ruled; at most
    /// [`GATES_MAX`](crate::gate::external::GATES_MAX).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
}

impl Wave {
    /// One whose turn has not come.
    pub const PENDING: Self =
        Self { state: WaveState::Pending, verdicts: vec![], approved: None, evidence: vec![] };

    /// What was ruled last.
    pub fn verdict(&self) -> Option<Verdict> {
        self.verdicts.last().copied()
    }

    /// Takes what was ruled down beside what was before; the oldest make room.
    pub fn rule(&mut self, state: WaveState, verdict: Verdict) {
        self.state = state;
        let more = (self.verdicts.len() + 1).saturating_sub(VERDICTS_MAX);
        self.verdicts.drain(..more);
        self.verdicts.push(verdict);
    }
}

/// Where a wave stands, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaveState {
    /// Its turn has not come.
    Pending,
    /// Its devices may be claimed.
    Open {
        /// Since when.
        since: Time,
    },
    /// It ended, and is watched for a while.
    Soaking {
        /// Since when.
        since: Time,
    },
    /// Its gate said go, or an operator did.
    Passed {
        /// When.
        at: Time,
    },
    /// Its gate said stop.
    Stopped {
        /// When.
        at: Time,
    },
}

impl WaveState {
    /// In one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Open { .. } => "open",
            Self::Soaking { .. } => "soaking",
            Self::Passed { .. } => "passed",
            Self::Stopped { .. } => "stopped",
        }
    }

    /// Whether its devices may be claimed: those that were away go on in the background later.
    pub const fn is_opened(self) -> bool {
        matches!(self, Self::Open { .. } | Self::Soaking { .. } | Self::Passed { .. })
    }
}

impl Progression {
    /// A rollout that was just written down.
    pub fn draft(spec: &Spec) -> Self {
        Self::blank(spec.wave_count())
    }

    /// The same, of so many waves.
    pub(crate) fn blank(waves: usize) -> Self {
        Self {
            state: State::Draft,
            paused: BTreeSet::new(),
            round: 1,
            generation: 0,
            started_at: None,
            ended_at: None,
            failures_accepted: 0,
            results_accepted: Results::default(),
            brakes: vec![],
            prepared: None,
            no_device: false,
            is_to_roll_back: false,
            waves: Self::pending(waves),
            earlier: vec![],
        }
    }

    /// So many waves whose turn has not come.
    pub fn pending(count: usize) -> Vec<Wave> {
        vec![Wave::PENDING; count]
    }

    /// Comes to a state that nothing is paused in.
    pub fn come_to(&mut self, state: State, now: Time) {
        self.state = state;
        self.paused.clear();
        self.ended_at = state.is_ended().then_some(now);
    }

    /// The first wave that has not passed; none if all have.
    pub fn current(&self) -> Option<usize> {
        self.waves.iter().position(|wave| !matches!(wave.state, WaveState::Passed { .. }))
    }

    /// The wave that opens next, counted from 0: the one that an approval, or an operator's advance,
    /// is about. None if the last one was opened.
    pub fn next_wave(&self) -> Option<usize> {
        self.waves.iter().position(|wave| wave.state == WaveState::Pending)
    }

    /// Until when devices are begun, as far as that is known.
    pub fn deadline(&self, spec: &Spec) -> Option<Time> {
        let started_at = self.started_at?;
        spec.deadline.map(|deadline| deadline.resolve(started_at))
    }
}
