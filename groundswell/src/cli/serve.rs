//! `groundswell serve`: drives the rollouts of a state directory and answers those who call.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use groundswell_core::rollout::IN_FLIGHT_LIMIT;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Failure, config::variable, follow, print_line, tell_line, wire::Wire};
use crate::{
    Driver,
    access::Secret,
    clock::Clock,
    config::{Config, Given, Settings},
    server::{Server, ServerError},
};

/// Arguments of `groundswell serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The first start makes the data directory and prints an admin token, once. Everything that `groundswell \
run` does is part of it. Every setting also has a variable, and most have a place in the file alone: \
`groundswell config example` prints all of them.

Exit status: 0 stopped by Ctrl-C or SIGTERM, 2 bad input, 3 the state or the disk failed, 130 stopped \
at once by a second Ctrl-C or SIGTERM.")]
pub struct Args {
    /// The file of settings; flags and the environment go before it
    #[arg(long, value_name = "FILE", env = "GROUNDSWELL_CONFIG")]
    pub config: Option<PathBuf>,

    /// Where to listen [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,

    /// Where the state is kept [default: groundswell-data]
    #[arg(long, value_name = "DIR", visible_alias = "state")]
    pub data: Option<PathBuf>,

    /// The server's certificate, and those that lead from it to an authority (PEM)
    #[arg(long, value_name = "FILE", help_heading = "Listening")]
    pub tls_cert: Option<PathBuf>,

    /// The private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", help_heading = "Listening")]
    pub tls_key: Option<PathBuf>,

    /// Let only those connect whose certificate is of an authority in this file (PEM)
    #[arg(long, value_name = "FILE", help_heading = "Listening")]
    pub client_ca: Option<PathBuf>,

    /// Listen without TLS also beyond this machine, where something in front has it
    #[arg(long, help_heading = "Listening")]
    pub allow_plain_http: bool,

    /// Let devices and gates be in this network, though it is link-local or of this machine
    #[arg(long = "allow-network", value_name = "NETWORK", help_heading = "Device")]
    pub allow_networks: Vec<String>,

    /// Deliveries open at once, of all rollouts [default: 1000]
    #[arg(long, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(IN_FLIGHT_LIMIT)))]
    pub max_in_flight: Option<u32>,

    /// How devices are talked to.
    #[command(flatten)]
    pub wire: Wire,
}

impl Args {
    fn settings(&self) -> Result<Settings, Failure> {
        let file = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let mut flags: Vec<(&'static str, Given)> = [
            ("listen", self.listen.map(|listen| listen.to_string())),
            ("data", file(&self.data)),
            ("tls.cert", file(&self.tls_cert)),
            ("tls.key", file(&self.tls_key)),
            ("tls.client_ca", file(&self.client_ca)),
            ("allow_plain_http", self.allow_plain_http.then(|| "true".to_owned())),
            ("max_in_flight", self.max_in_flight.map(|max| max.to_string())),
        ]
        .into_iter()
        .filter_map(|(key, text)| Some((key, Given::Text(text?))))
        .collect();
        if !self.allow_networks.is_empty() {
            flags.push(("networks.allow", Given::List(self.allow_networks.clone())));
        }
        flags.extend(self.wire.given());
        Settings::gather(self.config.as_deref(), variable, flags)
            .map_err(|error| Failure::input(error.into()))
    }
}

pub(super) fn run(args: &Args) -> ExitCode {
    let settings = match args.settings() {
        Ok(settings) => settings,
        Err(failure) => return failure.tell(),
    };
    match try_run(&settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.about_state(&settings.data()).tell(),
    }
}

fn try_run(settings: &Settings) -> Result<(), Failure> {
    let config = settings.resolve(variable).map_err(|error| Failure::input(error.into()))?;
    super::raise_open_files(config.max_in_flight)?;
    let driver = Driver::new(&config.setup.data)
        .http(config.http.clone())
        .in_flight_max(config.max_in_flight)
        .called("serve");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("no runtime").map_err(Failure::disk)?;
    let result = runtime.block_on(serve(config, driver));
    runtime.shutdown_background();
    result
}

async fn serve(config: Config, driver: Driver) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    follow::listen(stop.clone()).context("cannot listen for signals").map_err(Failure::disk)?;
    tokio::spawn(hangups(
        signal(SignalKind::hangup()).context("cannot listen for signals").map_err(Failure::disk)?,
    ));
    let scheme = if config.setup.tls.is_some() { "https" } else { "http" };
    let data = config.setup.data.clone();
    let server = Server::bind(config.setup, driver, Clock::System).await.map_err(failure)?;
    let address = server.address().context("no address").map_err(Failure::disk)?;
    let begun = |first: Option<Secret>| {
        tell_line(&format!("serving {} at {scheme}://{address}; Ctrl-C stops", data.display()));
        if let Some(secret) = first {
            tell_line("the admin token, shown this once:");
            print_line(&secret.reveal());
        }
    };
    server.run(stop, begun).await.map_err(failure)
}

/// Goes on where a SIGHUP would end the program in the middle: whoever sends one wants settings to be
/// read anew.
async fn hangups(mut signals: Signal) {
    while signals.recv().await.is_some() {
        tracing::warn!(
            "SIGHUP changes nothing: certificates are read anew by themselves, all other settings by a \
             new start"
        );
    }
}

fn failure(error: ServerError) -> Failure {
    match error {
        ServerError::Plain { .. } | ServerError::Listen { .. } | ServerError::Tls(_) => {
            Failure::input(error.into())
        }
        ServerError::Drive(crate::drive::DriveError::Http(_)) => Failure::input(error.into()),
        ServerError::Drive(error) => Failure::disk(error.into()),
        ServerError::State(_) | ServerError::Died(_) => Failure::disk(error.into()),
    }
}
