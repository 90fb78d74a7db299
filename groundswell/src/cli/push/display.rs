//! What an operator sees of a push: a bar on a terminal, plain lines elsewhere, the account at
//! the end.

use std::{
    fmt::Write as _,
    io::IsTerminal,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use groundswell_core::{progress::Progress, rollout::PauseReason, time::Time, waiting::WaitingOn};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use tokio::sync::{oneshot, watch};

use super::args::Output;
use crate::{
    cli::out::{ERR, OUT, STALL_MAX},
    clock::Clock,
    push::{PushResult, Summary},
    units::Bytes,
};

/// Between two plain lines of progress.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Between two states of the bar, as often as there is progress to tell.
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// Reasons of failure that are shown; `--output json` has them all.
const REASONS_MAX: usize = 10;

/// What shows the progress of a run, on a thread of its own: the run never waits for a terminal.
pub(super) struct Shown {
    end: mpsc::Sender<()>,
    has_ended: oneshot::Receiver<()>,
}

impl Shown {
    /// Takes the progress away again; a terminal that stalls is not waited for.
    pub(super) async fn end(self) {
        drop(self.end);
        let _ = tokio::time::timeout(STALL_MAX, self.has_ended).await;
    }
}

/// Shows progress on standard error, unless another program reads what we print.
pub(super) fn follow(output: Output, progress: watch::Receiver<Progress>) -> Option<Shown> {
    let (end, is_over) = mpsc::channel();
    let (ended, has_ended) = oneshot::channel();
    let show = move || {
        if std::io::stderr().is_terminal() {
            bar(progress, &is_over);
        } else {
            lines(progress, &is_over);
        }
        let _ = ended.send(());
    };
    (output == Output::Text).then(|| {
        // Without the thread there is nothing to see, and nothing else is wrong.
        let _ = thread::Builder::new().name("progress".to_owned()).spawn(show);
        Shown { end, has_ended }
    })
}

fn bar(mut progress: watch::Receiver<Progress>, is_over: &mpsc::Receiver<()>) {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(8));
    if let Ok(style) = ProgressStyle::with_template("{bar:20} {pos}/{len}  {wide_msg}") {
        bar.set_style(style.progress_chars("━╸ "));
    }
    while is_over.recv_timeout(DRAW_EVERY) == Err(RecvTimeoutError::Timeout) {
        let now = progress.borrow_and_update().clone();
        bar.set_length(now.counts.total());
        bar.set_position(now.counts.ended());
        bar.set_message(words(&now));
    }
    bar.finish_and_clear();
}

fn lines(mut progress: watch::Receiver<Progress>, is_over: &mpsc::Receiver<()>) {
    while is_over.recv_timeout(LINE_EVERY) == Err(RecvTimeoutError::Timeout) {
        let now = progress.borrow_and_update().clone();
        if now.counts.total() > 0 {
            let (ended, total) = (now.counts.ended(), now.counts.total());
            super::super::tell_line(&format!("{ended} of {total} devices  {}", words(&now)));
        }
    }
}

/// Rate, time left, what is under way and what failed.
fn words(progress: &Progress) -> String {
    let Progress { counts, in_flight, sent_bytes, ended_per_sec, eta, waiting_on, .. } = progress;
    let mut words = format!("{ended_per_sec:.0}/s");
    match eta {
        Some(eta) if counts.total() > counts.ended() => {
            let _ = write!(words, ", about {} left", in_words(*eta));
        }
        _ => {}
    }
    let _ = write!(words, "  {in_flight} in flight");
    if counts.verifying > 0 {
        let _ = write!(words, ", {} verifying", counts.verifying);
    }
    if counts.retrying > 0 {
        let _ = write!(words, ", {} to be retried", counts.retrying);
    }
    let _ = write!(words, ", {} failed, {} sent", counts.failures(), Bytes(*sent_bytes));
    if *in_flight == 0
        && let Some(reason) = waiting_on.first()
        && !matches!(reason, WaitingOn::Active { .. })
    {
        let _ = write!(words, "  [{}]", reason.in_words(Clock::System.now()));
    }
    words
}

/// The account at the end: what was asked for on standard output, and on standard error what a
/// person must know besides.
pub(super) async fn summary(output: Output, summary: &Summary) {
    let text = text(summary).trim_end().to_owned();
    match output {
        Output::Text => OUT.print(text).await,
        Output::Json => {
            let json = serde_json::to_string_pretty(summary);
            OUT.print(json.unwrap_or_else(|error| format!("error: {error}"))).await;
            if let Some(error) = &summary.state_error {
                ERR.print(format!("error: {error}")).await;
            }
        }
        Output::Events => {
            let last = Last { at: Clock::System.now(), event: "summary", summary };
            let json = serde_json::to_string(&last);
            OUT.print(json.unwrap_or_else(|error| format!("error: {error}"))).await;
            ERR.print(text).await;
        }
    }
}

