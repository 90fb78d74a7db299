//! A device says that it is there, and is told what waits for it.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, State},
};
use groundswell_core::{assignment::Assignment, device::check_label, time::Time};
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{
    Api, Caller, Problem,
    body::JsonBody,
    driven::Rollouts,
    operator::{device_edit, devices::find},
    routes::{Needs, Route},
};
use crate::{
    access::{Kind, Right},
    operate::{self, DeviceSpec},
    store::{Calling, CheckedIn, Health, RolloutRecord},
};

/// Longest text of a device that is not well, in bytes: what a detail of an assignment may have.
const TEXT_BYTES_MAX: usize = 1_200;

/// How often a new address is tried to be written when others change the device at the same time.
const TRIES: usize = 8;

/// Who may do what here.
pub(in crate::api) const ROUTES: &[Route] = &[Route {
    method: Method::POST,
    path: "/api/v1/devices/{id}/check-in",
    needs: Needs::DeviceOr(Right::Operate),
}];

pub(in crate::api) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(check_in))
}

/// Longest body: several times what can be said of all there is to say, however it is written.
const BYTES_MAX: usize = 32 << 10;

/// What a device says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckIn {
    /// The version it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub version: Option<String>,
    /// Where it listens, if that is another place than before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub address: Option<String>,
    /// How it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<How>,
    /// What is wrong, if it is ill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1200)]
    pub text: Option<String>,
}

/// How a device is, by its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// All is well.
    Healthy,
    /// It is not.
    Ill,
}

/// What a device is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckInAnswer {
    /// The time here.
    #[schema(value_type = i64)]
    pub at: Time,
    /// The rollouts that have it and are not done with it, oldest first.
    pub waits: Vec<Waits>,
}

/// A rollout that is not done with a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Waits {
    /// The rollout's number.
    pub rollout: i64,
    /// Where the rollout stands, such as `running` or `paused`.
    pub rollout_state: String,
    /// The name of its release.
    pub name: String,
    /// The version of its release.
    pub version: String,
    /// Where the device stands in it, such as `queued` or `delivering`.
    pub state: String,
    /// Attempts that count.
    pub attempts: u32,
    /// Whether the release is sent to the device's address; otherwise the device has none, and
    /// nothing can be sent to it.
    pub by_push: bool,
    /// Before which time nothing is sent, if that is known: a window opens then, or it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub not_before: Option<Time>,
}

/// A device says that it is there. What it says is written down within a second; rollouts that wait
/// for it go on then. It is answered what waits for it. An operator may say it for a device: that is
/// written down at once, and in the audit log.
#[utoipa::path(
    post, path = "/api/v1/devices/{id}/check-in", tag = "check-in", params(("id" = String, Path)),
    request_body = CheckIn,
    responses((status = 200, body = CheckInAnswer), (status = "default", body = Problem)),
)]
async fn check_in(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(said): JsonBody<CheckIn, BYTES_MAX>,
) -> Result<Json<CheckInAnswer>, Problem> {
    match &caller.token.kind {
        Kind::Device { device } if *device == id => {}
        Kind::Operator { .. } => drop(find(&api, &caller, &id).await?),
        Kind::Device { .. } | Kind::Enrollment { .. } => {
            let told = "the token is of another device";
            return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", told));
        }
    }
    let heard = heard(&said, api.now())?;
    let rollouts = api.driven()?;
    let unknown = || Problem::not_found(format!("there is no device `{id}`"));
    let calling = api.glance(|state, _| state.calling(&id, &rollouts.keys))?;
    let mut calling = calling.ok_or_else(unknown)?;
    let at = heard.at;
    if let Some(address) = &said.address
        && calling.address.as_ref() != Some(address)
    {
        match move_to(&api, &caller, &id, address).await {
            Ok(moved) => calling.address = moved,
            Err(problem) => {
                // It is there, wherever that is.
                if problem.status() == StatusCode::TOO_MANY_REQUESTS {
                    note(&api, &caller, &id, (&said, heard)).await?;
                }
                return Err(problem);
            }
        }
    }
    note(&api, &caller, &id, (&said, heard)).await?;
    let mut waits = vec![];
    for (key, assignment) in &calling.waits {
        let Some(record) = rollouts.of(*key) else { continue };
        // An operator's scope hides rollouts, too.
        if api.glance(|state, _| state.is_in_scope(record, caller.scope()))? {
            waits.push(waits_for(&rollouts, record, &calling, assignment, at));
        }
    }
    Ok(Json(CheckInAnswer { at, waits }))
}

