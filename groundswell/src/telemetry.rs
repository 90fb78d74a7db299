//! What is counted while a server runs, for whoever scrapes it.
//!
//! A recorder of its own for each server, not one for the process: there may be several. Whoever
//! counts without one counts for nobody. The names are a contract: docs/metrics.md has them.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use groundswell_core::{outcome::Outcome, rollout, snapshot::Counts};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder as _};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use parking_lot::RwLock;

/// Seconds, from what a device beside us takes to what a slow line does.
const DELIVERY_SECONDS: [f64; 12] =
    [0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0];

/// Seconds, from a good disk to one that is about to fail.
const COMMIT_SECONDS: [f64; 10] = [0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0];

/// Seconds, from a look by a key to a long upload.
const REQUEST_SECONDS: [f64; 10] = [0.000_5, 0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0];

const METADATA: Metadata<'static> = Metadata::new("groundswell", Level::INFO, None);

/// What is counted. A clone counts for the same.
#[derive(Clone, Debug)]
pub struct Telemetry(Arc<Inner>);

struct Inner {
    recorder: Option<(PrometheusRecorder, PrometheusHandle)>,
    attempts: [Counter; 5],
    sent_bytes: Counter,
    delivery_seconds: Histogram,
    open_deliveries: Gauge,
    store_jobs: Gauge,
    commit_seconds: Histogram,
    event_readers: Gauge,
    stalled: Counter,
    refused: Counter,
    requests: RwLock<HashMap<Asked, (Counter, Histogram)>>,
}

/// Method, route and status of a request.
type Asked = (&'static str, &'static str, u16);

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("is_on", &self.recorder.is_some()).finish_non_exhaustive()
    }
}

impl Default for Telemetry {
    /// Counts for nobody.
    fn default() -> Self {
        Self(Arc::new(Inner {
            recorder: None,
            attempts: std::array::from_fn(|_| Counter::noop()),
            sent_bytes: Counter::noop(),
            delivery_seconds: Histogram::noop(),
            open_deliveries: Gauge::noop(),
            store_jobs: Gauge::noop(),
            commit_seconds: Histogram::noop(),
            event_readers: Gauge::noop(),
            stalled: Counter::noop(),
            refused: Counter::noop(),
            requests: RwLock::default(),
        }))
    }
}

/// How attempts come out, as they are counted.
const OUTCOMES: [&str; 5] = ["accepted", "refused", "not_sent", "unknown", "already_current"];

impl Telemetry {
    /// Counts for whoever scrapes.
    pub fn on() -> Self {
        let recorder = recorder();
        describe(&recorder);
        let counter = |name: &'static str| recorder.register_counter(&key(name, []), &METADATA);
        let gauge = |name: &'static str| recorder.register_gauge(&key(name, []), &METADATA);
        let histogram = |name: &'static str| recorder.register_histogram(&key(name, []), &METADATA);
        let attempts = OUTCOMES.map(|outcome| {
            let key = key("groundswell_attempts_total", [("outcome", outcome)]);
            recorder.register_counter(&key, &METADATA)
        });
        let inner = Inner {
            attempts,
            sent_bytes: counter("groundswell_sent_bytes_total"),
            delivery_seconds: histogram("groundswell_delivery_duration_seconds"),
            open_deliveries: gauge("groundswell_open_deliveries"),
            store_jobs: gauge("groundswell_store_queue"),
            commit_seconds: histogram("groundswell_store_commit_duration_seconds"),
            event_readers: gauge("groundswell_event_readers"),
            stalled: counter("groundswell_http_stalled_connections_total"),
            refused: counter("groundswell_http_refused_connections_total"),
            requests: RwLock::default(),
            recorder: None,
        };
        let handle = recorder.handle();
        Self(Arc::new(Inner { recorder: Some((recorder, handle)), ..inner }))
    }

    /// Whether somebody may look.
    pub(crate) fn is_on(&self) -> bool {
        self.0.recorder.is_some()
    }

    /// So many attempts came out so, in the order of [`Attempts`].
    pub(crate) fn attempts(&self, attempts: &Attempts) {
        for (counter, count) in self.0.attempts.iter().zip(attempts.0) {
            if count > 0 {
                counter.increment(count);
            }
        }
    }

    /// A delivery took so long, and handed so many bytes to its connection.
    pub(crate) fn delivered(&self, took: Duration, bytes: u64) {
        self.0.delivery_seconds.record(took);
        self.0.sent_bytes.increment(bytes);
    }

