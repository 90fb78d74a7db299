//! Who is out of order in which failure domain, counted from what became durable.

use std::collections::{BTreeMap, HashMap};

use crate::{
    assignment::State,
    budget::{Budget, Limit},
};

/// A domain: the place of its key among those that budgets are about, and a value.
type Site = (usize, Option<Box<str>>);

/// The domains of all devices.
#[derive(Debug, Default)]
pub(super) struct Sites {
    /// Keys of tags that budgets are about.
    keys: Vec<String>,
    /// By the numbers of the ledger.
    devices: Vec<Device>,
    out_of_order: HashMap<Site, u32>,
    active: HashMap<Site, u32>,
    sizes: HashMap<Site, u32>,
}

#[derive(Debug, Default)]
struct Device {
    tags: BTreeMap<String, String>,
    /// Whether it is written down; one that is not counts nowhere.
    is_known: bool,
    is_active: bool,
    has_failed: bool,
    /// Whether it has because it was not well after its update.
    is_regressed: bool,
    /// Whether it failed, and no update has gone well since, whoever saw it well or released its slot
    /// meanwhile: a driver may not have heard of that yet.
    is_unmended: bool,
    /// Keys of domains in which an operator released its slot.
    released: Vec<String>,
}

impl Device {
    fn is_out_of_order(&self, key: &str) -> bool {
        self.is_active || self.has_failed && !self.released.iter().any(|of| of == key)
    }
}

const fn is_active(state: State) -> bool {
    matches!(state, State::Delivering | State::Verifying | State::Retrying)
}

impl Sites {
    /// A device has these tags.
    pub(super) fn tags(&mut self, no: u32, tags: &BTreeMap<String, String>) {
        let no = no as usize;
        self.devices.resize_with(self.devices.len().max(no + 1), Device::default);
        for key in 0..self.keys.len() {
            self.count(key, no, false);
        }
        self.devices[no].tags.clone_from(tags);
        self.devices[no].is_known = true;
        for key in 0..self.keys.len() {
            self.count(key, no, true);
        }
    }

    /// There are these budgets from now on.
    pub(super) fn budgets(&mut self, budgets: &[Budget]) {
        for budget in budgets {
            let tag = budget.per.tag();
            if self.keys.iter().all(|key| key != tag) {
                self.keys.push(tag.to_owned());
                for no in 0..self.devices.len() {
                    self.count(self.keys.len() - 1, no, true);
                }
            }
        }
    }

    fn site(&self, key: usize, no: usize) -> Site {
        (key, self.devices[no].tags.get(&self.keys[key]).map(|value| value.as_str().into()))
    }

    fn count(&mut self, key: usize, no: usize, is_more: bool) {
        if !self.devices[no].is_known {
            return;
        }
        let site = self.site(key, no);
        let is_out = self.devices[no].is_out_of_order(&self.keys[key]);
        let step = |count: &mut u32| {
            *count = if is_more { *count + 1 } else { count.saturating_sub(1) };
        };
        if is_out {
            step(self.out_of_order.entry(site.clone()).or_default());
        }
        if self.devices[no].is_active {
            step(self.active.entry(site.clone()).or_default());
        }
        step(self.sizes.entry(site).or_default());
    }

    fn change(&mut self, no: u32, change: impl FnOnce(&mut Device)) {
        let no = no as usize;
        if no >= self.devices.len() {
            return;
        }
        for key in 0..self.keys.len() {
            self.count(key, no, false);
        }
        change(&mut self.devices[no]);
        for key in 0..self.keys.len() {
            self.count(key, no, true);
        }
    }

    /// A device went from one state to another in a rollout.
    pub(super) fn go(&mut self, no: u32, from: State, to: State) {
        if !is_active(from) && !is_active(to) {
            return;
        }
        self.change(no, |device| {
            device.is_active = is_active(to);
            match to {
                State::Failed(_) | State::TimedOut(_) | State::Canceled => {
                    (device.has_failed, device.is_regressed) = (true, false);
                    device.is_unmended = true;
                    device.released.clear();
                }
                State::Succeeded | State::Skipped(_) => {
                    (device.has_failed, device.is_unmended) = (false, false);
                }
                _ => {}
            }
        });
    }

    /// A device that was updated is not well since.
    pub(super) fn sicken(&mut self, no: u32) {
        self.change(no, |device| {
            (device.has_failed, device.is_regressed) = (true, true);
            device.is_unmended = true;
            device.released.clear();
        });
    }

    /// A device called.
    pub(super) fn call(&mut self, no: u32) {
        self.change(no, |device| device.has_failed &= device.is_regressed);
    }

    /// A device was found to be well.
    pub(super) fn recover(&mut self, no: u32) {
        self.change(no, |device| device.has_failed = false);
    }

    /// An operator released the slot of a device that failed, in its domain of this key.
    pub(super) fn release(&mut self, no: u32, key: &str) {
        self.change(no, |device| device.released.push(key.to_owned()));
    }

