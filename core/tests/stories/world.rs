//! The world of a story: its devices, its clock, and what an operator reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    time::Duration,
};

use groundswell_core::{
    admit::Rate,
    assignment::{Assignment, Fact, State, apply, dice},
    budget::Fate,
    check::{Ledger, Observation},
    device::Device,
    event::{Event, Kind},
    gate::external::{self, Notebook, Ticket, Unread, Value},
    health::{Checkup, Finding, Said, in_words},
    hours::Zone,
    ids::{AssignmentId, RolloutId},
    outcome::{Answer, Fault, Outcome},
    rollout::{
        self, Act, Acted, Membership, Numbers, Progression, Spec, WaveSize, WaveState, Wish,
        act_wished,
    },
    selector::Selector,
    snapshot::Counts,
    time::Time,
    waiting::WaitingOn,
    wave,
};
use uuid::Uuid;

use super::{
    book::Book,
    domains::Slots,
    script::{Script, devices, duration, ids, words},
};

pub(crate) struct Row {
    pub(crate) id: AssignmentId,
    pub(crate) device: Device,
    pub(crate) wave: usize,
    pub(crate) assignment: Assignment,
    pub(crate) is_superseded: bool,
    /// Whether it waits for a place on its host, and that was written down.
    pub(crate) is_parked: bool,
    pub(crate) slots: Slots,
    /// What it says when it is asked for its version.
    pub(crate) answer: Answer,
    /// Bad answers in a row since it was updated, and whether these were enough.
    bad: u32,
    pub(crate) is_regressed: bool,
}

pub(crate) struct World {
    pub(crate) now: Time,
    begins: Time,
    pub(crate) spec: Spec,
    pub(crate) progression: Progression,
    pub(crate) rows: Vec<Row>,
    /// Those that later rounds do not have.
    pub(crate) gone: Vec<Row>,
    pub(crate) rate: Option<Rate>,
    pub(crate) waiting_on: Vec<WaitingOn>,
    pub(crate) wake_at: Option<Time>,
    pub(crate) told: String,
    /// What is known of the checks that were asked, and the questions that are open.
    pub(crate) checks: Notebook,
    pub(crate) questions: BTreeMap<usize, (Ticket, Time)>,
    /// How far it is known how the devices of the wave that soaks are.
    pub(crate) checkup: Checkup,
    /// What is written down of it.
    pub(crate) book: Book,
    /// What was said last of where it stands, so that it is not said again.
    summary: String,
    /// Objects to whatever should not have happened.
    ledger: Ledger,
    others: Vec<Device>,
}

pub(crate) const ROLLOUT: RolloutId = RolloutId(Uuid::nil());

pub(crate) type Done = Result<(), String>;

fn silence() -> Answer {
    Answer::Silent { fault: Fault::ConnectRefused, detail: String::new() }
}

impl World {
    pub(crate) fn new(script: &Script) -> Result<Self, String> {
        let (now, spec) = (script.begins, script.spec.clone());
        let rate = spec.limits.per_minute.map(|per_minute| Rate::new(per_minute, now));
        let mut world = Self {
            now,
            begins: now,
            progression: Progression::draft(&spec),
            spec,
            rows: vec![],
            gone: vec![],
            rate,
            waiting_on: vec![],
            wake_at: None,
            checks: Notebook::default(),
            questions: BTreeMap::new(),
            checkup: Checkup::Done,
            told: String::new(),
            book: Book::default(),
            summary: String::new(),
            ledger: Ledger::default(),
            others: vec![],
        };
        world.choose(&script.devices)?;
        world.ledger.rollout(ROLLOUT, &world.spec, 0);
        world.book.created(&world.spec, now);
        world.list(0);
        Ok(world)
    }

