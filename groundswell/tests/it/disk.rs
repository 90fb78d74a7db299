//! A disk that is full: before the start, and in the middle of a push.
//!
//! The state lies on a small tmpfs. Mounting one takes root; where that may not be had, the test
//! says so and is skipped.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use groundswell::sim::Options;

use crate::{
    cli::interrupt,
    program::{Ground, Ran, start_into},
};

/// A small file system that can be filled up and made room on.
pub(crate) struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    pub(crate) fn mount(path: &Path, mebibytes: u32) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let size = format!("size={mebibytes}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path);
        if !mount.output().is_ok_and(|output| output.status.success()) {
            #[expect(clippy::print_stderr, reason = "a test that was not run must say so")]
            {
                eprintln!("skipped: a tmpfs cannot be mounted here (it takes root)");
            }
            return None;
        }
        Some(Self { path: path.to_owned() })
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }

    /// Fills what room there is, to the last byte.
    pub(crate) fn fill(&self) {
        let mut file = File::create(self.ballast()).unwrap();
        let zeros = vec![0; 64 << 10];
        let mut part = zeros.len();
        while part > 0 {
            match file.write(&zeros[..part]) {
                Ok(written) if written > 0 => {}
                _ => part /= 2,
            }
        }
    }

    /// Remounts it, so that nothing can be written or that it can again.
    fn remount(&self, how: &str) {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,{how}")]).arg(&self.path);
        assert!(mount.status().unwrap().success());
    }

    pub(crate) fn make_room(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).output();
    }
}

const DEVICES: usize = 2_000;

#[test]
fn a_disk_that_fills_up_ends_the_run_and_room_ends_the_push() {
    let latency = Duration::from_millis(20);
    let ground = Ground::new(DEVICES, Options { latency, ..Options::default() });
    let Some(disk) = SmallDisk::mount(&ground.state(), 64) else { return };
    let out = ground.dir.path().join("out");
    let mut child = start_into(ground.push().arg("--yes"), &out);
    // Well under way, and far from its end.
    ground.until(|fleet| {
        assert_eq!(child.try_wait().unwrap(), None, "{}", fs::read_to_string(&out).unwrap());
        fleet.summary().receptions.complete > 100
    });
    disk.fill();
    let status = child.wait().unwrap();
    let told = fs::read_to_string(&out).unwrap();
    assert_eq!(status.code(), Some(3), "{told}");
    assert!(told.contains("make room and run the same command"), "{told}");
    let received = ground.fleet.summary().receptions.complete;
    assert!(received < DEVICES as u64, "the disk was full too late to matter");

    disk.make_room();
    let ran = ground.run(&["--yes", "--output", "json"]);
    let summary = ran.json();
    assert_eq!(ran.code, Some(0), "{} {}", summary["counts"], summary["failures"]);
    assert_eq!(summary["counts"]["succeeded"], DEVICES as u64);
    let fleet = ground.fleet.summary();
    assert_eq!(fleet.repeated, 0, "outcomes that were known got lost");
    assert_eq!(fleet.receptions.complete, DEVICES as u64);
}

#[test]
fn outcomes_are_kept_in_the_reserve_where_versions_cannot_tell() {
    // Without questions, only the reserve can say who has it already.
    let latency = Duration::from_millis(20);
    let ground = Ground::new(DEVICES, Options { latency, ..Options::default() });
    let Some(disk) = SmallDisk::mount(&ground.state(), 64) else { return };
    let out = ground.dir.path().join("out");
    let mut child = start_into(ground.push().args(["--yes", "--verify", "none"]), &out);
    ground.until(|fleet| {
        assert_eq!(child.try_wait().unwrap(), None, "{}", fs::read_to_string(&out).unwrap());
        fleet.summary().receptions.complete > 100
    });
    disk.fill();
    assert_eq!(child.wait().unwrap().code(), Some(3), "{}", fs::read_to_string(&out).unwrap());
    assert!(ground.fleet.summary().receptions.complete < DEVICES as u64);

    disk.make_room();
    let ran = ground.run(&["--yes", "--verify", "none", "--output", "json"]);
    assert_eq!(ran.code, Some(0), "{} {}", ran.json()["counts"], ran.json()["failures"]);
    let fleet = ground.fleet.summary();
    assert_eq!((fleet.repeated, fleet.several_keys), (0, 0));
    assert_eq!(fleet.receptions.complete, DEVICES as u64);
}

