//! What an operator does to a rollout.
//!
//! Every act is idempotent: done again it says that it was done. One that makes no sense is
//! refused with the reason and what would.

mod approve;
mod wish;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::approve::goes_over_approval;
pub use self::wish::{MOVED_ON, REASON_CHARS_MAX, Wish, act_seen};
use super::{Never, PauseReason, Progression, Spec, State, WaveState};
use crate::{
    brake,
    gate::{Ruling, Verdict, regression::Results},
    snapshot::Counts,
    time::Time,
};

/// One of the operator's verbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Choose the devices, and begin when its time has come.
    Start,
    /// Claim nothing new.
    Pause,
    /// Go on after a pause.
    Resume,
    /// Open the next wave, or go on over the brake, whatever the gate says. It is recorded.
    Advance,
    /// Let the next wave open, as far as an approval is asked for and all else says go.
    Approve,
    /// Try the devices that failed again, in the next round.
    Retry,
    /// Begin nothing new, for good; what is open may end.
    Cancel,
    /// As cancel, and stop what is open; of one that is about to be rolled back, leave it at that.
    Abort,
}

impl Act {
    /// Every act there is.
    pub const ALL: [Self; 8] = [
        Self::Start,
        Self::Pause,
        Self::Resume,
        Self::Advance,
        Self::Approve,
        Self::Retry,
        Self::Cancel,
        Self::Abort,
    ];

    /// As typed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Advance => "advance",
            Self::Approve => "approve",
            Self::Retry => "retry",
            Self::Cancel => "cancel",
            Self::Abort => "abort",
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What came of an act that was not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acted {
    /// The rollout stands there from now on.
    Changed(Box<Progression>),
    /// It had been done; nothing changed.
    Already(&'static str),
}

/// Why an act makes no sense now, and what would.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot {act} {}: {why}", a_rollout(*.state))]
pub struct Refusal {
    /// Where it stands.
    pub state: State,
    /// What was asked for.
    pub act: Act,
    /// The reason, and a way out.
    pub why: &'static str,
}

fn a_rollout(state: State) -> String {
    let article = if state.as_str().starts_with('a') { "an" } else { "a" };
    format!("{article} {state} rollout")
}

/// The devices that an act judges by, counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbers {
    /// All of the round.
    pub all: Counts,
    /// Those of the wave that has not passed.
    pub current: Counts,
}

impl Numbers {
    /// Adds up the devices of a round, given with the waves that they are in.
    pub fn of(
        progression: &Progression,
        counted: impl IntoIterator<Item = (usize, Counts)>,
    ) -> Self {
        let current = progression.current();
        let mut numbers = Self::default();
        for (wave, counts) in counted {
            numbers.all += counts;
            if Some(wave) == current {
                numbers.current += counts;
            }
        }
        numbers
    }
}

/// Says where a rollout stands after an act.
///
/// # Errors
/// [`Refusal`] if the act makes no sense in its state.
pub fn act(
    progression: &Progression,
    spec: &Spec,
    numbers: &Numbers,
    act: Act,
    now: Time,
) -> Result<Acted, Refusal> {
    act_wished(progression, spec, numbers, act.into(), now)
}

/// The same with what was said with it; whoever has seen what is not looked at.
///
/// # Errors
/// As [`act`].
pub fn act_wished(
    progression: &Progression,
    spec: &Spec,
    numbers: &Numbers,
    wish: Wish<'_>,
    now: Time,
) -> Result<Acted, Refusal> {
    let Wish { act, reason, .. } = wish;
    let asked = Asked { progression, spec, numbers, act, reason, now };
    match act {
        Act::Start => asked.start(),
        Act::Pause => asked.pause(),
        Act::Resume => asked.resume(),
        Act::Advance => asked.advance(),
        Act::Approve => asked.approve(),
        Act::Retry => asked.retry(),
        Act::Cancel => asked.cancel(),
        Act::Abort => asked.abort(),
    }
}

/// Takes a rollout up again by a changed spec: what made it stop is judged anew, whatever it was.
/// The gate of the wave that has not passed is waived on request, as by [`Act::Advance`], if another
/// wave follows. A refusal is that of [`Act::Resume`].
///
/// # Errors
/// [`Refusal`] if it is a draft, was given up, or has ended.
pub fn judge_anew(
    progression: &Progression,
    spec: &Spec,
    numbers: &Numbers,
    waives_gate: bool,
    now: Time,
) -> Result<Acted, Refusal> {
    let asked = Asked { progression, spec, numbers, act: Act::Resume, reason: None, now };
    match progression.state {
        State::Preparing | State::Scheduled | State::Running | State::Paused => {
            asked.change(|progression| asked.reopen(progression, waives_gate))
        }
        _ => asked.resume(),
    }
}

struct Asked<'a> {
    progression: &'a Progression,
    spec: &'a Spec,
    numbers: &'a Numbers,
    act: Act,
    reason: Option<&'a str>,
    now: Time,
}

