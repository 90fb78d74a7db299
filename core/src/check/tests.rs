//! Each invariant: a breach of it is seen, and a correct course is none.

use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::{
    assignment::{FailReason, SkipReason, Step},
    hours::{Hours, Zone},
    ids::RolloutName,
    release::{Digest, Release},
    rollout::{Limits, Schedule, Spec, WaveSize, WaveSpec, ZoneRule},
    time::Time,
    verify::Mode,
};
use State::{Absent, Delivering, Queued, Retrying, Succeeded, Verifying};

const A: RolloutId = RolloutId(Uuid::from_u128(0xa));
const B: RolloutId = RolloutId(Uuid::from_u128(0xb));

/// 2026-11-25T04:00:00Z: 21:00 on the day before in Denver.
const NOW: Time = Time::from_millis(1_795_579_200_000);
const MINUTE: Duration = Duration::from_mins(1);

fn spec() -> Spec {
    let release = Release {
        name: "pos".to_owned(),
        version: "2.0.0".to_owned(),
        artifact: Digest([7; 32]),
        artifact_bytes: 12,
    };
    let limits = Limits { max_in_flight: 2, max_unverified: 3, max_per_host: 2, per_minute: None };
    let wave = |size| WaveSpec { size, soak: MINUTE, min_success: Some(50) };
    let waves = vec![wave(WaveSize::Count(4)), wave(WaveSize::Percent(100))];
    Spec { waves, limits, ..Spec::immediate(release) }
}

/// A ledger, and everything it has objected to.
struct Watched {
    ledger: Ledger,
    now: Time,
    breaches: Vec<String>,
}

/// Devices d1 to d4 in wave 1, which is open, and d5 in wave 2.
fn watched(spec: &Spec) -> Watched {
    let mut watched = Watched { ledger: Ledger::default(), now: NOW, breaches: vec![] };
    watched.ledger.rollout(A, spec, 0);
    for (wave, device) in [(0, "d1"), (0, "d2"), (0, "d3"), (0, "d4"), (1, "d5")] {
        watched.see(Observation::Listed { rollout: A, device, wave });
    }
    watched.see(Observation::WaveOpened { rollout: A, wave: 0 });
    watched
}

impl Watched {
    fn see(&mut self, seen: Observation<'_>) {
        let found = self.ledger.observe(&seen, self.now);
        self.breaches.extend(found.iter().map(ToString::to_string));
    }

    fn go(&mut self, device: &str, states: &[State]) {
        for pair in states.windows(2) {
            self.see(Observation::State { rollout: A, device, from: pair[0], to: pair[1] });
        }
    }

    fn send(&mut self, device: &str) {
        self.see(Observation::Sent { rollout: A, device });
    }

    fn update(&mut self, device: &str) {
        self.go(device, &[Queued, Delivering]);
        self.send(device);
        self.go(device, &[Delivering, Verifying]);
        self.see(Observation::Showed { device, version: "2.0.0" });
        self.go(device, &[Verifying, Succeeded]);
    }

    fn rule(&mut self, wave: usize, ruling: Ruling) {
        self.see(Observation::GateRuled { rollout: A, wave, ruling });
    }

    /// What it objected to since it was asked last.
    fn objections(&mut self) -> Vec<String> {
        std::mem::take(&mut self.breaches)
    }
}

#[test]
fn published_in_order_with_their_numbers() {
    for (at, invariant) in Invariant::ALL.into_iter().enumerate() {
        assert_eq!(usize::from(invariant.number()), at + 1);
        assert!(invariant.to_string().starts_with(&format!("{}. ", at + 1)));
    }
}

#[test]
fn a_correct_course_is_no_breach() {
    let mut watched = watched(&spec());
    for device in ["d1", "d2", "d3"] {
        watched.update(device);
    }
    watched.go("d4", &[Queued, Absent]);
    watched.see(Observation::WaveEnded { rollout: A, wave: 0 });
    watched.now = NOW + MINUTE;
    watched.rule(0, Ruling::Go);
    watched.see(Observation::WaveOpened { rollout: A, wave: 1 });
    watched.see(Observation::Stopped { rollout: A });
    watched.see(Observation::Idle { rollout: A, reasons: 1 });
    watched.see(Observation::Resumed { rollout: A });
    watched.update("d5");
    watched.go("d4", &[Absent, State::Away, Delivering, Queued, State::Canceled]);
    let counts = Counts { succeeded: 4, canceled: 1, ..Counts::default() };
    watched.see(Observation::Counted { rollout: A, counts: &counts });
    watched.see(Observation::Ended { rollout: A });
    watched.see(Observation::RoundBegan { rollout: A });
    watched.see(Observation::Listed { rollout: A, device: "d4", wave: 0 });
    watched.see(Observation::WaveOpened { rollout: A, wave: 0 });
    watched.update("d4");
    assert_eq!(watched.objections(), [""; 0]);
}

