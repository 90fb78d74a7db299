//! The notation of a script.
//!
//! ```text
//! # what the story is about
//! at = 2026-11-25T14:00:00Z           when it begins
//! device = pos-1..pos-10 zone=America/Denver version=1.0.0 check_in=1m seen=5m tag.region=west
//! wave = 2, soak 10m, success 95      or 50%, or a selector in quotes
//! gate = approval                     or http URL, /level < 3, stop; or prometheus URL, query < 3
//! window = 02:00-04:00                and the other fields of a spec
//!
//! start                               what operators say, and what else happens
//! explain pos-1                       in the end, what the log tells of this device, too
//! ```

use std::time::Duration;

use groundswell_core::{
    budget::{Budget, Limit},
    device::Device,
    gate::external::{By, Check, EVERY, External, Op, Question, TIMEOUT, Test, Value, Wanted},
    health::{self, Health},
    hours::{Hours, Zone},
    moment::Moment,
    release::{Digest, Release},
    retry,
    rollout::{
        Deadline, Membership, Offline, OnFailure, Spec, Strategy, WaveSize, WaveSpec, WhenClosed,
        ZoneRule,
    },
    time::Time,
    units::parse_duration,
    verify::Mode,
};

pub(crate) struct Script {
    pub(crate) begins: Time,
    pub(crate) devices: Vec<Device>,
    pub(crate) spec: Spec,
    pub(crate) steps: Vec<String>,
    pub(crate) explained: Vec<String>,
}

type Read<T> = Result<T, String>;

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(crate) fn words<E: ToString>(error: E) -> String {
    error.to_string()
}

impl Script {
    pub(crate) fn parse(text: &str) -> Read<Self> {
        let release = Release {
            name: "pos".to_owned(),
            version: "2.0.0".to_owned(),
            artifact: Digest([7; 32]),
            artifact_bytes: 12,
        };
        let begins = time("2026-11-25T14:00:00Z")?;
        let spec = Spec::immediate(release);
        let mut script = Self { begins, devices: vec![], spec, steps: vec![], explained: vec![] };
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(device) = line.strip_prefix("explain ") {
                script.explained.push(device.to_owned());
                continue;
            }
            match line.split_once(" = ") {
                Some((key, value)) if script.steps.is_empty() => {
                    script.field(key, value).map_err(|why| format!("{line}: {why}"))?;
                }
                _ => script.steps.push(line.to_owned()),
            }
        }
        script.spec.check().map_err(words)?;
        Ok(script)
    }

    fn field(&mut self, key: &str, value: &str) -> Read<()> {
        let spec = &mut self.spec;
        let Hours { windows, freezes } = &mut spec.schedule.hours;
        match key {
            "at" => self.begins = time(value)?,
            "device" => self.devices.append(&mut devices(value, self.begins)?),
            "wave" => spec.waves.push(wave(value)?),
            "gate" => spec.gates.push(gate(value)?),
            "health" => spec.health = Some(health(value)?),
            "window" => windows.push(value.parse().map_err(words)?),
            "freeze" => freezes.push(value.parse().map_err(words)?),
            "zone" => spec.schedule.zone = ZoneRule::Fixed(Zone::parse(value).map_err(words)?),
            "when_closed" => {
                spec.schedule.when_closed =
                    one_of(value, &[("wait", WhenClosed::Wait), ("end", WhenClosed::End)])?;
            }
            "version" => value.clone_into(&mut spec.release.version),
            "select" => spec.select = Some(value.to_owned()),
            "strategy" => {
                spec.strategy = one_of(
                    value,
                    &[
                        ("immediate", Strategy::Immediate),
                        ("scheduled", Strategy::Scheduled),
                        ("progressive", Strategy::Progressive),
                        ("on_connect", Strategy::OnConnect),
                    ],
                )?;
            }
            "start_at" => spec.start_at = Some(time(value)?),
            "deadline" => {
                spec.deadline = Some(match value.split_once(" after") {
                    Some((span, _)) => Deadline::After(duration(span)?),
                    None => Deadline::At(time(value)?),
                });
            }
            "membership" => {
                let known = [("snapshot", Membership::Snapshot), ("dynamic", Membership::Dynamic)];
                spec.membership = one_of(value, &known)?;
            }
            "offline" => {
                let known =
                    [("skip", Offline::Skip), ("wait", Offline::Wait), ("try", Offline::Try)];
                spec.offline = one_of(value, &known)?;
            }
            _ => return self.number(key, value),
        }
        Ok(())
    }

    fn number(&mut self, key: &str, value: &str) -> Read<()> {
        let spec = &mut self.spec;
        let number = || value.parse::<u32>().map_err(words);
        match key {
            "wait_absent" => spec.wait_absent = duration(value)?,
            "max_in_flight" => spec.limits.max_in_flight = number()?,
            "max_unverified" => spec.limits.max_unverified = number()?,
            "budget" => spec.budgets.push(budget(value)?),
            "max_per_host" => spec.limits.max_per_host = number()?,
            "per_minute" => spec.limits.per_minute = Some(number()?),
            "attempts" => {
                let (first, cap) = (Duration::from_mins(1), Duration::from_mins(5));
                spec.retry = retry::Policy::new(number()?, first, 2.0, cap, 0).map_err(words)?;
            }
            "verify" => {
                let known = [
                    ("version", Mode::Version),
                    ("reachable", Mode::Reachable),
                    ("none", Mode::None),
                ];
                spec.verify.mode = one_of(value, &known)?;
            }
            "verify_timeout" => spec.verify.timeout = duration(value)?,
            "brake" => spec.brake = Some(value.parse().map_err(words)?),
            "on_failure" => {
                let known = [
                    ("pause", OnFailure::Pause),
                    ("abort", OnFailure::Abort),
                    ("rollback", OnFailure::Rollback),
                ];
                spec.on_failure = one_of(value, &known)?;
            }
            "allow_downgrade" => spec.allow_downgrade = value == "true",
            _ => return Err("no such field".to_owned()),
        }
        Ok(())
    }
}

