//! Those who wait for slots: woken, withdrawn, and what they wait for.

use groundswell_core::budget::{Budget, Domain, Full, NAMED_MAX};

use super::{Budgets, raw, raw_rollout};
use crate::store::{Candidate, DeviceKey, RolloutKey};

/// Those who wait that are looked at for one which waits for a domain, and not for its own device.
const LOOK_AT: usize = 16;

impl Budgets {
    /// The next one who waited and has its slots now.
    pub(in crate::engine) fn next_woken(&mut self) -> Option<(RolloutKey, Candidate)> {
        self.domains.next_woken()
    }

    /// Takes back the slots of a device that is not claimed after all.
    pub(in crate::engine) fn hand_back(&mut self, device: DeviceKey) {
        self.domains.hand_back(raw(device));
    }

    /// Everybody of a rollout who waits for slots, in order; nobody waits afterwards.
    pub(in crate::engine) fn withdraw(&mut self, rollout: RolloutKey) -> Vec<Candidate> {
        let withdrawn = self.domains.withdraw(raw_rollout(rollout));
        withdrawn.into_iter().map(|(_, candidate)| candidate).collect()
    }

    /// How many of a rollout wait.
    pub(in crate::engine) fn parked(&self, rollout: RolloutKey) -> usize {
        self.domains.parked(raw_rollout(rollout))
    }

    /// Those of a rollout who wait.
    pub(in crate::engine) fn waiting_of(
        &self,
        rollout: RolloutKey,
    ) -> impl Iterator<Item = &Candidate> {
        self.domains.waiting(raw_rollout(rollout)).map(|waiting| &waiting.what.1)
    }

    /// What the one of a rollout waits for who has waited for the longest time.
    pub(in crate::engine) fn full(&self, rollout: RolloutKey, budgets: &[Budget]) -> Option<Full> {
        let mut oldest = self.domains.waiting(raw_rollout(rollout)).take(LOOK_AT);
        let (domain, own) =
            oldest.find_map(|waiting| Some((waiting.domain?, waiting.what.1.device)))?;
        let budget = budgets.iter().find(|budget| budget.per == domain.per)?;
        let fullness = self.domains.fullness(&domain, budget)?;
        // It does not count against itself.
        let own_down = self.down.contains(&own) && !self.domains.holds(raw(own), &domain);
        let down = fullness.down.saturating_sub(u32::from(own_down));
        let named_max = NAMED_MAX.min(down as usize);
        let failed = fullness.failed.iter();
        let named = failed.filter_map(|device| self.ids.get(&DeviceKey(device.cast_signed())));
        Some(Full {
            domain: domain.to_string(),
            limit: fullness.limit,
            under_way: fullness.under_way,
            failed: fullness.failed.len() as u32,
            named: named.take(NAMED_MAX).map(ToString::to_string).collect(),
            down,
            down_named: self.down_named(&domain, own).take(named_max).collect(),
        })
    }

    /// Those of a domain who are down and hold no slot, but for the one that waits there.
    fn down_named(&self, domain: &Domain, own: DeviceKey) -> impl Iterator<Item = String> {
        let down = self.down_in.get(domain).into_iter().flatten();
        let counts =
            move |device: DeviceKey| device != own && !self.domains.holds(raw(device), domain);
        down.filter(move |(device, _)| counts(*device)).map(|(_, id)| id.to_string())
    }
}
