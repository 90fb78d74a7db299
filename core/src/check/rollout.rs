//! The books of one rollout: where its devices stand, and what its gates said.

use std::collections::{BTreeMap, HashMap};

use jiff::tz::TimeZone;

use super::{
    Breach, Invariant,
    outside::Outside,
    states::{is_active, is_end, place},
    wall,
};
use crate::{
    assignment::{FailReason, SkipReason, State},
    gate::{Ruling, Unreachable, regression::Results},
    rollout::Spec,
    snapshot::Counts,
    time::Time,
    verify::Mode,
};

/// What is known of one device in one rollout; kept small, there are millions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) state: State,
    pub(super) wave: u16,
    /// Its delivery is open and has begun to be sent.
    is_sending: bool,
    /// It was sent to, and did not say no nor show another version since.
    is_in_doubt: bool,
    /// It was updated, and is not well since.
    is_unwell: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Gate {
    is_open: bool,
    ended_at: Option<Time>,
    is_advanced: bool,
    has_passed: bool,
}

/// A device as the books of a rollout see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Who<'a> {
    pub(super) no: u32,
    pub(super) id: &'a str,
    pub(super) zone: Option<&'a str>,
    /// Zones that may be gone by, too, and until when.
    pub(super) zones_before: &'a [(Option<Box<str>>, Time)],
    pub(super) host: Option<u32>,
}

#[derive(Debug)]
pub(super) struct Books {
    pub(super) spec: Spec,
    ahead_max: u32,
    gates: Vec<Gate>,
    entries: HashMap<u32, Entry>,
    /// Devices in each state.
    pub(super) tally: BTreeMap<State, u64>,
    /// Of those updated, the ones that are not well since.
    pub(super) unwell: u64,
    /// Open deliveries to each host.
    hosts: HashMap<u32, u32>,
    zones: HashMap<Option<Box<str>>, TimeZone>,
    /// Deliveries whose first byte left and which have not ended.
    sending: u64,
    /// What an operator has accepted of the regression test.
    pub(super) accepted: Results,
    /// What was said outside of it.
    pub(super) outside: Outside,
    is_stopped: bool,
    has_restarted: bool,
}

pub(super) type Breaches = Vec<Breach>;

pub(super) fn breach(breaches: &mut Breaches, invariant: Invariant, what: String) {
    breaches.push(Breach { invariant, what });
}

impl Books {
    pub(super) fn new(spec: Spec, ahead_max: u32) -> Self {
        let gates = vec![Gate::default(); spec.waves.len().max(1)];
        Self {
            spec,
            ahead_max,
            gates,
            entries: HashMap::new(),
            tally: BTreeMap::new(),
            unwell: 0,
            hosts: HashMap::new(),
            zones: HashMap::new(),
            sending: 0,
            accepted: Results::default(),
            outside: Outside::default(),
            is_stopped: false,
            has_restarted: false,
        }
    }

    pub(super) fn respecify(&mut self, spec: Spec, ahead_max: u32) {
        self.gates.resize(spec.waves.len().max(1), Gate::default());
        self.zones.clear();
        (self.spec, self.ahead_max) = (spec, ahead_max);
    }

    pub(super) const fn ahead(&mut self, ahead_max: u32) {
        self.ahead_max = ahead_max;
    }

    pub(super) fn count(&self, states: &[State]) -> u64 {
        states.iter().map(|state| self.tally.get(state).copied().unwrap_or(0)).sum()
    }

    fn shift(&mut self, from: State, to: State) {
        if let Some(count) = self.tally.get_mut(&from) {
            *count = count.saturating_sub(1);
        }
        *self.tally.entry(to).or_default() += 1;
    }

    pub(super) fn list(&mut self, who: Who<'_>, wave: usize, breaches: &mut Breaches) {
        let (state, wave) = (State::Queued, u16::try_from(wave).unwrap_or(u16::MAX));
        let entry = Entry { state, wave, is_sending: false, is_in_doubt: false, is_unwell: false };
        if self.entries.insert(who.no, entry).is_some() {
            let what = format!("{} was listed twice in one round", who.id);
            breach(breaches, Invariant::Ends, what);
        } else {
            *self.tally.entry(state).or_default() += 1;
        }
    }