    /// Deliveries that are open, and jobs that the store has not done.
    pub(crate) fn depths(&self, open_deliveries: u64, store_jobs: u64) {
        self.0.open_deliveries.set(open_deliveries as f64);
        self.0.store_jobs.set(store_jobs as f64);
    }

    /// Where it is noted how long commits take.
    pub(crate) fn commit_seconds(&self) -> Histogram {
        self.0.commit_seconds.clone()
    }

    /// A connection was cut off that took or sent nothing.
    pub(crate) fn stalled(&self) {
        self.0.stalled.increment(1);
    }

    /// A connection was refused, for there are too many.
    pub(crate) fn refused(&self) {
        self.0.refused.increment(1);
    }

    /// A request was answered.
    pub(crate) fn answered(
        &self,
        method: &'static str,
        route: &'static str,
        status: u16,
        took: Duration,
    ) {
        let Some((recorder, _)) = &self.0.recorder else { return };
        let asked = (method, route, status);
        let known = self.0.requests.read().get(&asked).cloned();
        let (count, seconds) = known.unwrap_or_else(|| {
            let status = status.to_string();
            let labels = [("method", method), ("route", route)];
            let mut counted = labels.map(|(name, value)| Label::new(name, value)).to_vec();
            counted.push(Label::new("status", status));
            let counted = Key::from_parts("groundswell_http_requests_total", counted);
            let timed = key("groundswell_http_request_duration_seconds", labels);
            let both = (
                recorder.register_counter(&counted, &METADATA),
                recorder.register_histogram(&timed, &METADATA),
            );
            self.0.requests.write().insert(asked, both.clone());
            both
        });
        count.increment(1);
        seconds.record(took);
    }

    /// How many rollouts are in which state, how many assignments, and how many listen.
    pub(crate) fn stand(&self, rollouts: &[(String, u64)], assignments: &Counts, readers: usize) {
        let Some((recorder, _)) = &self.0.recorder else { return };
        let set = |name: &'static str, state: &'static str, count: u64| {
            let key = key(name, [("state", state)]);
            recorder.register_gauge(&key, &METADATA).set(count as f64);
        };
        for state in rollout::State::ALL {
            let state = state.as_str();
            let count =
                rollouts.iter().find(|(name, _)| name == state).map_or(0, |(_, count)| *count);
            set("groundswell_rollouts", state, count);
        }
        for (state, count) in by_state(assignments) {
            set("groundswell_assignments", state, count);
        }
        let regressed = key("groundswell_regressed_assignments", []);
        recorder.register_gauge(&regressed, &METADATA).set(assignments.regressed as f64);
        self.0.event_readers.set(readers as f64);
    }

    /// Everything, in the text format of Prometheus.
    pub(crate) fn render(&self) -> String {
        self.0.recorder.as_ref().map(|(_, handle)| handle.render()).unwrap_or_default()
    }

    /// Adds up what has gathered; to be done now and then, or it gathers for ever.
    pub(crate) fn add_up(&self) {
        if let Some((_, handle)) = &self.0.recorder {
            handle.run_upkeep();
        }
    }
}

/// Attempts counted by how they came out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attempts([u64; 5]);

impl Attempts {
    /// One more.
    pub(crate) const fn add(&mut self, outcome: &Outcome) {
        let at = match outcome {
            Outcome::Accepted { .. } => 0,
            Outcome::Refused { .. } => 1,
            Outcome::NotSent { .. } => 2,
            Outcome::Unknown { .. } => 3,
            Outcome::AlreadyCurrent => 4,
        };
        self.0[at] += 1;
    }
}

fn recorder() -> PrometheusRecorder {
    let builder = PrometheusBuilder::new();
    let with = |builder: PrometheusBuilder, name: &str, buckets: &[f64]| {
        // It fails for no bucket at all.
        let matcher = Matcher::Full(name.to_owned());
        builder
            .set_buckets_for_metric(matcher, buckets)
            .unwrap_or_else(|_| PrometheusBuilder::new())
    };
    let builder = with(builder, "groundswell_delivery_duration_seconds", &DELIVERY_SECONDS);
    let builder = with(builder, "groundswell_store_commit_duration_seconds", &COMMIT_SECONDS);
    let builder = with(builder, "groundswell_http_request_duration_seconds", &REQUEST_SECONDS);
    builder.build_recorder()
}

