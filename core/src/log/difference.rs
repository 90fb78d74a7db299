//! What did not come out as it was recorded, in words: the fields that differ, and no others.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{
    assignment::{Assignment, Fact},
    gate,
    hours::Phase,
    log::Becomes,
    outcome::{Answer, Outcome},
    plan::{Change, Plan, Sweep, SweepReason},
    rollout::{Progression, Wave},
    snapshot::{Cohort, Counts},
    time::Time,
};

/// So many fields are told; one that differs says where to look, and a hundred say no more.
const FIELDS_MAX: usize = 6;

/// Fields that differ, each such as `succeeded: recorded 5, follows 4`.
pub(super) struct Differences {
    recorded: &'static str,
    now: &'static str,
    all: Vec<String>,
}

impl Differences {
    /// Of what was `recorded`, and what `follows` from the rest, or is decided.
    pub(super) const fn between(recorded: &'static str, now: &'static str) -> Self {
        Self { recorded, now, all: vec![] }
    }

    /// What was recorded, and what follows.
    pub(super) const fn follows() -> Self {
        Self::between("recorded", "follows")
    }

    /// A field of this name, if it differs.
    pub(super) fn field<T: PartialEq>(
        &mut self,
        name: &str,
        (was, is): (&T, &T),
        words: impl Fn(&T) -> String,
    ) {
        if was != is {
            let (recorded, now) = (self.recorded, self.now);
            let (was, is) = (words(was), words(is));
            self.all.push(format!("{name}: {recorded} {was}, {now} {is}"));
        }
    }

    /// Counts of devices; `of` says which.
    pub(super) fn counts(&mut self, of: &str, was: &Counts, is: &Counts) {
        let names = [
            "queued",
            "away",
            "absent",
            "delivering",
            "verifying",
            "retrying",
            "succeeded",
            "already current",
            "skipped",
            "failed",
            "unreachable",
            "timed out",
            "canceled",
            "regressed",
        ];
        for (name, (was, is)) in names.iter().zip(was.to_array().iter().zip(&is.to_array())) {
            self.field(&format!("{of}{name}"), (was, is), ToString::to_string);
        }
    }

    /// Counts by wave and zone, those of both in order.
    pub(super) fn cohorts<'a>(
        &mut self,
        was: impl IntoIterator<Item = (&'a (usize, String), &'a Counts)>,
        is: impl IntoIterator<Item = (&'a (usize, String), &'a Counts)>,
    ) {
        let mut both = BTreeMap::<_, [Counts; 2]>::new();
        for (name, counts) in was {
            both.entry(name).or_default()[0] = *counts;
        }
        for (name, counts) in is {
            both.entry(name).or_default()[1] = *counts;
        }
        for ((wave, zone), [was, is]) in both {
            self.counts(&format!("{}, ", cohort_name(*wave, zone)), &was, &is);
        }
    }

    /// The sentence; none if nothing differs.
    pub(super) fn sentence(mut self, what: &str) -> Option<String> {
        let more = self.all.len().saturating_sub(FIELDS_MAX);
        self.all.truncate(FIELDS_MAX);
        if more > 0 {
            self.all.push(format!("and {more} more"));
        }
        (!self.all.is_empty()).then(|| format!("{what}: {}", self.all.join("; ")))
    }
}

/// Such as `wave 2 in Europe/Berlin`.
pub(super) fn cohort_name(wave: usize, zone: &str) -> String {
    let wave = wave.saturating_add(1);
    if zone.is_empty() { format!("wave {wave}") } else { format!("wave {wave} in {zone}") }
}

fn or_none<T>(value: Option<&T>, words: impl Fn(&T) -> String) -> String {
    value.map_or_else(|| "none".to_owned(), words)
}

fn time(at: Option<&Time>) -> String {
    or_none(at, Time::to_string)
}

/// Several things; such as `nothing`.
fn list(all: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = all.collect();
    if all.is_empty() { "nothing".to_owned() } else { all.join(" and ") }
}

