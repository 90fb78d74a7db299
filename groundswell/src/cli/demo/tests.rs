//! Evidence thought up: what the checks say of it, and how it looks as tables.

use std::time::Duration;

use groundswell_core::{
    assignment::{SkipReason, State},
    device::Device,
    gate::{Ruling, Tally, Verdict, external::Besides},
    hours::Zone,
    rollout::{self, Wave, WaveState},
    time::Time,
};

use super::{
    check::check,
    paint::Paint,
    played::{Part, Played},
    scenario::{SCENARIOS, Scenario, WAVES},
    stage::BEGINS_AT,
    table,
};

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
        self.sha256 = None;
        self.after.clone_from(&self.before);
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
        _ => terminals
            .iter_mut()
            .filter(|part| !part.was_online)
            .for_each(|part| part.left(Some(OFFLINE))),
    }
    let mut waves = vec![passed()];
    if name == "progressive" {
        waves = vec![passed(); WAVES.len()];
        for (place, part) in terminals.iter_mut().enumerate() {
            let wave = [0, 1, 1, 1, 1, 2, 2, 2, 2, 2][place];
            part.standing = part.standing.map(|(_, state)| (wave, state));
            part.received_at.iter_mut().for_each(|time| *time = at(5 + wave as u64, 0));
        }
    }
    Played {
        version: scenario.version.to_owned(),
        sha256: "5a".to_owned(),
        from: at(0, 0),
        to: at(5, 8),
        took: Duration::from_millis(30_900),
        state: rollout::State::Completed,
        waves,
        terminals,
    }
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
        sha256: Some("5a".to_owned()),
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
