//! Before the first byte is sent: take the state directory, keep the artifact, and find out
//! whether this push starts, goes on, or is done.

use groundswell_core::{
    device::Device,
    event::{Event, Kind},
    ids::{Epoch, RolloutId},
    time::Time,
};

use serde_json::Value;

use super::{
    PushError, Summary,
    builder::Order,
    decision::{Then, count, decide, read},
    identity::identity,
    rollout::{Wanted, create, go_on, retry},
    summary,
};
use crate::{
    access::{Change, this_user},
    artifacts::{
        payload::Payload,
        store::{ArtifactError, Artifacts, Kept},
    },
    engine::{giving_up::give_up, takeover::recover},
    store::{
        AccessStore as _, Attribution, RolloutRecord, SqliteStore, Store, dir::StateDir,
        reserve::Reserve,
    },
};

/// Rows taken back in one transaction.
const DISCARD: usize = 10_000;

/// A push that holds its state directory.
pub(super) struct Begun {
    pub(super) dir: StateDir,
    pub(super) record: RolloutRecord,
    pub(super) store: SqliteStore,
    pub(super) epoch: Epoch,
    pub(super) reserve: Reserve,
    artifact: Kept,
}

pub(super) enum Beginning {
    Begun(Box<Begun>),
    AlreadyDone(Box<Summary>),
}

impl Begun {
    pub(super) fn payload(&self) -> Result<Payload, PushError> {
        let Kept { path, digest, .. } = &self.artifact;
        Payload::from_hashed_file(path, digest.0)
            .map_err(|source| ArtifactError::Read { path: path.clone(), source }.into())
    }
}

pub(super) async fn begin(order: &mut Order) -> Result<Beginning, PushError> {
    let taken = std::mem::replace(order, order.emptied());
    let work = tokio::task::spawn_blocking(move || {
        let mut taken = taken;
        let beginning = begin_blocking(&mut taken);
        (taken, beginning)
    });
    let (taken, beginning) = work.await.map_err(|error| PushError::Run(error.into()))?;
    *order = taken;
    beginning
}

fn begin_blocking(order: &mut Order) -> Result<Beginning, PushError> {
    let now = order.http.clock.now();
    let what = format!("push {} {}", order.spec.release.name, order.spec.release.version);
    let dir = StateDir::lock(&order.state, &what)?;
    let reserve = dir.reserve()?;
    let mut store = SqliteStore::open(&dir.database())?;
    recover(&mut store, &reserve)?;
    let artifact = Artifacts::open(dir.artifacts())?.keep(&order.file)?;
    order.spec.release.artifact = artifact.digest;
    order.spec.release.artifact_bytes = artifact.bytes;
    order.spec.select.get_or_insert_with(String::new);
    let identity = identity(&order.spec.release, order.spec.select.as_deref(), &order.entries);
    let epoch = store.raise_epoch()?;
    let asked = order.asked(identity);
    let decision = match decide(read(&store, &asked)?, &asked) {
        Ok(decision) => decision,
        Err(refused) => return Err(refused.tell(order, |record| count(&store, record))?),
    };
    for record in decision.taken_back {
        while store.discard(record.key, DISCARD, now)? == DISCARD {}
        store.remove(record.key)?;
    }
    for record in decision.given_up {
        let subject = format!("rollout {}", record.key.0);
        store.attribute(order.attribution(
            "rollout.cancel",
            subject,
            serde_json::json!({ "for": what }),
            now,
        ));
        let canceled = abandon(&mut store, record, epoch, now)?;
        order.canceled.push(canceled);
    }
    if let (Then::GoOn(_), true) = (&decision.then, order.retry_failed) {
        tracing::warn!("--retry-failed waits until the rollout has ended: it goes on where it was");
    }
    let how = match &decision.then {
        Then::Nothing(_) | Then::Start => "push.start",
        Then::GoOn(_) => "push.go-on",
        Then::Retry(_) => "push.retry",
    };
    let devices: Vec<&Device> = order.entries.iter().map(|entry| &entry.device).collect();
    let (spec, canaries) = (&order.spec, order.canary);
    let wanted = Wanted { identity, spec, devices: &devices, canaries };
    if !matches!(decision.then, Then::Nothing(_)) {
        let asked = serde_json::json!({
            "artifact": order.spec.release.artifact,
            "devices": order.entries.len(),
            "select": order.spec.select,
        });
        store.attribute(order.attribution(how, what, asked, now));
    }
    let record = match decision.then {
        Then::Nothing(same) => {
            let summary = summary::already_done(&store, &same.record)?;
            return Ok(Beginning::AlreadyDone(Box::new(summary)));
        }
        Then::Start => create(&mut store, RolloutId(uuid::Uuid::now_v7()), &wanted, now)?,
        Then::GoOn(same) => go_on(&mut store, &wanted, same.record, now)?,
        Then::Retry(same) => retry(&mut store, &wanted, same.record, now)?,
    };
    order.entries = vec![];
    reserve.show_driving();
    Ok(Beginning::Begun(Box::new(Begun { dir, record, store, epoch, reserve, artifact })))
}

/// Gives a push up, and returns what is told of it.
fn abandon(
    store: &mut SqliteStore,
    record: RolloutRecord,
    epoch: Epoch,
    now: Time,
) -> Result<Event, PushError> {
    let (rollout, release) = (record.id, record.spec.release.clone());
    let counts = give_up(store, record, epoch, now)?;
    tracing::warn!(
        "gave up {} {}: {} devices had ended, {} are canceled",
        release.name,
        release.version,
        counts.ended() - counts.canceled,
        counts.canceled
    );
    Ok(Event { at: now, rollout, kind: Kind::RolloutCanceled { counts } })
}

impl Order {
    /// What the audit log is to say of the next change.
    fn attribution(&self, action: &str, subject: String, after: Value, now: Time) -> Attribution {
        let change = Change {
            at: now,
            who: this_user(),
            from: self.from.clone(),
            action: action.to_owned(),
            subject,
            before: None,
            after: Some(after),
            request: None,
        };
        Attribution { change, created: None }
    }

    /// What stands in while the order itself is worked on elsewhere.
    fn emptied(&self) -> Self {
        Self {
            file: self.file.clone(),
            state: self.state.clone(),
            spec: self.spec.clone(),
            entries: vec![],
            headers: crate::engine::outlet::DeviceHeaders::new(),
            http: self.http.clone(),
            canary: self.canary,
            retry_failed: self.retry_failed,
            abandon: self.abandon,
            from: self.from.clone(),
            canceled: vec![],
        }
    }
}
