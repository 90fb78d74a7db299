//! Why something does not happen now, and when it will.
//!
//! Owns the reasons and their words. Every decision that lets something wait leaves one; none of
//! them is made up afterwards.

mod before;
mod wave;

use std::{fmt::Write as _, time::Duration};

use serde::{Deserialize, Serialize};

pub use self::before::Before;
use crate::{
    brake::Evidence,
    gate::{Tally, external::Answer},
    hours::{ClosedBy, Zone},
    ids::RolloutName,
    rollout::PauseReason,
    time::Time,
};

/// Why something does not happen now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitingOn {
    /// The run was told to stop.
    Stopping,
    /// It was not started.
    Start,
    /// Its devices are being written down.
    Preparing {
        /// How many are.
        done: u64,
    },
    /// Its time has not come.
    StartAt {
        /// When it begins.
        at: Time,
    },
    /// It is paused.
    Paused(PauseReason),
    /// It is paused by the brake, on these numbers.
    Braked(Evidence),
    /// It was given up: what is open may still end.
    Ending {
        /// Devices that are open.
        open: u64,
    },
    /// Nothing is open in it any more: what its devices ran before is looked up, to roll it back.
    LookingBack,
    /// The gate of a wave that has ended waits for its soak.
    Soak {
        /// The wave that ended, counted from 0.
        wave: usize,
        /// How many there are.
        of: usize,
        /// When the gate is asked.
        until: Time,
        /// The least share of successes, in percent.
        min_success: Option<u8>,
        /// The numbers now.
        tally: Tally,
    },
    /// A wave has ended, and its gate has nothing to judge by.
    NothingToJudge {
        /// The wave that ended, counted from 0.
        wave: usize,
        /// How many there are.
        of: usize,
        /// The numbers now.
        tally: Tally,
    },
    /// A wave has soaked, and not each of its devices was asked how it is since, by this driver.
    Health {
        /// The wave that ended, counted from 0.
        wave: usize,
        /// How many there are.
        of: usize,
        /// Devices of it that were updated.
        devices: u64,
    },
    /// Devices were found not to be well, and are looked up once more before that is written down.
    Confirming,
    /// A wave has soaked, and a check has not said go.
    Check {
        /// The wave that ended, counted from 0.
        wave: usize,
        /// How many there are.
        of: usize,
        /// Which check.
        check: String,
        /// What is wanted of its answer.
        wants: String,
        /// What was answered last; none if nothing was that counts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<Answer>,
        /// When it is asked again; none if it is being asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        again_at: Option<Time>,
    },
    /// A wave has soaked, and no operator has approved what is behind it.
    Approval {
        /// The wave that ended, counted from 0.
        wave: usize,
        /// How many there are.
        of: usize,
    },
    /// Devices of later waves wait for the one that is open.
    Wave {
        /// The wave that is open, counted from 0.
        wave: usize,
        /// How many there are.
        of: usize,
        /// Devices of it that have ended.
        ended: u64,
        /// Its devices.
        devices: u64,
        /// The least share of successes, in percent.
        min_success: Option<u8>,
    },
    /// Devices may not be touched at this hour.
    Hours {
        /// How many wait for it.
        devices: u64,
        /// What keeps them: no window is open, or a freeze holds.
        by: ClosedBy,
        /// When they may be touched again; none if never.
        opens_at: Option<Time>,
        /// In whose time zone.
        zone: Zone,
        /// Why there is a freeze, if that was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Devices are given up by the deadline before it comes to what they wait for.
    Deadline {
        /// How many.
        devices: u64,
        /// When nothing is begun any more.
        at: Time,
        /// What would come later.
        before: Before,
    },
    /// As many deliveries are open as may be.
    InFlight {
        /// The limit.
        max: u32,
    },
    /// Other rollouts have all places for deliveries that the driver has.
    Driver,
    /// As many devices are sent to and not verified, or to be tried again, as may be.
    Unverified {
        /// The limit.
        max: u32,
    },
    /// The constant rate allows the next one later.
    Rate {
        /// Devices a minute.
        per_minute: u32,
        /// When the next one is allowed.
        next_at: Time,
    },
    /// Devices are away.
    Away {
        /// Those the wave waits for.
        away: u64,
        /// Those it does not wait for any more.
        absent: u64,
        /// When nothing is begun any more.
        deadline: Option<Time>,
    },
    /// Nothing is left to claim; these are still under way.
    Active {
        /// Being sent to.
        delivering: u64,
        /// Asked for their version.
        verifying: u64,
        /// To be tried again.
        retrying: u64,
    },
    /// Every device ended, and others may join.
    Joiners {
        /// When nobody joins any more.
        until: Time,
    },
    /// Their hosts have as many open deliveries as may be: gateways front many devices. Only
    /// whoever keeps the places of each host can say it.
    Host {
        /// How many devices wait for a place.
        devices: u64,
        /// The limit for one host.
        max: u32,
    },
    /// As many devices of failure domains are out of order as may be. Only whoever keeps the slots
    /// of each domain can say it.
    Domain {
        /// How many devices wait for one.
        devices: u64,
        /// The one that the first of them waits for.
        full: crate::budget::Full,
    },
    /// Devices are busy with another rollout.
    Busy {
        /// How many.
        devices: u64,
        /// With which one, or one of them.
        rollout: RolloutName,
    },
    /// The same as [`Self::Domain`], for somebody who may know of a part of the fleet only, and not of
    /// all devices of that domain: nothing of these.
    DomainElsewhere {
        /// How many devices wait for one.
        devices: u64,
        /// Which one, if a device of that part is in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        domain: Option<String>,
    },
    /// The same as [`Self::Busy`], for somebody who may not know of that rollout.
    BusyElsewhere {
        /// How many devices are.
        devices: u64,
    },
    /// A device was last seen long ago.
    Offline {
        /// When it was.
        since: Time,
    },
    /// A device was never seen.
    NeverSeen,
    /// A device could not be reached, and is tried again.
    NextTry {
        /// When.
        at: Time,
    },
    /// A device is claimed, or being sent to.
    Delivery,
    /// A device is asked for its version.
    Version {
        /// Until when.
        until: Time,
    },
    /// A device's turn comes when others before it have had theirs.
    Turn,
    /// A device's wave is not open.
    OwnWave {
        /// The wave it is in, counted from 0.
        wave: usize,
        /// How many there are.
        of: usize,
    },
}

