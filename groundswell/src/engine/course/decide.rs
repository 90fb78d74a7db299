//! Decisions carried out: what happens next, what is sent, what an operator wants.

use groundswell_core::{
    admit::Class,
    assignment, bites,
    event::{Event, Kind},
    log::Record,
    plan::{self, Change, Plan},
    rollout::{self, Act, Acted, Wish, act_seen},
    time::Time,
    verify,
    waiting::WaitingOn,
};

use super::{Course, Readiness};
use crate::{
    engine::{
        cohort::Cohort,
        fact::{Command, Opening, Sending},
        shared::Shared,
        story,
    },
    store::{Answer, Candidate, IntentSeq},
};

impl Course {
    /// Decides, claims, and says what is to be done.
    pub(in crate::engine) fn step(
        &mut self,
        now: Time,
        shared: &mut Shared,
        commands: &mut Vec<Command>,
    ) {
        if self.ending.is_some() {
            return;
        }
        self.decided_at = now;
        self.log.at(now);
        self.is_dirty = false;
        self.follow_devices(now, shared);
        self.review(commands);
        self.take_pulses(now, shared);
        let mut plan = self.decide(now, shared, commands);
        if !self.log.is_empty() {
            self.pending_since.get_or_insert(now);
        }
        self.dispatch(now, commands);
        if self.has_run_dry() {
            plan = self.decide(now, shared, commands);
        }
        self.care(now, commands);
        if let Some(job) = self.fetch(now, &plan) {
            commands.push(Command::Store(job));
        }
        self.commit(now, shared, commands);
        self.prepare(now, commands);
        self.look_back(now, commands);
        self.join(now, commands);
        self.meter.observe(now, self.counts.ended());
        self.end(now, shared, commands);
    }

    /// Plans, carries out what concerns the rollout itself, and claims what may be claimed.
    fn decide(&mut self, now: Time, shared: &mut Shared, commands: &mut Vec<Command>) -> Plan {
        loop {
            self.checks.keep_to(self.progression.generation);
            let snapshot = self.snapshot(now);
            let plan = plan::plan(&snapshot, &self.spec, now);
            self.log.planned(snapshot, &plan);
            if let Some(change) = plan.change {
                self.carry_out(now, &change, &plan);
                continue;
            }
            self.inquire(now, &plan, commands);
            self.waiting_on.clone_from(&plan.waiting_on);
            self.wake_at = plan.wake_at.filter(|at| *at > now);
            // What is being written down is read back first.
            self.sweep = plan.sweep.clone().filter(|_| !self.is_preparation_cut_short());
            if self.progression.state == rollout::State::Aborting && !self.is_halting {
                self.is_halting = true;
                commands.push(Command::Halt(self.key));
            }
            if self.sweep.is_some() && !self.busy.is_empty() {
                self.take_back_busy(shared);
            }
            if !self.spec.budgets.is_empty() {
                self.lay_down_unneeded(&plan, shared);
            }
            self.sweep_now(now);
            self.expire_closed(&plan);
            self.give_up_unasked(now);
            (self.unclaimed, self.is_put_off) = (0, false);
            if self.may_send() {
                self.hand_back_closed(now);
            } else if !self.leaves_claims() {
                self.hand_back(now);
            }
            if self.is_zone_unsure() {
                // Who may go is known in a moment.
            } else if self.may_send() && self.may_claim() {
                self.claim(now, &plan, shared);
            } else if self.may_send() && self.is_opening() {
                self.unclaimed = plan.claims_max;
            }
            self.log.over();
            self.add_reasons(now, shared);
            self.open_if_closed(commands);
            return plan;
        }
    }

