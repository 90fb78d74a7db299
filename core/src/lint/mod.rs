//! What is wrong with a rollout before it starts.
//!
//! Owns every finding and its words. Knows neither rows nor files: whoever asks says what the spec
//! would find now. Types to read first: [`Facts`], [`Finding`].

mod devices;
mod hours;

#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    budget::Problem,
    hours::Zone,
    rollback::{Refusal, rollouts_of},
    rollout::Spec,
    time::Time,
};

/// Devices from which on a rollout should have something that stops it: more than people look at
/// one by one.
pub const UNGATED_MAX: u64 = 1_000;

/// Devices of an inventory from which on a selector that chooses all of them is told: of fewer,
/// everything is what is meant as a rule.
pub const EVERYTHING_MIN: u64 = 100;

/// What a spec would find if it were started now. Counts only.
#[derive(Clone, Debug)]
pub struct Facts {
    /// When that is.
    pub now: Time,
    /// Devices of the inventory.
    pub inventory: u64,
    /// Devices that are chosen.
    pub devices: u64,
    /// The devices of each wave; none where only the draw can tell.
    pub waves: Vec<Option<u64>>,
    /// The zones that hours are judged in, with their devices; none if there are no hours.
    pub zones: Vec<(Zone, u64)>,
    /// The devices that are chosen by the version that they are known to run.
    pub versions: Vec<(Option<String>, u64)>,
    /// Whether the file that is sent is kept.
    pub has_artifact: bool,
    /// Why it could not be rolled back, if that is what follows when it goes wrong; otherwise of how
    /// many devices nobody knows what they run.
    pub way_back: Result<u64, Refusal>,
    /// What is wrong with its budgets.
    pub budgets: Vec<Problem>,
}

/// Whether a rollout may start in spite of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It may not.
    Error,
    /// It may.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// What kind of finding it is: programs go by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The release is not there.
    UnknownRelease,
    /// The file that is sent is not kept.
    MissingArtifact,
    /// It would be rolled back, and could not be.
    NoWayBack,
    /// The selector chooses nothing.
    NoDevice,
    /// The selector chooses everything.
    EveryDevice,
    /// Devices run a newer version.
    NewerVersion,
    /// A wave has no device.
    EmptyWave,
    /// Nothing would stop it.
    NoGate,
    /// Devices may never be touched, or not before it is too late.
    NeverOpen,
    /// A window is shorter than an update may take.
    ShortWindow,
    /// A freeze lies inside of the plan.
    FreezeInside,
    /// A budget cannot be met, or does not do what it seems to.
    Budget,
    /// It would be rolled back when it goes wrong, and nothing says that it did.
    NeverRolledBack,
    /// The spec says what cannot be, or is none.
    Mistake,
    /// What it sends was taken back.
    RolledBack,
}

impl Code {
    /// Whether the words of such a finding may have numbers of devices that are not chosen.
    pub const fn is_of_fleet(self) -> bool {
        matches!(self, Self::EveryDevice | Self::Budget)
    }
}

/// Something about a rollout that whoever starts it has to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Whether it may start in spite of it.
    pub severity: Severity,
    /// What kind it is.
    pub code: Code,
    /// The field of the spec that it is about; waves and the like are counted from 1.
    pub field: String,
    /// What it is, why, and what to do.
    pub text: String,
}

impl Finding {
    /// What keeps a rollout from starting.
    pub fn error(code: Code, field: impl Into<String>, text: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, field: field.into(), text: text.into() }
    }

    /// What whoever starts it is told.
    pub fn warning(code: Code, field: impl Into<String>, text: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, code, field: field.into(), text: text.into() }
    }

    /// Whether the rollout may not start.
    pub const fn is_error(&self) -> bool {
        matches!(self.severity, Severity::Error)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.text)
    }
}

/// All that is wrong with a spec: errors first, each in the order of the fields.
pub fn findings(spec: &Spec, facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![];
    findings.extend(artifact(spec, facts));
    findings.extend(devices::selector(spec, facts));
    findings.extend(devices::newer(spec, facts));
    findings.extend(devices::waves(spec, facts));
    findings.extend(devices::no_gate(spec, facts));
    findings.extend(devices::never_rolled_back(spec));
    findings.extend(hours::never_open(spec, facts));
    findings.extend(hours::short_windows(spec));
    findings.extend(hours::freezes(spec, facts));
    findings.extend(facts.budgets.iter().map(budget));
    findings.extend(way_back(facts));
    findings.sort_by_key(|finding| finding.severity);
    findings
}

fn artifact(spec: &Spec, facts: &Facts) -> Option<Finding> {
    let release = &spec.release;
    (!facts.has_artifact).then(|| {
        let text = format!(
            "the artifact of {name} {version} is not kept any more; `groundswell release create \
             {name} {version} FILE` with the same file brings it back",
            name = release.name,
            version = release.version
        );
        Finding::error(Code::MissingArtifact, "release", text)
    })
}

fn budget(problem: &Problem) -> Finding {
    let (field, text) = (problem.field(), problem.text());
    if problem.is_error() {
        Finding::error(Code::Budget, field, text)
    } else {
        Finding::warning(Code::Budget, field, text)
    }
}

/// What whoever tries a rollout again has to know that others, by their numbers, rolled back.
pub fn retried(rolled_back_by: &[i64]) -> Option<Finding> {
    (!rolled_back_by.is_empty()).then(|| {
        let text = format!(
            "it was rolled back by {}; its next round sends the same release again",
            rollouts_of(rolled_back_by)
        );
        Finding::warning(Code::RolledBack, "release", text)
    })
}

fn way_back(facts: &Facts) -> Option<Finding> {
    match &facts.way_back {
        Ok(0) => None,
        Ok(unknown) => {
            let text = format!(
                "{} could not be rolled back: nobody knows which version they run",
                crate::event::devices_of(*unknown)
            );
            Some(Finding::warning(Code::NoWayBack, "on_failure", text))
        }
        Err(refusal) => Some(Finding::error(Code::NoWayBack, "on_failure", refusal.to_string())),
    }
}
