//! A large inventory for the benches of the server, imported once into the directory for temporary
//! files and copied by each that needs it. It stays there; `make bench-server` removes it.

#[path = "zones.rs"]
mod zones;

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use groundswell::{
    clock::Clock,
    core::{device::Device, time::Time},
    inventory::{Entry, Inventory},
    operate::State,
    store::dir,
};

use zones::ZONES;

/// Where the devices are, on ten addresses of this machine: for a simulated fleet, or for nobody.
pub(crate) const PORT: u16 = 9139;

/// Devices that are in memory at once.
const CHUNK: usize = 50_000;

const REGIONS: [&str; 8] =
    ["northeast", "southeast", "midwest", "south", "west", "mountain", "pacific", "islands"];

/// A state directory of its own with so many devices.
pub(crate) fn copied(devices: usize, called: &str) -> PathBuf {
    let made = made(devices);
    let to = env::temp_dir().join(format!("groundswell-bench-{called}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&to);
    drop(State::open(&to).unwrap());
    fs::copy(dir::database(&made), dir::database(&to)).unwrap();
    to
}

fn made(devices: usize) -> PathBuf {
    let path = env::temp_dir().join(format!("groundswell-bench-fleet-{devices}"));
    let is_made = path.join("made");
    if is_made.exists() {
        return path;
    }
    let _ = fs::remove_dir_all(&path);
    import(&path, devices);
    fs::write(is_made, "").unwrap();
    path
}

fn import(path: &Path, devices: usize) {
    let (begun, now) = (Instant::now(), Clock::System.now());
    let mut state = State::open(path).unwrap();
    for first in (0..devices).step_by(CHUNK) {
        let numbers = first..devices.min(first + CHUNK);
        let entry = |number| Entry { device: device(number, now), headers: None };
        let inventory = Inventory { entries: numbers.map(entry).collect(), ..Inventory::default() };
        state.import(&inventory).unwrap();
    }
    drop(state);
    eprintln!("{devices} devices imported in {:.1} s", begun.elapsed().as_secs_f64());
}

/// Most are alike; one in 10,000 is of an old version, one in 20,000 was not seen for a month, and five
/// of twenty parts are known to be away.
fn device(n: usize, now: Time) -> Device {
    let id = format!("pos-{n:07}");
    let tags = [
        ("region", REGIONS[n / 50 % 8].to_owned()),
        ("store", format!("s{:06}", n / 10)),
        ("lane", (n % 10).to_string()),
        ("part", (n % 20).to_string()),
    ];
    let version = match n {
        _ if n % 10_000 == 17 => "1.9.9",
        _ if n % 100 == 3 => "2.0.0",
        _ => "2.1.4",
    };
    let is_away = (10..15).contains(&(n % 20));
    let silent_secs = match n {
        _ if n % 20_000 == 99 => 60 * 86_400,
        _ if is_away => 86_400,
        _ => n as u64 * 7_919 % 86_400,
    };
    Device {
        name: format!("Till {} of store {}", n % 10, n / 10),
        id,
        address: Some(format!("http://127.80.0.{}:{PORT}", n % 10 + 1).parse().unwrap()),
        version: Some(version.to_owned()),
        location: Some(format!("Town {:03}", n / 10 % 1_000)),
        time_zone: Some(ZONES[n / 100 % 8].to_owned()),
        check_in: is_away.then_some(Duration::from_mins(1)),
        last_seen: Some(now - Duration::from_secs(silent_secs)),
        tags: tags.map(|(key, value)| (key.to_owned(), value)).into(),
        ..Device::default()
    }
}