fn describe(recorder: &PrometheusRecorder) {
    let name = KeyName::from_const_str;
    for (counter, told) in [
        ("groundswell_attempts_total", "Attempts by how they came out."),
        ("groundswell_sent_bytes_total", "Bytes of artifacts handed to connections."),
        ("groundswell_http_requests_total", "Requests by method, route and status."),
        ("groundswell_http_stalled_connections_total", "Connections cut off that took nothing."),
        ("groundswell_http_refused_connections_total", "Connections refused as too many."),
    ] {
        recorder.describe_counter(name(counter), None, told.into());
    }
    for (gauge, told) in [
        ("groundswell_rollouts", "Rollouts by state."),
        ("groundswell_assignments", "Assignments of all rollouts and rounds by state."),
        (
            "groundswell_regressed_assignments",
            "Assignments whose devices were updated and are not well.",
        ),
        ("groundswell_open_deliveries", "Deliveries that are open."),
        ("groundswell_store_queue", "Writes that the store was given and has not done."),
        ("groundswell_event_readers", "Readers of the events."),
    ] {
        recorder.describe_gauge(name(gauge), None, told.into());
    }
    for (histogram, told) in [
        ("groundswell_delivery_duration_seconds", "How long deliveries take."),
        ("groundswell_store_commit_duration_seconds", "How long commits take."),
        ("groundswell_http_request_duration_seconds", "How long it takes until an answer begins."),
    ] {
        recorder.describe_histogram(name(histogram), None, told.into());
    }
}

fn key<const N: usize>(name: &'static str, labels: [(&'static str, &'static str); N]) -> Key {
    let labels = labels.map(|(name, value)| Label::new(name, value));
    Key::from_parts(name, labels.to_vec())
}

const fn by_state(counts: &Counts) -> [(&'static str, u64); 13] {
    [
        ("queued", counts.queued),
        ("away", counts.away),
        ("absent", counts.absent),
        ("delivering", counts.delivering),
        ("verifying", counts.verifying),
        ("retrying", counts.retrying),
        ("succeeded", counts.succeeded),
        ("current", counts.current),
        ("skipped", counts.skipped),
        ("failed", counts.failed),
        ("unreachable", counts.unreachable),
        ("timed_out", counts.timed_out),
        ("canceled", counts.canceled),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_of_the_contract() {
        let telemetry = Telemetry::on();
        let mut attempts = Attempts::default();
        attempts.add(&Outcome::Accepted { status: 200 });
        telemetry.attempts(&attempts);
        telemetry.delivered(Duration::from_millis(3), 12);
        telemetry.commit_seconds().record(0.001);
        telemetry.answered("GET", "/api/v1/devices", 200, Duration::from_millis(2));
        telemetry.stand(
            &[("running".to_owned(), 2)],
            &Counts { queued: 3, ..Counts::default() },
            1,
        );
        let text = telemetry.render();
        let mut types: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        types.sort_unstable();
        insta::assert_snapshot!(types.join("\n"), @"
        groundswell_assignments gauge
        groundswell_attempts_total counter
        groundswell_delivery_duration_seconds histogram
        groundswell_event_readers gauge
        groundswell_http_refused_connections_total counter
        groundswell_http_request_duration_seconds histogram
        groundswell_http_requests_total counter
        groundswell_http_stalled_connections_total counter
        groundswell_open_deliveries gauge
        groundswell_regressed_assignments gauge
        groundswell_rollouts gauge
        groundswell_sent_bytes_total counter
        groundswell_store_commit_duration_seconds histogram
        groundswell_store_queue gauge
        ");
        let contract = include_str!("../../docs/metrics.md");
        for name in types.iter().filter_map(|line| line.split(' ').next()) {
            assert!(contract.contains(&format!("| `{name}` |")), "{name}");
        }
        for line in [
            "groundswell_attempts_total{outcome=\"accepted\"} 1",
            "groundswell_attempts_total{outcome=\"refused\"} 0",
            "groundswell_sent_bytes_total 12",
            "groundswell_rollouts{state=\"running\"} 2",
            "groundswell_rollouts{state=\"paused\"} 0",
            "groundswell_assignments{state=\"queued\"} 3",
            "groundswell_delivery_duration_seconds_bucket{le=\"0.005\"} 1",
            "groundswell_http_requests_total{method=\"GET\",route=\"/api/v1/devices\",status=\"200\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn two_servers_count_apart_and_nobody_counts_nothing() {
        let (one, other) = (Telemetry::on(), Telemetry::on());
        one.delivered(Duration::from_millis(3), 12);
        assert!(other.render().contains("groundswell_sent_bytes_total 0"));
        let none = Telemetry::default();
        none.delivered(Duration::from_millis(3), 12);
        assert_eq!(none.render(), "");
    }
}