    /// Takes a device from one state to another; returns whether its delivery or question is open
    /// before and after.
    pub(super) fn go(
        &mut self,
        who: Who<'_>,
        from: State,
        to: State,
        now: Time,
        breaches: &mut Breaches,
    ) -> Option<(bool, bool)> {
        let id = who.id;
        let Some(entry) = self.entries.get(&who.no).copied() else {
            let what = format!("{id} became {to} without being listed");
            breach(breaches, Invariant::Ends, what);
            return None;
        };
        self.check_origin(id, entry.state, from, to, breaches);
        let was_begun = matches!(entry.state, State::Delivering | State::Verifying);
        let is_begun = matches!(to, State::Delivering | State::Verifying);
        self.shift(entry.state, to);
        if let Some(host) = who.host {
            let open = self.hosts.entry(host).or_default();
            let change = |state| u32::from(state == State::Delivering);
            *open = (*open + change(to)).saturating_sub(change(entry.state));
            if *open == 0 {
                self.hosts.remove(&host);
            }
        }
        if is_begun && !was_begun {
            self.check_claim(who, entry, now, breaches);
        }
        let is_sending = entry.is_sending && to == State::Delivering;
        self.sending -= u64::from(entry.is_sending && !is_sending);
        self.entries.insert(who.no, Entry { state: to, is_sending, ..entry });
        Some((is_active(entry.state), is_active(to)))
    }

    fn check_origin(&self, id: &str, at: State, from: State, to: State, breaches: &mut Breaches) {
        let invariant = if self.has_restarted { Invariant::Once } else { Invariant::Ends };
        if is_end(at) {
            breach(breaches, invariant, format!("{id} had ended as {at} and became {to}"));
        } else if at != from {
            let what = format!("{id} became {to} from {from}, but was {at}");
            breach(breaches, invariant, what);
        }
    }

    /// The claim is counted already.
    fn check_claim(&mut self, who: Who<'_>, entry: Entry, now: Time, breaches: &mut Breaches) {
        let id = who.id;
        let wave = usize::from(entry.wave);
        if !self.gates.get(wave).is_some_and(|gate| gate.is_open) {
            let what = format!("{id} was claimed, but its wave {} is not open", wave + 1);
            breach(breaches, Invariant::Gates, what);
        }
        if self.is_stopped {
            let what = format!("{id} was claimed after the stop was acknowledged");
            breach(breaches, Invariant::Silence, what);
        }
        if self.spec.start_at.is_some_and(|at| now < at) {
            breach(breaches, Invariant::Hours, format!("{id} was claimed before the start"));
        }
        if let Some(closed) = self.closed(who, now) {
            breach(breaches, Invariant::Hours, format!("{id} was claimed {closed}"));
        }
        self.check_limits(who, entry.state != State::Retrying, breaches);
        self.check_odds(id, breaches);
    }

    fn closed(&mut self, who: Who<'_>, now: Time) -> Option<String> {
        let closed = self.closed_in(who.zone, now)?;
        let mut before = who.zones_before.iter().filter(|(_, until)| now <= *until);
        let is_open = before.any(|(zone, _)| self.closed_in(zone.as_deref(), now).is_none());
        (!is_open).then_some(closed)
    }

    fn closed_in(&mut self, device_zone: Option<&str>, now: Time) -> Option<String> {
        let schedule = &self.spec.schedule;
        if schedule.hours.windows.is_empty() && schedule.hours.freezes.is_empty() {
            return None;
        }
        let key = device_zone.map(Box::from);
        let zone = self.zones.entry(key).or_insert_with(|| wall::zone(schedule, device_zone));
        wall::closed(schedule, zone, now)
    }

    fn check_limits(&self, who: Who<'_>, is_fresh: bool, breaches: &mut Breaches) {
        let limits = &self.spec.limits;
        let open = self.count(&[State::Delivering]);
        let begun = open + self.count(&[State::Verifying]);
        let doubtful = begun + self.count(&[State::Retrying]);
        let on_host = who.host.and_then(|host| self.hosts.get(&host)).copied().unwrap_or(0);
        let is_verified = self.spec.verify.mode != Mode::None;
        let claims_max = u64::from(limits.max_in_flight) + u64::from(self.ahead_max);
        let unverified_max = u64::from(limits.max_unverified);
        for (what, count, max) in [
            ("open deliveries", open, claims_max),
            ("open deliveries to its host", u64::from(on_host), u64::from(limits.max_per_host)),
            ("devices not verified", if is_verified { begun } else { 0 }, unverified_max),
            (
                "devices begun and not known to be well",
                if is_verified && is_fresh { doubtful } else { 0 },
                unverified_max,
            ),
        ] {
            if count > max {
                let what = format!("the claim of {} makes {count} {what}, {max} allowed", who.id);
                breach(breaches, Invariant::Limits, what);
            }
        }
    }

