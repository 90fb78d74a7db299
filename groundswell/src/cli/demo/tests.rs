//! Evidence thought up: what the checks say of it, and how it looks as tables.

use std::time::Duration;

use groundswell_core::{
    assignment::{FailReason, SkipReason, State},
    device::Device,
    gate::{Ruling, Tally, Verdict, external::Besides},
    hours::Zone,
    rollout::{self, Wave, WaveState},
    time::Time,
    wave::place,
};

use super::{
    check::check,
    paint::Paint,
    played::{Outage, Part, Played},
    scenario::{BROKEN, SCENARIOS, Scenario, Script, WAVES},
    stage::BEGINS_AT,
    table,
};
use crate::sim::{Event, EventKind};

const OFFLINE: State = State::Skipped(SkipReason::Offline);

/// id, zone, region, whether it is online.
const TERMINALS: [(&str, &str, &str, bool); 10] = [
    ("pos-boston-01", "America/New_York", "northeast", true),
    ("pos-nyc-01", "America/New_York", "northeast", true),
    ("pos-nyc-02", "America/New_York", "northeast", false),
    ("pos-atlanta-01", "America/New_York", "southeast", true),
    ("pos-miami-01", "America/New_York", "southeast", false),
    ("pos-chicago-01", "America/Chicago", "midwest", true),
    ("pos-indianapolis-01", "America/Indiana/Indianapolis", "midwest", false),
    ("pos-denver-01", "America/Denver", "west", true),
    ("pos-phoenix-01", "America/Phoenix", "southwest", false),
    ("pos-seattle-01", "America/Los_Angeles", "west", true),
];

/// A time of the night after [`BEGINS_AT`], such as 2:30, by the clock in New York.
fn at(hour: u64, minute: u64) -> Time {
    BEGINS_AT + Duration::from_mins(30 + hour * 60 + minute)
}

fn scenario(name: &str) -> &'static Scenario {
    SCENARIOS.iter().find(|scenario| scenario.name == name).unwrap()
}

impl Part {
    fn left(&mut self, state: Option<State>) {
        self.standing = state.map(|state| (0, state));
        self.received_at.clear();
        self.requests = 0;
        self.sha256.clone_from(&self.sha256_before);
        self.outages.clear();
        self.after.clone_from(&self.before);
    }

    /// Took 2.12.0, or did not, and runs what it ran.
    fn undo(&mut self) {
        let id = &*self.device.id;
        let before = if self.region() == "northeast" { "2.10.0" } else { "2.11.0" };
        let outage = |hour, took: &str, shown: &str| {
            let (took, shown) = (Some(took.to_owned()), Some(shown.to_owned()));
            Outage { from: at(hour, 0), to: Some(at(hour + 1, 0)), took, shown }
        };
        let hour = if id == "pos-chicago-01" { 11 } else { 10 };
        let (state, outages) = if BROKEN.contains(&id) {
            let outage = Outage { to: Some(at(12, 0)), ..outage(10, "2.12.0", before) };
            (State::Failed(FailReason::Verification), vec![outage])
        } else {
            let well = outage(hour, "2.12.0", "2.12.0");
            (State::Succeeded, vec![well, outage(hour + 2, before, before)])
        };
        self.before = before.to_owned();
        if matches!(self.region(), "midwest" | "southwest") || BROKEN.contains(&id) {
            (self.requests, self.standing) = (2, Some((0, state)));
            (self.outages, self.after) = (outages, before.to_owned());
        } else {
            self.left(Some(State::Canceled));
        }
    }
}

/// A scenario as it is meant to come about.
fn well(name: &str) -> Played {
    let scenario = scenario(name);
    let mut terminals: Vec<Part> = TERMINALS.iter().map(|row| part(scenario, row)).collect();
    match name {
        "on_connect" => {
            for (hour, part) in terminals.iter_mut().filter(|part| !part.was_online).enumerate() {
                part.came_online_at = Some(at(7 + hour as u64, 0));
                part.received_at = vec![at(7 + hour as u64, 2)];
            }
        }
        "region" => {
            terminals
                .iter_mut()
                .filter(|part| part.device.tags["region"] != "northeast")
                .for_each(|part| part.left(None));
        }
        "firmware" => {
            for part in &mut terminals {
                part.before = "2.9.0".to_owned();
                if part.device.tags["region"] == "northeast" {
                    part.before = "2.10.0".to_owned();
                    part.left(None);
                }
            }
        }
        "undo" => terminals.iter_mut().for_each(Part::undo),
        _ => terminals
            .iter_mut()
            .filter(|part| !part.was_online)
            .for_each(|part| part.left(Some(OFFLINE))),
    }
    let waves = waves(name, &mut terminals);
    let (state, rollbacks) = ending(scenario);
    Played {
        version: scenario.version.to_owned(),
        sha256: "5a".to_owned(),
        from: at(0, 0),
        to: at(5, 8),
        took: Duration::from_millis(30_900),
        state,
        waves,
        rollbacks,
        terminals,
    }
}

