//! A document that was read and found sound, but for the release it names.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use super::{DocumentError, RegressionName, Tree, error::Faults, salt_of};
use crate::{
    brake::Brake,
    budget::Budget,
    gate::{
        Unreachable,
        baseline::{BaselineError, Earlier},
        external::External,
    },
    health::Health,
    release::Release,
    retry,
    rollout::{
        Deadline, Limits, Membership, Offline, OnFailure, Schedule, Spec, Strategy, Verify,
        WaveSpec,
    },
    time::Time,
};

/// A rollout as it was ordered, with every default filled in; the fields are those of [`Spec`].
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// What is sent, by its names.
    pub release: ReleaseName,
    /// The selector that chooses the devices, in its canonical text.
    pub select: Option<String>,
    /// By which plan.
    pub strategy: Strategy,
    /// Nothing happens before this time.
    pub start_at: Option<Time>,
    /// Nothing is begun after this time.
    pub deadline: Option<Deadline>,
    /// When devices may be touched.
    pub schedule: Schedule,
    /// The waves, in order.
    pub waves: Vec<WaveSpec>,
    /// Gates outside of its own numbers.
    pub gates: Vec<External>,
    /// Whether devices that match later join.
    pub membership: Membership,
    /// What the order of the devices is drawn with, if not with what [`salt_of`] gives.
    pub salt: Option<String>,
    /// What becomes of devices that are known to be away.
    pub offline: Offline,
    /// How long a wave waits for devices that are away.
    pub wait_absent: Duration,
    /// How much may happen at once.
    pub limits: Limits,
    /// How many devices of each failure domain may be out of order at once.
    pub budgets: Vec<Budget>,
    /// When a device is tried again.
    pub retry: retry::Policy,
    /// How a device shows that it runs the release.
    pub verify: Verify,
    /// How long one delivery may take in all.
    pub delivery_timeout: Option<Duration>,
    /// When to stop by itself.
    pub brake: Option<Brake>,
    /// What a release that fails more often than it should is told by.
    pub regression: Option<RegressionName>,
    /// How devices that were updated are looked after while their wave soaks.
    pub health: Option<Health>,
    /// What follows when a gate, the brake or the regression test stops it.
    pub on_failure: OnFailure,
    /// What gates make of devices that could not be reached.
    pub unreachable: Unreachable,
    /// After how many failures in a row a device is left out; none: never.
    pub quarantine_after: Option<u8>,
    /// Goes before rollouts of a lower one.
    pub priority: i32,
    /// Whether devices that run a newer version are sent this one.
    pub allow_downgrade: bool,
}

/// The name and version of a release, by which it is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseName {
    /// What it is a release of.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl Document {
    /// Whether what came of earlier rollouts matters: [`Document::into_spec`] is given it then.
    pub fn asks_for_earlier(&self) -> bool {
        self.regression.is_some_and(|regression| regression.baseline.is_none())
    }

    /// What is to happen, with the release that the document names, and the results of earlier
    /// rollouts of the same release name.
    ///
    /// # Errors
    /// [`DocumentError`] if it is another release, if there are too few earlier results for what is
    /// asked, or if a field was set since to what it cannot be.
    pub fn into_spec(self, release: Release, earlier: Earlier) -> Result<Spec, DocumentError> {
        let faults = Faults::default();
        let ReleaseName { name, version } = &self.release;
        if (name, version) != (&release.name, &release.version) {
            let (other, other_version) = (&release.name, &release.version);
            let what = format!("is {name} {version}, but {other} {other_version} was looked up");
            faults.push("release", what);
        }
        let regression = self.regression.and_then(|asked| {
            let refuse =
                |error: BaselineError| faults.push("regression.baseline", error.to_string());
            asked.against(earlier).map_err(refuse).ok()
        });
        let mut spec = Spec {
            release,
            rolls_back: None,
            select: self.select,
            strategy: self.strategy,
            start_at: self.start_at,
            deadline: self.deadline,
            schedule: self.schedule,
            waves: self.waves,
            gates: self.gates,
            membership: self.membership,
            salt: String::new(),
            offline: self.offline,
            wait_absent: self.wait_absent,
            limits: self.limits,
            budgets: self.budgets,
            retry: self.retry,
            verify: self.verify,
            delivery_timeout: self.delivery_timeout,
            brake: self.brake,
            regression,
            health: self.health,
            on_failure: self.on_failure,
            quarantine_after: self.quarantine_after,
            priority: self.priority,
            allow_downgrade: self.allow_downgrade,
            unreachable: self.unreachable,
        };
        spec.salt = self.salt.unwrap_or_else(|| salt_of(&spec));
        if let Err(error) = spec.check() {
            faults.push_spec(&error);
        }
        faults.finish(Some(spec))
    }
}

impl<'de> Deserialize<'de> for Document {
    /// Reads it by way of a [`Tree`]; whoever wants the faults one by one does the same.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(&Tree::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
