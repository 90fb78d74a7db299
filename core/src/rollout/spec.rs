//! What is to happen: one release to the devices selected, by a strategy, within limits.
//!
//! Owns the checked form that is stored and decided on. What people write is
//! [`crate::document`]'s.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::limits::{IN_FLIGHT_LIMIT, Limits, RATE_LIMIT, UNVERIFIED_LIMIT};
use crate::{
    brake::Brake,
    budget::{BUDGETS_MAX, Budget, budget_faults},
    gate::{
        Tally, Unreachable,
        external::{External, GATES_MAX, gate_faults},
        regression::Regression,
    },
    health::Health,
    hours::{Hours, Phase, Zone},
    ids::RolloutName,
    release::Release,
    retry,
    snapshot::Counts,
    time::Time,
    verify,
};

/// Most waves: more than anybody has looked at, and few enough to be counted in every decision.
pub const WAVES_LIMIT: usize = 100;

/// Longest time a device may be given to show the new version.
pub const VERIFY_TIMEOUT_LIMIT: Duration = Duration::from_hours(168);

/// Longest soak, and longest wait for absent devices: a year.
pub const WAIT_LIMIT: Duration = Duration::from_hours(365 * 24);

/// How devices absent are waited for, unless the spec says otherwise.
pub const WAIT_ABSENT: Duration = Duration::from_hours(24);

/// Rollouts in a row after which a device that failed them is left out, unless the spec says
/// otherwise: once is chance, twice may be two bad releases, and three times is the device.
pub const QUARANTINE_AFTER: u8 = 3;

/// Most failures in a row that a spec may ask for; whoever wants more writes "off".
pub const QUARANTINE_AFTER_MAX: u8 = 100;

/// What is to happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// What is sent.
    pub release: Release,
    /// The rollout that it rolls back: its devices are those that this one changed, and that ran the
    /// release before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolls_back: Option<RolloutName>,
    /// The selector that chooses the devices, in its canonical text; of no account where another
    /// rollout is rolled back.
    pub select: Option<String>,
    /// By which plan.
    pub strategy: Strategy,
    /// Nothing happens before this time.
    pub start_at: Option<Time>,
    /// Nothing is begun after this time; what was never reached has failed then.
    pub deadline: Option<Deadline>,
    /// When devices may be touched.
    pub schedule: Schedule,
    /// The waves, in order; none means one wave of all.
    pub waves: Vec<WaveSpec>,
    /// Gates outside of its own numbers, beside those of the waves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<External>,
    /// Whether devices that match later join.
    pub membership: Membership,
    /// What the order of the devices is drawn with.
    pub salt: String,
    /// What becomes of devices that are known to be away.
    pub offline: Offline,
    /// How long a wave waits for devices that are away before it ends without them.
    pub wait_absent: Duration,
    /// How much may happen at once.
    pub limits: Limits,
    /// How many devices of each failure domain may be out of order at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
    /// When a device is tried again.
    pub retry: retry::Policy,
    /// How a device shows that it runs the release.
    pub verify: Verify,
    /// How long one delivery may take in all, from the first try to connect to the answer.
    pub delivery_timeout: Option<Duration>,
    /// When to stop by itself, apart from gates.
    pub brake: Option<Brake>,
    /// What a release that fails more often than it should is told by, after every result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regression: Option<Regression>,
    /// How devices that were updated are looked after while their wave soaks; none if they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// What follows when a gate or the brake stops it.
    pub on_failure: OnFailure,
    /// What gates make of devices that could not be reached.
    #[serde(default, skip_serializing_if = "Unreachable::is_ignore")]
    pub unreachable: Unreachable,
    /// A device that failed so many rollouts in a row, or more, is left out; none: nobody is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine_after: Option<u8>,
    /// Goes before rollouts of a lower one.
    pub priority: i32,
    /// Whether devices that run a newer version are sent this one.
    pub allow_downgrade: bool,
}

/// By which plan devices are updated. What it adds to a spec is told by the fields beside it; it
/// says which of these make sense.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// All at once, as limits allow.
    #[default]
    Immediate,
    /// From a time on, within windows.
    Scheduled,
    /// Wave by wave, each behind the gate of the one before.
    Progressive,
    /// Each device when it is there.
    OnConnect,
}

