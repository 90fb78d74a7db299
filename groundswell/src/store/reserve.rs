//! Room for the last outcomes when the disk is full.
//!
//! A file that was filled with zeros while there was room. When the database can no longer be
//! written, what is known and not yet durable goes here instead, over blocks that are ours
//! already, and the next start writes it to the database before anything else.
//!
//! The file holds an 8-byte magic, the length of the content as 8 bytes little-endian, its
//! sha-256, and the content: JSON of the batches, in order.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileExt, OpenOptionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use groundswell_core::log::Record;
use sha2::{Digest, Sha256};

use super::Batch;

/// Room for about 15,000 changes without details, and what the log says of each: what can be open
/// and unwritten at once.
const RESERVE_BYTES: u64 = 4 << 20;

/// Times, a millisecond apart, that whoever looks is waited for: a look takes far less.
const LOOKS_MAX: usize = 1_000;

const MAGIC: &[u8; 8] = b"GSRESRV1";
const HEAD_BYTES: u64 = 8 + 8 + 32;

/// The preallocated file.
#[derive(Debug)]
pub struct Reserve {
    path: PathBuf,
    file: File,
}

impl Reserve {
    /// Opens the reserve, or makes it and fills it while there is room.
    ///
    /// # Errors
    /// An IO error if it cannot be made: then there is no room to begin with.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path)?;
        let reserve = Self { path: path.to_owned(), file };
        let filled = reserve.file.metadata()?.len();
        if filled < RESERVE_BYTES {
            let zeros = vec![0; 64 << 10];
            let mut at = filled;
            while at < RESERVE_BYTES {
                let part = zeros.len().min((RESERVE_BYTES - at) as usize);
                reserve.file.write_all_at(&zeros[..part], at)?;
                at += part as u64;
            }
            reserve.file.sync_all()?;
        }
        Ok(reserve)
    }

    /// Shows everybody who looks that its holder drives, until it is dropped or
    /// [`Reserve::show_idle`] is called: it exists before anything is driven, and a lock takes no
    /// room on a disk that is full.
    /// Whoever looks holds the lock for a moment; whoever holds it for longer shows as much.
    pub fn show_driving(&self) {
        for _ in 0..LOOKS_MAX {
            if self.file.try_lock().is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Shows that its holder drives no more, though it still has the directory.
    pub fn show_idle(&self) {
        let _ = self.file.unlock();
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `batches` over the reserve, durably.
    ///
    /// # Errors
    /// An IO error, or [`io::ErrorKind::StorageFull`] if they do not fit.
    pub fn keep(&self, batches: &[Batch]) -> io::Result<()> {
        let mut content = serde_json::to_vec(batches)?;
        if content.len() as u64 > RESERVE_BYTES - HEAD_BYTES {
            // What became of a device matters more than what it said.
            content = serde_json::to_vec(&without_texts(batches))?;
        }
        if content.len() as u64 > RESERVE_BYTES - HEAD_BYTES {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_all_at(&content, HEAD_BYTES)?;
        let mut head = Vec::with_capacity(HEAD_BYTES as usize);
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&(content.len() as u64).to_le_bytes());
        head.extend_from_slice(&Sha256::digest(&content));
        self.file.write_all_at(&head, 0)?;
        self.file.sync_data()
    }

    /// What was kept by an earlier run; nothing if it was cut short while it was being kept.
    ///
    /// # Errors
    /// An IO error, or [`io::ErrorKind::InvalidData`] if whole content cannot be understood.
    pub fn kept(&self) -> io::Result<Vec<Batch>> {
        let mut head = [0; HEAD_BYTES as usize];
        self.file.read_exact_at(&mut head, 0)?;
        let (magic, rest) = head.split_at(8);
        let (length, digest) = rest.split_at(8);
        let length = length.try_into().map_or(u64::MAX, u64::from_le_bytes);
        if magic != MAGIC || length > RESERVE_BYTES - HEAD_BYTES {
            return Ok(vec![]);
        }
        let mut content = vec![0; length as usize];
        self.file.read_exact_at(&mut content, HEAD_BYTES)?;
        if Sha256::digest(&content)[..] != *digest {
            return Ok(vec![]);
        }
        serde_json::from_slice(&content).map_err(io::Error::from)
    }

    /// Forgets what was kept, durably: it is in the database now.
    ///
    /// # Errors
    /// An IO error.
    pub fn clear(&self) -> io::Result<()> {
        self.file.write_all_at(&[0; HEAD_BYTES as usize], 0)?;
        self.file.sync_data()
    }
}

/// Reads at most `limit` bytes of a small file; empty if it is not there.
pub(super) fn read_small(path: &Path, limit: u64) -> String {
    let mut text = String::new();
    if let Ok(file) = File::open(path) {
        let _ = file.take(limit).read_to_string(&mut text);
    }
    text
}

fn without_texts(batches: &[Batch]) -> Vec<Batch> {
    let mut batches = batches.to_vec();
    for batch in &mut batches {
        batch.changes.iter_mut().for_each(|change| change.detail = None);
        batch.records.iter_mut().for_each(Record::forget_text);
    }
    batches
}

#[cfg(test)]
mod tests {
    use groundswell_core::{
        assignment::{Assignment, Fact},
        ids::{AssignmentId, Epoch},
        log::Happened,
        outcome::Outcome,
        time::Time,
    };

    use super::*;
    use crate::store::{Change, RolloutKey};

    #[test]
    fn kept_read_and_cleared_within_its_own_blocks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reserve");
        let reserve = Reserve::open(&path).unwrap();
        assert!(reserve.kept().unwrap().is_empty());
        let change = |id| Change {
            id: AssignmentId(id),
            to: Assignment::queued(),
            detail: Some("x".repeat(100).into()),
        };
        let batch = Batch {
            changes: (0..12_000).map(change).collect(),
            ..Batch::empty(RolloutKey(1), Epoch(2), Time::ZERO)
        };
        reserve.keep(std::slice::from_ref(&batch)).unwrap();
        let kept = Reserve::open(&path).unwrap().kept().unwrap();
        assert_eq!(kept[0].changes.len(), 12_000);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), RESERVE_BYTES);
        reserve.clear().unwrap();
        assert!(reserve.kept().unwrap().is_empty());
    }

    #[test]
    fn where_all_does_not_fit_what_devices_said_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::open(&dir.path().join("reserve")).unwrap();
        let change = |id| Change {
            id: AssignmentId(id),
            to: Assignment::queued(),
            detail: Some("x".repeat(1_200).into()),
        };
        let batch = Batch {
            changes: (0..15_000).map(change).collect(),
            records: (0..15_000).map(|id| refused(id, &id.to_string().repeat(200))).collect(),
            ..Batch::empty(RolloutKey(1), Epoch(2), Time::ZERO)
        };
        reserve.keep(&[batch]).unwrap();
        let kept = reserve.kept().unwrap();
        assert_eq!(kept[0].changes.len(), 15_000);
        assert!(kept[0].changes.iter().all(|change| change.detail.is_none()));
        let facts: Vec<Record> = (0..15_000).map(|id| refused(id, "")).collect();
        assert_eq!(kept[0].records, facts);
    }

    /// A device that answers 500 and this.
    fn refused(id: i64, text: &str) -> Record {
        let (status, retry_after, detail) = (500, None, text.to_owned());
        let fact = Fact::Delivered(Outcome::Refused { status, retry_after, detail });
        let (to, now) = (Assignment::queued(), Time::from_millis(1_764_000_000_000));
        let due_at = Time::from_millis(now.as_millis() + 30_000 + id);
        let to = Assignment { due_at, ..to };
        Record::Happened(Happened::to_one(AssignmentId(id), fact, &to, Time::ZERO, now))
    }

    #[test]
    fn half_a_write_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reserve");
        let reserve = Reserve::open(&path).unwrap();
        let batch = Batch { changes: vec![], ..Batch::empty(RolloutKey(1), Epoch(2), Time::ZERO) };
        reserve.keep(&[batch]).unwrap();
        reserve.file.write_all_at(b"!", HEAD_BYTES + 3).unwrap();
        assert!(reserve.kept().unwrap().is_empty());
    }
}
