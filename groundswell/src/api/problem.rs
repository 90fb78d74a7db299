//! What went wrong with a request, as RFC 9457 has it.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use groundswell_core::document::DocumentError;

use crate::{
    operate::{OperateError, Unmeetable},
    spec_file::SpecFileError,
    store::{StoreError, dir::DirError},
};

/// What the type of a problem begins with; what follows is stable.
const TYPE: &str = "urn:groundswell:problem:";

/// What every problem is sent as.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// Every kind of problem, the status that it comes with, and what it means.
pub(super) const KINDS: &[(&str, u16, &str)] = &[
    ("bad-request", 400, "The request cannot be read."),
    ("unauthorized", 401, "No token was shown, or one that is not good (any more)."),
    ("forbidden", 403, "The token is good, and may not do this."),
    ("used-up", 403, "The enrollment token is good for no more devices."),
    ("not-found", 404, "There is no such thing, or none that the token may see."),
    ("no-such-place", 404, "The API has nothing of that address."),
    ("no-such-method", 405, "The place does not take that method; Allow says which it takes."),
    ("stalled", 408, "A body does not come in time; what came of an upload before is kept."),
    ("conflict", 409, "It makes no sense as things are now."),
    ("differs", 409, "There is one of that name already, and it is another one."),
    ("moved-on", 409, "What was to be done was meant for an earlier state."),
    ("nothing-to-release", 409, "Nothing is held that could be released."),
    ("refused", 409, "What was asked for is not done as things are now; the detail says why."),
    ("has-others", 409, "Devices of the rollout are out of the scope of the token by now."),
    ("device-busy", 409, "A rollout is sending to the device."),
    ("device-known", 409, "There is a device of that id already."),
    ("last-admin", 409, "It is the last token that may administer everything."),
    ("shown-before", 409, "The token was made under this key, and its secret shown then."),
    ("pruned", 410, "What came behind that event was pruned from the log."),
    ("other-state", 410, "The event is of a state that this one is an older copy of."),
    ("key-in-use", 409, "Another request with this Idempotency-Key was done at the same time."),
    ("in-use", 409, "Something else is made of it."),
    ("wrong-offset", 409, "An upload does not go on there; Upload-Offset says where it does."),
    ("busy", 409, "Another request is at this upload."),
    ("upload-ended", 409, "The upload that was begun under this key has ended without success."),
    ("changed-meanwhile", 412, "It was changed since it was read: read it again."),
    ("too-large", 413, "The body is longer than is taken."),
    ("uri-too-long", 414, "The address of the request is longer than is taken."),
    ("not-json", 415, "The body has to be JSON, and say so."),
    ("not-ndjson", 415, "The body has to be lines of JSON, and say so."),
    ("not-bytes", 415, "The body has to be bytes as they are, and say so."),
    ("unknown-encoding", 415, "The body may be compressed once, by gzip or zstd, and say so."),
    ("no-such-range", 416, "Nothing of the range is in the artifact."),
    ("invalid", 422, "A part of the request cannot be; `errors` names all such parts."),
    ("digest-differs", 422, "The bytes that came are not those that were promised."),
    (
        "took-too-long",
        422,
        "There are too many devices, or too long a log, for what was asked; no index serves the selector.",
    ),
    ("too-many-uploads", 429, "As many uploads are under way as may be."),
    ("too-many-guesses", 429, "Too many wrong tokens came from this address."),
    ("too-many-enrollments", 429, "Too many devices enroll from this address at once."),
    ("too-many-moves", 429, "A device says another address too often; all else it said is taken."),
    ("internal", 500, "Something went wrong in the server; its log has it under the request id."),
    ("store", 503, "The state cannot be read or written at the moment."),
    (
        "no-answer",
        504,
        "What drives the rollouts did not answer in time; it does what was asked later.",
    ),
    ("starting", 503, "The server has not begun yet."),
    ("draining", 503, "The server is about to end."),
    ("too-many-check-ins", 503, "More devices check in than can be written down."),
    ("too-many-readers", 503, "More listen to events than can be told."),
    ("disk-full", 507, "There is no room; an upload goes on once there is."),
];

/// Why a request was not done (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Which kind of problem; stable, for programs.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// What is wrong this time, and what to do.
    pub detail: String,
    /// What is wrong, part by part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
    /// The request, as it is named in the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// In how many seconds to try again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_secs: Option<u64>,
}

