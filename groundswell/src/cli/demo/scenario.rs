//! The seven ways to roll out, as the demo plays them.
//!
//! Owns the specs, in the words an operator would write, and what is said about them. What is
//! played is [`super::stage`]'s, and whether it came about [`super::check`]'s.

use super::{check, played::Played};

/// How many of the terminals' minutes they take to install and to reboot.
pub(super) const REBOOT_MINUTES: u64 = 3;

/// One way to roll out.
pub(super) struct Scenario {
    /// Under this name it is told to have failed.
    pub(super) name: &'static str,
    /// In a few words.
    pub(super) title: &'static str,
    /// What for, in lines of at most 92 characters.
    pub(super) story: &'static [&'static str],
    /// What is sent.
    pub(super) version: &'static str,
    /// The spec, as an operator would write it.
    pub(super) spec: &'static str,
    /// What happens meanwhile.
    pub(super) script: Script,
    /// What is wrong with what happened.
    pub(super) check: fn(&Played) -> Vec<String>,
}

/// What happens while a rollout goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    /// Nothing but the rollout.
    Watch,
    /// The night goes by; what time it is for each terminal matters.
    Night,
    /// The terminals that are offline come online, one after the other.
    Homecoming,
    /// What is sent breaks terminals, and is taken back.
    Undoing,
}

/// The hours of the scheduled one, by the wall clock of each terminal.
pub(super) const WINDOW: (&str, &str) = ("02:00", "04:00");

/// How long a wave of the progressive one is watched after it has ended.
pub(super) const SOAK_MINUTES: u64 = 20;

/// The waves of the progressive one.
pub(super) const WAVES: [usize; 3] = [1, 4, 5];

/// The region of the fifth one.
pub(super) const REGION: &str = "northeast";

/// Below this version the sixth one updates.
pub(super) const THRESHOLD: &str = "2.10.0";

/// Those that the seventh one breaks. Each is the first of its region by the order that the salt
/// draws, so that all of them take what breaks them before anybody knows, whatever is faster.
pub(super) const BROKEN: [&str; 3] = ["pos-nyc-01", "pos-atlanta-01", "pos-denver-01"];

