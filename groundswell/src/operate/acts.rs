//! What an operator does to a rollout: by the driver if there is one, otherwise here.

use std::time::Duration;

use groundswell_core::{
    assignment,
    ids::Epoch,
    lint::Finding,
    rollout::{self, Act, Acted, MOVED_ON, Progression, REASON_CHARS_MAX, Wish, act_wished},
    snapshot::Counts,
    time::Time,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{OperateError, State, reason::reason_of, schema::RolloutStateSchema};
use crate::{
    access::Change,
    engine::{
        beside::{acted, looked_at},
        step::PUSH_ACTS,
        takeover::{TakeoverError, numbers, recover},
    },
    store::{
        AccessStore as _, Answer, Batch, Intent, IntentSeq, RolloutKey, Store,
        dir::{ACTING, DirError, StateDir},
        reserve::Reserve,
    },
};

/// How long an answer of the driver is waited for: it looks ten times a second, and hands claims
/// back in a commit or two.
pub const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Between two looks for the answer.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How a push calls itself: it drives its own rollout, and listens to nobody else.
const PUSH: &str = "groundswell push ";

/// What came of an act that was not refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Acting {
    /// Where the rollout stands now.
    #[schema(value_type = RolloutStateSchema)]
    pub state: rollout::State,
    /// Devices that are still being sent to or asked for their version, or were when an abort
    /// stopped them.
    pub open: u64,
    /// The first [`OPEN_SHOWN`] of them after a pause or a cancel, and of those that an abort stops.
    pub open_devices: Vec<OpenDevice>,
    /// That it had been done before, in words.
    pub already: Option<String>,
    /// What whoever started it, or tries it again, has to know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub warnings: Vec<Finding>,
    /// Who did it: the process that drives, by its own words; none if nobody does.
    pub driver: Option<String>,
}

/// Devices that are open and named.
pub const OPEN_SHOWN: usize = 20;

/// A device that is being sent to, or asked for its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OpenDevice {
    /// Its id.
    pub device: String,
    /// What is done to it.
    #[schema(value_type = serde_json::Value)]
    pub state: assignment::State,
}

/// What an operator wants.
struct Wanted {
    rollout: RolloutKey,
    act: Act,
    /// The generation that was seen, if no other one will do.
    generation: Option<u64>,
    /// Why, if that was said.
    reason: Option<String>,
}

impl State {
    /// Does what an operator wants of a rollout: by way of the process that drives the directory,
    /// or here if nobody does. Waits for the driver's answer, at most [`ANSWER_MAX`].
    ///
    /// # Errors
    /// [`OperateError::Refused`] or [`OperateError::DriverRefused`] if it makes no sense,
    /// [`OperateError::NoAnswer`] if nobody said so in time, [`OperateError::Push`] if nobody will,
    /// [`OperateError::Unfit`] if a draft may not start as things are now.
    pub fn act(
        &mut self,
        rollout: RolloutKey,
        asked: Act,
        now: Time,
    ) -> Result<Acting, OperateError> {
        self.act_seen(rollout, asked, None, now)
    }

    /// The same, by somebody who decided by what they saw: of another generation it is refused.
    ///
    /// # Errors
    /// As [`State::act`], and [`OperateError::MovedOn`].
    pub fn act_seen(
        &mut self,
        rollout: RolloutKey,
        asked: Act,
        seen: Option<u64>,
        now: Time,
    ) -> Result<Acting, OperateError> {
        self.attributed(now, |state| state.act_as_said(rollout, asked, seen, now))
    }

    /// What is asked for is in the audit log with the asking. If it comes to nothing, that is there, too.
    fn attributed(
        &mut self,
        now: Time,
        act: impl FnOnce(&mut Self) -> Result<Acting, OperateError>,
    ) -> Result<Acting, OperateError> {
        let by = self.store.attribution().map(|by| by.change.clone());
        let done = act(self);
        // What has no answer yet is done later.
        if let (Some(by), Err(refused)) = (by, &done)
            && self.store.attribution().is_none()
            && !matches!(refused, OperateError::NoAnswer { .. })
        {
            let after = json!({ "not_done": refused.to_string() });
            let told = Change { at: now, before: None, after: Some(after), ..by };
            self.store.note_change(&told)?;
        }
        done
    }