#[test]
fn a_disk_that_is_full_before_the_start_sends_nothing() {
    let ground = Ground::new(20, Options::default());
    let Some(disk) = SmallDisk::mount(&ground.state(), 8) else { return };
    disk.fill();
    let ran = ground.run(&[]);
    assert_full(&ran);
    assert_eq!(ground.fleet.summary().requests, 0);

    disk.make_room();
    let ran = ground.run(&[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ground.fleet.summary().receptions.complete, 20);

    // Room for the reserve there was, now there is none for another release.
    disk.fill();
    fs::write(ground.dir.path().join("pos.bin"), vec![7; 1 << 20]).unwrap();
    let ran = ground.run(&["--name", "larger"]);
    assert_full(&ran);
    assert_eq!(ground.fleet.summary().receptions.complete, 20);
}

/// On a small disk of its own, with the devices of the ground, a release and a draft.
struct Site {
    ground: Ground,
    disk: SmallDisk,
}

impl Site {
    fn set(devices: usize, options: Options, mebibytes: u32) -> Option<Self> {
        let ground = Ground::new(devices, options);
        let disk = SmallDisk::mount(&ground.state(), mebibytes)?;
        let spec =
            "release = 'pos-app 2.0.0'\n[limits]\nmax_in_flight = 20\n[verify]\nmode = 'none'";
        fs::write(ground.dir.path().join("spec.toml"), spec).unwrap();
        let site = Self { ground, disk };
        for args in [
            &["device", "import", "devices.csv"][..],
            &["release", "create", "pos-app", "2.0.0", "pos.bin"],
            &["rollout", "create", "spec.toml"],
        ] {
            let ran = site.run(args);
            assert_eq!(ran.code, Some(0), "{ran:?}");
        }
        Some(site)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_groundswell"));
        command.current_dir(self.ground.dir.path()).args(args);
        command.arg("--state").arg(self.ground.state());
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        Ran::from(self.command(args).output().unwrap())
    }
}

#[test]
fn where_nothing_can_be_written_it_is_said_and_looking_works() {
    let Some(site) = Site::set(3, Options::default(), 16) else { return };
    let state = site.ground.state().display().to_string();
    // A driver that was killed leaves files beside the database.
    let out = site.ground.dir.path().join("out");
    let mut child = start_into(&mut site.command(&["run"]), &out);
    site.ground.until(|_| fs::read_to_string(&out).unwrap().contains("driving"));
    child.kill().unwrap();
    child.wait().unwrap();
    fs::write(site.ground.dir.path().join("more.csv"), "id,address\nnew,10.9.9.9\n").unwrap();
    for is_killed in [true, false] {
        site.disk.remount("ro");
        for args in [
            &["run"][..],
            &["device", "import", "more.csv"],
            &["device", "check-in", "pos-0"],
            &["release", "create", "pos-app", "2.1.0", "pos.bin"],
            &["rollout", "create", "spec.toml"],
            &["rollout", "start", "1"],
            &["push", "pos.bin", "--devices", "devices.csv", "--version", "3"],
        ] {
            let ran = site.run(args);
            let told = format!(
                "error: the state directory {state} cannot be used (nothing can be written there: \
                 make it writable, or use another --state): Read-only file system (os error 30)\n"
            );
            assert_eq!((ran.code, &*ran.out, ran.err), (Some(3), "", told), "{args:?} {is_killed}");
        }
        for args in [
            &["device", "list"][..],
            &["device", "show", "pos-0"],
            &["release", "show", "pos-app", "2.0.0"],
            &["rollout", "list"],
            &["rollout", "show", "1"],
            &["rollout", "why", "1", "pos-0"],
            &["rollout", "create", "--dry-run", "spec.toml"],
        ] {
            let ran = site.run(args);
            assert_eq!((ran.code, &*ran.err), (Some(0), ""), "{args:?} {is_killed}");
        }
        site.disk.remount("rw");
        // Whoever writes next takes the files away that lay beside.
        assert_eq!(site.run(&["device", "check-in", "pos-1"]).code, Some(0));
    }
}

#[test]
fn a_driver_waits_for_room_and_what_was_kept_is_not_lost() {
    let latency = Duration::from_millis(20);
    let options = Options { latency, ..Options::default() };
    let Some(site) = Site::set(DEVICES, options, 64) else { return };
    assert_eq!(site.run(&["rollout", "start", "1"]).code, Some(0));
    let out = site.ground.dir.path().join("out");
    let told = || fs::read_to_string(&out).unwrap();
    let mut first = start_into(&mut site.command(&["run"]), &out);
    site.ground.until(|fleet| {
        assert_eq!(first.try_wait().unwrap(), None, "{}", told());
        fleet.summary().receptions.complete > 100
    });
    site.disk.fill();
    assert_eq!(first.wait().unwrap().code(), Some(3), "{}", told());
    let received = site.ground.fleet.summary().receptions.complete;
    assert!(received < DEVICES as u64, "the disk was full too late to matter");

    // Without questions, only the reserve can say who has it already.
    let mut next = start_into(&mut site.command(&["run"]), &out);
    site.ground.until(|_| {
        assert_eq!(next.try_wait().unwrap(), None, "{}", told());
        told().contains("is full: nothing is begun before there is room")
    });
    assert_eq!(site.ground.fleet.summary().receptions.complete, received);
    site.disk.make_room();
    site.ground.until(|_| {
        assert_eq!(next.try_wait().unwrap(), None, "{}", told());
        site.run(&["rollout", "show", "1"]).out.contains("completed")
    });
    interrupt(&next);
    assert_eq!(next.wait().unwrap().code(), Some(0), "{}", told());
    let fleet = site.ground.fleet.summary();
    assert_eq!((fleet.repeated, fleet.several_keys), (0, 0));
    assert_eq!(fleet.receptions.complete, DEVICES as u64);
}

#[test]
fn an_import_without_room_says_how_far_it_came_and_goes_on() {
    let ground = Ground::new(20_000, Options::default());
    let Some(disk) = SmallDisk::mount(&ground.state(), 2) else { return };
    let site = Site { ground, disk };
    let import = ["device", "import", "devices.csv", "--output", "json"];
    let cut = site.run(&import);
    assert_eq!(cut.code, Some(3), "{cut:?}");
    let (error, kept) = cut.err.split_once("error: ").unwrap();
    assert_eq!(error, "");
    let (kept, rest) = kept.split_once(' ').unwrap();
    let kept: u64 = kept.parse().unwrap();
    assert!(rest.starts_with("of 20000 devices are kept, and the same import goes on"), "{cut:?}");
    assert!(rest.contains("make room there"), "{cut:?}");
    assert!((1..20_000).contains(&kept), "{cut:?}");

    site.disk.remount("size=64m");
    let whole = site.run(&import).json();
    assert_eq!((whole["new"].as_u64(), whole["same"].as_u64()), (Some(20_000 - kept), Some(kept)));
}

fn assert_full(ran: &Ran) {
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.err.contains("No space left on device") || ran.err.contains("full"), "{ran:?}");
}

#[test]
fn a_copy_without_room_says_so_and_leaves_nothing_behind() {
    let ground = Ground::new(3, Options::default());
    let copies = ground.dir.path().join("copies");
    let Some(disk) = SmallDisk::mount(&copies, 8) else { return };
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_groundswell"));
        command.current_dir(ground.dir.path()).args(args).arg("--state").arg(ground.state());
        Ran::from(command.output().unwrap())
    };
    assert_eq!(run(&["device", "import", "devices.csv"]).code, Some(0));
    disk.fill();
    let ran = run(&["state", "backup", "copies/copy.db"]);
    let told = "error: copies/copy.db cannot be written, its disk is full: make room there and run the \
                same command, or name a file on another disk\n";
    assert_eq!((ran.code, &*ran.out, &*ran.err), (Some(3), "", told));
    let left: Vec<_> = fs::read_dir(&copies).unwrap().map(|at| at.unwrap().file_name()).collect();
    assert_eq!(left, ["ballast"], "nothing is left of it");
    disk.make_room();
    let ran = run(&["state", "backup", "copies/copy.db"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}
