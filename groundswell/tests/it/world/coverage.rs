//! What of all that can happen has happened: which facts met assignments in which states, and which
//! acts met rollouts in which.
//!
//! What can happen to an assignment is what `assignment::apply` does not refuse; any act can be
//! tried on a rollout in any state, and be refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use groundswell::core::{
    assignment::{Assignment, Fact, SkipReason, State, apply},
    outcome::{Answer, Fault, Outcome},
    release::{Digest, Release},
    rollout::{Act, Spec, State as RolloutState},
    time::Time,
};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    facts: BTreeMap<(State, &'static str), u64>,
    acts: BTreeMap<(RolloutState, &'static str), u64>,
}

/// Facts of one name are alike to a state, however else they differ.
const fn name(fact: &Fact) -> &'static str {
    match fact {
        Fact::Claimed => "claimed",
        Fact::Returned => "returned",
        Fact::Delivered(Outcome::AlreadyCurrent) => "delivered: already current",
        Fact::Delivered(Outcome::Accepted { .. }) => "delivered: accepted",
        Fact::Delivered(Outcome::Refused { .. }) => "delivered: refused",
        Fact::Delivered(Outcome::NotSent { .. }) => "delivered: not sent",
        Fact::Delivered(Outcome::Unknown { .. }) => "delivered: unknown",
        Fact::Asked(Answer::Version { .. }) => "asked: version",
        Fact::Asked(Answer::Unreadable { .. }) => "asked: unreadable",
        Fact::Asked(Answer::Silent { .. }) => "asked: silent",
        Fact::Orphaned => "orphaned",
        Fact::Skipped(_) => "skipped",
        Fact::Away { .. } => "away",
        Fact::Contacted => "contacted",
        Fact::Expired(SkipReason::Deadline) => "expired: deadline",
        Fact::Expired(_) => "expired: window",
        Fact::Canceled => "canceled",
    }
}

/// A fact of every name.
fn every_fact() -> Vec<Fact> {
    let (fault, detail) = (Fault::Reset, String::new());
    vec![
        Fact::Claimed,
        Fact::Returned,
        Fact::Delivered(Outcome::AlreadyCurrent),
        Fact::Delivered(Outcome::Accepted { status: 200 }),
        Fact::Delivered(Outcome::Refused { status: 503, retry_after: None, detail: String::new() }),
        Fact::Delivered(Outcome::NotSent { fault, detail: detail.clone() }),
        Fact::Delivered(Outcome::Unknown { fault, detail: detail.clone() }),
        Fact::Asked(Answer::Version { version: "9.9.9".to_owned() }),
        Fact::Asked(Answer::Unreadable { status: 404, detail: detail.clone() }),
        Fact::Asked(Answer::Silent { fault, detail }),
        Fact::Orphaned,
        Fact::Skipped(SkipReason::Superseded),
        Fact::Away { since: None },
        Fact::Contacted,
        Fact::Expired(SkipReason::Deadline),
        Fact::Expired(SkipReason::WindowClosed),
        Fact::Canceled,
    ]
}

impl Coverage {
    pub(crate) fn fact(&mut self, state: State, fact: &Fact, count: u64) {
        *self.facts.entry((state, name(fact))).or_default() += count;
    }

    pub(crate) fn act(&mut self, state: RolloutState, act: Act) {
        *self.acts.entry((state, act.as_str())).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: Self) {
        for (pair, count) in other.facts {
            *self.facts.entry(pair).or_default() += count;
        }
        for (pair, count) in other.acts {
            *self.acts.entry(pair).or_default() += count;
        }
    }
}

/// Every pair of a state and a fact that is not refused.
fn possible_facts() -> BTreeSet<(State, &'static str)> {
    let (name_of, now) = ("pos".to_owned(), Time::from_millis(1_000_000));
    let (artifact, version) = (Digest([7; 32]), "1.0.0".to_owned());
    let release = Release { name: name_of, version, artifact, artifact_bytes: 12 };
    let spec = Spec::immediate(release);
    let mut possible = BTreeSet::new();
    for state in State::ALL {
        let assignment = Assignment { state, attempt: 1, ..Assignment::queued() };
        for fact in every_fact() {
            if apply(&assignment, &fact, &spec, now, 0).is_ok() {
                possible.insert((state, name(&fact)));
            }
        }
    }
    possible
}

fn possible_acts() -> BTreeSet<(RolloutState, &'static str)> {
    let acts = |state| Act::ALL.into_iter().map(move |act| (state, act.as_str()));
    RolloutState::ALL.into_iter().flat_map(acts).collect()
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (facts, acts) = (possible_facts(), possible_acts());
        let met: BTreeSet<_> = self.facts.keys().copied().collect();
        let (possible, reached) = (facts.len(), facts.intersection(&met).count());
        writeln!(f, "{reached} of {possible} pairs of an assignment's state and a fact")?;
        for (state, fact) in facts.difference(&met) {
            writeln!(f, "  never: {state} + {fact}")?;
        }
        // What was logged and would be refused would be a hole in this table.
        for (state, fact) in met.difference(&facts) {
            writeln!(f, "  not thought possible: {state} + {fact}")?;
        }
        let met: BTreeSet<_> = self.acts.keys().copied().collect();
        let (possible, reached) = (acts.len(), acts.intersection(&met).count());
        writeln!(f, "{reached} of {possible} pairs of a rollout's state and an act")?;
        for (state, act) in acts.difference(&met) {
            writeln!(f, "  never: {state} + {act}")?;
        }
        Ok(())
    }
}