impl WaitingOn {
    /// What devices wait for that may not be touched at this hour; those who are given up by a
    /// `deadline` that comes before they may, wait for nothing else.
    pub fn hours(
        (devices, zone): (u64, Zone),
        (by, opens_at): (ClosedBy, Option<Time>),
        reason: Option<String>,
        deadline: Option<Time>,
    ) -> Self {
        let before = match by {
            ClosedBy::Window => Before::Window,
            ClosedBy::Freeze(_) => Before::Freeze,
        };
        match (deadline, opens_at) {
            (Some(at), Some(opens_at)) if at <= opens_at => Self::Deadline { devices, at, before },
            _ => Self::Hours { devices, by, opens_at, zone, reason },
        }
    }

    /// Whether nobody knows how long it lasts: a device has to be seen to be well, or an operator to
    /// say that it does no harm.
    pub const fn has_no_end(&self) -> bool {
        match self {
            Self::Domain { full, .. } => full.failed + full.down > 0,
            _ => false,
        }
    }

    /// In words, when it is `now`.
    pub fn in_words(&self, now: Time) -> String {
        match self {
            Self::Stopping => "stopping: nothing new is sent".to_owned(),
            Self::Start => "not started".to_owned(),
            Self::Preparing { done } => {
                format!("its devices are being written down: {done} so far")
            }
            Self::StartAt { at } => format!("starts {}", when(*at, now)),
            Self::Paused(PauseReason::Operator) => "paused by the operator: resume goes on".into(),
            Self::Paused(PauseReason::Artifact) => {
                "paused: the artifact cannot be read; resume tries again".to_owned()
            }
            Self::Paused(PauseReason::Brake) => {
                "paused by the brake: advance accepts these failures and goes on".to_owned()
            }
            Self::Paused(PauseReason::Regression) => {
                "paused by the regression test: advance accepts what came of devices so far".into()
            }
            Self::Braked(evidence) => {
                format!("paused by the {}: {evidence}; advance accepts that", evidence.by())
            }
            Self::Paused(PauseReason::Gate) => {
                "paused by the gate: advance overrides it".to_owned()
            }
            Self::Ending { open } => {
                format!("given up: {} still open", devices(*open, "is", "are"))
            }
            Self::LookingBack => {
                "what its devices ran before is looked up, to roll it back; abort leaves it at that"
                    .to_owned()
            }
            Self::Hours { devices: count, by, opens_at, zone, reason } => {
                hours(*count, by, *opens_at, zone, reason.as_deref(), now)
            }
            Self::Deadline { devices, at, before } => before.in_words(*devices, *at, now),
            Self::InFlight { max: 1 } => "1 delivery is open, the most allowed".to_owned(),
            Self::InFlight { max } => format!("{max} deliveries are open, the most allowed"),
            Self::Driver => "other rollouts use every place for deliveries".to_owned(),
            Self::Host { devices: count, max } => {
                let (verb, its) = if *count == 1 { ("waits", "its") } else { ("wait", "their") };
                let devices = devices(*count, "device", "devices");
                format!(
                    "{devices}{verb} for a place on {its} host, at most {max} may be open there"
                )
            }
            Self::Domain { devices: 1, full } => format!("1 device waits for {full}"),
            Self::Domain { devices, full } => {
                format!("{devices} devices wait for failure domains, the first for {full}")
            }
            Self::DomainElsewhere { devices: count, domain } => {
                let verb = if *count == 1 { "waits" } else { "wait" };
                let domain = domain.as_deref().unwrap_or("a failure domain");
                format!(
                    "{}{verb} for {domain}, which has no room; it has devices out of your scope",
                    devices(*count, "device", "devices")
                )
            }
            Self::Unverified { max } => {
                let devices = devices(u64::from(*max), "is", "are");
                format!("{devices} begun and not known to be well, the most allowed")
            }
            Self::Rate { per_minute, next_at } => {
                let devices = devices(u64::from(*per_minute), "device", "devices");
                format!("{devices}a minute: the next one in {}", left(*next_at, now))
            }
            Self::Away { away, absent, deadline } => absence(*away, *absent, *deadline, now),
            Self::Active { delivering, verifying, retrying } => {
                under_way(*delivering, *verifying, *retrying)
            }
            Self::Joiners { until } => {
                format!("nothing is left to do; devices may join until {}", stamp(*until, now))
            }
            Self::Confirming => {
                "devices that are not well are looked up once more before anything is judged".into()
            }
            Self::Soak { .. }
            | Self::NothingToJudge { .. }
            | Self::Health { .. }
            | Self::Wave { .. } => self.of_wave(now),
            Self::Check { .. } | Self::Approval { .. } => self.of_gate(now),
            _ => self.of_device(now),
        }
    }

