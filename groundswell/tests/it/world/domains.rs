//! Failure domains of a world: budgets that its fleet can meet, and people who look after devices
//! that keep their slots because they failed.

use std::collections::BTreeMap;

use groundswell::{
    core::{
        budget::{Domain, Limit},
        rollout::Spec,
    },
    store::{Contact, FailedDevice, Intent, SlotRelease, Store, TroubleStore as _},
};

use super::{World, fleet::Fleet, trace::tell};

/// Devices that failed and are looked after in one go.
const MENDED_MAX: usize = 40;

/// Leaves out budgets by which devices could never go: nobody may write those.
pub(crate) fn keep_meetable(spec: &mut Spec, fleet: &Fleet) {
    spec.budgets.retain(|budget| {
        let Limit::Percent(_) = budget.limit else { return true };
        let mut sizes: BTreeMap<Option<&String>, u32> = BTreeMap::new();
        for device in &fleet.devices {
            *sizes.entry(device.known.tags.get(budget.per.tag())).or_default() += 1;
        }
        sizes.values().all(|devices| budget.limit.of(*devices) > 0)
    });
}

impl World {
    /// Somebody looks after a few devices that failed, or after all: one calls, or its slots are
    /// released.
    pub(crate) fn mend(&mut self, are_all: bool) {
        if self.push.is_some() {
            return;
        }
        let mut failed = self.desk.failed_devices(None).unwrap();
        if !are_all {
            failed.retain(|_| self.dice.percent(20));
        }
        failed.truncate(if are_all { MENDED_MAX * 20 } else { MENDED_MAX });
        for device in failed {
            let calls = self.dice.percent(50);
            if calls {
                self.call(&device);
            }
            // One that is not well after its update may call as often as it likes.
            let id = self.checker.rows.device(device.device);
            if !calls || are_all && self.checker.has_failed(&id) {
                self.release(&device);
            }
        }
    }

    fn call(&mut self, device: &FailedDevice) {
        let (id, at) = (self.checker.rows.device(device.device), self.agenda.clock());
        let version = Some(self.fleet.devices[Fleet::number(&id)].version.clone());
        self.desk.saw(&[Contact { device: &id, at, version: version.as_deref() }]).unwrap();
        let breaches = self.checker.called(&id, at);
        self.breached(&breaches);
        self.tell_driver(&Intent::Contact { device: device.device });
        self.note("domains: one that failed calls");
    }

    fn release(&mut self, failed: &FailedDevice) {
        let (id, at) = (self.checker.rows.device(failed.device), self.agenda.clock());
        let tags = &self.fleet.devices[Fleet::number(&id)].known.tags;
        let keys = ["store", "site", "ring"];
        let domains = keys.map(|key| Domain {
            per: format!("tag.{key}").parse().unwrap(),
            value: tags.get(key).cloned(),
        });
        for domain in domains {
            let (device, assignment) = (failed.device, failed.assignment);
            let key = domain.per.tag().to_owned();
            let reason = "it is spare".to_owned();
            self.desk
                .release_slot(&SlotRelease { device, assignment, domain, reason, at })
                .unwrap();
            let breaches = self.checker.released(&id, &key, at);
            self.breached(&breaches);
        }
        self.tell_driver(&Intent::Released { device: failed.device });
        self.note("domains: slots of one are released");
    }

    fn tell_driver(&mut self, intent: &Intent) {
        let clock = self.agenda.clock();
        let seq = self.desk.put_intent(intent, clock).unwrap();
        tell!(self, "{} intent {}: {intent:?}", self.stamp(), seq.0);
        self.checker.intents.put(seq, None, (self.agenda.now, clock));
    }
}
