//! Failure domains of which devices are out of order, and what an operator says of them.

use std::collections::BTreeMap;

use groundswell_core::{
    budget::{Budget, Domain, Full, Limit, NAMED_MAX, Per, Problem, unmeetable},
    rollout::Spec,
    selector::Selector,
    time::Time,
};
use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{OperateError, REASON_CHARS_MAX, State, reason::reason_of};
use crate::engine::choose;
use crate::store::{
    DeviceKey, FailedDevice, Intent, Member, ReleasedOf, ReleasedSlot, RolloutRecord, SlotRelease,
    SlotsRead, SlotsWant, Store, StoreError, TroubleStore as _, Which,
};

/// A failure domain of which a device is out of order.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DomainView {
    /// Which one, such as `tag.store=0042`.
    pub domain: String,
    /// How many devices of the inventory are in it.
    pub devices: u32,
    /// How many may be out of order, by each rollout that has a budget for it and has not ended.
    pub limits: Vec<LimitView>,
    /// Who is; of many, a page names only the first.
    pub holders: Vec<HolderView>,
    /// How many more are.
    #[serde(default, skip_serializing_if = "is_none")]
    pub more_holders: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
const fn is_none(more: &u32) -> bool {
    *more == 0
}

/// How many devices of a domain may be out of order at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LimitView {
    /// By which rollout.
    pub rollout: i64,
    /// How many.
    pub limit: u32,
}

/// A device that has a slot in a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HolderView {
    /// Its id.
    pub device: String,
    /// Why.
    pub why: Why,
    /// Since when, where it failed or regressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub since: Option<Time>,
}

/// Why a device has a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It failed, or was given up in the middle, and was not seen to be well since.
    Failed,
    /// It was updated, and is not well since.
    Regressed,
    /// It is being updated.
    UnderWay,
    /// It is known to be down, and counts for a budget that says so.
    Down,
}

/// What came of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SlotReleased {
    /// The domain.
    pub domain: String,
    /// The device.
    pub device: String,
    /// Whether it was released before.
    pub is_repeated: bool,
}

/// A slot of a device that an operator released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SlotReleaseView {
    /// The domain.
    pub domain: String,
    /// The rollout in which the device had failed.
    pub rollout: i64,
    /// When it was released.
    #[schema(value_type = i64)]
    pub at: Time,
    /// Why.
    pub reason: String,
}

/// Keys of tags that a mistyped one is compared with: more than a device has.
const KEYS_MAX: usize = 500;

/// Releases of a device that are told, the last ones: a screenful.
const RELEASES_MAX: usize = 20;

impl State {
    /// The slots of a device that operators released, the last ones, oldest first.
    ///
    /// # Errors
    /// [`OperateError::UnknownDevice`].
    pub fn released_slots(&self, id: &str) -> Result<Vec<SlotReleaseView>, OperateError> {
        let (device, _) = self.find_device(id)?;
        let released = self.store.released_slots(ReleasedOf::Device(device), RELEASES_MAX)?;
        let view = |ReleasedSlot { domain, rollout, at, reason, .. }| SlotReleaseView {
            domain: domain.to_string(),
            rollout: rollout.0,
            at,
            reason,
        };
        let mut seen = vec![];
        for released in released {
            if self.sees(released.rollout)? {
                seen.push(view(released));
            }
        }
        Ok(seen)
    }