    fn of_gate(&self, now: Time) -> String {
        match self {
            Self::Check { wave, of, check, wants, answer, again_at } => {
                let number = wave.saturating_add(2);
                let mut text = format!("wave {number} of {of} waits for the check {check}: ");
                let _ = match answer {
                    Some(answer) => write!(text, "{answer}, {wants} wanted"),
                    None => write!(text, "no answer yet, {wants} wanted"),
                };
                let _ = match again_at {
                    Some(at) => write!(text, "; asked again in {}", left(*at, now)),
                    None => write!(text, "; asked now"),
                };
                text
            }
            Self::Approval { wave, of } => format!(
                "wave {} of {of} waits for an operator's approval: approve opens it",
                wave.saturating_add(2)
            ),
            _ => String::new(),
        }
    }

    fn of_device(&self, now: Time) -> String {
        match self {
            Self::Busy { devices: 1, rollout } => format!("busy with {rollout}"),
            Self::Busy { devices, rollout } => {
                format!("{devices} devices are busy with other rollouts, such as {rollout}")
            }
            Self::BusyElsewhere { devices: 1 } => {
                "busy with a rollout that is out of your scope".to_owned()
            }
            Self::BusyElsewhere { devices } => {
                format!("{devices} devices are busy with rollouts that are out of your scope")
            }
            Self::Offline { since } => format!("offline since {}", stamp(*since, now)),
            Self::NeverSeen => "never seen".to_owned(),
            Self::NextTry { at } => format!("tried again {}", when(*at, now)),
            Self::Delivery => "claimed or being sent to".to_owned(),
            Self::Version { until } => {
                format!("sent to, asked for its version until {}", stamp(*until, now))
            }
            Self::Turn => "its turn comes after others of its wave".to_owned(),
            Self::OwnWave { wave, of } => {
                format!("in wave {} of {of}, which is not open", wave.saturating_add(1))
            }
            _ => String::new(),
        }
    }
}

fn hours(
    count: u64,
    by: &ClosedBy,
    opens_at: Option<Time>,
    zone: &Zone,
    reason: Option<&str>,
    now: Time,
) -> String {
    let what = match by {
        ClosedBy::Window => "window opens".to_owned(),
        ClosedBy::Freeze(_) => reason
            .map_or_else(|| "frozen: opens".to_owned(), |why| format!("frozen ({why}): opens")),
    };
    let of = if count == 1 { String::new() } else { format!(" ({count} devices)") };
    match opens_at {
        None => format!("no window opens any more in {}{of}", zone.name()),
        Some(at) => {
            let local = zone.local_text(at, now);
            format!("{what} {local} {}, in {}{of}", zone.name(), left(at, now))
        }
    }
}

