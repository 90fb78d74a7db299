//! `groundswell budget`: failure domains of which devices are out of order.

use std::{fmt::Write as _, process::ExitCode};

use clap::Subcommand;
use groundswell_core::time::Time;

use super::{
    state::{self, Told},
    text::{count, when},
};
use crate::{
    clock::Clock,
    operate::{DomainView, HolderView, SlotReleased, Why},
};

/// Arguments of `groundswell budget`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    on: state::On,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List failure domains of which a device is out of order, their limits, and who it is
    List,
    /// Free the slot that a device which failed keeps in a domain, because it does no harm there
    Release {
        /// The domain, as `budget list` shows it
        domain: String,
        /// The device
        device: String,
        /// Why it does no harm
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

pub(super) fn run(args: &Args) -> ExitCode {
    args.on.end(try_run(args))
}

fn try_run(Args { verb, on }: &Args) -> Result<u8, Told> {
    let now = Clock::System.now();
    match verb {
        Verb::List => {
            let domains = on.place()?.budgets(now)?;
            let note = domains.is_empty().then(|| {
                "no device of a domain that rollouts have budgets for is out of order".to_owned()
            });
            on.show_list(&domains, note, || list(on, &domains, now))?;
        }
        Verb::Release { domain, device, reason } => {
            let released = on.place()?.release_slot(domain, device, reason, now)?;
            on.show(&released, || tell(&released))?;
        }
    }
    Ok(0)
}

fn tell(SlotReleased { domain, device, is_repeated }: &SlotReleased) -> String {
    if *is_repeated {
        format!("the slot of {device} in {domain} was released before")
    } else {
        format!("the slot of {device} in {domain} is free")
    }
}

/// Most devices that are named below a domain: what a terminal has room for.
const NAMED_MAX: usize = 20;

/// Each domain with its limits, and a line for each device: an id is what the next command is typed
/// with, and is never cut.
fn list(on: &state::On, domains: &[DomainView], now: Time) -> String {
    let mut lines = String::new();
    for DomainView { domain, devices, limits, holders, more_holders } in domains {
        let limits: Vec<String> = limits
            .iter()
            .map(|limit| format!("{} in rollout {}", limit.limit, limit.rollout))
            .collect();
        let (devices, limits) = (count(u64::from(*devices), "device"), limits.join(", "));
        let _ = writeln!(
            lines,
            "{domain}, {devices}: {} out of order, at most {limits}",
            holders.len() + *more_holders as usize
        );
        for holder in holders.iter().take(NAMED_MAX) {
            let _ = writeln!(lines, "  {}", told(holder, now));
        }
        if let Some(more @ 1..) = (holders.len() + *more_holders as usize).checked_sub(NAMED_MAX) {
            let all = on.command("budget list --output json");
            let _ = writeln!(lines, "  and {more} more; {all} has all");
        }
    }
    lines
}

fn told(HolderView { device, why, since }: &HolderView, now: Time) -> String {
    let why = match why {
        Why::Failed => "failed",
        Why::Regressed => "regressed",
        Why::UnderWay => "being updated",
        Why::Down => "down",
    };
    let since = since.map_or_else(String::new, |since| format!(" {}", when(since, now)));
    format!("{device}  {why}{since}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operate::LimitView;

    fn on() -> state::On {
        let at = state::At { state: Some("groundswell-data".into()), ..state::At::default() };
        state::On { at, print: state::Print { output: state::Output::Text } }
    }

    fn domain(count: usize) -> DomainView {
        let holder = |at| HolderView {
            device: format!("{}-{at:02}", "till".repeat(20)),
            why: [Why::Failed, Why::Regressed, Why::UnderWay, Why::Down][at % 4],
            since: None,
        };
        DomainView {
            domain: "tag.region=west".to_owned(),
            devices: 100,
            limits: vec![LimitView { rollout: 2, limit: 1 }, LimitView { rollout: 7, limit: 30 }],
            holders: (0..count).map(holder).collect(),
            more_holders: 0,
        }
    }

    #[test]
    fn every_device_has_a_line_and_its_whole_id() {
        let till = "till".repeat(20);
        let words = list(&on(), &[domain(4)], Time::ZERO).replace(&till, "till");
        insta::assert_snapshot!(words, @"
        tag.region=west, 100 devices: 4 out of order, at most 1 in rollout 2, 30 in rollout 7
          till-00  failed
          till-01  regressed
          till-02  being updated
          till-03  down
        ");
    }

    #[test]
    fn of_many_it_is_said_where_the_others_are() {
        let words = list(&on(), &[domain(NAMED_MAX)], Time::ZERO);
        assert_eq!(words.lines().count(), 1 + NAMED_MAX, "{words}");
        let words = list(&on(), &[domain(NAMED_MAX + 3)], Time::ZERO);
        let last = "  and 3 more; `groundswell budget list --output json` has all";
        assert_eq!(words.lines().last(), Some(last));
    }
}
