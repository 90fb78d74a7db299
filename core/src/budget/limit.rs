//! A budget: how many devices of each domain of a kind may be out of order at once.

use serde::{Deserialize, Serialize};

use super::Per;
use crate::rollout::SpecError;

/// Most budgets of one rollout: more kinds of domains than any fleet has, and few enough to be
/// looked at with every claim.
pub const BUDGETS_MAX: usize = 16;

/// How many devices of each domain may be out of order at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// What its domains are.
    pub per: Per,
    /// How many devices.
    pub limit: Limit,
    /// Whether devices known to be down count as well, other than the one that is to be claimed.
    pub counts_down: bool,
}

/// How many devices of a domain may be out of order at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// So many; at least 1.
    Max(u32),
    /// At most this share of all devices of the inventory that are in it, from 1 to 100.
    Percent(u8),
}

impl Limit {
    /// So many of a domain that has `devices` in all. A share is rounded down: rounded up it would
    /// be more than was allowed.
    pub fn of(self, devices: u32) -> u32 {
        match self {
            Self::Max(max) => max,
            Self::Percent(percent) if bites!(ShareRoundedUp) => {
                (devices * u32::from(percent)).div_ceil(100)
            }
            Self::Percent(percent) => {
                let share = u64::from(devices) * u64::from(percent) / 100;
                u32::try_from(share).unwrap_or(u32::MAX)
            }
        }
    }

    /// What is wrong with it.
    const fn fault(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Max(0) => Some(("max", "must be at least 1")),
            Self::Percent(0 | 101..) => Some(("max_percent", "must be between 1 and 100")),
            Self::Max(_) | Self::Percent(_) => None,
        }
    }
}

/// All that is wrong with budgets.
pub fn budget_faults(budgets: &[Budget]) -> Vec<SpecError> {
    if budgets.len() > BUDGETS_MAX {
        return vec![SpecError::TooManyBudgets(budgets.len())];
    }
    let limits = budgets.iter().enumerate().filter_map(|(index, budget)| {
        let (field, why) = budget.limit.fault()?;
        Some(SpecError::Budget { budget: index + 1, field, why: why.to_owned() })
    });
    limits.chain(repeated(budgets.iter().enumerate().map(|(n, budget)| (n, &budget.per)))).collect()
}

/// A fault for every budget, by its index, that is per what one before it is.
pub(crate) fn repeated<'a>(pers: impl IntoIterator<Item = (usize, &'a Per)>) -> Vec<SpecError> {
    let mut seen: Vec<(usize, &Per)> = vec![];
    let mut faults = vec![];
    for (index, per) in pers {
        match seen.iter().find(|(_, other)| *other == per) {
            None => seen.push((index, per)),
            Some((first, _)) => faults.push(SpecError::Budget {
                budget: index + 1,
                field: "per",
                why: format!(
                    "budgets[{}] has {per} already; keep the one that is meant, or write another \
                     tag",
                    first + 1
                ),
            }),
        }
    }
    faults
}
