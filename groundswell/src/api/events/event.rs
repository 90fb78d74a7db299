//! Events, as the API tells them: docs/protocol/events.md is their contract.

use std::sync::Arc;

use groundswell_core::{ids::RolloutId, time::Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Something that happened in a rollout, and is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// When.
    #[schema(value_type = i64)]
    pub at: Time,
    /// In which rollout, by its number.
    pub rollout: i64,
    /// The same by its id.
    #[schema(value_type = String)]
    pub rollout_id: RolloutId,
    /// What.
    #[serde(flatten)]
    pub told: Told,
}

/// What happened. Kinds and fields are only ever added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Told {
    /// It was written down as a draft.
    RolloutCreated {
        /// The name of its release.
        name: String,
        /// The version of its release.
        version: String,
        /// By which plan.
        strategy: String,
    },
    /// What is to happen was changed.
    RolloutChanged {
        /// The name of its release.
        name: String,
        /// The version of its release.
        version: String,
        /// By which plan.
        strategy: String,
    },
    /// A driver took it over, or up again.
    RolloutTakenOver {
        /// Which driver, counted from 1.
        driver: i64,
    },
    /// An operator wanted something.
    OperatorActed {
        /// What, such as `pause`.
        act: String,
        /// Why nothing changed, if nothing did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<String>,
    },
    /// Devices were written down.
    DevicesAdded {
        /// In which wave, counted from 1.
        wave: usize,
        /// In which round, counted from 1.
        round: u32,
        /// How many.
        devices: u64,
        /// Where they stand.
        state: String,
    },
    /// Devices were taken back before anything was done for them.
    DevicesRemoved {
        /// How many.
        devices: u64,
    },
    /// All devices of the round are written down.
    RolloutPrepared {},
    /// Its time has come.
    RolloutBegan {},
    /// The devices of a wave may be claimed.
    WaveOpened {
        /// Which one, counted from 1.
        wave: usize,
    },
    /// Every device of a wave ended, or is away for too long.
    WaveEnded {
        /// Which one, counted from 1.
        wave: usize,
    },
    /// The gate of a wave ruled, or an operator in its place.
    GateRuled {
        /// Which one, counted from 1.
        wave: usize,
        /// `go`, `stop` or `override`.
        ruling: String,
        /// The numbers then.
        #[serde(flatten)]
        numbers: Numbers,
        /// The same in words.
        detail: String,
    },
    /// It stopped claiming by itself.
    RolloutPaused {
        /// Why: `gate`, `brake`, `regression` or `artifact`.
        reason: String,
        /// On which numbers, or what is wrong.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// It gave itself up, and stops what is open.
    RolloutAborting {
        /// Why: `gate`, `brake` or `regression`.
        reason: String,
        /// On which numbers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
        /// Whether it is rolled back after that.
        rolls_back: bool,
    },
    /// It was given up, and what was open was stopped.
    RolloutAborted {},
    /// Every device ended, and well enough.
    RolloutCompleted {},
    /// Every device ended, and not well enough; or there was none.
    RolloutFailed {
        /// Why, if it is not for those that failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// It was given up.
    RolloutCanceled {},
    /// It stands there since. Told where that does not follow from other events; may say again what is
    /// known.
    RolloutStands {
        /// The state, such as `running`.
        state: String,
    },
    /// It began as the rollback of another one that went wrong.
    RollbackStarted {
        /// The number of that one.
        of: i64,
    },
    /// It is rolled back.
    RolledBack {
        /// The rollouts that do it, by their numbers.
        by: Vec<i64>,
    },
    /// A device stands there since.
    DeviceChanged {
        /// The device's id; none if it is not known any more.
        #[schema(value_type = Option<String>)]
        device: Option<Arc<str>>,
        /// The state, such as `delivering` or `failed: verification`.
        state: String,
        /// Attempts that count.
        attempt: u32,
        /// What it answered, or what went wrong, if there is more to say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// A device that was updated is not well since; its state is what it was.
    DeviceRegressed {
        /// The device's id; none if it is not known any more.
        #[schema(value_type = Option<String>)]
        device: Option<Arc<str>>,
        /// What it said when it was asked.
        detail: String,
    },
    /// What happened before this was pruned.
    LogPruned {
        /// Where the rollout stood then.
        state: String,
    },
}

impl Told {
    /// Of which device it is, if it is of one that is known.
    pub(super) const fn device(&self) -> Option<&Arc<str>> {
        match self {
            Self::DeviceChanged { device, .. } | Self::DeviceRegressed { device, .. } => {
                device.as_ref()
            }
            _ => None,
        }
    }
}

/// The devices of a wave, as its gate counts them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Numbers {
    /// Its devices.
    pub devices: u64,
    /// Updated, or found to run the release already.
    pub succeeded: u64,
    /// Failed, timed out or regressed.
    pub failed: u64,
    /// Of these, the ones that were updated and are not well since.
    pub regressed: u64,
    /// Not reached.
    pub unreachable: u64,
    /// Not ended.
    pub open: u64,
    /// The least share of successes asked for, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_success: Option<u8>,
}

macro_rules! kinds {
    ($($kind:ident => $word:literal,)*) => {
        /// Which kind of event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind { $($kind,)* }

        impl Kind {
            /// Every kind there is.
            pub(crate) const ALL: &[Self] = &[$(Self::$kind,)*];

            /// The word for it.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$kind => $word,)* }
            }
        }

        impl Told {
            pub(crate) const fn kind(&self) -> Kind {
                match self { $(Self::$kind { .. } => Kind::$kind,)* }
            }
        }
    };
}

kinds! {
    RolloutCreated => "rollout_created",
    RolloutChanged => "rollout_changed",
    RolloutTakenOver => "rollout_taken_over",
    OperatorActed => "operator_acted",
    DevicesAdded => "devices_added",
    DevicesRemoved => "devices_removed",
    RolloutPrepared => "rollout_prepared",
    RolloutBegan => "rollout_began",
    WaveOpened => "wave_opened",
    WaveEnded => "wave_ended",
    GateRuled => "gate_ruled",
    RolloutPaused => "rollout_paused",
    RolloutAborting => "rollout_aborting",
    RolloutAborted => "rollout_aborted",
    RolloutCompleted => "rollout_completed",
    RolloutFailed => "rollout_failed",
    RolloutCanceled => "rollout_canceled",
    RolloutStands => "rollout_stands",
    RollbackStarted => "rollback_started",
    RolledBack => "rolled_back",
    DeviceChanged => "device_changed",
    DeviceRegressed => "device_regressed",
    LogPruned => "log_pruned",
}

impl Kind {
    /// Its bit among all kinds.
    pub(crate) const fn bit(self) -> u64 {
        1 << self as u32
    }

    /// Reads what [`Kind::as_str`] wrote.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_what_its_event_says_and_is_in_the_contract() {
        let contract = include_str!("../../../../docs/protocol/events.md");
        assert!(Kind::ALL.len() <= 64);
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(*kind));
            assert!(contract.contains(&format!("| `{}` |", kind.as_str())), "{kind:?}");
        }
        let told = Told::RolloutBegan {};
        let event = Event {
            at: Time::from_millis(5),
            rollout: 7,
            rollout_id: RolloutId(uuid::Uuid::nil()),
            told,
        };
        let text = serde_json::to_string(&event).unwrap();
        let id = "00000000-0000-0000-0000-000000000000";
        assert_eq!(
            text,
            format!(r#"{{"at":5,"rollout":7,"rollout_id":"{id}","kind":"rollout_began"}}"#)
        );
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }
}
