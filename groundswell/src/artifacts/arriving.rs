//! An artifact that arrives in parts: a file beside the others until all of it is there.
//!
//! What has arrived is the length of the file, so a process that dies loses nothing of it, and nobody
//! has to write down how far it came.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::PathBuf,
    time::SystemTime,
};

use groundswell_core::release::Digest;
use sha2::{Digest as _, Sha256};

use super::store::{Artifacts, Kept, PARTIAL, gone, hash};

/// How the name of a file begins that goes on after a restart.
const UPLOAD: &str = ".upload-";

/// How the name of a file begins that does not.
const WHOLE: &str = ".put-";

/// Longest id: it is part of a file's name.
const ID_BYTES_MAX: usize = 64;

/// What is left free on the disk for all else that is written there, and first of all by a driver: this
/// much, or of a small disk this share.
const SPARED_BYTES: u64 = 256 << 20;
const SPARED_SHARE: u64 = 20;

/// What of the free bytes of a disk an artifact may take.
fn room(free: u64, all: u64) -> u64 {
    free.saturating_sub(SPARED_BYTES.min(all / SPARED_SHARE))
}

/// Whether a text can be the id of an upload: it becomes part of a file's name.
pub fn is_upload_id(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !id.is_empty() && id.len() <= ID_BYTES_MAX && id.bytes().all(is_plain)
}

/// A hash over the beginning of a file.
#[derive(Clone, Debug)]
pub struct Hashed {
    hasher: Sha256,
    bytes: u64,
}

/// An artifact on its way here. All methods block.
#[derive(Debug)]
pub struct Arriving {
    file: File,
    path: PathBuf,
    bytes: u64,
    /// None: what came before was not hashed by this process, and is hashed at the end.
    hasher: Option<Sha256>,
}

impl Artifacts {
    /// The upload of this id, from where it is; `hashed` is a hash over what is there, if one is known.
    ///
    /// # Errors
    /// An IO error of the file, or of the directory.
    pub fn arriving(&self, id: &str, hashed: Option<Hashed>) -> io::Result<Arriving> {
        Arriving::open(self.upload_path(id), hashed)
    }

    /// One that does not go on after a restart, from its beginning. `id` is nobody else's.
    ///
    /// # Errors
    /// An IO error of the file, or of the directory.
    pub fn arriving_whole(&self, id: &str) -> io::Result<Arriving> {
        self.discard_whole(id)?;
        Arriving::open(self.whole_path(id), None)
    }

    /// Removes what has arrived of one that does not go on after a restart.
    ///
    /// # Errors
    /// An IO error of the file.
    pub fn discard_whole(&self, id: &str) -> io::Result<()> {
        gone(&self.whole_path(id))
    }

    /// Removes what processes left that died while one arrived whole: whatever was not added to since
    /// then.
    ///
    /// # Errors
    /// An IO error of the directory.
    pub fn sweep_whole(&self, since: SystemTime) -> io::Result<()> {
        for entry in fs::read_dir(self.path())? {
            let entry = entry?;
            let name = entry.file_name();
            let is_whole = name.to_str().is_some_and(|name| name.starts_with(WHOLE));
            // One that is gone meanwhile has arrived.
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            if is_whole && modified.is_ok_and(|modified| modified < since) {
                gone(&entry.path())?;
            }
        }
        Ok(())
    }

    fn whole_path(&self, id: &str) -> PathBuf {
        self.path().join(format!("{WHOLE}{id}{PARTIAL}"))
    }

