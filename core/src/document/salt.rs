//! What the order of the devices is drawn with, unless somebody wrote it.
//!
//! Owns the canonical form of a spec, from which it follows: a dry run, the rollout and another
//! machine draw the same devices, and the next release draws others, so that it is not always the
//! same ones that go first.
//!
//! Left out are the salt itself and what a running rollout may be given without becoming another
//! one: limits, budgets and priority; and what no document says. With all else the order changes.

use std::fmt::Display;

use sha2::{Digest as _, Sha256};

use super::{
    delivery::MODES,
    read::{MEMBERSHIPS, OFFLINES, ON_FAILURES, UNREACHABLES},
    reader::word_of,
    schedule::WHEN_CLOSED,
};
use crate::{
    brake::Brake,
    gate::{
        Unreachable,
        external::{By, External, Question, Test, Value},
        regression::Regression,
    },
    health::{Check, Health},
    release::{Digest, Release},
    retry,
    rollout::{Deadline, Schedule, Spec, Verify, WaveSize, WaveSpec, ZoneRule},
    time::Time,
};

/// The name of the canonical form; another form has another name, and gives other salts.
const FORM: &str = "groundswell rollout spec 1";

/// The sha-256, in hexadecimal digits, of the canonical form of a spec: the length of the form's
/// name (8 bytes, big-endian), its name (`groundswell rollout spec 1`) and then, for each value in
/// the order below, the length of its name, its name, the length of its text and its text. What
/// there are several of comes several times, what is not there not at all. Durations are
/// nanoseconds, times milliseconds since 1970.
pub fn salt_of(spec: &Spec) -> String {
    let Spec {
        release: Release { name, version, artifact, artifact_bytes },
        // No document says it, and a rollback has the salt of what it rolls back.
        rolls_back: _,
        select,
        strategy,
        start_at,
        deadline,
        schedule,
        waves,
        gates,
        membership,
        salt: _,
        offline,
        wait_absent,
        limits: _,
        budgets: _,
        retry,
        verify,
        delivery_timeout,
        brake,
        regression,
        health,
        on_failure,
        unreachable,
        quarantine_after: _,
        priority: _,
        allow_downgrade,
    } = spec;
    let mut form = Canonical::new();
    form.value("release.name", name);
    form.value("release.version", version);
    form.value("release.artifact", artifact);
    form.value("release.artifact_bytes", artifact_bytes);
    form.maybe("select", select.as_ref());
    form.value("strategy", strategy);
    form.maybe("start_at", start_at.map(Time::as_millis));
    form.deadline(*deadline);
    form.schedule(schedule);
    for wave in waves {
        form.wave(wave);
    }
    for gate in gates {
        form.gate(gate);
    }
    form.value("membership", word_of(&MEMBERSHIPS, membership));
    form.value("offline", word_of(&OFFLINES, offline));
    form.value("wait_absent", wait_absent.as_nanos());
    form.retry(retry);
    form.verify(verify);
    form.maybe("delivery_timeout", delivery_timeout.map(|span| span.as_nanos()));
    form.brake(*brake);
    form.regression(regression.as_ref());
    form.health(health.as_ref());
    form.value("on_failure", word_of(&ON_FAILURES, on_failure));
    form.value("allow_downgrade", allow_downgrade);
    if *unreachable != Unreachable::default() {
        form.value("unreachable", word_of(&UNREACHABLES, unreachable));
    }
    form.digest().to_string()
}

struct Canonical(Sha256);

impl Canonical {
    fn new() -> Self {
        let mut form = Self(Sha256::new());
        form.text(FORM);
        form
    }