#[test]
fn who_fails_after_its_update_counts_as_failed_and_once() {
    let mut watched = watched(&spec());
    for device in ["d1", "d2", "d3", "d4"] {
        watched.update(device);
    }
    watched.see(Observation::WaveEnded { rollout: A, wave: 0 });
    for device in ["d1", "d2", "d3"] {
        watched.see(Observation::Unwell { rollout: A, device });
    }
    let counts = Counts { succeeded: 4, regressed: 3, queued: 1, ..Counts::default() };
    watched.see(Observation::Counted { rollout: A, counts: &counts });
    assert!(watched.objections().is_empty());
    watched.now = NOW + MINUTE;
    watched.rule(0, Ruling::Go);
    watched.see(Observation::Unwell { rollout: A, device: "d1" });
    watched.see(Observation::Unwell { rollout: A, device: "d5" });
    watched.see(Observation::Counted { rollout: A, counts: &Counts { regressed: 0, ..counts } });
    let objections = watched.objections();
    let is_told = |at: usize, what: &str| objections[at].contains(what);
    assert!(is_told(0, "the gate of wave 1 said go, but 1 of 4 is less than 50 %"));
    assert!(is_told(1, "d1 counts as regressed twice"));
    assert!(is_told(2, "d5 counts as regressed, but is queued"));
    assert!(is_told(3, "the counts shown are"), "{objections:?}");
}

#[test]
fn invariant_1_waves_wait_for_gates() {
    let mut watched = watched(&spec());
    watched.see(Observation::WaveOpened { rollout: A, wave: 1 });
    assert_eq!(watched.objections(), ["invariant 1: wave 2 opened before the gate of wave 1"]);

    let mut watched = self::watched(&spec());
    watched.go("d5", &[Queued, Delivering]);
    let claimed = "invariant 1: d5 was claimed, but its wave 2 is not open";
    assert_eq!(watched.objections(), [claimed]);
    watched.rule(0, Ruling::Go);
    watched.see(Observation::WaveEnded { rollout: A, wave: 0 });
    watched.rule(0, Ruling::Override);
    assert_eq!(
        watched.objections(),
        [
            "invariant 1: the gate of wave 1 said go, but the wave had not ended",
            "invariant 1: wave 1 ended with 4 devices open",
            "invariant 1: wave 1 was advanced over, but by no operator",
        ]
    );
    watched.see(Observation::Advanced { rollout: A, wave: 0 });
    watched.rule(0, Ruling::Override);
    assert_eq!(watched.objections(), [""; 0]);
}

#[test]
fn invariant_1_a_go_needs_its_evidence_and_its_soak() {
    let unreachable = State::Failed(FailReason::Unreachable);
    let silent = State::TimedOut(Step::Verifying);
    for (ends, after, objection) in [
        ([Succeeded; 4], MINUTE / 2, "its soak was not over"),
        ([unreachable; 4], MINUTE, "it had nothing to judge by"),
        ([Succeeded, silent, silent, unreachable], MINUTE, "1 of 3 is less than 50 %"),
        ([Succeeded, silent, unreachable, State::Skipped(SkipReason::Offline)], MINUTE, ""),
        ([State::Skipped(SkipReason::AlreadyCurrent); 4], MINUTE, ""),
    ] {
        let mut watched = watched(&spec());
        for (device, end) in ["d1", "d2", "d3", "d4"].into_iter().zip(ends) {
            watched.go(device, &[Queued, Delivering, end]);
        }
        watched.see(Observation::WaveEnded { rollout: A, wave: 0 });
        watched.now = NOW + after;
        watched.rule(0, Ruling::Go);
        let objections = watched.objections();
        if objection.is_empty() {
            assert_eq!(objections, [""; 0], "{ends:?}");
        } else {
            let text = format!("invariant 1: the gate of wave 1 said go, but {objection}");
            assert_eq!(objections, [text], "{ends:?}");
        }
    }
}

