//! External gates as far as operators have a say: one approves what is behind a wave, or goes over it.

use super::{Acted, Asked, Refusal};
use crate::{
    gate::external::{Approval, Besides, By, Gates},
    rollout::{PauseReason, Progression, Spec, State, WaveState},
};

/// Whether an advance would go over an approval that a gate asks for and nobody gave: whoever may not
/// approve may not do that either.
pub fn goes_over_approval(progression: &Progression, spec: &Spec) -> bool {
    let Progression { state, paused, .. } = progression;
    // These are what it goes over first, and alone.
    let is_braked =
        paused.contains(&PauseReason::Brake) || paused.contains(&PauseReason::Regression);
    if is_braked || !matches!(state, State::Running | State::Paused) {
        return false;
    }
    let Some(at) = progression.current() else { return false };
    let wave = &progression.waves[at];
    wave.state != WaveState::Pending
        && wave.approved.is_none()
        && spec.external(at).any(|(_, gate)| gate.by == By::Approval)
}

impl Asked<'_> {
    /// Nothing that was not asked for, and not before its time: who approves has seen the whole wave.
    pub(super) fn approve(&self) -> Result<Acted, Refusal> {
        let progression = self.progression;
        match progression.state {
            State::Running | State::Paused => {}
            State::Draft => return self.refuse("start it"),
            State::Preparing | State::Scheduled => return self.refuse("no wave is open yet"),
            _ => return self.refuse("no wave will open any more"),
        }
        let is_wanted = |wave| self.spec.external(wave).any(|(_, gate)| gate.by == By::Approval);
        let Some(wave) = progression.current() else {
            return self.refuse("all of its waves have passed");
        };
        if !(0..progression.waves.len()).any(is_wanted) {
            return self
                .refuse("none of its gates waits for an approval; advance overrides a gate");
        }
        match progression.waves[wave].state {
            WaveState::Pending if wave > 0 && progression.waves[wave - 1].approved.is_some() => {
                Ok(Acted::Already("it was approved before, and the next wave is about to open"))
            }
            _ if !is_wanted(wave) => self.refuse("its wave waits for no approval"),
            WaveState::Pending => self.refuse("no wave is open yet"),
            WaveState::Open { .. } => {
                self.refuse("its wave has not ended; approve what is behind it then")
            }
            WaveState::Soaking { since } if self.now < since + self.spec.gate(wave).0 => {
                self.refuse("the soak of its wave is not over; approve what is behind it then")
            }
            WaveState::Soaking { .. } if progression.waves[wave].approved.is_some() => {
                Ok(Acted::Already("it was approved before"))
            }
            WaveState::Soaking { .. } => self.change(|progression| {
                progression.waves[wave].approved =
                    Some(Approval { at: self.now, reason: self.reason.map(str::to_owned) });
            }),
            WaveState::Stopped { .. } | WaveState::Passed { .. } => {
                self.refuse("the gate of its wave stopped it; advance overrides the gate")
            }
        }
    }

    /// Which external gates an operator goes over by opening what is behind a wave. What checks have
    /// answered so far is not known here: a wave whose gates have all said go has passed.
    pub(super) fn unsaid(&self, wave: usize) -> Besides {
        let is_approved = self.progression.waves[wave].approved.is_some();
        let gates = self.spec.external(wave);
        let unsaid = gates.filter(|(_, gate)| gate.by != By::Approval || !is_approved);
        let places: Vec<usize> = unsaid.map(|(place, _)| place).collect();
        if places.is_empty() { Besides::Nothing } else { Besides::Unsaid(Gates::of(places)) }
    }
}
