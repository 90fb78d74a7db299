//! Lasting tasks that deliver and ask, one errand after the other.
//!
//! A fleet of small updates makes tens of thousands of errands a second; a task for each would be
//! allocated, moved and freed as often. Owns who is idle and what an errand does; decides nothing.
//! Lanes are added as they are needed, so there are never more than errands were open at once.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use groundswell_core::{
    health::{Check, Said},
    ids::AssignmentId,
    outcome::{Answer, Fault, Outcome},
};
use parking_lot::Mutex;
use tokio::{
    sync::mpsc,
    task::{JoinSet, yield_now},
};

use super::{
    fact::{Examination, Fact, Sending},
    outlet::DeviceHeaders,
    watch::Question,
};
use crate::{
    delivery::http::{Client, Held, Reuse, Shipment, Target},
    store::{Candidate, RolloutKey},
    telemetry::Telemetry,
};

/// Longest time one question may take, if the deadline is further away.
const QUESTION_MAX: Duration = Duration::from_secs(30);

/// What every errand of a run needs.
pub(super) struct Courier {
    pub(super) rollout: RolloutKey,
    pub(super) client: Client,
    pub(super) shipment: Arc<Shipment>,
    pub(super) headers: DeviceHeaders,
    /// What the `Idempotency-Key` of an assignment begins with.
    pub(super) key_prefix: Box<str>,
    pub(super) facts: mpsc::UnboundedSender<Fact>,
    /// Body bytes handed to connections by deliveries that nobody watches.
    pub(super) sent_bytes: AtomicU64,
    /// Whether deliveries that have not sent anything yet are to be handed back.
    pub(super) is_halted: AtomicBool,
    /// Where deliveries are counted, if somebody looks.
    pub(super) telemetry: Option<Telemetry>,
}

/// One thing to do for one device.
pub(super) enum Errand {
    /// Send the update; `watched` follows the body bytes handed to the connection.
    Deliver { sending: Sending, watched: Option<Arc<AtomicU64>> },
    /// Ask for the version.
    Ask(Question),
    /// Ask how it is.
    Examine(Examination),
}

/// Tasks that carry out errands. Dropping it ends them all, wherever they are.
pub(super) struct Lanes {
    courier: Arc<Courier>,
    idle: Arc<Idle>,
    tasks: JoinSet<()>,
}

/// Lanes without an errand.
type Idle = Mutex<VecDeque<Waiting>>;

/// An idle lane, and where the connection leads that it still holds.
struct Waiting {
    slot: Arc<Slot>,
    held: Option<Arc<str>>,
}

/// How many idle lanes are looked at for one that holds a connection to the right host: a few times
/// the hosts that are usual behind gateways, and little beside a request.
const SEARCH_MAX: usize = 32;

/// Where an idle lane finds its next errand.
#[derive(Default)]
struct Slot(Mutex<(Option<Errand>, Option<Waker>)>);

impl Lanes {
    pub(super) fn new(courier: Courier) -> Self {
        Self { courier: Arc::new(courier), idle: Arc::default(), tasks: JoinSet::new() }
    }

    /// What they all share.
    pub(super) fn courier(&self) -> &Courier {
        &self.courier
    }

    /// Has an errand carried out, at once.
    pub(super) fn give(&mut self, errand: Errand) {
        while self.tasks.try_join_next().is_some() {}
        if let Some(waiting) = self.take_idle(errand.origin()) {
            waiting.slot.give(errand);
            return;
        }
        let slot = Arc::new(Slot::default());
        slot.give(errand);
        self.tasks.spawn(run(self.courier.clone(), slot, self.idle.clone()));
    }

    /// The lane that holds a connection to `origin`, or else the one that was busy last: its
    /// memory is warm.
    fn take_idle(&self, origin: &str) -> Option<Waiting> {
        let mut idle = self.idle.lock();
        let holds = |waiting: &Waiting| waiting.held.as_deref() == Some(origin);
        let at = idle.iter().rev().take(SEARCH_MAX).position(holds).unwrap_or(0);
        let at = idle.len().checked_sub(at + 1)?;
        idle.remove(at)
    }

    /// Ends every lane, and returns when they have ended.
    pub(super) async fn shutdown(&mut self) {
        self.tasks.shutdown().await;
        self.idle.lock().clear();
    }
}

/// One lane. An errand that panics ends it; what came of the errand is told all the same.
async fn run(courier: Arc<Courier>, slot: Arc<Slot>, idle: Arc<Idle>) {
    let mut held = Held::default();
    loop {
        let errand = slot.next().await;
        let mut report = Report::of(&courier, &errand);
        let fact = courier.carry_out(&mut held, errand).await;
        // Idle first: whoever hears of the fact may have the next errand at once.
        let waiting = Waiting { slot: slot.clone(), held: held.origin() };
        idle.lock().push_back(waiting);
        report.tell(fact);
        if held.origin().is_some() {
            // The next errand is decided now, and may be for the same host.
            yield_now().await;
            if slot.is_empty() {
                courier.client.release(&mut held);
            }
        }
    }
}

impl Errand {
    fn origin(&self) -> &str {
        let candidate = match self {
            Self::Deliver { sending, .. } => &sending.candidate,
            Self::Ask(question) => &question.candidate,
            Self::Examine(examination) => &examination.candidate,
        };
        candidate.endpoint.address.origin()
    }
}

