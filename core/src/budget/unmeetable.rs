//! Budgets by which a rollout could never go, told before it starts.

use std::fmt;

use super::{Budget, Domain, Limit, Per};
use crate::{event::devices_of, spelling::nearest};

/// One domain of a budget, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainCount {
    /// The value that its devices have; none for those that have none.
    pub value: Option<String>,
    /// Devices of the inventory that are in it.
    pub devices: u32,
    /// Those of them that the rollout has chosen.
    pub chosen: u32,
}

/// Something about a budget that whoever wrote it has to know. Budgets are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Its share of a domain is less than one device: none of the chosen there could ever go.
    NoRoom {
        /// Which budget.
        budget: usize,
        /// Its share.
        percent: u8,
        /// The smallest such domain; of several, the first by name.
        domain: Domain,
        /// How many devices that has; none if whoever is told may not know.
        devices: Option<u32>,
        /// How many more such domains there are.
        more: usize,
    },
    /// At least half of the chosen devices lack its tag, and would go as if they were one group.
    MostLack {
        /// Which budget.
        budget: usize,
        /// Its kind of domain.
        per: Per,
        /// How many of the chosen lack it.
        lacking: u64,
        /// How many were chosen.
        chosen: u64,
        /// The kind that was probably meant, if no device of the inventory has the tag.
        meant: Option<Per>,
    },
    /// Some of the chosen devices do.
    SomeLack {
        /// Which budget.
        budget: usize,
        /// Its kind of domain.
        per: Per,
        /// How many of the chosen lack it.
        lacking: u64,
        /// How many were chosen.
        chosen: u64,
    },
    /// It allows as many as there are, in every domain.
    NeverBites {
        /// Which budget.
        budget: usize,
        /// Its kind of domain.
        per: Per,
        /// The most devices that any of its domains has; none if whoever is told may not know.
        largest: Option<u32>,
    },
}

impl Problem {
    /// Whether the rollout must not start; otherwise it is a warning.
    pub const fn is_error(&self) -> bool {
        matches!(self, Self::NoRoom { .. } | Self::MostLack { .. })
    }

    /// The field of the spec that it is about.
    pub fn field(&self) -> String {
        match self {
            Self::NoRoom { budget, .. } => format!("budgets[{budget}].max_percent"),
            Self::MostLack { budget, .. } | Self::SomeLack { budget, .. } => {
                format!("budgets[{budget}].per")
            }
            Self::NeverBites { budget, .. } => format!("budgets[{budget}]"),
        }
    }

    /// The kind whose tag no chosen device has: it may be mistyped.
    pub fn missing(&self) -> Option<&Per> {
        match self {
            Self::MostLack { per, lacking, chosen, .. } if lacking == chosen => Some(per),
            _ => None,
        }
    }

    /// Says which kind was probably meant, of those that devices have tags for; nothing if they have
    /// this one.
    pub fn mean(&mut self, keys: &[String]) {
        let Some(tag) = self.missing().map(|per| per.tag().to_owned()) else { return };
        let nearest = nearest(&tag, keys.iter().map(String::as_str));
        if let (Self::MostLack { meant, .. }, false) = (self, keys.contains(&tag)) {
            *meant = nearest.map(|key| Per::Tag(key.to_owned()));
        }
    }

    /// Leaves out how many devices a domain has, of which whoever is told may know only some.
    pub const fn leave_sizes_out(&mut self) {
        match self {
            Self::NoRoom { devices: size, .. } | Self::NeverBites { largest: size, .. } => {
                *size = None;
            }
            Self::MostLack { .. } | Self::SomeLack { .. } => {}
        }
    }

