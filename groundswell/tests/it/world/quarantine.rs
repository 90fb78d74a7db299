//! Devices that fail one rollout after the other: how many leave them out, and people who let them
//! take part again.

use groundswell::{
    core::{
        assignment::{SkipReason, State},
        rollout::Spec,
        time::Time,
    },
    operate,
    store::Batch,
};

use super::{World, dice::Dice, trace::tell};

/// Acts, of a hundred, with which somebody looks after devices that are left out.
const RELEASED_PERCENT: u64 = 12;

/// Devices that are released in one go.
const RELEASED_MAX: usize = 10;

/// How many failures leave a device out of a rollout that was drawn, by dice of their own: other draws
/// stay what they are.
pub(crate) fn add_quarantine(spec: &mut Spec, share: u64, now: Time) {
    let seed = spec.salt.bytes().fold(now.as_millis() as u64 ^ 0x7175_6172, |seed, byte| {
        seed.wrapping_mul(31).wrapping_add(u64::from(byte))
    });
    let mut dice = Dice::new(seed);
    spec.quarantine_after = dice.percent(share).then(|| *dice.pick(&[1, 1, 1, 2, 2, 3]));
}

impl World {
    /// Somebody says of some devices that failed that they may take part again.
    pub(crate) fn release_devices(&mut self) {
        if !self.operator.apart.percent(RELEASED_PERCENT) {
            return;
        }
        let mut failing: Vec<String> = self.checker.rows.failing().into_keys().collect();
        failing.retain(|_| self.operator.apart.percent(30));
        failing.truncate(RELEASED_MAX);
        if failing.is_empty() {
            return;
        }
        let clock = self.agenda.clock();
        let mut state = operate::State::open(&self.place).unwrap();
        for id in failing {
            let failed = state.release_device(&id, "new disk", clock).unwrap();
            tell!(self, "{} {id} is released, which failed {failed} rollouts", self.stamp());
            let breaches = self.checker.takes_part(&id, clock);
            self.breached(&breaches);
            self.note("quarantine: one is released");
        }
    }

    /// Whether anybody was left out is told with all that has happened.
    pub(crate) fn note_left_out(&mut self, batch: &Batch) {
        let left_out = State::Skipped(SkipReason::Quarantined);
        if batch.changes.iter().any(|change| change.to.state == left_out) {
            self.note("quarantine: left out");
        }
    }
}
