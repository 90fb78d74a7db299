//! One device of a rollout, told from its first line to its last.

use std::{collections::BTreeSet, fmt::Write as _, time::Duration};

use super::{
    Line, Others, course,
    fact::Happening,
    line::Lines,
    story::NOT_CLAIMED,
    wait::{Waits, keeps},
};
use crate::{
    assignment::{Assignment, SkipReason, State},
    gate::external::Evidence,
    health::in_words,
    hours::{ClosedBy, Phase, Zone},
    ids::{AssignmentId, Epoch},
    log::{
        Acted, Base, Becomes, Entry, Happened, Judged, Listed, Met, Moved, Record, Regressed,
        Report, Step, Taken, replay::Replay,
    },
    plan::Change,
    rollout::{self, Spec},
    time::Time,
    waiting::{WaitingOn, span},
};

/// Folds the entries of a log into the story of one device.
///
/// What the rollout did is told as long as it keeps the device waiting.
#[derive(Debug)]
pub struct DeviceStory {
    replay: Replay,
    lines: Lines,
    waits: Waits,
    /// The device's id: whoever knows no assignments finds them by it.
    device: String,
    ids: BTreeSet<AssignmentId>,
    /// The assignment that is told of now, and where it is.
    current: Option<(AssignmentId, Place)>,
    /// Why the rollout did not come to it, unless it turns out that it did just then.
    held: Vec<Line>,
    /// Its hours, if they keep it and that was told.
    closed: Option<(ClosedBy, Option<Time>)>,
    /// What became of it when it was last judged, unless something has happened since.
    judged: Option<Becomes>,
    /// The driver that has the rollout.
    driver: Option<Epoch>,
    /// Other rollouts by their numbers, as people know them.
    others: Others,
}

#[derive(Clone, Debug)]
struct Place {
    wave: usize,
    zone: String,
}

impl DeviceStory {
    /// The story of a device: by its id, and by the assignments it has, as far as these are known.
    pub fn new(device: &str, ids: impl IntoIterator<Item = AssignmentId>) -> Self {
        Self {
            replay: Replay::new(""),
            lines: Lines::default(),
            waits: Waits::default(),
            device: device.to_owned(),
            ids: ids.into_iter().collect(),
            current: None,
            held: vec![],
            closed: None,
            judged: None,
            driver: None,
            others: Others::default(),
        }
    }

    /// The same beside other rollouts.
    #[must_use]
    pub fn beside(self, others: Others) -> Self {
        Self { others, ..self }
    }

    /// Takes in the next entry.
    pub fn entry(&mut self, entry: &Entry) {
        self.replay.begin(entry);
        for record in &entry.records {
            self.record(record);
        }
    }

    /// The sentences, none if the device was never in it; and what came of running the records
    /// again.
    pub fn finish(mut self) -> (Vec<Line>, Report) {
        self.tell_held();
        (self.lines.finish(), self.replay.report())
    }

    fn record(&mut self, record: &Record) {
        match record {
            Record::Happened(happened) => self.happened(record, happened),
            Record::Acted(acted) => self.acted(record, acted),
            _ => {
                self.replay.record(record);
                self.other(record);
            }
        }
    }

    fn other(&mut self, record: &Record) {
        match record {
            Record::Base(base) if self.current.is_none() => self.pruned(base),
            Record::Listed(listed) => self.listed(listed),
            Record::Unlisted(ids) if self.current.as_ref().is_some_and(|(id, _)| ids.has(*id)) => {
                self.say("taken out again, the devices are chosen anew".to_owned());
                self.current = None;
            }
            Record::Moved(Moved { zone, ids }) => {
                if let Some((_, place)) = self.current.as_mut().filter(|(id, _)| ids.has(*id)) {
                    zone.name().clone_into(&mut place.zone);
                    self.closed = None;
                    self.say(format!("its hours are those of {zone} from now on"));
                }
            }
            Record::Met(met) => self.meet(met),
            Record::TakenUp { waives_gate } if self.is_open() => {
                self.say(course::taken_up(*waives_gate).to_owned());
            }
            Record::Taken(taken) => self.taken(taken),
            Record::Step(step) => self.step(&step.at(self.replay.now)),
            Record::Judged(judged) => self.judged(judged),
            Record::Regressed(Regressed { said, times, ids, .. })
                if self.ids.iter().any(|id| ids.has(*id)) =>
            {
                self.say(format!("regressed: {}", in_words(said, *times)));
            }
            Record::Unclaimed(rows) if rows.iter().any(|(id, _)| self.is_current(*id)) => {
                self.say(NOT_CLAIMED.to_owned());
            }
            Record::Unsendable(why) if self.is_open() => {
                self.say(format!("the rollout is paused, the artifact cannot be sent: {why}"));
            }
            _ => {}
        }
    }

