//! Uploads that nobody goes on with are removed.

use std::time::Duration;

use groundswell_core::time::Time;
use serde_json::json;

use super::{Api, Problem, uploads::Turn};
use crate::{
    access::Change,
    artifacts::store::Artifacts,
    operate::{OperateError, State},
    store::{Attribution, Upload},
};

/// How long an upload is kept that nothing is added to.
pub const UPLOAD_KEPT: Duration = Duration::from_hours(24);

impl Api {
    /// Removes the uploads that nothing was added to for [`UPLOAD_KEPT`], and files of which nothing is
    /// known; says how many uploads these were.
    ///
    /// # Errors
    /// A [`Problem`] as the state has it.
    pub async fn tidy_uploads(&self) -> Result<usize, Problem> {
        let api = self.clone();
        let tidied = tokio::task::spawn_blocking(move || Ok(tidy(&api)?)).await;
        tidied.unwrap_or_else(|died| {
            tracing::error!("tidying uploads died: {died}");
            Err(Problem::internal())
        })
    }
}

fn tidy(api: &Api) -> Result<usize, OperateError> {
    let mut state = State::open(api.path())?;
    let artifacts = state.artifacts()?;
    let now = Duration::from_millis(api.now().as_millis().unsigned_abs());
    let since = std::time::UNIX_EPOCH + now.saturating_sub(UPLOAD_KEPT);
    if let Err(error) = artifacts.sweep_whole(since) {
        tracing::warn!("what is left of an upload cannot be removed: {error}");
    }
    // These first: an upload is written down before it has a file.
    let files = artifacts.arrivals().unwrap_or_default();
    let uploads = state.uploads()?;
    let mut removed = 0;
    for upload in &uploads {
        if is_abandoned(upload, &artifacts, api.now())
            && remove_if_abandoned(api, &mut state, &artifacts, &upload.id)?
        {
            removed += 1;
        }
    }
    for id in files {
        if !uploads.iter().any(|upload| upload.id == id)
            && let Err(error) = artifacts.discard(&id)
        {
            tracing::warn!("what is left of an upload cannot be removed: {error}");
        }
    }
    Ok(removed)
}

/// Takes the turn at an upload that seemed to be abandoned and removes it, unless whoever had the turn
/// went on with it until then, or ended it.
fn remove_if_abandoned(
    api: &Api,
    state: &mut State,
    artifacts: &Artifacts,
    id: &str,
) -> Result<bool, OperateError> {
    let Some(turn) = api.uploads().turn(id) else { return Ok(false) };
    let Some((upload, _)) = state.upload(id)? else { return Ok(false) };
    let is_abandoned = is_abandoned(&upload, artifacts, api.now());
    if is_abandoned {
        remove(state, artifacts, &upload, turn, api.now())?;
    }
    Ok(is_abandoned)
}

fn is_abandoned(upload: &Upload, artifacts: &Artifacts, now: Time) -> bool {
    let since = match artifacts.arrived(&upload.id) {
        Ok(Some((_, at))) => {
            let at = at.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            Time::from_millis(i64::try_from(at.as_millis()).unwrap_or(i64::MAX))
        }
        Ok(None) => upload.begun_at,
        // Whether it is cannot be told.
        Err(_) => return false,
    };
    let kept_millis = i64::try_from(UPLOAD_KEPT.as_millis()).unwrap_or(i64::MAX);
    now.as_millis().saturating_sub(since.as_millis()) > kept_millis
}

fn remove(
    state: &mut State,
    artifacts: &Artifacts,
    upload: &Upload,
    mut turn: Turn,
    now: Time,
) -> Result<(), OperateError> {
    turn.hashed = None;
    let change = Change {
        at: now,
        who: "the server".to_owned(),
        from: "here".to_owned(),
        action: "artifact.abandon".to_owned(),
        subject: format!("artifact {}", upload.digest),
        before: Some(json!({ "upload": upload.id })),
        after: None,
        request: None,
    };
    state.attribute(Attribution { change, created: None });
    let ended = state.end_upload(Some(&upload.id), || artifacts.discard(&upload.id));
    state.unattribute();
    ended
}

#[cfg(test)]
mod tests {
    use groundswell_core::release::Digest;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        access::TokenId,
        api::{Limits, Live},
        clock::Clock,
        operate::{AuditWant, Borders},
        telemetry::Telemetry,
    };

    #[test]
    fn what_went_on_or_ended_before_the_turn_was_taken_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut state = State::open(dir.path()).unwrap();
        let live = Live::new(Telemetry::default(), CancellationToken::new());
        let (path, borders) = (dir.path().to_owned(), Borders::default());
        let api = Api::new(path, Clock::System, Limits::default(), borders, live);
        let artifacts = state.artifacts().unwrap();
        let begin = |state: &mut State, id: &str| {
            let (token, begun_at) = (TokenId("t".to_owned()), Time::ZERO);
            let upload =
                Upload { id: id.to_owned(), digest: Digest([1; 32]), bytes: 9, token, begun_at };
            state.begin_upload(&upload, 9).unwrap();
        };
        begin(&mut state, "goes-on");
        let mut file = artifacts.arriving("goes-on", None).unwrap();
        file.append(b"a part").unwrap();
        let remove =
            |state: &mut State, id| remove_if_abandoned(&api, state, &artifacts, id).unwrap();
        assert!(!remove(&mut state, "goes-on"));
        assert!(!remove(&mut state, "ended"));
        let there = artifacts.arrived("goes-on").unwrap().unwrap();
        assert_eq!(there.0, 6);
        let want = AuditWant { limit: 1, ..AuditWant::default() };
        assert!(state.audit_page(&want).unwrap().0.is_empty(), "nothing was done");
        begin(&mut state, "left");
        assert!(remove(&mut state, "left"));
    }
}