    /// How much of an upload has arrived, and when the last of it did; none if nothing has.
    ///
    /// # Errors
    /// An IO error of the file.
    pub fn arrived(&self, id: &str) -> io::Result<Option<(u64, SystemTime)>> {
        match fs::metadata(self.upload_path(id)) {
            Ok(metadata) => Ok(Some((metadata.len(), metadata.modified()?))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How many bytes of artifacts the disk has room for.
    ///
    /// # Errors
    /// An IO error of the directory.
    pub fn room(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(self.path())?;
        Ok(room(disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize))
    }

    /// Removes what has arrived of an upload.
    ///
    /// # Errors
    /// An IO error of the file.
    pub fn discard(&self, id: &str) -> io::Result<()> {
        gone(&self.upload_path(id))
    }

    /// The ids of the uploads of which something has arrived.
    ///
    /// # Errors
    /// An IO error of the directory.
    pub fn arrivals(&self) -> io::Result<Vec<String>> {
        let mut ids = vec![];
        for entry in fs::read_dir(self.path())? {
            let name = entry?.file_name();
            let id = name.to_str().and_then(|name| name.strip_prefix(UPLOAD));
            ids.extend(id.filter(|id| is_upload_id(id)).map(str::to_owned));
        }
        Ok(ids)
    }

    fn upload_path(&self, id: &str) -> PathBuf {
        self.path().join(format!("{UPLOAD}{id}"))
    }
}

impl Arriving {
    fn open(path: PathBuf, known: Option<Hashed>) -> io::Result<Self> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path)?;
        let bytes = file.metadata()?.len();
        let hasher = match known {
            Some(hashed) if hashed.bytes == bytes => Some(hashed.hasher),
            _ if bytes == 0 => Some(Sha256::new()),
            _ => None,
        };
        Ok(Self { file, path, bytes, hasher })
    }

    /// How much has arrived.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes more of it, if that leaves the disk some room.
    ///
    /// # Errors
    /// An IO error of the file; what was written before it stays, and counts.
    pub fn append(&mut self, mut part: &[u8]) -> io::Result<()> {
        let disk = rustix::fs::fstatvfs(&self.file)?;
        let (free, all) = (disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize);
        if room(free, all) < part.len() as u64 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        while !part.is_empty() {
            let written = match self.file.write_at(part, self.bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if let Some(hasher) = &mut self.hasher {
                hasher.update(&part[..written]);
            }
            self.bytes += written as u64;
            part = &part[written..];
        }
        Ok(())
    }

    /// Has what arrived survive a power cut.
    ///
    /// # Errors
    /// An IO error of the file.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// The hash over what has arrived, for whoever goes on with it.
    pub fn hashed(&self) -> Option<Hashed> {
        self.hasher.clone().map(|hasher| Hashed { hasher, bytes: self.bytes })
    }

    /// The sha-256 of what has arrived, all of it durable. Reads it again if this process did not see
    /// all of it arrive.
    ///
    /// # Errors
    /// An IO error of the file.
    pub fn seal(&self) -> io::Result<Digest> {
        self.file.sync_all()?;
        match &self.hasher {
            Some(hasher) => Ok(Digest(hasher.clone().finalize().into())),
            None => Ok(hash(File::open(&self.path)?)?.0),
        }
    }

    /// Puts it among the artifacts, under the digest that it was sealed with, in the place of one that
    /// is there. Done twice, it is done once.
    ///
    /// # Errors
    /// An IO error of the directory.
    pub fn keep(&self, artifacts: &Artifacts, digest: Digest) -> io::Result<Kept> {
        let path = artifacts.path().join(digest.to_string());
        fs::rename(&self.path, &path)?;
        File::open(artifacts.path())?.sync_all()?;
        Ok(Kept { path, digest, bytes: self.bytes })
    }

    /// Removes it.
    ///
    /// # Errors
    /// An IO error of the file.
    pub fn discard(&self) -> io::Result<()> {
        gone(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifacts() -> (tempfile::TempDir, Artifacts) {
        let dir = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(dir.path().join("artifacts")).unwrap();
        (dir, artifacts)
    }

    #[test]
    fn a_disk_keeps_some_room_for_all_else() {
        assert_eq!(room(1 << 40, 2 << 40), (1 << 40) - SPARED_BYTES);
        assert_eq!(room(60 << 20, 100 << 20), 55 << 20, "of a small one a share");
        assert_eq!(room(4 << 20, 100 << 20), 0);
        let (_dir, artifacts) = artifacts();
        assert!(artifacts.room().unwrap() > 0);
    }

    #[test]
    fn what_arrives_in_parts_is_what_was_sent_whoever_saw_it_arrive() {
        let whole: Digest =
            "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e".parse().unwrap();
        for is_remembered in [true, false] {
            let (_dir, artifacts) = artifacts();
            let mut first = artifacts.arriving("1", None).unwrap();
            first.append(b"fir").unwrap();
            first.append(b"st").unwrap();
            let hashed = first.hashed().filter(|_| is_remembered);
            assert_eq!(artifacts.arrived("1").unwrap().unwrap().0, 5);
            assert_eq!(artifacts.arrivals().unwrap(), ["1"]);
            let second = artifacts.arriving("1", hashed).unwrap();
            assert_eq!((second.bytes(), second.hasher.is_some()), (5, is_remembered));
            assert_eq!(second.seal().unwrap(), whole);
            let kept = second.keep(&artifacts, whole).unwrap();
            assert_eq!(fs::read(&kept.path).unwrap(), b"first");
            assert_eq!(artifacts.all().unwrap(), [whole]);
            assert_eq!(artifacts.of(whole).unwrap().unwrap().bytes, 5);
            assert_eq!(artifacts.arrivals().unwrap(), Vec::<String>::new());
        }
    }

    #[test]
    fn a_hash_over_something_else_is_not_gone_on_with() {
        let (_dir, artifacts) = artifacts();
        let mut arriving = artifacts.arriving("1", None).unwrap();
        arriving.append(b"first").unwrap();
        let short = arriving.hashed();
        arriving.append(b" and more").unwrap();
        let again = artifacts.arriving("1", short).unwrap();
        assert!(again.hasher.is_none());
        assert_eq!(again.seal().unwrap(), arriving.seal().unwrap());
    }

    #[test]
    fn a_restart_keeps_uploads_and_nothing_else_that_is_not_whole() {
        let (dir, artifacts) = artifacts();
        artifacts.arriving("1", None).unwrap().append(b"part").unwrap();
        artifacts.arriving_whole("2").unwrap().append(b"part").unwrap();
        let artifacts = Artifacts::open(dir.path().join("artifacts")).unwrap();
        let left: Vec<_> =
            fs::read_dir(artifacts.path()).unwrap().map(|at| at.unwrap().file_name()).collect();
        assert_eq!(left, [".upload-1"]);
        artifacts.discard("1").unwrap();
        artifacts.discard("1").unwrap();
        assert!(artifacts.arrived("1").unwrap().is_none());
    }

    #[test]
    fn an_id_is_no_path() {
        for bad in ["", "..", "a/b", "a.b", "ä", &"a".repeat(65)] {
            assert!(!is_upload_id(bad), "{bad}");
        }
        assert!(is_upload_id("0197-af"));
    }
}