fn absence(away: u64, absent: u64, deadline: Option<Time>, now: Time) -> String {
    let mut text = devices(away + absent, "is", "are");
    text.push_str(" away, and due on any contact");
    match (away, absent) {
        (_, 0) => {}
        (0, _) => text.push_str("; no wave waits any more"),
        (_, absent) => {
            let _ = write!(text, "; their wave does not wait for {absent} of them");
        }
    }
    if let Some(at) = deadline {
        let _ = write!(text, "; given up {}", when(at, now));
    }
    text
}

/// Those that are open, by what is done to them; what nobody does is left out.
fn under_way(delivering: u64, verifying: u64, retrying: u64) -> String {
    let parts = [
        (delivering, "claimed or being sent to"),
        (verifying, "to show the new version"),
        (retrying, "to be tried again"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts.map(|(count, what)| format!("{count} {what}")).collect();
    format!("under way: {}", parts.join(", "))
}

/// Such as `1 device is` or `3 devices are`.
fn devices(count: u64, one: &str, more: &str) -> String {
    match (count, one) {
        (1, "device") => "1 device ".to_owned(),
        (_, "device") => format!("{count} devices "),
        (1, _) => format!("1 device {one}"),
        _ => format!("{count} devices {more}"),
    }
}

/// Such as `at 14:05 UTC, in 12 min`.
fn when(at: Time, now: Time) -> String {
    if at <= now {
        return "now".to_owned();
    }
    format!("at {}, in {}", stamp(at, now), left(at, now))
}

/// The time of day in UTC, with the date where it is another day.
pub fn stamp(at: Time, now: Time) -> String {
    let zone = Zone::utc();
    format!("{} UTC", zone.local_text(at, now))
}

/// The same to the second, beside other times that have them.
pub fn stamp_secs(at: Time, now: Time) -> String {
    let secs = at.as_millis().div_euclid(1_000).rem_euclid(60);
    format!("{}:{secs:02} UTC", Zone::utc().local_text(at, now))
}

/// How long it is from `now` to `at`, such as `45 s`, `12 min`, `5 h 12 min` or `3 d 4 h`.
pub fn left(at: Time, now: Time) -> String {
    span(at.since(now))
}

/// A duration as people say it: two units at the most, cut off, and at least a second.
pub fn span(duration: Duration) -> String {
    let secs = duration.as_secs().max(1);
    let (days, hours, mins) = (secs / 86_400, secs % 86_400 / 3_600, secs % 3_600 / 60);
    match (days, hours, mins) {
        (0, 0, 0) => format!("{secs} s"),
        (0, 0, _) => format!("{mins} min"),
        (0, _, 0) => format!("{hours} h"),
        (0, ..) => format!("{hours} h {mins} min"),
        (_, 0, _) => format!("{days} d"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::ids::RolloutId;
    use crate::{brake::Failures, gate::Unreachable};

    /// 2026-11-25T14:00:00Z
    const NOW: Time = Time::from_millis(1_795_615_200_000);

    fn reasons() -> Vec<WaitingOn> {
        use WaitingOn::{Active, Away, Busy, Driver, Hours, InFlight, NothingToJudge, Unverified};
        let soon = NOW + Duration::from_mins(12);
        let later = NOW + Duration::from_hours(29);
        let denver = || Zone::parse("America/Denver").unwrap();
        let tally = Tally { succeeded: 9, failed: 1, of: 10, ..Tally::default() };
        let nothing = Tally { unreachable: 2, of: 2, ..Tally::default() };
        let soak =
            |wave, min_success| WaitingOn::Soak { wave, of: 3, until: soon, min_success, tally };
        let check = |answer, again_at| {
            let check = "http https://status.example/till".to_owned();
            let wants = "/errors < 0.01".to_owned();
            WaitingOn::Check { wave: 1, of: 3, check, wants, answer, again_at }
        };
        let wave =
            |min_success| WaitingOn::Wave { wave: 0, of: 3, ended: 4, devices: 10, min_success };
        let hours =
            |devices, by, opens_at| Hours { devices, by, opens_at, zone: denver(), reason: None };
        let away = |away, absent, deadline| Away { away, absent, deadline };
        let active = |delivering, verifying, retrying| Active { delivering, verifying, retrying };
        let (id, name, version) = (RolloutId(Uuid::nil()), "till".to_owned(), "2.1.0".to_owned());
        let other = RolloutName { id, number: 3, name, version };
        let busy = |devices| Busy { devices, rollout: other.clone() };
        let evidence = |unreachable, accepted| {
            let allowed = crate::brake::Brake::Count(2);
            let numbers =
                Failures { failures: 3, unreachable, regressed: 0, ended: 19, allowed, accepted };
            Evidence::Failures(numbers)
        };
        vec![
            WaitingOn::Stopping,
            WaitingOn::Start,
            WaitingOn::Preparing { done: 1_000 },
            WaitingOn::StartAt { at: soon },
            WaitingOn::StartAt { at: later },
            WaitingOn::Paused(PauseReason::Operator),
            WaitingOn::Paused(PauseReason::Gate),
            WaitingOn::Paused(PauseReason::Brake),
            WaitingOn::Paused(PauseReason::Regression),
            WaitingOn::Paused(PauseReason::Artifact),
            WaitingOn::Braked(evidence(0, 0)),
            WaitingOn::Braked(evidence(2, 3)),
            WaitingOn::Ending { open: 1 },
            WaitingOn::Ending { open: 2 },
            WaitingOn::LookingBack,
            soak(0, Some(95)),
            soak(0, None),
            soak(2, Some(95)),
            NothingToJudge { wave: 0, of: 3, tally: nothing },
            NothingToJudge { wave: 0, of: 3, tally: Tally { of: 1, ..Tally::default() } },
            NothingToJudge {
                wave: 0,
                of: 3,
                tally: Tally { unreachable: 2, rule: Unreachable::Wait, of: 12, ..tally },
            },
            WaitingOn::Health { wave: 0, of: 3, devices: 1 },
            WaitingOn::Health { wave: 2, of: 3, devices: 40 },
            WaitingOn::Confirming,
            check(None, None),
            check(Some(Answer::Status(503)), Some(NOW + Duration::from_secs(30))),
            check(Some(Answer::Silent(crate::outcome::Fault::ConnectRefused)), None),
            WaitingOn::Approval { wave: 0, of: 3 },
            wave(Some(95)),
            wave(None),
            hours(1, ClosedBy::Window, Some(soon)),
            hours(12, ClosedBy::Freeze(0), Some(later)),
            hours(12, ClosedBy::Window, None),
            WaitingOn::Deadline { devices: 1, at: soon, before: Before::Window },
            WaitingOn::Deadline { devices: 12, at: soon, before: Before::Freeze },
            WaitingOn::Deadline { devices: 1, at: soon, before: Before::Try },
            WaitingOn::Deadline { devices: 5, at: soon, before: Before::Wave { wave: 1, of: 3 } },
            InFlight { max: 1 },
            InFlight { max: 100 },
            Driver,
            WaitingOn::Host { devices: 1, max: 1 },
            WaitingOn::Host { devices: 25, max: 10 },
            Unverified { max: 1 },
            Unverified { max: 30 },
            WaitingOn::Rate { per_minute: 1, next_at: NOW + Duration::from_secs(45) },
            WaitingOn::Rate { per_minute: 600, next_at: NOW },
            away(1, 0, None),
            away(2, 1, Some(later)),
            away(0, 3, Some(soon)),
            active(1, 0, 0),
            active(3, 2, 1),
            WaitingOn::Joiners { until: later },
            busy(1),
            busy(7),
            WaitingOn::Offline { since: NOW - Duration::from_hours(2) },
            WaitingOn::Offline { since: NOW - Duration::from_hours(50) },
            WaitingOn::NeverSeen,
            WaitingOn::NextTry { at: soon },
            WaitingOn::NextTry { at: NOW },
            WaitingOn::Delivery,
            WaitingOn::Version { until: soon },
            WaitingOn::Turn,
            WaitingOn::OwnWave { wave: 1, of: 3 },
        ]
    }

    #[test]
    fn a_time_is_told_to_the_minute_or_to_the_second() {
        let now = Time::from_millis(1_795_615_200_000);
        let at = now + Duration::from_millis(65_900);
        assert_eq!([stamp(at, now), stamp_secs(at, now)], ["14:01 UTC", "14:01:05 UTC"]);
        let at = now + Duration::from_hours(24);
        assert_eq!(stamp_secs(at, now), "Thu 2026-11-26 14:00:00 UTC");
    }

    #[test]
    fn every_reason_in_words() {
        let mut text = String::new();
        for reason in reasons() {
            let _ = writeln!(text, "{}", reason.in_words(NOW));
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn spans_have_two_units_at_the_most() {
        for (secs, text) in [
            (0, "1 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_599, "59 min"),
            (3_600, "1 h"),
            (18_720, "5 h 12 min"),
            (86_400, "1 d"),
            (90_000, "1 d 1 h"),
            (86_460, "1 d"),
        ] {
            assert_eq!(span(Duration::from_secs(secs)), text);
        }
    }
}
