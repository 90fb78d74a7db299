//! What is waited for, each reason told when it is news.

use crate::{
    event::devices_of,
    gate::external::Answer,
    time::Time,
    waiting::{Before, WaitingOn},
};

/// The reasons that were told.
#[derive(Debug, Default)]
pub(super) struct Waits {
    told: Vec<Told>,
}

#[derive(Debug)]
struct Told {
    reason: WaitingOn,
    /// Whether that was before the last milestone: other numbers are news then.
    is_old: bool,
}

impl Waits {
    /// A milestone passed.
    pub(super) fn pass(&mut self) {
        self.told.iter_mut().for_each(|told| told.is_old = true);
    }

    /// Those of the reasons that were not told, in words; the most telling first.
    pub(super) fn news<'a>(
        &mut self,
        reasons: impl Iterator<Item = &'a WaitingOn>,
        now: Time,
    ) -> Vec<String> {
        let mut news = vec![];
        for reason in reasons {
            if self.told.iter().any(|told| told.says(reason)) {
                continue;
            }
            news.push(in_words(reason, now));
            self.told.retain(|told| !is_of_same(&told.reason, reason));
            self.told.push(Told { reason: reason.clone(), is_old: false });
        }
        news
    }

    /// Whether it was told that devices wait for their hours, which none does any more.
    pub(super) fn is_open_again(&mut self, reasons: &[WaitingOn]) -> bool {
        let is_hours = |reason: &WaitingOn| matches!(reason, WaitingOn::Hours { .. });
        let is_open =
            self.told.iter().any(|told| is_hours(&told.reason)) && !reasons.iter().any(is_hours);
        if is_open {
            self.told.retain(|told| !is_hours(&told.reason));
        }
        is_open
    }
}

impl Told {
    /// Whether the reason is no news after this one.
    fn says(&self, reason: &WaitingOn) -> bool {
        match (&self.reason, reason) {
            (
                WaitingOn::Hours { zone: of, by: was, opens_at: then, .. },
                WaitingOn::Hours { zone, by, opens_at, .. },
            ) => of == zone && was == by && then == opens_at,
            (
                WaitingOn::Deadline { at: then, before: was, .. },
                WaitingOn::Deadline { at, before, .. },
            ) => then == at && was == before,
            (WaitingOn::Soak { until: then, .. }, WaitingOn::Soak { until, .. }) => then == until,
            (WaitingOn::StartAt { at: then }, WaitingOn::StartAt { at }) => then == at,
            (WaitingOn::Rate { per_minute: was, .. }, WaitingOn::Rate { per_minute, .. }) => {
                was == per_minute
            }
            (was, is) if self.is_old => was == is,
            (was, is) => is_of_same(was, is),
        }
    }
}

/// Whether both are about the same.
fn is_of_same(told: &WaitingOn, reason: &WaitingOn) -> bool {
    match (told, reason) {
        (WaitingOn::Hours { zone: of, .. }, WaitingOn::Hours { zone, .. }) => of == zone,
        (
            WaitingOn::Check { check: of, answer: was, .. },
            WaitingOn::Check { check, answer: is, .. },
        ) => {
            let gist = |answer: &Option<Answer>| answer.as_ref().map(Answer::gist);
            of == check && gist(was) == gist(is)
        }
        _ => std::mem::discriminant(told) == std::mem::discriminant(reason),
    }
}

/// As operators read it; a limit as what it is, because it holds before and after.
fn in_words(reason: &WaitingOn, now: Time) -> String {
    match reason {
        WaitingOn::InFlight { max } => {
            format!("limited: at most {max} may be open at once")
        }
        WaitingOn::Unverified { max } => {
            format!("limited: at most {max} may be begun and not known to be well")
        }
        WaitingOn::Rate { per_minute, .. } => {
            format!("limited: {} a minute", devices_of(u64::from(*per_minute)))
        }
        WaitingOn::Driver => "limited: other rollouts use every place for deliveries".to_owned(),
        WaitingOn::Ending { .. } | WaitingOn::LookingBack | WaitingOn::Stopping => {
            reason.in_words(now)
        }
        _ => format!("waits: {}", reason.in_words(now)),
    }
}

/// Whether it says more of a rollout than its milestones and the numbers beside it do.
pub(super) const fn is_telling(reason: &WaitingOn) -> bool {
    !matches!(
        reason,
        WaitingOn::Start
            | WaitingOn::Preparing { .. }
            | WaitingOn::Paused(_)
            | WaitingOn::Braked(_)
            | WaitingOn::Wave { .. }
            | WaitingOn::Active { .. }
    )
}

/// Whether it keeps a device that is not begun, and whose wave is opened or not.
pub(super) const fn keeps(reason: &WaitingOn, is_opened: bool) -> bool {
    match reason {
        WaitingOn::StartAt { .. } | WaitingOn::Stopping => true,
        WaitingOn::Wave { .. }
        | WaitingOn::Soak { .. }
        | WaitingOn::Check { .. }
        | WaitingOn::Approval { .. }
        | WaitingOn::NothingToJudge { .. }
        | WaitingOn::Deadline { before: Before::Wave { .. }, .. } => !is_opened,
        WaitingOn::InFlight { .. }
        | WaitingOn::Driver
        | WaitingOn::Unverified { .. }
        | WaitingOn::Rate { .. } => is_opened,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::hours::{ClosedBy, Zone};

    const NOW: Time = Time::from_millis(1_795_615_200_000);

    fn away(away: u64) -> [WaitingOn; 1] {
        [WaitingOn::Away { away, absent: 0, deadline: None }]
    }

    #[test]
    fn a_reason_is_told_once_and_its_numbers_again_after_a_milestone() {
        let mut waits = Waits::default();
        let mut news = |reasons: &[WaitingOn]| waits.news(reasons.iter(), NOW);
        assert_eq!(
            news(&[WaitingOn::InFlight { max: 3 }]),
            ["limited: at most 3 may be open at once"]
        );
        assert_eq!(news(&away(1)), ["waits: 1 device is away, and due on any contact"]);
        assert!(news(&[WaitingOn::InFlight { max: 3 }]).is_empty(), "it goes to and fro");
        assert!(news(&away(2)).is_empty());
        waits.pass();
        assert!(waits.news(away(1).iter(), NOW).is_empty(), "nothing is new of it");
        assert_eq!(waits.news(away(2).iter(), NOW).len(), 1);
    }

    #[test]
    fn another_opening_is_news_and_so_is_another_zone() {
        let mut waits = Waits::default();
        let hours = |zone: &str, hours| WaitingOn::Hours {
            devices: 1,
            by: ClosedBy::Window,
            opens_at: Some(NOW + Duration::from_hours(hours)),
            zone: Zone::parse(zone).unwrap(),
            reason: None,
        };
        let both = [hours("Europe/Berlin", 1), hours("America/Denver", 9)];
        assert_eq!(waits.news(both.iter(), NOW).len(), 2);
        assert!(waits.news(both.iter(), NOW).is_empty());
        let later = [hours("Europe/Berlin", 25), hours("America/Denver", 9)];
        assert_eq!(
            waits.news(later.iter(), NOW),
            ["waits: window opens Thu 2026-11-26 16:00 Europe/Berlin, in 1 d 1 h"]
        );
        assert!(!waits.is_open_again(&later));
        assert!(waits.is_open_again(&[]));
        assert!(!waits.is_open_again(&[]));
    }
}
