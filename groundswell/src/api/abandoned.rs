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
            && let Some(turn) = api.uploads().turn(&upload.id)
        {
            remove(&mut state, &artifacts, upload, turn, api.now())?;
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