    /// What keeps devices that only the driver knows of: counts do not show it. And what keeps all
    /// others, if nothing did before the last of them were claimed.
    fn add_reasons(&mut self, now: Time, shared: &Shared) {
        if self.waiting_on.is_empty() && self.counts.waiting() + self.counts.active() > 0 {
            let mut snapshot = self.snapshot(now);
            if self.is_put_off {
                // Enough is claimed ahead: what holds that back holds the others back, too.
                snapshot.ahead_max = 0;
            }
            self.waiting_on = plan::plan(&snapshot, &self.spec, now).waiting_on;
        }
        if let Some(rollout) = self.busy.values().find_map(|holder| shared.name_of(*holder)) {
            let (devices, rollout) = (self.busy.len() as u64, rollout.clone());
            self.waiting_on.push(WaitingOn::Busy { devices, rollout });
        }
        let left = self.cohorts.iter().map(Cohort::left);
        let devices = (shared.budgets.parked(self.key) + left.sum::<usize>()) as u64;
        if let Some(full) = shared.budgets.full(self.key, &self.spec.budgets) {
            self.waiting_on.push(WaitingOn::Domain { devices, full });
        }
        let parked = self.slots.parked(Class::Begun) + self.slots.parked(Class::Fresh);
        if parked > 0 {
            let (devices, max) = (parked as u64, self.spec.limits.max_per_host);
            self.waiting_on.push(WaitingOn::Host { devices, max });
        }
    }

    /// Before its artifact was looked at it claims only what others would take meanwhile. A constant
    /// rate would leave in a burst then: it has its places kept instead.
    pub(super) fn may_claim(&self) -> bool {
        let is_taken_otherwise = self.is_contested && self.rate.is_none();
        self.readiness == Readiness::Open || self.is_opening() && is_taken_otherwise
    }

    /// Whether its artifact is being looked at, or about to be.
    pub(super) const fn is_opening(&self) -> bool {
        matches!(self.readiness, Readiness::Closed | Readiness::Opening)
    }

    /// Nothing is sent, and nobody is asked, before the artifact was looked at.
    fn open_if_closed(&mut self, commands: &mut Vec<Command>) {
        let is_needed = self.progression.state == rollout::State::Running
            || self.watch.len() > 0
            || self.ward().is_some();
        if is_needed && self.readiness == Readiness::Closed && !self.is_stopping() {
            self.readiness = Readiness::Opening;
            let (rollout, id, spec) = (self.key, self.id, self.spec.clone());
            commands.push(Command::Open(Box::new(Opening { rollout, id, spec })));
        }
    }

    /// The artifact can be sent.
    pub(in crate::engine) const fn opened(&mut self) {
        self.readiness = Readiness::Open;
    }

    fn carry_out(&mut self, now: Time, change: &Change, plan: &Plan) {
        self.roll_back(change, now);
        change.apply_with(&plan.evidence, &mut self.progression, now);
        self.log.stands(&self.progression);
        self.pending_progression = true;
        self.pending_since.get_or_insert(now);
        let (counts, of) = (self.counts, self.progression.waves.len());
        let kind = Kind::of_change(change, of, counts, &self.spec, |wave| self.tally(wave).of);
        // A rollout of one wave is all its wave: nobody asked for more words.
        let is_plain = of == 1 && self.spec.waves.is_empty();
        let is_of_wave = matches!(change, Change::OpenWave(_) | Change::Soak(_) | Change::Rule(..));
        let is_begin = matches!(change, Change::Begin) && self.spec.start_at.is_none();
        let is_told = !(is_begin || is_plain && is_of_wave);
        if is_told {
            self.tell(now, || kind);
        }
    }

    fn dispatch(&mut self, now: Time, commands: &mut Vec<Command>) {
        let mut begun = vec![];
        let mut sendings = vec![];
        let open_max = self.spec.limits.max_in_flight.min(self.open_max) as usize;
        let may_begin =
            self.readiness == Readiness::Open && !self.is_zone_unsure() && !self.leaves_claims();
        while may_begin && self.open.len() < open_max {
            let Some(candidate) = self.ready.pop_front() else { break };
            let attempt = candidate.assignment.attempt;
            if self.manner.is_heard {
                let kind = Kind::AttemptStarted { device: candidate.endpoint.id.clone(), attempt };
                begun.push(Event { at: now, rollout: self.id, kind });
            }
            let host = candidate.endpoint.address.origin();
            let is_kept = self.spec.verify.mode != verify::Mode::None || self.slots.is_shared(host);
            self.open.insert(candidate.id, candidate.clone());
            let verify = self.spec.verify;
            // In another round it may be one that shows the version and is not well with it.
            let is_told_by_version = self.spec.health.is_none() || self.progression.round == 1;
            let ask_first = verify.first && attempt == 1 && is_told_by_version
                || self.is_restored && verify.mode == verify::Mode::Version;
            let rollout = self.key;
            sendings.push(Command::Send(Sending { rollout, candidate, ask_first, is_kept }));
        }
        if !begun.is_empty() {
            commands.push(Command::Tell(begun));
        }
        let sent = sendings.len() as u32;
        commands.append(&mut sendings);
        self.pace.observe(now, sent);
        if self.may_ask() {
            let questions = self.watch.questions(now).into_iter();
            commands.extend(questions.map(|question| Command::Ask(self.key, question)));
        }
    }

