//! A rollout, told as a whole.

use std::collections::{BTreeSet, HashMap};

use super::{
    Line, Others, course,
    fact::way,
    flow::Flow,
    line::Lines,
    spec::{headline, sections},
    wait::{Waits, is_telling},
};
use crate::{
    health::in_words,
    ids::{AssignmentId, Epoch},
    lint::Code,
    log::{
        Acted, Base, Becomes, Entry, Happened, Judged, Listed, Moved, Record, Regressed, Report,
        Step, Taken, replay::Replay,
    },
    rollout::{Spec, State},
    time::Time,
    waiting::stamp_secs,
};

/// Nothing is sent for a claim before it is durable.
pub(super) const NOT_CLAIMED: &str = "not claimed after all, as that could not be stored";

/// Folds the entries of a log into the story of its rollout.
///
/// A milestone is a line; what happened to devices since the one before is counted in a line of
/// its own in front of it. A reason to wait is told when it is news.
#[derive(Debug)]
pub struct Story {
    replay: Replay,
    lines: Lines,
    flow: Flow,
    waits: Waits,
    /// Devices that may still fail, by name.
    names: HashMap<AssignmentId, String>,
    /// The driver that has it.
    driver: Option<Epoch>,
    /// Other rollouts by their numbers, as people know them.
    others: Others,
    /// Devices that are not named.
    unnamed: BTreeSet<String>,
}

impl Default for Story {
    fn default() -> Self {
        Self {
            // Hours are not judged again: that takes the time zones of whoever decided.
            replay: Replay::new(""),
            lines: Lines::default(),
            flow: Flow::default(),
            waits: Waits::default(),
            names: HashMap::new(),
            driver: None,
            others: Others::default(),
            unnamed: BTreeSet::new(),
        }
    }
}

impl Story {
    /// The story of a rollout beside others.
    pub fn beside(others: Others) -> Self {
        Self { others, ..Self::default() }
    }

    /// The same, in which these devices are counted and not named.
    #[must_use]
    pub fn without(self, unnamed: BTreeSet<String>) -> Self {
        Self { unnamed, ..self }
    }

    /// Takes in the next entry.
    pub fn entry(&mut self, entry: &Entry) {
        self.replay.begin(entry);
        for record in &entry.records {
            self.record(record);
        }
    }

    /// The sentences, and what came of running the records again: where these do not fit together,
    /// the story may not be true.
    pub fn finish(mut self) -> (Vec<Line>, Report) {
        self.tell_flow();
        (self.lines.finish(), self.replay.report())
    }

    fn record(&mut self, record: &Record) {
        match record {
            Record::Spec(spec) => self.spec(spec),
            Record::Acted(acted) => self.acted(record, acted),
            Record::Step(step) => self.step(record, &step.at(self.replay.now)),
            Record::Happened(happened) => self.happened(record, happened),
            Record::Stands(_) => self.stands(record),
            _ => {
                self.replay.record(record);
                self.other(record);
            }
        }
    }

