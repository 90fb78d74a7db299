//! `groundswell budget`: failure domains of which devices are out of order.

use std::process::ExitCode;

use clap::Subcommand;
use groundswell_core::time::Time;

use super::{
    state::{self, Told},
    text::{number, table, text, when},
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
            on.show_list(&domains, note, || list(&domains, now))?;
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

/// Most devices that are named in a line.
const NAMED_MAX: usize = 5;

fn list(domains: &[DomainView], now: Time) -> String {
    let columns = [text("domain"), number("devices"), text("limit"), text("out of order")];
    let row = |view: &DomainView| {
        let limits: Vec<String> = view
            .limits
            .iter()
            .map(|limit| format!("{} in rollout {}", limit.limit, limit.rollout))
            .collect();
        let named = view.holders.iter().take(NAMED_MAX).map(|holder| told(holder, now));
        let mut holders: Vec<String> = named.collect();
        if let Some(more) = view.holders.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
            holders.push(format!("and {more} more"));
        }
        let holders = holders.join(", ");
        vec![view.domain.clone(), view.devices.to_string(), limits.join(", "), holders]
    };
    table(&columns, &domains.iter().map(row).collect::<Vec<_>>())
}

fn told(HolderView { device, why, since }: &HolderView, now: Time) -> String {
    match (why, since) {
        (Why::Failed, Some(since)) => format!("{device} (failed {})", when(*since, now)),
        (Why::Failed, None) => format!("{device} (failed)"),
        (Why::UnderWay, _) => format!("{device} (being updated)"),
        (Why::Down, _) => format!("{device} (down)"),
    }
}
