//! The log that the database writes ahead (<https://www.sqlite.org/fileformat2.html#walformat>), as
//! far as it takes to damage its end and nothing before.

use super::dice::Dice;

const HEAD_BYTES: usize = 32;
const FRAME_HEAD_BYTES: usize = 24;

/// How far a log is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    /// Other ones once the log was begun anew from its start.
    salts: [u8; 8],
    frame_bytes: usize,
    /// Where the last frame of the last commit ends; 0 if nothing is whole.
    pub(crate) to: usize,
}

/// Reads how far a log is whole; as a recovery would.
pub(crate) fn whole(log: &[u8]) -> Whole {
    let mut whole = Whole { salts: [0; 8], frame_bytes: 1, to: 0 };
    let Some(head) = log.get(..HEAD_BYTES) else { return whole };
    let is_big = head[3] & 1 == 1;
    let mut sums = checksum(is_big, &head[..24], (0, 0));
    if (word(head, 24), word(head, 28)) != sums {
        return whole;
    }
    whole.salts.copy_from_slice(&head[16..24]);
    whole.frame_bytes = FRAME_HEAD_BYTES + word(head, 8) as usize;
    whole.to = HEAD_BYTES;
    for (no, frame) in log[HEAD_BYTES..].chunks_exact(whole.frame_bytes).enumerate() {
        sums = checksum(is_big, &frame[..8], sums);
        sums = checksum(is_big, &frame[FRAME_HEAD_BYTES..], sums);
        if frame[8..16] != whole.salts || (word(frame, 16), word(frame, 20)) != sums {
            break;
        }
        if word(frame, 4) > 0 {
            whole.to = HEAD_BYTES + (no + 1) * whole.frame_bytes;
        }
    }
    whole
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn checksum(is_big: bool, bytes: &[u8], (mut first, mut second): (u32, u32)) -> (u32, u32) {
    let read = |four: &[u8]| {
        let word = word(four, 0);
        if is_big { word } else { word.swap_bytes() }
    };
    for eight in bytes.chunks_exact(8) {
        first = first.wrapping_add(read(eight)).wrapping_add(second);
        second = second.wrapping_add(read(&eight[4..])).wrapping_add(first);
    }
    (first, second)
}

impl Whole {
    /// Where what was written since `before` begins.
    pub(crate) fn begun_at(&self, before: &Self) -> usize {
        if self.salts == before.salts { before.to } else { 0 }
    }

    /// Damages what was written from `from` on, as a power cut in the middle of it might, and says
    /// how. Nothing before is touched, and nothing from there on is whole any more.
    pub(crate) fn damage(&self, log: &mut Vec<u8>, from: usize, dice: &mut Dice) -> &'static str {
        let frames = (self.to - from.max(HEAD_BYTES)) / self.frame_bytes;
        let any = |dice: &mut Dice, from: usize| from + dice.roll((self.to - from) as u64) as usize;
        match dice.roll(4) {
            0 => {
                log.truncate(any(dice, from));
                "torn: cut"
            }
            1 => {
                // At least a byte of the last page is missing.
                log.truncate(any(dice, self.to - self.frame_bytes + FRAME_HEAD_BYTES));
                "torn: half a page"
            }
            2 => {
                let at = any(dice, from);
                log[at] ^= dice.range(1, 255) as u8;
                "torn: a byte flipped"
            }
            _ => {
                // A later one reached the disk before an earlier one.
                let no = dice.roll(frames as u64) as usize;
                let at = from.max(HEAD_BYTES) + no * self.frame_bytes;
                log[at..at + self.frame_bytes].fill(0);
                "torn: a frame missing"
            }
        }
    }
}

#[test]
fn damage_loses_the_commit_under_way_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let (path, log_path) = (dir.path().join("a.db"), dir.path().join("a.db-wal"));
    let database = rusqlite::Connection::open(&path).unwrap();
    let read = || std::fs::read(&log_path).unwrap();
    database.pragma_update(None, "journal_mode", "WAL").unwrap();
    database.execute_batch("CREATE TABLE t (v TEXT)").unwrap();
    let insert = "INSERT INTO t SELECT hex(randomblob(3000)) FROM (VALUES (1), (2), (3))";
    database.execute(insert, []).unwrap();
    let before = whole(&read());
    let copy = std::fs::read(&path).unwrap();
    database.execute(insert, []).unwrap();
    let (log, after) = (read(), whole(&read()));
    assert!(before.to < after.to && after.to == log.len(), "{before:?} {after:?}");
    let from = after.begun_at(&before);
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..60 {
        let mut damaged = log.clone();
        seen.insert(after.damage(&mut damaged, from, &mut Dice::new(seed)));
        assert_eq!(damaged[..before.to], log[..before.to], "seed {seed}");
        assert_eq!(whole(&damaged), before, "seed {seed}");
        let torn = dir.path().join(format!("{seed}.db"));
        std::fs::write(&torn, &copy).unwrap();
        std::fs::write(torn.with_extension("db-wal"), &damaged).unwrap();
        let rows = |database: &rusqlite::Connection| -> i64 {
            database.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
        };
        assert_eq!(rows(&rusqlite::Connection::open(&torn).unwrap()), 3, "seed {seed}");
        assert_eq!(rows(&database), 6);
    }
    assert_eq!(seen.len(), 4);
}
