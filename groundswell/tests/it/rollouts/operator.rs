//! An operator at the command line beside a process that drives, or without one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use groundswell::{
    core::{rollout::Act, snapshot::Counts},
    sim::Options,
    store::{Intent, SqliteStore, Store, dir},
};
use tokio::{runtime::Runtime, sync::Barrier};

use super::process::Town;
use crate::{
    program::Ran,
    support::device::{Device, Do, answer, reply},
};

/// Far more than an answer takes, and far less than any time-out of a device that hangs.
const SOON: Duration = Duration::from_secs(15);

/// A device besides those of the fleet, that does what it is told to.
struct Guest {
    device: Device,
    runtime: Runtime,
}

impl Guest {
    fn join(town: &Town, scripts: Vec<Vec<Do>>) -> Self {
        let runtime = Runtime::new().unwrap();
        let device = runtime.block_on(Device::start(scripts));
        let csv = format!("id,address,version\nguest,{},1.0.0\n", device.address());
        std::fs::write(town.ground.dir.path().join("guest.csv"), csv).unwrap();
        town.tell(&["device", "import", "guest.csv"]);
        Self { device, runtime }
    }

    fn until_seen(&self, requests: usize) {
        self.wait(self.device.until_seen(requests));
    }

    fn wait<T>(&self, what: impl Future<Output = T>) -> T {
        self.runtime.block_on(async { tokio::time::timeout(SOON, what).await.unwrap() })
    }
}

const GUEST_FIRST: &str = "release = 'pos-app 2.0.0'
    waves = [{ select = 'id==guest' }, { percent = 100 }]";

fn assert_says(ran: &Ran, words: &str) {
    assert!(ran.out.contains(words), "no `{words}` in {ran:?}");
}

#[test]
fn a_pause_is_answered_soon_and_obeyed_at_once() {
    const DEVICES: u64 = 400;
    const OPEN_MAX: u64 = 8;
    let latency = Duration::from_millis(30);
    let town = Town::new(DEVICES as usize, Options { latency, ..Options::default() });
    let key = town.begin("release = 'pos-app 2.0.0'\nlimits = { max_in_flight = 8 }");
    let mut running = town.run();
    Town::until("nothing is sent", || town.received() > 40);
    let asked = Instant::now();
    let paused = town.tell(&["rollout", "pause", "1"]);
    let answered_in = asked.elapsed();
    let received = town.received();
    assert!(answered_in < Duration::from_secs(3), "{answered_in:?}");
    assert_says(&paused, "is paused");
    // What was sent may end; nothing else is.
    Town::until("it is open", || town.counts(key).active() == 0);
    let ended = town.received();
    assert!(ended <= received + OPEN_MAX, "{received}, and then {ended}");
    for _ in 0..3 {
        // Each answer is one more look of the driver.
        assert_says(&town.tell(&["rollout", "pause", "1"]), "it was paused before");
    }
    assert_eq!(town.received(), ended);
    assert!(ended < DEVICES, "it came too late to matter");
    let shown = town.tell(&["rollout", "show", "1", "--output", "json"]).json();
    assert_eq!((&shown["state"], &shown["paused"][0]), (&"paused".into(), &"operator".into()));
    let driver = shown["driver"].as_str().unwrap();
    assert_eq!(driver, format!("process {}: groundswell run", running.id()));
    // Not even when another process takes over.
    running.kill();
    running = town.run();
    assert_says(&town.tell(&["rollout", "pause", "1"]), "it was paused before");
    assert_eq!(town.received(), ended);

    town.tell(&["rollout", "resume", "1"]);
    town.until_state(key, "completed");
    running.check();
    assert_eq!(town.counts(key), Counts { succeeded: DEVICES, ..Counts::default() });
    let fleet = town.ground.fleet.summary();
    assert_eq!((fleet.receptions.complete, fleet.repeated), (DEVICES, 0));
}

