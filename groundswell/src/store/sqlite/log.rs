//! What one commit writes to the log: small, because devices that went the same way share a line.
//!
//! The body is a JSON array of entries `{"to": state, "n": attempt, "ids": [..]}` in the order in
//! which things happened; an id stands for itself, a pair for all ids from its first to its last.
//! `due` and `away` (milliseconds since the epoch), `doubt` and `why` are there where the state has them.

use groundswell_core::{
    assignment::{Assignment, State},
    rollout::Progression,
};
use serde::Serialize;

use crate::store::{Batch, Change, StoreError};

#[derive(Serialize)]
struct Entry<'a> {
    to: &'a State,
    n: u32,
    #[serde(skip_serializing_if = "is_zero")]
    due: i64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    doubt: bool,
    #[serde(skip_serializing_if = "is_zero")]
    away: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    ids: Vec<Ids>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Ids {
    One(i64),
    Run([i64; 2]),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
const fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// The body of the log row of `batch`.
pub(super) fn body(batch: &Batch) -> Result<String, StoreError> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for change in &batch.changes {
        match entries.last_mut() {
            Some(entry) if is_alike(entry, change) => push_id(&mut entry.ids, change.id.0),
            _ => entries.push(entry(change)),
        }
    }
    let mut body = super::rows::to_json(&entries)?;
    if let Some(progression) = &batch.progression {
        body.pop();
        if !entries.is_empty() {
            body.push(',');
        }
        body.push_str(r#"{"rollout":"#);
        // The log has the rounds before already.
        let now = Progression { earlier: vec![], ..progression.clone() };
        body.push_str(&super::rows::to_json(&now)?);
        body.push_str("}]");
    }
    Ok(body)
}

fn entry(change: &Change) -> Entry<'_> {
    let Assignment { state, attempt, in_doubt, due_at, away_since } = &change.to;
    Entry {
        to: state,
        n: *attempt,
        due: due_at.as_millis(),
        doubt: *in_doubt,
        away: away_since.as_millis(),
        why: change.detail.as_deref(),
        ids: vec![Ids::One(change.id.0)],
    }
}

fn is_alike(entry: &Entry<'_>, change: &Change) -> bool {
    *entry.to == change.to.state
        && entry.n == change.to.attempt
        && entry.due == change.to.due_at.as_millis()
        && entry.doubt == change.to.in_doubt
        && entry.away == change.to.away_since.as_millis()
        && entry.why == change.detail.as_deref()
}

fn push_id(ids: &mut Vec<Ids>, id: i64) {
    match ids.last_mut() {
        Some(Ids::Run([_, last])) if *last + 1 == id => *last = id,
        Some(one @ Ids::One(_)) => {
            let Ids::One(first) = *one else { return };
            if first + 1 == id {
                *one = Ids::Run([first, id]);
            } else {
                ids.push(Ids::One(id));
            }
        }
        _ => ids.push(Ids::One(id)),
    }
}

#[cfg(test)]
mod tests {
    use groundswell_core::{
        ids::{AssignmentId, Epoch},
        time::Time,
    };

    use super::*;
    use crate::store::RolloutKey;

    fn change(id: i64, state: State, detail: Option<&str>) -> Change {
        let to = Assignment { state, attempt: 1, due_at: Time::ZERO, ..Assignment::queued() };
        Change { id: AssignmentId(id), to, detail: detail.map(Into::into) }
    }

    #[test]
    fn rounds_that_ended_are_not_written_again() {
        let (rollout, epoch, at) = (RolloutKey(1), Epoch(1), Time::ZERO);
        let release = groundswell_core::release::Release {
            name: "pos".to_owned(),
            version: "2".to_owned(),
            artifact: groundswell_core::release::Digest([7; 32]),
            artifact_bytes: 12,
        };
        let mut progression =
            Progression::draft(&groundswell_core::rollout::Spec::immediate(release));
        progression.begin_round(groundswell_core::snapshot::Counts::default(), vec![]);
        let batch = Batch { progression: Some(progression), ..Batch::empty(rollout, epoch, at) };
        let body = body(&batch).unwrap();
        assert!(body.contains(r#""round":2"#) && !body.contains("earlier"), "{body}");
    }

    #[test]
    fn devices_that_went_the_same_way_share_a_line() {
        let changes = vec![
            change(1, State::Delivering, None),
            change(2, State::Delivering, None),
            change(3, State::Delivering, None),
            change(9, State::Delivering, None),
            change(1, State::Canceled, Some("no \"more\"")),
        ];
        let (rollout, epoch, at) = (RolloutKey(1), Epoch(1), Time::ZERO);
        let batch = Batch { changes, ..Batch::empty(rollout, epoch, at) };
        assert_eq!(
            body(&batch).unwrap(),
            r#"[{"to":"delivering","n":1,"ids":[[1,3],9]},{"to":"canceled","n":1,"why":"no \"more\"","ids":[1]}]"#
        );
    }
}