    /// What it is, why, and what to do.
    pub fn text(&self) -> String {
        match self {
            Self::NoRoom { percent, domain, devices, more, .. } => {
                let more = match more {
                    0 => String::new(),
                    1 => " (and so in 1 more domain)".to_owned(),
                    more => format!(" (and so in {more} more domains)"),
                };
                let (of, least) = match *devices {
                    Some(devices) => {
                        let least = 100_u32.div_ceil(devices.max(1));
                        let least = format!("max_percent = {least} or more");
                        (devices_of(u64::from(devices)), least)
                    }
                    None => ("devices".to_owned(), "a larger max_percent".to_owned()),
                };
                format!(
                    "{percent} % of the {of} of {domain} is less than one, so none of them could ever \
                     be sent to{more}; write max = 1, or {least}"
                )
            }
            Self::MostLack { per, meant: Some(meant), .. } => {
                format!("no device of the inventory has {per}; did you mean {meant}?")
            }
            Self::MostLack { per, lacking, chosen, .. } => format!(
                "{lacking} of the {} chosen have no {per}, and count as one domain: they would go \
                 as if they were one group; give them the tag, choose others, or leave this budget \
                 out",
                devices_of(*chosen)
            ),
            Self::SomeLack { per, lacking, chosen, .. } => format!(
                "{lacking} of the {} chosen have no {per}, and count as one domain, so they may \
                 take long; give them the tag if that is not meant",
                devices_of(*chosen)
            ),
            Self::NeverBites { per, largest, .. } => {
                let has = match largest {
                    Some(largest) => format!("has more than {}", devices_of(u64::from(*largest))),
                    None => "has more devices than that".to_owned(),
                };
                format!(
                    "never holds anything back, because no domain of {per} {has}; write a lower limit, \
                     or leave this budget out"
                )
            }
        }
    }
}

/// What is wrong with budgets for the devices chosen: the errors and warnings of each budget, in
/// order. `counts` has, for each budget, every domain that has a chosen device; those that lack the
/// tag are the domain without a value. Costs O(domains).
pub fn unmeetable(budgets: &[Budget], counts: &[Vec<DomainCount>]) -> Vec<Problem> {
    let mut problems = vec![];
    for (index, (budget, counts)) in budgets.iter().zip(counts).enumerate() {
        let chosen: Vec<&DomainCount> = counts.iter().filter(|count| count.chosen > 0).collect();
        problems.extend(no_room(index + 1, budget, &chosen));
        problems.extend(lacking(index + 1, &budget.per, &chosen));
        problems.extend(never_bites(index + 1, budget, &chosen));
    }
    problems
}

fn no_room(number: usize, budget: &Budget, counts: &[&DomainCount]) -> Option<Problem> {
    let Limit::Percent(percent) = budget.limit else { return None };
    let is_closed = |count: &&&DomainCount| budget.limit.of(count.devices) == 0;
    let closed = || counts.iter().filter(is_closed);
    let smallest = closed().min_by_key(|count| (count.devices, &count.value))?;
    let domain = Domain { per: budget.per.clone(), value: smallest.value.clone() };
    let devices = Some(smallest.devices);
    Some(Problem::NoRoom { budget: number, percent, domain, devices, more: closed().count() - 1 })
}

fn lacking(number: usize, per: &Per, counts: &[&DomainCount]) -> Option<Problem> {
    let per = per.clone();
    let sum = |counts: &mut dyn Iterator<Item = &&DomainCount>| -> u64 {
        counts.map(|count| u64::from(count.chosen)).sum()
    };
    let chosen = sum(&mut counts.iter());
    let lacking = sum(&mut counts.iter().filter(|count| count.value.is_none()));
    match lacking {
        0 => None,
        _ if lacking * 2 >= chosen => {
            Some(Problem::MostLack { budget: number, per, lacking, chosen, meant: None })
        }
        _ => Some(Problem::SomeLack { budget: number, per, lacking, chosen }),
    }
}

fn never_bites(number: usize, budget: &Budget, counts: &[&DomainCount]) -> Option<Problem> {
    let largest = counts.iter().map(|count| count.devices).max()?;
    let never = counts.iter().all(|count| budget.limit.of(count.devices) >= count.devices);
    let per = budget.per.clone();
    never.then_some(Problem::NeverBites { budget: number, per, largest: Some(largest) })
}

impl fmt::Display for Problem {
    /// The field, then the rest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field(), self.text())
    }
}
