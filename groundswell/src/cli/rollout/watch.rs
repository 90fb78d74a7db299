//! `groundswell rollout watch`: in place on a terminal, a line for each change elsewhere.

use std::{fmt::Write as _, time::Duration};

use groundswell_core::{
    progress::RateMeter, rollout::State as Stands, snapshot::Counts, time::Time, waiting::span,
};

use super::{
    super::{
        Failure, is_terminal,
        place::{Dir, Place},
        print,
        state::{self, Output, Told},
        terminal_size,
        text::{counts, first_lines, wrap},
    },
    show,
};
use crate::{
    clock::Clock,
    operate::{Overview, Reason, State},
    store::Unfinished,
};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// No line of a drawing may wrap, or its lines could not be counted (DECAWM): a terminal that became
/// narrower cuts what was made to fit.
const WRAP_OFF: &str = "\x1b[?7l";
const WRAP_ON: &str = "\x1b[?7h";

/// Shows a rollout until it has ended, or nobody reads on.
pub(super) fn watch(on: &state::On, rollout: &str) -> Result<u8, Told> {
    let mut meter = RateMeter::default();
    let mut shown = Shown::default();
    let mut known = Known::default();
    let place = on.place()?;
    loop {
        let now = Clock::System.now();
        let (overview, per_sec) = match &place {
            Place::Dir(dir) => look(dir, rollout, &mut meter, &mut known, now)?,
            // It knows how fast its rollouts go.
            Place::Server(_) => (place.shown(rollout, now)?.overview, 1.0),
        };
        let is_read = shown.show(on, &overview, per_sec, now).map_err(Failure::disk)?;
        match overview.state {
            Stands::Completed => return Ok(0),
            state if state.is_ended() || !is_read => return Ok(u8::from(state.is_ended())),
            _ => std::thread::sleep(LOOK_EVERY),
        }
    }
}

/// Looks at a state directory, anew every time: what is looked at is not to hold anybody up meanwhile.
fn look(
    dir: &Dir,
    rollout: &str,
    meter: &mut RateMeter,
    known: &mut Known,
    now: Time,
) -> Result<(Overview, f64), Told> {
    let state = dir.look()?;
    let record = state.find_rollout(rollout)?;
    let ended = state.overview(&record, 0.0, now)?.counts.ended();
    meter.observe(now, ended);
    let per_sec = meter.per_sec(now, ended);
    let mut overview = state.overview(&record, per_sec, now)?;
    known.complete(&state, &mut overview)?;
    Ok((overview, per_sec))
}

/// What takes more than a look at the rollout itself to tell, and so is not looked up every time.
#[derive(Default)]
struct Known {
    /// Of which round earlier ones were counted.
    round: u32,
    before: Option<Counts>,
    /// How many had failed or were skipped when they were looked at.
    short: u64,
    failed: Vec<Reason>,
    skipped: Vec<Reason>,
    failures: Vec<Unfinished>,
    regressed: Vec<Unfinished>,
}

impl Known {
    /// Adds it to an overview. Those that failed are shown when it stands still; while it runs
    /// there may be more every second.
    fn complete(&mut self, state: &State, overview: &mut Overview) -> Result<(), Told> {
        if self.round != overview.round {
            state.look_back(overview)?;
            *self = Self { round: overview.round, before: overview.before, ..Self::default() };
        }
        overview.before = self.before;
        if overview.state == Stands::Paused || overview.state.is_ended() {
            let short = overview.counts.harmed() + overview.counts.skipped;
            if self.short != short {
                state.look_at_failures(overview)?;
                self.short = short;
                self.failed.clone_from(&overview.failed);
                self.skipped.clone_from(&overview.skipped);
                self.failures.clone_from(&overview.failures);
                self.regressed.clone_from(&overview.regressed);
            }
            overview.failed.clone_from(&self.failed);
            overview.skipped.clone_from(&self.skipped);
            overview.failures.clone_from(&self.failures);
            overview.regressed.clone_from(&self.regressed);
        }
        Ok(())
    }
}

/// What was shown last.
#[derive(Default)]
struct Shown {
    /// Lines on the terminal.
    lines: usize,
    /// Without what changes by itself.
    last: String,
}

impl Shown {
    /// Shows it if there is anything new, and says whether anybody reads.
    fn show(
        &mut self,
        on: &state::On,
        overview: &Overview,
        per_sec: f64,
        now: Time,
    ) -> anyhow::Result<bool> {
        if on.output() == Output::Text && is_terminal() {
            return Ok(self.draw(&show::show_briefly(on, overview, now)));
        }
        let settled = Overview { eta_secs: None, ..overview.clone() };
        let settled = serde_json::to_string(&settled)?;
        if settled == self.last {
            return Ok(true);
        }
        self.last = settled;
        Ok(match on.output() {
            Output::Text => print(&format!("{}\n", line(overview, per_sec, now))),
            Output::Json => print(&format!("{}\n", serde_json::to_string(overview)?)),
        })
    }

    /// Over what was drawn before: no more than fits, or it could not be drawn over.
    fn draw(&mut self, text: &str) -> bool {
        let (columns, rows) = terminal_size();
        // The cursor stands in the line below.
        let text = &first_lines(&wrap(text, columns), rows.saturating_sub(1).max(1));
        let up = match self.lines {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\x1b[J"),
        };
        self.lines = text.lines().count();
        let text = text.trim_end();
        print(&format!("{up}{WRAP_OFF}{text}\n{WRAP_ON}"))
    }
}

/// All that matters on one line.
fn line(overview: &Overview, per_sec: f64, now: Time) -> String {
    let Overview { counts: all, state, .. } = overview;
    let mut line = format!("{now} {state}");
    if all.total() > 0 {
        let _ = write!(line, ": {} of {} ended", all.ended(), all.total());
        let _ = write!(line, " ({})", counts(all));
    }
    if let Some(secs) = overview.eta_secs.filter(|_| per_sec > 0.0) {
        let _ = write!(line, ", about {} left", span(Duration::from_secs(secs)));
    }
    if let Some(reason) = show::sentences(&overview.waiting_on, now).first() {
        let _ = write!(line, "; {reason}");
    }
    if !overview.is_driven && state.is_driven() {
        line.push_str("; nothing drives it");
    }
    line
}