    /// The failure domains of which a device is out of order, for the budgets of rollouts that have
    /// not ended; in order.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn budgets(&self, now: Time) -> Result<Vec<DomainView>, OperateError> {
        let mut views = None;
        self.store.at_once(&mut |store| {
            views = Some(domains(store, now)?.into_iter().map(|(_, view)| view).collect());
            Ok(())
        })?;
        Ok(views.unwrap_or_default())
    }

    /// Frees the slot that a device which failed keeps in a domain: an operator says that it does
    /// no harm there. A driver goes by it within 100 ms.
    ///
    /// # Errors
    /// [`OperateError::Domain`] for what names none, [`OperateError::UnknownDevice`],
    /// [`OperateError::Reason`], [`OperateError::Label`] for a reason that no terminal should show, or
    /// [`OperateError::Slot`] if the device has no slot there that could be released.
    pub fn release_slot(
        &mut self,
        domain: &str,
        id: &str,
        reason: &str,
        now: Time,
    ) -> Result<SlotReleased, OperateError> {
        let domain: Domain = domain.parse()?;
        let (device, known) = self.find_device(id)?;
        let reason = reason_of(reason, OperateError::Reason { max: REASON_CHARS_MAX })?;
        let refuse = |why: String| OperateError::Slot { device: id.to_owned(), why };
        let own =
            Domain { per: domain.per.clone(), value: known.tags.get(domain.per.tag()).cloned() };
        if own != domain {
            return Err(refuse(format!("is not in {domain}, but in {own}")));
        }
        let is_active =
            self.store.standings(device)?.iter().any(|at| at.assignment.state.is_active());
        if is_active {
            return Err(refuse(format!(
                "is being updated, and counts in {domain} until that has ended"
            )));
        }
        let Some(failed) = self.store.failed_devices(Some(device))?.pop() else {
            return Err(refuse(format!(
                "has no slot in {domain}: it did not fail, or was seen to be well since"
            )));
        };
        let is_repeated = failed.released.contains(&domain);
        if !is_repeated {
            let FailedDevice { assignment, .. } = failed;
            let reason = reason.to_owned();
            let release =
                SlotRelease { device, assignment, domain: domain.clone(), reason, at: now };
            self.store.release_slot(&release)?;
        }
        // Said again: whoever was to be told of it may have died before.
        self.store.put_intent(&Intent::Released { device }, now)?;
        Ok(SlotReleased { domain: domain.to_string(), device: id.to_owned(), is_repeated })
    }

    /// What is wrong with the budgets of a spec for the devices that it chooses now.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn budget_problems(&self, spec: &Spec, now: Time) -> Result<Vec<Problem>, OperateError> {
        let select = spec.select.as_deref().map(Selector::parse).transpose();
        let select = select.map_err(OperateError::Selector)?;
        let counts = |budget: &Budget| self.store.chosen_domains(&budget.per, select.as_ref(), now);
        let counts: Result<Vec<_>, StoreError> = spec.budgets.iter().map(counts).collect();
        let mut problems = unmeetable(&spec.budgets, &counts?);
        if problems.iter().any(|problem| problem.missing().is_some()) {
            let keys = self.store.tag_keys(KEYS_MAX)?;
            for problem in &mut problems {
                let Some(tag) = problem.missing().map(|per| per.tag().to_owned()) else { continue };
                problem.mean(&self.tags_like(&tag, &keys, now)?);
            }
        }
        if self.sight.is_some() {
            for problem in &mut problems {
                let is_whole = match problem {
                    Problem::NoRoom { domain, .. } => self.sees_all_of(domain)?,
                    _ => false,
                };
                if !is_whole {
                    problem.leave_sizes_out();
                }
            }
        }
        Ok(problems)
    }

    /// The first domain of a device that has no room for it, by budgets.
    pub(super) fn full_domain(
        &self,
        device: DeviceKey,
        tags: &BTreeMap<String, String>,
        budgets: &[Budget],
        now: Time,
    ) -> Result<Option<Full>, StoreError> {
        if budgets.is_empty() {
            return Ok(None);
        }
        let pers: Vec<Per> = budgets.iter().map(|budget| budget.per.clone()).collect();
        let down_at = budgets.iter().any(|budget| budget.counts_down).then_some(now);
        let domains = Domains::read(&self.store, &pers, down_at)?;
        let full = |budget: &Budget| {
            let value = tags.get(budget.per.tag()).cloned();
            domains.full(device, &Domain { per: budget.per.clone(), value }, budget)
        };
        Ok(budgets.iter().find_map(full))
    }
}

