//! A push while it runs: what is printed meanwhile, and Ctrl-C.
//!
//! Nothing here or below waits for a reader without an end: whoever stopped reading can be left
//! with the first Ctrl-C after [`STALL_MAX`], and with the second at once.

use anyhow::Context as _;
use tokio::runtime::{Handle, RuntimeFlavor};

use super::{Failure, args::Output, display, failure};
use crate::{
    Push,
    cli::{
        follow,
        out::{ERR, OUT, STALL_MAX},
    },
    clock::Clock,
    push::{PushError, Summary},
};

/// Runs it to its end, and tells what comes of it.
pub(super) async fn drive(output: Output, mut push: Push) -> Result<Summary, Failure> {
    let stop = push.stopper();
    follow::listen(stop.clone()).context("cannot listen for Ctrl-C").map_err(Failure::disk)?;
    let events =
        (output == Output::Events).then(|| tokio::spawn(follow::print_events(push.subscribe())));
    let shown = display::follow(output, push.progress());
    let result = run(push).await;
    let told = async {
        if let Some(shown) = shown {
            shown.end().await;
        }
        if let Some(events) = events {
            let _ = events.await;
        }
        if let Ok(summary) = &result {
            display::summary(output, summary).await;
        }
        OUT.flush().await;
        ERR.flush().await;
    };
    let given_up = async {
        stop.cancelled().await;
        Clock::System.sleep(STALL_MAX, "stalled reader").await;
    };
    tokio::select! {
        () = told => {}
        () = given_up => {}
    }
    result.map_err(failure)
}

/// Among other threads the run is one of their tasks; its own thread would have to be woken for
/// every fact.
async fn run(push: Push) -> Result<Summary, PushError> {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => push.run().await,
        _ => tokio::spawn(push.run()).await.unwrap_or_else(|died| Err(PushError::Run(died.into()))),
    }
}