/// The waves of a scenario; whoever is in them gets its turn.
fn waves(name: &str, terminals: &mut [Part]) -> Vec<Wave> {
    let mut waves = vec![passed()];
    if name == "progressive" {
        waves = vec![passed(); WAVES.len()];
        for (place, part) in terminals.iter_mut().enumerate() {
            let wave = [0, 1, 1, 1, 1, 2, 2, 2, 2, 2][place];
            part.standing = part.standing.map(|(_, state)| (wave, state));
            part.received_at.iter_mut().for_each(|time| *time = at(5 + wave as u64, 0));
        }
    }
    waves
}

/// Where a scenario's rollout stands in the end, and those that roll it back.
fn ending(scenario: &Scenario) -> (rollout::State, Vec<(String, rollout::State)>) {
    if scenario.script != Script::Undoing {
        return (rollout::State::Completed, vec![]);
    }
    let back = |version: &str| (version.to_owned(), rollout::State::Completed);
    (rollout::State::Aborted, vec![back("2.10.0"), back("2.11.0")])
}

fn part(scenario: &Scenario, (id, zone, region, was_online): &(&str, &str, &str, bool)) -> Part {
    let tags = [("region".to_owned(), (*region).to_owned())].into();
    let zone = Zone::parse(zone).unwrap();
    let hours = match zone.name() {
        "America/Chicago" => 3,
        "America/Denver" | "America/Phoenix" => 4,
        "America/Los_Angeles" => 5,
        _ => 2,
    };
    Part {
        device: Device { id: (*id).to_owned(), tags, ..Device::default() },
        zone,
        was_online: *was_online,
        came_online_at: None,
        before: "2.2.0".to_owned(),
        after: scenario.version.to_owned(),
        requests: 1,
        received_at: vec![at(hours, 0)],
        sha256_before: Some("5a".to_owned()),
        sha256: Some("5a".to_owned()),
        outages: vec![],
        standing: Some((0, State::Succeeded)),
    }
}

fn passed() -> Wave {
    let (at, tally) = (at(6, 0), Tally::default());
    let verdict =
        Verdict { at, ruling: Ruling::Go, tally, min_success: Some(95), besides: Besides::Nothing };
    Wave { state: WaveState::Passed { at }, verdicts: vec![verdict], ..Wave::PENDING }
}

/// What is said of a scenario in which something went otherwise.
fn otherwise(name: &str, change: impl Fn(&mut Played)) -> String {
    let mut played = well(name);
    change(&mut played);
    check(scenario(name), &played).join("\n")
}

#[test]
fn nothing_is_said_of_what_went_well() {
    for scenario in &SCENARIOS {
        assert_eq!(otherwise(scenario.name, |_| {}), "", "{}", scenario.name);
    }
}

#[test]
fn whatever_is_sent_is_sent_once_and_whole() {
    let said = |change: fn(&mut Played)| otherwise("immediate", change);
    let again = said(|played| played.terminals[0].received_at.push(at(3, 0)));
    insta::assert_snapshot!(again, @"pos-boston-01 received 2.6.0 2 times");
    let bytes = said(|played| played.terminals[0].sha256 = None);
    insta::assert_snapshot!(bytes, @"pos-boston-01 received other bytes than those of 2.6.0");
    let old = said(|played| played.terminals[0].after = "2.2.0".to_owned());
    insta::assert_snapshot!(old, @"pos-boston-01 received 2.6.0 and runs 2.2.0");
    let tried = said(|played| played.terminals[2].requests = 1);
    insta::assert_snapshot!(tried, @"pos-nyc-02 was sent something other than 2.6.0");
    let lost = said(|played| played.terminals[1].left(Some(State::Queued)));
    insta::assert_snapshot!(lost, @"pos-nyc-01 did not receive 2.6.0");
    let failed = said(|played| played.state = rollout::State::Failed);
    insta::assert_snapshot!(failed, @"the rollout is failed, not completed");
}