    pub(super) fn send(&mut self, who: Who<'_>, now: Time, breaches: &mut Breaches) {
        let id = who.id;
        // What was claimed in time may have waited too long.
        if let Some(closed) = self.closed(who, now) {
            breach(breaches, Invariant::Hours, format!("{id} was sent to {closed}"));
        }
        let is_told = self.spec.verify.mode == Mode::Version;
        let Some(entry) = self.entries.get_mut(&who.no) else {
            return breach(breaches, Invariant::Once, format!("{id} was sent to, but not listed"));
        };
        if entry.state != State::Delivering {
            let what = format!("{id} was sent to while {}", entry.state);
            breach(breaches, Invariant::Once, what);
        }
        // Where no version tells, delivery is at least once and says so.
        if entry.is_in_doubt && is_told {
            let what = format!("{id} was sent to again before it refused or showed a version");
            breach(breaches, Invariant::Once, what);
        }
        self.sending += u64::from(!entry.is_sending);
        (entry.is_sending, entry.is_in_doubt) = (true, true);
        if self.is_stopped {
            let what = format!("{id} was sent to after the stop was acknowledged");
            breach(breaches, Invariant::Silence, what);
        }
        let max = u64::from(self.spec.limits.max_in_flight);
        if self.sending > max {
            let what = format!("{} deliveries are being sent, {max} allowed", self.sending);
            breach(breaches, Invariant::Limits, what);
        }
    }

    /// A device that was updated is not well since.
    pub(super) fn sicken(&mut self, who: Who<'_>, breaches: &mut Breaches) {
        let id = who.id;
        let Some(entry) = self.entries.get_mut(&who.no) else {
            let what = format!("{id} is not well, but was not listed");
            return breach(breaches, Invariant::Ends, what);
        };
        if entry.state != State::Succeeded {
            let what = format!("{id} counts as regressed, but is {}", entry.state);
            breach(breaches, Invariant::Ends, what);
        }
        if std::mem::replace(&mut entry.is_unwell, true) {
            breach(breaches, Invariant::Ends, format!("{id} counts as regressed twice"));
        } else {
            self.unwell += 1;
        }
    }

    pub(super) fn end_sending(&mut self, no: u32) {
        if let Some(entry) = self.entries.get_mut(&no) {
            self.sending -= u64::from(std::mem::take(&mut entry.is_sending));
        }
    }

    pub(super) fn clear_doubt(&mut self, no: u32) {
        if let Some(entry) = self.entries.get_mut(&no) {
            entry.is_in_doubt = false;
        }
    }

    pub(super) fn open_wave(&mut self, wave: usize, breaches: &mut Breaches) {
        if let Some(held) = self.gates.iter().take(wave).position(|gate| !gate.has_passed) {
            let what = format!("wave {} opened before the gate of wave {}", wave + 1, held + 1);
            breach(breaches, Invariant::Gates, what);
        }
        if let Some(gate) = self.gates.get_mut(wave) {
            gate.is_open = true;
        }
    }

    pub(super) fn end_wave(&mut self, wave: usize, now: Time, breaches: &mut Breaches) {
        let is_held = |entry: &Entry| {
            let is_waited_for = matches!(entry.state, State::Queued | State::Away);
            usize::from(entry.wave) == wave && (is_waited_for || is_active(entry.state))
        };
        let open = self.entries.values().filter(|entry| is_held(entry)).count();
        if open > 0 {
            let what = format!("wave {} ended with {open} devices open", wave + 1);
            breach(breaches, Invariant::Gates, what);
        }
        if let Some(gate) = self.gates.get_mut(wave) {
            gate.ended_at = Some(now);
        }
    }