    fn act_as_said(
        &mut self,
        rollout: RolloutKey,
        asked: Act,
        seen: Option<u64>,
        now: Time,
    ) -> Result<Acting, OperateError> {
        // What an abort stops is not open any more once that is said.
        let stopped = match asked {
            Act::Abort => {
                let counts = numbers(&self.store, &self.known(rollout)?)?.all;
                Some((open(&counts), self.open_devices(rollout)?))
            }
            _ => None,
        };
        // Said twice at the same moment, it must not open two waves.
        let generation = match (seen, asked) {
            (None, Act::Advance | Act::Approve) => {
                Some(self.known(rollout)?.progression.generation)
            }
            _ => seen,
        };
        let warnings = match asked {
            Act::Start => self.check_start(rollout, now)?,
            _ => vec![],
        };
        let done = self.ask(&Wanted { rollout, act: asked, generation, reason: None }, now)?;
        let warnings = match asked {
            Act::Retry if done.already.is_none() => self.check_retried(rollout, now)?,
            _ => warnings,
        };
        let acting = Acting { warnings, ..done };
        match (asked, stopped) {
            (Act::Abort, Some((open, open_devices))) if acting.already.is_none() => {
                Ok(Acting { open, open_devices, ..acting })
            }
            (Act::Pause | Act::Cancel, _) if acting.open > 0 => {
                Ok(Acting { open_devices: self.open_devices(rollout)?, ..acting })
            }
            _ => Ok(acting),
        }
    }

    /// Approves that the next wave opens, as [`State::act_seen`] does; if a wave is named, counted from
    /// 1, no other one. Why is kept, if it is said.
    ///
    /// # Errors
    /// As [`State::act`], [`OperateError::OtherWave`], and [`OperateError::ApprovalReason`] if what is
    /// said is nothing, or a novel.
    pub fn approve(
        &mut self,
        rollout: RolloutKey,
        wave: Option<usize>,
        reason: Option<&str>,
        seen: Option<u64>,
        now: Time,
    ) -> Result<Acting, OperateError> {
        let length = || OperateError::ApprovalReason { max: REASON_CHARS_MAX };
        let reason = reason.map(|reason| reason_of(reason, length())).transpose()?;
        let reason = reason.map(str::to_owned);
        let progression = self.known(rollout)?.progression;
        if let Some(wave) = wave
            && let next = progression.next_wave()
            && next != wave.checked_sub(1)
        {
            let of = progression.waves.len();
            let next = next.map_or_else(
                || "none is left to be opened".to_owned(),
                |next| format!("that is wave {} of {of}", next + 1),
            );
            return Err(OperateError::OtherWave { rollout: rollout.0, wave, next });
        }
        let generation = seen.or(Some(progression.generation));
        let wanted = Wanted { rollout, act: Act::Approve, generation, reason };
        self.attributed(now, |state| state.ask(&wanted, now))
    }

    fn open_devices(&self, rollout: RolloutKey) -> Result<Vec<OpenDevice>, OperateError> {
        let open = self.unfinished_seen(self.store.open(rollout, OPEN_SHOWN)?)?.into_iter();
        Ok(open.map(|open| OpenDevice { device: open.device, state: open.state }).collect())
    }

    fn ask(&mut self, want: &Wanted, now: Time) -> Result<Acting, OperateError> {
        let Wanted { rollout, act: asked, generation, .. } = *want;
        let mut seq = None;
        let mut waited = Duration::ZERO;
        let reason = want.reason.clone();
        let intent = Intent::Act { rollout, act: asked, generation, reason };
        loop {
            // A driver may end, and leave the rest to us, at any time.
            let locked = StateDir::lock(&self.path, &format!("{ACTING} {asked} {}", rollout.0));
            let driver = match locked {
                Ok(dir) => return self.act_here(&dir, want, seq, now),
                Err(DirError::Locked { holder, .. }) if holder.contains(PUSH) => {
                    return Err(OperateError::Push { push: holder, path: self.path.clone() });
                }
                Err(DirError::Locked { holder, .. }) => holder,
                Err(error) => return Err(error.into()),
            };
            let seq = match seq {
                Some(seq) => seq,
                None => match self.store.put_intent(&intent, now) {
                    Ok(put) => *seq.insert(put),
                    // It was stopped in the middle of a commit.
                    Err(error) if error.is_busy() => {
                        let (path, secs) = (self.path.clone(), ANSWER_MAX.as_secs());
                        return Err(OperateError::Hangs { driver, path, secs });
                    }
                    Err(error) => return Err(error.into()),
                },
            };
            if let Some(answer) = self.store.answer_to(seq)? {
                return self.answered(rollout, answer, driver);
            }
            if waited >= ANSWER_MAX {
                let (path, secs) = (self.path.clone(), ANSWER_MAX.as_secs());
                return Err(OperateError::NoAnswer { driver, path, secs });
            }
            std::thread::sleep(LOOK_EVERY);
            waited += LOOK_EVERY;
        }
    }