    /// Writes down the devices selected, each in its wave.
    fn choose(&mut self, devices: &[Device]) -> Done {
        let is_chosen = |select: Option<&String>, device: &Device| match select {
            Some(text) => Selector::parse(text).map(|s| s.matches(device, self.now)).map_err(words),
            None => Ok(true),
        };
        let (mut chosen, mut bits) = (vec![], vec![]);
        for device in devices {
            if !is_chosen(self.spec.select.as_ref(), device)? {
                self.others.push(device.clone());
                continue;
            }
            let mut bit = 0_u128;
            for (number, wave) in self.spec.waves.iter().enumerate() {
                if let WaveSize::Select(text) = &wave.size {
                    bit |= u128::from(is_chosen(Some(text), device)?) << number;
                }
            }
            chosen.push(device.clone());
            bits.push(bit);
        }
        let waves = wave::divide(&self.spec.waves, &bits);
        for (device, wave) in chosen.into_iter().zip(waves) {
            let id = self.book.next_id(&device.id);
            let row = row(id, device, usize::from(wave));
            self.rows.push(row);
        }
        Ok(())
    }

    pub(crate) fn step(&mut self, line: &str) -> Done {
        if !self.told.is_empty() {
            self.told.push('\n');
        }
        let _ = writeln!(self.told, "> {line}");
        if let Some(verb) = Act::ALL.into_iter().find(|verb| verb.as_str() == line) {
            self.act(verb.into());
        } else if let Some(reason) = line.strip_prefix("approve: ") {
            self.act(Wish { reason: Some(reason), ..Act::Approve.into() });
        } else {
            match line.split_once(' ') {
                Some(("wait", span)) => self.wait(duration(span)?),
                Some(("join", text)) => self.join(text)?,
                Some(("release", what)) => self.release(what)?,
                Some(("driver", "dies")) => self.restart(),
                Some(("everybody", "was asked")) => self.checkup = Checkup::Done,
                Some(("gate", said)) => self.answer(said)?,
                Some((who, what)) => self.happen(who, what)?,
                None if line == "status" => self.summary.clear(),
                None => return Err("no such step".to_owned()),
            }
        }
        self.settle()?;
        self.summarize();
        Ok(())
    }

    /// Writes the devices from this one on down in the books.
    fn list(&mut self, first: usize) {
        for at in first..self.rows.len() {
            let Row { device, wave, .. } = &self.rows[at];
            let (id, wave) = (device.id.clone(), *wave);
            let host = device.address.as_ref().map(|address| address.origin().to_owned());
            self.ledger.device(&id, device.time_zone.as_deref(), host.as_deref());
            self.ledger.device_tags(&id, &device.tags);
            self.see(&Observation::Listed { rollout: ROLLOUT, device: &id, wave });
        }
        let cohorts = self.cohorts(first);
        self.book.listed(&cohorts, self.progression.round, self.now);
    }

    pub(crate) fn see(&mut self, seen: &Observation<'_>) {
        let breaches = self.ledger.observe(seen, self.now);
        assert!(breaches.is_empty(), "{breaches:?} after:\n{}", self.told);
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts_where(|_| true)
    }

    pub(crate) fn counts_where(&self, holds: impl Fn(&Row) -> bool) -> Counts {
        let mut counts = Counts::default();
        for row in self.rows.iter().filter(|row| holds(row)) {
            *counts.of_mut(row.assignment.state) += 1;
            counts.regressed += u64::from(row.is_regressed);
        }
        counts
    }

    pub(crate) fn say(&mut self, kind: Kind) {
        let event = Event { at: self.now, rollout: ROLLOUT, kind };
        self.line(&event.to_string());
    }

    pub(crate) fn line(&mut self, text: &str) {
        self.line_at(self.now, text);
    }

    pub(crate) fn line_at(&mut self, at: Time, text: &str) {
        let time = Zone::utc().local_text(at, at);
        let days = at.since(self.begins).as_secs() / 86_400;
        let later = if days > 0 { format!(" +{days} d") } else { String::new() };
        let _ = writeln!(self.told, "{time}{later}  {text}");
    }