#[test]
fn invariant_2_limits() {
    let mut watched = watched(&spec());
    for device in ["d1", "d2"] {
        watched.go(device, &[Queued, Delivering]);
        watched.send(device);
    }
    watched.go("d1", &[Delivering, Verifying]);
    watched.go("d3", &[Queued, Delivering]);
    assert_eq!(watched.objections(), [""; 0]);
    watched.go("d4", &[Queued, Delivering]);
    assert_eq!(
        watched.objections(),
        [
            "invariant 2: the claim of d4 makes 3 open deliveries, 2 allowed",
            "invariant 2: the claim of d4 makes 4 devices not verified, 3 allowed",
            "invariant 2: the claim of d4 makes 4 devices begun and not known to be well, 3 allowed",
        ]
    );
    watched.send("d3");
    watched.send("d4");
    assert_eq!(watched.objections(), ["invariant 2: 3 deliveries are being sent, 2 allowed"]);
}

#[test]
fn invariant_2_those_tried_again_hold_places_and_a_restart_frees_none() {
    let mut watched = watched(&spec());
    for device in ["d1", "d2", "d3"] {
        watched.go(device, &[Queued, Delivering, Retrying]);
    }
    watched.see(Observation::Restarted);
    watched.go("d1", &[Retrying, Delivering]);
    assert_eq!(watched.objections(), [""; 0]);
    watched.go("d4", &[Queued, Delivering]);
    let text =
        "invariant 2: the claim of d4 makes 4 devices begun and not known to be well, 3 allowed";
    assert_eq!(watched.objections(), [text]);
    // A limit that is lowered is exceeded by the world, not by us, until the next claim.
    let lower = Spec { limits: Limits { max_in_flight: 1, ..spec().limits }, ..spec() };
    watched.ledger.rollout(A, &lower, 0);
    watched.go("d1", &[Delivering, Verifying]);
    assert_eq!(watched.objections(), [""; 0]);
}

#[test]
fn invariant_2_one_host_has_its_own_limit() {
    let roomy = Limits { max_in_flight: 9, max_unverified: 9, ..spec().limits };
    let mut watched = watched(&Spec { limits: roomy, ..spec() });
    for device in ["d1", "d2", "d3"] {
        watched.ledger.device(device, None, Some("http://gateway:80"));
    }
    watched.ledger.device("d4", None, Some("http://other:80"));
    for device in ["d1", "d2", "d4"] {
        watched.go(device, &[Queued, Delivering]);
    }
    watched.go("d1", &[Delivering, Queued, Delivering]);
    assert_eq!(watched.objections(), [""; 0]);
    watched.go("d3", &[Queued, Delivering]);
    let text = "invariant 2: the claim of d3 makes 3 open deliveries to its host, 2 allowed";
    assert_eq!(watched.objections(), [text]);
}

#[test]
fn invariant_3_a_stop_is_a_stop() {
    let mut watched = watched(&spec());
    watched.go("d1", &[Queued, Delivering]);
    watched.send("d1");
    watched.go("d2", &[Queued, Delivering]);
    watched.see(Observation::Stopped { rollout: A });
    watched.go("d1", &[Delivering, Verifying, Succeeded]);
    assert_eq!(watched.objections(), [""; 0], "what was sent may end");
    watched.send("d2");
    watched.go("d3", &[Queued, Delivering]);
    assert_eq!(
        watched.objections(),
        [
            "invariant 3: d2 was sent to after the stop was acknowledged",
            "invariant 3: d3 was claimed after the stop was acknowledged",
        ]
    );
}