/// Not well since an update.
const FAILED: &[Why] = &[Why::Failed, Why::Regressed];

/// Whoever is out of order for a budget of a rollout that has not ended, by domain, in order.
pub(super) fn domains(
    store: &dyn Store,
    now: Time,
) -> Result<Vec<(Domain, DomainView)>, StoreError> {
    let mut limits: BTreeMap<Per, Vec<(i64, Budget)>> = BTreeMap::new();
    let unended = store.rollouts(Which::Unended)?;
    for record in &unended {
        for budget in &record.spec.budgets {
            let of = limits.entry(budget.per.clone()).or_default();
            of.push((record.key.0, budget.clone()));
        }
    }
    let pers: Vec<Per> = limits.keys().cloned().collect();
    let domains = Domains::read(store, &pers, Some(now))?;
    let concerned = domains.concerned(store, &unended, now)?;
    Ok(domains.views(&limits, &concerned))
}

/// Whoever is out of order, by domain.
struct Domains {
    sizes: HashMap<Domain, u32>,
    holders: BTreeMap<Domain, Vec<(DeviceKey, HolderView)>>,
}

impl Domains {
    fn read(store: &dyn Store, pers: &[Per], down_at: Option<Time>) -> Result<Self, StoreError> {
        let want =
            SlotsWant { pers: pers.into(), is_held_wanted: true, is_size_wanted: true, down_at };
        let read = store.slots(&want)?;
        let failed = store.failed_devices(None)?;
        let regressed = store.regressed_holders()?.into_iter().collect();
        Ok(Self::of(pers, read, failed, &regressed))
    }

    fn of(
        pers: &[Per],
        read: SlotsRead,
        failed: Vec<FailedDevice>,
        regressed: &HashSet<DeviceKey>,
    ) -> Self {
        let failed: HashMap<DeviceKey, FailedDevice> =
            failed.into_iter().map(|failed| (failed.device, failed)).collect();
        let domain = |per: &Per, value: Option<&str>| Domain {
            per: per.clone(),
            value: value.map(str::to_owned),
        };
        let sizes = pers.iter().zip(read.sizes.unwrap_or_default()).flat_map(|(per, sizes)| {
            sizes.into_iter().map(move |(value, devices)| (domain(per, value.as_deref()), devices))
        });
        let mut domains = Self { sizes: sizes.collect(), holders: BTreeMap::new() };
        let not_well = |device| {
            if regressed.contains(&device) { Why::Regressed } else { Why::Failed }
        };
        let mut seen: HashSet<DeviceKey> = HashSet::new();
        let mut add = |member: &Member, why: Option<Why>| {
            if !seen.insert(member.device) {
                return;
            }
            let failed = failed.get(&member.device);
            for (per, value) in pers.iter().zip(&member.values) {
                let domain = domain(per, value.as_deref());
                let (why, since) = match (why, failed) {
                    (Some(why), _) => (why, None),
                    (None, Some(failed)) if failed.released.contains(&domain) => continue,
                    (None, failed) => (not_well(member.device), failed.map(|failed| failed.at)),
                };
                let view = HolderView { device: member.id.to_string(), why, since };
                domains.holders.entry(domain).or_default().push((member.device, view));
            }
        };
        let read_held = read.held.unwrap_or_default();
        // Who is under way comes first, and counts as that though it failed before.
        for member in &read_held[..read.under_way.min(read_held.len())] {
            add(member, Some(Why::UnderWay));
        }
        for member in &read_held[read.under_way.min(read_held.len())..] {
            add(member, None);
        }
        for member in &read.down.unwrap_or_default() {
            add(member, Some(Why::Down));
        }
        domains
    }

    fn limit(&self, domain: &Domain, budget: &Budget) -> u32 {
        match budget.limit {
            Limit::Max(max) => max,
            limit @ Limit::Percent(_) => limit.of(self.sizes.get(domain).copied().unwrap_or(0)),
        }
    }