/// Something that is wrong with a part of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fault {
    /// The part, such as `tags.region`, a parameter or a header.
    pub field: String,
    /// What is wrong with it.
    pub detail: String,
}

impl Problem {
    /// A problem of a kind, in words.
    pub fn new(status: StatusCode, kind: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("{TYPE}{kind}"),
            title: kind.replace('-', " "),
            status: status.as_u16(),
            detail: detail.into(),
            errors: vec![],
            request_id: None,
            retry_after_secs: None,
        }
    }

    /// The request cannot be read.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    /// A part of the request cannot be.
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        let (field, detail) = (field.into(), detail.into());
        let told = format!("{field}: {detail}");
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", told);
        Self { errors: vec![Fault { field, detail }], ..problem }
    }

    /// A rollout's document cannot be used: all that is wrong with it.
    fn of_document(error: &DocumentError) -> Self {
        let fault = |fault: &groundswell_core::document::Fault| Fault {
            field: if fault.path.is_empty() { "spec".to_owned() } else { fault.path.clone() },
            detail: fault.what.clone(),
        };
        let problem =
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", format!("the spec: {error}"));
        Self { errors: error.faults().iter().map(fault).collect(), ..problem }
    }

    /// Budgets that cannot be met: all of them.
    fn of_budgets(unmeetable: &Unmeetable) -> Self {
        let faults = unmeetable.problems.iter().map(|problem| {
            let told = problem.to_string();
            let (field, detail) = told.split_once(": ").unwrap_or(("budgets", &told));
            Fault { field: field.to_owned(), detail: detail.to_owned() }
        });
        let told = unmeetable.to_string();
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", told);
        Self { errors: faults.collect(), ..problem }
    }

    /// There is no such thing, or none that the caller may see.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// It makes no sense as things are now.
    pub fn conflict(kind: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, kind, detail)
    }

    /// Something that should not happen; the log has it.
    pub fn internal() -> Self {
        let detail = "something went wrong here; the server's log has it under this request id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// A selector that no index serves, or that chooses too few of too many. It would take as long the
    /// next time: so it is what was asked that cannot be done (422), and no state of the server (503)
    /// after which programs ask again by themselves.
    pub fn took_too_long() -> Self {
        let detail = "this selector takes too long over so many devices and was given up: add a \
                      condition that chooses few by itself, such as tag.region==west, id==till-1* \
                      or version==2.1.0; what is asked with `!=`, `=out=` or `or` alone, or begins \
                      with `*`, has to be held against every device";
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "took-too-long", detail);
        let fault = Fault { field: "select".to_owned(), detail: detail.to_owned() };
        Self { errors: vec![fault], ..problem }
    }

    /// The same, said of what goes over all devices or a whole log instead of a selector.
    pub(super) fn of_survey(self) -> Self {
        if self.kind != format!("{TYPE}took-too-long") {
            return self;
        }
        let told = "this goes over all devices, or a whole log, and was given up because it took too \
                    long; the same is done without a limit by `groundswell` in the state directory \
                    on the server's machine";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "took-too-long", told)
    }

    /// There is no room on the disk.
    pub fn disk_full() -> Self {
        let told = "the server's disk is full: make room there, and send it again. What an upload in \
                    parts has said to have arrived is kept, and it goes on from there";
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "disk-full", told)
    }

    /// Nothing can be done at the moment.
    pub fn unavailable(kind: &str, detail: impl Into<String>, secs: u64) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, kind, detail);
        Self { retry_after_secs: Some(secs), ..problem }
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, retry_after) = (self.status(), self.retry_after_secs);
        let mut response = (status, Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(secs) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"groundswell\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        // Whoever puts the request id in later finds the problem here.
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_interrupted() {
            return Self::took_too_long();
        }
        if matches!(error, StoreError::CreatedMeanwhile) {
            let told = "another request with this key came at the same time and was done: send \
                        this one again for its answer";
            return Self::conflict("key-in-use", told);
        }
        let is_full = error.is_of_full_disk();
        tracing::error!("{:#}", anyhow::Error::from(error));
        if is_full {
            return Self::disk_full();
        }
        Self::unavailable("store", "the state cannot be read or written; try again later", 5)
    }
}