/// What was decided, and what this program decides on the same.
pub(super) fn plan(was: &Plan, is: &Plan, cohorts: &[Cohort], now: Time) -> Option<String> {
    let mut fields = Differences::between("recorded", "decides");
    let named = |places: &[usize]| {
        list(places.iter().map(|at| match cohorts.get(*at) {
            Some(of) => cohort_name(of.wave, of.zone.as_ref().map_or("", |zone| zone.name())),
            None => format!("one that is not there ({at})"),
        }))
    };
    let sweep_words = |sweep: &Sweep| format!("{} of {}", swept(sweep.why), named(&sweep.cohorts));
    fields.field("may be claimed", (&was.claims_max, &is.claims_max), u32::to_string);
    let fresh = "may be claimed of those not begun";
    fields.field(fresh, (&was.fresh_max, &is.fresh_max), u32::to_string);
    fields.field("open", (&was.open, &is.open), |open| named(open));
    fields.field("change", (&was.change, &is.change), |is| or_none(is.as_ref(), change));
    let said = (&was.evidence, &is.evidence);
    fields.field("external gates", said, |said| list(said.iter().map(evidence)));
    fields.field("asks", (&was.ask, &is.ask), |gates| {
        list(gates.iter().map(|gate| format!("gate {}", gate.saturating_add(1))))
    });
    fields.field("ends", (&was.sweep, &is.sweep), |sweep| or_none(sweep.as_ref(), sweep_words));
    fields.field("waits for", (&was.waiting_on, &is.waiting_on), |reasons| {
        list(reasons.iter().map(|reason| format!("\"{}\"", reason.in_words(now))))
    });
    fields.field("decides again", (&was.wake_at, &is.wake_at), |at| time(at.as_ref()));
    fields.sentence("a decision")
}

const fn swept(why: SweepReason) -> &'static str {
    match why {
        SweepReason::Canceled => "the canceled",
        SweepReason::Aborted => "the aborted",
        SweepReason::Deadline => "those behind the deadline",
        SweepReason::WindowClosed => "those whose window closed for good",
    }
}

fn change(change: &Change) -> String {
    let number = |wave: &usize| wave.saturating_add(1);
    match change {
        Change::Begin => "it begins".to_owned(),
        Change::OpenWave(wave) => format!("wave {} opens", number(wave)),
        Change::Soak(wave) => format!("wave {} has ended", number(wave)),
        Change::Rule(wave, verdict) => format!("wave {}: {}", number(wave), ruled(verdict)),
        Change::Pause { reason, evidence } => {
            format!("paused by the {reason}{}", proof(evidence.as_ref()))
        }
        Change::Abort { reason, evidence, rolls_back } => {
            let back = if *rolls_back { ", to be rolled back" } else { "" };
            format!("aborted by the {reason}{back}{}", proof(evidence.as_ref()))
        }
        Change::Complete => "completed".to_owned(),
        Change::Fail => "failed".to_owned(),
        Change::NoDevice => "failed, it has no device".to_owned(),
        Change::Canceled => "canceled".to_owned(),
        Change::Aborted => "aborted".to_owned(),
    }
}

fn proof(evidence: Option<&crate::brake::Evidence>) -> String {
    evidence.map_or_else(String::new, |evidence| format!(" ({evidence})"))
}

fn evidence(said: &gate::external::Evidence) -> String {
    let what = said.answer.as_ref().map_or_else(|| "approved".to_owned(), ToString::to_string);
    format!("gate {}: {what}, at {}", said.gate.saturating_add(1), said.at)
}

fn ruled(verdict: &gate::Verdict) -> String {
    format!("{verdict}, at {}", verdict.at)
}

/// Where a rollout stands.
pub(super) fn progression(
    mut fields: Differences,
    was: &Progression,
    is: &Progression,
) -> Differences {
    fields.field("state", (&was.state, &is.state), ToString::to_string);
    fields.field("paused by", (&was.paused, &is.paused), |reasons| {
        list(reasons.iter().map(ToString::to_string))
    });
    fields.field("round", (&was.round, &is.round), u32::to_string);
    fields.field("generation", (&was.generation, &is.generation), u64::to_string);
    fields.field("began", (&was.started_at, &is.started_at), |at| time(at.as_ref()));
    fields.field("ended", (&was.ended_at, &is.ended_at), |at| time(at.as_ref()));
    let accepted = (&was.failures_accepted, &is.failures_accepted);
    fields.field("failures accepted", accepted, u64::to_string);
    let accepted = (&was.results_accepted, &is.results_accepted);
    fields.field("results accepted", accepted, |of| {
        format!("{} succeeded and {} failed", of.succeeded, of.failed)
    });
    fields.field("verdicts of the brake", (&was.brakes, &is.brakes), |verdicts| {
        list(verdicts.iter().map(|verdict| format!("{verdict}, at {}", verdict.at)))
    });
    fields.field("digest of its devices", (&was.prepared, &is.prepared), |digest| {
        or_none(digest.as_ref(), String::clone)
    });
    let yes_or_no = |is: &bool| if *is { "yes" } else { "no" }.to_owned();
    fields.field("failed for want of devices", (&was.no_device, &is.no_device), yes_or_no);
    let back = (&was.is_to_roll_back, &is.is_to_roll_back);
    fields.field("to be rolled back", back, yes_or_no);
    let counts = (&was.waves.len(), &is.waves.len());
    fields.field("waves", counts, ToString::to_string);
    for (at, both) in was.waves.iter().zip(&is.waves).enumerate() {
        fields.field(&format!("wave {}", at + 1), both, wave);
    }
    fields.field("rounds before", (&was.earlier, &is.earlier), |rounds| {
        let state = |number, state| format!("round {number} {state}");
        list(rounds.iter().map(|round| state(round.number, round.state)))
    });
    fields
}

