//! Rolling back: which release each device that a rollout changed goes back to, and by what spec.
//!
//! A rollout has one release, so devices that ran several versions before go back by one rollout for
//! each. Knows neither rows nor files: whoever asks says what each device ran and runs, and which
//! releases there are. Types to read first: [`Changed`], [`Survey`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    event::devices_of,
    ids::{RolloutId, RolloutName},
    release::Release,
    rollout::{
        Membership, Offline, OnFailure, Progression, Schedule, Spec, State, Strategy, Verify,
        WhenClosed,
    },
    snapshot::Counts,
    time::Time,
    verify::Mode,
};

/// Versions that are named in a refusal.
const VERSIONS_SHOWN: usize = 3;

/// A device that a rollout sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed<'a> {
    /// What it ran before the rollout changed it, as far as is known: the rollout's own version only
    /// where that is sent without a look at what is there.
    pub before: Option<&'a str>,
    /// What it runs now, as far as is known.
    pub now: Option<&'a str>,
    /// Whether it showed the rollout's version: not where that is no part of its success.
    pub has_shown_it: bool,
    /// Whether it may have got what was sent: not if it could not be reached, and nothing is in doubt.
    pub may_have_it: bool,
}

/// What becomes of a device when the rollout is rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return<'a> {
    /// It goes back to this version.
    To(&'a str),
    /// Nobody knows what it ran.
    Unknown,
    /// It runs something else by now: somebody else has changed it since.
    MovedOn,
    /// It was seen to run the rollout's version, and what it ran before since.
    IsBack,
    /// It was never reached, and so never changed.
    Untouched,
}

impl<'a> Changed<'a> {
    /// Where it goes, if the rollout sent `version`.
    ///
    /// One that never showed the version may hold half of it: it goes back although what it ran
    /// before is all that it was ever seen to run.
    pub fn returns(&self, version: &str) -> Return<'a> {
        if !self.may_have_it && self.now != Some(version) {
            return Return::Untouched;
        }
        let Some(before) = self.before else { return Return::Unknown };
        match self.now {
            Some(now) if now == before && self.has_shown_it => Return::IsBack,
            Some(now) if now != before && now != version => Return::MovedOn,
            // It was sent what it had: there is nothing else to bring back.
            _ if before == version => Return::IsBack,
            _ => Return::To(before),
        }
    }
}

/// The devices that a rollout sent to, counted by where they go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// How many go back to each version.
    pub to: BTreeMap<String, u64>,
    /// Devices of which nobody knows what they ran.
    pub unknown: u64,
    /// Devices that run something else by now.
    pub moved_on: u64,
    /// Devices that run what they ran before again.
    pub is_back: u64,
    /// Devices that were never reached.
    pub untouched: u64,
    /// Devices that another rollback brings back already.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub in_hand: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
const fn is_zero(devices: &u64) -> bool {
    *devices == 0
}

/// A rollout that rolls another one back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// Its number.
    pub number: i64,
    /// What its devices go back to.
    pub version: String,
    /// Where it stands.
    pub state: State,
    /// When it was written down.
    pub created_at: Time,
}

impl By {
    /// Whether devices are left to it: not if it was given up, which leaves those alone that it had
    /// not brought back, nor if a round was begun since, which may have changed them again.
    fn has_devices_of(&self, progression: &Progression) -> bool {
        !matches!(self.state, State::Canceled | State::Aborted)
            && progression.started_at.is_none_or(|started_at| self.created_at >= started_at)
    }
}

impl Survey {
    /// Counts one more.
    pub fn add(&mut self, device: &Changed<'_>, version: &str) {
        match device.returns(version) {
            Return::To(before) => match self.to.get_mut(before) {
                Some(devices) => *devices += 1,
                None => drop(self.to.insert(before.to_owned(), 1)),
            },
            Return::Unknown => self.unknown += 1,
            Return::MovedOn => self.moved_on += 1,
            Return::IsBack => self.is_back += 1,
            Return::Untouched => self.untouched += 1,
        }
    }

