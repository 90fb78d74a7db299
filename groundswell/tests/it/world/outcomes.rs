//! What is told of deliveries, lost, late and twice.

use std::time::Duration;

use groundswell::{
    core::{
        ids::AssignmentId,
        outcome::{Fault, Outcome},
    },
    engine::fact::Fact,
};

use super::{Event, World, fleet::Fate};

/// Longest that an outcome is late.
const LATE_MAX_MS: u64 = 1_200_000;

impl World {
    /// Something may happen to what is seen of a delivery; not to what the device has.
    pub(crate) fn disturb(&mut self, mut fate: Fate) -> Fate {
        if !self.faults.outcome.comes() {
            return fate;
        }
        let dice = &mut self.faults.outcome.dice;
        if dice.percent(40) {
            let (fault, detail) = (Fault::ResponseTimeout, "lost".to_owned());
            fate.outcome = Outcome::Unknown { fault, detail };
            self.note("outcome: lost");
        } else {
            fate.answered_in += Duration::from_millis(dice.roll(LATE_MAX_MS));
            self.note("outcome: late");
        }
        fate
    }

    /// An outcome may be told again, much later, and to whoever drives then.
    pub(crate) fn echo_later(&mut self, fact: &Fact) {
        if self.faults.outcome.comes() {
            let max_ms = *self.faults.outcome.dice.pick(&[1, 5_000, LATE_MAX_MS]);
            let wait = Duration::from_millis(self.faults.outcome.dice.roll(max_ms));
            let again = match fact {
                Fact::Delivered(key, id, outcome) => Fact::Delivered(*key, *id, outcome.clone()),
                Fact::Asked(key, id, answer) => Fact::Asked(*key, *id, answer.clone()),
                Fact::Examined(key, id, said) => Fact::Examined(*key, *id, said.clone()),
                _ => return,
            };
            self.agenda.put(wait, Event::Echo(Box::new(again)));
        }
    }

    /// An outcome is told again. Not while the next delivery to the device is open, which it would
    /// pass for: a lane tells what became of each of its deliveries once.
    pub(crate) fn echo(&mut self, fact: Fact) {
        let Some(driver) = &self.driver else { return };
        let id = concerns(&fact);
        if !driver.is_open(id) && self.facts.iter().all(|pending| concerns(pending) != id) {
            self.note("outcome: told twice");
            self.facts.push(fact);
        }
    }
}

/// The assignment that a fact is about.
const fn concerns(fact: &Fact) -> Option<AssignmentId> {
    match fact {
        Fact::Delivered(_, id, _)
        | Fact::Returned(_, id)
        | Fact::Asked(_, id, _)
        | Fact::Examined(_, id, _) => Some(*id),
        _ => None,
    }
}
