//! The audit log: `/api/v1/audit`. Only for admins without a scope: entries tell of every device.

use axum::Json;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{
    Api, Caller, Problem,
    body::Params,
    page::{Paging, cursor},
    routes::Route,
};
use crate::operate::{AuditEntry, AuditVerified, AuditWant};

/// Longest filter: no name, action or subject is longer.
const FILTER_BYTES_MAX: usize = 512;

/// Who may do what here.
pub(in crate::api) const ROUTES: &[Route] = &[
    Route::administer(Method::GET, "/api/v1/audit"),
    Route::administer(Method::GET, "/api/v1/audit/verify"),
];

pub(in crate::api) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(verify))
}

/// Which entries.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Those behind this number, oldest first; otherwise all, newest first.
    #[param(minimum = 0)]
    after: Option<i64>,
    /// Those before this number, newest first.
    #[param(minimum = 1)]
    before: Option<i64>,
    /// By whom: a part of the name.
    #[param(max_length = 512)]
    who: Option<String>,
    /// What was done, such as `device.change`, or `device` for all that is done to devices.
    #[param(max_length = 512)]
    action: Option<String>,
    /// To what, such as `device till-17`, or `device` for all of them.
    #[param(max_length = 512)]
    subject: Option<String>,
}

/// A page of the audit log. One may be shorter than asked for, and not be the last.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Audit {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// The cursor of the next page, to be asked for with the same filters; none if this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The number of the last entry that was looked at, if this is not the last page: `before`, or
    /// `after`, to go on from there at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<i64>,
}

/// Lists who did what, newest first.
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "audit", params(Which, Paging),
    responses((status = 200, body = Audit), (status = "default", body = Problem)),
)]
async fn list(
    api: Api,
    caller: Caller,
    Params(which): Params<Which>,
    Params(paging): Params<Paging>,
) -> Result<Json<Audit>, Problem> {
    unlimited(&caller)?;
    let Which { after, before, who, action, subject } = which;
    for (field, text) in [("who", &who), ("action", &action), ("subject", &subject)] {
        if text.as_ref().is_some_and(|text| text.len() > FILTER_BYTES_MAX) {
            let told = format!("is longer than {FILTER_BYTES_MAX} bytes");
            return Err(Problem::invalid(field, told));
        }
    }
    if after.is_some_and(|after| after < 0) {
        return Err(Problem::invalid("after", "the number of an entry, or 0"));
    }
    if before.is_some_and(|before| before < 1) {
        return Err(Problem::invalid("before", "the number of an entry"));
    }
    if after.is_some() && before.is_some() {
        return Err(Problem::invalid("before", "entries behind a number are told oldest first"));
    }
    let (limit, from) = (paging.limit()?, paging.after_number()?);
    let is_upwards = after.is_some();
    let (after, before) = if is_upwards { (from.or(after), None) } else { (None, from.or(before)) };
    let want = AuditWant { after, before, limit, who, action, subject };
    let (entries, up_to) = api.look(move |state, _| state.audit_page(&want)).await?;
    let next = up_to.map(|seq| cursor(&seq.to_string()));
    Ok(Json(Audit { entries, next, up_to }))
}

/// An entry as somebody kept it elsewhere.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Earlier {
    /// The number of an entry.
    #[param(minimum = 1)]
    seq: Option<i64>,
    /// The hash that it had, in hex.
    #[param(max_length = 64)]
    hash: Option<String>,
}

/// Looks through all of the audit log: finds any edit, removal or reordering. Keep `entries` and
/// `hash` elsewhere and ask with them as `seq` and `hash` later: that finds a log that was cut off at
/// its end, or written anew as a whole.
#[utoipa::path(
    get, path = "/api/v1/audit/verify", tag = "audit", params(Earlier),
    responses((status = 200, body = AuditVerified), (status = "default", body = Problem)),
)]
async fn verify(
    api: Api,
    caller: Caller,
    Params(earlier): Params<Earlier>,
) -> Result<Json<AuditVerified>, Problem> {
    unlimited(&caller)?;
    let kept = match (earlier.seq, earlier.hash) {
        (None, None) => None,
        (Some(seq), Some(hash)) if seq > 0 && is_hash(&hash) => Some((seq, hash)),
        (Some(_), Some(_)) => {
            return Err(Problem::invalid("hash", "give what `verify` said: 64 digits of hex"));
        }
        _ => return Err(Problem::invalid("seq", "give both `seq` and `hash`, or neither")),
    };
    let verified = api.survey(move |state, _| {
        state.verify_audit(kept.as_ref().map(|(seq, hash)| (*seq, hash.as_str())))
    });
    Ok(Json(verified.await?))
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Entries tell of devices that somebody with a scope may not know of.
fn unlimited(caller: &Caller) -> Result<(), Problem> {
    if caller.scope().is_none() {
        return Ok(());
    }
    let told = "the audit log tells of every device: it takes an admin without a scope";
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", told))
}
