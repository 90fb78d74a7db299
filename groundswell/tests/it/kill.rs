//! SIGKILL at any instant, and the same command again.

use std::{collections::HashSet, fs, path::Path, process::Child, time::Duration};

use groundswell::sim::{Fleet, Options};

use crate::program::{Ground, Ran, events, start_into};

const DEVICES: usize = 2_000;
const KILLS: u32 = 50;

/// Slow enough, 20 at a time, that one push spans all kills.
fn ground(reboot: Duration) -> Ground {
    let latency = Duration::from_millis(150);
    Ground::new(DEVICES, Options { latency, reboot, ..Options::default() })
}

const ARGS: [&str; 5] = ["--max-in-flight", "60", "--verify-timeout", "2s", "--yes"];

/// Slower, because nothing else keeps these devices waiting between kills.
const ARGS_UNVERIFIED: [&str; 5] = ["--max-in-flight", "20", "--verify-timeout", "2s", "--yes"];

#[test]
fn killed_at_50_instants_it_loses_nothing_and_sends_nothing_twice() {
    let ground = ground(Duration::from_millis(150));
    let mut account = Account::default();
    let out = ground.dir.path().join("out");
    kill_often(&ground, &[], &mut |is_events| {
        if is_events {
            account.read(&out);
        }
    });
    let ran = ground.run(&[&ARGS[..], &["--output", "json"]].concat());
    assert_done(&ran);
    assert_all_updated(&ground.fleet);
    let fleet = ground.fleet.summary();
    assert_eq!(fleet.repeated, 0, "sent again before another version was shown");
    assert_eq!(fleet.several_keys, 0);
    // Without these the kills would have shown nothing.
    assert!(account.taken_over > 0, "no kill left an answer lost");
    assert!(account.succeeded.len() > 100, "{} told as updated", account.succeeded.len());
}

#[test]
fn killed_without_verifying_it_sends_again_under_the_same_key() {
    let ground = ground(Duration::ZERO);
    let args = ["--verify", "none"];
    let out = ground.dir.path().join("out");
    let mut account = Account::default();
    kill_often(&ground, &args, &mut |is_events| {
        if is_events {
            account.read(&out);
        }
    });
    let ran = ground.run(&[&ARGS_UNVERIFIED[..], &args[..], &["--output", "json"]].concat());
    assert_done(&ran);
    assert_all_updated(&ground.fleet);
    let fleet = ground.fleet.summary();
    assert!(fleet.receptions.count > DEVICES as u64, "no kill left an answer lost");
    assert!(account.succeeded.len() > 100, "{} told as updated", account.succeeded.len());
    assert_eq!(fleet.several_keys, 0);
}

/// Starts the push and kills it, again and again; every second one tells its events into `out`.
fn kill_often(ground: &Ground, args: &[&str], told: &mut dyn FnMut(bool)) {
    let mut random = Random(20_261_124);
    for kill in 0..KILLS {
        let is_events = kill % 2 == 1;
        let output = if is_events { "events" } else { "json" };
        let mut command = ground.push();
        command.args(pace(args)).args(args).args(["--output", output]);
        let requests = ground.fleet.summary().requests;
        let out = ground.dir.path().join("out");
        let mut child = start_into(&mut command, &out);
        if random.below(4) > 0 {
            // Most are killed while they send, however slowly this machine starts a process.
            ground.until(|fleet| fleet.summary().requests > requests || has_ended(&mut child));
        }
        std::thread::sleep(Duration::from_millis(20 + random.below(380)));
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "ended {ended:?} before kill {kill}: {}", read(&out));
        child.kill().unwrap();
        child.wait().unwrap();
        told(is_events);
    }
}

fn has_ended(child: &mut Child) -> bool {
    child.try_wait().unwrap().is_some()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn assert_done(ran: &Ran) {
    let summary = ran.json();
    let (counts, failures) = (&summary["counts"], &summary["failures"]);
    assert_eq!(ran.code, Some(0), "{counts} {failures}");
    assert_eq!(counts["succeeded"], DEVICES as u64, "{counts}");
}

fn assert_all_updated(fleet: &Fleet) {
    let report = fleet.report();
    assert_eq!(report.devices.len(), DEVICES);
    let old: Vec<_> =
        report.devices.iter().filter(|(_, device)| device.version != "2.0.0").collect();
    assert!(old.is_empty(), "{old:?}");
}

/// What processes told before they were killed: results they had acknowledged.
#[derive(Default)]
struct Account {
    succeeded: HashSet<String>,
    taken_over: usize,
}

impl Account {
    fn read(&mut self, out: &Path) {
        let mut succeeded = vec![];
        for event in events(out) {
            let device = || event["device"].as_str().unwrap().to_owned();
            let kind = event["event"].as_str().unwrap();
            if kind.starts_with("attempt_") || kind == "will_retry" {
                // Not even a second success: it would be one that was not durable when it was told.
                let device = device();
                assert!(!self.succeeded.contains(&device), "{device} had succeeded: {event}");
            }
            match kind {
                "attempt_succeeded" => succeeded.push(device()),
                "attempt_unanswered" => self.taken_over += 1,
                _ => {}
            }
        }
        self.succeeded.extend(succeeded);
    }
}

/// Instants that are the same in every run (`SplitMix64`).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) const fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// The arguments that go with this way to verify.
fn pace(args: &[&str]) -> &'static [&'static str] {
    if args.contains(&"none") { &ARGS_UNVERIFIED } else { &ARGS }
}
