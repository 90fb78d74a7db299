//! The bookkeeper: who is told what happened, and says what should not have.

use std::collections::{BTreeMap, HashMap};

use super::{
    Breach, Invariant, Observation,
    failing::Failing,
    rollout::{Books, Who},
    sites::Sites,
};
use crate::{
    assignment::{SkipReason, State},
    ids::RolloutId,
    rollout::Spec,
    time::Time,
};

/// Keeps the books of every rollout.
///
/// Its size is that of the devices in rounds that are not over, some tens of bytes each; nothing
/// is kept of what has been.
#[derive(Debug, Default)]
pub struct Ledger {
    rollouts: BTreeMap<RolloutId, Books>,
    devices: Vec<Device>,
    numbers: HashMap<Box<str>, u32>,
    hosts: HashMap<Box<str>, u32>,
    sites: Sites,
    failing: Failing,
}

#[derive(Debug, Default)]
struct Device {
    zone: Option<Box<str>>,
    /// Zones before, and until when each may have been gone by.
    zones_before: Vec<(Option<Box<str>>, Time)>,
    host: Option<u32>,
    /// The rollout in which it is active.
    active: Option<RolloutId>,
}

impl Ledger {
    /// Writes down a rollout, or its changed spec. `ahead_max` is how many claims may be made
    /// beyond `max_in_flight`.
    pub fn rollout(&mut self, id: RolloutId, spec: &Spec, ahead_max: u32) {
        self.sites.budgets(&spec.budgets);
        match self.rollouts.get_mut(&id) {
            Some(books) => books.respecify(spec.clone(), ahead_max),
            None => {
                self.rollouts.insert(id, Books::new(spec.clone(), ahead_max));
            }
        }
    }

    /// From now on so many claims of a rollout may be made beyond `max_in_flight`.
    pub fn ahead(&mut self, id: RolloutId, ahead_max: u32) {
        if let Some(books) = self.rollouts.get_mut(&id) {
            books.ahead(ahead_max);
        }
    }

    /// Writes down a device: its IANA time zone, and the host (scheme, name and port) it is
    /// reached at. One that was not written down has neither.
    pub fn device(&mut self, id: &str, zone: Option<&str>, host: Option<&str>) {
        let host = host.map(|host| {
            let next = self.hosts.len() as u32;
            *self.hosts.entry(host.into()).or_insert(next)
        });
        let no = self.number(id);
        let device = &mut self.devices[no as usize];
        (device.zone, device.host) = (zone.map(Box::from), host);
        device.zones_before.clear();
    }

    /// A device is in another IANA time zone. Whoever decides may not know that yet: until
    /// [`Ledger::zones_known`] is said, both will do.
    pub fn device_moved(&mut self, id: &str, zone: Option<&str>) {
        let no = self.number(id);
        let device = &mut self.devices[no as usize];
        let before = std::mem::replace(&mut device.zone, zone.map(Box::from));
        device.zones_before.push((before, Time::MAX));
    }

    /// Whoever decides knows since `now` in which zone a device is. What was decided before may still
    /// be told, up to the next time that this is said.
    pub fn zones_known(&mut self, id: &str, now: Time) {
        let no = self.number(id);
        let before = &mut self.devices[no as usize].zones_before;
        before.retain(|(_, until)| *until == Time::MAX);
        for (_, until) in before {
            *until = now;
        }
    }

    /// Writes down which tags a device has.
    pub fn device_tags(&mut self, id: &str, tags: &BTreeMap<String, String>) {
        let no = self.number(id);
        self.sites.tags(no, tags);
    }

    /// Whether any device is under way, or failed and was not seen to be well since.
    pub fn is_any_out_of_order(&self) -> bool {
        self.sites.is_any_out_of_order()
    }

    /// Whether a device failed and was not seen to be well since.
    pub fn has_failed(&self, id: &str) -> bool {
        self.numbers.get(id).is_some_and(|no| self.sites.has_failed(*no))
    }

    /// How many rollouts a device failed in a row.
    pub fn failed_in_row(&self, id: &str) -> usize {
        self.numbers.get(id).map_or(0, |no| self.failing.count(*no))
    }

    /// The clock was set, or whoever decides stood still: what was known of devices before `now` may
    /// be gone by for a while.
    pub fn unsettled(&mut self, now: Time) {
        self.failing.unsettle(now);
    }

