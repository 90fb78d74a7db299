//! Who should be in a rollout, and in which wave: worked out device by device, the slow way.

use std::collections::{BTreeMap, BTreeSet};

use groundswell::{
    core::{
        device::Device,
        rollout::{Spec, WaveSize},
    },
    store::RolloutKey,
};
use sha2::{Digest as _, Sha256};

use super::rows::Rows;

/// The wave of each device, by its id.
type Waves = BTreeMap<String, usize>;

/// What is expected of rollouts whose devices were chosen and are being written down.
#[derive(Debug, Default)]
pub(crate) struct Divisions {
    expected: BTreeMap<RolloutKey, Waves>,
    /// Whether any was ever worked out.
    has_any: bool,
}

impl Divisions {
    /// The devices of a rollout are chosen from these.
    pub(crate) fn chosen<'a>(
        &mut self,
        key: RolloutKey,
        spec: &Spec,
        all: impl Iterator<Item = &'a Device>,
    ) {
        self.has_any = true;
        self.expected.insert(key, divide(spec, all));
    }

    /// Whether it is the one of a large world that is worked out: the first, and anew if its devices
    /// are chosen anew.
    pub(crate) fn is_first(&self, key: RolloutKey) -> bool {
        !self.has_any || self.expected.contains_key(&key)
    }

    /// The devices of a rollout are written down: all of them, and nobody else.
    pub(crate) fn prepared(&mut self, key: RolloutKey, rows: &Rows) -> Option<String> {
        let expected = self.expected.remove(&key)?;
        let listed = rows.behind(key, 1, 0).into_iter().map(|row| (row.device, row.wave));
        let listed: Waves = listed.collect();
        if listed == expected {
            return None;
        }
        let has = |waves: &Waves, others: &Waves| -> Vec<String> {
            let own = waves.iter().filter(|(id, wave)| others.get(*id) != Some(*wave));
            own.take(4).map(|(id, wave)| format!("{id} in wave {}", wave + 1)).collect()
        };
        let (is, should) = (has(&listed, &expected), has(&expected, &listed));
        let (key, count, of) = (key.0, listed.len(), expected.len());
        Some(format!("rollout {key} has {count} devices of {of}, {is:?} instead of {should:?}"))
    }

    /// It was given up before.
    pub(crate) fn given_up(&mut self, key: RolloutKey) -> Option<String> {
        self.expected.remove(&key);
        None
    }
}

fn divide<'a>(spec: &Spec, all: impl Iterator<Item = &'a Device>) -> Waves {
    let devices: BTreeMap<&str, &Device> = all
        .filter(|device| spec.select.as_deref().is_none_or(|text| is_chosen(device, text)))
        .map(|device| (device.id.as_str(), device))
        .collect();
    let mut queue: Vec<&str> = devices.keys().copied().collect();
    queue.sort_by_cached_key(|id| draw(&spec.salt, id));
    let mut waves = Waves::new();
    let all = queue.len();
    for (wave, size) in spec.waves.iter().map(|wave| &wave.size).enumerate() {
        let taken: BTreeSet<&str> = match size {
            WaveSize::Select(text) => {
                queue.iter().copied().filter(|id| is_chosen(devices[id], text)).collect()
            }
            WaveSize::Count(count) => queue.iter().copied().take(*count as usize).collect(),
            WaveSize::Percent(percent) => {
                // One after the other, until there are as many as were asked for, or one more.
                let mut own = BTreeSet::new();
                for id in &queue {
                    if (waves.len() + own.len()) * 100 >= all * usize::from(*percent) {
                        break;
                    }
                    own.insert(*id);
                }
                own
            }
        };
        queue.retain(|id| !taken.contains(id));
        waves.extend(taken.into_iter().map(|id| (id.to_owned(), wave)));
    }
    waves.extend(queue.into_iter().map(|id| (id.to_owned(), 0)));
    waves
}

/// As docs/protocol has it: what the hash of the salt, behind its length, and the id begins with.
fn draw(salt: &str, id: &str) -> [u8; 16] {
    let text = [&(salt.len() as u64).to_be_bytes()[..], salt.as_bytes(), id.as_bytes()].concat();
    Sha256::digest(text)[..16].try_into().unwrap()
}

/// The few forms of selectors that specs are drawn with.
fn is_chosen(device: &Device, selector: &str) -> bool {
    let (is_equal, (key, value)) = match selector.split_once("!=") {
        Some(parts) => (false, parts),
        None => (true, selector.split_once("==").unwrap()),
    };
    let tag = key.strip_prefix("tag.").unwrap();
    (device.tags[tag] == value) == is_equal
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use groundswell::core::{
        release::{Digest, Release},
        rollout::WaveSpec,
    };

    use super::*;

    #[test]
    fn percentages_take_in_those_before_and_are_rounded_up() {
        let release = Release {
            name: "pos".to_owned(),
            version: "2".to_owned(),
            artifact: Digest([7; 32]),
            artifact_bytes: 12,
        };
        let wave = |size| WaveSpec { size, soak: Duration::ZERO, min_success: None };
        let sizes = [WaveSize::Select("tag.ring==r0".to_owned()), WaveSize::Percent(11)];
        let sizes = sizes.into_iter().chain([WaveSize::Percent(100)]);
        let spec = Spec { waves: sizes.map(wave).collect(), ..Spec::immediate(release) };
        let devices: Vec<Device> = (0..30)
            .map(|no| Device {
                id: format!("d{no}"),
                tags: [("ring".to_owned(), format!("r{}", no / 2))].into(),
                ..Device::default()
            })
            .collect();
        let waves = divide(&spec, devices.iter());
        let size = |wave| waves.values().filter(|of| **of == wave).count();
        assert_eq!((size(0), size(1), size(2)), (2, 2, 26));
        assert_eq!((waves["d0"], waves["d1"]), (0, 0));
    }
}
