//! What the program says of itself while it works: `tracing` to standard error.
//!
//! `RUST_LOG` says how much, as `tracing_subscriber` reads it; warnings and errors by default.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
};

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::filter_fn,
    fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter, format::Writer},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use super::out::ERR;

/// Crates that hold requests in their hands. Whether their finer levels show header values
/// depends on features that another crate may switch on, so these levels stay off.
const CAPPED: [&str; 5] = ["hyper", "hyper_util", "reqwest", "rustls", "tokio_rustls"];

/// Starts the log. Whoever uses the command line from a program with a log of its own keeps it.
pub(super) fn start() {
    #[expect(clippy::disallowed_methods, reason = "the command line's edge")]
    let wanted = std::env::var("RUST_LOG").unwrap_or_default();
    let wanted = if wanted.is_empty() { "warn" } else { &wanted };
    // A level that cannot be read is told and left out: no reason not to push.
    let filter = EnvFilter::builder().parse(wanted).unwrap_or_else(|error| {
        super::tell_line(&format!("note: RUST_LOG: {error}"));
        EnvFilter::new("warn")
    });
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(Lines)
        .with_ansi(io::stderr().is_terminal())
        .event_format(Words);
    let _ = tracing_subscriber::registry()
        .with(lines.with_filter(filter).with_filter(filter_fn(is_safe)))
        .try_init();
}

/// Whether it may be told at all.
fn is_safe(metadata: &Metadata<'_>) -> bool {
    let name = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() <= Level::INFO || !CAPPED.contains(&name)
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.target().split("::").next() == Some("groundswell")
}

/// As errors are told: what it is, where it comes from if that is no warning, and the text.
struct Words;

impl<S, N> FormatEvent<S, N> for Words
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let target = event.metadata().target();
        match *event.metadata().level() {
            Level::ERROR => write!(writer, "error: ")?,
            Level::WARN => write!(writer, "warning: ")?,
            Level::INFO => write!(writer, "info: {target}: ")?,
            Level::DEBUG => write!(writer, "debug: {target}: ")?,
            Level::TRACE => write!(writer, "trace: {target}: ")?,
        }
        context.field_format().format_fields(writer.by_ref(), event)?;
        // Which request it is about.
        for span in
            context.event_scope().into_iter().flatten().filter(|span| is_ours(span.metadata()))
        {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                write!(writer, " ({} {fields})", span.name())?;
            }
        }
        writeln!(writer)
    }
}

/// Hands each line to the thread that prints: a log is no reason for a run to wait.
struct Lines;

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(String::new())
    }
}

struct Line(String);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push_str(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        ERR.print_if_room(std::mem::take(&mut self.0));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn what_may_hold_headers_is_capped() {
        static TOLD: AtomicUsize = AtomicUsize::new(0);
        let count = filter_fn(|metadata| {
            TOLD.fetch_add(usize::from(is_safe(metadata)), Ordering::Relaxed);
            false
        });
        let told = |log: fn()| {
            let before = TOLD.load(Ordering::Relaxed);
            log();
            TOLD.load(Ordering::Relaxed) > before
        };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(count), || {
            assert!(!told(|| tracing::trace!(target: "hyper::proto::h1", "secret")));
            assert!(!told(|| tracing::debug!(target: "rustls::client", "secret")));
            assert!(told(|| tracing::warn!(target: "hyper", "fine")));
            assert!(told(|| tracing::trace!(target: "groundswell::engine", "fine")));
            assert!(told(|| tracing::debug!(target: "hyperspace", "fine")));
        });
    }
}