#[test]
fn a_cancel_says_what_is_open_and_lets_it_end() {
    let town = Town::new(30, Options::default());
    let barrier = Arc::new(Barrier::new(2));
    let slow = vec![Do::Head, Do::Rest, Do::Meet(barrier.clone()), Do::Write(answer(200, "", ""))];
    let version = reply(200, "", r#"{"version":"2.0.0"}"#);
    let guest = Guest::join(&town, vec![slow, version]);
    let key = town.begin(GUEST_FIRST);
    let _running = town.run();
    guest.until_seen(1);
    let canceled = town.tell(&["rollout", "cancel", "1"]);
    assert_says(&canceled, "is canceling; 1 device still open");
    Town::until("others wait", || town.counts(key).canceled == 30);
    assert_eq!(town.stands(key), "canceling");
    assert_says(&town.tell(&["rollout", "show", "1"]), "1 device is still open");
    assert_says(&town.tell(&["rollout", "why", "1", "guest"]), "delivering");
    let again = town.tell(&["rollout", "cancel", "1"]);
    assert_says(&again, "it was canceled before; 1 device still open");

    guest.wait(barrier.wait());
    town.until_state(key, "canceled");
    let counts = Counts { succeeded: 1, canceled: 30, ..Counts::default() };
    assert_eq!(town.counts(key), counts);
    assert_eq!(town.ground.fleet.summary().requests, 0);
    assert_eq!(guest.device.seen_count(), 2);
}

#[test]
fn an_abort_stops_what_is_open_and_a_retry_begins_again() {
    let town = Town::new(30, Options::default());
    let hang = vec![Do::Head, Do::Rest, Do::Hang];
    let version = reply(200, "", r#"{"version":"2.0.0"}"#);
    let guest = Guest::join(&town, vec![hang, reply(200, "", ""), version]);
    let key = town.begin(GUEST_FIRST);
    let _running = town.run();
    guest.until_seen(1);
    let asked = Instant::now();
    town.tell(&["rollout", "abort", "1"]);
    town.until_state(key, "aborted");
    guest.wait(guest.device.until_open(0));
    assert!(asked.elapsed() < SOON, "it waited for the device: {:?}", asked.elapsed());
    assert_eq!(town.counts(key), Counts { canceled: 31, ..Counts::default() });
    assert_eq!(town.ground.fleet.summary().requests, 0);
    // It has ended: the driver takes it up again.
    town.tell(&["rollout", "retry", "1"]);
    town.until_state(key, "completed");
    assert_eq!(town.record(key).progression.round, 2);
    assert_eq!(town.counts(key), Counts { succeeded: 31, ..Counts::default() });
    assert_eq!(town.received(), 30);
    let updates = guest.device.seen().into_iter().filter(|seen| seen.line.starts_with("POST"));
    assert_eq!(updates.count(), 2);
}

#[test]
fn a_check_in_at_the_command_line_is_a_contact() {
    let town = Town::new(1, Options::default());
    let port = town.ground.fleet.local_addr().port();
    let csv = format!(
        "id,address,version,check_in,last_seen
        here,http://127.70.1.1:{port},1.0.0,1h,-1m
        away,http://127.70.1.2:{port},1.0.0,1h,-9d
        far,http://127.70.1.3:{port},1.0.0,1h,never"
    );
    std::fs::write(town.ground.dir.path().join("away.csv"), csv).unwrap();
    town.tell(&["device", "import", "away.csv"]);
    let key = town.begin(
        "release = 'pos-app 2.0.0'
        select = 'id!=pos-0'
        strategy = 'on_connect'
        deadline = '30d'",
    );
    let _running = town.run();
    Town::until("it is not settled", || {
        let counts = town.counts(key);
        (counts.succeeded, counts.away + counts.absent) == (1, 2)
    });
    assert_eq!(town.received(), 1);
    assert_says(&town.tell(&["rollout", "why", "1", "away"]), "offline since");
    assert_says(&town.tell(&["rollout", "why", "1", "far"]), "never seen");
    let asked = Instant::now();
    town.tell(&["device", "check-in", "away", "--version", "1.0.0"]);
    Town::until("it is not sent to", || town.counts(key).succeeded == 2);
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    assert_eq!(town.ground.fleet.device("away").unwrap().version, "2.0.0");
    assert_eq!(town.received(), 2);
    assert_eq!(town.ground.fleet.device("far"), None);
}

#[test]
fn only_one_process_drives_and_all_others_can_operate() {
    let town = Town::new(5, Options::default());
    // Nobody drives: everything can be said, and nothing happens.
    let key = town.create("release = 'pos-app 2.0.0'");
    for (verb, says) in [
        ("start", "is preparing"),
        ("pause", "is preparing, and paused once its devices are written down"),
        ("show", "preparing"),
        ("why", "written down"),
    ] {
        assert_says(&town.tell(&["rollout", verb, "1"]), says);
    }
    assert_says(&town.tell(&["rollout", "list"]), "preparing");
    assert_eq!(town.ask(&["rollout", "resume", "2"]).code, Some(2));
    assert_eq!(town.ask(&["rollout", "retry", "1"]).code, Some(2));
    assert_eq!(town.store.intents().unwrap(), []);
    let running = town.run();
    town.until_state(key, "paused");

    // The second one is told who was first, and touches nothing.
    let first = format!("process {}: groundswell run", running.id());
    for ran in [town.ask(&["run"]), town.ground.run(&["--yes"])] {
        assert!(ran.code == Some(3) && ran.err.contains(&first), "{ran:?}");
    }
    assert_eq!(town.ground.fleet.summary().requests, 0);
    town.tell(&["rollout", "resume", "1"]);
    town.until_state(key, "completed");
    assert_eq!(town.received(), 5);
    // A push is refused while the other lives, and not afterwards.
    assert_eq!(town.ground.run(&["--yes"]).code, Some(3));
    running.kill();
    let pushed = town.ground.run(&["--yes", "--name", "other", "--output", "json"]);
    assert_eq!((pushed.code, &pushed.json()["counts"]["succeeded"]), (Some(0), &5.into()));
}

#[test]
fn whoever_chose_nobody_does_not_read_success() {
    let town = Town::new(3, Options::default());
    let _running = town.run();
    let key = town.create("release = 'pos-app 2.0.0'\nselect = 'tag.region==wset'");
    let refused = town.ask(&["rollout", "start", "1"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.err.contains("no device matches tag.region==wset"), "{refused:?}");
    // Devices may go between that look and the choice: the driver finds nobody, either.
    let mut store = SqliteStore::open(&dir::database(&town.ground.state())).unwrap();
    let start = Intent::Act { rollout: key, act: Act::Start, generation: None, reason: None };
    store.put_intent(&start, Town::now()).unwrap();
    town.until_state(key, "failed");
    for verb in ["show", "why"] {
        assert_says(&town.tell(&["rollout", verb, "1"]), "no device matches tag.region==wset");
    }
    // Others may come to this one, until its time is up.
    let dynamic = "membership = 'dynamic'\ndeadline = '1d'";
    let open = format!("release = 'pos-app 2.0.0'\nselect = 'tag.region==wset'\n{dynamic}");
    let open = town.create(&open);
    town.tell(&["rollout", "start", "2"]);
    town.until_state(open, "running");
    assert_says(&town.tell(&["rollout", "show", "2"]), "devices may join until");
}