    fn act(&mut self, wish: Wish<'_>) {
        let verb = wish.act;
        let current = self.progression.current();
        let waves = 0..self.progression.waves.len();
        let counted = waves.map(|wave| (wave, self.counts_where(|row| row.wave == wave)));
        let numbers = Numbers::of(&self.progression, counted);
        self.book.log.at(self.now);
        match act_wished(&self.progression, &self.spec, &numbers, wish, self.now) {
            Err(refusal) => {
                self.book.log.acted(wish, Some(refusal.to_string()));
                self.line(&refusal.to_string());
            }
            Ok(Acted::Already(why)) => {
                self.book.log.acted(wish, Some(why.to_owned()));
                self.line(why);
            }
            Ok(Acted::Changed(progression)) => {
                let verdict = |progression: &Progression| {
                    current.and_then(|wave| progression.waves.get(wave)?.verdict())
                };
                let before = verdict(&self.progression);
                let is_next_round = progression.round > self.progression.round;
                self.progression = *progression;
                self.book.log.acted(wish, None);
                self.book.log.stands(&self.progression);
                self.say(Kind::OperatorActed { act: verb });
                if let (Act::Approve, Some(wave)) = (verb, current) {
                    self.see(&Observation::Approved { rollout: ROLLOUT, wave });
                }
                if let (Some(verdict), Some(wave)) = (verdict(&self.progression), current)
                    && before != Some(verdict)
                {
                    let of = self.progression.waves.len();
                    self.say(Kind::GateRuled { wave: wave + 1, of, verdict });
                    self.see(&Observation::Advanced { rollout: ROLLOUT, wave });
                    let ruling = verdict.ruling;
                    self.see(&Observation::GateRuled { rollout: ROLLOUT, wave, ruling });
                }
                if is_next_round {
                    self.begin_round();
                }
                self.see(&match self.progression.state {
                    rollout::State::Paused
                    | rollout::State::Canceling
                    | rollout::State::Aborting => Observation::Stopped { rollout: ROLLOUT },
                    _ => Observation::Resumed { rollout: ROLLOUT },
                });
                if self.progression.state == rollout::State::Preparing {
                    rollout::end_preparing(&mut self.progression);
                    let cohorts = self.cohorts(0);
                    self.book.prepared(&cohorts, &self.progression);
                }
            }
        }
    }

    /// `1 answers 200 5`, `1 answers 503`, `1 answers nothing`, `1 has no answer`
    fn answer(&mut self, said: &str) -> Done {
        let (gate, said) = said.split_once(' ').ok_or("which gate?")?;
        let gate: usize = gate.parse::<usize>().map_err(words)? - 1;
        let (ticket, asked_at) = self.questions.remove(&gate).ok_or("it was not asked")?;
        let answer = match said.strip_prefix("answers ") {
            None if said == "has no answer" => external::Answer::Silent(Fault::ConnectRefused),
            None => return Err("no such answer".to_owned()),
            Some("nothing") => external::Answer::Unreadable(200, Unread::Empty),
            Some("NaN") => external::Answer::Unreadable(200, Unread::Number),
            Some(text) => match text.split_once(' ') {
                None => external::Answer::Status(text.parse().map_err(words)?),
                Some((status, value)) => {
                    let value = match value.strip_prefix('"') {
                        Some(text) => Value::Text(text.trim_end_matches('"').to_owned()),
                        None => Value::Number(value.parse().map_err(words)?),
                    };
                    external::Answer::Value(status.parse().map_err(words)?, value)
                }
            },
        };
        let check = self.spec.gates[gate].check().ok_or("it is no check")?;
        // The story says by itself what it means: nothing is judged twice in the same way.
        let is_go = match &answer {
            external::Answer::Value(200, Value::Number(is)) => is.to_string().starts_with('0'),
            external::Answer::Value(200, Value::Text(text)) => text == "ok",
            external::Answer::Status(200) => check.wants() == "HTTP 200",
            _ => false,
        };
        if self.checks.answered(ticket, answer, self.now) {
            self.see(&Observation::Answered { rollout: ROLLOUT, gate, asked_at, is_go });
        } else {
            self.line("nobody waits for that answer");
        }
        Ok(())
    }