    fn say(&mut self, text: String) {
        self.tell_held();
        self.lines.push(self.replay.now, text);
    }

    fn tell_held(&mut self) {
        for Line { at, text } in self.held.drain(..) {
            self.lines.push(at, text);
        }
    }

    fn is_current(&self, id: AssignmentId) -> bool {
        self.current.as_ref().is_some_and(|(current, _)| *current == id)
    }

    fn assignment(&self) -> Option<Assignment> {
        self.replay.book.get(self.current.as_ref()?.0)
    }

    /// Whether it is in the rollout and has not ended.
    fn is_open(&self) -> bool {
        self.assignment().is_some_and(|is| !is.state.is_terminal())
    }

    fn listed(&mut self, listed: &Listed) {
        let found = self.ids.iter().rev().find(|id| listed.ids.has(**id)).copied();
        if let Some(id) = found {
            let is_joined = course::is_joined(listed, &self.replay);
            self.begin(id, if is_joined { "joined" } else { "chosen" });
        }
    }

    /// Its assignment among those that are told by name, if it is one that was not known.
    fn named(&self, met: &[Met]) -> Option<AssignmentId> {
        let found = met.iter().find(|met| met.1 == self.device)?;
        Some(AssignmentId(found.0)).filter(|id| !self.ids.contains(id))
    }

    fn meet(&mut self, met: &[Met]) {
        if let Some(id) = self.named(met) {
            self.ids.insert(id);
            self.begin(id, "in the rollout");
        }
    }

    /// What is told begins here, if the device had not ended by then.
    fn pruned(&mut self, base: &Base) {
        self.driver = base.by.as_ref().map(|_| Epoch(0));
        self.ids.extend(self.named(&base.met));
        let is_open = |id: &AssignmentId| self.replay.book.get(*id).is_some();
        let Some(id) = self.ids.iter().rev().copied().find(is_open) else { return };
        self.say("what was written down before this is pruned".to_owned());
        self.begin(id, "in the rollout");
        if let (Some(is), Some((_, place))) = (self.assignment(), self.current.clone()) {
            self.say(format!("by then it is {}", is.state));
            self.hours(is.state, &place);
        }
    }

    fn is_opened(&self, place: &Place) -> bool {
        self.replay.progression().is_some_and(|progression| {
            progression.waves.get(place.wave).is_some_and(|wave| wave.state.is_opened())
        })
    }

    /// The device is in the rollout, or in a further round of it.
    fn begin(&mut self, id: AssignmentId, how: &str) {
        let Some((round, wave, zone)) = self.replay.book.cohort(id).cloned() else { return };
        let of = self.replay.progression().map_or(1, |progression| progression.waves.len());
        let mut text = how.to_owned();
        if round > 1 {
            let _ = write!(text, " for round {round}");
        }
        if of > 1 {
            let _ = write!(text, ", in wave {} of {of}", wave.saturating_add(1));
        }
        let has_hours =
            self.replay.spec.as_ref().is_some_and(|spec| !spec.schedule.is_always_open());
        if has_hours && !zone.is_empty() {
            let _ = write!(text, ", its hours are those of {zone}");
        }
        self.current = Some((id, Place { wave, zone }));
        (self.closed, self.judged) = (None, None);
        self.waits = Waits::default();
        self.held.clear();
        self.say(text);
        if let Some(end) = self.assignment().map(|is| is.state).filter(|state| state.is_terminal())
        {
            self.say(end.as_str().to_owned());
        }
    }

