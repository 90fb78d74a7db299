//! The assignments of a rollout, page by page.

use groundswell_core::{assignment::State as Standing, spelling::nearest, time::Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{OperateError, State};
use crate::{
    access::Scope,
    store::{AssignmentsWant, CohortKey, RolloutRecord, Store as _},
};

/// One device in a rollout's round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AssignmentView {
    /// The device's id.
    pub device: String,
    /// Its wave, counted from 1.
    pub wave: usize,
    /// Where it stands, such as `queued` or `failed: verification`.
    pub state: String,
    /// Attempts that count.
    pub attempts: u32,
    /// Since when it stands there.
    #[schema(value_type = i64)]
    pub changed_at: Time,
    /// Why, if there is more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What it said when it was found not to be well after its update, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regressed: Option<String>,
}

/// From where on a page is.
type From = (usize, CohortKey, i64);

/// The states that a word stands for: `failed` is all that begin with it.
///
/// # Errors
/// Says which words there are.
pub fn assignment_states(word: &str) -> Result<Vec<Standing>, String> {
    let word = word.trim().to_lowercase().replace('_', " ");
    let fits = |state: &Standing| {
        let text = state.as_str();
        text == word || text.split(": ").next() == Some(&word)
    };
    let states: Vec<Standing> = Standing::ALL.into_iter().filter(fits).collect();
    if states.is_empty() {
        let meant = nearest(&word, Standing::ALL.map(Standing::as_str));
        let hint = meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
        return Err(format!("there is no state `{word}`{hint}"));
    }
    Ok(states)
}

impl State {
    /// At most `limit` assignments of a rollout's round behind `after`, of those in these states and
    /// in this wave (counted from 1), and from where on there may be more. A page may be shorter than
    /// that, and not be the last.
    ///
    /// # Errors
    /// [`OperateError::Store`], or [`OperateError::Cursor`] for what no page said.
    pub fn assignment_page(
        &self,
        record: &RolloutRecord,
        states: Option<&[Standing]>,
        wave: Option<usize>,
        after: Option<&str>,
        limit: usize,
        scope: Option<&Scope>,
    ) -> Result<(Vec<AssignmentView>, Option<String>), OperateError> {
        let after = after.map(|after| read(after).ok_or(OperateError::Cursor)).transpose()?;
        let want = AssignmentsWant {
            rollout: record.key,
            round: record.progression.round,
            wave: wave.map(|wave| wave.saturating_sub(1)),
            states,
            after,
            limit,
        };
        let page = self.store.assignments(&want)?;
        let mut views = vec![];
        for row in page.rows {
            let is_in = match scope {
                None => true,
                Some(scope) => {
                    self.store.device(&row.device)?.is_some_and(|device| scope.contains(&device))
                }
            };
            if is_in {
                views.push(AssignmentView {
                    device: row.device,
                    wave: row.wave + 1,
                    state: row.state.to_string(),
                    attempts: row.attempts,
                    changed_at: row.changed_at,
                    detail: row.detail,
                    regressed: row.regressed,
                });
            }
        }
        Ok((views, page.next.map(written)))
    }
}

fn written((wave, cohort, id): From) -> String {
    format!("{wave}.{}.{id}", cohort.0)
}

fn read(text: &str) -> Option<From> {
    let mut parts = text.split('.');
    let (wave, cohort, id) = (parts.next()?, parts.next()?, parts.next()?);
    Some((wave.parse().ok()?, CohortKey(cohort.parse().ok()?), id.parse().ok()?))
}