#[test]
fn immediate_skips_those_that_are_offline_and_says_why() {
    let unsaid = otherwise("immediate", |played| {
        played.terminals[2].standing = Some((0, State::Skipped(SkipReason::Deadline)));
        played.terminals[4].standing = None;
    });
    insta::assert_snapshot!(unsaid, @r"
    pos-nyc-02 is skipped: deadline, not skipped: offline
    pos-miami-01 was not chosen
    ");
}

#[test]
fn scheduled_sends_nothing_outside_of_a_window() {
    let late = otherwise("scheduled", |played| played.terminals[5].received_at = vec![at(5, 0)]);
    insta::assert_snapshot!(late, @r"
    pos-chicago-01 received it at 04:00 of America/Chicago, not 02:00 to 04:00
    the time zones did not have their turns from east to west
    ");
    let early = otherwise("scheduled", |played| played.terminals[9].received_at = vec![at(4, 59)]);
    insta::assert_snapshot!(early, @"pos-seattle-01 received it at 01:59 of America/Los_Angeles, not 02:00 to 04:00");
}

#[test]
fn progressive_watches_each_wave_before_the_next() {
    let hasty =
        otherwise("progressive", |played| played.terminals[1].received_at = vec![at(5, 22)]);
    insta::assert_snapshot!(hasty, @"wave 2 began before wave 1 had been watched");
    let ungated = otherwise("progressive", |played| {
        if let Some(verdict) = played.waves[1].verdicts.last_mut() {
            verdict.ruling = Ruling::Override;
        }
        played.terminals[9].standing = Some((1, State::Succeeded));
    });
    insta::assert_snapshot!(ungated, @r"
    wave 2 has 5 terminals, not 4
    the gate of wave 2 did not say go
    wave 3 has 4 terminals, not 5
    wave 3 began before wave 2 had been watched
    ");
}

#[test]
fn on_connect_updates_each_when_it_comes() {
    let early = otherwise("on_connect", |played| played.terminals[2].received_at = vec![at(6, 0)]);
    insta::assert_snapshot!(early, @"pos-nyc-02 was sent to before it came online");
    let late = otherwise("on_connect", |played| played.terminals[2].received_at = vec![at(8, 5)]);
    insta::assert_snapshot!(late, @"pos-nyc-02 was not updated before the next one came online");
    let held_up =
        otherwise("on_connect", |played| played.terminals[0].received_at = vec![at(9, 0)]);
    insta::assert_snapshot!(held_up, @"pos-boston-01 was online and had to wait");
}

#[test]
fn region_and_firmware_leave_the_others_alone() {
    let stray = otherwise("region", |played| {
        let part = &mut played.terminals[3];
        *part = self::part(scenario("region"), &TERMINALS[3]);
        played.terminals[0].left(None);
    });
    insta::assert_snapshot!(stray, @r"
    pos-boston-01 did not receive 2.10.0
    pos-atlanta-01 received 2.10.0, and should not have
    ");
    let texts = otherwise("firmware", |played| {
        played.terminals.iter_mut().for_each(|part| part.left(None));
    });
    assert!(texts.contains("pos-seattle-01 did not receive 2.11.0"), "{texts}");
    assert!(texts.contains("comparing versions as texts would have done the same"), "{texts}");
}

/// The place of a terminal of [`TERMINALS`].
fn place_of(id: &str) -> usize {
    TERMINALS.iter().position(|row| row.0 == id).unwrap()
}

#[test]
fn undo_breaks_who_comes_first_in_a_region() {
    assert!(scenario("undo").spec.contains("salt       = \"pilot\""));
    for broken in BROKEN {
        let region = TERMINALS[place_of(broken)].2;
        let of_region = TERMINALS.iter().filter(|row| row.2 == region).map(|row| row.0);
        assert_eq!(of_region.min_by_key(|id| place("pilot", id)), Some(broken));
    }
}

#[test]
fn undo_is_stopped_and_everybody_goes_back() {
    let said = |change: fn(&mut Played)| otherwise("undo", change);
    let unstopped = said(|played| {
        played.state = rollout::State::Completed;
        played.rollbacks.clear();
    });
    insta::assert_snapshot!(unstopped, @r"
    the rollout is completed, not aborted
    no rollout rolls it back
    ");
    let failed = said(|played| played.rollbacks[1].1 = rollout::State::Failed);
    insta::assert_snapshot!(failed, @"the rollout back to 2.11.0 is failed, not completed");
    let of = |id: &'static str, change: fn(&mut Part)| {
        otherwise("undo", move |played| change(&mut played.terminals[place_of(id)]))
    };
    let kept = of("pos-chicago-01", |part| part.after = "2.12.0".to_owned());
    insta::assert_snapshot!(kept, @"pos-chicago-01 runs 2.12.0, not 2.11.0 again");
    let bytes = of("pos-chicago-01", |part| part.sha256 = Some("5b".to_owned()));
    insta::assert_snapshot!(bytes, @"pos-chicago-01 received other bytes than those of 2.11.0");
    let dead = of("pos-chicago-01", |part| part.outages[1].to = None);
    insta::assert_snapshot!(dead, @"pos-chicago-01 answers no version to this day");
    let again = of("pos-chicago-01", |part| part.requests = 3);
    insta::assert_snapshot!(again, @"pos-chicago-01 was sent to 3 times, not there and back");
    let twice = of("pos-chicago-01", |part| part.received_at.push(at(11, 0)));
    insta::assert_snapshot!(twice, @"pos-chicago-01 received 2.12.0 2 times");
    let stray = of("pos-boston-01", |part| part.requests = 1);
    insta::assert_snapshot!(stray, @"pos-boston-01 was sent something, and not 2.12.0");
}

#[test]
fn undo_harms_exactly_three_and_one_of_a_region_at_a_time() {
    let of = |id: &'static str, change: fn(&mut Part)| {
        otherwise("undo", move |played| change(&mut played.terminals[place_of(id)]))
    };
    let well = of("pos-nyc-01", |part| {
        part.outages[0].shown = part.outages[0].took.clone();
        part.standing = Some((0, State::Succeeded));
    });
    insta::assert_snapshot!(well, @"pos-nyc-01 did not break");
    let broke = of("pos-chicago-01", |part| part.outages[0].shown = None);
    insta::assert_snapshot!(broke, @r"
    pos-chicago-01 broke
    pos-chicago-01 is succeeded, and it broke
    ");
    let untold = of("pos-denver-01", |part| part.standing = Some((0, State::Succeeded)));
    insta::assert_snapshot!(untold, @"pos-denver-01 is succeeded, and it broke");
    let third = of("pos-seattle-01", |part| {
        (part.requests, part.received_at) = (2, vec![at(13, 0)]);
    });
    insta::assert_snapshot!(third, @"pos-seattle-01 received it, though one of the west was out of order");
    let crowd = of("pos-chicago-01", |part| part.outages[0].from = at(10, 59));
    insta::assert_snapshot!(crowd, @"pos-chicago-01 and pos-indianapolis-01 were out of order at once");
}

#[test]
fn an_outage_lasts_from_an_update_to_the_next_version_answered() {
    let event = |at_ms, kind, version: &str| Event {
        at_ms,
        took_ms: 0,
        kind,
        key: None,
        version: Some(version.to_owned()),
        status: None,
        fault: None,
        times: 1,
    };
    let events = [
        event(10, EventKind::Received, "1"),
        event(20, EventKind::AnsweredVersion, "1"),
        event(30, EventKind::Received, "2"),
        event(40, EventKind::Received, "1"),
        event(50, EventKind::AnsweredVersion, "1"),
        event(60, EventKind::AnsweredVersion, "1"),
        event(70, EventKind::Cut, "2"),
        event(80, EventKind::Received, "2"),
    ];
    let time = |millis| BEGINS_AT + Duration::from_millis(millis);
    let all = Outage::all(&events, BEGINS_AT, time(20));
    let text = |text: &str| Some(text.to_owned());
    let first = Outage { from: time(30), to: Some(time(50)), took: text("2"), shown: text("1") };
    let last = Outage { from: time(80), to: None, took: text("2"), shown: None };
    assert_eq!(all, [first.clone(), last.clone()]);
    assert!(!first.overlaps(&last) && last.overlaps(&last));
    // Who begins when the other has ended does not meet it.
    let next = Outage { from: time(50), ..last };
    assert!(!next.overlaps(&first) && !first.overlaps(&next));
}

#[test]
fn the_tables_fit_a_screen() {
    let plain = Paint { is_plain: true };
    let played: Vec<Played> = SCENARIOS.iter().map(|scenario| well(scenario.name)).collect();
    let outcomes = table::outcomes(&played, plain);
    assert!(outcomes.lines().all(|line| line.len() <= 100));
    insta::assert_snapshot!(outcomes);
    let mut judged: Vec<_> = played.into_iter().map(|played| (played, vec![])).collect();
    judged[1].1.push("something".to_owned());
    insta::assert_snapshot!(table::durations(&judged, plain));
}

#[test]
fn colors_are_around_words_and_not_around_lines() {
    let paint = Paint { is_plain: false };
    assert_eq!(paint.green("a b\n"), "\x1b[32ma b\x1b[0m\n");
    assert_eq!(Paint { is_plain: true }.red("a\n"), "a\n");
}
