//! Whether devices that were updated are still well while their wave soaks.
//!
//! Owns what is asked of them, and when an answer makes a device *regressed*: updated, and not well
//! since. Where an assignment ended stays as it is; what a regressed device counts as is
//! [`crate::gate`]'s. Knows no device and no sockets. Read [`Health`] first.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    device::check_path,
    outcome::Fault,
    rollout::{SpecError, WAIT_LIMIT, WaveSpec},
    units::Span,
};

/// Shortest time between two questions to one device: a check is no load test.
pub const EVERY_MIN: Duration = Duration::from_secs(1);

/// How often a device is asked, unless the spec says otherwise.
pub const EVERY: Duration = Duration::from_mins(1);

/// Most bad answers in a row that may be put up with: more is no check.
pub const FAILURES_LIMIT: u32 = 100;

/// Bad answers in a row that make a device regressed, unless the spec says otherwise: one is a
/// restart or a lost packet.
pub const FAILURES: u32 = 3;

/// Where devices tell how they are, unless the spec says otherwise.
pub const PATH: &str = "/healthz";

/// Longest time that one answer is waited for; a shorter [`Health::every`] is the limit then.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How devices of a wave that soaks are looked after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// What is asked.
    pub check: Check,
    /// How often each device is asked.
    pub every: Duration,
    /// So many bad answers in a row make it regressed.
    pub failures: u32,
}

/// What a device is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Which version it runs.
    Version,
    /// This path, relative to its address: any status of success means that it is well.
    Url(String),
}

/// What a device said when it was asked how it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// That it runs this version.
    Version(Box<str>),
    /// This status.
    Status(u16),
    /// Something that is no version.
    Unreadable,
    /// Nothing in time, or nothing whole.
    Silent(Fault),
    /// By itself, since its update: that it is not well, in these words.
    Ill(Box<str>),
}

/// How far it is known how the devices of the wave that soaks are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Checkup {
    /// Each was asked since it soaks, and by the driver that decides; or nobody is to be asked.
    #[default]
    Done,
    /// Not each of them was, or some were not well and were not asked often enough since.
    Asking,
    /// Some are about to be regressed, unless others have sent to them since.
    Confirming,
}

/// What is made of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It says nothing of the device: what stopped the question is here.
    Nothing,
    /// It is well.
    Well,
    /// It is not, for so many times in a row.
    Unwell(u32),
    /// It was not, for so many times in a row, and that is enough.
    Regressed(u32),
}

impl Health {
    /// How long an answer is waited for: no longer than until the next question.
    pub fn answer_timeout(&self) -> Duration {
        self.every.min(ANSWER_TIMEOUT)
    }

    /// Judges an answer of a device that was sent `version`, after so many bad ones in a row.
    ///
    /// Another version is no hiccup: one answer is enough.
    pub fn judge(&self, said: &Said, version: &str, before: u32) -> Finding {
        let (is_well, is_sure) = match (said, &self.check) {
            (Said::Silent(fault), _) if is_ours(*fault) => return Finding::Nothing,
            (Said::Version(shown), Check::Version) => (**shown == *version, true),
            (Said::Status(status), Check::Url(_)) => ((200..300).contains(status), false),
            _ => (false, false),
        };
        let times = before.saturating_add(1);
        match (is_well, is_sure || times >= self.failures) {
            (true, _) => Finding::Well,
            (false, true) => Finding::Regressed(times),
            (false, false) => Finding::Unwell(times),
        }
    }

    /// What is wrong with it beside these waves, if anything.
    pub(crate) fn fault(&self, waves: &[WaveSpec]) -> Option<SpecError> {
        let refuse = |field, why: String| Some(SpecError::Health { field, why });
        if let Check::Url(path) = &self.check
            && let Err(error) = check_path(path)
        {
            return refuse("path", error.to_string());
        }
        if !(EVERY_MIN..=WAIT_LIMIT).contains(&self.every) {
            let (least, most) = (Span(EVERY_MIN), Span(WAIT_LIMIT));
            return refuse("every", format!("must be from {least} to {most}"));
        }
        if !(1..=FAILURES_LIMIT).contains(&self.failures) {
            return refuse("failures", format!("must be between 1 and {FAILURES_LIMIT}"));
        }
        let longest = waves.iter().map(|wave| wave.soak).max().unwrap_or_default();
        if longest.is_zero() {
            let why = "devices are asked while their wave soaks, and no wave does; write soak in \
                       [[waves]], or leave health out";
            return refuse("check", why.to_owned());
        }
        let needed = self.every.saturating_mul(self.failures);
        (needed > longest).then(|| SpecError::Health {
            field: "every",
            why: format!(
                "{} failures in a row, asked every {}, take {}, and the longest soak is {}; write a \
                 longer soak, or ask more often",
                self.failures,
                Span(self.every),
                Span(needed),
                Span(longest)
            ),
        })
    }
}