    /// Leaves out those that are brought back by others already: these are all that go back to the
    /// same version.
    ///
    /// # Errors
    /// [`Refusal::Already`] if nobody is left but for these.
    pub fn leave_to(&mut self, by: &[By], progression: &Progression) -> Result<(), Refusal> {
        if bites!(RolledBackTwice) {
            return Ok(());
        }
        let by: Vec<&By> = by.iter().filter(|by| by.has_devices_of(progression)).collect();
        for by in &by {
            self.in_hand += self.to.remove(&by.version).unwrap_or_default();
        }
        if by.is_empty() || !self.to.is_empty() {
            return Ok(());
        }
        Err(Refusal::Already(by.iter().map(|by| by.number).collect()))
    }

    /// Who is left as they are, in words; empty if nobody is.
    pub fn left_out(&self) -> Vec<String> {
        [
            (self.unknown, "that ran nobody knows what"),
            (self.moved_on, "with another version by now"),
            (self.is_back, "with what was there before already"),
            (self.untouched, "that were never reached"),
            (self.in_hand, "that another rollback has already"),
        ]
        .into_iter()
        .filter(|(devices, _)| *devices > 0)
        .map(|(devices, who)| format!("{} {who}", devices_of(devices)))
        .collect()
    }
}

/// Why a rollout is not rolled back, and what would do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is driven by its own command alone.
    #[error(
        "it is a push: push the version that the devices ran before, with --allow-downgrade if it \
         asks for that"
    )]
    Push,
    /// No device was sent anything.
    #[error("it never began, and no device was changed")]
    NeverBegan,
    /// It goes on.
    #[error("it is {0}, and goes on changing devices; pause it, or abort it, first")]
    GoesOn(State),
    /// It comes to its end.
    #[error("it is {0}; wait until it has ended")]
    Ending(State),
    /// Devices are still sent to or asked.
    #[error(
        "{} still open in it; wait until they have ended, or abort it", are_of(*.0)
    )]
    Open(u64),
    /// Others do it.
    #[error(
        "it is rolled back by {} already; start begins a draft, and retry tries devices again that \
         failed there",
        rollouts_of(.0)
    )]
    Already(Vec<i64>),
    /// No device has what it sent.
    #[error("it sent nothing that any device has now{}", all_left_out(.0))]
    Nobody(Survey),
    /// Its success says nothing of the version, and no version is kept with it.
    #[error(
        "with verify.mode = \"{}\" nobody is shown which version a device runs, and so who would go \
         back to what; verify.mode = \"version\" asks for it",
        .0.as_str()
    )]
    Unseen(Mode),
    /// What they ran is no release.
    #[error(
        "no release {name} {} is written down, to which {} would go back; `groundswell release \
         create {name} VERSION FILE` makes it, if that is a version of {name}: a device is known by one \
         version, whatever it is the version of", some_of(.versions), devices_of(*.devices)
    )]
    NoRelease {
        /// The name of the release.
        name: String,
        /// The versions that there is no release of.
        versions: Vec<String>,
        /// Devices that ran one of them.
        devices: u64,
    },
    /// Its file is gone.
    #[error(
        "the artifact of {name} {} is not kept any more, to which {} would go back; `groundswell \
         release create {name} VERSION FILE` with the same file brings it back",
        some_of(.versions), devices_of(*.devices)
    )]
    NoArtifact {
        /// The name of the release.
        name: String,
        /// The versions whose file is gone.
        versions: Vec<String>,
        /// Devices that ran one of them.
        devices: u64,
    },
}

fn are_of(devices: u64) -> String {
    let are = if devices == 1 { "is" } else { "are" };
    format!("{} {are}", devices_of(devices))
}

/// `rollout 7`, `rollouts 7 and 8`.
pub fn rollouts_of(numbers: &[i64]) -> String {
    let texts: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    match texts.as_slice() {
        [] => "no rollout".to_owned(),
        [only] => format!("rollout {only}"),
        [first @ .., last] => format!("rollouts {} and {last}", first.join(", ")),
    }
}

fn all_left_out(survey: &Survey) -> String {
    let left_out = survey.left_out();
    if left_out.is_empty() { String::new() } else { format!(": {}", left_out.join(", ")) }
}

fn some_of(versions: &[String]) -> String {
    let more = versions.len().saturating_sub(VERSIONS_SHOWN);
    let shown = versions[..versions.len() - more].join(", ");
    if more > 0 { format!("{shown} or {more} other versions") } else { shown }
}

