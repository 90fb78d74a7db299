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
use http::HeaderMap;

use super::{Args, Failure, failure};
use crate::{
    Push,
    clock::Clock,
    delivery::http::{Config, Timeouts, Tls, check_header},
    inventory::{self, Inventory},
};

/// The longest wait between attempts, unless another is asked for or the first one is longer.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// Certificates and secrets are small; anything larger is a mistaken path.
const SMALL_FILE_BYTES_MAX: u64 = 1 << 20;

pub(super) fn push(args: &Args) -> Result<Push, Failure> {
    let http = http(args).map_err(Failure::input)?;
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

fn http(args: &Args) -> anyhow::Result<Config> {
    let mut headers = HeaderMap::new();
    for header in &args.headers {
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| anyhow!("--header wants 'Name: value'; this one has no colon"))?;
        let value = secret(value.trim()).with_context(|| format!("--header {}", name.trim()))?;
        let (name, value) = check_header(name.trim(), &value)?;
        headers.append(name, value);
    }
    let mut timeouts = args.timeout.map_or_else(Timeouts::default, Timeouts::all);
    timeouts.attempt = args.attempt_timeout;
    let identity = match (&args.cert, &args.key) {
        (Some(cert), Some(key)) => Some((small(cert)?, small(key)?)),
        _ => None,
    };
    Ok(Config {
        headers,
        update_path: args.update_path.clone(),
        verify_path: args.verify_path.clone(),
        version_pointer: args.verify_pointer.clone(),
        timeouts,
        tls: Tls {
            ca_pem: args.ca.as_deref().map(small).transpose()?,
            identity_pem: identity,
            insecure: args.insecure,
        },
        ..Config::default()
    })
}

/// A value, or what `env:NAME` or `file:PATH` stand for, so that secrets need not be seen in the
/// list of processes.
fn secret(value: &str) -> anyhow::Result<String> {
    if let Some(name) = value.strip_prefix("env:") {
        #[expect(clippy::disallowed_methods, reason = "the command line's edge")]
        let value = std::env::var(name);
        return value.map_err(|_| anyhow!("the environment has no readable variable {name}"));
    }
    match value.strip_prefix("file:") {
        Some(path) => {
            let text = String::from_utf8(small(Path::new(path))?)
                .map_err(|_| anyhow!("{path} is not text"))?;
            Ok(text.trim_end().to_owned())
        }
        None => Ok(value.to_owned()),
    }
}

fn small(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = vec![];
    let read = fs::File::open(path)
        .and_then(|file| file.take(SMALL_FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.with_context(|| format!("{} cannot be read", path.display()))?;
    if bytes.len() as u64 > SMALL_FILE_BYTES_MAX {
        return Err(anyhow!("{} is larger than 1 MiB", path.display()));
    }
    Ok(bytes)
}