/// Whether what stopped a question is no fault of the device.
const fn is_ours(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::LocalExhausted
            | Fault::LocalRead
            | Fault::BadRequest
            | Fault::AddressRefused
            | Fault::Canceled
            | Fault::DriverDied
    )
}

impl fmt::Display for Said {
    /// Such as `answers 503`, to follow "regressed: ".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "shows version {version}"),
            Self::Status(status) => write!(f, "answers {status}"),
            Self::Unreadable => f.write_str("shows no version that can be read"),
            Self::Silent(fault) => write!(f, "gives no answer ({fault})"),
            Self::Ill(text) => write!(f, "says that it is not well ({text})"),
        }
    }
}

/// What is said of a device that regressed, such as `answers 503, 3 times in a row`.
pub fn in_words(said: &Said, times: u32) -> String {
    match times {
        0 | 1 => said.to_string(),
        times => format!("{said}, {times} times in a row"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::WaveSize;

    fn asking(check: Check) -> Health {
        Health { check, every: EVERY, failures: 3 }
    }

    fn url() -> Health {
        asking(Check::Url(PATH.to_owned()))
    }

    #[test]
    fn every_answer_is_judged() {
        let version = |text: &str| Said::Version(text.into());
        let silent = Said::Silent(Fault::ConnectRefused);
        let (by_version, by_url) = (asking(Check::Version), url());
        for (health, said, before, finding) in [
            (&by_version, version("2"), 2, Finding::Well),
            (&by_version, version("1"), 0, Finding::Regressed(1)),
            (&by_version, Said::Unreadable, 0, Finding::Unwell(1)),
            (&by_version, Said::Unreadable, 2, Finding::Regressed(3)),
            (&by_version, silent.clone(), 1, Finding::Unwell(2)),
            (&by_version, silent.clone(), 2, Finding::Regressed(3)),
            (&by_version, Said::Status(200), 0, Finding::Unwell(1)),
            (&by_url, Said::Status(199), 0, Finding::Unwell(1)),
            (&by_url, Said::Status(200), 2, Finding::Well),
            (&by_url, Said::Status(299), 2, Finding::Well),
            (&by_url, Said::Status(302), 0, Finding::Unwell(1)),
            (&by_url, Said::Status(503), 2, Finding::Regressed(3)),
            (&by_url, silent, 0, Finding::Unwell(1)),
            (&by_url, version("2"), 0, Finding::Unwell(1)),
            (&by_url, Said::Status(503), u32::MAX, Finding::Regressed(u32::MAX)),
        ] {
            assert_eq!(health.judge(&said, "2", before), finding, "{health:?} {said} {before}");
        }
        for fault in [Fault::LocalExhausted, Fault::Canceled, Fault::DriverDied] {
            let said = Said::Silent(fault);
            assert_eq!(by_url.judge(&said, "2", 99), Finding::Nothing, "{fault}: it is ours");
        }
        let first = Health { failures: 1, ..by_url };
        assert_eq!(first.judge(&Said::Status(500), "2", 0), Finding::Regressed(1));
    }

    #[test]
    fn what_could_never_find_anything_is_refused() {
        let wave = |soak| WaveSpec { size: WaveSize::Percent(100), soak, min_success: None };
        let mins = |mins| Duration::from_mins(mins);
        let fault = |health: &Health, waves: &[WaveSpec]| {
            health.fault(waves).map(|fault| fault.to_string()).unwrap_or_default()
        };
        assert_eq!(fault(&url(), &[wave(mins(0)), wave(mins(3))]), "");
        assert_eq!(
            fault(&url(), &[]),
            "health.check: devices are asked while their wave soaks, and no wave does; write soak \
             in [[waves]], or leave health out"
        );
        assert_eq!(
            fault(&url(), &[wave(mins(2))]),
            "health.every: 3 failures in a row, asked every 1m, take 3m, and the longest soak is \
             2m; write a longer soak, or ask more often"
        );
        let waves = [wave(mins(9))];
        let relative = Health { check: Check::Url("healthz".to_owned()), ..url() };
        assert!(fault(&relative, &waves).starts_with("health.path: "));
        for failures in [0, 101] {
            let text = fault(&Health { failures, ..url() }, &waves);
            assert_eq!(text, "health.failures: must be between 1 and 100");
        }
        let often = Health { every: Duration::from_millis(999), ..url() };
        assert_eq!(fault(&often, &waves), "health.every: must be from 1s to 365d");
    }

    #[test]
    fn told_in_words() {
        assert_eq!(in_words(&Said::Version("1.9".into()), 1), "shows version 1.9");
        assert_eq!(in_words(&Said::Status(503), 3), "answers 503, 3 times in a row");
        assert_eq!(
            in_words(&Said::Silent(Fault::ConnectRefused), 2),
            "gives no answer (connection refused), 2 times in a row"
        );
    }
}