    /// Whoever failed too many rollouts in a row is left out, and nobody else is for that.
    fn check_failing(
        &mut self,
        rollout: RolloutId,
        device: &str,
        (from, to): (State, State),
        now: Time,
        breaches: &mut Vec<Breach>,
    ) {
        let no = self.number(device);
        let Some(Books { spec, .. }) = self.rollouts.get(&rollout) else { return };
        let after = spec.quarantine_after;
        let (what, why) = if from.is_waiting() && to.is_active() {
            ("claimed", self.failing.claimed(no, after, now))
        } else if to == State::Skipped(SkipReason::Quarantined) {
            ("left out", self.failing.left_out(no, after, now))
        } else {
            ("", None)
        };
        if let Some(why) = why {
            let what = format!("{device} was {what}, though {why}");
            breaches.push(Breach { invariant: Invariant::Limits, what });
        }
        match to {
            State::Failed(_) | State::TimedOut(_) if from.is_active() => {
                self.failing.fail(no, rollout);
            }
            State::Failed(_) | State::TimedOut(_) => self.failing.fail_apart(no, rollout, now),
            // That it takes what it ran before shows nothing of how it takes what is new.
            State::Succeeded if spec.rolls_back.is_none() => self.failing.forget(no, now),
            _ => {}
        }
    }

    /// A claim does not exceed what the budgets of its rollout allow of any of its domains.
    fn check_sites(
        &mut self,
        rollout: RolloutId,
        device: &str,
        (from, to): (State, State),
        breaches: &mut Vec<Breach>,
    ) {
        let no = self.number(device);
        let is_claim = from.is_waiting() && to.is_active();
        let budgets = self.rollouts.get(&rollout).map(|books| &books.spec.budgets[..]);
        if let Some(budgets) = budgets.filter(|budgets| is_claim && !budgets.is_empty())
            && let Some(what) = self.sites.exceeded(no, budgets)
        {
            let what = format!("{device} was claimed, though {what}");
            breaches.push(Breach { invariant: Invariant::Limits, what });
        }
        self.sites.go(no, from, to);
    }

    fn number(&mut self, id: &str) -> u32 {
        if let Some(no) = self.numbers.get(id) {
            return *no;
        }
        let no = self.devices.len() as u32;
        self.devices.push(Device::default());
        self.numbers.insert(id.into(), no);
        no
    }

    /// Takes note of what happened at `now`, and says what should not have.
    pub fn observe(&mut self, seen: &Observation<'_>, now: Time) -> Vec<Breach> {
        let mut breaches = vec![];
        match *seen {
            Observation::Restarted => self.rollouts.values_mut().for_each(Books::restart),
            Observation::Recovered { device } => {
                let no = self.number(device);
                self.sites.recover(no);
            }
            Observation::Called { device } => {
                let no = self.number(device);
                self.sites.call(no);
            }
            Observation::Released { device, key } => {
                let no = self.number(device);
                self.sites.release(no, key);
            }
            Observation::TakesPart { device } => {
                let no = self.number(device);
                self.failing.forget(no, now);
            }
            Observation::Showed { device, version } => self.show(device, version),
            Observation::State { rollout, device, from, to } => {
                self.check_sites(rollout, device, (from, to), &mut breaches);
                self.check_failing(rollout, device, (from, to), now, &mut breaches);
                self.with(rollout, device, &mut breaches, |books, who, breaches| {
                    let was_and_is = books.go(who, from, to, now, breaches)?;
                    Some((rollout, was_and_is))
                });
            }
            Observation::Listed { rollout, device, wave } => {
                self.with(rollout, device, &mut breaches, |books, who, breaches| {
                    books.list(who, wave, breaches);
                    None
                });
            }
            Observation::Sent { rollout, device } => {
                self.with(rollout, device, &mut breaches, |books, who, breaches| {
                    books.send(who, now, breaches);
                    None
                });
            }
            Observation::Unwell { rollout, device } => {
                let no = self.number(device);
                self.sites.sicken(no);
                self.failing.fail_apart(no, rollout, now);
                self.with(rollout, device, &mut breaches, |books, who, breaches| {
                    books.sicken(who, breaches);
                    None
                });
            }
            Observation::Over { rollout, device } => {
                self.with(rollout, device, &mut breaches, |books, who, _| {
                    books.end_sending(who.no);
                    None
                });
            }
            Observation::NotTaken { rollout, device } => {
                self.with(rollout, device, &mut breaches, |books, who, _| {
                    books.clear_doubt(who.no);
                    None
                });
            }
            _ => self.observe_rollout(seen, now, &mut breaches),
        }
        breaches
    }

