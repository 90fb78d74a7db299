//! From arguments to a push: reads the devices, the headers and the certificates.

use std::{
    fs,
    io::{self, Read},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use groundswell_core::{
    retry,
    rollout::{Limits, Verify},
    selector::Selector,
};

use super::{super::who::FROM, Args, Failure, failure};
use crate::{
    Push,
    clock::Clock,
    delivery::http::check_header,
    inventory::{self, Inventory},
};

/// The longest wait between attempts, unless another is asked for or the first one is longer.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

pub(super) fn push(args: &Args) -> Result<Push, Failure> {
    let http = args.wire.config().map_err(|error| Failure::input(error.into()))?;
    let cap = args.backoff_max.unwrap_or(BACKOFF_MAX.max(args.backoff));
    let policy = retry::Policy::new(args.attempts, args.backoff, args.backoff_multiplier, cap, 0);
    let policy = policy.map_err(|error| Failure::input(error.into()))?;
    let selector = args.select.as_deref().map(Selector::parse).transpose();
    let selector = selector.map_err(|error| Failure::input(anyhow!("--select: {error}")))?;
    let inventory = devices(&args.devices).map_err(Failure::input)?;
    let mut builder = Push::builder(&args.file, &args.version)
        .devices(inventory.entries)
        .state_dir(&args.state)
        .limits(Limits {
            max_in_flight: args.max_in_flight,
            max_unverified: args.max_unverified,
            max_per_host: args.max_per_host,
            per_minute: None,
        })
        .retry(policy)
        .verify(Verify {
            mode: args.verify.into(),
            timeout: args.verify_timeout,
            first: args.verify_first,
        })
        .max_failures(args.max_failures)
        .canary(args.canary)
        .retry_failed(args.retry_failed)
        .abandon(args.abandon)
        .asked_from(FROM)
        .http(http);
    if let Some(name) = &args.name {
        builder = builder.name(name);
    }
    if let Some(selector) = selector {
        builder = builder.select(selector);
    }
    builder.build().map_err(failure)
}

fn devices(path: &Path) -> anyhow::Result<Inventory> {
    let (name, source): (_, Box<dyn Read>) = if path == Path::new("-") {
        ("standard input".to_owned(), Box::new(io::stdin().lock()))
    } else {
        let file = fs::File::open(path)
            .with_context(|| format!("devices cannot be read from {}", path.display()))?;
        (path.display().to_string(), Box::new(file))
    };
    let options = inventory::Options {
        require_address: true,
        check_header: |name, value| check_header(name, value).map_err(|error| error.to_string()),
        ..inventory::Options::new(&name, Clock::System.now())
    };
    let inventory = inventory::read(source, &options)?;
    if let Some(warning) = inventory.ignored.warning() {
        super::super::tell_line(&format!("note: {name}: {warning}"));
    }
    Ok(inventory)
}
