//! A decision on counts: its input and its output, as differences to the one before.

use serde::{Deserialize, Serialize};

use super::stands::said;
use crate::{
    gate::external::{Asked, Evidence},
    health::Checkup,
    hours::{Phase, Zone},
    plan::{Change, Plan, Sweep},
    rollout::Progression,
    snapshot::{Allowance, Cohort, Snapshot},
    time::Time,
    waiting::WaitingOn,
};

/// A decision on counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What it was made on, apart from where the rollout stood.
    #[serde(rename = "in", default, skip_serializing_if = "Input::is_empty")]
    pub input: Input,
    /// What was decided.
    #[serde(rename = "out", default, skip_serializing_if = "Output::is_empty")]
    pub output: Output,
}

/// What changed of a snapshot since the step before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// How many cohorts there are.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub cohort_count: Option<usize>,
    /// Those that changed.
    #[serde(rename = "c", default, skip_serializing_if = "Vec::is_empty")]
    pub cohorts: Vec<CohortInput>,
    /// What is known of the checks that were asked, if that changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks: Option<Vec<Asked>>,
    /// How many claims may be made beyond those that are open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead: Option<u32>,
    /// Claims that the rate allows, and when it allows the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<(u32, Time)>,
    /// Places that the driver has left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub places: Option<u32>,
    /// Whether nothing new is to be begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopping: Option<bool>,
    /// Whether devices are being written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writing: Option<bool>,
    /// How far it is known how devices are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkup: Option<Checkup>,
}

/// What changed of a cohort.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CohortInput {
    /// Its place in the snapshot.
    #[serde(rename = "i")]
    pub place: usize,
    /// Wave and zone, if there was none in this place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<(usize, Option<Zone>)>,
    /// Whether its devices may be touched; if there was none in this place, they may always unless
    /// this says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// When it is closed for good, if ever.
    #[serde(
        rename = "end",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "said"
    )]
    pub closes_for_good_at: Option<Option<Time>>,
    /// Its devices.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none", with = "short_option")]
    pub counts: Option<crate::snapshot::Counts>,
}

/// A plan, as far as it differs from the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// How many devices may be claimed.
    #[serde(rename = "max", default, skip_serializing_if = "Option::is_none")]
    pub claims_max: Option<u32>,
    /// How many of these may be devices that were not begun before, if not all.
    #[serde(rename = "fresh", default, skip_serializing_if = "Option::is_none")]
    pub fresh_max: Option<u32>,
    /// The cohorts that are open, if these are others than before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<Vec<usize>>,
    /// A change of the rollout.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "super::short::change")]
    pub change: Option<Change>,
    /// What external gates said, if the change is what they ruled.
    #[serde(rename = "said", default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// Checks that are to be asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ask: Vec<usize>,
    /// Devices to be ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Sweep>,
    /// What is waited for, if that is something else than before.
    #[serde(
        rename = "wait",
        default,
        skip_serializing_if = "Option::is_none",
        with = "super::short::waits"
    )]
    pub waiting_on: Option<Vec<WaitingOn>>,
    /// When to decide again.
    #[serde(rename = "wake", default, skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<Time>,
}

impl Input {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Output {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What tells `plan` from the one before, if the rate allows the next claim at `next_at`.
    pub fn between(before: &Plan, plan: &Plan, next_at: Time) -> Self {
        let waits_before = later(&before.waiting_on, next_at);
        let is_none = plan.claims_max == 0 && plan.fresh_max == 0;
        Self {
            claims_max: (!is_none).then_some(plan.claims_max),
            fresh_max: (plan.fresh_max != plan.claims_max).then_some(plan.fresh_max),
            open: (plan.open != before.open).then(|| plan.open.clone()),
            change: plan.change,
            evidence: plan.evidence.clone(),
            ask: plan.ask.clone(),
            sweep: plan.sweep.clone(),
            waiting_on: (plan.waiting_on != waits_before).then(|| plan.waiting_on.clone()),
            wake_at: plan.wake_at,
        }
    }