impl From<OperateError> for Problem {
    fn from(error: OperateError) -> Self {
        use OperateError as E;
        let told = error.to_string();
        match error {
            E::Store(error) | E::ImportCut { error, .. } => error.into(),
            E::Artifact(error) if error.is_of_full_disk() => Self::disk_full(),
            E::Dir(DirError::Locked { .. } | DirError::Io { .. })
            | E::Takeover(_)
            | E::Backup(_)
            | E::Artifact(_) => {
                tracing::error!("{:#}", anyhow::Error::from(error));
                Self::unavailable("store", "the state cannot be used; try again later", 5)
            }
            E::NoState { .. } => Self::unavailable("store", "there is no state yet", 5),
            E::Hangs { .. } => {
                tracing::error!("{told}");
                let told = "what drives the state keeps it to itself; nothing was written down";
                Self::unavailable("store", told, 5)
            }
            E::NoAnswer { secs, .. } => {
                tracing::error!("{told}");
                let told = format!(
                    "what drives the state did not answer within {secs} s. What was asked for stays \
                     written down and is done when that gets to it: look before you ask again"
                );
                Self::new(StatusCode::GATEWAY_TIMEOUT, "no-answer", told)
            }
            E::Network { field, error } => Self::invalid(field, error.to_string()),
            E::Secret { field, .. } => Self::invalid(field, told),
            E::Selector(error) => Self::invalid("select", error.to_string()),
            E::Domain(error) => Self::invalid("domain", error.to_string()),
            E::Label(error) => Self::invalid("body", error.to_string()),
            E::Spec(SpecFileError::Document(_, error)) | E::Document(error) => {
                Self::of_document(&error)
            }
            E::Budgets(unmeetable) => Self::of_budgets(&unmeetable),
            E::Spec(_) => Self::invalid("spec", told),
            E::Reason { max } | E::ReleaseReason { max } | E::ApprovalReason { max } => {
                Self::invalid("reason", format!("say why in 1 to {max} characters"))
            }
            E::Cursor => Self::invalid("cursor", told),
            E::TokenName { .. } => Self::invalid("name", told),
            E::Fault(fault) => Self::invalid(fault.field, fault.detail),
            E::Uses { .. } => Self::invalid("uses_max", told),
            E::OutOfScope => Self::invalid("tags", told),
            E::Scope(_) => Self::invalid("scope", told),
            E::NoRandomness(_) => Self::internal(),
            // Without what the command line would do about it.
            E::UnknownDevice { id, meant: None } => {
                Self::not_found(format!("there is no device `{id}`"))
            }
            E::UnknownRollout { given, last } => {
                let told = match last {
                    None => String::new(),
                    Some(1) => ": the only one is 1".to_owned(),
                    Some(last) => format!(": they are numbered 1 to {last}"),
                };
                Self::not_found(format!("there is no rollout `{given}`{told}"))
            }
            E::UnknownRelease { name, version, known } if known.is_empty() => {
                Self::not_found(format!("there is no release {name} {version}"))
            }
            E::UnknownDevice { .. }
            | E::UnknownRelease { .. }
            | E::UnknownArtifact { .. }
            | E::UnknownToken { .. } => Self::not_found(told),
            E::LastAdmin => Self::conflict("last-admin", told),
            E::UsedUp => Self::new(StatusCode::FORBIDDEN, "used-up", told),
            E::DeviceKnown { .. } => Self::conflict("device-known", told),
            E::DeviceBusy { .. } => Self::conflict("device-busy", told),
            E::HasOthers { .. } => Self::conflict("has-others", told),
            E::ArtifactInUse { .. } => Self::conflict("in-use", told),
            E::TooManyUploads { .. } => {
                let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-uploads", told);
                Self { retry_after_secs: Some(10), ..problem }
            }
            E::AmbiguousRollout { .. } => Self::invalid("rollout", told),
            E::ReleaseDiffers { .. } => Self::conflict("differs", told),
            E::MovedOn { .. } | E::OtherWave { .. } => Self::conflict("moved-on", told),
            E::Slot { .. } | E::NoRelease { .. } => Self::conflict("nothing-to-release", told),
            E::Push { .. }
            | E::Refused { .. }
            | E::Unfit { .. }
            | E::NotRolledBack { .. }
            | E::NoWayBack { .. }
            | E::DriverRefused { .. } => Self::conflict("refused", told),
        }
    }
}
