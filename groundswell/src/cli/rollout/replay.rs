//! `groundswell rollout replay`: whether the log of a rollout runs again.

use std::fmt::Write as _;

use groundswell_core::log::{Mismatch, Report};

use super::super::{
    state::{self, Told},
    text::{count, fields},
};
use crate::{clock::Clock, operate::Overview};

/// Mismatches that are told; the first says where to look.
const SHOWN: usize = 5;

/// The exit code of a log that does not run again.
const DIFFERS: u8 = 1;

pub(super) fn replay(on: &state::On, rollout: &str) -> Result<u8, Told> {
    let place = on.place()?;
    let of = place.overview(rollout, Clock::System.now())?;
    let report = place.replay(rollout)?;
    on.show(&report, || in_words(&of, &report))?;
    Ok(if report.mismatches_in_all == 0 { 0 } else { DIFFERS })
}

fn in_words(of: &Overview, report: &Report) -> String {
    let Overview { number, release, .. } = of;
    let rollout = format!("rollout {number} ({} {})", release.name, release.version);
    let verdict = verdict(report);
    let shown = fields([
        ("entries", Some(report.entries.to_string())),
        ("drivers", Some(report.drivers.to_string())),
        ("decisions", Some(format!("{} on counts, {} on devices", report.steps, report.judged))),
        ("happened", Some(count(report.facts, "fact"))),
        ("acts", Some(report.acts.to_string())),
        ("followed", (report.followed > 0).then(|| format!("{} more", report.followed))),
        ("devices", Some(report.devices.to_string())),
    ]);
    let mut words = format!("{rollout}: {verdict}\n{shown}");
    if report.followed > 0 && report.other_decisions.is_empty() {
        words.push_str(
            "\nOf parts it is not known which version of this program decided them: of these only\n\
             the states were followed, and nothing was decided again.\n",
        );
    }
    if !report.other_decisions.is_empty() {
        let versions: Vec<String> = report.other_decisions.iter().map(u32::to_string).collect();
        let _ = write!(
            words,
            "\nParts were decided by another version of this program (decisions {}):\nof these \
             only the states were followed, and nothing was decided again.\n",
            versions.join(", ")
        );
    }
    if !report.other_zones.is_empty() {
        let versions: Vec<&str> = report.other_zones.iter().map(String::as_str).collect();
        let _ = write!(
            words,
            "\nParts were decided with another time zone database ({}): of these\nhours were not \
             judged again.\n",
            versions.join(", ")
        );
    }
    for Mismatch { entry, at, what } in report.mismatches.iter().take(SHOWN) {
        let _ = write!(words, "\nentry {entry}, {at}\n  {what}\n");
    }
    words
}

fn verdict(report: &Report) -> String {
    match report.mismatches_in_all {
        0 if report.entries == 0 => "nothing is written down of it".to_owned(),
        0 if report.followed == 0 => {
            "its log runs again, byte by byte, and ends where it stands".to_owned()
        }
        0 if is_followed_only(report) => {
            "its log was followed, not decided again, and ends where it stands".to_owned()
        }
        0 => "its log runs again as far as it can, and ends where it stands".to_owned(),
        many => format!("its log does NOT run again: {}", count(many, "difference")),
    }
}

/// Whether nothing was decided again.
const fn is_followed_only(report: &Report) -> bool {
    report.steps + report.judged + report.facts + report.acts == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_decided_again_is_said_to_be() {
        for (entries, acts, followed, mismatches_in_all, is) in [
            (0, 0, 0, 0, "nothing is written down of it"),
            (2, 1, 0, 0, "its log runs again, byte by byte, and ends where it stands"),
            (2, 1, 1, 0, "its log runs again as far as it can, and ends where it stands"),
            (2, 0, 1, 0, "its log was followed, not decided again, and ends where it stands"),
            (2, 1, 1, 2, "its log does NOT run again: 2 differences"),
        ] {
            let report = Report { entries, acts, followed, mismatches_in_all, ..Report::default() };
            assert_eq!(verdict(&report), is);
        }
    }
}