fn one_of<T: Copy>(value: &str, known: &[(&str, T)]) -> Read<T> {
    let found = known.iter().find(|(name, _)| *name == value);
    found.map(|(_, value)| *value).ok_or_else(|| "no such value".to_owned())
}

pub(crate) fn duration(text: &str) -> Read<Duration> {
    parse_duration(text).map_err(words)
}

/// `tag.store 1` or `tag.region 2 %`
fn budget(text: &str) -> Read<Budget> {
    let (per, limit) = text.split_once(' ').ok_or("how many?")?;
    let limit = match limit.strip_suffix(" %") {
        Some(percent) => Limit::Percent(percent.parse().map_err(words)?),
        None => Limit::Max(limit.parse().map_err(words)?),
    };
    Ok(Budget { per: per.parse().map_err(words)?, limit, counts_down: false })
}

fn time(text: &str) -> Read<Time> {
    text.parse::<Moment>().map(|moment| moment.resolve(Time::ZERO)).map_err(words)
}

/// `approval`, or `http https://x/y, /level < 3, stop, every 30s`, or `prometheus URL, query < 3`
fn gate(written: &str) -> Read<External> {
    let mut parts = written.split(", ");
    let (kind, url) = parts.next().and_then(|first| first.split_once(' ')).unwrap_or((written, ""));
    if kind == "approval" {
        return Ok(External { by: By::Approval, waves: vec![] });
    }
    let (mut test, mut stops, mut every) = (None, false, EVERY);
    for part in parts {
        match part.split_once(' ') {
            None if part == "stop" => stops = true,
            Some(("every", span)) => every = duration(span)?,
            Some((what, of)) => {
                let (op, value) = of.split_once(' ').ok_or("no comparison")?;
                let op = Op::ALL.into_iter().find(|is| is.as_str() == op).ok_or("no operator")?;
                let value = match value.strip_prefix('"') {
                    Some(words) => Value::Text(words.trim_end_matches('"').to_owned()),
                    None => Value::Number(value.parse().map_err(words)?),
                };
                test = Some((what.to_owned(), Test::new(op, value).map_err(words)?));
            }
            None => return Err(format!("{part}?")),
        }
    }
    let url = url.parse().map_err(words)?;
    let question = match (kind, test) {
        ("http", test) => {
            let wanted = test.map(|(pointer, test)| Wanted { pointer, test });
            Question::Http { url, status: 200, wanted }
        }
        ("prometheus", Some((query, test))) => Question::Prometheus { url, query, test },
        _ => return Err("no such gate".to_owned()),
    };
    let headers = std::collections::BTreeMap::new();
    let check = Check { question, headers, timeout: TIMEOUT, every, stops };
    Ok(External { by: By::Check(Box::new(check)), waves: vec![] })
}

