//! What becomes of a device whose turn has come, by what is known of it.

use std::time::Duration;

use crate::{
    assignment::SkipReason,
    ids::RolloutName,
    presence::{Presence, presence},
    rollout::{Offline, Spec},
    time::Time,
    version::VersionKey,
};

/// What is known of a device whose turn has come.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// Whether it is there.
    pub presence: Presence,
    /// When it was last heard of.
    pub last_seen: Option<Time>,
    /// The version it runs, as far as is known.
    pub version: Option<&'a str>,
    /// Whether a newer rollout of the same release name has it.
    pub is_superseded: bool,
    /// Rollouts that it failed in a row.
    pub failed_in_row: u32,
}

/// What is kept of what is known of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// When it was last heard of.
    pub last_seen: Option<Time>,
    /// How often it checks in.
    pub check_in: Option<Duration>,
    /// The version it runs, as far as is known.
    pub version: Option<Box<str>>,
    /// Whether a newer rollout of the same release name has it.
    pub is_superseded: bool,
    /// Rollouts that it failed in a row.
    pub failed_in_row: u32,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgment {
    /// It is claimed, if there is a place for it.
    Go,
    /// It is left as it is.
    Skip(SkipReason),
    /// It is waited for.
    Wait {
        /// When it was last there, if that is known.
        since: Option<Time>,
    },
}

/// Judges a device that was not begun before. What it is known to run is no reason to skip it,
/// unless that is a newer version.
pub fn judge(device: &Judged<'_>, spec: &Spec) -> Judgment {
    if device.is_superseded && !bites!(SupersededSends) {
        return Judgment::Skip(SkipReason::Superseded);
    }
    if device.version.is_some_and(|version| spec.is_overtaken(version)) {
        return Judgment::Skip(SkipReason::Superseded);
    }
    if spec.quarantines(device.failed_in_row) && !bites!(QuarantineForgotten) {
        return Judgment::Skip(SkipReason::Quarantined);
    }
    let is_newer = |version: &str| VersionKey::of(version) > VersionKey::of(&spec.release.version);
    if !spec.allow_downgrade && device.version.is_some_and(is_newer) {
        return Judgment::Skip(SkipReason::Downgrade);
    }
    match spec.offline {
        Offline::Try => Judgment::Go,
        _ if !device.presence.is_away() => Judgment::Go,
        Offline::Skip => Judgment::Skip(SkipReason::Offline),
        Offline::Wait => Judgment::Wait { since: device.last_seen },
    }
}

/// Judges a device whose turn has come: `is_tried` if it was sent to before and could not be
/// reached.
pub fn consider(
    has_address: bool,
    known: Option<&Known>,
    is_tried: bool,
    spec: &Spec,
    now: Time,
) -> Judgment {
    if !has_address {
        return Judgment::Skip(SkipReason::NoAddress);
    }
    let Some(known) = known else { return Judgment::Go };
    let judged = Judged {
        presence: presence(known.check_in, known.last_seen, now),
        last_seen: known.last_seen,
        version: known.version.as_deref(),
        is_superseded: known.is_superseded,
        failed_in_row: known.failed_in_row,
    };
    match judge(&judged, spec) {
        // One that could not be reached is tried again when that is due, whatever else is known.
        Judgment::Wait { .. } if is_tried && known.check_in.is_none() => Judgment::Go,
        judgment => judgment,
    }
}

impl Spec {
    /// Whether [`judge`] looks at more than whether a device is superseded.
    pub fn asks_what_is_known(&self) -> bool {
        !self.allow_downgrade
            || self.offline != Offline::Try
            || self.quarantine_after.is_some()
            || self.rolls_back.is_some()
    }

    /// Whether a device that runs this version was changed by somebody else since it was to be rolled
    /// back: what it has now is neither what is taken back nor what it had before.
    pub fn is_overtaken(&self, version: &str) -> bool {
        let is_other = |of: &RolloutName| version != of.version && version != self.release.version;
        self.rolls_back.as_ref().is_some_and(is_other)
    }

