//! What people want of the driver, and whether what it answers is so.

use std::{collections::BTreeMap, time::Duration};

use groundswell::{
    core::{
        rollout::{Act, State as RolloutState},
        time::Time,
    },
    store::{Answer, IntentSeq, RolloutKey, SqliteStore, Store},
};

/// An answer is kept for so long, by the times at which intents were put, and while there are no more
/// newer ones than these.
const ANSWERS_KEPT_FOR: Duration = Duration::from_hours(24);
const ANSWERS_KEPT: i64 = 1_000;

#[derive(Debug)]
struct Wanted {
    act: Option<(RolloutKey, Act)>,
    /// When, in true time.
    put_at: i64,
    /// When, by the clock of whoever put it.
    said_at: Time,
}

#[derive(Debug)]
pub(crate) struct Intents {
    wanted: BTreeMap<IntentSeq, Wanted>,
    /// The newest one, answered or not, and when it was put by the clock.
    last: (IntentSeq, Time),
}

impl Default for Intents {
    fn default() -> Self {
        Self { wanted: BTreeMap::new(), last: (IntentSeq(0), Time::ZERO) }
    }
}

impl Intents {
    /// One was put: in true time, and by the clock of whoever did.
    pub(crate) fn put(
        &mut self,
        seq: IntentSeq,
        act: Option<(RolloutKey, Act)>,
        (put_at, said_at): (i64, Time),
    ) {
        self.last = (seq, said_at);
        self.wanted.insert(seq, Wanted { act, put_at, said_at });
    }

    /// What one that is not answered wants.
    pub(crate) fn act_of(&self, seq: IntentSeq) -> Option<(RolloutKey, Act)> {
        self.wanted.get(&seq)?.act
    }

    /// Whether anything is wanted of a rollout that is not answered.
    pub(crate) fn is_wanted(&self, key: RolloutKey) -> bool {
        self.wanted.values().any(|wanted| wanted.act.is_some_and(|(of, _)| of == key))
    }

    /// The acts wanted of a rollout that are not answered, in the order in which they were put.
    pub(crate) fn of(&self, key: RolloutKey) -> Vec<IntentSeq> {
        let is_of = |wanted: &Wanted| wanted.act.is_some_and(|(of, _)| of == key);
        self.wanted.iter().filter(|(_, wanted)| is_of(wanted)).map(|(seq, _)| *seq).collect()
    }

    /// The oldest that nobody has answered: when it was put.
    pub(crate) fn oldest(&self) -> Option<(IntentSeq, i64)> {
        self.wanted.iter().map(|(seq, wanted)| (*seq, wanted.put_at)).min_by_key(|(_, at)| *at)
    }

    /// One is answered: what was said is so.
    pub(crate) fn answered(
        &mut self,
        desk: &SqliteStore,
        seq: IntentSeq,
        answer: &Answer,
    ) -> Result<(), String> {
        let Some(wanted) = self.wanted.remove(&seq) else {
            return Err(format!("intent {} is answered twice: {answer:?}", seq.0));
        };
        // One that was asked a day and a thousand others ago is not kept; nobody waits for it.
        let (last, last_at) = self.last;
        let is_old =
            last.0 - seq.0 >= ANSWERS_KEPT && last_at.since(wanted.said_at) > ANSWERS_KEPT_FOR;
        let kept = desk.answer_to(seq).unwrap();
        if kept.as_ref() != Some(answer) && !(kept.is_none() && is_old) {
            return Err(format!("the answer to intent {} is not what was written", seq.0));
        }
        let (Some((key, act)), Answer::Done { state, .. }) = (wanted.act, answer) else {
            return Ok(());
        };
        let is_so = match act {
            Act::Pause => {
                matches!(state, RolloutState::Paused | RolloutState::Preparing) || state.is_ended()
            }
            Act::Cancel => matches!(state, RolloutState::Canceling | RolloutState::Canceled),
            Act::Abort => matches!(state, RolloutState::Aborting | RolloutState::Aborted),
            _ => true,
        };
        // Another act may have followed within the same commit.
        let has_followed =
            self.wanted.values().any(|other| other.act.is_some_and(|(of, _)| of == key));
        if is_so || has_followed {
            return Ok(());
        }
        Err(format!("{act} of rollout {} is done, and it is {state}", key.0))
    }
}