    /// Whether anybody is out of order anywhere.
    pub(super) fn is_any_out_of_order(&self) -> bool {
        self.devices.iter().any(|device| device.is_active || device.has_failed)
    }

    /// Whether a device has failed, and was not seen to be well since.
    pub(super) fn has_failed(&self, no: u32) -> bool {
        self.devices.get(no as usize).is_some_and(|device| device.has_failed)
    }

    /// What a claim of a device exceeds by these budgets, before it is counted. One that failed may
    /// be mended, however many others did, if nobody else of its domain is being updated.
    pub(super) fn exceeded(&self, no: u32, budgets: &[Budget]) -> Option<String> {
        budgets.iter().find_map(|budget| {
            let key = self.keys.iter().position(|key| key == budget.per.tag())?;
            let site = self.site(key, no as usize);
            let count = |of: &HashMap<Site, u32>| of.get(&site).copied().unwrap_or(0);
            let own = u32::from(self.devices[no as usize].is_out_of_order(&self.keys[key]));
            let others = count(&self.out_of_order) - own;
            let limit = match budget.limit {
                Limit::Max(max) => max,
                Limit::Percent(percent) => count(&self.sizes) * u32::from(percent) / 100,
            };
            let (key, value) = (&self.keys[key], &site.1);
            let is_mended = self.devices[no as usize].is_unmended && count(&self.active) == 0;
            (others >= limit && !is_mended).then(|| {
                format!("{others} others of tag.{key} {value:?} are out of order, {limit} allowed")
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assignment::FailReason;

    fn sites(limit: Limit) -> (Sites, Vec<Budget>) {
        let budgets = vec![Budget { per: "tag.store".parse().unwrap(), limit, counts_down: false }];
        let mut sites = Sites::default();
        for no in 0..4 {
            let store = (no / 2).to_string();
            sites.tags(no, &BTreeMap::from([("store".to_owned(), store)]));
        }
        sites.budgets(&budgets);
        (sites, budgets)
    }

    #[test]
    fn who_is_active_or_failed_counts_for_others_of_its_domain() {
        let (mut sites, budgets) = sites(Limit::Max(1));
        assert_eq!(sites.exceeded(1, &budgets), None);
        sites.go(0, State::Queued, State::Delivering);
        assert!(sites.exceeded(1, &budgets).is_some());
        assert_eq!((sites.exceeded(0, &budgets), sites.exceeded(2, &budgets)), (None, None));
        sites.go(0, State::Delivering, State::Failed(FailReason::Rejected));
        assert!(sites.exceeded(1, &budgets).is_some() && sites.has_failed(0));
        sites.release(0, "store");
        assert_eq!(sites.exceeded(1, &budgets), None);
        sites.go(0, State::Queued, State::Delivering);
        assert!(sites.exceeded(1, &budgets).is_some());
        sites.go(0, State::Delivering, State::Succeeded);
        assert_eq!(sites.exceeded(1, &budgets), None);
        assert!(!sites.is_any_out_of_order());
    }

    #[test]
    fn of_several_that_failed_one_after_the_other_may_be_mended() {
        let (mut sites, budgets) = sites(Limit::Max(1));
        sites.sicken(0);
        sites.sicken(1);
        assert_eq!((sites.exceeded(0, &budgets), sites.exceeded(1, &budgets)), (None, None));
        sites.go(0, State::Queued, State::Delivering);
        assert!(sites.exceeded(1, &budgets).is_some(), "the other one is being mended");
        sites.go(0, State::Verifying, State::Succeeded);
        assert_eq!(sites.exceeded(1, &budgets), None);
        assert!(sites.exceeded(0, &budgets).is_some(), "it is well, and would be one more");
        // Whoever goes by what was so a moment ago does not know of it.
        sites.release(1, "store");
        sites.sicken(0);
        assert_eq!(sites.exceeded(1, &budgets), None);
    }

    #[test]
    fn devices_without_the_tag_are_one_domain_and_counted_once() {
        let (mut sites, budgets) = sites(Limit::Percent(50));
        for _ in 0..2 {
            for no in 4..6 {
                sites.tags(no, &BTreeMap::new());
            }
        }
        assert_eq!(sites.exceeded(4, &budgets), None);
        sites.go(5, State::Queued, State::Verifying);
        assert!(sites.exceeded(4, &budgets).is_some());
    }

    #[test]
    fn a_share_is_rounded_down_and_one_that_called_is_well() {
        let (mut sites, budgets) = sites(Limit::Percent(50));
        sites.go(2, State::Retrying, State::Canceled);
        assert!(sites.exceeded(3, &budgets).is_some());
        sites.call(2);
        assert_eq!(sites.exceeded(3, &budgets), None);
        // One that is not well calls as well as others.
        sites.sicken(2);
        sites.call(2);
        assert!(sites.exceeded(3, &budgets).is_some());
        sites.recover(2);
        assert_eq!(sites.exceeded(3, &budgets), None);
        let (sites, budgets) = self::sites(Limit::Percent(49));
        assert!(sites.exceeded(3, &budgets).is_some());
    }
}
