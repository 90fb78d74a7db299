//! What the naive driver writes down of a story, and that it runs again to the same end.

use std::fmt::Write as _;

use groundswell_core::{
    assignment::{Assignment, Fact, State},
    ids::{AssignmentId, Epoch},
    log::{
        CohortCounts, DECISIONS, DeviceStory, Entry, Line, Listed, Record, Recorder, Replay,
        Report, Story, Taken,
    },
    rollout::{Progression, Spec},
    time::Time,
};

use super::{
    script::words,
    world::{Done, Row, World},
};

/// What every story is told to have for a time zone database.
pub(crate) const ZONES: &str = "built in";

type Cohorts = [(CohortCounts, Vec<AssignmentId>)];

#[derive(Default)]
pub(crate) struct Book {
    pub(crate) log: Recorder,
    pub(crate) entries: Vec<Entry>,
    epoch: i64,
    ids: i64,
    /// Every assignment there ever was, with its device.
    assigned: Vec<(String, AssignmentId)>,
}

fn counted(cohorts: &Cohorts) -> Vec<CohortCounts> {
    cohorts.iter().map(|(counts, _)| counts.clone()).collect()
}

impl Book {
    pub(crate) fn next_id(&mut self, device: &str) -> AssignmentId {
        self.ids += 1;
        self.assigned.push((device.to_owned(), AssignmentId(self.ids)));
        AssignmentId(self.ids)
    }

    pub(crate) fn commit(&mut self, at: Time) {
        let records = self.log.take(at);
        if !records.is_empty() {
            self.entries.push(Entry { at, records });
        }
    }

    pub(crate) fn created(&mut self, spec: &Spec, now: Time) {
        self.log.push(Record::Spec(Box::new(spec.clone())));
        self.taken(&[], now);
        self.commit(now);
    }

    pub(crate) fn taken(&mut self, cohorts: &Cohorts, now: Time) {
        self.epoch += 1;
        self.log.at(now);
        self.log.taken(Taken {
            epoch: Epoch(self.epoch),
            decisions: DECISIONS,
            zones: ZONES.to_owned(),
            cohorts: counted(cohorts),
        });
    }

    pub(crate) fn listed(&mut self, cohorts: &Cohorts, round: u32, now: Time) {
        self.log.at(now);
        for (CohortCounts { wave, zone, .. }, ids) in cohorts {
            let (wave, zone, state) = (*wave, zone.clone(), State::Queued);
            let ids = ids.iter().copied().collect();
            self.log.push(Record::Listed(Listed { round, wave, zone, state, ids }));
        }
        self.log.added(counted(cohorts));
    }

    pub(crate) fn prepared(&mut self, cohorts: &Cohorts, progression: &Progression) {
        self.log.push(Record::Counted(counted(cohorts)));
        self.log.push(Record::Prepared);
        self.log.stands(progression);
    }

    pub(crate) fn happened(&mut self, row: &Row, from: Assignment, fact: &Fact, now: Time) {
        if row.assignment == from {
            return;
        }
        self.log.at(now);
        if *fact == Fact::Claimed && from.state.is_waiting() && from.attempt == 0 {
            let id = row.device.id.as_str();
            let host = row.device.address.as_ref().map_or(id, |address| address.origin());
            self.log.met(row.id, id, host);
        }
        self.log.decided();
        self.log.happened(row.id, fact, &row.assignment, Time::ZERO);
    }
}

