//! What a command does while a run goes on: events as they come, and Ctrl-C.

use std::{io, process, thread};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::out::{ERR, OUT};
use crate::engine::hub::Events;

/// The exit code of a run that was interrupted.
pub(super) const EXIT_INTERRUPTED: u8 = 130;

/// One JSON line for each event.
pub(super) async fn print_events(mut events: Events) {
    while let Some(event) = events.recv().await {
        if let Ok(line) = serde_json::to_string(&event) {
            OUT.print(line).await;
        }
    }
}

/// Takes Ctrl-C and SIGTERM on a thread that does nothing else: the first one stops the run in
/// order, the second one ends the program, whatever hangs.
pub(super) fn listen(stop: CancellationToken) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupts, mut terminations) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let wait = async move {
        tokio::select! {
            _ = interrupts.recv() => {}
            _ = terminations.recv() => {}
        }
        stop.cancel();
        ERR.print_if_room(
            "stopping: open deliveries may end (30 s at most); Ctrl-C again stops at once\n"
                .to_owned(),
        );
        tokio::select! {
            _ = interrupts.recv() => {}
            _ = terminations.recv() => {}
        }
        // Whatever is open now is taken over by the next run.
        process::exit(i32::from(EXIT_INTERRUPTED));
    };
    thread::Builder::new()
        .name("interrupts".to_owned())
        .spawn(move || runtime.block_on(wait))
        .map(drop)
}
