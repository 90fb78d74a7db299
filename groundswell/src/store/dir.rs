//! The state directory: who may drive it, and what lies where.
//!
//! One driver at a time holds an OS lock on it, which ends with its process however that ends.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::reserve::{Reserve, read_small};

/// Where the state is kept unless somebody says otherwise.
pub const DEFAULT: &str = "groundswell-data";

/// How a process names what it does that holds a directory for a moment only, to write down an
/// operator's act that nobody is there to carry out.
pub const ACTING: &str = "rollout";

/// Between two tries to lock a directory that somebody holds for a moment.
const TRY_EVERY: Duration = Duration::from_millis(10);

/// How often it is tried: a second in all, where a moment is some milliseconds.
const TRIES_MAX: usize = 100;

/// A state directory that this process drives.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    /// Held while the value lives.
    _lock: File,
}

/// Why a state directory could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// Another process drives it.
    #[error(
        "{} is driven by another process ({holder}); wait for it to end, or use another \
         directory with --state", path.display()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// What the other one wrote about itself.
        holder: String,
    },
    /// It cannot be made or used.
    #[error("the state directory {} cannot be used ({})", path.display(), way_out(source))]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A command of this program on the state in `path`, as it is to be typed.
pub(crate) fn command(path: &Path, words: &str) -> String {
    if path == Path::new(DEFAULT) {
        format!("`groundswell {words}`")
    } else {
        format!("`groundswell {words} --state {}`", path.display())
    }
}

impl StateDir {
    /// Makes the directory if needed (readable by its owner only) and locks it. `what` says who
    /// holds it, for those who come second. Who holds it for a moment is waited for.
    ///
    /// # Errors
    /// [`DirError::Locked`] names the process that drives it.
    pub fn lock(path: &Path, what: &str) -> Result<Self, DirError> {
        for _ in 0..TRIES_MAX {
            match Self::try_lock(path, what) {
                Err(DirError::Locked { holder, .. }) if is_momentary(&holder) => {
                    thread::sleep(TRY_EVERY);
                }
                locked => return locked,
            }
        }
        Self::try_lock(path, what)
    }

    fn try_lock(path: &Path, what: &str) -> Result<Self, DirError> {
        let fail = |source| DirError::Io { path: path.to_owned(), source };
        make(path)?;
        let lock_path = path.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(fail)?;
        match lock_alone(&lock) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DirError::Locked { path: path.to_owned(), holder: holder(&lock_path) });
            }
            Err(TryLockError::Error(error)) => return Err(fail(error)),
        }
        // Only for people: a full disk must not keep a run from ending what it began.
        let _ = lock
            .set_len(0)
            .and_then(|()| writeln!(lock, "process {}: groundswell {what}", std::process::id()));
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        database(&self.path)
    }

    /// Where artifacts are kept.
    pub fn artifacts(&self) -> PathBuf {
        artifacts(&self.path)
    }

    /// The preallocated reserve.
    ///
    /// # Errors
    /// [`DirError::Io`] if there is no room for it.
    pub fn reserve(&self) -> Result<Reserve, DirError> {
        Reserve::open(&reserve(&self.path))
            .map_err(|source| DirError::Io { path: self.path.clone(), source })
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What to do about a directory that cannot be used.
fn way_out(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => {
            "nothing can be written there: make it writable, or use another --state"
        }
        io::ErrorKind::PermissionDenied => {
            "this user may not: run it as the owner of the directory, or use another --state"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "the disk is full: make room there and run the same command"
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "it is no directory: use another --state"
        }
        _ => "use another --state",
    }
}

/// More than the database needs beside itself to be opened.
const PROBE_BYTES: usize = 64 << 10;

/// Why nothing can be written in the state directory at `path`, or its database cannot be read; none
/// if it can. Asked once something failed: the database does not say.
pub fn obstacle(path: &Path) -> Option<DirError> {
    let database = database(path);
    let probe = path.join(format!(".probe.{}", std::process::id()));
    let is_writable = || {
        if database.try_exists()? {
            OpenOptions::new().read(true).write(true).open(&database)?;
        }
        let written = File::create_new(&probe)?.write_all(&vec![0; PROBE_BYTES]);
        fs::remove_file(&probe)?;
        written
    };
    is_writable().err().map(|source| DirError::Io { path: path.to_owned(), source })
}

/// What the process that has a lock wrote about itself.
fn holder(lock: &Path) -> String {
    let written = read_small(lock, 200);
    let holder = written.lines().next().unwrap_or_default();
    if holder.is_empty() { "it did not say which" } else { holder }.to_owned()
}

/// How often those who only look are waited for, a millisecond each time: a look takes less.
const LOOKS_MAX: usize = 1_000;

/// Takes the lock unless somebody else drives; those who only look share it for a moment.
fn lock_alone(lock: &File) -> Result<(), TryLockError> {
    for _ in 0..LOOKS_MAX {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => {}
            taken => return taken,
        }
        lock.try_lock_shared()?;
        lock.unlock().map_err(TryLockError::Error)?;
        thread::sleep(Duration::from_millis(1));
    }
    Err(TryLockError::WouldBlock)
}

