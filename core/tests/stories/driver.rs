//! A naive driver over the pure core: everything in one list, nothing clever.

use std::collections::BTreeMap;

use groundswell_core::{
    admit::{Judgment, Known, consider},
    assignment::{Fact, SkipReason, State},
    check::Observation,
    event::Kind,
    hours::Zone,
    ids::AssignmentId,
    log::{Becomes, CohortCounts},
    plan::{Change, Plan, Sweep, SweepReason, plan},
    snapshot::{Allowance, Cohort, Counts, Snapshot},
    waiting::WaitingOn,
};

use super::world::{ROLLOUT, Row, World};

/// Rounds of deciding and doing after one step; more means that it does not come to rest.
const ROUNDS_MAX: usize = 200;

impl World {
    /// Decides and does, until nothing more happens by itself.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        self.book.log.at(self.now);
        for _ in 0..ROUNDS_MAX {
            self.checks.keep_to(self.progression.generation);
            let (snapshot, members) = self.snapshot();
            let plan = plan(&snapshot, &self.spec, self.now);
            self.book.log.planned(snapshot, &plan);
            (self.waiting_on, self.wake_at) = (plan.waiting_on.clone(), plan.wake_at);
            let has_done = if let Some(change) = plan.change {
                self.change(change, &plan);
                true
            } else if let Some(sweep) = &plan.sweep {
                self.sweep(sweep, &members);
                true
            } else {
                let has_asked = self.ask_gates(&plan.ask);
                self.claim(&plan, &members) || has_asked
            };
            if !has_done {
                self.tell_of_hosts(&plan, &members);
                self.tell_of_domains(&plan, &members);
                let counts = self.counts();
                self.see(&Observation::Counted { rollout: ROLLOUT, counts: &counts });
                let reasons = self.waiting_on.len();
                self.see(&Observation::Idle { rollout: ROLLOUT, reasons });
                self.book.commit(self.now);
                return Ok(());
            }
        }
        Err("it does not come to rest".to_owned())
    }

    /// Counts by wave and zone, and which rows they are.
    fn snapshot(&self) -> (Snapshot, Vec<Vec<usize>>) {
        let schedule = &self.spec.schedule;
        let mut groups: BTreeMap<(usize, Zone), Vec<usize>> = BTreeMap::new();
        for (at, row) in self.rows.iter().enumerate() {
            let zone = schedule.zone_of(row.device.time_zone.as_deref());
            groups.entry((row.wave, zone)).or_default().push(at);
        }
        let begun = self.progression.started_at;
        let cohorts = groups.iter().map(|((wave, zone), members)| {
            let mut counts = Counts::default();
            for at in members {
                *counts.of_mut(self.rows[*at].assignment.state) += 1;
                counts.regressed += u64::from(self.rows[*at].is_regressed);
            }
            let phase = schedule.hours.at(zone, self.now);
            let closes_for_good_at = begun.and_then(|at| schedule.closes_for_good_at(zone, at));
            Cohort { wave: *wave, zone: Some(zone.clone()), phase, closes_for_good_at, counts }
        });
        let allowance =
            self.rate.as_ref().map_or(Allowance::UNLIMITED, |rate| rate.allowance(self.now));
        let snapshot = Snapshot {
            progression: self.progression.clone(),
            cohorts: cohorts.collect(),
            checks: self.checks.asked(),
            ahead_max: 0,
            allowance,
            driver_places: u32::MAX,
            checkup: self.checkup,
            is_being_written: false,
            is_stopping: false,
        };
        (snapshot, groups.into_values().collect())
    }

    /// The rows from this one on, by wave and zone.
    pub(crate) fn cohorts(&self, first: usize) -> Vec<(CohortCounts, Vec<AssignmentId>)> {
        let mut cohorts: BTreeMap<(usize, Zone), (CohortCounts, Vec<AssignmentId>)> =
            BTreeMap::new();
        for row in &self.rows[first..] {
            let zone = self.spec.schedule.zone_of(row.device.time_zone.as_deref());
            let (wave, counts) = (row.wave, Counts::default());
            let empty = CohortCounts { wave, zone: Some(zone.clone()), counts };
            let (cohort, ids) = cohorts.entry((wave, zone)).or_insert_with(|| (empty, vec![]));
            *cohort.counts.of_mut(row.assignment.state) += 1;
            cohort.counts.regressed += u64::from(row.is_regressed);
            ids.push(row.id);
        }
        cohorts.into_values().collect()
    }

    fn ask_gates(&mut self, gates: &[usize]) -> bool {
        for gate in gates {
            let ticket = self.checks.ask(*gate, self.now);
            self.questions.insert(*gate, (ticket, self.now));
            self.line(&format!("gate {} is asked", gate + 1));
        }
        !gates.is_empty()
    }

    fn change(&mut self, change: Change, plan: &Plan) {
        let wave_counts = |wave| self.counts_where(|row| row.wave == wave).total();
        let (of, counts) = (self.progression.waves.len(), self.counts());
        let kind = Kind::of_change(&change, of, counts, &self.spec, wave_counts);
        change.apply_with(&plan.evidence, &mut self.progression, self.now);
        self.book.log.stands(&self.progression);
        self.say(kind);
        let rollout = ROLLOUT;
        match change {
            Change::Begin => {}
            Change::OpenWave(wave) => self.see(&Observation::WaveOpened { rollout, wave }),
            Change::Soak(wave) => self.see(&Observation::WaveEnded { rollout, wave }),
            Change::Rule(wave, verdict) => {
                let ruling = verdict.ruling;
                self.see(&Observation::GateRuled { rollout, wave, ruling });
            }
            Change::Pause { .. } | Change::Abort { .. } => {
                self.see(&Observation::Stopped { rollout });
            }
            Change::Complete
            | Change::Fail
            | Change::NoDevice
            | Change::Canceled
            | Change::Aborted => {
                self.see(&Observation::Ended { rollout });
                self.see(&Observation::Counted { rollout, counts: &counts });
            }
        }
    }

    fn sweep(&mut self, sweep: &Sweep, members: &[Vec<usize>]) {
        for at in sweep.cohorts.iter().flat_map(|cohort| members[*cohort].clone()) {
            let state = self.rows[at].assignment.state;
            let fact = match sweep.why {
                SweepReason::Canceled if state.is_waiting() || state == State::Retrying => {
                    Fact::Canceled
                }
                SweepReason::Aborted if !state.is_terminal() => Fact::Canceled,
                SweepReason::Deadline if state.is_waiting() => Fact::Expired(SkipReason::Deadline),
                SweepReason::WindowClosed if state.is_waiting() => {
                    Fact::Expired(SkipReason::WindowClosed)
                }
                _ => continue,
            };
            self.apply(at, &fact);
        }
    }

    /// Claims what the plan allows, in order; whether anything changed.
    fn claim(&mut self, plan: &Plan, members: &[Vec<usize>]) -> bool {
        let (mut claims, mut fresh, mut changes) = (0, 0, 0);
        for at in plan.open.iter().flat_map(|cohort| members[*cohort].clone()) {
            let assignment = self.rows[at].assignment;
            let is_fresh = assignment.state.is_waiting();
            let is_due = assignment.state == State::Queued || assignment.due_at <= self.now;
            if claims >= plan.claims_max || assignment.state.is_terminal() || !is_due {
                continue;
            }
            if matches!(assignment.state, State::Delivering | State::Verifying) {
                continue;
            }
            if is_fresh && fresh >= plan.fresh_max {
                continue;
            }
            if is_fresh && let Some(fact) = self.judge(at) {
                self.apply(at, &fact);
                changes += 1;
                continue;
            }
            if self.is_host_full(at) {
                self.park(at);
                continue;
            }
            if is_fresh && self.full(at).is_some() {
                self.park_on_domain(at);
                continue;
            }
            self.unpark(at);
            if is_fresh {
                self.log_judged(at, Becomes::Claimed);
            }
            self.rows[at].is_parked = false;
            self.apply(at, &Fact::Claimed);
            claims += 1;
            fresh += u32::from(is_fresh);
        }
        if let Some(rate) = &mut self.rate {
            rate.used(claims, self.now);
        }
        claims + changes > 0
    }

    /// What becomes of a device whose turn has come, unless it goes.
    fn judge(&mut self, at: usize) -> Option<Fact> {
        let attempt = self.rows[at].assignment.attempt;
        match consider(true, Some(&self.known(at)), attempt > 0, &self.spec, self.now) {
            Judgment::Go => None,
            Judgment::Skip(reason) => {
                self.log_judged(at, Becomes::Skipped(reason));
                Some(Fact::Skipped(reason))
            }
            Judgment::Wait { since } => {
                self.log_judged(at, Becomes::Away);
                Some(Fact::Away { since })
            }
        }
    }

    fn known(&self, at: usize) -> Known {
        let Row { device, is_superseded, .. } = &self.rows[at];
        Known {
            last_seen: device.last_seen,
            check_in: device.check_in,
            version: device.version.as_deref().map(Into::into),
            is_superseded: *is_superseded,
            failed_in_row: 0,
        }
    }

    pub(crate) fn log_judged(&mut self, at: usize, becomes: Becomes) {
        let (id, known): (AssignmentId, Known) = (self.rows[at].id, self.known(at));
        self.book.log.judged(id, true, Some(&known), becomes);
    }

    /// That it waits for its host is written down once.
    fn park(&mut self, at: usize) {
        let is_new = !std::mem::replace(&mut self.rows[at].is_parked, true);
        if is_new && self.rows[at].assignment.state.is_waiting() {
            self.log_judged(at, Becomes::Host);
        }
    }

    /// Those that the plan lets go and their hosts do not.
    fn tell_of_hosts(&mut self, plan: &Plan, members: &[Vec<usize>]) {
        let open = plan.open.iter().flat_map(|cohort| &members[*cohort]);
        let is_waiting = |at: &&usize| {
            let state = self.rows[**at].assignment.state;
            matches!(state, State::Queued | State::Retrying) && self.is_host_full(**at)
        };
        let devices = open.filter(is_waiting).count() as u64;
        if devices > 0 && plan.claims_max > 0 {
            let max = self.spec.limits.max_per_host;
            self.waiting_on.push(WaitingOn::Host { devices, max });
        }
    }

    fn is_host_full(&self, at: usize) -> bool {
        let host = &self.rows[at].device.address;
        let on_host = self.rows.iter().filter(|row| {
            row.device.address.is_some()
                && row.device.address == *host
                && row.assignment.state == State::Delivering
        });
        on_host.count() >= self.spec.limits.max_per_host as usize
    }
}
