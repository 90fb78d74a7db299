//! A push while it runs: what is printed meanwhile, and Ctrl-C.
//!
//! Nothing here or below waits for a reader without an end: whoever stopped reading can be left
//! with the first Ctrl-C after [`STALL_MAX`], and with the second at once.

use std::{io, thread};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{EXIT_INTERRUPTED, Failure, args::Output, display, failure};
use crate::{
    Push,
    cli::out::{ERR, OUT, STALL_MAX},
    clock::Clock,
    engine::hub::Events,
    push::Summary,
};

/// Runs it to its end, and tells what comes of it.
pub(super) async fn drive(output: Output, mut push: Push) -> Result<Summary, Failure> {
    let stop = push.stopper();
    listen(stop.clone()).context("cannot listen for Ctrl-C").map_err(Failure::disk)?;
    let events = (output == Output::Events).then(|| tokio::spawn(print_events(push.subscribe())));
    let shown = display::follow(output, push.progress());
    let result = push.run().await;
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

/// One JSON line for each event.
async fn print_events(mut events: Events) {
    while let Some(event) = events.recv().await {
        if let Ok(line) = serde_json::to_string(&event) {
            OUT.print(line).await;
        }
    }
}

/// Takes Ctrl-C on a thread that does nothing else: the first one stops the push in order, the
/// second one ends the program, whatever hangs.
fn listen(stop: CancellationToken) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut interrupts = {
        let _inside = runtime.enter();
        signal(SignalKind::interrupt())?
    };
    let wait = async move {
        interrupts.recv().await;
        stop.cancel();
        ERR.print_if_room(
            "stopping: open deliveries may end (30 s at most); Ctrl-C again stops at once\n"
                .to_owned(),
        );
        interrupts.recv().await;
        // Whatever is open now is taken over by the next run.
        std::process::exit(i32::from(EXIT_INTERRUPTED));
    };
    thread::Builder::new()
        .name("interrupts".to_owned())
        .spawn(move || runtime.block_on(wait))
        .map(drop)
}
