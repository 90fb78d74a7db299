//! What is waited for between two waves, in words.

use std::fmt::Write as _;

use super::{WaitingOn, devices, when};
use crate::time::Time;

impl WaitingOn {
    pub(super) fn of_wave(&self, now: Time) -> String {
        match self {
            Self::Soak { wave, of, until, min_success, tally } => {
                let (number, when) = (wave.saturating_add(2), when(*until, now));
                let mut text = if number > *of {
                    format!("wave {of} of {of}, the last, is judged {when}")
                } else {
                    format!("wave {number} of {of} opens {when}")
                };
                if let Some(percent) = min_success {
                    let (good, judged) = (tally.succeeded, tally.judged());
                    let _ = write!(text, " if success >= {percent} %, now {good} of {judged}");
                }
                text
            }
            Self::NothingToJudge { wave, of, tally } if tally.is_held() => {
                let (number, count) = (wave + 1, tally.unreachable);
                let devices = devices(count, "device", "devices");
                format!(
                    "wave {number} of {of} ended, and its gate waits because {devices}could not be \
                     reached: {tally}; advance goes on without them"
                )
            }
            Self::NothingToJudge { wave, of, tally } => format!(
                "wave {} of {of} ended, and its gate has nothing to judge by: none of {} \
                 was updated or failed{}; advance goes on without",
                wave.saturating_add(1),
                devices(tally.of, "device", "devices").trim_end(),
                match tally.unreachable {
                    0 => String::new(),
                    count => format!(" ({count} unreachable)"),
                }
            ),
            Self::Health { wave, of, devices: count } => {
                let (number, next) = (wave.saturating_add(1), wave.saturating_add(2));
                let how =
                    if *count == 1 { "was asked how it is" } else { "were asked how they are" };
                let devices = devices(*count, "device", "devices");
                let asked = format!("{devices}of wave {number} {how}");
                if next > *of {
                    format!("wave {of} of {of}, the last, is judged once the {asked}")
                } else {
                    format!("wave {next} of {of} opens once the {asked}")
                }
            }
            Self::Wave { wave, of, ended, devices, min_success } => {
                let (number, next) = (wave.saturating_add(1), wave.saturating_add(2));
                let mut text = format!(
                    "wave {next} of {of} waits for wave {number}: {ended} of {devices} ended"
                );
                if let Some(percent) = min_success {
                    let _ = write!(text, ", success >= {percent} % wanted");
                }
                text
            }
            _ => String::new(),
        }
    }
}