impl Strategy {
    /// As written and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Immediate => "immediate",
            Self::Scheduled => "scheduled",
            Self::Progressive => "progressive",
            Self::OnConnect => "on_connect",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Until when devices are begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deadline {
    /// A fixed time.
    At(Time),
    /// So long after the rollout started.
    After(Duration),
}

impl Deadline {
    /// The time meant by a rollout that started then.
    pub fn resolve(self, started_at: Time) -> Time {
        match self {
            Self::At(time) => time,
            Self::After(duration) => started_at + duration,
        }
    }
}

/// When devices may be touched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The windows and freezes.
    pub hours: Hours,
    /// In whose time zone.
    pub zone: ZoneRule,
    /// What becomes of those that had no turn when their window closes.
    pub when_closed: WhenClosed,
}

impl Schedule {
    /// Whether there is anything to look at a clock for.
    pub const fn is_always_open(&self) -> bool {
        self.hours.windows.is_empty() && self.hours.freezes.is_empty()
    }

    /// The zone that a device's hours are judged in.
    pub fn zone_of(&self, device_zone: Option<&str>) -> Zone {
        match &self.zone {
            ZoneRule::Fixed(zone) => zone.clone(),
            ZoneRule::Device { otherwise } => {
                device_zone.and_then(Zone::find).unwrap_or_else(|| otherwise.clone())
            }
        }
    }

    /// The zone that a device's hours are judged in; none if there are no hours.
    pub fn hours_zone_of(&self, device_zone: Option<&str>) -> Option<Zone> {
        (!self.is_always_open()).then(|| self.zone_of(device_zone))
    }

    /// Whether it matters which zone a device is in.
    pub const fn follows_devices(&self) -> bool {
        !self.is_always_open() && matches!(self.zone, ZoneRule::Device { .. })
    }
}

impl Schedule {
    /// When devices of a zone have had their one window, if the rest is left as it is then.
    pub fn closes_for_good_at(&self, zone: &Zone, started_at: Time) -> Option<Time> {
        if self.when_closed == WhenClosed::Wait {
            return None;
        }
        match self.hours.at(zone, started_at) {
            Phase::Open { until } => until,
            Phase::Closed { opens_at, .. } => self.hours.at(zone, opens_at?).changes_at(),
        }
    }
}

/// In whose time zone windows and freezes are judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZoneRule {
    /// The device's own, or this one where it has none.
    Device {
        /// The rollout's.
        otherwise: Zone,
    },
    /// The same for all.
    Fixed(Zone),
}

impl Default for ZoneRule {
    fn default() -> Self {
        Self::Device { otherwise: Zone::utc() }
    }
}

/// What becomes of devices that had no turn when their window closes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenClosed {
    /// They wait for the next opening.
    #[default]
    Wait,
    /// They are left as they are.
    End,
}

/// One wave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaveSpec {
    /// Which devices.
    pub size: WaveSize,
    /// How long its gate waits after it ended.
    pub soak: Duration,
    /// The least share of devices that must have succeeded, in percent; none: it passes when it
    /// has ended.
    pub min_success: Option<u8>,
}

/// Which devices a wave has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaveSize {
    /// So many of all devices that, with those of the waves before, they are this share.
    Percent(u8),
    /// So many devices more.
    Count(u32),
    /// Those that this chooses and no wave before has.
    Select(String),
}

impl WaveSize {
    /// The name of the field that says it.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Percent(_) => "percent",
            Self::Count(_) => "count",
            Self::Select(_) => "select",
        }
    }
}

/// Whether devices that match later join.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Membership {
    /// The devices are those that matched when it was prepared.
    #[default]
    Snapshot,
    /// Devices that match later join.
    Dynamic,
}

/// What becomes of devices that are known to be away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Offline {
    /// They are left as they are.
    #[default]
    Skip,
    /// They are waited for.
    Wait,
    /// They are tried like all others.
    Try,
}

