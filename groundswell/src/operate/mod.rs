//! What an operator does to a state directory, whether or not another process drives it.
//!
//! Owns the operations and why they are refused; prints nothing, and is told the time. Nothing
//! here drives: what is wanted of a driver is written down for it. Types to read first: [`State`],
//! [`OperateError`].

mod access;
mod acts;
mod artifacts;
mod assignments;
mod audit;
mod backup;
mod borders;
mod budget_page;
mod budgets;
mod check;
mod create;
mod device_edit;
mod device_spec;
mod devices;
mod error;
mod explain;
mod forecast;
mod overview;
mod prune;
mod quarantine;
mod reason;
mod releases;
mod replay;
mod rollback;
mod rollouts;
mod schema;
mod selectors;
mod shown;
mod sight;
mod system;
mod tail;
mod tokens;
mod waves;
mod why;

use std::path::{Path, PathBuf};

pub(crate) use self::schema::ReleaseSchema;
pub use self::{
    acts::{ANSWER_MAX, Acting, OPEN_SHOWN, OpenDevice},
    artifacts::{ArtifactView, ReleaseName},
    assignments::{AssignmentView, assignment_states},
    audit::{AuditEntry, AuditVerified, AuditWant},
    backup::{Backup, BackupError},
    borders::Borders,
    budget_page::HOLDERS_SHOWN,
    budgets::{DomainView, HolderView, LimitView, SlotReleaseView, SlotReleased, Why},
    check::Checked,
    device_edit::{DeviceWhys, Past, Unwell},
    device_spec::{DeviceFault, DeviceSpec},
    devices::{DeviceView, Import, PAGE_MAX, Part},
    error::{OperateError, Unmeetable},
    explain::Explained,
    forecast::{Forecast, ForecastWave, ForecastZone},
    overview::{FAILURES_SHOWN, Overview, Reason},
    prune::{Pruned, prune},
    quarantine::FailingView,
    reason::REASON_CHARS_MAX,
    releases::{ReleaseView, Releases},
    replay::replay,
    rollback::{Extent, RollbackView, RolledBack},
    rollouts::RolloutView,
    selectors::{
        COUNT_MAX, Counted, SAMPLE_MAX, Sample, SelectorChecked, SelectorFault, UnknownTag,
    },
    shown::{Drafted, Shown},
    system::Disk,
    tokens::{NewToken, TokenView, USES_MAX},
    waves::{PassedOver, RoundView, RoundWave, Said, Stand, WaveView},
    why::DeviceWhy,
};
pub use crate::store::Put;
use crate::{
    access::Scope,
    store::{
        SqliteStore,
        dir::{self, DirError},
    },
};

/// A state directory that is looked at, or written to beside whoever drives it.
#[derive(Debug)]
pub struct State {
    path: PathBuf,
    store: SqliteStore,
    /// What may be reached by what is written; none: anything.
    borders: Option<Borders>,
    /// The part of the fleet that whoever is told may know of; none: all of it.
    sight: Option<Scope>,
}

impl State {
    /// Opens the state directory at `path` to write to it; makes it if it is not there.
    ///
    /// # Errors
    /// [`OperateError::Dir`] or [`OperateError::Store`] if it cannot be used.
    pub fn open(path: &Path) -> Result<Self, OperateError> {
        dir::make(path)?;
        let store = SqliteStore::open(&dir::database(path))?;
        Ok(Self { path: path.to_owned(), store, borders: None, sight: None })
    }

    /// Opens the state directory at `path` to look at it; changes nothing. What others write
    /// later may be missing: whoever watches looks again.
    ///
    /// # Errors
    /// [`OperateError::NoState`] if there is none.
    pub fn look(path: &Path) -> Result<Self, OperateError> {
        let store = SqliteStore::open_to_read(&dir::database(path))?;
        let store = store.ok_or_else(|| OperateError::NoState { path: path.to_owned() })?;
        Ok(Self { path: path.to_owned(), store, borders: None, sight: None })
    }

    /// Opens a state directory to write to it that is there already.
    ///
    /// # Errors
    /// As [`State::look`] and [`State::open`].
    pub fn open_existing(path: &Path) -> Result<Self, OperateError> {
        if dir::database(path).try_exists().unwrap_or(true) {
            Self::open(path)
        } else {
            Err(OperateError::NoState { path: path.to_owned() })
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who drives it now, by its own words; none if nobody does.
    pub fn driver(&self) -> Option<String> {
        dir::driver(&self.path)
    }

    /// Whether whoever holds the directory drives its rollouts now.
    pub fn is_driven(&self) -> bool {
        dir::is_driven(&self.path)
    }
}

impl From<DirError> for OperateError {
    fn from(error: DirError) -> Self {
        Self::Dir(error)
    }
}