    /// The rollouts that have devices in the domain of those that lack a tag, where somebody of it is
    /// out of order. Whoever has a budget per pair, and only devices with one, has nothing to do with
    /// the rest of the fleet.
    fn concerned(
        &self,
        store: &dyn Store,
        unended: &[RolloutRecord],
        now: Time,
    ) -> Result<HashSet<(Per, i64)>, StoreError> {
        let mut concerned = HashSet::new();
        for record in unended {
            for Budget { per, .. } in &record.spec.budgets {
                let rest = Domain { per: per.clone(), value: None };
                if self.holders.contains_key(&rest) && has_rest(store, record, per, now)? {
                    concerned.insert((per.clone(), record.key.0));
                }
            }
        }
        Ok(concerned)
    }

    fn views(
        self,
        limits: &BTreeMap<Per, Vec<(i64, Budget)>>,
        concerned: &HashSet<(Per, i64)>,
    ) -> Vec<(Domain, DomainView)> {
        let view = |(domain, holders): (&Domain, &Vec<(DeviceKey, HolderView)>)| {
            let is_concerned = |(rollout, _): &&(i64, Budget)| {
                domain.value.is_some() || concerned.contains(&(domain.per.clone(), *rollout))
            };
            let budgets: Vec<_> = limits.get(&domain.per)?.iter().filter(is_concerned).collect();
            let counts_down = budgets.iter().any(|(_, budget)| budget.counts_down);
            let mut holders: Vec<HolderView> =
                holders.iter().map(|(_, holder)| holder.clone()).collect();
            holders.retain(|holder| counts_down || holder.why != Why::Down);
            holders.sort_by(|a, b| (a.why, &a.device).cmp(&(b.why, &b.device)));
            let limit = |(rollout, budget): &&(i64, Budget)| LimitView {
                rollout: *rollout,
                limit: self.limit(domain, budget),
            };
            let view = (!holders.is_empty() && !budgets.is_empty()).then(|| DomainView {
                domain: domain.to_string(),
                devices: self.sizes.get(domain).copied().unwrap_or(0),
                limits: budgets.iter().map(limit).collect(),
                holders,
                more_holders: 0,
            });
            Some((domain.clone(), view?))
        };
        self.holders.iter().filter_map(view).collect()
    }

    /// Why a device has no room in a domain; none if it has.
    fn full(&self, device: DeviceKey, domain: &Domain, budget: &Budget) -> Option<Full> {
        let limit = self.limit(domain, budget);
        let others = self.holders.get(domain)?.iter().filter(|(key, _)| *key != device);
        let others: Vec<&HolderView> = others.map(|(_, holder)| holder).collect();
        let of = |whys: &'static [Why]| {
            others.iter().filter(|holder| whys.contains(&holder.why)).map(|holder| &holder.device)
        };
        let named = |whys| of(whys).take(NAMED_MAX).cloned().collect();
        let count = |whys| of(whys).count() as u32;
        let down: &[Why] = if budget.counts_down { &[Why::Down] } else { &[] };
        let full = Full {
            domain: domain.to_string(),
            limit,
            under_way: count(&[Why::UnderWay]),
            failed: count(FAILED),
            named: named(FAILED),
            down: count(down),
            down_named: named(down),
        };
        (full.under_way + full.failed + full.down >= limit).then_some(full)
    }
}

/// Whether a rollout has devices that lack the tag of these domains; before they are written down,
/// whether it would have some now.
fn has_rest(
    store: &dyn Store,
    record: &RolloutRecord,
    per: &Per,
    now: Time,
) -> Result<bool, StoreError> {
    if record.progression.started_at.is_some() || record.spec.rolls_back.is_some() {
        return store.has_untagged(record.key, per);
    }
    let select = record.spec.select.as_deref().map(choose::parse).transpose()?;
    let chosen = store.chosen_domains(per, select.as_ref(), now)?;
    Ok(chosen.iter().any(|count| count.value.is_none()))
}