    fn begin_round(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        let (again, gone): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| {
            let state = row.assignment.state;
            state.is_failure() || state == State::Canceled || row.is_regressed
        });
        self.rows = again;
        // They are where they were, and may keep slots there.
        self.gone.extend(gone);
        for row in &mut self.rows {
            (row.bad, row.is_regressed) = (0, false);
            (row.id, row.assignment) = (self.book.next_id(&row.device.id), Assignment::queued());
        }
        let waves = wave::divide(&self.spec.waves, &vec![0; self.rows.len()]);
        for (row, wave) in self.rows.iter_mut().zip(waves) {
            row.wave = usize::from(wave);
        }
        self.see(&Observation::RoundBegan { rollout: ROLLOUT });
        self.list(0);
    }

    fn join(&mut self, text: &str) -> Done {
        if self.spec.membership != Membership::Dynamic {
            return Err("nobody joins".to_owned());
        }
        let current = self.progression.current();
        for device in devices(text, self.now)? {
            let place = wave::place(&self.spec.salt, &device.id);
            let wave = wave::wave_of_joiner(&self.spec.waves, place, current);
            self.line(&format!("{} joins wave {}", device.id, wave + 1));
            let row = row(self.book.next_id(&device.id), device, wave);
            self.rows.push(row);
            self.list(self.rows.len() - 1);
        }
        Ok(())
    }

    /// The driver is killed and started again: whether it sent what was open is not known.
    fn restart(&mut self) {
        self.see(&Observation::Restarted);
        self.checks = Notebook::default();
        if self.spec.health.is_some() {
            self.checkup = Checkup::Asking;
        }
        let cohorts = self.cohorts(0);
        self.book.taken(&cohorts, self.now);
        for row in &mut self.rows {
            row.assignment = row.assignment.taken_over(&self.spec, self.now);
        }
        for at in 0..self.rows.len() {
            if self.rows[at].assignment.state == State::Delivering {
                self.apply(at, &Fact::Orphaned);
            }
        }
    }

    /// Time passes, from one thing that is due to the next.
    fn wait(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let due = self.rows.iter().filter_map(|row| match row.assignment.state {
                State::Away | State::Absent | State::Verifying | State::Retrying => {
                    Some(row.assignment.due_at)
                }
                _ => None,
            });
            let next = due.chain(self.wake_at).filter(|at| *at > self.now).min();
            self.now = next.map_or(end, |at| at.min(end));
            self.ask();
            let _ = self.settle();
            if self.now >= end {
                return;
            }
        }
    }

    /// Asks those whose time to show their version is over.
    fn ask(&mut self) {
        for at in 0..self.rows.len() {
            let Row { assignment, answer, .. } = &self.rows[at];
            if assignment.state == State::Verifying && assignment.due_at <= self.now {
                self.apply(at, &Fact::Asked(answer.clone()));
            }
        }
    }

    fn happen(&mut self, who: &str, what: &str) -> Done {
        let named: BTreeSet<String> = ids(who).into_iter().collect();
        let open = |row: &Row| matches!(row.assignment.state, State::Delivering | State::Verifying);
        let chosen: Vec<usize> = (0..self.rows.len())
            .filter(|at| {
                let row = &self.rows[*at];
                if who == "all" { open(row) } else { named.contains(&row.device.id) }
            })
            .collect();
        if who != "all" && chosen.len() < named.len() {
            return Err("no such device".to_owned());
        }
        chosen.into_iter().try_for_each(|at| self.happen_to(at, what))
    }

    fn happen_to(&mut self, at: usize, what: &str) -> Done {
        let fault = |fault| Outcome::NotSent { fault, detail: String::new() };
        let refused =
            |status| Outcome::Refused { status, retry_after: None, detail: String::new() };
        let outcome = match what.split_once(' ').unwrap_or((what, "")) {
            ("succeed" | "succeeds", _) => {
                if self.rows[at].assignment.state == State::Delivering {
                    self.apply(at, &Fact::Delivered(Outcome::Accepted { status: 200 }));
                }
                let version = self.spec.release.version.clone();
                match self.rows[at].assignment.state {
                    State::Verifying => self.apply(at, &Fact::Asked(Answer::Version { version })),
                    State::Succeeded => {}
                    _ => return Err("it is not open".to_owned()),
                }
                return Ok(());
            }
            ("accept" | "accepts", _) => Outcome::Accepted { status: 200 },
            ("refuse" | "refuses", status) => refused(status.parse().map_err(words)?),
            ("fail" | "fails", _) => refused(400),
            ("is" | "are", "unreachable") => fault(Fault::ConnectRefused),
            ("is" | "are", "current") => Outcome::AlreadyCurrent,
            ("does" | "do", "not answer") => {
                Outcome::Unknown { fault: Fault::Reset, detail: String::new() }
            }
            ("answers" | "answer", status) => {
                let said = Said::Status(status.parse().map_err(words)?);
                return self.ask_how_it_is(at, &said);
            }
            ("is" | "are", "silent") => {
                return self.ask_how_it_is(at, &Said::Silent(Fault::ConnectRefused));
            }
            ("shows" | "show", version) if self.rows[at].assignment.state == State::Succeeded => {
                return self.ask_how_it_is(at, &Said::Version(version.into()));
            }
            ("shows" | "show", version) => {
                let answer = Answer::Version { version: version.to_owned() };
                self.rows[at].answer = answer.clone();
                self.rows[at].device.version = Some(version.to_owned());
                self.apply(at, &Fact::Asked(answer));
                return Ok(());
            }
            ("calls" | "call", _) => {
                let row = &mut self.rows[at];
                row.device.last_seen = Some(self.now);
                if matches!(row.assignment.state, State::Away | State::Absent) {
                    self.apply(at, &Fact::Contacted);
                }
                self.call(at);
                return Ok(());
            }
            ("is" | "are", "superseded") => {
                self.rows[at].is_superseded = true;
                return Ok(());
            }
            _ => return Err("nothing that could happen to a device".to_owned()),
        };
        self.apply(at, &Fact::Delivered(outcome));
        Ok(())
    }

    /// A device of a wave that soaks is asked how it is, and says this.
    fn ask_how_it_is(&mut self, at: usize, said: &Said) -> Done {
        let health = self.spec.health.clone().ok_or("nobody asks")?;
        let Row { id, device, wave, assignment, bad, is_regressed, slots, .. } = &mut self.rows[at];
        let is_soaking = self.progression.current() == Some(*wave)
            && matches!(self.progression.waves[*wave].state, WaveState::Soaking { .. });
        let is_needless = *is_regressed && !slots.has_failed();
        if assignment.state != State::Succeeded || is_needless || !is_soaking {
            return Err("it is not asked".to_owned());
        }
        if *is_regressed {
            if health.judge(said, &self.spec.release.version, 0) == Finding::Well {
                self.recover(at);
            }
            return Ok(());
        }
        *bad = match health.judge(said, &self.spec.release.version, *bad) {
            Finding::Regressed(times) => {
                *is_regressed = true;
                slots.regress();
                let (device, id, wave): (std::sync::Arc<str>, _, _) =
                    (device.id.as_str().into(), *id, *wave);
                let zone = self.spec.schedule.zone_of(self.rows[at].device.time_zone.as_deref());
                self.book.log.at(self.now);
                self.book.log.decided();
                self.book.log.regressed(id, (wave, Some(&zone)), said, times);
                self.see(&Observation::Unwell { rollout: ROLLOUT, device: &device });
                let detail = in_words(said, times);
                self.say(Kind::DeviceRegressed { device, detail });
                return Ok(());
            }
            Finding::Unwell(times) => times,
            Finding::Well | Finding::Nothing => 0,
        };
        Ok(())
    }

    /// Something happened to a device: what follows, and what is told of it.
    pub(crate) fn apply(&mut self, at: usize, fact: &Fact) {
        let row = &mut self.rows[at];
        let device: std::sync::Arc<str> = row.device.id.as_str().into();
        let from = row.assignment;
        let dice = dice(row.id, from.attempt);
        let transition = match apply(&from, fact, &self.spec, self.now, dice) {
            Ok(transition) => transition,
            Err(illegal) => return self.line(&format!("{device}: {illegal}")),
        };
        row.assignment = transition.to;
        if let Some(fate) = Fate::of(from.state, transition.to.state) {
            row.slots.settle(fate);
        }
        self.book.happened(row, from, fact, self.now);
        let to = transition.to.state;
        if transition.to.state == State::Verifying && from.state != State::Verifying {
            row.answer = silence();
        }
        for kind in kinds(&device, from, transition.to, transition.detail) {
            self.say(kind);
        }
        if let Fact::Asked(Answer::Version { version }) = fact {
            self.see(&Observation::Showed { device: &device, version });
        }
        let (rollout, device) = (ROLLOUT, &*device);
        if from.state != to {
            self.see(&Observation::State { rollout, device, from: from.state, to });
        }
        match fact {
            Fact::Claimed if to == State::Delivering => {
                self.see(&Observation::Sent { rollout, device });
            }
            Fact::Delivered(Outcome::NotSent { .. } | Outcome::Refused { .. }) => {
                self.see(&Observation::NotTaken { rollout, device });
            }
            _ => {}
        }
    }

    /// Where it stands, if that is not what was said last.
    fn summarize(&mut self) {
        let counts = self.counts();
        let mut text = self.progression.state.to_string();
        if !self.progression.paused.is_empty() {
            let reasons = self.progression.paused.iter().map(ToString::to_string);
            let _ = write!(text, " ({})", reasons.collect::<Vec<_>>().join(", "));
        }
        let mut sep = ": ";
        for (count, what) in [
            (counts.queued, "queued"),
            (counts.away, "away"),
            (counts.absent, "absent"),
            (counts.delivering, "delivering"),
            (counts.verifying, "verifying"),
            (counts.retrying, "retrying"),
            (counts.succeeded, "succeeded"),
            (counts.current, "current"),
            (counts.skipped, "skipped"),
            (counts.failed, "failed"),
            (counts.unreachable, "unreachable"),
            (counts.timed_out, "timed out"),
            (counts.canceled, "canceled"),
            (counts.regressed, "regressed"),
        ] {
            if count > 0 {
                let _ = write!(text, "{sep}{count} {what}");
                sep = ", ";
            }
        }
        text.push('\n');
        for reason in &self.waiting_on {
            let _ = writeln!(text, "         - {}", reason.in_words(self.now));
        }
        if text != self.summary {
            let _ = write!(self.told, "     = {text}");
            self.summary = text;
        }
    }
}