impl World {
    /// What the log tells of the rollout, and of these devices.
    pub(crate) fn explain(&mut self, devices: &[String]) -> Done {
        let mut story = Story::default();
        self.book.entries.iter().for_each(|entry| story.entry(entry));
        self.lines("log explained", story.finish());
        for device in devices {
            if device == "what is left" {
                return self.explain_rest(devices);
            }
            let assigned = self.book.assigned.iter().filter(|(of, _)| of == device);
            let ids: Vec<AssignmentId> = assigned.map(|(_, id)| *id).collect();
            assert!(!ids.is_empty(), "{device} is in no story");
            let (lines, report) = self.device_story(device, &ids);
            // Whoever knows no assignments finds those that were claimed, by name.
            let (found, _) = self.device_story(device, &[]);
            let claimed = |line: &Line| line.text.starts_with("claimed");
            assert_eq!(found.iter().any(claimed), lines.iter().any(claimed), "{device}");
            assert!(found.is_empty() || found.last() == lines.last(), "{device}: {found:?}");
            self.lines(&format!("{device} explained"), (lines, report));
        }
        Ok(())
    }

    /// The same of a log whose older half was pruned.
    fn explain_rest(&mut self, devices: &[String]) -> Done {
        let half = self.book.entries.len() / 2;
        let mut replay = Replay::new(ZONES);
        let mut at = Time::ZERO;
        for entry in self.book.entries.drain(..half) {
            replay.entry(&entry);
            at = entry.at;
        }
        let records = vec![replay.base().ok_or("nothing is left")?];
        self.book.entries.insert(0, Entry { at, records });
        let before = devices.iter().take_while(|device| *device != "what is left");
        let before: Vec<String> = before.cloned().collect();
        self.told.push_str("\nof what is left when half of it is pruned,");
        self.explain(&before)
    }

    fn device_story(&self, device: &str, ids: &[AssignmentId]) -> (Vec<Line>, Report) {
        let mut story = DeviceStory::new(device, ids.iter().copied());
        self.book.entries.iter().for_each(|entry| story.entry(entry));
        story.finish()
    }

    fn lines(&mut self, heading: &str, (lines, report): (Vec<Line>, Report)) {
        assert_eq!(report.mismatches, [], "{}", self.told);
        let _ = writeln!(self.told, "\n{heading}:");
        for Line { at, text } in lines {
            self.line_at(at, &text);
        }
    }

    /// What was written down runs again, byte by byte, to where the world stands.
    pub(crate) fn hold_log(&mut self) -> Done {
        self.book.commit(self.now);
        let mut replay = Replay::new(ZONES);
        for entry in &self.book.entries {
            let text = serde_json::to_string(entry).map_err(words)?;
            let read: Entry = serde_json::from_str(&text).map_err(words)?;
            let again = serde_json::to_string(&replay.entry(&read)).map_err(words)?;
            assert_eq!(again, text, "{}", self.told);
        }
        let report = replay.report();
        assert_eq!(report.mismatches_in_all, 0, "{:#?} after:\n{}", report.mismatches, self.told);
        assert_eq!(replay.progression(), Some(&self.progression), "{}", self.told);
        assert_eq!(replay.counts(self.progression.round), self.counts(), "{}", self.told);
        for row in &self.rows {
            assert_eq!(replay.assignment(row.id), Some(row.assignment), "{}", self.told);
        }
        Ok(())
    }

    /// What is left of it when it is cut there runs again as before.
    pub(crate) fn hold_cut(&self, cut: usize) -> Done {
        let (before, behind) = self.book.entries.split_at(cut);
        let Some(last) = before.last() else { return Ok(()) };
        let mut first = Replay::new(ZONES);
        for entry in before {
            drop(first.entry(entry));
        }
        let records = vec![first.base().ok_or("nothing is left")?];
        let text = serde_json::to_string(&Entry { at: last.at, records }).map_err(words)?;
        let base: Entry = serde_json::from_str(&text).map_err(words)?;
        let mut rest = Replay::new(ZONES);
        for entry in [&base].into_iter().chain(behind) {
            assert_eq!(rest.entry(entry), *entry, "cut at {cut}:\n{}", self.told);
        }
        assert_eq!(rest.report().mismatches, [], "cut at {cut}:\n{}", self.told);
        assert_eq!(rest.progression(), first.progression().and(Some(&self.progression)));
        Ok(())
    }
}