    fn answered(
        &self,
        rollout: RolloutKey,
        answer: Answer,
        driver: String,
    ) -> Result<Acting, OperateError> {
        let driver = Some(driver);
        match answer {
            Answer::Done { state, open } => Ok(Acting {
                state,
                open,
                open_devices: vec![],
                already: None,
                warnings: vec![],
                driver,
            }),
            Answer::Already(what) => {
                let record = self.known(rollout)?;
                let open = open(&numbers(&self.store, &record)?.all);
                let state = record.progression.state;
                Ok(Acting {
                    state,
                    open,
                    open_devices: vec![],
                    already: Some(what),
                    warnings: vec![],
                    driver,
                })
            }
            Answer::Refused(why) if why == MOVED_ON => {
                Err(OperateError::MovedOn { rollout: rollout.0 })
            }
            Answer::Refused(why) => Err(OperateError::DriverRefused { rollout: rollout.0, why }),
        }
    }

    /// Nobody drives: the act is written down with what follows from it. `seq` is what was asked
    /// of a driver that ended meanwhile; it may have answered.
    fn act_here(
        &mut self,
        dir: &StateDir,
        wanted: &Wanted,
        seq: Option<IntentSeq>,
        now: Time,
    ) -> Result<Acting, OperateError> {
        let rollout = wanted.rollout;
        self.recover(dir)?;
        if let Some(seq) = seq
            && let Some(answer) = self.store.answer_to(seq)?
        {
            let acting = self.answered(rollout, answer, String::new())?;
            return Ok(Acting { driver: None, ..acting });
        }
        if self.known(rollout)?.identity.is_some() {
            return Err(OperateError::DriverRefused {
                rollout: rollout.0,
                why: PUSH_ACTS.to_owned(),
            });
        }
        self.settle_older(rollout, seq, now)?;
        self.carry_out(wanted, seq, now)
    }

    /// Carries out what was asked of a driver that ended, in the order in which it was.
    fn settle_older(
        &mut self,
        rollout: RolloutKey,
        seq: Option<IntentSeq>,
        now: Time,
    ) -> Result<(), OperateError> {
        for (older, intent) in self.store.acts_wanted(rollout)? {
            let Intent::Act { act, generation, reason, .. } = intent else { continue };
            if Some(older) != seq {
                let wanted = Wanted { rollout, act, generation, reason };
                match self.carry_out(&wanted, Some(older), now) {
                    // Refused, and answered so.
                    Ok(_) | Err(OperateError::Refused { .. } | OperateError::MovedOn { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn carry_out(
        &mut self,
        wanted: &Wanted,
        seq: Option<IntentSeq>,
        now: Time,
    ) -> Result<Acting, OperateError> {
        let Wanted { rollout, act, generation, ref reason } = *wanted;
        let wish = Wish { act, seen: generation, reason: reason.as_deref() };
        let record = self.known(rollout)?;
        let numbers = numbers(&self.store, &record)?;
        let open = open(&numbers.all);
        let mut batch = Batch::empty(rollout, Epoch(0), now);
        batch.records = looked_at(&self.store, &record)?;
        if generation.is_some_and(|seen| seen != record.progression.generation) {
            let error = OperateError::MovedOn { rollout: rollout.0 };
            batch.records.extend(acted(wish, Err(MOVED_ON.to_owned()), now));
            batch.answers.extend(seq.map(|seq| (seq, Answer::Refused(error.to_string()))));
            self.store.commit(&batch)?;
            return Err(error);
        }
        let mut answer = |answer: Answer| batch.answers.extend(seq.map(|seq| (seq, answer)));
        let mut told = |done: Result<&Progression, String>| {
            batch.records.extend(acted(wish, done, now));
        };
        let done = act_wished(&record.progression, &record.spec, &numbers, wish, now);
        let (state, already) = match done {
            Ok(Acted::Changed(progression)) => {
                let state = progression.state;
                told(Ok(&progression));
                answer(Answer::Done { state, open });
                batch.progression = Some(*progression);
                (state, None)
            }
            Ok(Acted::Already(what)) => {
                told(Err(what.to_owned()));
                answer(Answer::Already(what.to_owned()));
                (record.progression.state, Some(what.to_owned()))
            }
            Err(refusal) => {
                told(Err(refusal.to_string()));
                answer(Answer::Refused(refusal.to_string()));
                self.store.commit(&batch)?;
                return Err(OperateError::Refused { rollout: rollout.0, refusal });
            }
        };
        self.store.commit(&batch)?;
        Ok(Acting { state, open, open_devices: vec![], already, warnings: vec![], driver: None })
    }

    /// What a run could not write when the disk was full comes before anything that follows.
    fn recover(&mut self, dir: &StateDir) -> Result<(), OperateError> {
        let path = dir.path().join("reserve");
        if path.exists() {
            let reserve = Reserve::open(&path).map_err(TakeoverError::Reserve)?;
            recover(&mut self.store, &reserve)?;
        }
        Ok(())
    }
}

const fn open(counts: &Counts) -> u64 {
    counts.delivering + counts.verifying
}
