//! What is told while a rollout goes on.
//!
//! Owns the words for the driver's events and for what it waits for. Times are those of the demo's
//! clock, as the wall clock in New York shows them. Type to read first: [`Teller`].

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use groundswell_core::{
    assignment::{SkipReason, State},
    event::{Event, Kind},
    hours::Zone,
    ids::RolloutId,
    presence::Presence,
    time::Time,
    waiting::{WaitingOn, span},
};

use super::{paint::Paint, scenario::Script, stage::Terminal};
use crate::{
    cli::{print_line, print_over},
    clock::Clock,
};

/// How long something is waited for, by the clock of whoever watches, before that is told: what
/// led to it is told by then, and what is over at once is not worth a word.
const WAIT_MIN: Duration = Duration::from_millis(150);

/// A rollout that is told of.
struct Followed {
    version: String,
    /// Whether that is what its terminals ran before.
    is_back: bool,
    /// Whether its last event has been told.
    is_ended: bool,
}

/// Tells what happens in one rollout, and in those that roll it back.
pub(super) struct Teller {
    rollouts: BTreeMap<RolloutId, Followed>,
    script: Script,
    zone: Zone,
    paint: Paint,
    /// What it waits for, since when by the clock of whoever watches, and whether that was told.
    waiting: Option<(String, Time, bool)>,
    /// When each terminal came online.
    arrivals: BTreeMap<String, Time>,
    /// The terminals that took what was sent, and those of them that failed.
    taken: BTreeSet<String>,
    harmed: Vec<String>,
    /// What the clock below the last line shows, on a terminal.
    shown: String,
}

impl Teller {
    pub(super) fn new(
        rollout: RolloutId,
        version: &str,
        script: Script,
        zone: Zone,
        paint: Paint,
    ) -> Self {
        let version = version.to_owned();
        let followed = Followed { version, is_back: false, is_ended: false };
        Self {
            rollouts: [(rollout, followed)].into(),
            script,
            zone,
            paint,
            waiting: None,
            arrivals: BTreeMap::new(),
            taken: BTreeSet::new(),
            harmed: vec![],
            shown: String::new(),
        }
    }

    /// From now on tells of a rollout, too, that takes terminals back to `version`.
    pub(super) fn follow_back(&mut self, rollout: RolloutId, version: &str) {
        let version = version.to_owned();
        self.rollouts.insert(rollout, Followed { version, is_back: true, is_ended: false });
    }

    /// Whether the last event of all that it tells of has been told.
    pub(super) fn is_ended(&self) -> bool {
        self.rollouts.values().all(|followed| followed.is_ended)
    }

    /// A line, with the time before it.
    pub(super) fn line(&self, at: Time, text: &str) {
        print_line(&format!("  {}  {text}", self.paint.dim(&self.zone.local_text(at, at))));
    }

    /// Shows on a terminal how time goes by, below the last line.
    pub(super) fn show_clock(&mut self, now: Time) {
        let text = self.zone.local_text(now, now);
        if !self.paint.is_plain && text != self.shown {
            print_over(&format!("  {}", self.paint.dim(&text)));
            self.shown = text;
        }
    }

    /// Takes the clock away, for whoever else prints.
    pub(super) fn hide_clock(&mut self) {
        if !self.paint.is_plain {
            print_over("");
            self.shown.clear();
        }
    }

    /// A line about a terminal.
    pub(super) fn device_line(&self, at: Time, terminal: &Terminal, text: &str) {
        let id = &terminal.device.id;
        let own = match self.script {
            Script::Night => format!("  ({} there)", terminal.zone.local_text(at, at)),
            Script::Watch | Script::Homecoming | Script::Undoing => String::new(),
        };
        self.line(at, &format!("{id:<19}  {text}{}", self.paint.dim(&own)));
    }

    /// A terminal comes online.
    pub(super) fn comes_online(&mut self, at: Time, terminal: &Terminal) {
        self.arrivals.insert(terminal.device.id.clone(), at);
        let text = self.paint.bold("comes online, and checks in");
        self.device_line(at, terminal, &text);
    }