    pub(super) fn advance(&mut self, wave: usize) {
        if let Some(gate) = self.gates.get_mut(wave) {
            gate.is_advanced = true;
        }
    }

    pub(super) fn rule(&mut self, wave: usize, ruling: Ruling, now: Time, breaches: &mut Breaches) {
        let number = wave + 1;
        if ruling == Ruling::Go
            && let Some(why) = self.doubt(wave, now).or_else(|| self.doubt_outside(wave))
        {
            let what = format!("the gate of wave {number} said go, but {why}");
            breach(breaches, Invariant::Gates, what);
        }
        let Some(gate) = self.gates.get_mut(wave) else { return };
        if ruling == Ruling::Override && !gate.is_advanced {
            let what = format!("wave {number} was advanced over, but by no operator");
            breach(breaches, Invariant::Gates, what);
        }
        gate.has_passed = ruling != Ruling::Stop;
    }

    /// Why what was said outside should have kept the gate of a wave from saying go.
    fn doubt_outside(&self, wave: usize) -> Option<String> {
        let ended_at = self.gates.get(wave)?.ended_at;
        let soaked_at = ended_at
            .map(|at| at + self.spec.waves.get(wave).map_or_else(Default::default, |w| w.soak));
        self.outside.doubt(&self.spec.gates, wave, self.gates.len(), soaked_at)
    }

    /// Why the gate of a wave should not have said go.
    fn doubt(&self, wave: usize, now: Time) -> Option<String> {
        let (mut all, mut good, mut bad, mut unreachable) = (0_u64, 0_u64, 0_u64, 0_u64);
        for entry in self.entries.values().filter(|entry| usize::from(entry.wave) == wave) {
            all += 1;
            match entry.state {
                State::Succeeded if entry.is_unwell => bad += 1,
                State::Succeeded | State::Skipped(SkipReason::AlreadyCurrent) => good += 1,
                State::Failed(FailReason::Unreachable) => unreachable += 1,
                State::Failed(_) | State::TimedOut(_) => bad += 1,
                _ => {}
            }
        }
        if all == 0 {
            return None;
        }
        let wanted = self.spec.waves.get(wave)?;
        match self.gates.get(wave)?.ended_at {
            None => return Some("the wave had not ended".to_owned()),
            Some(ended_at) if now < ended_at + wanted.soak => {
                return Some("its soak was not over".to_owned());
            }
            Some(_) => {}
        }
        match self.spec.unreachable {
            Unreachable::Fail => bad += unreachable,
            Unreachable::Wait if unreachable > 0 => {
                return Some(format!("{unreachable} that could not be reached are waited for"));
            }
            Unreachable::Ignore | Unreachable::Wait => {}
        }
        let min = u64::from(wanted.min_success?);
        if good + bad == 0 {
            return Some("it had nothing to judge by".to_owned());
        }
        let is_less = good * 100 < min * (good + bad);
        is_less.then(|| format!("{good} of {} is less than {min} %", good + bad))
    }

    pub(super) const fn stop(&mut self, is_stopped: bool) {
        self.is_stopped = is_stopped;
    }

    /// Deliveries that were open died with the driver.
    pub(super) fn restart(&mut self) {
        self.has_restarted = true;
        self.sending = 0;
        self.entries.values_mut().for_each(|entry| entry.is_sending = false);
    }

    pub(super) fn check_counts(&self, shown: &Counts, breaches: &mut Breaches) {
        let mut found = Counts::default();
        for (state, count) in &self.tally {
            *place(&mut found, *state) += count;
        }
        found.regressed = self.unwell;
        if found != *shown {
            let what = format!("the counts shown are {shown:?}, the devices are {found:?}");
            let invariant = if self.has_restarted { Invariant::Once } else { Invariant::Ends };
            breach(breaches, invariant, what);
        }
    }

    /// Devices that have not ended.
    pub(super) fn open(&self) -> u64 {
        let open = self.tally.iter().filter(|(state, _)| !is_end(**state));
        open.map(|(_, count)| count).sum()
    }

    pub(super) fn begin_round(&mut self) {
        self.gates.fill(Gate::default());
        self.entries.clear();
        self.tally.clear();
        self.unwell = 0;
        self.hosts.clear();
        self.sending = 0;
        self.accepted = Results::default();
        self.outside = Outside::default();
        self.is_stopped = false;
    }
}