    fn text(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_be_bytes());
        self.0.update(text.as_bytes());
    }

    fn value(&mut self, name: &str, value: impl Display) {
        self.text(name);
        self.text(&value.to_string());
    }

    fn maybe(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.value(name, value);
        }
    }

    fn deadline(&mut self, deadline: Option<Deadline>) {
        match deadline {
            None => {}
            Some(Deadline::At(time)) => self.value("deadline.at", time.as_millis()),
            Some(Deadline::After(span)) => self.value("deadline.after", span.as_nanos()),
        }
    }

    fn test(&mut self, test: &Test) {
        self.value("gate.op", test.op().as_str());
        match test.value() {
            Value::Number(number) => self.value("gate.number", number),
            Value::Text(words) => self.value("gate.text", words),
            Value::Bool(is) => self.value("gate.bool", is),
        }
    }

    fn gate(&mut self, External { by, waves }: &External) {
        self.value("gate", by.kind());
        for wave in waves {
            self.value("gate.wave", wave + 1);
        }
        let By::Check(check) = by else { return };
        match &check.question {
            Question::Http { url, status, wanted } => {
                self.value("gate.url", url);
                self.value("gate.expect_status", status);
                self.maybe("gate.pointer", wanted.as_ref().map(|wanted| &wanted.pointer));
                if let Some(wanted) = wanted {
                    self.test(&wanted.test);
                }
            }
            Question::Prometheus { url, query, test } => {
                self.value("gate.url", url);
                self.value("gate.query", query);
                self.test(test);
            }
        }
        for (name, source) in &check.headers {
            self.value("gate.header", format_args!("{name}: {source}"));
        }
        self.value("gate.timeout", check.timeout.as_nanos());
        self.value("gate.every", check.every.as_nanos());
        self.value("gate.stops", check.stops);
    }

    fn health(&mut self, health: Option<&Health>) {
        let Some(Health { check, every, failures }) = health else { return };
        match check {
            Check::Version => self.value("health.check", "version"),
            Check::Url(path) => self.value("health.path", path),
        }
        self.value("health.every", every.as_nanos());
        self.value("health.failures", failures);
    }

    fn schedule(&mut self, schedule: &Schedule) {
        let Schedule { hours, zone, when_closed } = schedule;
        for window in &hours.windows {
            self.value("window", window);
        }
        for freeze in &hours.freezes {
            self.value("freeze", freeze);
            self.maybe("freeze.reason", freeze.reason());
        }
        match zone {
            ZoneRule::Device { otherwise } => self.value("zone.otherwise", otherwise),
            ZoneRule::Fixed(zone) => self.value("zone.fixed", zone),
        }
        self.value("when_closed", word_of(&WHEN_CLOSED, when_closed));
    }

    fn wave(&mut self, wave: &WaveSpec) {
        let WaveSpec { size, soak, min_success } = wave;
        match size {
            WaveSize::Percent(percent) => self.value("wave.percent", percent),
            WaveSize::Count(count) => self.value("wave.count", count),
            WaveSize::Select(select) => self.value("wave.select", select),
        }
        self.value("wave.soak", soak.as_nanos());
        self.maybe("wave.min_success", *min_success);
    }

    fn retry(&mut self, policy: &retry::Policy) {
        self.value("retry.attempts", policy.attempts_max());
        self.value("retry.backoff", policy.initial().as_nanos());
        self.value("retry.multiplier", policy.multiplier());
        self.value("retry.max_backoff", policy.cap().as_nanos());
        self.value("retry.jitter_percent", policy.jitter_percent());
    }

    fn verify(&mut self, verify: &Verify) {
        let Verify { mode, timeout, first } = verify;
        self.value("verify.mode", word_of(&MODES, mode));
        self.value("verify.timeout", timeout.as_nanos());
        self.value("verify.first", first);
    }

    fn brake(&mut self, brake: Option<Brake>) {
        match brake {
            None => {}
            Some(Brake::Count(count)) => self.value("max_failures.count", count),
            Some(Brake::Percent(percent)) => self.value("max_failures.percent", percent),
        }
    }

    fn regression(&mut self, regression: Option<&Regression>) {
        if let Some(Regression { baseline, alpha }) = regression {
            self.value("regression.baseline_ppm", baseline.rate().ppm());
            self.value("regression.alpha_percent", alpha.percent());
        }
    }

    fn digest(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}