    fn taken(&mut self, taken: &Taken) {
        let before = self.driver.replace(taken.epoch);
        if self.is_open() && before.is_some_and(|before| before != taken.epoch) {
            self.tell_held();
            let driver = taken.epoch.0;
            self.lines.push_again(self.replay.now, "taken over", |times| match times {
                1 => format!("driver {driver} took the rollout over"),
                _ => format!("driver {driver} took the rollout over, the last of {times} in a row"),
            });
        }
    }

    fn acted(&mut self, record: &Record, acted: &Acted) {
        let before = self.replay.progression().cloned();
        self.replay.record(record);
        let after = self.replay.progression().cloned();
        if let (Some(before), Some(after)) = (before, after)
            && acted.refused.is_none()
            && self.is_open()
        {
            self.waits.pass();
            for sentence in course::acted(acted, &before, &after) {
                self.say(sentence);
            }
        }
    }

    fn step(&mut self, step: &Step) {
        let (Some((_, place)), Some(is)) = (self.current.clone(), self.assignment()) else {
            return;
        };
        if is.state.is_terminal() {
            return;
        }
        self.tell_held();
        if let Some(change) = &step.output.change {
            self.change(change, &step.output.evidence, &place);
            return;
        }
        let is_opened = self.is_opened(&place);
        self.hours(is.state, &place);
        if is.state == State::Queued {
            let at = self.replay.now;
            let reasons = self.replay.frame.plan.waiting_on.iter();
            let news = self.waits.news(reasons.filter(|reason| keeps(reason, is_opened)), at);
            self.held.extend(news.into_iter().map(|text| Line { at, text }));
        }
    }

    fn change(&mut self, change: &Change, evidence: &[Evidence], place: &Place) {
        let is_its = match change {
            Change::OpenWave(wave) => *wave == place.wave,
            Change::Soak(_) => false,
            Change::Rule(wave, _) => *wave < place.wave,
            _ => true,
        };
        if !is_its {
            return;
        }
        self.waits.pass();
        if let Some(words) = course::change(change, &self.replay) {
            let is_of_all = matches!(change, Change::Pause { .. } | Change::Abort { .. });
            self.say(if is_of_all { format!("the rollout is {words}") } else { words });
        }
        let spec = self.replay.spec.as_ref();
        let said = spec.map(|spec| course::said(evidence, spec));
        said.into_iter().flatten().for_each(|words| self.say(words));
    }

    /// Whether its own hours keep it, and nothing that comes before them does.
    fn hours(&mut self, is: State, place: &Place) {
        let is_running =
            self.replay.progression().is_some_and(|of| of.state == rollout::State::Running);
        let may_go = is == State::Retrying || self.is_opened(place) && is.is_waiting();
        if !is_running || !may_go {
            return;
        }
        let now = self.replay.now;
        let cohorts = self.replay.frame.cohorts.iter();
        let mut own = cohorts.filter(|cohort| {
            cohort.wave == place.wave
                && cohort.zone.as_ref().is_some_and(|zone| zone.name() == place.zone)
        });
        let Some((phase, zone)) = own.next().map(|own| (own.phase, own.zone.clone())) else {
            return;
        };
        match phase {
            Phase::Open { .. } if self.closed.take().is_some() => {
                self.say("its hours are on".to_owned());
            }
            Phase::Closed { by, opens_at } if self.closed != Some((by, opens_at)) => {
                self.closed = Some((by, opens_at));
                let spec = self.replay.spec.as_ref();
                let reason = spec.and_then(|spec| spec.schedule.hours.reason(by));
                let stands = self.replay.progression();
                let deadline = spec.and_then(|spec| stands?.deadline(spec));
                let zone = zone.unwrap_or_else(Zone::utc);
                let why = WaitingOn::hours((1, zone), (by, opens_at), reason, deadline);
                self.say(format!("waits for its hours: {}", why.in_words(now)));
            }
            _ => {}
        }
    }