impl Asked<'_> {
    fn refuse(&self, why: &'static str) -> Result<Acted, Refusal> {
        Err(Refusal { state: self.progression.state, act: self.act, why })
    }

    /// Why none of its devices could ever be sent to, if it began now.
    fn never(&self) -> Option<&'static str> {
        self.spec.times().never_if_started(self.now).map(|never| match never {
            Never::Passed => TOO_LATE,
            Never::NoWindow => "none of its windows opens before its deadline; create another one",
            Never::Frozen => "its freezes hold until its deadline; create another one",
            Never::FrozenWindows => {
                "none of its windows opens outside of its freezes before its deadline; create \
                 another one"
            }
        })
    }

    #[expect(clippy::unnecessary_wraps, reason = "it stands where a refusal could")]
    fn change(&self, change: impl FnOnce(&mut Progression)) -> Result<Acted, Refusal> {
        let mut progression = self.progression.clone();
        change(&mut progression);
        progression.generation += 1;
        Ok(Acted::Changed(Box::new(progression)))
    }

    fn to(&self, state: State) -> Result<Acted, Refusal> {
        self.change(|progression| progression.come_to(state, self.now))
    }

    fn start(&self) -> Result<Acted, Refusal> {
        match self.progression.state {
            State::Draft => match self.never() {
                Some(why) => self.refuse(why),
                None => self.to(State::Preparing),
            },
            State::Preparing | State::Scheduled | State::Running => {
                Ok(Acted::Already("it was started before"))
            }
            State::Paused => self.refuse("resume it"),
            State::Canceling | State::Aborting => self.refuse("create another one"),
            _ => self.refuse("retry tries what failed again; for all else create another one"),
        }
    }

    fn pause(&self) -> Result<Acted, Refusal> {
        let paused = &self.progression.paused;
        match self.progression.state {
            _ if paused.contains(&PauseReason::Operator) => {
                Ok(Acted::Already("it was paused before"))
            }
            State::Preparing | State::Scheduled | State::Running | State::Paused => {
                self.change(|progression| {
                    progression.paused.insert(PauseReason::Operator);
                    // What is being prepared is paused once it is.
                    if progression.state != State::Preparing {
                        progression.state = State::Paused;
                    }
                })
            }
            State::Draft => self.refuse("nothing happens before it is started"),
            State::Canceling => self.refuse("nothing new is begun; abort stops what is open"),
            _ => self.refuse("nothing is begun any more"),
        }
    }

    fn resume(&self) -> Result<Acted, Refusal> {
        let paused = &self.progression.paused;
        match self.progression.state {
            State::Preparing | State::Paused
                if paused.contains(&PauseReason::Operator)
                    || paused.contains(&PauseReason::Artifact) =>
            {
                self.change(|progression| {
                    progression.paused.remove(&PauseReason::Operator);
                    progression.paused.remove(&PauseReason::Artifact);
                    unpause(progression);
                })
            }
            State::Paused if paused.contains(&PauseReason::Gate) => {
                self.refuse("the gate of its wave stopped it; advance overrides the gate")
            }
            State::Paused if paused.contains(&PauseReason::Regression) => self.refuse(
                "the regression test stopped it; advance accepts what came of devices so far",
            ),
            State::Paused => self.refuse("the brake stopped it; advance accepts these failures"),
            State::Preparing | State::Scheduled | State::Running => {
                Ok(Acted::Already("it is not paused"))
            }
            State::Draft => self.refuse("start it"),
            State::Canceling | State::Aborting => self.refuse("it was given up"),
            _ => self.refuse("retry tries what failed again"),
        }
    }

    fn advance(&self) -> Result<Acted, Refusal> {
        let progression = self.progression;
        match progression.state {
            State::Running | State::Paused => {}
            State::Draft => return self.refuse("start it"),
            State::Preparing => return self.refuse("no wave is open yet"),
            State::Scheduled => return self.refuse("its time has not come; no wave is open yet"),
            _ => return self.refuse("no wave will open any more"),
        }
        if progression.paused.contains(&PauseReason::Brake) {
            return self.change(|progression| {
                progression.paused.remove(&PauseReason::Brake);
                let counts = &self.numbers.all;
                if let Some(brake) = self.spec.brake {
                    let numbers = brake.look(counts, progression.failures_accepted);
                    let evidence = brake::Evidence::Failures(numbers);
                    let ruling = brake::Ruling::Accept;
                    let verdict = brake::Verdict { at: self.now, ruling, evidence };
                    verdict.keep(&mut progression.brakes);
                }
                progression.failures_accepted = counts.harmed();
                unpause(progression);
            });
        }
        if progression.paused.contains(&PauseReason::Regression) {
            return self.change(|progression| self.accept_results(progression));
        }
        let Some(wave) = progression.current() else {
            return self.refuse("all of its waves have passed");
        };
        let is_last = wave + 1 == progression.waves.len();
        match progression.waves[wave].state {
            WaveState::Open { .. } if is_last => self.refuse("its last wave is open"),
            WaveState::Pending if wave > 0 && is_overridden(progression, wave - 1) => {
                Ok(Acted::Already("it was advanced before, and the next wave is about to open"))
            }
            WaveState::Pending => self.refuse("no wave is open yet"),
            _ => self.change(|progression| self.pass(progression, wave)),
        }
    }

    /// The regression test begins anew with who answers from now on.
    fn accept_results(&self, progression: &mut Progression) {
        progression.paused.remove(&PauseReason::Regression);
        let counts = &self.numbers.all;
        let tally = self.spec.tally(counts);
        if let Some(asked) = &self.spec.regression {
            let results = Results::of(&tally, counts, &progression.results_accepted);
            let evidence = brake::Evidence::Regression(*asked.prepare().judge(results).evidence());
            let (at, ruling) = (self.now, brake::Ruling::Accept);
            brake::Verdict { at, ruling, evidence }.keep(&mut progression.brakes);
        }
        let succeeded = counts.succeeded.saturating_sub(tally.regressed);
        let failed = tally.failures();
        progression.results_accepted = Results { succeeded, failed, under_way: 0 };
        unpause(progression);
    }

    fn pass(&self, progression: &mut Progression, wave: usize) {
        let at = self.now;
        let verdict = Verdict {
            at,
            ruling: Ruling::Override,
            tally: self.spec.tally(&self.numbers.current),
            min_success: self.spec.gate(wave).1,
            besides: self.unsaid(wave),
        };
        if bites!(AdvanceUnrecorded) {
            progression.waves[wave].state = WaveState::Passed { at };
        } else {
            progression.waves[wave].rule(WaveState::Passed { at }, verdict);
        }
        progression.paused.remove(&PauseReason::Gate);
        unpause(progression);
    }

    fn reopen(&self, progression: &mut Progression, waives_gate: bool) {
        progression.paused.clear();
        unpause(progression);
        for wave in &mut progression.waves {
            if let WaveState::Stopped { at } = wave.state {
                wave.state = WaveState::Open { since: at };
                wave.approved = None;
            }
        }
        if let Some(wave) = progression.current()
            && waives_gate
            && wave + 1 < progression.waves.len()
        {
            self.pass(progression, wave);
        }
    }

    fn retry(&self) -> Result<Acted, Refusal> {
        let counts = &self.numbers.all;
        match self.progression.state {
            State::Completed | State::Failed | State::Canceled | State::Aborted => {
                if counts.harmed() + counts.canceled == 0 {
                    return self.refuse("no device failed");
                }
                if let Some(why) = self.never() {
                    return self.refuse(why);
                }
                self.change(|progression| {
                    let waves = Progression::pending(self.spec.wave_count());
                    progression.begin_round(*counts, waves);
                })
            }
            State::Draft => self.refuse("start it"),
            State::Preparing if self.progression.round > 1 => {
                Ok(Acted::Already("its next round is being prepared"))
            }
            State::Canceling | State::Aborting => self.refuse("wait until it has ended"),
            _ => self.refuse("what failed can be tried again once it has ended; cancel ends it"),
        }
    }

    fn cancel(&self) -> Result<Acted, Refusal> {
        match self.progression.state {
            State::Draft => self.to(State::Canceled),
            State::Preparing | State::Scheduled | State::Running | State::Paused => {
                self.to(State::Canceling)
            }
            State::Canceling | State::Canceled => Ok(Acted::Already("it was canceled before")),
            State::Aborting | State::Aborted => Ok(Acted::Already("it was aborted before")),
            State::Completed | State::Failed => self.refuse("it has ended"),
        }
    }

    fn abort(&self) -> Result<Acted, Refusal> {
        match self.progression.state {
            State::Draft => self.to(State::Aborted),
            State::Preparing
            | State::Scheduled
            | State::Running
            | State::Paused
            | State::Canceling => self.to(State::Aborting),
            // It went wrong by itself: an operator may leave devices with what they have.
            State::Aborting if self.progression.is_to_roll_back => {
                self.change(|progression| progression.is_to_roll_back = false)
            }
            State::Aborting | State::Aborted => Ok(Acted::Already("it was aborted before")),
            State::Canceled => self.refuse("it was canceled, and nothing is open"),
            State::Completed | State::Failed => self.refuse("it has ended"),
        }
    }
}