/// In Berlin the clock goes back from 03:00 to 02:00 on 2026-10-25, at 01:00 in UTC.
#[test]
fn invariant_4_a_window_in_a_repeated_hour_comes_once() {
    let zone = super::wall::zone(&Schedule::default(), Some("Europe/Berlin"));
    let minute = |text: &str| -> Time {
        let at: jiff::Timestamp = format!("2026-10-25T{text}:00Z").parse().unwrap();
        Time::from_millis(at.as_millisecond())
    };
    for (window, at, is_open) in [
        ("02:10-02:30", "00:15", true),
        ("02:10-02:30", "01:15", false),
        ("02:00-03:00", "01:15", true),
        ("00:00-02:30", "01:15", false),
        ("02:30-05:00", "01:45", false),
        ("02:30-05:00", "02:00", true),
        ("23:00-06:00", "01:45", true),
        ("00:00-24:00", "01:00", true),
    ] {
        let hours = Hours::new(vec![window.parse().unwrap()], vec![]).unwrap();
        let schedule = Schedule { hours, ..Schedule::default() };
        let closed = super::wall::closed(&schedule, &zone, minute(at));
        assert_eq!(closed.is_none(), is_open, "{window} at {at}: {closed:?}");
    }
}

#[test]
fn a_first_turn_ends_when_its_window_does() {
    let hours = Hours::new(vec!["21:00-23:00".parse().unwrap()], vec![]).unwrap();
    let schedule = Schedule { hours, ..Schedule::default() };
    let ends_in = |zone, minutes_max| {
        let ends_at = first_turn_ends_at(&schedule, zone, NOW, minutes_max);
        ends_at.map(|at| at.since(NOW).as_secs() / 60)
    };
    assert_eq!(ends_in(Some("America/Denver"), 1_440), Some(120), "it is on");
    assert_eq!(ends_in(None, 1_440), Some(19 * 60), "it comes");
    assert_eq!(ends_in(None, 600), None, "not so soon");
}

#[test]
fn invariant_4_hours_on_the_wall_of_the_device() {
    let hours = |windows: &[&str], freezes: &[&str]| {
        let windows = windows.iter().map(|text| text.parse().unwrap()).collect();
        let freezes = freezes.iter().map(|text| text.parse().unwrap()).collect();
        Hours::new(windows, freezes).unwrap()
    };
    // d1 is in Denver, where it is Tuesday 2026-11-24, 21:00; d2 is nowhere: UTC, Wednesday, 04:00.
    for (windows, freezes, objections) in [
        (&["21:00-23:00"][..], &[][..], &["d2"][..]),
        (&["02:00-04:00"], &[], &["d1", "d2"]),
        (&["Tue 20:00-05:00"], &[], &[]),
        (&["Wed 20:00-05:00"], &[], &["d1", "d2"]),
        (&["20:59-21:00", "03:59-04:01"], &[], &["d1"]),
        (&[], &["2026-11-24..2026-11-24"], &["d1"]),
        (&["00:00-24:00"], &["2026-11-25..2026-11-26"], &["d2"]),
        (&[], &["2026-11-24T20:00..2026-11-24T21:00"], &[]),
    ] {
        let hours = hours(windows, freezes);
        let schedule = Schedule { hours, ..Schedule::default() };
        let mut watched = watched(&Spec { schedule, ..spec() });
        watched.ledger.device("d1", Some("America/Denver"), None);
        watched.go("d1", &[Queued, Delivering]);
        watched.go("d2", &[Queued, Delivering]);
        let found = watched.objections();
        assert_eq!(found.len(), objections.len(), "{windows:?} {freezes:?}: {found:?}");
        for (text, device) in found.iter().zip(objections) {
            assert!(text.starts_with(&format!("invariant 4: {device} was claimed at ")), "{text}");
        }
    }
    let zone = ZoneRule::Fixed(Zone::parse("America/Denver").unwrap());
    let schedule = Schedule { hours: hours(&["21:00-22:00"], &[]), zone, ..Schedule::default() };
    let mut watched = watched(&Spec { schedule, ..spec() });
    watched.ledger.device("d1", Some("Europe/Berlin"), None);
    watched.go("d1", &[Queued, Delivering]);
    assert_eq!(watched.objections(), [""; 0], "the rollout's zone for all");

    let mut watched = self::watched(&Spec { start_at: Some(NOW + MINUTE), ..spec() });
    watched.go("d1", &[Queued, Delivering]);
    assert_eq!(watched.objections(), ["invariant 4: d1 was claimed before the start"]);
}