    fn observe_rollout(&mut self, seen: &Observation<'_>, now: Time, breaches: &mut Vec<Breach>) {
        let (Observation::WaveOpened { rollout, .. }
        | Observation::WaveEnded { rollout, .. }
        | Observation::Advanced { rollout, .. }
        | Observation::Accepted { rollout, .. }
        | Observation::Regressed { rollout, .. }
        | Observation::GateRuled { rollout, .. }
        | Observation::Approved { rollout, .. }
        | Observation::Answered { rollout, .. }
        | Observation::Stopped { rollout }
        | Observation::Resumed { rollout }
        | Observation::Counted { rollout, .. }
        | Observation::Idle { rollout, .. }
        | Observation::Ended { rollout }
        | Observation::RoundBegan { rollout }) = *seen
        else {
            return;
        };
        let Some(books) = self.rollouts.get_mut(&rollout) else {
            return breaches.push(unknown(rollout));
        };
        let mut open = |what: &str| {
            let count = books.open();
            if count > 0 {
                let what = format!("{count} devices are open, {what}");
                breaches.push(Breach { invariant: Invariant::Ends, what });
            }
        };
        match *seen {
            Observation::WaveOpened { wave, .. } => books.open_wave(wave, breaches),
            Observation::WaveEnded { wave, .. } => books.end_wave(wave, now, breaches),
            Observation::Advanced { wave, .. } => books.advance(wave),
            Observation::Accepted { results, .. } => books.accepted = results,
            Observation::Regressed { evidence, .. } => books.check_stop(&evidence, breaches),
            Observation::GateRuled { wave, ruling, .. } => books.rule(wave, ruling, now, breaches),
            Observation::Approved { wave, .. } => books.outside.approve(wave, now),
            Observation::Answered { gate, asked_at, is_go, .. } => {
                books.outside.answer(gate, asked_at, is_go, now);
            }
            Observation::Stopped { .. } => books.stop(true),
            Observation::Resumed { .. } => books.stop(false),
            Observation::Counted { counts, .. } => books.check_counts(counts, breaches),
            Observation::Idle { reasons: 0, .. } => open("and no reason is shown"),
            Observation::Ended { .. } => open("though the rollout has ended"),
            Observation::RoundBegan { .. } => {
                open("though another round begins");
                books.begin_round();
            }
            _ => {}
        }
    }

    /// Looks a device and a rollout up; what `then` returns says in which rollout the device was
    /// and is active.
    fn with(
        &mut self,
        rollout: RolloutId,
        id: &str,
        breaches: &mut Vec<Breach>,
        then: impl FnOnce(&mut Books, Who<'_>, &mut Vec<Breach>) -> Option<(RolloutId, (bool, bool))>,
    ) {
        let no = self.number(id);
        let Some(books) = self.rollouts.get_mut(&rollout) else {
            return breaches.push(unknown(rollout));
        };
        let device = &mut self.devices[no as usize];
        let zone = device.zone.as_deref();
        let who = Who { no, id, zone, zones_before: &device.zones_before, host: device.host };
        let Some((rollout, (was_active, is_active))) = then(books, who, breaches) else { return };
        match device.active {
            Some(other) if is_active && other != rollout => {
                let what = format!("{id} is active in {rollout} and in {other}");
                breaches.push(Breach { invariant: Invariant::Ends, what });
            }
            _ if is_active => device.active = Some(rollout),
            Some(own) if was_active && own == rollout => device.active = None,
            _ => {}
        }
    }

    fn show(&mut self, device: &str, version: &str) {
        let no = self.number(device);
        for books in self.rollouts.values_mut() {
            if books.spec.release.version != version {
                books.clear_doubt(no);
            }
        }
    }
}

fn unknown(rollout: RolloutId) -> Breach {
    let what = format!("something happened in rollout {rollout}, which nobody wrote down");
    Breach { invariant: Invariant::Ends, what }
}
