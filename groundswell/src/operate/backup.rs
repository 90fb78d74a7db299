//! A copy of the state while others go on writing to it.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{OperateError, State};
use crate::store::{Store, StoreError};

/// A copy that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Backup {
    /// Where it is.
    pub file: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// The artifacts that are not in it, for they never change: the folder that has them.
    pub artifacts: PathBuf,
}

/// Why no copy was made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is something already.
    #[error("{} is there already: name another file, or take it away", .0.display())]
    Exists(PathBuf),
    /// It cannot be written, or not be made to last.
    #[error("{} cannot be written", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The copy was made, and is not what it should be.
    #[error("the copy is damaged: {0}")]
    Damaged(String),
}

impl State {
    /// Copies the database to `file`, as it was at one moment, whoever writes to it meanwhile. The
    /// file is there whole or not at all.
    ///
    /// # Errors
    /// [`OperateError::Backup`], or [`OperateError::Store`] if the state cannot be read.
    pub fn backup(&self, file: &Path) -> Result<Backup, OperateError> {
        if file.exists() {
            return Err(BackupError::Exists(file.to_owned()).into());
        }
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let partial = file.with_file_name(name);
        let write = |path: &Path| {
            let path = path.to_owned();
            move |source| BackupError::Write { path, source }
        };
        if let Err(source) = fs::remove_file(&partial)
            && source.kind() != io::ErrorKind::NotFound
        {
            return Err(write(&partial)(source).into());
        }
        File::create_new(&partial).map_err(write(file))?;
        let copied = self.copy_to(&partial).and_then(|()| {
            File::open(&partial).and_then(|copy| copy.sync_all()).map_err(write(&partial))?;
            let bytes = fs::metadata(&partial).map_err(write(&partial))?.len();
            // Whoever made one of this name meanwhile keeps it.
            fs::hard_link(&partial, file).map_err(|source| match source.kind() {
                io::ErrorKind::AlreadyExists => BackupError::Exists(file.to_owned()),
                _ => write(file)(source),
            })?;
            let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new("."));
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(write(file))?;
            Ok(bytes)
        });
        let removed = fs::remove_file(&partial).map_err(write(&partial));
        let bytes = copied?;
        removed?;
        let artifacts = crate::store::dir::artifacts(&self.path);
        Ok(Backup { file: file.to_owned(), bytes, artifacts })
    }

    fn copy_to(&self, file: &Path) -> Result<(), OperateError> {
        self.store.copy_to(file).map_err(|error| match error {
            StoreError::Damaged(what) => BackupError::Damaged(what).into(),
            error => OperateError::Store(error),
        })
    }
}
