//! Many devices, each with an address of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use groundswell::{
    Push,
    core::verify::Mode,
    push::PushResult,
    sim::{Fleet, Options},
};

use super::entries;
use crate::support::child;

/// Deliveries at once, the default.
const IN_FLIGHT: usize = 100;

/// Both ends of each connection are in this process, and each may still be closing when the next
/// one is open already; the rest is the database, the runtimes and the payload.
const FILES_MAX: usize = 4 * IN_FLIGHT + 60;

#[test]
fn one_thousand_devices() {
    in_a_process_of_its_own("push::scale::one_thousand_devices", 1_000);
}

#[test]
fn ten_thousand_devices() {
    in_a_process_of_its_own("push::scale::ten_thousand_devices", 10_000);
}

#[test]
fn a_hundred_thousand_devices() {
    in_a_process_of_its_own("push::scale::a_hundred_thousand_devices", 100_000);
}

/// Files are counted for the whole process, so other tests must not share it.
fn in_a_process_of_its_own(name: &str, count: usize) {
    if child::argument().is_none() {
        child::run(name, "run");
        return;
    }
    let (peak, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let watching = std::thread::spawn({
        let (peak, done) = (peak.clone(), done.clone());
        move || {
            while !done.load(SeqCst) {
                peak.fetch_max(std::fs::read_dir("/proc/self/fd").unwrap().count(), SeqCst);
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    });
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(push_to(count));
    done.store(true, SeqCst);
    watching.join().unwrap();
    let files = peak.load(SeqCst);
    assert!((20..FILES_MAX).contains(&files), "{files} files were open");
}

async fn push_to(count: usize) {
    let fleet = Fleet::start(Options::default()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pos.bin");
    std::fs::write(&file, b"new software").unwrap();
    let push = Push::builder(file, "2.0.0")
        .name("pos")
        .devices(entries(count, fleet.local_addr().port()))
        .state_dir(dir.path().join("state"))
        .verify_by(Mode::None, Duration::ZERO);
    let summary = push.build().unwrap().run().await.unwrap();
    assert_eq!(summary.result, PushResult::Completed, "{:?}", summary.failures);
    assert_eq!(summary.counts.succeeded, count as u64);
    let report = fleet.summary();
    assert_eq!((report.devices, report.receptions.complete), (count as u64, count as u64));
    assert_eq!((report.repeated, report.bytes), (0, 12 * count as u64));
    assert_eq!(report.requests_per_address_peak, 1);
    assert_eq!(report.connections.opened, count as u64);
    assert!((2..=2 * IN_FLIGHT as u64).contains(&report.connections.peak), "{report:?}");
}
