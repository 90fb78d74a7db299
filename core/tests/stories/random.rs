//! Stories that nobody wrote: random specs, and operators and devices that do anything at all.
//!
//! The ledger watches every step. What it objects to is printed as a script: put it among the
//! others when the mistake is corrected.

use groundswell_core::rollout::State;
use proptest::prelude::*;

use super::{script::Script, world::World};

/// Devices of every story.
const DEVICES: &str = "device = pos-1..pos-5 tag.store=1 tag.town=east
device = den-1..den-3 zone=America/Denver version=1.0.0 tag.store=2 tag.town=east
device = van-1..van-2 check_in=10m seen=5m host=http://gateway:80
device = old-1 check_in=1h seen=3d
";

const FIELDS: &[&[&str]] = &[
    &["", "wave = 100%, success 50", "wave = 1, soak 5m, success 100\nwave = 100%, success 50"],
    &["", "wave = 3, success 60\nwave = 60%, soak 1h\nwave = 100%, success 50"],
    &["max_in_flight = 1", "max_in_flight = 3", ""],
    &["max_unverified = 2", "max_unverified = 5", ""],
    &["max_per_host = 1", ""],
    &["budget = tag.store 1", "budget = tag.store 40 %\nbudget = tag.town 2", "", ""],
    &["per_minute = 2", "", ""],
    &["window = 02:00-04:00", "window = 22:00-05:00\nwindow = 12:00-15:00", "", ""],
    &["freeze = 2026-11-26..2026-11-26", "", ""],
    &["when_closed = end", "", ""],
    &["offline = wait\nwait_absent = 3h", "offline = wait", "offline = try", ""],
    &["deadline = 10h after the start", "deadline = 3d after the start", ""],
    &["brake = 0", "brake = 2", "", ""],
    &["on_failure = abort", "", ""],
    &["verify = none", "verify = reachable", "", ""],
    &["start_at = 2026-11-25T16:00:00Z", "", ""],
    &["attempts = 2", "attempts = 5", ""],
];

const DEVICE_IDS: [&str; 11] = [
    "pos-1", "pos-2", "pos-3", "pos-4", "pos-5", "den-1", "den-2", "den-3", "van-1", "van-2",
    "old-1",
];

const HAPPENINGS: [&str; 11] = [
    "succeeds",
    "accepts",
    "fails",
    "refuses 503",
    "is unreachable",
    "does not answer",
    "shows 1.9.0",
    "shows 2.0.0",
    "calls",
    "is current",
    "is superseded",
];

fn header() -> impl Strategy<Value = String> {
    let fields: Vec<_> =
        FIELDS.iter().map(|values| prop::sample::select(values.to_vec())).collect();
    fields.prop_map(|mut fields| {
        // Waves are chosen once.
        if !fields[0].is_empty() {
            fields[1] = "";
        }
        fields.retain(|field| !field.is_empty());
        format!("{DEVICES}{}", fields.join("\n"))
    })
}

fn step() -> impl Strategy<Value = String> {
    let happening = (prop::sample::select(&DEVICE_IDS[..]), prop::sample::select(&HAPPENINGS[..]));
    let acts = ["pause", "resume", "advance", "retry", "cancel", "abort", "start", "driver dies"];
    let waits = ["wait 1s", "wait 1m", "wait 31m", "wait 3h", "wait 9h", "wait 1d"];
    prop_oneof![
        8 => happening.prop_map(|(device, what)| format!("{device} {what}")),
        3 => prop::sample::select(waits.to_vec()).prop_map(str::to_owned),
        2 => Just("all succeed".to_owned()),
        2 => prop::sample::select(acts.to_vec()).prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_no_invariant_is_broken(
        header in header(),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let script = Script::parse(&format!("{header}\n\nstart\n{}", steps.join("\n"))).unwrap();
        let mut world = World::new(&script).unwrap();
        // What could never send anything is not started, and there is no story to tell.
        prop_assume!(world.spec.times().never_if_started(world.now).is_none());
        for line in &script.steps {
            // A device that is not open has nothing to say.
            if let Err(why) = world.step(line) {
                prop_assert!(why != "it does not come to rest", "{}", world.told);
            }
        }
        // A deadline ends what runs, if only its devices answer.
        if world.spec.deadline.is_some() {
            for line in ["all succeed", "wait 2d"].repeat(6) {
                world.step(line).unwrap();
            }
            prop_assert!(world.progression.state != State::Running, "{}", world.told);
        }
        // Whatever became of it, an operator can bring it to its end.
        for line in ["cancel", "all succeed", "wait 1d"] {
            world.step(line).unwrap();
        }
        prop_assert!(world.progression.state.is_ended(), "{}", world.told);
        world.hold_log().unwrap();
        world.hold_cut(world.book.entries.len() / 2).unwrap();
    }
}