/// Notes what a device says to be written with what others say; what an operator says for it is a
/// change like any other.
async fn note(
    api: &Api,
    caller: &Caller,
    id: &str,
    (said, heard): (&CheckIn, CheckedIn),
) -> Result<(), Problem> {
    let gather = |heard| {
        let told = "more devices check in than can be written down at the moment";
        let full = || Problem::unavailable("too-many-check-ins", told, 10);
        api.heard().note(id, heard).then_some(()).ok_or_else(full)
    };
    if matches!(&caller.token.kind, Kind::Device { .. }) {
        return gather(heard);
    }
    for _ in 0..TRIES {
        let device = find(api, caller, id).await?;
        let change = caller.change(api.now(), "device.check-in", format!("device {id}"));
        let change = change.between(None, serde_json::to_value(said).ok());
        let written = [(id.into(), heard.clone())];
        let act = move |state: &mut operate::State, _| state.checked_in(&written);
        if api.change_as_seen(device, change, act).await?.is_some() {
            // What it said itself before that is not to be written over this.
            return if api.heard().unwritten(id).is_some() { gather(heard) } else { Ok(()) };
        }
    }
    Err(device_edit::restless())
}

fn heard(said: &CheckIn, at: Time) -> Result<CheckedIn, Problem> {
    if let Some(version) = &said.version {
        check_label("version", version)
            .map_err(|error| Problem::invalid("version", error.to_string()))?;
    }
    let text = said.text.as_deref().map(str::trim).filter(|text| !text.is_empty());
    if text.is_some_and(|text| text.len() > TEXT_BYTES_MAX) {
        return Err(Problem::invalid("text", format!("is longer than {TEXT_BYTES_MAX} bytes")));
    }
    if text.is_some() && said.health != Some(How::Ill) {
        return Err(Problem::invalid("text", "is of a device whose health is `ill`"));
    }
    let health = said.health.map(|how| match how {
        How::Healthy => Health::Well,
        How::Ill => Health::Unwell(line(text.unwrap_or("no word of what is wrong"))),
    });
    Ok(CheckedIn { at, version: said.version.clone(), health })
}

/// Whoever reads it on a terminal sees a line, and nothing that moves its cursor.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Writes a new address down, by the rules of an inventory; says what it is then.
async fn move_to(
    api: &Api,
    caller: &Caller,
    id: &str,
    address: &str,
) -> Result<Option<String>, Problem> {
    let mut is_counted = false;
    for _ in 0..TRIES {
        let before = api.glance(|state, _| state.known_device(id))?;
        let before =
            before.ok_or_else(|| Problem::not_found(format!("there is no device `{id}`")))?;
        let spec = DeviceSpec { address: Some(address.to_owned()), ..DeviceSpec::of(&before) };
        let device = spec.device(id)?;
        let written = device.address.as_ref().map(ToString::to_string);
        if device.address == before.address {
            return Ok(written);
        }
        if !is_counted {
            api.moves().note(id, api.now()).map_err(too_many_moves)?;
            is_counted = true;
        }
        if device_edit::write(api, caller, before, device).await?.is_some() {
            return Ok(written);
        }
    }
    Err(device_edit::restless())
}

fn too_many_moves(wait: Duration) -> Problem {
    let told = "the device had many addresses within the last hour: this one is not taken over; all \
                else that it said is";
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-moves", told);
    Problem { retry_after_secs: Some(wait.as_secs() + 1), ..problem }
}

fn waits_for(
    rollouts: &Rollouts,
    record: &RolloutRecord,
    calling: &Calling,
    assignment: &Assignment,
    now: Time,
) -> Waits {
    let Assignment { state, attempt, due_at, .. } = *assignment;
    let is_open = state.is_waiting() || state == groundswell_core::assignment::State::Queued;
    let opens_at =
        if is_open { rollouts.opens_at(record, calling.time_zone.as_deref(), now) } else { None };
    Waits {
        rollout: record.key.0,
        rollout_state: record.progression.state.to_string(),
        name: record.spec.release.name.clone(),
        version: record.spec.release.version.clone(),
        state: state.to_string(),
        attempts: attempt,
        by_push: calling.address.is_some(),
        not_before: opens_at.max(Some(due_at)).filter(|at| *at > now),
    }
}
