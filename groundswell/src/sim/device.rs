//! The simulated devices and what each remembers.
//!
//! Owns a device's state and the table of all of them. Knows nothing of HTTP. Start with
//! [`Devices::enter`].

use std::{
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use groundswell_core::time::Time;
use hashbrown::{DefaultHashBuilder, HashTable};
use parking_lot::Mutex;

use super::{
    fault::Name,
    keys::{Key, Keys},
    report::{DeviceReport, Event, EventKind, Receptions},
};

/// At about half a kB each after an update, 1 GB in all.
pub(super) const DEVICES_MAX: usize = 2_000_000;
/// Enough for the longest retry schedule with its verifications.
const EVENTS_MAX: usize = 64;
/// As many as one reads at a glance.
const FORMER_VERSIONS_MAX: usize = 16;
/// A power of two well above any number of threads that a fleet is given.
const SHARDS: usize = 16;
/// Devices that are allocated together: few allocations, and little that stays unused.
const CHUNK: usize = 64;

/// A part of all devices. They are never removed, and stay where they are.
#[derive(Default)]
struct Shard {
    /// Hashes and places in the order of the devices' making.
    index: HashTable<(u64, u32)>,
    chunks: Vec<Vec<Device>>,
}

impl Shard {
    fn find(&self, hash: u64, id: &str) -> Option<u32> {
        let is_it = |(known, at): &(u64, u32)| *known == hash && *self.get(*at).id == *id;
        self.index.find(hash, is_it).map(|(_, at)| *at)
    }

    fn add(&mut self, hash: u64, device: Device) -> u32 {
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let full = (self.chunks.len() - 1) * CHUNK;
        let chunk = self.chunks.len() - 1;
        let at = full + self.chunks[chunk].len();
        self.chunks[chunk].push(device);
        // At most `DEVICES_MAX`, which is far below.
        let at = at as u32;
        self.index.insert_unique(hash, (hash, at), |(hash, _)| *hash);
        at
    }

    fn get(&self, at: u32) -> &Device {
        &self.chunks[at as usize / CHUNK][at as usize % CHUNK]
    }

    fn get_mut(&mut self, at: u32) -> &mut Device {
        &mut self.chunks[at as usize / CHUNK][at as usize % CHUNK]
    }
}

/// Where a device is, for whoever comes back to it.
#[derive(Clone, Copy)]
pub(super) struct Place {
    shard: usize,
    at: u32,
}

/// All devices by their ids.
pub(super) struct Devices {
    hasher: DefaultHashBuilder,
    shards: [Mutex<Shard>; SHARDS],
    count: AtomicUsize,
    max: usize,
    version: Arc<str>,
}

impl Devices {
    /// None yet; each begins with `version`.
    pub(super) fn new(version: Arc<str>, max: usize) -> Self {
        Self {
            hasher: DefaultHashBuilder::default(),
            shards: std::array::from_fn(|_| Mutex::default()),
            count: AtomicUsize::new(0),
            max,
            version,
        }
    }

    /// Lets `act` see and change the device, which is made if it is new, and says where it is.
    /// Nothing if there are too many.
    pub(super) fn enter<T>(
        &self,
        id: &str,
        act: impl FnOnce(&mut Device) -> T,
    ) -> Option<(Place, T)> {
        let (hash, number) = self.hash(id);
        let mut shard = self.shards[number].lock();
        let at = match shard.find(hash, id) {
            Some(at) => at,
            None if self.count.fetch_add(1, Relaxed) >= self.max => {
                self.count.fetch_sub(1, Relaxed);
                return None;
            }
            None => shard.add(hash, Device::new(id, self.version.clone())),
        };
        Some((Place { shard: number, at }, act(shard.get_mut(at))))
    }

    /// As [`Devices::enter`], for whoever does not come back.
    pub(super) fn with<T>(&self, id: &str, act: impl FnOnce(&mut Device) -> T) -> Option<T> {
        self.enter(id, act).map(|(_, acted)| acted)
    }

    /// Lets `act` see and change the device at a place.
    pub(super) fn at<T>(&self, place: Place, act: impl FnOnce(&mut Device) -> T) -> T {
        act(self.shards[place.shard].lock().get_mut(place.at))
    }

    /// Lets `look` see the device, if it was heard of.
    pub(super) fn find<T>(&self, id: &str, look: impl FnOnce(&Device) -> T) -> Option<T> {
        let (hash, number) = self.hash(id);
        let shard = self.shards[number].lock();
        shard.find(hash, id).map(|at| look(shard.get(at)))
    }

    /// Shows every device to `look`, in no order.
    pub(super) fn each(&self, mut look: impl FnMut(&Device)) {
        for shard in &self.shards {
            shard.lock().chunks.iter().flatten().for_each(&mut look);
        }
    }

    /// The hash of an id and the number of its shard.
    fn hash(&self, id: &str) -> (u64, usize) {
        let hash = self.hasher.hash_one(id);
        // The table uses the low bits and the highest seven.
        (hash, (hash >> 48) as usize % SHARDS)
    }
}

/// One device.
pub(super) struct Device {
    id: Box<str>,
    version: Arc<str>,
    former: Vec<Arc<str>>,
    /// When it is back from its reboot, and with which version.
    reboot: Option<(Time, Arc<str>)>,
    /// Whether the update that it took last has broken it.
    is_bricked: bool,
    /// The version whose update breaks it.
    breaks_by: Option<Arc<str>>,
    offline: bool,
    updates: u64,
    receptions: Receptions,
    repeated: u64,
    bytes: u64,
    sha256: Option<[u8; 32]>,
    update_id: Option<Arc<str>>,
    keys: Keys,
    events: Vec<Happening>,
    events_left_out: u64,
    /// The version that it took last, until it answers another.
    taken: Option<Arc<str>>,
    /// From when on it is not well.
    sick_at: Option<Time>,
}

/// An event in few bytes.
struct Happening {
    at_ms: u64,
    took_ms: u32,
    kind: EventKind,
    key: Option<u8>,
    version: Option<Arc<str>>,
    status: Option<u16>,
    fault: Option<Name>,
    times: u64,
}

/// A body that arrived, whole or not.
pub(super) struct Arrival<'a> {
    pub(super) at_ms: u64,
    /// How long it took to arrive.
    pub(super) took_ms: u32,
    pub(super) key: Option<&'a str>,
    pub(super) version: Option<Arc<str>>,
    pub(super) update_id: Option<Arc<str>>,
    pub(super) bytes: u64,
    pub(super) fault: Option<Name>,
}