    fn other(&mut self, record: &Record) {
        match record {
            Record::Base(base) => self.pruned(base),
            Record::Taken(taken) => self.taken(taken),
            Record::Chosen(None) => self.say("the devices are chosen anew".to_owned()),
            Record::Listed(listed) => self.listed(listed),
            Record::Unlisted(_) => self.flow.clear(),
            Record::Prepared => self.say(course::prepared(&self.replay)),
            Record::Met(met) => {
                let names = met.iter().map(|met| (AssignmentId(met.0), met.1.clone()));
                self.names.extend(names);
            }
            Record::Moved(Moved { zone, ids }) => {
                let what = format!("moved to {zone}, whose hours are theirs from now on");
                self.flow.add(self.replay.now, &what, ids.len(), [].into_iter());
            }
            Record::Judged(judged) => self.judged(judged),
            Record::Regressed(regressed) => self.regressed(regressed),
            Record::Unclaimed(rows) => {
                let (now, count) = (self.replay.now, rows.len() as u64);
                self.flow.add(now, NOT_CLAIMED, count, [].into_iter());
            }
            Record::Unsendable(why) => {
                self.waits.pass();
                self.say(format!("paused, the artifact cannot be sent: {why}"));
            }
            Record::TakenUp { waives_gate } => {
                self.waits.pass();
                self.say(course::taken_up(*waives_gate).to_owned());
            }
            Record::StartedBy(of) => {
                let of = self.others.name(*of);
                self.say(format!("started by {of}, which went wrong and is rolled back"));
            }
            Record::RolledBack(rolled_back) => {
                self.say(course::rolled_back(rolled_back, &self.replay));
            }
            Record::Warned(findings) => {
                for finding in findings {
                    // Whoever started it may have been told of the whole fleet.
                    if self.others.is_part() && finding.code.is_of_fleet() {
                        continue;
                    }
                    let when = match finding.code {
                        Code::RolledBack => "when it was tried again",
                        _ => "before its start",
                    };
                    self.say(format!("warned {when}: {finding}"));
                }
            }
            Record::SetBack(before) => {
                let was = stamp_secs(*before, self.replay.now);
                self.say(format!("the clock was set back, it was {was}"));
            }
            _ => {}
        }
    }

    fn tell_flow(&mut self) {
        if let Some(Line { at, text }) = self.flow.take() {
            self.lines.push(at, text);
        }
    }

    fn say(&mut self, text: String) {
        self.tell_flow();
        self.lines.push(self.replay.now, text);
    }

    /// Says what may be said many times, one after the other, once.
    fn say_again(&mut self, text: &str) {
        self.tell_flow();
        self.lines.push_again(self.replay.now, text, |times| match times {
            1 => text.to_owned(),
            _ => format!("{text} ({times} times in a row)"),
        });
    }

    fn spec(&mut self, spec: &Spec) {
        let now = self.replay.now;
        let before =
            self.replay.spec.as_ref().map(|before| (headline(before), sections(before, now)));
        self.replay.record(&Record::Spec(Box::new(spec.clone())));
        let (head, all) = (headline(spec), sections(spec, now));
        let Some((head_before, all_before)) = before else {
            self.say(format!("created: {head}"));
            for (heading, text) in all.into_iter().filter(|(_, text)| !text.is_empty()) {
                self.say(format!("{heading}: {text}"));
            }
            return;
        };
        if head != head_before {
            self.say(format!("changed: {head}"));
        }
        for ((heading, text), (_, before)) in all.into_iter().zip(all_before) {
            if text != before {
                let text = if text.is_empty() { "as usual".to_owned() } else { text };
                self.say(format!("changed {heading}: {text}"));
            }
        }
    }

    /// What is told begins here, unless what stands for older entries came behind them.
    fn pruned(&mut self, base: &Base) {
        let names = base.met.iter().map(|met| (AssignmentId(met.0), met.1.clone()));
        self.names.extend(names);
        if self.lines.is_empty() {
            // Which one it was is not kept.
            self.driver = base.by.as_ref().map(|_| Epoch(0));
            for sentence in course::pruned(&self.replay) {
                self.say(sentence);
            }
        }
    }

    fn taken(&mut self, taken: &Taken) {
        let before = self.driver.replace(taken.epoch);
        self.tell_flow();
        self.waits.pass();
        let driver = taken.epoch.0;
        self.lines.push_again(self.replay.now, "taken over", |times| match times {
            1 if before.is_none() => format!("driver {driver} took it over"),
            1 if before == Some(taken.epoch) => format!("driver {driver} took it up again"),
            1 => format!("driver {driver} took it over from the one before"),
            _ => format!("driver {driver} took it over, the last of {times} in a row"),
        });
    }

    fn listed(&mut self, listed: &Listed) {
        let (now, count) = (self.replay.now, listed.ids.len());
        if listed.state.is_terminal() {
            self.flow.add(now, listed.state.as_str(), count, [].into_iter());
        } else if course::is_joined(listed, &self.replay) {
            let wave = format!("joined wave {}", listed.wave.saturating_add(1));
            self.flow.add(now, &wave, count, [].into_iter());
        }
    }

