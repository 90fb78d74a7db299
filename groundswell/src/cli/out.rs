//! Threads that print, so that nothing else waits for a reader.
//!
//! A terminal that is stopped and a pipe that nobody reads block whoever writes to them. Each of
//! the two streams has a thread for that and a bounded queue before it; what is durable waits for
//! room there without holding a thread, the rest is dropped. Type to read first: [`Printer`].

use std::{
    io::{self, Write},
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};

/// Pieces of text that may wait: with those of the event queue a second of a busy run.
const QUEUE_MAX: usize = 1_024;

/// Pieces that are written at once.
const BATCH_MAX: usize = 128;

/// How long a reader that stalls is waited for where nobody asked for what it gets.
pub(super) const STALL_MAX: Duration = Duration::from_secs(2);

/// What was asked for: standard output.
pub(super) static OUT: LazyLock<Printer> =
    LazyLock::new(|| Printer::start("print-out", || Box::new(io::stdout().lock()), note));

/// What is told besides: standard error.
pub(super) static ERR: LazyLock<Printer> = LazyLock::new(|| {
    Printer::start("print-err", || Box::new(io::stderr().lock()), |printed| printed.is_ok())
});

/// Why something that was asked for could not be printed, if anything could not.
static FAILURE: Mutex<Option<io::Error>> = Mutex::new(None);

/// Notes what came of printing something that was asked for, and says whether it is worth going on.
/// A reader that went away has what it wanted, and is no failure.
pub(super) fn note(printed: io::Result<()>) -> bool {
    let Err(error) = printed else { return true };
    if error.kind() == io::ErrorKind::BrokenPipe {
        return false;
    }
    FAILURE.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    true
}

/// The first failure that was noted, once.
pub(super) fn failure() -> Option<io::Error> {
    FAILURE.lock().unwrap_or_else(PoisonError::into_inner).take()
}

enum Piece {
    Text(String),
    /// Answered once all before it is printed.
    Mark(oneshot::Sender<()>),
}

/// A thread that prints to one stream.
pub(super) struct Printer {
    queue: mpsc::Sender<Piece>,
}

impl Printer {
    /// `note` is told what came of it, and says whether to print on.
    fn start(name: &str, stream: fn() -> Box<dyn Write>, note: fn(io::Result<()>) -> bool) -> Self {
        let (queue, mut pieces) = mpsc::channel(QUEUE_MAX);
        let print = move || {
            let mut batch = Vec::with_capacity(BATCH_MAX);
            // A reader that went away is no error worth a word; it just gets nothing more.
            let mut is_read = true;
            while pieces.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
                let mut text = String::new();
                let mut marks = vec![];
                for piece in batch.drain(..) {
                    match piece {
                        Piece::Text(piece) => text.push_str(&piece),
                        Piece::Mark(reached) => marks.push(reached),
                    }
                }
                if is_read && !text.is_empty() {
                    let mut stream = stream();
                    let printed = stream.write_all(text.as_bytes());
                    is_read = note(printed.and_then(|()| stream.flush()));
                }
                for reached in marks {
                    let _ = reached.send(());
                }
            }
        };
        // Without the thread the queue is closed, and what is printed goes nowhere.
        let _ = std::thread::Builder::new().name(name.to_owned()).spawn(print);
        Self { queue }
    }

    /// Prints a line, waiting for room in the queue.
    pub(super) async fn print(&self, mut line: String) {
        line.push('\n');
        let _ = self.queue.send(Piece::Text(line)).await;
    }

    /// Prints, or not if others wait already. Waits for nothing.
    pub(super) fn print_if_room(&self, text: String) {
        let _ = self.queue.try_send(Piece::Text(text));
    }

    /// Waits until all that was given is printed.
    pub(super) async fn flush(&self) {
        let (reached, is_reached) = oneshot::channel();
        if self.queue.send(Piece::Mark(reached)).await.is_ok() {
            let _ = is_reached.await;
        }
    }

    /// As [`Printer::flush`] outside of a runtime, and not longer than [`STALL_MAX`].
    pub(super) fn flush_for_a_while(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        if let Ok(runtime) = runtime {
            let _ = runtime.block_on(async { tokio::time::timeout(STALL_MAX, self.flush()).await });
        }
    }
}