/// What a device does with a complete body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Installs it and says so.
    Accepted(u16),
    /// Says that it accepts, and keeps its version.
    Kept,
    /// Refuses it with this status.
    Refused(u16),
    /// Installs it, says so, and is broken.
    Bricked,
    /// Installs it, and its answer gets lost.
    Lost,
}

/// What a device says when it is asked for its version.
pub(super) enum Said {
    /// Nothing: it is down.
    Nothing,
    /// That it is broken.
    Broken,
    /// The version.
    Version(Arc<str>),
}

impl Device {
    fn new(id: &str, version: Arc<str>) -> Self {
        Self {
            id: id.into(),
            version,
            former: vec![],
            reboot: None,
            is_bricked: false,
            breaks_by: None,
            offline: false,
            updates: 0,
            receptions: Receptions::default(),
            repeated: 0,
            bytes: 0,
            sha256: None,
            update_id: None,
            keys: Keys::default(),
            events: vec![],
            events_left_out: 0,
            taken: None,
            sick_at: None,
        }
    }

    /// Whether it answers nothing at present.
    pub(super) fn is_down(&self, now: Time) -> bool {
        self.offline || self.reboot.as_ref().is_some_and(|(back_at, _)| now < *back_at)
    }

    /// The number of this update, from 0; nothing if the device is down. `now` is only asked of a
    /// device that reboots.
    pub(super) fn begin_update(&mut self, now: impl FnOnce() -> Time) -> Option<u64> {
        let now = if self.reboot.is_some() { now() } else { Time::ZERO };
        if self.is_down(now) {
            return None;
        }
        self.settle(now);
        let number = self.updates;
        self.updates += 1;
        Some(number)
    }

    /// A body arrived in part.
    pub(super) fn cut(&mut self, arrival: Arrival<'_>) {
        self.receptions.cut += 1;
        self.arrived(arrival, EventKind::Cut, None);
    }

    /// A body arrived whole. The device is down until `back_at` if it goes on to install.
    pub(super) fn received(
        &mut self,
        arrival: Arrival<'_>,
        sha256: Option<[u8; 32]>,
        fate: Fate,
        back_at: Option<Time>,
    ) {
        self.receptions.complete += 1;
        self.sha256 = sha256.or(self.sha256);
        let status = match fate {
            Fate::Accepted(status) | Fate::Refused(status) => Some(status),
            Fate::Kept | Fate::Bricked => Some(200),
            Fate::Lost => None,
        };
        if matches!(fate, Fate::Refused(_)) {
            self.receptions.refused += 1;
        } else {
            self.take(arrival.version.as_ref());
            let installs = arrival.version.as_ref().filter(|_| fate != Fate::Kept);
            let is_bad = installs.is_some() && installs == self.breaks_by.as_ref();
            self.is_bricked = is_bad || fate == Fate::Bricked;
            let next = installs.unwrap_or(&self.version).clone();
            match back_at {
                Some(back_at) => self.reboot = Some((back_at, next)),
                None => self.run(next),
            }
        }
        self.arrived(arrival, EventKind::Received, status);
    }