#[test]
fn invariant_5_nothing_is_sent_twice_while_in_doubt() {
    let twice = |between: &dyn Fn(&mut Watched), spec: &Spec| {
        let mut watched = watched(spec);
        watched.go("d1", &[Queued, Delivering]);
        watched.send("d1");
        between(&mut watched);
        watched.go("d1", &[Delivering, Retrying, Delivering]);
        watched.send("d1");
        watched.objections()
    };
    let text = "invariant 5: d1 was sent to again before it refused or showed a version";
    assert_eq!(twice(&|_| {}, &spec()), [text]);
    let show = |version| {
        move |watched: &mut Watched| watched.see(Observation::Showed { device: "d1", version })
    };
    assert_eq!(twice(&show("2.0.0"), &spec()), [text]);
    assert_eq!(twice(&show("1.0.0"), &spec()), [""; 0]);
    let refuse = |watched: &mut Watched| {
        watched.see(Observation::NotTaken { rollout: A, device: "d1" });
    };
    assert_eq!(twice(&refuse, &spec()), [""; 0]);
    let mut at_least_once = spec();
    at_least_once.verify.mode = Mode::None;
    assert_eq!(twice(&|_| {}, &at_least_once), [""; 0]);
    assert_eq!(twice(&|watched| watched.see(Observation::Restarted), &spec()), [text]);

    let mut watched = watched(&spec());
    watched.send("d1");
    assert_eq!(watched.objections(), ["invariant 5: d1 was sent to while queued"]);
}

#[test]
fn invariant_5_a_restart_loses_no_result() {
    let mut watched = watched(&spec());
    watched.update("d1");
    watched.see(Observation::Restarted);
    watched.go("d1", &[Verifying, Succeeded]);
    let counts = Counts { queued: 4, verifying: 1, ..Counts::default() };
    watched.see(Observation::Counted { rollout: A, counts: &counts });
    let found = watched.objections();
    assert_eq!(found[0], "invariant 5: d1 had ended as succeeded and became succeeded");
    assert!(found[1].starts_with("invariant 5: the counts shown are "), "{}", found[1]);
}

#[test]
fn invariant_6_one_end_and_counts_that_add_up() {
    let mut watched = watched(&spec());
    watched.update("d1");
    watched.go("d1", &[Succeeded, State::Canceled]);
    watched.go("d2", &[Retrying, State::Canceled]);
    watched.see(Observation::Listed { rollout: A, device: "d3", wave: 0 });
    watched.see(Observation::Idle { rollout: A, reasons: 0 });
    watched.see(Observation::Ended { rollout: A });
    let counts = Counts { queued: 3, canceled: 3, ..Counts::default() };
    watched.see(Observation::Counted { rollout: A, counts: &counts });
    watched.see(Observation::RoundBegan { rollout: B });
    let found = watched.objections();
    assert_eq!(
        found[..5],
        [
            "invariant 6: d1 had ended as succeeded and became canceled",
            "invariant 6: d2 became canceled from retrying, but was queued",
            "invariant 6: d3 was listed twice in one round",
            "invariant 6: 3 devices are open, and no reason is shown",
            "invariant 6: 3 devices are open, though the rollout has ended",
        ]
    );
    assert!(found[5].starts_with("invariant 6: the counts shown are "), "{}", found[5]);
    assert!(found[6].starts_with("invariant 6: something happened in rollout "), "{}", found[6]);
}

#[test]
fn invariant_6_a_device_is_active_in_one_rollout() {
    let mut watched = watched(&spec());
    watched.ledger.rollout(B, &spec(), 0);
    watched.see(Observation::Listed { rollout: B, device: "d1", wave: 0 });
    watched.see(Observation::WaveOpened { rollout: B, wave: 0 });
    let claim = Observation::State { rollout: B, device: "d1", from: Queued, to: Delivering };
    watched.go("d1", &[Queued, Delivering, Succeeded]);
    watched.see(claim);
    assert_eq!(watched.objections(), [""; 0], "one after the other");
    watched.go("d2", &[Queued, Delivering, Retrying]);
    watched.see(Observation::Listed { rollout: B, device: "d2", wave: 0 });
    watched.see(Observation::State { rollout: B, device: "d2", from: Queued, to: Delivering });
    let text = format!("invariant 6: d2 is active in {B} and in {A}");
    assert_eq!(watched.objections(), [text]);
}