/// What follows when a gate or the brake stops a rollout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// It is paused.
    #[default]
    Pause,
    /// It is aborted.
    Abort,
    /// It is aborted, and once nothing is open in it any more it is rolled back.
    Rollback,
}

impl Spec {
    /// Why a rollout of it has no device, in words.
    pub fn no_device(&self) -> String {
        if let Some(of) = &self.rolls_back {
            return format!("no device goes back to this release from {of} any more");
        }
        match self.select.as_deref() {
            None | Some("") => "there is no device".to_owned(),
            Some(select) => format!("no device matches {select}"),
        }
    }

    /// A spec that sends `release` to everything at once, as limits allow.
    pub fn immediate(release: Release) -> Self {
        Self {
            release,
            rolls_back: None,
            select: None,
            strategy: Strategy::Immediate,
            start_at: None,
            deadline: None,
            schedule: Schedule::default(),
            waves: vec![],
            gates: vec![],
            membership: Membership::Snapshot,
            salt: String::new(),
            offline: Offline::Skip,
            wait_absent: WAIT_ABSENT,
            limits: Limits::default(),
            budgets: vec![],
            retry: retry::Policy::default(),
            verify: Verify::default(),
            delivery_timeout: None,
            brake: None,
            regression: None,
            health: None,
            on_failure: OnFailure::Pause,
            unreachable: Unreachable::Ignore,
            quarantine_after: None,
            priority: 0,
            allow_downgrade: false,
        }
    }

    /// How many waves it has; at least one.
    pub const fn wave_count(&self) -> usize {
        if self.waves.is_empty() { 1 } else { self.waves.len() }
    }

    /// The soak and the least share of successes of a wave.
    pub fn gate(&self, wave: usize) -> (Duration, Option<u8>) {
        self.waves.get(wave).map_or((Duration::ZERO, None), |wave| (wave.soak, wave.min_success))
    }

    /// The external gates behind a wave, each with its place among all.
    pub fn external(&self, wave: usize) -> impl Iterator<Item = (usize, &External)> {
        let of = self.wave_count();
        self.gates.iter().enumerate().filter(move |(_, gate)| gate.is_behind(wave, of))
    }

    /// What the gate of a wave judges by, whose devices are counted so.
    pub fn tally(&self, counts: &Counts) -> Tally {
        let mut tally = Tally::of(counts, self.unreachable);
        if bites!(UnreachableForgotten) {
            tally.rule = Unreachable::Ignore;
        }
        if bites!(RegressedNotCounted) {
            let regressed = std::mem::take(&mut tally.regressed);
            (tally.succeeded, tally.failed) =
                (tally.succeeded + regressed, tally.failed - regressed);
        }
        if bites!(UnreachableSucceeds) {
            tally.succeeded += std::mem::take(&mut tally.unreachable);
        }
        tally
    }

    /// Checks what the types cannot.
    ///
    /// # Errors
    /// [`SpecError`] names the field.
    pub fn check(&self) -> Result<(), SpecError> {
        let Limits { max_in_flight, max_unverified, max_per_host, per_minute } = self.limits;
        let in_range = |field, value: u32, max: u32| {
            if (1..=max).contains(&value) {
                Ok(())
            } else {
                Err(SpecError::Range { field, value, max })
            }
        };
        in_range("max_in_flight", max_in_flight, IN_FLIGHT_LIMIT)?;
        in_range("max_unverified", max_unverified, UNVERIFIED_LIMIT)?;
        in_range("max_per_host", max_per_host, IN_FLIGHT_LIMIT)?;
        in_range("per_minute", per_minute.unwrap_or(1), RATE_LIMIT)?;
        if self.verify.timeout > VERIFY_TIMEOUT_LIMIT {
            return Err(SpecError::VerifyTimeout(self.verify.timeout));
        }
        let faults = budget_faults(&self.budgets).into_iter();
        let waves = wave_faults(&self.waves, self.membership);
        let gates = gate_faults(&self.gates, self.wave_count());
        let health = self.health.as_ref().and_then(|health| health.fault(&self.waves));
        faults.chain(waves).chain(gates).chain(health).next().map_or(Ok(()), Err)
    }
}

