//! Devices that take an update and are not well some time later, and who asks them.

use std::time::Duration;

use groundswell::{
    core::{
        health::{Check, Health, PATH, Said},
        outcome::{Answer, Fault},
        rollout::Spec,
        time::Time,
    },
    engine::fact::{Examination, Fact},
    store::RolloutKey,
};

use super::{Event, World, dice::Dice, fleet::Fleet, trace::tell};

impl World {
    /// A device is asked how it is.
    pub(crate) fn examine(&mut self, key: RolloutKey, examination: &Examination) {
        if !self.running().outlets.contains(&key) {
            self.fail(&format!("rollout {} asks without being opened", key.0));
        }
        let Examination { candidate, check, within, .. } = examination;
        let id = candidate.id;
        let errand = self.examination(key, id);
        let no = Fleet::number(&candidate.endpoint.id);
        let now = self.agenda.now;
        let (wait, answer) = self.fleet.ask(no, *within, now);
        let said = match (answer, check) {
            (Answer::Silent { fault, .. }, _) => Said::Silent(fault),
            (_, Check::Url(_)) => Said::Status(if self.fleet.is_sick(no, now) { 503 } else { 200 }),
            (Answer::Version { version }, _) => Said::Version(version.into()),
            (Answer::Unreadable { .. }, _) => Said::Unreadable,
        };
        self.trace.mark((no, wait));
        self.note("health: asked");
        tell!(self, "{} {}: examine {}: {said}", self.stamp(), key.0, candidate.endpoint.id);
        let fact = Fact::Examined(key, id, said);
        self.later(wait, |no| Event::Outcome(no, errand, Box::new(fact)));
    }

    /// One that was cut short says nothing.
    pub(crate) const fn unexamined() -> Said {
        Said::Silent(Fault::Canceled)
    }
}

/// Checks for a rollout that was drawn, by dice of their own: other draws stay what they are.
pub(crate) fn add_health(spec: &mut Spec, share: u64, now: Time) {
    let seed = spec.salt.bytes().fold(!(now.as_millis() as u64), |seed, byte| {
        seed.wrapping_mul(31).wrapping_add(u64::from(byte))
    });
    let mut dice = Dice::new(seed);
    if !dice.percent(share) {
        return;
    }
    let check = if dice.percent(70) { Check::Url(PATH.to_owned()) } else { Check::Version };
    let every = Duration::from_secs(*dice.pick(&[1, 5, 60, 600]));
    let failures = *dice.pick(&[1, 1, 2, 3]);
    spec.health = Some(Health { check, every, failures });
    if spec.check().is_err() {
        // No wave soaks for so long.
        spec.health = None;
    }
}