    /// Whether a device that failed so many rollouts in a row is left out.
    pub fn quarantines(&self, failed_in_row: u32) -> bool {
        self.quarantine_after.is_some_and(|after| failed_in_row >= u32::from(after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RolloutId;
    use crate::release::{Digest, Release};

    fn spec(offline: Offline, allow_downgrade: bool) -> Spec {
        let release = Release {
            name: "pos".to_owned(),
            version: "1.10.0".to_owned(),
            artifact: Digest([7; 32]),
            artifact_bytes: 1,
        };
        Spec { offline, allow_downgrade, ..Spec::immediate(release) }
    }

    #[test]
    fn known_away_newer_or_superseded() {
        let seen = Time::from_millis(5);
        let here = Judged {
            presence: Presence::Online,
            last_seen: Some(seen),
            version: Some("1.9.0"),
            is_superseded: false,
            failed_in_row: 0,
        };
        let away = Judged { presence: Presence::Offline { since: seen }, ..here };
        let never =
            Judged { presence: Presence::NeverSeen { checks_in: true }, last_seen: None, ..here };
        let tried = Judged { presence: Presence::NeverSeen { checks_in: false }, ..never };
        let ahead = Judged { version: Some("1.10.1-rc.1"), ..here };
        let superseded = Judged { is_superseded: true, ..ahead };
        let skip = |reason| Judgment::Skip(reason);
        for (device, offline, allow_downgrade, becomes) in [
            (here, Offline::Skip, false, Judgment::Go),
            (tried, Offline::Skip, false, Judgment::Go),
            (away, Offline::Skip, false, skip(SkipReason::Offline)),
            (away, Offline::Wait, false, Judgment::Wait { since: Some(seen) }),
            (away, Offline::Try, false, Judgment::Go),
            (never, Offline::Wait, false, Judgment::Wait { since: None }),
            (ahead, Offline::Skip, false, skip(SkipReason::Downgrade)),
            (ahead, Offline::Skip, true, Judgment::Go),
            (superseded, Offline::Try, true, skip(SkipReason::Superseded)),
        ] {
            assert_eq!(judge(&device, &spec(offline, allow_downgrade)), becomes, "{device:?}");
        }
    }

    #[test]
    fn failed_too_often_in_a_row() {
        let here = Judged {
            presence: Presence::Online,
            last_seen: None,
            version: None,
            is_superseded: false,
            failed_in_row: 0,
        };
        let spec = |quarantine_after| Spec { quarantine_after, ..spec(Offline::Try, true) };
        let skip = |reason| Judgment::Skip(reason);
        let newer = Judged { is_superseded: true, ..here };
        for (device, quarantine_after, failed_in_row, becomes) in [
            (here, Some(3), 2, Judgment::Go),
            (here, Some(3), 3, skip(SkipReason::Quarantined)),
            (here, Some(3), 4, skip(SkipReason::Quarantined)),
            (here, Some(1), 1, skip(SkipReason::Quarantined)),
            (here, None, u32::MAX, Judgment::Go),
            (newer, Some(3), 3, skip(SkipReason::Superseded)),
        ] {
            let device = Judged { failed_in_row, ..device };
            assert_eq!(judge(&device, &spec(quarantine_after)), becomes, "{device:?}");
        }
        assert!(spec(Some(3)).asks_what_is_known() && !spec(None).asks_what_is_known());
    }

    #[test]
    fn a_rollback_leaves_alone_whom_somebody_else_has_changed_since() {
        let plain = spec(Offline::Try, true);
        let bad = Release { version: "2.0.0".to_owned(), ..plain.release.clone() };
        let id = RolloutId(uuid::Uuid::nil());
        let back = Spec { rolls_back: Some(RolloutName::of(id, 7, &bad)), ..plain.clone() };
        let back = Spec { quarantine_after: None, ..back };
        let known = |version: Option<&str>| Known {
            version: version.map(Into::into),
            failed_in_row: 99,
            ..Known::default()
        };
        assert!(back.asks_what_is_known());
        for (version, becomes) in [
            // What is taken back, and what is there again already, which is found out by asking.
            (Some("2.0.0"), Judgment::Go),
            (Some("1.10.0"), Judgment::Go),
            (None, Judgment::Go),
            (Some("2.0.1"), Judgment::Skip(SkipReason::Superseded)),
            (Some("1.9.0"), Judgment::Skip(SkipReason::Superseded)),
        ] {
            let judged = consider(true, Some(&known(version)), false, &back, Time::ZERO);
            assert_eq!(judged, becomes, "{version:?}");
            assert!(!version.is_some_and(|version| plain.is_overtaken(version)));
        }
    }
}