    /// It is not well from then on, or well if it is never.
    pub(super) const fn sicken(&mut self, at: Option<Time>) {
        self.sick_at = at;
    }

    /// Whether it is well; nothing if it is down.
    pub(super) fn is_well(&mut self, now: Time) -> Option<bool> {
        if self.is_down(now) {
            return None;
        }
        self.settle(now);
        Some(self.sick_at.is_none_or(|at| now < at))
    }

    /// What it says when it is asked for its version.
    pub(super) fn answer_version(&mut self, now: Time, at_ms: u64) -> Said {
        if self.is_down(now) {
            return Said::Nothing;
        }
        self.settle(now);
        if self.is_bricked {
            return Said::Broken;
        }
        if self.taken.as_ref().is_some_and(|taken| *taken != self.version) {
            self.taken = None;
        }
        let last = self.events.last_mut();
        match last.filter(|last| last.kind == EventKind::AnsweredVersion) {
            Some(last) if last.version.as_ref() == Some(&self.version) => last.times += 1,
            _ => self.remember(Happening {
                at_ms,
                took_ms: 0,
                kind: EventKind::AnsweredVersion,
                key: None,
                version: Some(self.version.clone()),
                status: None,
                fault: None,
                times: 1,
            }),
        }
        Said::Version(self.version.clone())
    }

    /// Gives it a version without an update.
    pub(super) fn set_version(&mut self, version: Arc<str>) {
        self.version = version;
        self.reboot = None;
    }

    /// From now on the update to this version breaks it.
    pub(super) fn break_by(&mut self, version: Arc<str>) {
        self.breaks_by = Some(version);
    }

    /// Takes it offline or back; says whether that changed anything.
    pub(super) fn set_offline(&mut self, offline: bool) -> bool {
        std::mem::replace(&mut self.offline, offline) != offline
    }

    fn settle(&mut self, now: Time) {
        if let Some((_, version)) = self.reboot.take_if(|(back_at, _)| now >= *back_at) {
            self.run(version);
        }
    }

    fn run(&mut self, version: Arc<str>) {
        if version == self.version {
            return;
        }
        if self.former.len() == FORMER_VERSIONS_MAX {
            self.former.remove(0);
        }
        // Most devices are updated once.
        self.former.reserve_exact(usize::from(self.former.is_empty()));
        self.former.push(std::mem::replace(&mut self.version, version));
    }

    fn take(&mut self, version: Option<&Arc<str>>) {
        if version.is_some() && self.taken.as_ref() == version {
            self.repeated += 1;
        }
        self.taken = version.cloned();
    }

    fn arrived(&mut self, arrival: Arrival<'_>, kind: EventKind, status: Option<u16>) {
        self.receptions.count += 1;
        self.bytes += arrival.bytes;
        let Arrival { at_ms, took_ms, key, version, update_id, fault, .. } = arrival;
        if update_id.is_some() {
            self.update_id = update_id;
        }
        let key = key.and_then(|key| self.keys.count(key));
        let times = 1;
        self.remember(Happening { at_ms, took_ms, kind, key, version, status, fault, times });
    }

    fn remember(&mut self, happening: Happening) {
        if self.events.len() == EVENTS_MAX {
            self.events.remove(0);
            self.events_left_out += 1;
        }
        // A good update is one reception, and one answered version if it is asked for that.
        if self.events.len() < 2 {
            self.events.reserve_exact(1);
        }
        self.events.push(happening);
    }

    /// Its id.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Bodies, bytes and repetitions, and whether it saw several keys.
    pub(super) fn counts(&self) -> (Receptions, u64, u64, bool) {
        (self.receptions, self.bytes, self.repeated, !self.keys.others.is_empty())
    }

    /// All that it remembers.
    pub(super) fn report(&self, now: Time) -> DeviceReport {
        let text = |text: &Arc<str>| text.to_string();
        let back = self.reboot.as_ref().filter(|(back_at, _)| now >= *back_at);
        let version = back.map_or(&self.version, |(_, version)| version);
        let mut former: Vec<_> = self.former.iter().map(text).collect();
        if *version != self.version {
            former.push(text(&self.version));
        }
        DeviceReport {
            version: text(version),
            former_versions: former,
            rebooting: self.reboot.is_some() && back.is_none(),
            offline: self.offline,
            broken: self.is_bricked,
            updates: self.updates,
            receptions: self.receptions,
            repeated: self.repeated,
            bytes: self.bytes,
            sha256: self.sha256.map(|sha256| hex(&sha256)),
            update_id: self.update_id.as_ref().map(ToString::to_string),
            keys: self.keys.iter().map(Key::report).collect(),
            keys_left_out: self.keys.left_out,
            events: self.events.iter().map(|event| self.event(event)).collect(),
            events_left_out: self.events_left_out,
        }
    }