fn because(reason: Option<&String>) -> String {
    reason.map_or_else(String::new, |reason| format!(": {reason}"))
}

fn wave(wave: &Wave) -> String {
    use crate::rollout::WaveState::{Open, Passed, Pending, Soaking, Stopped};
    let mut words = wave.state.as_str().to_owned();
    match wave.state {
        Pending => {}
        Open { since: at } | Soaking { since: at } | Passed { at } | Stopped { at } => {
            let _ = write!(words, " since {at}");
        }
    }
    for verdict in &wave.verdicts {
        let _ = write!(words, " ({})", ruled(verdict));
    }
    if let Some(approval) = &wave.approved {
        let _ =
            write!(words, " (approved at {}{})", approval.at, because(approval.reason.as_ref()));
    }
    for said in &wave.evidence {
        let _ = write!(words, " ({})", evidence(said));
    }
    words
}

/// Where a device stands.
pub(super) fn assignment(was: &Assignment, is: &Assignment) -> Differences {
    let mut fields = Differences::follows();
    let set = |at: &Time| time(Some(at).filter(|at| **at != Time::ZERO));
    fields.field("state", (&was.state, &is.state), ToString::to_string);
    fields.field("attempt", (&was.attempt, &is.attempt), u32::to_string);
    fields.field("in doubt", (&was.in_doubt, &is.in_doubt), |doubt| {
        if *doubt { "yes" } else { "no" }.to_owned()
    });
    fields.field("due", (&was.due_at, &is.due_at), set);
    fields.field("away since", (&was.away_since, &is.away_since), set);
    fields
}

/// A fact in a few words.
pub(super) fn fact(fact: &Fact) -> String {
    match fact {
        Fact::Claimed => "its claim".to_owned(),
        Fact::Returned => "its claim, handed back,".to_owned(),
        Fact::Orphaned => "the end of its driver".to_owned(),
        Fact::Contacted => "its contact".to_owned(),
        Fact::Canceled => "its cancel".to_owned(),
        Fact::Skipped(_) => "its skip".to_owned(),
        Fact::Away { .. } => "its absence".to_owned(),
        Fact::Expired(_) => "the end of its time".to_owned(),
        Fact::Delivered(outcome) => match outcome {
            Outcome::Accepted { status } | Outcome::Refused { status, .. } => {
                format!("HTTP {status}")
            }
            Outcome::AlreadyCurrent => "the release it ran already".to_owned(),
            Outcome::NotSent { fault, .. } => format!("a delivery not sent ({fault})"),
            Outcome::Unknown { fault, .. } => format!("a delivery in doubt ({fault})"),
        },
        Fact::Asked(answer) => match answer {
            Answer::Version { version } => format!("version {version}"),
            Answer::Unreadable { status, .. } => format!("an answer without a version ({status})"),
            Answer::Silent { fault, .. } => format!("no answer ({fault})"),
        },
    }
}

/// What became of a device whose turn had come.
pub(super) fn becomes(becomes: Becomes) -> String {
    match becomes {
        Becomes::Claimed => "claimed".to_owned(),
        Becomes::Host => "waits for its host".to_owned(),
        Becomes::Domain => "waits for its failure domain".to_owned(),
        Becomes::Busy(rollout) => format!("busy with rollout {rollout}"),
        Becomes::Skipped(reason) => crate::assignment::State::Skipped(reason).to_string(),
        Becomes::Away => "away".to_owned(),
    }
}

/// Hours of a zone.
pub(super) fn phase(phase: Phase) -> String {
    match phase {
        Phase::Open { until: None } => "open".to_owned(),
        Phase::Open { until: Some(at) } => format!("open until {at}"),
        Phase::Closed { opens_at: None, .. } => "closed".to_owned(),
        Phase::Closed { opens_at: Some(at), .. } => format!("closed until {at}"),
    }
}