fn row(id: AssignmentId, device: Device, wave: usize) -> Row {
    let assignment = Assignment::queued();
    let (is_superseded, is_parked) = (false, false);
    Row {
        id,
        device,
        wave,
        assignment,
        is_superseded,
        is_parked,
        slots: Slots::default(),
        answer: silence(),
        bad: 0,
        is_regressed: false,
    }
}

/// The events of a change of one device.
fn kinds(
    device: &std::sync::Arc<str>,
    from: Assignment,
    to: Assignment,
    detail: String,
) -> Vec<Kind> {
    let attempt = from.attempt.max(1);
    let device = || device.clone();
    match to.state {
        State::Delivering => {
            vec![Kind::AttemptStarted { device: device(), attempt: to.attempt }]
        }
        State::Queued => vec![],
        State::Away | State::Absent if matches!(from.state, State::Away | State::Absent) => vec![],
        State::Away | State::Absent => {
            vec![Kind::DeviceAway { device: device(), since: to.away_since, detail }]
        }
        State::Verifying if from.state == State::Verifying => vec![],
        State::Verifying if to.in_doubt => {
            vec![Kind::AttemptUnanswered { device: device(), attempt, detail }]
        }
        State::Verifying => vec![Kind::AttemptAccepted { device: device(), attempt }],
        state if !from.state.is_active() => {
            vec![Kind::DeviceEnded { device: device(), state, detail }]
        }
        State::Canceled => vec![Kind::DeviceEnded { device: device(), state: to.state, detail }],
        state @ (State::Succeeded | State::Skipped(_)) => {
            vec![Kind::AttemptSucceeded { device: device(), attempt, state }]
        }
        state @ (State::Failed(_) | State::TimedOut(_)) => {
            vec![Kind::AttemptFailed { device: device(), attempt, state, detail }]
        }
        state @ State::Retrying => vec![
            Kind::AttemptFailed { device: device(), attempt, state, detail },
            Kind::WillRetry { device: device(), attempt: to.attempt + 1, due_at: to.due_at },
        ],
    }
}