    /// The plan that this made of the one before, if the rate allows the next claim at `next_at`.
    pub fn after(&self, before: &Plan, next_at: Time) -> Plan {
        let waiting_on = self.waiting_on.clone();
        let claims_max = self.claims_max.unwrap_or(0);
        Plan {
            claims_max,
            fresh_max: self.fresh_max.unwrap_or(claims_max),
            open: self.open.clone().unwrap_or_else(|| before.open.clone()),
            change: self.change,
            evidence: self.evidence.clone(),
            ask: self.ask.clone(),
            sweep: self.sweep.clone(),
            waiting_on: waiting_on.unwrap_or_else(|| later(&before.waiting_on, next_at)),
            wake_at: self.wake_at,
        }
    }
}

/// What was waited for, with the time that the rate says now: at a constant rate that changes with
/// each device, and is in the input.
fn later(waiting_on: &[WaitingOn], next_at: Time) -> Vec<WaitingOn> {
    let mut waiting_on = waiting_on.to_vec();
    for reason in &mut waiting_on {
        if let WaitingOn::Rate { next_at: said, .. } = reason {
            *said = next_at;
        }
    }
    waiting_on
}

/// The step that was written down last, whole.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) cohorts: Vec<Cohort>,
    checks: Vec<Asked>,
    ahead_max: u32,
    allowance: Allowance,
    driver_places: u32,
    is_stopping: bool,
    is_being_written: bool,
    checkup: Checkup,
    pub(super) plan: Plan,
}

impl Default for Frame {
    fn default() -> Self {
        Self {
            cohorts: vec![],
            checks: vec![],
            ahead_max: 0,
            allowance: Allowance::UNLIMITED,
            driver_places: u32::MAX,
            is_stopping: false,
            is_being_written: false,
            checkup: Checkup::Done,
            plan: Plan::default(),
        }
    }
}

/// Hours that never end.
const ALWAYS: Phase = Phase::Open { until: None };

fn changed<T: PartialEq + Clone>(kept: &mut T, now: T) -> Option<T> {
    let is_changed = *kept != now;
    if is_changed {
        kept.clone_from(&now);
    }
    is_changed.then_some(now)
}

impl Frame {
    /// What tells this step from the one before, which it takes the place of.
    pub(super) fn record(&mut self, snapshot: Snapshot, plan: &Plan) -> Step {
        let output = Output::between(&self.plan, plan, snapshot.allowance.next_at);
        self.plan.clone_from(plan);
        let allowance = changed(&mut self.allowance, snapshot.allowance);
        let input = Input {
            cohort_count: (self.cohorts.len() != snapshot.cohorts.len())
                .then_some(snapshot.cohorts.len()),
            cohorts: self.record_cohorts(snapshot.cohorts),
            checks: changed(&mut self.checks, snapshot.checks),
            ahead: changed(&mut self.ahead_max, snapshot.ahead_max),
            rate: allowance.map(|Allowance { claims, next_at }| (claims, next_at)),
            places: changed(&mut self.driver_places, snapshot.driver_places),
            stopping: changed(&mut self.is_stopping, snapshot.is_stopping),
            writing: changed(&mut self.is_being_written, snapshot.is_being_written),
            checkup: changed(&mut self.checkup, snapshot.checkup),
        };
        Step { input, output }
    }

    /// The step that was written down last, as if there had been none before.
    pub(super) fn whole(&self, progression: Progression) -> Step {
        let snapshot = self.snapshot(progression);
        Self::default().record(snapshot, &self.plan)
    }

    fn record_cohorts(&mut self, cohorts: Vec<Cohort>) -> Vec<CohortInput> {
        self.cohorts.truncate(cohorts.len());
        let mut inputs = vec![];
        for (place, cohort) in cohorts.into_iter().enumerate() {
            let known = self.cohorts.get_mut(place);
            let same = known.filter(|k| k.wave == cohort.wave && k.zone == cohort.zone);
            let Some(kept) = same else {
                let of = Some((cohort.wave, cohort.zone.clone()));
                inputs.push(CohortInput {
                    place,
                    of,
                    phase: Some(cohort.phase).filter(|phase| *phase != ALWAYS),
                    closes_for_good_at: cohort.closes_for_good_at.map(Some),
                    counts: Some(cohort.counts),
                });
                self.cohorts.truncate(place);
                self.cohorts.push(cohort);
                continue;
            };
            let input = CohortInput {
                place,
                of: None,
                phase: changed(&mut kept.phase, cohort.phase),
                closes_for_good_at: changed(
                    &mut kept.closes_for_good_at,
                    cohort.closes_for_good_at,
                ),
                counts: changed(&mut kept.counts, cohort.counts),
            };
            let is_changed = input.phase.is_some()
                || input.closes_for_good_at.is_some()
                || input.counts.is_some();
            inputs.extend(is_changed.then_some(input));
        }
        inputs
    }