/// Whether a process, by its own words, holds a directory for a moment only.
fn is_momentary(holder: &str) -> bool {
    holder.contains(&format!(": groundswell {ACTING} "))
}

/// Whether the process that holds a state directory drives its rollouts now: one that waits for room
/// on the disk, or cannot write any more, does not.
pub fn is_driven(path: &Path) -> bool {
    let reserve = File::open(reserve(path));
    reserve.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn reserve(path: &Path) -> PathBuf {
    path.join("reserve")
}

/// Who drives the state directory at `path` now, by its own words; none if nobody does.
pub fn driver(path: &Path) -> Option<String> {
    let lock_path = path.join("lock");
    let lock = File::open(&lock_path).ok()?;
    // Shared, and let go at once: others who look are not in each other's way.
    match lock.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(holder(&lock_path)).filter(|by| !is_momentary(by)),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

/// Where artifacts are kept in the state directory at `path`.
pub fn artifacts(path: &Path) -> PathBuf {
    path.join("artifacts")
}

/// Makes the state directory at `path` if needed, readable by its owner only.
///
/// # Errors
/// [`DirError::Io`] if it cannot be made.
pub fn make(path: &Path) -> Result<(), DirError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| DirError::Io { path: path.to_owned(), source })
}

/// Leaves what is in the state directory at `path` to its owner, where others may enter it: it was there
/// before it became one. Says then with which rights.
pub fn close_to_others(path: &Path) -> Option<u32> {
    let mode_of = |path: &Path| Some(fs::metadata(path).ok()?.permissions().mode() & 0o777);
    let mode = mode_of(path).filter(|mode| mode & 0o077 != 0)?;
    for name in ["state.db", "state.db-wal", "state.db-shm", "reserve"] {
        let file = path.join(name);
        if mode_of(&file).is_some_and(|mode| mode & 0o077 != 0) {
            // Whoever is not the owner cannot, and the directory is told of all the same.
            let _ = fs::set_permissions(&file, fs::Permissions::from_mode(0o600));
        }
    }
    Some(mode)
}

/// The database in the state directory at `path`, for those who only look.
pub fn database(path: &Path) -> PathBuf {
    path.join("state.db")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_driver_is_refused_and_told_who() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        assert_eq!(driver(&path), None);
        let first = StateDir::lock(&path, "push a.bin").unwrap();
        assert!(driver(&path).unwrap().ends_with(": groundswell push a.bin"));
        let refused = StateDir::lock(&path, "push b.bin").unwrap_err().to_string();
        let named = format!("(process {}: groundswell push a.bin)", std::process::id());
        assert!(refused.contains(&named), "{refused}");
        drop(first);
        assert_eq!(driver(&path), None);
        StateDir::lock(&path, "push b.bin").unwrap();
    }

    #[test]
    fn who_holds_it_drives_only_while_it_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        assert!(!is_driven(path));
        let held = StateDir::lock(path, "run").unwrap();
        let reserve = held.reserve().unwrap();
        assert!(!is_driven(path), "it has not begun");
        reserve.show_driving();
        assert!(is_driven(path));
        reserve.show_idle();
        assert!(!is_driven(path), "it cannot write any more");
        reserve.show_driving();
        drop(reserve);
        assert!(!is_driven(path));
    }

    #[test]
    fn what_stands_in_the_way_is_named_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        assert!(obstacle(dir.path()).is_none());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let told = |kind: io::ErrorKind| {
            DirError::Io { path: "state".into(), source: kind.into() }.to_string()
        };
        let told_first = "the state directory state cannot be used";
        let user =
            "this user may not: run it as the owner of the directory, or use another --state";
        assert_eq!(told(io::ErrorKind::PermissionDenied), format!("{told_first} ({user})"));
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let told = obstacle(&file).unwrap().to_string();
        assert!(
            told.ends_with("cannot be used (it is no directory: use another --state)"),
            "{told}"
        );
    }

    #[test]
    fn those_who_look_keep_nobody_from_driving() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        drop(StateDir::lock(&path, "run").unwrap());
        let is_over = std::sync::atomic::AtomicBool::new(false);
        thread::scope(|scope| {
            let look = || {
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    driver(&path);
                }
            };
            scope.spawn(look);
            scope.spawn(look);
            let refused = (0..200).filter(|_| StateDir::lock(&path, "run").is_err()).count();
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
            assert_eq!(refused, 0);
        });
    }

    #[test]
    fn who_holds_it_for_a_moment_is_waited_for_and_no_driver() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        let acting = StateDir::lock(&path, &format!("{ACTING} start 1")).unwrap();
        assert_eq!(driver(&path), None);
        let driving = thread::spawn({
            let path = path.clone();
            move || StateDir::lock(&path, "run").map(drop)
        });
        drop(acting);
        driving.join().unwrap().unwrap();
    }
}
