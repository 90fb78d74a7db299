//! A release that bricks a third of a fleet, as far as it gets: stopped, told, and rolled back.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use groundswell::sim::{EventKind, Options};

use super::driven::Stage;

const TILLS: usize = 1_000;
const STORES: usize = 300;

const SPEC: &str = "release = 'pos-app 2.0.0'
salt = 'fixed'
on_failure = 'rollback'
timeouts = { verifying = '2s' }
limits = { max_in_flight = 60, max_unverified = 60 }
budgets = [{ per = 'tag.store', max = 1 }]
regression = { baseline = '2%' }";

/// Tills one to four of three hundred stores.
fn move_in(stage: &Stage) {
    let listed = fs::read_to_string(stage.dir().join("devices.csv")).unwrap();
    let mut lines = String::new();
    for (at, line) in listed.lines().enumerate() {
        let extra = match at {
            0 => "tag.store".to_owned(),
            at => format!("{:03}", (at - 1) % STORES),
        };
        writeln!(lines, "{line},{extra}").unwrap();
    }
    fs::write(stage.dir().join("stores.csv"), lines).unwrap();
    let ran = stage.run(&["device", "import", "stores.csv"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

fn store_of(device: &str) -> usize {
    device.strip_prefix("pos-").unwrap().parse::<usize>().unwrap() % STORES
}

/// Since when each till of a store was out of order through us, and until when, by its own story:
/// from the update that it took to the version that it showed afterwards; none if it never did.
fn outages(stage: &Stage) -> BTreeMap<usize, Vec<(String, u64, Option<u64>)>> {
    let mut outages: BTreeMap<usize, Vec<_>> = BTreeMap::new();
    for (id, device) in stage.fleet().report().devices {
        let mut down: Option<u64> = None;
        let of = outages.entry(store_of(&id)).or_default();
        for event in &device.events {
            match event.kind {
                EventKind::Received => down = down.or(Some(event.at_ms)),
                EventKind::AnsweredVersion => {
                    if let Some(from) = down.take() {
                        of.push((id.clone(), from, Some(event.at_ms)));
                    }
                }
                EventKind::Cut => {}
            }
        }
        of.extend(down.map(|from| (id.clone(), from, None)));
    }
    outages
}

#[test]
fn a_release_that_bricks_devices_is_stopped_told_and_rolled_back() {
    let faults = vec!["bricks:0.3".parse().unwrap()];
    let mut stage = Stage::new(TILLS, Options { faults, ..Options::default() });
    move_in(&stage);
    let ran = stage.run(&["release", "create", "pos-app", "1.0.0", "pos.bin"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for n in 0..TILLS {
        stage.fleet().seed_device(&format!("pos-{n}"), "1.0.0");
    }
    fs::write(stage.dir().join("blast.toml"), SPEC).unwrap();
    let ran = stage.run(&["rollout", "create", "blast.toml"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    stage.drive();
    stage.run(&["rollout", "start", "2"]);
    stage.until_of("2", "aborted");
    let shown = stage.rollout("2");
    let harmed = shown["counts"]["failed"].as_u64().unwrap();
    // Four failures of a few are enough, and as many as are open at once may come behind them.
    assert!((2..60).contains(&harmed), "{harmed}: {}", shown["counts"]);
    let told = stage.told(&["rollout", "show", "2"]);
    assert!(told.contains(&format!("failed       {harmed}: {harmed} verification")), "{told}");
    assert!(told.contains(", aborted: ") && told.contains("where 2 % fail"), "{told}");
    assert!(told.contains("rolled back  by rollout 3"), "{told}");
    stage.until_of("3", "completed");
    let report = stage.fleet().report();
    let touched =
        |id: &str| report.devices[id].events.iter().any(|e| e.kind == EventKind::Received);
    for n in 0..TILLS {
        let id = format!("pos-{n}");
        let device = stage.fleet().device(&id).unwrap();
        assert_eq!(
            device.version,
            "1.0.0",
            "{id}, touched: {}",
            report.devices.contains_key(&id) && touched(&id)
        );
    }
    // In no store two tills were out of order at a time.
    for (store, outages) in outages(&stage) {
        for (at, (id, from, to)) in outages.iter().enumerate() {
            for (other, other_from, other_to) in &outages[at + 1..] {
                let is_apart = id == other
                    || to.is_some_and(|to| to <= *other_from)
                    || other_to.is_some_and(|to| to <= *from);
                assert!(is_apart, "store {store}: {outages:?}");
            }
        }
    }
    for number in ["2", "3"] {
        assert_eq!(stage.run(&["rollout", "replay", number]).code, Some(0));
    }
}