    fn judged(&mut self, judged: &Judged) {
        let Some((id, _)) = self.current else { return };
        let Some(at) = judged.ids.iter().position(|of| of == id) else { return };
        if self.judged == Some(judged.becomes) {
            return;
        }
        self.judged = Some(judged.becomes);
        self.held.clear();
        let known = known(judged, at);
        let turn =
            if known.is_empty() { "its turn".to_owned() } else { format!("its turn: {known}") };
        let follows = match judged.becomes {
            Becomes::Host => {
                let max =
                    self.replay.spec.as_ref().map_or(0, |spec: &Spec| spec.limits.max_per_host);
                format!("; waits for a place on its host, at most {max} may be open there")
            }
            Becomes::Domain => format!(
                "; waits for a slot in {}, of which as many as may be are out of order",
                self.domains()
            ),
            Becomes::Busy(rollout) => format!("; busy with {}", self.others.name(rollout)),
            Becomes::Skipped(SkipReason::Superseded) => self.overtaken(judged).unwrap_or_default(),
            _ if known.is_empty() => return,
            _ => String::new(),
        };
        self.say(format!("{turn}{follows}"));
    }

    /// The kinds of its failure domains: in which of each it is the inventory says, and which one was
    /// full is not written down.
    fn domains(&self) -> String {
        let budgets = self.replay.spec.as_ref().map_or(&[][..], |spec| &spec.budgets);
        let kinds: Vec<String> = budgets.iter().map(|budget| budget.per.to_string()).collect();
        match kinds.split_last() {
            None => "a failure domain".to_owned(),
            Some((only, [])) => format!("its {only}"),
            Some((last, before)) => format!("its {} or {last}", before.join(", ")),
        }
    }

    /// Why a rollback leaves a device alone that has moved on.
    fn overtaken(&self, judged: &Judged) -> Option<String> {
        let spec = self.replay.spec.as_ref()?;
        let (of, version) = (spec.rolls_back.as_ref()?, judged.known.as_ref()?.version.as_ref()?);
        spec.is_overtaken(version)
            .then(|| format!("; neither what {of} sent nor what it ran before that"))
    }

    fn happened(&mut self, record: &Record, happened: &Happened) {
        let is_its = |(id, _): &(AssignmentId, Place)| happened.ids.has(*id);
        let id = self.current.as_ref().filter(|current| is_its(current)).map(|(id, _)| *id);
        let from = id.and_then(|id| self.replay.book.get(id));
        if let (Some(id), Some(from), Some(spec)) = (id, from, self.replay.spec.as_ref()) {
            let (fact, to, now) =
                (&happened.fact, happened.assignment(self.replay.now), self.replay.now);
            let text = Happening { fact, from, to, now }.in_words(id, spec);
            self.judged = None;
            // It was its turn all the same.
            self.held.clear();
            self.say(text);
        }
        self.replay.record(record);
    }
}

/// What was known of the device in this place of those that were judged alike.
fn known(judged: &Judged, at: usize) -> String {
    let mut parts = vec![];
    if judged.no_address {
        parts.push("no address is known".to_owned());
    }
    if let Some(known) = &judged.known {
        parts.extend(known.version.as_ref().map(|version| format!("runs {version}")));
        match judged.seen.get(at).copied().flatten() {
            Some(ago) if ago >= 1_000 => {
                let ago = Duration::from_millis(ago.unsigned_abs());
                parts.push(format!("last seen {} ago", span(ago)));
            }
            Some(_) => parts.push("seen just now".to_owned()),
            None if known.check_in.is_some() => parts.push("never seen".to_owned()),
            None => {}
        }
        let check_in = known.check_in.map(Duration::from_secs);
        parts.extend(check_in.map(|every| format!("checks in every {}", span(every))));
        if known.superseded {
            parts.push("a newer rollout has it".to_owned());
        }
        match known.failed {
            0 => {}
            1 => parts.push("failed the last rollout".to_owned()),
            failed => parts.push(format!("failed {failed} rollouts in a row")),
        }
    }
    parts.join(", ")
}