/// `version, every 1m, 3 in a row`, or `/healthz, ...`
fn health(written: &str) -> Read<Health> {
    let parts: Vec<&str> = written.split(", ").collect();
    let [check, every, failures] = parts[..] else { return Err("what, how often?".to_owned()) };
    let check = match check {
        "version" => health::Check::Version,
        path => health::Check::Url(path.to_owned()),
    };
    let every = duration(every.trim_start_matches("every "))?;
    let failures = failures.trim_end_matches(" in a row").parse().map_err(words)?;
    Ok(Health { check, every, failures })
}

/// `2, soak 10m, success 95`
fn wave(text: &str) -> Read<WaveSpec> {
    let mut parts = text.split(", ");
    let size = parts.next().unwrap_or_default();
    let size = match size.strip_suffix('%') {
        Some(percent) => WaveSize::Percent(percent.parse().map_err(words)?),
        None => match size.parse() {
            Ok(count) => WaveSize::Count(count),
            Err(_) => WaveSize::Select(size.trim_matches('"').to_owned()),
        },
    };
    let mut wave = WaveSpec { size, soak: Duration::ZERO, min_success: None };
    for part in parts {
        match part.split_once(' ') {
            Some(("soak", span)) => wave.soak = duration(span)?,
            Some(("success", percent)) => wave.min_success = Some(percent.parse().map_err(words)?),
            _ => return Err(format!("{part}?")),
        }
    }
    Ok(wave)
}

/// `pos-1..pos-10 zone=America/Denver`: they are in the order given, as if it had been drawn.
pub(crate) fn devices(text: &str, now: Time) -> Read<Vec<Device>> {
    let mut parts = text.split_whitespace();
    let ids = ids(parts.next().unwrap_or_default());
    let mut like = Device::default();
    for part in parts {
        let (key, value) = part.split_once('=').ok_or_else(|| format!("{part}?"))?;
        match key {
            "zone" => like.time_zone = Some(value.to_owned()),
            "version" => like.version = Some(value.to_owned()),
            "location" => like.location = Some(value.to_owned()),
            "check_in" => like.check_in = Some(duration(value)?),
            "seen" => like.last_seen = Some(now - duration(value)?),
            "host" => like.address = Some(value.parse().map_err(words)?),
            _ => {
                let tag = key.strip_prefix("tag.").ok_or_else(|| format!("{part}?"))?;
                like.tags.insert(tag.to_owned(), value.to_owned());
            }
        }
    }
    Ok(ids.into_iter().map(|id| Device { name: id.clone(), id, ..like.clone() }).collect())
}

/// `pos-1..pos-3` as pos-1, pos-2 and pos-3.
pub(crate) fn ids(text: &str) -> Vec<String> {
    let range = text.split_once("..").and_then(|(first, last)| {
        let (name, first) = first.rsplit_once('-')?;
        let (_, last) = last.rsplit_once('-')?;
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        Some((first..=last).map(|number| format!("{name}-{number}")).collect())
    });
    range.unwrap_or_else(|| vec![text.to_owned()])
}