    /// Takes over what was decided on its input.
    pub(super) fn follow(&mut self, output: &Output, next_at: Time) {
        self.plan = output.after(&self.plan, next_at);
    }

    /// The input of the next step; `None` if it makes no sense.
    pub(super) fn restore(&mut self, step: &Input, progression: Progression) -> Option<Snapshot> {
        for input in &step.cohorts {
            self.restore_cohort(input)?;
        }
        if let Some(count) = step.cohort_count {
            (self.cohorts.len() >= count).then(|| self.cohorts.truncate(count))?;
        }
        if let Some(checks) = &step.checks {
            self.checks.clone_from(checks);
        }
        self.ahead_max = step.ahead.unwrap_or(self.ahead_max);
        if let Some((claims, next_at)) = step.rate {
            self.allowance = Allowance { claims, next_at };
        }
        self.driver_places = step.places.unwrap_or(self.driver_places);
        self.is_stopping = step.stopping.unwrap_or(self.is_stopping);
        self.is_being_written = step.writing.unwrap_or(self.is_being_written);
        self.checkup = step.checkup.unwrap_or(self.checkup);
        Some(self.snapshot(progression))
    }

    fn snapshot(&self, progression: Progression) -> Snapshot {
        Snapshot {
            progression,
            cohorts: self.cohorts.clone(),
            checks: self.checks.clone(),
            ahead_max: self.ahead_max,
            allowance: self.allowance,
            driver_places: self.driver_places,
            is_stopping: self.is_stopping,
            is_being_written: self.is_being_written,
            checkup: self.checkup,
        }
    }

    fn restore_cohort(&mut self, input: &CohortInput) -> Option<()> {
        if let Some((wave, zone)) = input.of.clone() {
            (self.cohorts.len() >= input.place).then(|| self.cohorts.truncate(input.place))?;
            let closes_for_good_at = input.closes_for_good_at.flatten();
            let (phase, counts) = (input.phase.unwrap_or(ALWAYS), input.counts?);
            self.cohorts.push(Cohort { wave, zone, phase, closes_for_good_at, counts });
            return Some(());
        }
        let cohort = self.cohorts.get_mut(input.place)?;
        cohort.phase = input.phase.unwrap_or(cohort.phase);
        cohort.closes_for_good_at = input.closes_for_good_at.unwrap_or(cohort.closes_for_good_at);
        cohort.counts = input.counts.unwrap_or(cohort.counts);
        Some(())
    }
}

/// Counts as a list of numbers, without those at the end that are zero.
pub(super) mod short_counts {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    use crate::snapshot::Counts;

    pub(crate) fn serialize<S: Serializer>(counts: &Counts, to: S) -> Result<S::Ok, S::Error> {
        let all = counts.to_array();
        let len = all.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
        all[..len].serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Counts, D::Error> {
        let some = Vec::<u64>::deserialize(from)?;
        let mut all = Counts::default().to_array();
        let head = all.get_mut(..some.len()).ok_or_else(|| D::Error::custom("too many counts"))?;
        head.copy_from_slice(&some);
        Ok(Counts::from_array(all))
    }
}

/// The same, of counts that may not be there.
mod short_option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::short_counts;
    use crate::snapshot::Counts;

    #[derive(Serialize, Deserialize)]
    struct Short(#[serde(with = "short_counts")] Counts);

    #[expect(clippy::ref_option, reason = "the signature serde asks for")]
    pub(super) fn serialize<S: Serializer>(
        counts: &Option<Counts>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        counts.map(Short).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Counts>, D::Error> {
        Ok(Option::<Short>::deserialize(from)?.map(|Short(counts)| counts))
    }
}