    /// Does what an operator wants, or says why not; `false` if it is to be asked again.
    pub(in crate::engine) fn act(&mut self, now: Time, seq: IntentSeq, wish: Wish<'_>) -> bool {
        let asked = wish.act;
        let is_unwritten =
            self.is_committing || !self.pending.is_empty() || self.pending_progression;
        if asked == Act::Retry && self.progression.state.is_ended() && is_unwritten {
            // The end of this round is not written down: it is looked at again.
            return false;
        }
        let before = self.progression.state;
        self.log.at(now);
        match act_seen(&self.progression, &self.spec, &self.numbers(), wish, now) {
            Ok(Acted::Changed(progression)) => {
                self.progression = *progression;
                self.log.acted(wish, None);
                self.log.stands(&self.progression);
                self.pending_progression = true;
                self.pending_since.get_or_insert(now);
                self.unacknowledged.push(seq);
                self.is_halting = false;
                let is_unsendable =
                    self.progression.paused.contains(&rollout::PauseReason::Artifact);
                if self.readiness == Readiness::Failed && !is_unsendable {
                    self.readiness = Readiness::Closed;
                }
                self.tell(now, || Kind::OperatorActed { act: asked });
                if before.is_ended() {
                    self.begin_round();
                }
            }
            Ok(Acted::Already(what)) => {
                self.log.acted(wish, Some(what.to_owned()));
                self.answer(now, seq, Answer::Already(what.to_owned()));
            }
            Err(why) => {
                self.log.acted(wish, Some(why.clone()));
                self.answer(now, seq, Answer::Refused(why));
            }
        }
        true
    }

    /// The artifact cannot be sent: nothing new is claimed before an operator has looked.
    pub(in crate::engine) fn unsendable(&mut self, now: Time, why: String) {
        self.readiness = Readiness::Failed;
        let Some(progression) = rollout::unsendable(&self.progression) else { return };
        self.progression = progression;
        self.log.push(Record::Unsendable(story::shorten(why)));
        self.log.stands(&self.progression);
        self.pending_progression = true;
        self.pending_since.get_or_insert(now);
        let reason = rollout::PauseReason::Artifact;
        self.tell(now, || Kind::RolloutPaused { reason, evidence: None });
    }

    /// Nobody can be asked any more, and nobody is waited for.
    fn give_up_unasked(&mut self, now: Time) {
        if self.readiness == Readiness::Failed
            && self.progression.state == rollout::State::Canceling
        {
            for mut candidate in self.watch.drain() {
                self.change(&mut candidate, &assignment::Fact::Canceled, now);
            }
        }
    }

    /// Ends what is open, at once.
    pub(super) fn stop_open(&mut self, now: Time) {
        let claimed = std::mem::take(&mut self.ready);
        let mut open: Vec<Candidate> = std::mem::take(&mut self.open).into_values().collect();
        open.sort_unstable_by_key(|candidate| candidate.id);
        for mut candidate in claimed.into_iter().chain(open) {
            self.slots.free(candidate.endpoint.address.origin());
            self.change(&mut candidate, &assignment::Fact::Canceled, now);
            if bites!(EndRewritten) {
                self.open.insert(candidate.id, candidate);
            }
        }
        for mut candidate in self.watch.drain() {
            self.change(&mut candidate, &assignment::Fact::Canceled, now);
        }
    }

    /// The run is to stop: nothing new is claimed.
    pub(in crate::engine) fn stop(&mut self, now: Time) {
        self.stop.get_or_insert(now);
    }
}
