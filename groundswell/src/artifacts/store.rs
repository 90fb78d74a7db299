//! Artifacts by their sha-256 in a directory.
//!
//! A file that is pushed is copied here first (a reflink where the file system has them), and it
//! is the copy that is hashed and sent: editing the original later reaches nobody.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use groundswell_core::release::Digest;
use sha2::{Digest as _, Sha256};

/// Bytes read at once while hashing.
const READ_BYTES: usize = 256 << 10;

/// How the name of a copy ends that is not whole yet; it begins with a dot.
pub(super) const PARTIAL: &str = ".partial";

/// A directory of artifacts.
#[derive(Clone, Debug)]
pub struct Artifacts {
    path: PathBuf,
}

/// An artifact that is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Where its bytes are.
    pub path: PathBuf,
    /// Its name.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
}

/// Why a file could not be kept as an artifact.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A directory, a device, a pipe.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// What was given.
        path: PathBuf,
    },
    /// There is no room for the copy, or the state directory fails.
    #[error("the artifact cannot be kept in {}", path.display())]
    Keep {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ArtifactError {
    /// Whether it is only room that is missing.
    pub fn is_of_full_disk(&self) -> bool {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        matches!(self, Self::Keep { source, .. } if full.contains(&source.kind()))
    }
}

impl Artifacts {
    /// The directory at `path`, made if needed, for the one process that drives it: what others
    /// left half copied is removed.
    ///
    /// # Errors
    /// [`ArtifactError::Keep`] if it cannot be made.
    pub fn open(path: PathBuf) -> Result<Self, ArtifactError> {
        let artifacts = Self::open_beside(path)?;
        match sweep(&artifacts.path) {
            Ok(()) => Ok(artifacts),
            Err(source) => Err(ArtifactError::Keep { path: artifacts.path, source }),
        }
    }

    /// The directory at `path`, made if needed, for a process beside the one that drives it.
    ///
    /// # Errors
    /// [`ArtifactError::Keep`] if it cannot be made.
    pub fn open_beside(path: PathBuf) -> Result<Self, ArtifactError> {
        match fs::DirBuilder::new().recursive(true).mode(0o700).create(&path) {
            Ok(()) => Ok(Self { path }),
            Err(source) => Err(ArtifactError::Keep { path, source }),
        }
    }

    /// Keeps `file`: hashes it, and copies it unless the same bytes are here already.
    ///
    /// # Errors
    /// [`ArtifactError`]; nothing is left behind.
    pub fn keep(&self, file: &Path) -> Result<Kept, ArtifactError> {
        let unreadable = |source| ArtifactError::Read { path: file.to_owned(), source };
        let metadata = fs::metadata(file).map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(ArtifactError::NotAFile { path: file.to_owned() });
        }
        let (digest, bytes) = File::open(file).and_then(hash).map_err(unreadable)?;
        if let Some(kept) = self.find(digest, bytes) {
            // It may lie here for months; what rotted is replaced from the file.
            if File::open(&kept.path).and_then(hash).is_ok_and(|found| found == (digest, bytes)) {
                return Ok(kept);
            }
            tracing::warn!("{} was damaged and is copied anew", kept.path.display());
        }
        let partial = self.path.join(format!(".{}{PARTIAL}", std::process::id()));
        let kept = self.copy(file, &partial);
        if kept.is_err() {
            let _ = fs::remove_file(&partial);
        }
        kept.map_err(|source| ArtifactError::Keep { path: self.path.clone(), source })
    }

    /// The artifact of this name and size, if it is kept. Its bytes are not looked at.
    pub fn find(&self, digest: Digest, bytes: u64) -> Option<Kept> {
        let path = self.path.join(digest.to_string());
        let metadata = fs::metadata(&path).ok()?;
        (metadata.is_file() && metadata.len() == bytes).then_some(Kept { path, digest, bytes })
    }

    /// The artifact of this name, whatever its size.
    ///
    /// # Errors
    /// An IO error other than that it is not there.
    pub fn of(&self, digest: Digest) -> io::Result<Option<Kept>> {
        let path = self.path.join(digest.to_string());
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => {
                Ok(Some(Kept { path, digest, bytes: metadata.len() }))
            }
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The names of all that are kept, in order.
    ///
    /// # Errors
    /// An IO error of the directory.
    pub fn all(&self) -> io::Result<Vec<Digest>> {
        let mut all = vec![];
        for entry in fs::read_dir(&self.path)? {
            // Whatever else lies there has another name.
            all.extend(entry?.file_name().to_str().and_then(|name| name.parse::<Digest>().ok()));
        }
        all.sort_unstable();
        Ok(all)
    }

    /// Removes one for good. One that is not there is no error.
    ///
    /// # Errors
    /// An IO error of the directory.
    pub fn remove(&self, digest: Digest) -> io::Result<()> {
        gone(&self.path.join(digest.to_string()))?;
        File::open(&self.path)?.sync_all()
    }

    /// Where they are kept.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The copy is what is hashed: the file may be changing under our hands.
    fn copy(&self, file: &Path, partial: &Path) -> io::Result<Kept> {
        let _ = fs::remove_file(partial);
        reflink_copy::reflink_or_copy(file, partial)?;
        fs::set_permissions(partial, fs::Permissions::from_mode(0o600))?;
        let copy = File::options().read(true).write(true).open(partial)?;
        copy.sync_all()?;
        let (digest, bytes) = hash(copy)?;
        let path = self.path.join(digest.to_string());
        fs::rename(partial, &path)?;
        File::open(&self.path)?.sync_all()?;
        Ok(Kept { path, digest, bytes })
    }
}

/// Removes a file that may not be there.
pub(super) fn gone(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Removes what processes left that died while they copied.
fn sweep(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && name.ends_with(PARTIAL) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The sha-256 and the size of what is left in `file`.
pub(crate) fn hash(mut file: File) -> io::Result<(Digest, u64)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut bytes = 0;
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => return Ok((Digest(hasher.finalize().into()), bytes)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_stays_when_the_file_is_edited() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pos.bin");
        fs::write(&file, b"one").unwrap();
        let artifacts = Artifacts::open(dir.path().join("artifacts")).unwrap();
        let kept = artifacts.keep(&file).unwrap();
        fs::write(&file, b"two and more").unwrap();
        assert_eq!(fs::read(&kept.path).unwrap(), b"one");
        assert_eq!(
            kept.digest.to_string(),
            "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
        );
        let other = artifacts.keep(&file).unwrap();
        assert_ne!(other.digest, kept.digest);
        fs::write(&file, b"one").unwrap();
        assert_eq!(artifacts.keep(&file).unwrap().path, kept.path);
        assert_eq!(fs::read_dir(dir.path().join("artifacts")).unwrap().count(), 2);
    }

    #[test]
    fn a_copy_that_rotted_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pos.bin");
        fs::write(&file, b"one").unwrap();
        let artifacts = Artifacts::open(dir.path().join("artifacts")).unwrap();
        let kept = artifacts.keep(&file).unwrap();
        fs::write(&kept.path, b"onf").unwrap();
        assert_eq!(artifacts.keep(&file).unwrap().path, kept.path);
        assert_eq!(fs::read(&kept.path).unwrap(), b"one");
    }

    #[test]
    fn half_copies_of_the_dead_are_swept_away() {
        let dir = tempfile::tempdir().unwrap();
        for name in [".17.partial", ".18.partial", "kept"] {
            fs::write(dir.path().join(name), b"part").unwrap();
        }
        Artifacts::open(dir.path().to_owned()).unwrap();
        let left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["kept"]);
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(dir.path().join("artifacts")).unwrap();
        assert!(matches!(artifacts.keep(dir.path()), Err(ArtifactError::NotAFile { .. })));
        let missing = artifacts.keep(&dir.path().join("missing"));
        assert!(matches!(missing, Err(ArtifactError::Read { .. })));
    }
}
