//! A copy of the state while others go on writing to it.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{OperateError, State};
use crate::store::{Store, StoreError};

/// How many names are tried for a copy while it is made: others are of copies that were cut short.
const NAMES_MAX: u32 = 100;

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
    /// There is no room for it.
    #[error(
        "{} cannot be written, its disk is full: make room there and run the same command, or name \
         a file on another disk",
        .0.display()
    )]
    NoRoom(PathBuf),
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
        let partial = Partial::beside(file)?;
        self.copy_to(&partial.path, file)?;
        let bytes = partial.sync().map_err(|source| BackupError::write(file, source))?;
        partial.put_in_place(file, &|from, to| fs::hard_link(from, to))?;
        let folder = File::open(folder_of(file)).and_then(|folder| folder.sync_all());
        folder.map_err(|source| BackupError::write(file, source))?;
        let artifacts = crate::store::dir::artifacts(&self.path);
        Ok(Backup { file: file.to_owned(), bytes, artifacts })
    }

    /// Copies it to `partial`, which will be `file`.
    fn copy_to(&self, partial: &Path, file: &Path) -> Result<(), OperateError> {
        self.store.copy_to(partial).map_err(|error| match error {
            StoreError::Damaged(what) => BackupError::Damaged(what).into(),
            // It is the copy that takes room, not the state.
            error if error.is_of_full_disk() => BackupError::NoRoom(file.to_owned()).into(),
            StoreError::Disk(error) => BackupError::write(file, io::Error::other(error)).into(),
            error => OperateError::Store(error),
        })
    }
}

impl BackupError {
    fn write(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull => Self::NoRoom(path.to_owned()),
            _ => Self::Write { path: path.to_owned(), source },
        }
    }
}

/// A copy while it is made: a file that nobody had before, and that goes with the value.
struct Partial {
    path: PathBuf,
    /// Whether the file has another name by now.
    is_renamed: bool,
}

impl Partial {
    /// An empty one beside `file`, for its owner only, as the state is.
    fn beside(file: &Path) -> Result<Self, BackupError> {
        let own = std::process::id();
        for n in 0..NAMES_MAX {
            let mut name = file.file_name().unwrap_or_default().to_owned();
            name.push(format!(".{own}-{n}.partial"));
            let path = file.with_file_name(name);
            match new_file(&path) {
                Ok(_) => return Ok(Self { path, is_renamed: false }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(BackupError::write(file, error)),
            }
        }
        Err(BackupError::write(file, io::ErrorKind::AlreadyExists.into()))
    }

    /// Makes it last, and says how many bytes it has.
    fn sync(&self) -> io::Result<u64> {
        let copy = File::open(&self.path)?;
        copy.sync_all()?;
        Ok(copy.metadata()?.len())
    }

    /// Gives it the name it was made for, unless there is something of that name: whoever made that
    /// meanwhile keeps it.
    fn put_in_place(
        mut self,
        file: &Path,
        link: &dyn Fn(&Path, &Path) -> io::Result<()>,
    ) -> Result<(), BackupError> {
        let refused = |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => BackupError::Exists(file.to_owned()),
            _ => BackupError::write(file, source),
        };
        match link(&self.path, file) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {}
            linked => return linked.map_err(refused),
        }
        // A file system without links, such as FAT: an empty file takes the name first, and the copy
        // the place of that at once.
        new_file(file).map_err(refused)?;
        if let Err(source) = fs::rename(&self.path, file) {
            let _ = fs::remove_file(file);
            return Err(BackupError::write(file, source));
        }
        self.is_renamed = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_renamed {
            // What may be left of it does no harm.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A file that was not there, for its owner only.
fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// The folder that a file is in.
fn folder_of(file: &Path) -> &Path {
    let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, thread};

    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn of_two_copies_to_one_file_the_first_is_kept_whole_and_nothing_else_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let (path, folder) = (dir.path().join("state"), dir.path().join("copies"));
        drop(State::open(&path).unwrap());
        fs::create_dir(&folder).unwrap();
        let file = folder.join("copy.db");
        fs::write(folder.join("copy.db.partial"), "somebody's").unwrap();
        let copy = || State::look(&path).unwrap().backup(&file);
        let copied = thread::scope(|scope| {
            let all: Vec<_> = (0..4).map(|_| scope.spawn(copy)).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(copied.iter().filter(|copied| copied.is_ok()).count(), 1, "{copied:?}");
        let exists =
            |error: &OperateError| matches!(error, OperateError::Backup(BackupError::Exists(_)));
        assert!(copied.iter().filter_map(|copied| copied.as_ref().err()).all(exists), "{copied:?}");
        assert_eq!(names(&folder), ["copy.db", "copy.db.partial"]);
        assert_eq!(fs::read(folder.join("copy.db.partial")).unwrap(), b"somebody's");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        // Of those who end at the same moment neither may be the last; whoever looks next is.
        drop(State::look(&path).unwrap());
        assert_eq!(names(&path), ["state.db"], "nothing stays beside what was looked at");
    }

    #[test]
    fn where_there_are_no_links_a_copy_is_put_in_place_too_and_takes_nobodys() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("copy.db");
        let no_link = |_: &Path, _: &Path| Err(io::ErrorKind::PermissionDenied.into());
        let put = |text: &str| {
            let partial = Partial::beside(&file).unwrap();
            fs::write(&partial.path, text).unwrap();
            partial.put_in_place(&file, &no_link)
        };
        put("first").unwrap();
        let refused = put("second").unwrap_err();
        assert!(matches!(refused, BackupError::Exists(_)), "{refused}");
        assert_eq!(fs::read(&file).unwrap(), b"first");
        assert_eq!(names(dir.path()), ["copy.db"]);
    }
}