    fn judged(&mut self, judged: &Judged) {
        let what = match judged.becomes {
            Becomes::Host => "had to wait for a place on the host".to_owned(),
            Becomes::Domain => "had to wait for a slot in a failure domain".to_owned(),
            Becomes::Busy(rollout) => {
                format!("had to wait for {}", self.others.name(rollout))
            }
            // What happened to them follows.
            Becomes::Claimed | Becomes::Skipped(_) | Becomes::Away => return,
        };
        self.flow.add(self.replay.now, &what, judged.ids.len(), [].into_iter());
    }

    fn acted(&mut self, record: &Record, acted: &Acted) {
        let before = self.replay.progression().cloned();
        self.replay.record(record);
        if let (Some(before), Some(after)) = (before, self.replay.progression().cloned()) {
            let sentences = course::acted(acted, &before, &after);
            if acted.refused.is_some() {
                return sentences.iter().for_each(|sentence| self.say_again(sentence));
            }
            self.waits.pass();
            for sentence in sentences {
                self.say(sentence);
            }
        }
    }

    fn step(&mut self, record: &Record, step: &Step) {
        self.replay.record(record);
        if let Some(change) = &step.output.change {
            self.waits.pass();
            if let Some(words) = course::change(change, &self.replay) {
                self.say(words);
            }
            let spec = self.replay.spec.as_ref();
            let said = spec.map(|spec| course::said(&step.output.evidence, spec));
            said.into_iter().flatten().for_each(|words| self.say(words));
            return;
        }
        if let Some(words) =
            step.output.sweep.as_ref().and_then(|of| course::sweep(of, &self.replay))
        {
            self.say(words);
        }
        let now = self.replay.now;
        let reasons = self.replay.frame.plan.waiting_on.clone();
        let is_running = self.replay.progression().is_some_and(|is| is.state == State::Running);
        if is_running && self.waits.is_open_again(&reasons) {
            self.say("no device waits for its hours any more".to_owned());
        }
        let telling = reasons.iter().filter(|reason| is_telling(reason));
        for words in self.waits.news(telling, now) {
            self.say(words);
        }
    }

    fn happened(&mut self, record: &Record, happened: &Happened) {
        let (now, began) = (self.replay.now, self.began());
        if self.flow.is_full(now, began) {
            self.tell_flow();
        }
        // Those that went the same way come from the same state, as a rule.
        for id in happened.ids.iter() {
            let from = self.replay.book.get(id);
            let words = from
                .zip(self.replay.spec.as_ref())
                .and_then(|(from, spec)| way(&happened.fact, from, happened.to, spec));
            if let Some((words, is_named)) = words {
                let name =
                    self.names.get(&id).filter(|name| is_named && !self.unnamed.contains(*name));
                let name = name.map(String::as_str);
                self.flow.add(now, &words, 1, name.into_iter());
            }
            if happened.to.is_terminal() {
                self.names.remove(&id);
            }
        }
        self.replay.record(record);
    }

    fn regressed(&mut self, Regressed { said, times, ids, .. }: &Regressed) {
        let what = format!("regressed after their update: {}", in_words(said, *times));
        let names = ids.iter().filter_map(|id| self.replay.book.device(id));
        let names = names.filter(|name| !self.unnamed.contains(*name));
        self.flow.add(self.replay.now, &what, ids.len(), names);
    }

    fn stands(&mut self, record: &Record) {
        let state = |replay: &Replay| replay.progression().map(|is| is.state);
        let before = state(&self.replay);
        self.replay.record(record);
        if let (Some(before), Some(is)) = (before, state(&self.replay))
            && before != is
        {
            self.say(format!("it is {is} now"));
        }
    }

    fn began(&self) -> Option<Time> {
        self.replay.progression()?.started_at
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        assignment::{Assignment, Fact, apply},
        log::{Met, Recorder},
        outcome::{Answer, Outcome},
        release::{Digest, Release},
        rollout::{Act, Progression},
    };