/// All that is wrong with waves, at most one fault for each.
pub fn wave_faults(waves: &[WaveSpec], membership: Membership) -> Vec<SpecError> {
    if waves.len() > WAVES_LIMIT {
        return vec![SpecError::TooManyWaves(waves.len())];
    }
    let mut percent_before = 0;
    let mut faults = vec![];
    for (index, wave) in waves.iter().enumerate() {
        let is_last = index + 1 == waves.len();
        if let Some((field, why)) = wave_fault(wave, membership, percent_before, is_last) {
            faults.push(SpecError::Wave { wave: index + 1, field, why });
        }
        if let WaveSize::Percent(percent) = wave.size {
            percent_before = percent_before.max(percent);
        }
    }
    faults
}

fn wave_fault(
    wave: &WaveSpec,
    membership: Membership,
    percent_before: u8,
    is_last: bool,
) -> Option<(&'static str, &'static str)> {
    let field = wave.size.field();
    let is_percent = matches!(wave.size, WaveSize::Percent(_));
    match wave.size {
        WaveSize::Percent(percent) if !(1..=100).contains(&percent) => {
            return Some((field, "must be between 1 and 100"));
        }
        WaveSize::Percent(percent) if percent <= percent_before => {
            return Some((field, "is cumulative: it must be more than in the waves before"));
        }
        WaveSize::Count(0) => return Some((field, "must be at least 1")),
        _ => {}
    }
    if !is_percent && membership == Membership::Dynamic {
        let why = "with dynamic membership every wave has a percent: nobody knows yet who joins";
        Some((field, why))
    } else if percent_before == 100 {
        Some((field, "no wave may follow percent = 100: nothing is left for it"))
    } else if is_last && wave.size != WaveSize::Percent(100) {
        Some((field, "the last wave takes what is left: give it percent = 100"))
    } else if wave.min_success.is_some_and(|percent| percent > 100) {
        Some(("min_success", "must be between 0 and 100"))
    } else if wave.soak > WAIT_LIMIT {
        Some(("soak", "must be at most a year"))
    } else {
        None
    }
}

/// A value of a [`Spec`] that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// A limit out of range.
    #[error("{field} must be between 1 and {max}, not {value}")]
    Range {
        /// Which one.
        field: &'static str,
        /// As given.
        value: u32,
        /// The most it may be.
        max: u32,
    },
    /// Too long to wait for one device.
    #[error("verify_timeout must be at most 7 days, not {0:?}")]
    VerifyTimeout(Duration),
    /// A wave that cannot be.
    #[error("waves[{wave}].{field}: {why}")]
    Wave {
        /// Which one, counted from 1.
        wave: usize,
        /// Which of its fields.
        field: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// More than anybody looks at.
    #[error("waves: there are {0}, the most is {WAVES_LIMIT}")]
    TooManyWaves(usize),
    /// An external gate that cannot be.
    #[error("gates[{gate}].{field}: {why}")]
    Gate {
        /// Which one, counted from 1.
        gate: usize,
        /// Which of its fields.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// More than anybody understands.
    #[error("gates: there are {0}, the most is {GATES_MAX}")]
    TooManyGates(usize),
    /// A budget that cannot be.
    #[error("budgets[{budget}].{field}: {why}")]
    Budget {
        /// Which one, counted from 1.
        budget: usize,
        /// Which of its fields.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A check of health that cannot be.
    #[error("health.{field}: {why}")]
    Health {
        /// Which of its fields.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// More than are looked at with every claim.
    #[error("budgets: there are {0}, the most is {BUDGETS_MAX}")]
    TooManyBudgets(usize),
}

/// How a device shows that it runs the release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verify {
    /// What counts as proof.
    pub mode: verify::Mode,
    /// How long a device has to show it after it was sent to.
    pub timeout: Duration,
    /// Whether a first attempt asks before it sends.
    pub first: bool,
}

impl Default for Verify {
    fn default() -> Self {
        Self { mode: verify::Mode::Version, timeout: Duration::from_mins(1), first: false }
    }
}