    /// Tells an event of a rollout that it follows.
    pub(super) fn event(&mut self, event: &Event, terminals: &[Terminal]) {
        let Some(followed) = self.rollouts.get_mut(&event.rollout) else { return };
        followed.is_ended |= is_last(&event.kind);
        let (version, is_back) = (followed.version.clone(), followed.is_back);
        let at = event.at;
        match &event.kind {
            Kind::Progress(progress) => self.waits(at, &progress.waiting_on),
            Kind::RolloutPrepared { devices } => {
                let devices = terminals_in_words(*devices);
                let back = format!("{devices} to go back to {version}");
                self.line(at, &if is_back { back } else { format!("{devices} chosen") });
            }
            Kind::WaveOpened { wave, of, devices } => {
                let devices = terminals_in_words(*devices);
                self.line(at, &format!("wave {wave} of {of} opens: {devices}"));
            }
            Kind::WaveEnded { wave, of } => {
                self.line(at, &format!("wave {wave} of {of} has ended, and is watched"));
            }
            Kind::GateRuled { wave, of, verdict } => {
                self.line(at, &format!("gate of wave {wave} of {of}: {verdict}"));
            }
            Kind::RolloutPaused { .. } | Kind::RolloutAborting { .. } => {
                // The evidence has a line of its own.
                for line in event.to_string().splitn(2, ": ") {
                    self.line(at, &self.paint.red(line));
                }
            }
            Kind::RolloutAborted { counts } if !self.harmed.is_empty() => {
                let harmed = self.harmed.join(", ");
                self.line(at, &self.paint.red(&format!("harmed: {harmed}")));
                let spared = counts.total().saturating_sub(self.taken.len() as u64);
                self.line(at, &format!("spared: {}, never sent to", terminals_in_words(spared)));
            }
            of_device => {
                self.remember(of_device);
                let again = if is_back { " again" } else { "" };
                self.device_event(at, of_device, (&version, again), terminals);
            }
        }
    }

    /// Keeps in mind who takes what is sent and who fails, in whichever rollout.
    fn remember(&mut self, kind: &Kind) {
        match kind {
            Kind::AttemptAccepted { device, .. } => drop(self.taken.insert(device.to_string())),
            Kind::AttemptFailed { device, state, .. } if state.is_failure() => {
                self.harmed.push(device.to_string());
            }
            _ => {}
        }
    }

    /// Tells what a terminal does; what is about none is not worth a word.
    fn device_event(
        &self,
        at: Time,
        kind: &Kind,
        (version, again): (&str, &str),
        terminals: &[Terminal],
    ) {
        let away = |device: &str| last_seen(device, terminals, at);
        let (device, text) = match kind {
            Kind::AttemptAccepted { device, .. } => {
                (device, format!("takes {version}{again}, and reboots"))
            }
            Kind::AttemptSucceeded { device, state: State::Succeeded, .. } => {
                let after = self.arrivals.get(&**device).map(|came_at| span(at.since(*came_at)));
                let after = after.map(|span| format!(", {span} after it came")).unwrap_or_default();
                let runs = self.paint.green(&format!("runs {version}{again}"));
                (device, format!("{runs}{after}"))
            }
            Kind::AttemptSucceeded { device, state, .. }
            | Kind::DeviceEnded { device, state, .. } => match state {
                State::Skipped(SkipReason::Offline) => {
                    (device, format!("is left alone: {}", away(device)))
                }
                other => (device, other.to_string()),
            },
            Kind::DeviceAway { device, detail, .. } if detail.is_empty() => {
                (device, format!("is waited for: {}", away(device)))
            }
            Kind::DeviceAway { device, detail, .. } => (device, format!("is waited for: {detail}")),
            Kind::AttemptFailed { device, state, detail, .. } => {
                // The body of its answer is for whoever mends it.
                let detail = detail.split(": {").next().unwrap_or_default();
                (device, self.paint.red(&format!("{state}: {detail}")))
            }
            Kind::AttemptUnanswered { device, detail, .. } => {
                (device, format!("gave no answer ({detail})"))
            }
            _ => return,
        };
        self.about(at, device, terminals, &text);
    }

