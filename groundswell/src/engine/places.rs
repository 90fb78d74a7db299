//! Places for deliveries: how the rollouts of one driver share them.
//!
//! Who goes first takes what is free, but for a fair share of those that have not got theirs, so that
//! no priority starves the others. Shares are those of the beginning of a step; everything else is
//! as the rollouts before have left it, summed up as they pass, so that a step is linear in their
//! number. Type to read first: [`Places`].

use groundswell_core::bites;

/// A share is a quarter of what there would be for each, so that a priority is worth something.
const SHARE_OF: u32 = 4;

/// What one rollout has of the places, and wants of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Claimant {
    /// Deliveries that are open.
    pub(super) open: u32,
    /// Devices that are open or claimed.
    pub(super) used: u32,
    /// Places that it will use as soon as what it waits for is done.
    pub(super) awaited: u32,
    /// Whether it could use more.
    pub(super) is_wanting: bool,
}

impl Claimant {
    /// Places kept for it from those who come before it in a step.
    const fn share(&self, share: u32) -> u64 {
        if self.is_wanting { share.saturating_sub(self.used) as u64 } else { 0 }
    }

    /// Places kept for it from those who come after: what it was about to take, whatever it waits
    /// for just now.
    fn priority(&self, share: u32) -> u64 {
        if self.is_wanting { self.share(share).max(u64::from(self.awaited)) } else { 0 }
    }
}

/// What a rollout may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Given {
    /// Places on top of those it uses. Its share may be claimed before the others have given it up,
    /// and is sent to only then.
    pub(super) places: u32,
    /// Deliveries that may be open.
    pub(super) open_max: u32,
    /// Whether others would take what it leaves.
    pub(super) is_contested: bool,
}

/// The places of a driver in one step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    max: u32,
    share: u32,
    open: u64,
    used: u64,
    /// Kept for all, by what each has or has left.
    kept: u64,
    /// Those who could use more and have not had their turn.
    wanting_later: u32,
}

impl Places {
    /// Of `max` deliveries, before anybody had a turn.
    pub(super) fn new(max: u32, claimants: impl Iterator<Item = Claimant> + Clone) -> Self {
        let wanting = claimants.clone().filter(|claimant| claimant.is_wanting).count() as u32;
        let share = (max / SHARE_OF.saturating_mul(wanting.max(1))).max(1);
        let share = if bites!(PriorityStarves) { 0 } else { share };
        let mut places = Self { max, share, open: 0, used: 0, kept: 0, wanting_later: wanting };
        for claimant in claimants {
            places.open += u64::from(claimant.open);
            places.used += u64::from(claimant.used);
            places.kept += claimant.share(share);
        }
        places
    }

    /// It is the turn of `claimant`: what it may have.
    pub(super) fn begin_turn(&mut self, claimant: &Claimant) -> Given {
        self.open -= u64::from(claimant.open);
        self.kept -= claimant.share(self.share);
        self.wanting_later -= u32::from(claimant.is_wanting);
        let max = u64::from(self.max);
        let free = max.saturating_sub(self.used).saturating_sub(self.kept) as u32;
        self.used -= u64::from(claimant.used);
        Given {
            places: free.max(self.share.saturating_sub(claimant.used)),
            open_max: max.saturating_sub(self.open) as u32,
            is_contested: self.wanting_later > 0,
        }
    }

    /// The turn is over, and has left `claimant` like this.
    pub(super) fn end_turn(&mut self, claimant: &Claimant) {
        self.open += u64::from(claimant.open);
        self.used += u64::from(claimant.used);
        self.kept += claimant.priority(self.share);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the rollout at `own` may have, by looking at all others; those before it had their turn.
    fn naive(max: u32, share: u32, all: &[Claimant], own: usize) -> (u32, u32) {
        let others = || all.iter().enumerate().filter(|(at, _)| *at != own);
        let open: u64 = others().map(|(_, other)| u64::from(other.open)).sum();
        let used: u64 = all.iter().map(|claimant| u64::from(claimant.used)).sum();
        let wanting = others().filter(|(_, other)| other.is_wanting);
        let kept = wanting.map(|(at, other)| {
            let awaited = if at < own { other.awaited } else { 0 };
            u64::from(share.saturating_sub(other.used).max(awaited))
        });
        let left_of = |taken: u64| u64::from(max).saturating_sub(taken) as u32;
        let free = left_of(used + kept.sum::<u64>());
        (free.max(share.saturating_sub(all[own].used)), left_of(open))
    }

    fn claimant() -> impl Strategy<Value = Claimant> {
        let counts = (0..40_u32, 0..40_u32, 0..40_u32);
        (counts, any::<bool>()).prop_map(|((open, claimed, awaited), is_wanting)| Claimant {
            open,
            used: open + claimed,
            awaited,
            is_wanting,
        })
    }

    proptest! {
        #[test]
        fn sums_say_what_looking_at_everybody_says(
            max in prop_oneof![1..200_u32, Just(u32::MAX)],
            turns in prop::collection::vec((claimant(), claimant()), 1..12),
        ) {
            let mut all: Vec<Claimant> = turns.iter().map(|(before, _)| *before).collect();
            let wanting = all.iter().filter(|claimant| claimant.is_wanting).count() as u32;
            let share = (max / (4 * wanting.max(1))).max(1);
            let mut places = Places::new(max, all.iter().copied());
            for (at, (before, after)) in turns.iter().enumerate() {
                let Given { places: given, open_max, is_contested } = places.begin_turn(before);
                prop_assert_eq!((given, open_max), naive(max, share, &all, at));
                let is_wanted_later = all[at + 1..].iter().any(|later| later.is_wanting);
                prop_assert_eq!(is_contested, is_wanted_later);
                places.end_turn(after);
                all[at] = *after;
            }
        }
    }
}
