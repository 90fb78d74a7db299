//! Where a wave stands for whoever reads of it: what became of its rollout counts, too.
//!
//! A rollout that ends leaves its waves as they were, so that what was decided stays what it was.
//! A wave of it that never opened is pending no more, and one that was open soaks no more.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{State, WaveState};

/// Where a wave stands, in a word or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaveStand {
    /// Its turn has not come.
    Pending,
    /// Its devices may be claimed.
    Open,
    /// It ended, and is watched for a while.
    Soaking,
    /// Its gate said go, or an operator did.
    Passed,
    /// Its gate said stop.
    Stopped,
    /// Its turn never came, and will not come any more.
    NotOpened,
    /// The rollout was canceled before its gate ruled.
    EndedByCancel,
    /// The rollout was aborted before its gate ruled.
    EndedByAbort,
    /// The rollout ended before its gate ruled: there was nothing to judge by, or no time.
    NotJudged,
}

impl WaveStand {
    /// Where a wave stands whose rollout is in a state.
    pub const fn of(wave: WaveState, rollout: State) -> Self {
        let will_open =
            rollout.is_driven() && !matches!(rollout, State::Canceling | State::Aborting);
        match (wave, rollout) {
            (WaveState::Passed { .. }, _) => Self::Passed,
            (WaveState::Stopped { .. }, _) => Self::Stopped,
            (WaveState::Pending, State::Draft) => Self::Pending,
            (WaveState::Pending, _) if will_open => Self::Pending,
            (WaveState::Pending, _) => Self::NotOpened,
            (_, State::Canceled) => Self::EndedByCancel,
            (_, State::Aborted) => Self::EndedByAbort,
            (_, State::Completed | State::Failed) => Self::NotJudged,
            (WaveState::Open { .. }, _) => Self::Open,
            (WaveState::Soaking { .. }, _) => Self::Soaking,
        }
    }

    /// As shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Open => "open",
            Self::Soaking => "soaking",
            Self::Passed => "passed",
            Self::Stopped => "stopped",
            Self::NotOpened => "not opened",
            Self::EndedByCancel => "ended by cancel",
            Self::EndedByAbort => "ended by abort",
            Self::NotJudged => "not judged",
        }
    }
}

impl fmt::Display for WaveStand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Time;

    #[test]
    fn every_wave_of_every_rollout_stands_somewhere() {
        let since = Time::ZERO;
        let waves = [
            WaveState::Pending,
            WaveState::Open { since },
            WaveState::Soaking { since },
            WaveState::Passed { at: since },
            WaveState::Stopped { at: since },
        ];
        let table: Vec<String> = State::ALL
            .into_iter()
            .map(|state| {
                let stands = waves.map(|wave| WaveStand::of(wave, state).as_str());
                format!("{state}: {}", stands.join(", "))
            })
            .collect();
        insta::assert_snapshot!(table.join("\n"), @"
        draft: pending, open, soaking, passed, stopped
        preparing: pending, open, soaking, passed, stopped
        scheduled: pending, open, soaking, passed, stopped
        running: pending, open, soaking, passed, stopped
        paused: pending, open, soaking, passed, stopped
        completed: not opened, not judged, not judged, passed, stopped
        failed: not opened, not judged, not judged, passed, stopped
        canceling: not opened, open, soaking, passed, stopped
        canceled: not opened, ended by cancel, ended by cancel, passed, stopped
        aborting: not opened, open, soaking, passed, stopped
        aborted: not opened, ended by abort, ended by abort, passed, stopped
        ");
    }
}