/// Whether a rollout that stands there may be rolled back now, as far as that goes by itself alone.
///
/// # Errors
/// [`Refusal`] says why not.
pub fn may_begin(progression: &Progression, counts: &Counts) -> Result<(), Refusal> {
    let state = progression.state;
    let is_later_round = progression.round > 1;
    match state {
        State::Running => return Err(Refusal::GoesOn(state)),
        State::Canceling | State::Aborting => return Err(Refusal::Ending(state)),
        State::Preparing | State::Scheduled if is_later_round => {
            return Err(Refusal::GoesOn(state));
        }
        State::Draft | State::Preparing | State::Scheduled => return Err(Refusal::NeverBegan),
        _ if progression.started_at.is_none() && !is_later_round => {
            return Err(Refusal::NeverBegan);
        }
        _ => {}
    }
    if counts.active() > 0 { Err(Refusal::Open(counts.active())) } else { Ok(()) }
}

/// The releases that devices go back to, each with how many do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Releases<'a> {
    /// Those that are written down.
    pub found: Vec<(Release, u64)>,
    /// The versions that no release has.
    pub missing: Vec<(&'a str, u64)>,
}

/// The releases that devices go back to, out of those that are written down.
pub fn releases<'a>(survey: &'a Survey, known: &[Release]) -> Releases<'a> {
    let (mut found, mut missing) = (vec![], vec![]);
    for (version, devices) in &survey.to {
        match known.iter().find(|release| release.version == *version) {
            Some(release) => found.push((release.clone(), *devices)),
            None => missing.push((version.as_str(), *devices)),
        }
    }
    Releases { found, missing }
}

/// Starts a rollback that was just written down.
pub fn start(progression: &mut Progression, now: Time) {
    progression.come_to(State::Preparing, now);
    progression.generation += 1;
}

/// The id of the rollback of a round to a version: the same whoever works it out, however often.
pub fn id(of: RolloutId, round: u32, version: &str) -> RolloutId {
    let digest = Sha256::digest(format!("{of}\n{round}\n{version}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    RolloutId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// What an operator wants otherwise than the rollout that is rolled back had it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Otherwise {
    /// At any hour, whatever windows and freezes say.
    pub at_any_hour: bool,
    /// So many open at once.
    pub max_in_flight: Option<u32>,
}

/// What is to happen to the devices that `of` changed and that go back to `release`.
///
/// Within the same hours, budgets, limits, retries and time-outs, and stopped by as many failures and
/// by the same regression test: that pauses it, and it is never rolled back by itself. Its waves and
/// gates are not asked for: the devices would keep what is taken back meanwhile. Whoever is known to be away is tried
/// where it would be left as it is: skipped it would keep what is taken back, and nobody would be told
/// that it failed. Devices are asked first, because those that
/// failed may never have changed.
pub fn spec(of: &Spec, name: RolloutName, release: Release, otherwise: &Otherwise) -> Spec {
    let schedule = if otherwise.at_any_hour || bites!(RollbackOutsideWindow) {
        Schedule::default()
    } else {
        Schedule { when_closed: WhenClosed::Wait, ..of.schedule.clone() }
    };
    let strategy = match of.strategy {
        Strategy::OnConnect => Strategy::OnConnect,
        _ if schedule.hours.windows.is_empty() => Strategy::Immediate,
        _ => Strategy::Scheduled,
    };
    let mut limits = of.limits;
    limits.max_in_flight = otherwise.max_in_flight.unwrap_or(limits.max_in_flight);
    let offline = match of.offline {
        Offline::Skip => Offline::Try,
        offline => offline,
    };
    Spec {
        rolls_back: Some(name),
        strategy,
        schedule,
        membership: Membership::Snapshot,
        salt: of.salt.clone(),
        offline,
        wait_absent: of.wait_absent,
        limits,
        budgets: of.budgets.clone(),
        retry: of.retry,
        verify: Verify { first: of.verify.mode == Mode::Version, ..of.verify },
        delivery_timeout: of.delivery_timeout,
        brake: of.brake,
        regression: of.regression,
        on_failure: OnFailure::Pause,
        priority: of.priority,
        allow_downgrade: true,
        ..Spec::immediate(release)
    }
}

#[cfg(test)]
mod tests;
