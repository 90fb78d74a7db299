//! How values of the core are written in rows.

use std::time::Duration;

use groundswell_core::{
    assignment::{Assignment, FailReason, SkipReason, State, Step},
    device::Endpoint,
    hours::Zone,
    ids::{AssignmentId, RolloutId},
    rollout::{Progression, Spec},
    time::Time,
};
use rusqlite::Row;
use serde::de::DeserializeOwned;

use crate::store::{
    Candidate, CohortKey, DeviceKey, Known, RolloutKey, RolloutRecord, StoreError, Values,
};

/// The code of a state, as the partial indexes of the schema know it.
pub(super) const fn code(state: State) -> i64 {
    match state {
        State::Queued => 0,
        State::Delivering => 1,
        State::Verifying => 2,
        State::Retrying => 3,
        State::Away => 4,
        State::Absent => 5,
        State::Succeeded => 10,
        State::Failed(FailReason::Rejected) => 20,
        State::Failed(FailReason::DeviceError) => 21,
        State::Failed(FailReason::Transfer) => 22,
        State::Failed(FailReason::Verification) => 23,
        State::Failed(FailReason::Unreachable) => 24,
        State::TimedOut(Step::Delivering) => 30,
        State::TimedOut(Step::Verifying) => 31,
        State::Canceled => 40,
        State::Skipped(SkipReason::AlreadyCurrent) => 50,
        State::Skipped(SkipReason::Offline) => 51,
        State::Skipped(SkipReason::NoAddress) => 52,
        State::Skipped(SkipReason::Superseded) => 53,
        State::Skipped(SkipReason::Downgrade) => 54,
        State::Skipped(SkipReason::Deadline) => 55,
        State::Skipped(SkipReason::WindowClosed) => 56,
        State::Skipped(SkipReason::Quarantined) => 57,
    }
}

pub(super) fn state(stored: i64) -> Result<State, StoreError> {
    State::ALL
        .into_iter()
        .find(|state| code(*state) == stored)
        .ok_or_else(|| StoreError::Damaged(format!("unknown assignment state {stored}")))
}

/// Codes of the states that `holds`, as SQL writes a list.
pub(super) fn codes_where(holds: impl Fn(State) -> bool) -> String {
    let codes: Vec<_> = State::ALL
        .into_iter()
        .filter(|state| holds(*state))
        .map(|state| code(state).to_string())
        .collect();
    codes.join(", ")
}

/// Columns that [`candidate`] reads, in its order.
pub(super) const CANDIDATE_COLUMNS: &str = "a.id, a.state, a.attempt, a.in_doubt, a.due_at, \
     a.away_since, a.device, a.cohort, d.id, d.name, d.address, d.update_path";

/// How many these are.
pub(super) const CANDIDATE_COLUMN_COUNT: usize = 12;

/// Stands where a device lost its address while it was waited for: nothing answers there, and
/// nothing ever will (RFC 6761, section 6.4).
const NO_ADDRESS: &str = "http://no-address.invalid";

pub(super) fn candidate(row: &Row<'_>) -> Result<Candidate, StoreError> {
    let address = row.get_ref(10)?.as_str_or_null().map_err(rusqlite::Error::from)?;
    let has_address = address.is_some();
    let address = address
        .unwrap_or(NO_ADDRESS)
        .parse()
        .map_err(|error| StoreError::Damaged(format!("a stored address: {error}")))?;
    let text = |column| -> Result<&str, StoreError> {
        Ok(row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?)
    };
    Ok(Candidate {
        id: AssignmentId(row.get(0)?),
        device: DeviceKey(row.get(6)?),
        cohort: CohortKey(row.get(7)?),
        assignment: Assignment {
            state: state(row.get(1)?)?,
            attempt: row.get(2)?,
            in_doubt: row.get(3)?,
            due_at: Time::from_millis(row.get(4)?),
            away_since: Time::from_millis(row.get(5)?),
        },
        endpoint: std::sync::Arc::new(Endpoint {
            id: text(8)?.into(),
            name: text(9)?.into(),
            address,
            update_path: row.get::<_, Option<String>>(11)?.map(String::into_boxed_str),
        }),
        has_address,
        known: None,
        values: Box::default(),
        has_slots: false,
    })
}

/// The values of tags from this column on.
pub(super) fn values(row: &Row<'_>, from: usize, count: usize) -> Result<Values, StoreError> {
    let value =
        |at: usize| Ok(row.get::<_, Option<String>>(from + at)?.map(String::into_boxed_str));
    (0..count).map(value).collect()
}

/// How many columns [`known`] reads.
pub(super) const KNOWN_COLUMN_COUNT: usize = 5;

/// What follows the columns of a candidate: last seen, check-in, version, superseded, rollouts
/// failed in a row.
pub(super) fn known(row: &Row<'_>) -> Result<Known, StoreError> {
    known_from(row, CANDIDATE_COLUMN_COUNT)
}

/// The same, where nothing stands before it.
pub(super) fn known_alone(row: &Row<'_>) -> Result<Known, StoreError> {
    known_from(row, 0)
}

fn known_from(row: &Row<'_>, first: usize) -> Result<Known, StoreError> {
    let last_seen: Option<i64> = row.get(first)?;
    let check_in: Option<i64> = row.get(first + 1)?;
    Ok(Known {
        last_seen: last_seen.map(Time::from_millis),
        check_in: check_in.map(|secs| Duration::from_secs(secs.unsigned_abs())),
        version: row.get::<_, Option<String>>(first + 2)?.map(String::into_boxed_str),
        is_superseded: row.get(first + 3)?,
        failed_in_row: row.get(first + 4)?,
    })
}

/// The zone of a cohort; the empty text stands for none.
pub(super) fn zone(name: &str) -> Result<Option<Zone>, StoreError> {
    if name.is_empty() {
        return Ok(None);
    }
    let zone = Zone::parse(name);
    zone.map(Some).map_err(|error| StoreError::Damaged(format!("a stored zone: {error}")))
}

/// Columns that [`rollout`] reads, in its order.
pub(super) const ROLLOUT_COLUMNS: &str = "key, id, identity, spec, progression, devices, created_at, told, \
     key <= (SELECT coalesce(copied_to, 0) FROM driver)";

pub(super) fn rollout(row: &Row<'_>) -> Result<RolloutRecord, StoreError> {
    let id: String = row.get(1)?;
    let id =
        id.parse().map_err(|_| StoreError::Damaged(format!("a rollout's id is no UUID: {id}")))?;
    let spec: Spec = json(&row.get::<_, String>(3)?)?;
    let progression: Progression = json(&row.get::<_, String>(4)?)?;
    Ok(RolloutRecord {
        key: RolloutKey(row.get(0)?),
        id: RolloutId(id),
        identity: row.get(2)?,
        spec,
        progression,
        devices: row.get::<_, i64>(5)?.unsigned_abs(),
        created_at: Time::from_millis(row.get(6)?),
        told: row.get::<_, Option<String>>(7)?.as_deref().map(json).transpose()?,
        is_restored: row.get(8)?,
    })
}

pub(super) fn json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Damaged(format!("a row: {error}")))
}

pub(super) fn to_json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Damaged(format!("a value: {error}")))
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            Some(
                ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly,
            ) => Self::Disk(error),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged(error.to_string())
            }
            _ => Self::Database(error),
        }
    }
}
