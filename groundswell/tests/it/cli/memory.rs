//! Memory of the whole program, from a file on disk to the device.

use std::{
    fs::{self, File},
    process::{Child, Stdio},
};

use groundswell::sim::{Digest, Options};

use crate::program::{Ground, pause};

const MIB: u64 = 1 << 20;

/// What the larger file may cost beyond the smaller one, in KiB: how full the cache of 16 MiB and
/// the buffers get is chance, however large the file.
const MORE_MAX_KIB: u64 = 24 << 10;

#[test]
fn a_file_of_any_size_takes_the_same_memory() {
    let peaks = [100 * MIB, 1_024 * MIB].map(|bytes| {
        let ground = Ground::new(2, Options { digest: Digest::None, ..Options::default() });
        // Sparse: what it holds makes no difference.
        File::create(ground.dir.path().join("pos.bin")).unwrap().set_len(bytes).unwrap();
        let mut push = ground.push();
        push.stdout(Stdio::null()).stderr(Stdio::null());
        let peak_kib = peak_kib(&mut push.spawn().unwrap());
        assert_eq!(ground.fleet.summary().bytes, 2 * bytes);
        peak_kib
    });
    assert!(peaks[0] > 0 && peaks[1] < peaks[0] + MORE_MAX_KIB, "{peaks:?} KiB");
}

/// The most memory that a process ever had, by the last look before its end.
fn peak_kib(child: &mut Child) -> u64 {
    let path = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        let status = fs::read_to_string(&path).unwrap_or_default();
        if let Some(line) = status.lines().find(|line| line.starts_with("VmHWM:")) {
            peak = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        }
        if let Some(ended) = child.try_wait().unwrap() {
            assert!(ended.success(), "{ended}");
            return peak;
        }
        pause();
    }
}