    const BEGIN: Time = Time::from_millis(1_795_615_200_000);
    const DEVICES: i64 = 30_000;
    /// A device is sent to every so often: 30,000 take a month.
    const EVERY: Duration = Duration::from_secs(90);

    fn spec() -> Spec {
        Spec::immediate(Release {
            name: "pos".to_owned(),
            version: "2.0.0".to_owned(),
            artifact: Digest([7; 32]),
            artifact_bytes: 12,
        })
    }

    /// One device is sent to; one in a hundred refuses.
    fn send(log: &mut Recorder, spec: &Spec, id: AssignmentId, now: Time) {
        let version = spec.release.version.clone();
        let outcome = match id.0 % 100 {
            0 => Outcome::Refused { status: 400, retry_after: None, detail: String::new() },
            _ => Outcome::Accepted { status: 200 },
        };
        log.at(now);
        log.push(Record::Met(vec![Met(id.0, format!("pos-{id}"), format!("http://pos-{id}"))]));
        let mut is = Assignment::queued();
        for fact in
            [Fact::Claimed, Fact::Delivered(outcome), Fact::Asked(Answer::Version { version })]
        {
            let Ok(next) = apply(&is, &fact, spec, now, 0) else { break };
            is = next.to;
            log.happened(id, &fact, &is, Time::ZERO);
        }
    }

    #[test]
    fn a_month_is_told_in_tens_of_lines() {
        let (spec, mut story, mut log) = (spec(), Story::default(), Recorder::default());
        let mut began = Progression::draft(&spec);
        began.started_at = Some(BEGIN);
        let listed = Listed {
            round: 1,
            wave: 0,
            zone: None,
            state: crate::assignment::State::Queued,
            ids: (1..=DEVICES).map(AssignmentId).collect(),
        };
        log.push(Record::Spec(Box::new(spec.clone())));
        log.push(Record::Listed(listed));
        log.at(BEGIN);
        log.stands(&began);
        let mut now = BEGIN;
        for id in 1..=DEVICES {
            send(&mut log, &spec, AssignmentId(id), now);
            story.entry(&Entry { at: now, records: log.take(now) });
            now = now + EVERY;
        }
        assert!(story.names.is_empty(), "{} names are kept", story.names.len());
        let (lines, _) = story.finish();
        assert!((20..80).contains(&lines.len()), "{} lines", lines.len());
        let last = &lines.last().unwrap().text;
        assert!(last.contains(" succeeded, ") && last.contains("HTTP 400 (pos-"), "{last}");
        assert!(last.contains(" more)"), "{last}");
    }
    #[test]
    fn an_act_that_is_refused_again_and_again_is_one_line() {
        let (spec, mut story) = (spec(), Story::default());
        let refused =
            |act: Act, why: &str| Record::Acted(Acted::of(act.into(), Some(why.to_owned())));
        let stands = Record::stands(&Progression::draft(&spec), BEGIN);
        story.entry(&Entry { at: BEGIN, records: vec![Record::Spec(Box::new(spec)), stands] });
        for at in 0..3 {
            let records = vec![refused(Act::Pause, "it has not started")];
            story.entry(&Entry { at: BEGIN + Duration::from_secs(at), records });
        }
        let records = vec![refused(Act::Resume, "it is not paused")];
        story.entry(&Entry { at: BEGIN + Duration::from_secs(3), records });
        let (lines, _) = story.finish();
        let said: Vec<&Line> =
            lines.iter().filter(|line| line.text.contains("nothing changed")).collect();
        let pause =
            "the operator said pause, and nothing changed: it has not started (3 times in a row)";
        let resume = "the operator said resume, and nothing changed: it is not paused";
        assert_eq!(said.iter().map(|line| &line.text).collect::<Vec<_>>(), [pause, resume]);
        assert_eq!(said[0].at, BEGIN + Duration::from_secs(2), "when it was said last");
    }
}