/// The last line of `--output events`: the account, in the form of an event.
#[derive(Serialize)]
struct Last<'a> {
    at: Time,
    event: &'static str,
    #[serde(flatten)]
    summary: &'a Summary,
}

/// The account as people read it.
fn text(summary: &Summary) -> String {
    let Summary { counts, release, .. } = summary;
    let mut text = String::new();
    let total = counts.total();
    let updated = counts.succeeded + counts.current;
    let head = match summary.result {
        PushResult::Completed => "done",
        PushResult::Failed => "ended with failures",
        PushResult::Paused => "STOPPED: the rest is not sent",
        PushResult::Interrupted => "interrupted: the same command goes on",
        PushResult::StoreFailed => "STOPPED: the state cannot be written",
        PushResult::AlreadyDone => "already done",
    };
    let _ = writeln!(text, "{} {}: {head}", release.name, release.version);
    let _ = write!(text, "  {updated} of {total} devices have it");
    if counts.current > 0 {
        let _ = write!(text, " ({} had it already)", counts.current);
    }
    if summary.result != PushResult::AlreadyDone {
        let secs = (summary.duration_ms as f64 / 1_000.0).max(0.001);
        let took = in_words(Duration::from_millis(summary.duration_ms));
        let bytes = Bytes(summary.sent_bytes);
        let rate = summary.ended_now as f64 / secs;
        let _ = write!(text, "; {took}, {bytes} sent, {rate:.0} devices/s");
    }
    text.push('\n');
    open(&mut text, summary);
    failures(&mut text, summary);
    hints(&mut text, summary);
    text
}

fn open(text: &mut String, summary: &Summary) {
    let counts = &summary.counts;
    for (count, what) in [
        (summary.not_sent, "not sent"),
        (counts.delivering, "being sent to when the run ended"),
        (counts.verifying, "sent to, not verified yet"),
        (counts.retrying, "to be tried again"),
        (counts.canceled, "given up"),
    ] {
        if count > 0 {
            let _ = writeln!(text, "  {count} {what}");
        }
    }
}

fn failures(text: &mut String, summary: &Summary) {
    let failed = summary.counts.failures();
    if failed == 0 {
        return;
    }
    let _ = writeln!(text, "  {failed} failed:");
    for group in summary.failures.iter().take(REASONS_MAX) {
        let more = if group.devices > group.examples.len() as u64 { ", ..." } else { "" };
        let examples = group.examples.join(", ");
        let _ = write!(text, "  {:>7}  {}", group.devices, group.reason);
        if let Some(detail) = &group.detail {
            let link = if group.is_varied { ", such as" } else { ":" };
            let _ = write!(text, "{link} {detail}");
        }
        let _ = writeln!(text, " ({examples}{more})");
    }
    let hidden: u64 = summary.failures.iter().skip(REASONS_MAX).map(|group| group.devices).sum();
    if hidden > 0 {
        let _ = writeln!(text, "  {hidden:>7}  for other reasons (--output json lists them all)");
    }
}

fn hints(text: &mut String, summary: &Summary) {
    if let Some(error) = &summary.state_error {
        let _ = writeln!(text, "  state: {error}");
    }
    match summary.result {
        PushResult::Paused => {
            for reason in &summary.paused {
                let _ = match reason {
                    PauseReason::Gate => writeln!(text, "  not every canary succeeded"),
                    _ => writeln!(text, "  stopped by the {reason}"),
                };
            }
            let is_canary = summary.paused.contains(&PauseReason::Gate);
            let how = if is_canary { "without --canary" } else { "with a higher --max-failures" };
            let _ = writeln!(
                text,
                "  to go on with the rest: the same command {how}; to give it up: push another \
                 release with --abandon"
            );
        }
        PushResult::AlreadyDone | PushResult::Failed if summary.counts.failures() > 0 => {
            text.push_str("  the same command with --retry-failed tries these again\n");
        }
        PushResult::StoreFailed => {
            text.push_str("  make room and run the same command: it goes on where it was\n");
        }
        _ => {}
    }
}

/// A duration as people say it, such as `8.2 s`, `5 min 12 s` or `3 h 05 min`.
fn in_words(duration: Duration) -> String {
    let secs = duration.as_secs();
    match secs {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{secs} s"),
        60..3_600 => format!("{} min {:02} s", secs / 60, secs % 60),
        _ => format!("{} h {:02} min", secs / 3_600, secs % 3_600 / 60),
    }
}