/// In the order in which they are played.
pub(super) const SCENARIOS: [Scenario; 7] = [
    Scenario {
        name: "immediate",
        title: "now, to every terminal that is online",
        story: &[
            "A fix that cannot wait. Whoever is online gets it at once. Whoever is known to be offline",
            "is skipped and told apart: it neither fails nor holds up the others.",
        ],
        version: "2.6.0",
        spec: r#"release  = "pos-app 2.6.0"
strategy = "immediate"
offline  = "skip"            # known to be offline: left alone

[timeouts]
verifying = "1h"             # to install, reboot and report 2.6.0
"#,
        script: Script::Watch,
        check: check::immediate,
    },
    Scenario {
        name: "scheduled",
        title: "between two and four at night, by each terminal's own clock",
        story: &[
            "The shops stand from coast to coast, and nobody wants a register to reboot over a sale.",
            "Two o'clock comes to New York first and to Seattle three hours later; nothing is sent",
            "outside of a terminal's own window.",
        ],
        version: "2.7.0",
        spec: r#"release  = "pos-app 2.7.0"
strategy = "scheduled"
windows  = ["02:00-04:00"]   # by the wall clock of each terminal's time zone
offline  = "skip"

[timeouts]
verifying = "1h"
"#,
        script: Script::Night,
        check: check::scheduled,
    },
    Scenario {
        name: "progressive",
        title: "one terminal, then half of them, then all",
        story: &[
            "10, 50 and 100 % of ten terminals are waves of 1, 4 and 5. The next wave opens when the",
            "one before has been watched for 20 minutes and at least 95 % of it succeeded. Those that",
            "are offline are skipped, and say nothing for or against.",
        ],
        version: "2.8.0",
        spec: r#"release  = "pos-app 2.8.0"
strategy = "progressive"
salt     = "pilot"           # draws who goes first; left out, every release draws others
offline  = "skip"
waves    = [
  { percent = 10,  soak = "20m", min_success = 95 },
  { percent = 50,  soak = "20m", min_success = 95 },
  { percent = 100, soak = "20m", min_success = 95 },
]

[timeouts]
verifying = "1h"
"#,
        script: Script::Watch,
        check: check::progressive,
    },
    Scenario {
        name: "on_connect",
        title: "each terminal when it is there",
        story: &[
            "Four terminals have been offline all night. This time they are waited for: each is updated",
            "as soon as it comes online and checks in, without anybody doing anything.",
        ],
        version: "2.9.0",
        spec: r#"release  = "pos-app 2.9.0"
strategy = "on_connect"
deadline = "7d"              # after that, whoever never came has failed: unreachable

[timeouts]
verifying = "1h"
"#,
        script: Script::Homecoming,
        check: check::on_connect,
    },
    Scenario {
        name: "region",
        title: "only the terminals of one region",
        story: &[
            "A new tax rule of the northeast. The tags of the inventory choose the terminals; nobody",
            "else hears of it.",
        ],
        version: "2.10.0",
        spec: r#"release = "pos-app 2.10.0"
select  = "tag.region==northeast"

[timeouts]
verifying = "1h"
"#,
        script: Script::Watch,
        check: check::region,
    },
    Scenario {
        name: "firmware",
        title: "only the terminals that run something older than 2.10.0",
        story: &[
            "Versions are compared as versions: 2.9.0 is older than 2.10.0, though as a text it comes",
            "behind. The northeast runs 2.10.0 by now, and is left alone.",
        ],
        version: "2.11.0",
        spec: r#"release = "pos-app 2.11.0"
select  = "version<2.10.0"

[timeouts]
verifying = "1h"
"#,
        script: Script::Watch,
        check: check::firmware,
    },
    Scenario {
        name: "undo",
        title: "a release that breaks terminals is stopped, and taken back",
        story: &[
            "Nobody knows it yet: 2.12.0 breaks three of the terminals, which only answer errors then.",
            "A region with a broken one gets no more of it. When more fail than bad luck explains,",
            "the rollout is stopped, and whoever took it goes back to what it ran: 2.10.0 or 2.11.0.",
        ],
        version: "2.12.0",
        spec: r#"release    = "pos-app 2.12.0"
salt       = "pilot"         # draws who goes first
on_failure = "rollback"      # once stopped, whoever took it goes back

[[budgets]]
per = "tag.region"           # of each region
max = 1                      # one terminal at a time may be out of order

[regression]
baseline = "2%"              # so many fail anyway; if clearly more do, it is stopped

[timeouts]
verifying = "1h"
"#,
        script: Script::Undoing,
        check: check::undo,
    },
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use groundswell_core::time::Time;

    use super::*;
    use crate::spec_file;

    #[test]
    fn every_spec_is_one_of_its_release_and_fits_a_screen() {
        for scenario in &SCENARIOS {
            let document =
                spec_file::parse(Path::new(scenario.name), scenario.spec, Time::ZERO).unwrap();
            assert_eq!(document.release.version, scenario.version);
            assert!((4..=14).contains(&scenario.spec.lines().count()), "{}", scenario.name);
            let lines = scenario.spec.lines().chain(scenario.story.iter().copied());
            assert!(lines.into_iter().all(|line| line.len() <= 92), "{}", scenario.name);
        }
    }

    #[test]
    fn what_is_checked_is_what_is_written() {
        let find = |name: &str| SCENARIOS.iter().find(|scenario| scenario.name == name).unwrap();
        assert!(find("scheduled").spec.contains(&format!("\"{}-{}\"", WINDOW.0, WINDOW.1)));
        assert!(find("progressive").spec.contains(&format!("soak = \"{SOAK_MINUTES}m\"")));
        assert!(find("region").spec.contains(&format!("tag.region=={REGION}")));
        assert!(find("firmware").spec.contains(&format!("version<{THRESHOLD}")));
    }
}