/// Why a rollout whose deadline is a time that has passed is not begun.
const TOO_LATE: &str = "its deadline has passed; create another one";

fn is_overridden(progression: &Progression, wave: usize) -> bool {
    let verdict = progression.waves[wave].verdict();
    verdict.is_some_and(|verdict| verdict.ruling == Ruling::Override)
}

/// Where a rollout goes on that nothing pauses any more.
fn unpause(progression: &mut Progression) {
    if progression.state == State::Paused && progression.paused.is_empty() {
        progression.state = going_on(progression);
    }
}

/// Where a rollout stands whose artifact cannot be sent; `None` if nothing is to be sent anyway.
pub fn unsendable(progression: &Progression) -> Option<Progression> {
    let (is_going_on, state) = match progression.state {
        State::Scheduled | State::Running | State::Paused => (true, State::Paused),
        state => (false, state),
    };
    is_going_on.then(|| {
        let mut progression = progression.clone();
        progression.paused.insert(PauseReason::Artifact);
        progression.state = state;
        progression.generation += 1;
        progression
    })
}

/// The devices of a rollout are written down: it waits for its time, or stays paused.
pub fn end_preparing(progression: &mut Progression) {
    let is_paused = !progression.paused.is_empty();
    progression.state = if is_paused { State::Paused } else { going_on(progression) };
    progression.generation += 1;
}

const fn going_on(progression: &Progression) -> State {
    if progression.started_at.is_some() { State::Running } else { State::Scheduled }
}

#[cfg(test)]
mod tests;
