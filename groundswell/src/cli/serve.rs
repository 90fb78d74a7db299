//! `groundswell serve`: drives the rollouts of a state directory and answers those who call.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use groundswell_core::rollout::IN_FLIGHT_LIMIT;
use tokio_util::sync::CancellationToken;

use super::{Failure, follow, print_line, tell_line, wire::Wire};
use crate::{
    Driver,
    access::Secret,
    clock::Clock,
    drive::IN_FLIGHT_MAX,
    server::{Server, ServerError, Setup, TlsFiles},
};

/// Arguments of `groundswell serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The first start makes the data directory and prints an admin token, once. Everything that `groundswell \
run` does is part of it.

Exit status: 0 stopped by Ctrl-C or SIGTERM, 2 bad input, 3 the state or the disk failed.")]
pub struct Args {
    /// Where to listen
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8080",
        env = "GROUNDSWELL_LISTEN"
    )]
    pub listen: SocketAddr,

    /// Where the state is kept
    #[arg(long, value_name = "DIR", default_value = crate::store::dir::DEFAULT,
          env = "GROUNDSWELL_DATA", visible_alias = "state")]
    pub data: PathBuf,

    /// The server's certificate, and those that lead from it to an authority (PEM)
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_key",
        env = "GROUNDSWELL_TLS_CERT",
        help_heading = "Listening"
    )]
    pub tls_cert: Option<PathBuf>,

    /// The private key of the certificate (PEM)
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_cert",
        env = "GROUNDSWELL_TLS_KEY",
        help_heading = "Listening"
    )]
    pub tls_key: Option<PathBuf>,

    /// Let only those connect whose certificate is of an authority in this file (PEM)
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_cert",
        env = "GROUNDSWELL_CLIENT_CA",
        help_heading = "Listening"
    )]
    pub client_ca: Option<PathBuf>,

    /// Listen without TLS also beyond this machine, where something in front has it
    #[arg(long, env = "GROUNDSWELL_ALLOW_PLAIN_HTTP", help_heading = "Listening")]
    pub allow_plain_http: bool,

    /// Deliveries open at once, of all rollouts
    #[arg(long, value_name = "N", default_value_t = IN_FLIGHT_MAX,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(IN_FLIGHT_LIMIT)))]
    pub max_in_flight: u32,

    /// How devices are talked to.
    #[command(flatten)]
    pub wire: Wire,
}

pub(super) fn run(args: &Args) -> ExitCode {
    match try_run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.about_state(&args.data).tell(),
    }
}

fn try_run(args: &Args) -> Result<(), Failure> {
    super::raise_open_files(args.max_in_flight)?;
    let http = args.wire.config().map_err(Failure::input)?;
    let driver =
        Driver::new(&args.data).http(http).in_flight_max(args.max_in_flight).called("serve");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("no runtime").map_err(Failure::disk)?;
    let result = runtime.block_on(serve(args, driver));
    runtime.shutdown_background();
    result
}

async fn serve(args: &Args, driver: Driver) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    follow::listen(stop.clone()).context("cannot listen for signals").map_err(Failure::disk)?;
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(cert), Some(key)) => Some(TlsFiles {
            cert: cert.clone(),
            key: key.clone(),
            client_ca: args.client_ca.clone(),
        }),
        _ => None,
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let setup = Setup {
        listen: args.listen,
        data: args.data.clone(),
        tls,
        allow_plain: args.allow_plain_http,
        limits: crate::api::Limits::default(),
        connections: crate::server::ConnectionLimits::default(),
    };
    let server = Server::bind(setup, driver, Clock::System).await.map_err(failure)?;
    let address = server.address().context("no address").map_err(Failure::disk)?;
    let begun = |first: Option<Secret>| {
        tell_line(&format!(
            "serving {} at {scheme}://{address}; Ctrl-C stops",
            args.data.display()
        ));
        if let Some(secret) = first {
            tell_line("the admin token, shown this once:");
            print_line(&secret.reveal());
        }
    };
    server.run(stop, begun).await.map_err(failure)
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