#[test]
fn a_device_that_moved_is_judged_by_either_zone_until_that_is_known() {
    let zone = ZoneRule::Device { otherwise: Zone::utc() };
    let hours = Hours { windows: vec!["04:00-05:00".parse().unwrap()], freezes: vec![] };
    let schedule = Schedule { hours, zone, ..Schedule::default() };
    let at = |minutes: u32| NOW + MINUTE * minutes;
    let claim = |ledger: &mut Ledger, device, minutes| {
        let (from, to) = (State::Queued, State::Delivering);
        let seen = Observation::State { rollout: A, device, from, to };
        let breaches = ledger.observe(&seen, at(minutes)).into_iter();
        breaches.filter(|breach| breach.invariant == Invariant::Hours).count()
    };
    let mut ledger = Ledger::default();
    ledger.rollout(A, &Spec { schedule, ..spec() }, 64);
    for device in ["a", "b", "c", "d"] {
        ledger.device(device, Some("UTC"), None);
        let listed = Observation::Listed { rollout: A, device, wave: 0 };
        assert!(ledger.observe(&listed, at(0)).is_empty());
    }
    ledger.observe(&Observation::WaveOpened { rollout: A, wave: 0 }, at(0));
    for device in ["a", "b", "c"] {
        ledger.device_moved(device, Some("Asia/Tokyo"));
    }
    assert_eq!(claim(&mut ledger, "a", 1), 0);
    for device in ["b", "c"] {
        ledger.zones_known(device, at(2));
    }
    assert_eq!(claim(&mut ledger, "b", 2), 0, "decided before, told later");
    assert_eq!(claim(&mut ledger, "c", 3), 1, "it is past one in the afternoon there");
    assert_eq!(claim(&mut ledger, "d", 3), 0);
}

#[test]
fn who_failed_too_often_is_left_out_until_one_goes_well_or_it_is_released() {
    let strict = Spec { quarantine_after: Some(1), ..spec() };
    let mut watched = watched(&Spec { quarantine_after: Some(2), ..spec() });
    watched.ledger.rollout(B, &strict, 0);
    for device in ["d1", "d2", "d3"] {
        watched.see(Observation::Listed { rollout: B, device, wave: 0 });
    }
    watched.see(Observation::WaveOpened { rollout: B, wave: 0 });
    let fail = |watched: &mut Watched, device| {
        watched.go(device, &[Queued, Delivering, State::Failed(FailReason::Rejected)]);
    };
    let claim = |watched: &mut Watched, device, to| {
        watched.see(Observation::State { rollout: B, device, from: Queued, to });
        watched.objections()
    };
    fail(&mut watched, "d1");
    fail(&mut watched, "d2");
    let left_out = State::Skipped(SkipReason::Quarantined);
    assert_eq!(claim(&mut watched, "d2", left_out), [""; 0]);
    let claimed = claim(&mut watched, "d1", Delivering);
    let why = "invariant 2: d1 was claimed, though it failed 1 rollouts in a row, 1 leave it out";
    assert_eq!(claimed, [why]);
    let why = "invariant 2: d3 was left out, though it failed 0 rollouts in a row, 1 leave it out";
    assert_eq!(claim(&mut watched, "d3", left_out), [why]);
    assert_eq!(watched.ledger.failed_in_row("d1"), 1);
    watched.see(Observation::TakesPart { device: "d1" });
    assert_eq!(watched.ledger.failed_in_row("d1"), 0);
    watched.update("d4");
    watched.see(Observation::Unwell { rollout: A, device: "d4" });
    assert_eq!(watched.ledger.failed_in_row("d4"), 1);
}

#[test]
fn what_goes_well_in_a_rollback_shows_nothing_of_what_is_new() {
    let mut watched = watched(&spec());
    let of = RolloutName { id: A, number: 1, name: "pos".to_owned(), version: "2.0.0".to_owned() };
    watched.ledger.rollout(B, &Spec { rolls_back: Some(of), ..spec() }, 0);
    watched.go("d1", &[Queued, Delivering, State::TimedOut(Step::Verifying)]);
    watched.see(Observation::Listed { rollout: B, device: "d1", wave: 0 });
    watched.see(Observation::WaveOpened { rollout: B, wave: 0 });
    for (from, to) in [(Queued, Verifying), (Verifying, Succeeded)] {
        watched.see(Observation::State { rollout: B, device: "d1", from, to });
    }
    assert_eq!((watched.objections(), watched.ledger.failed_in_row("d1")), (vec![], 1));
    watched.update("d2");
    assert_eq!(watched.ledger.failed_in_row("d2"), 0);
}
