//! How values of the core look in the API's document: the core knows nothing of it.

#![expect(dead_code, reason = "they are looked at by the document alone")]

use utoipa::ToSchema;

/// A release.
#[derive(ToSchema)]
#[schema(as = Release)]
pub(crate) struct ReleaseSchema {
    /// Its name.
    name: String,
    /// Its version.
    version: String,
    /// Its artifact: the sha-256 of the bytes, in hex.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    artifact: String,
    /// How many bytes these are.
    artifact_bytes: u64,
}

/// How many devices are in which state.
#[derive(ToSchema)]
#[schema(as = Counts)]
pub(crate) struct CountsSchema {
    /// Not begun.
    queued: u64,
    /// Not there when their turn came; their wave waits for them.
    away: u64,
    /// Not there for so long that their wave does not wait for them.
    absent: u64,
    /// Claimed, or being sent to.
    delivering: u64,
    /// Sent to, and asked which version they run.
    verifying: u64,
    /// To be tried again later.
    retrying: u64,
    /// Updated.
    succeeded: u64,
    /// Found to run the release already, and left as they were.
    current: u64,
    /// Left as they were for another reason.
    skipped: u64,
    /// Failed for another reason than `unreachable`.
    failed: u64,
    /// Failed because they could not be reached.
    unreachable: u64,
    /// Gave no answer in time.
    timed_out: u64,
    /// Given up by the operator.
    canceled: u64,
    /// Of those updated, the ones that were found not to be well since.
    regressed: u64,
}

/// Where a rollout stands.
#[derive(ToSchema)]
#[schema(as = RolloutState, rename_all = "snake_case")]
pub(crate) enum RolloutStateSchema {
    /// Written down, not started.
    Draft,
    /// Its devices are being chosen.
    Preparing,
    /// It begins at its time.
    Scheduled,
    /// It goes on.
    Running,
    /// It begins nothing new.
    Paused,
    /// Every device ended, none failed.
    Completed,
    /// Every device ended, some failed.
    Failed,
    /// It begins nothing new, for good; what is open may end.
    Canceling,
    /// It was given up.
    Canceled,
    /// It is being given up, and stops what is open.
    Aborting,
    /// It was given up, and what was open was stopped.
    Aborted,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use groundswell_core::{
        release::{Digest, Release},
        rollout,
        snapshot::Counts,
    };
    use serde::Serialize;
    use serde_json::{Value, json};
    use utoipa::PartialSchema;

    use super::*;

    fn described<T: PartialSchema>() -> Value {
        serde_json::to_value(T::schema()).unwrap()
    }

    fn fields_of(value: &impl Serialize) -> BTreeSet<String> {
        let value = serde_json::to_value(value).unwrap();
        value.as_object().unwrap().keys().cloned().collect()
    }

    fn fields<T: PartialSchema>() -> BTreeSet<String> {
        described::<T>()["properties"].as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn they_are_what_the_core_writes() {
        assert_eq!(fields::<CountsSchema>(), fields_of(&Counts::default()));
        let (name, version) = Default::default();
        let release = Release { name, version, artifact: Digest([0; 32]), artifact_bytes: 0 };
        assert_eq!(fields::<ReleaseSchema>(), fields_of(&release));
        assert_eq!(described::<RolloutStateSchema>()["enum"], json!(rollout::State::ALL));
    }
}