impl Slot {
    fn give(&self, errand: Errand) {
        let waker = {
            let mut state = self.0.lock();
            state.0 = Some(errand);
            state.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    fn is_empty(&self) -> bool {
        self.0.lock().0.is_none()
    }

    async fn next(&self) -> Errand {
        poll_fn(|cx| {
            let mut state = self.0.lock();
            if let Some(errand) = state.0.take() {
                return Poll::Ready(errand);
            }
            state.1 = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl Courier {
    async fn carry_out(&self, held: &mut Held, errand: Errand) -> Fact {
        match errand {
            Errand::Deliver { sending, watched } => {
                let id = sending.candidate.id;
                match self.deliver(held, &sending, watched.as_deref()).await {
                    Some(outcome) => Fact::Delivered(self.rollout, id, outcome),
                    None => Fact::Returned(self.rollout, id),
                }
            }
            Errand::Ask(Question { candidate, within, is_host_shared }) => {
                let within = within.min(QUESTION_MAX);
                let answer = self.ask(held, &candidate, is_host_shared, within).await;
                Fact::Asked(self.rollout, candidate.id, answer)
            }
            Errand::Examine(examination) => {
                let said = self.examine(held, &examination).await;
                Fact::Examined(self.rollout, examination.candidate.id, said)
            }
        }
    }

    /// `None` if the run was stopped before anything was sent.
    async fn deliver(
        &self,
        held: &mut Held,
        sending: &Sending,
        watched: Option<&AtomicU64>,
    ) -> Option<Outcome> {
        let Sending { candidate, ask_first, is_kept, .. } = sending;
        if *ask_first {
            let answer = self.ask(held, candidate, true, QUESTION_MAX).await;
            if matches!(&answer, Answer::Version { version } if version == self.shipment.version())
            {
                return Some(Outcome::AlreadyCurrent);
            }
        }
        if self.is_halted.load(Ordering::Relaxed) {
            return None;
        }
        let reuse = if *is_kept { Reuse::Keep } else { Reuse::Close };
        let target = self.target(candidate);
        let unwatched = AtomicU64::new(0);
        let sent = watched.unwrap_or(&unwatched);
        let begun = self.telemetry.as_ref().map(|telemetry| (telemetry, Instant::now()));
        let push =
            self.client.push_over(held, &self.shipment, &target, reuse, sent, &self.is_halted);
        let outcome = push.await;
        if let Some((telemetry, begun)) = begun {
            telemetry.delivered(begun.elapsed(), sent.load(Ordering::Relaxed));
        }
        self.sent_bytes.fetch_add(unwatched.into_inner(), Ordering::Relaxed);
        // Stopped before a byte had left.
        let is_halted = self.is_halted.load(Ordering::Relaxed);
        let is_unsent = matches!(&outcome, Outcome::NotSent { fault: Fault::Canceled, .. });
        (!(is_halted && is_unsent)).then_some(outcome)
    }

    async fn ask(
        &self,
        held: &mut Held,
        candidate: &Candidate,
        is_kept: bool,
        within: Duration,
    ) -> Answer {
        let reuse = if is_kept { Reuse::Keep } else { Reuse::Close };
        self.client.ask_over(held, &self.shipment, &self.target(candidate), reuse, within).await
    }

    async fn examine(&self, held: &mut Held, examination: &Examination) -> Said {
        let Examination { candidate, check, within, is_host_shared } = examination;
        let path = match check {
            Check::Url(path) => path,
            Check::Version => {
                return match self.ask(held, candidate, *is_host_shared, *within).await {
                    Answer::Version { version } => Said::Version(version.into_boxed_str()),
                    Answer::Unreadable { .. } => Said::Unreadable,
                    Answer::Silent { fault, .. } => Said::Silent(fault),
                };
            }
        };
        let reuse = if *is_host_shared { Reuse::Keep } else { Reuse::Close };
        let target = self.target(candidate);
        match self.client.look_over(held, &self.shipment, &target, path, reuse, *within).await {
            Ok(status) => Said::Status(status),
            Err(fault) => Said::Silent(fault),
        }
    }

    fn target(&self, candidate: &Candidate) -> Target {
        let endpoint = &candidate.endpoint;
        let mut idempotency_key = String::with_capacity(self.key_prefix.len() + 20);
        idempotency_key.push_str(&self.key_prefix);
        let _ = write!(idempotency_key, "{}", candidate.id);
        Target {
            endpoint: endpoint.clone(),
            headers: if self.headers.is_empty() {
                None
            } else {
                self.headers.get(&endpoint.id).cloned()
            },
            idempotency_key,
        }
    }
}

/// Tells what came of an errand, even of one that was cut short.
struct Report<'a> {
    courier: &'a Courier,
    id: AssignmentId,
    kind: Kind,
    is_told: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    Delivery,
    Question,
    Examination,
}

impl<'a> Report<'a> {
    fn of(courier: &'a Courier, errand: &Errand) -> Self {
        let (id, kind) = match errand {
            Errand::Deliver { sending, .. } => (sending.candidate.id, Kind::Delivery),
            Errand::Ask(question) => (question.candidate.id, Kind::Question),
            Errand::Examine(of) => (of.candidate.id, Kind::Examination),
        };
        Self { courier, id, kind, is_told: false }
    }

    fn tell(&mut self, fact: Fact) {
        self.is_told = true;
        let _ = self.courier.facts.send(fact);
    }
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        if self.is_told {
            return;
        }
        let (fault, detail) = (Fault::Canceled, "the delivery was cut short here".to_owned());
        let rollout = self.courier.rollout;
        let fact = match self.kind {
            Kind::Delivery => Fact::Delivered(rollout, self.id, Outcome::Unknown { fault, detail }),
            Kind::Question => Fact::Asked(rollout, self.id, Answer::Silent { fault, detail }),
            Kind::Examination => Fact::Examined(rollout, self.id, Said::Silent(fault)),
        };
        self.tell(fact);
    }
}