    fn about(&self, at: Time, device: &str, terminals: &[Terminal], text: &str) {
        match terminals.iter().find(|terminal| terminal.device.id == device) {
            Some(terminal) => self.device_line(at, terminal, text),
            None => self.line(at, &format!("{device:<19}  {text}")),
        }
    }

    /// Tells what it waits for, when that is something else than before.
    fn waits(&mut self, now: Time, waiting_on: &[WaitingOn]) {
        let Some(reason) = most_telling(waiting_on) else { return self.waiting = None };
        let (key, words) = match reason {
            WaitingOn::Soak { wave, of, until, .. } if wave + 1 < *of => {
                let at = self.zone.local_text(*until, now);
                let left = span(until.since(now));
                (format!("soak {wave}"), format!("wave {} opens at {at}, in {left}", wave + 2))
            }
            WaitingOn::Soak { until, .. } => {
                let left = span(until.since(now));
                ("soak of the last".to_owned(), format!("the last wave is judged in {left}"))
            }
            WaitingOn::Hours { zone, .. } => (format!("hours {zone}"), reason.in_words(now)),
            WaitingOn::Away { away, absent, .. } => {
                let away = away + absent;
                let is = if away == 1 { "is" } else { "are" };
                let words =
                    format!("{} {is} away: updated when heard of", terminals_in_words(away));
                (format!("away {away}"), words)
            }
            WaitingOn::Domain { devices, .. } => {
                let devices = terminals_in_words(*devices);
                let words = format!("{devices}, until nobody of their region is out of order");
                (format!("domain {devices}"), words)
            }
            other => (format!("{other:?}"), other.in_words(now)),
        };
        let at = Clock::System.now();
        match &mut self.waiting {
            Some((known, since, is_told)) if *known == key => {
                if !*is_told && at.since(*since) >= WAIT_MIN {
                    *is_told = true;
                    self.line(now, &self.paint.dim(&format!("waits: {words}")));
                }
            }
            _ => self.waiting = Some((key, at, false)),
        }
    }
}

/// What to tell of all that is waited for: of the windows that open next the one for the most.
fn most_telling(waiting_on: &[WaitingOn]) -> Option<&WaitingOn> {
    let first = waiting_on.iter().find(|reason| is_worth_a_word(reason))?;
    let WaitingOn::Hours { opens_at: next, .. } = first else { return Some(first) };
    let devices = |reason: &WaitingOn| match reason {
        WaitingOn::Hours { devices, opens_at, .. } if opens_at == next => *devices,
        _ => 0,
    };
    // Of several the first: those that come last in the list win a tie.
    waiting_on.iter().rev().max_by_key(|reason| devices(reason))
}

/// Whether it takes longer than a blink.
const fn is_worth_a_word(reason: &WaitingOn) -> bool {
    matches!(
        reason,
        WaitingOn::Soak { .. }
            | WaitingOn::Hours { .. }
            | WaitingOn::Deadline { .. }
            | WaitingOn::Away { .. }
            | WaitingOn::NothingToJudge { .. }
            | WaitingOn::Paused(_)
            | WaitingOn::Braked(_)
            | WaitingOn::Busy { .. }
            | WaitingOn::Domain { .. }
    )
}

/// Whether nothing comes after it.
const fn is_last(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::RolloutCompleted { .. }
            | Kind::RolloutFailed { .. }
            | Kind::RolloutCanceled { .. }
            | Kind::RolloutAborted { .. }
    )
}

fn terminals_in_words(count: u64) -> String {
    if count == 1 { "1 terminal".to_owned() } else { format!("{count} terminals") }
}

/// When a terminal was last heard of.
fn last_seen(device: &str, terminals: &[Terminal], now: Time) -> String {
    let terminal = terminals.iter().find(|terminal| terminal.device.id == device);
    let presence = terminal.map(|terminal| terminal.device.presence(now));
    match presence {
        Some(Presence::Offline { since }) => format!("offline for {}", span(now.since(since))),
        Some(other) => other.to_string(),
        None => "unknown".to_owned(),
    }
}