    fn event(&self, happening: &Happening) -> Event {
        let key = happening.key.and_then(|place| self.keys.iter().nth(usize::from(place)));
        Event {
            at_ms: happening.at_ms,
            took_ms: happening.took_ms,
            kind: happening.kind,
            key: key.map(|key| key.text.to_string()),
            version: happening.version.as_ref().map(ToString::to_string),
            status: happening.status,
            fault: happening.fault,
            times: happening.times,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival<'a>(version: &str, key: &'a str) -> Arrival<'a> {
        let version = Some(version.into());
        let (update_id, fault) = (None, None);
        Arrival { at_ms: 1, took_ms: 1, key: Some(key), version, update_id, bytes: 3, fault }
    }

    fn repeated(steps: &str) -> u64 {
        let mut device = Device::new("d", "1".into());
        for step in steps.chars() {
            match step {
                'a' => device.received(arrival("2", "k"), None, Fate::Accepted(200), None),
                'k' => device.received(arrival("2", "k"), None, Fate::Kept, None),
                'r' => device.received(arrival("2", "k"), None, Fate::Refused(503), None),
                'l' => device.received(arrival("2", "k"), None, Fate::Lost, None),
                'c' => device.cut(arrival("2", "k")),
                _ => drop(device.answer_version(Time::ZERO, 0)),
            }
        }
        device.repeated
    }

    #[test]
    fn a_repetition_is_excused_only_by_another_version_shown() {
        for (steps, expected) in [
            ("a", 0),
            ("aa", 1),
            ("ala", 2),
            ("ra", 0),
            ("crca", 0),
            ("ara", 1),
            // It installed, so the version shown is the one it took.
            ("ava", 1),
            // It kept the old one and showed it.
            ("kva", 0),
            ("kvaa", 1),
            ("kvava", 1),
        ] {
            assert_eq!(repeated(steps), expected, "{steps}");
        }
    }

    /// What a device that version 2 breaks answers after each of these updates.
    #[test]
    fn a_version_breaks_a_device_until_another_update() {
        let mut device = Device::new("d", "1".into());
        device.break_by("2".into());
        let mut said = vec![];
        for (version, fate) in [
            ("3", Fate::Accepted(200)),
            ("2", Fate::Refused(503)),
            ("2", Fate::Kept),
            ("2", Fate::Accepted(200)),
            ("1", Fate::Refused(503)),
            ("1", Fate::Accepted(200)),
            ("2", Fate::Lost),
        ] {
            device.received(arrival(version, "k"), None, fate, None);
            said.push(match device.answer_version(Time::ZERO, 0) {
                Said::Version(version) => version.to_string(),
                Said::Broken => "broken".to_owned(),
                Said::Nothing => "nothing".to_owned(),
            });
            assert_eq!(device.report(Time::ZERO).broken, said.last().unwrap() == "broken");
        }
        assert_eq!(said, ["3", "3", "3", "broken", "broken", "1", "broken"]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut device = Device::new("d", "1".into());
        for number in 0..100 {
            let text = number.to_string();
            device.received(arrival(&text, &text), None, Fate::Accepted(200), None);
        }
        let report = device.report(Time::ZERO);
        assert_eq!((report.events.len(), report.events_left_out), (64, 36));
        assert_eq!((report.keys.len(), report.keys_left_out), (16, 84));
        assert_eq!(report.former_versions.len(), 16);
        assert_eq!(report.events[63].version.as_deref(), Some("99"));
        assert_eq!(report.events[63].key, None);
        assert_eq!(report.version, "99");
    }

    #[test]
    fn a_device_that_was_updated_once_is_small() {
        let mut device = Device::new("pos-12345", "1".into());
        device.received(arrival("2", "0192-0000-7"), None, Fate::Accepted(200), None);
        let own = size_of::<Device>();
        let events = device.events.capacity() * size_of::<Happening>();
        let others =
            device.keys.others.capacity() + device.former.capacity() * size_of::<Arc<str>>();
        assert!(own + events + others <= 400, "{own} + {events} + {others} bytes");
        assert_eq!((device.events.capacity(), device.former.capacity()), (1, 1));
    }

    #[test]
    fn the_table_refuses_one_too_many() {
        let devices = Devices::new("1".into(), 2);
        assert!(devices.with("a", |_| ()).is_some());
        assert!(devices.with("b", |_| ()).is_some());
        assert!(devices.with("c", |_| ()).is_none());
        assert!(devices.with("a", |_| ()).is_some());
        assert!(devices.find("c", |_| ()).is_none());
    }
}
