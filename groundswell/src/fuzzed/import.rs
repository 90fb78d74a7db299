//! Devices as files have them and as the API takes them: both understand the same, whatever the
//! pieces in which it comes, and what is taken is written, and read again, as the same.

use std::io::{self, Read};

use groundswell_core::device::Device;
use serde_json::json;

use super::{NOW, is_plain};
use crate::{
    api::operator::import::{ImportedLine, fuzzed::answered},
    inventory::{self, BAD_ROWS_KEPT, BadInventory, BadRows, Format, Inventory, Options, Reason},
    operate::DeviceSpec,
};

/// Longest reason of a bad row, in bytes: a name and a value are shown in part only.
const REASON_BYTES_MAX: usize = 2_000;

/// Holds bytes against what is promised of lists of devices.
///
/// # Panics
/// If that is broken.
pub fn import(given: &[u8]) {
    let options = Options::new("it", NOW);
    let read = inventory::read(given, &options);
    for piece in [1, 7] {
        let again = inventory::read(Pieces { left: given, piece }, &options);
        assert_eq!(shown(&again), shown(&read), "read in pieces of {piece}");
    }
    match &read {
        Ok(inventory) => taken(inventory),
        Err(BadInventory::Rows(bad)) => refused(given, bad),
        Err(error) => panic!("{error}"),
    }
    by_the_line(given);
    for id in given.split(|byte| *byte == b'\n').take(3).filter_map(|id| str::from_utf8(id).ok()) {
        if let Ok(device) = DeviceSpec::default().device(id) {
            assert_eq!(device.id, id, "a device gets another id");
        }
    }
}

fn shown(read: &Result<Inventory, BadInventory>) -> String {
    format!("{read:?}")
}

fn taken(inventory: &Inventory) {
    for entry in &inventory.entries {
        let device = &entry.device;
        let spec = DeviceSpec::of(device);
        let again = spec.device(&device.id);
        let again = again.unwrap_or_else(|fault| panic!("{fault} of {device:?}"));
        assert_eq!(DeviceSpec::of(&again), spec, "said in the words of the API");
        let row = row(device).to_string();
        match inventory::read(row.as_bytes(), &Options::new("it", NOW)) {
            Ok(again) => assert_eq!(again.entries[0].device, *device, "written as {row}"),
            Err(error) => panic!("{error}\n{row}"),
        }
    }
    if let Some(warning) = inventory.ignored.warning() {
        assert!(is_plain(&warning, 100_000), "{warning:?}");
    }
}

fn row(device: &Device) -> serde_json::Value {
    let seen = device.last_seen.map_or_else(|| "never".to_owned(), |seen| seen.to_string());
    json!({
        "id": device.id, "name": device.name, "address": device.address,
        "version": device.version, "location": device.location, "time_zone": device.time_zone,
        "check_in": device.check_in.map(|every| every.as_secs()), "last_seen": seen,
        "tags": device.tags, "update_path": device.update_path,
    })
}

fn refused(given: &[u8], bad: &BadRows) {
    let lines = given.split(|byte| *byte == b'\n').count() as u64;
    assert!(bad.count >= 1 && bad.first.len() as u64 <= bad.count, "{} rows", bad.count);
    assert_eq!(bad.first.len(), bad.count.min(BAD_ROWS_KEPT as u64) as usize);
    for row in &bad.first {
        assert!((1..=lines).contains(&row.line), "line {} of {lines}", row.line);
        assert!(!row.reasons.is_empty(), "no reason");
        for reason in &row.reasons {
            let told = reason.to_string();
            assert!(!told.is_empty() && is_plain(&told, REASON_BYTES_MAX), "{told:?}");
            if let Reason::NotJson { column, .. } = reason {
                let line = given.split(|byte| *byte == b'\n').nth(row.line as usize - 1);
                let bytes = line.map_or(0, <[u8]>::len) as u64;
                assert!(*column <= bytes + 1, "column {column} of {bytes}: {told}");
            }
        }
    }
    let told = bad.in_words("sent").to_string();
    assert!(told.split('\n').all(|line| is_plain(line, 200_000)), "{told:?}");
}

/// What the API makes of lines is what a file of them is read as.
fn by_the_line(given: &[u8]) {
    let answers = answered(&[given]);
    let middle = given.len() / 2;
    assert_eq!(answered(&[&given[..middle], &[], &given[middle..]]), answers, "cut at {middle}");
    // A mark of byte order says nothing.
    let said = given.strip_prefix(b"\xef\xbb\xbf").unwrap_or(given);
    let texts: Vec<&[u8]> = said.split(|byte| *byte == b'\n').collect();
    for (line, (answer, _)) in answers.iter().enumerate() {
        let ImportedLine { line: number, detail, .. } = answer;
        let number = *number as usize;
        assert!(number > line && number <= texts.len(), "line {number} of {}", texts.len());
        assert!(!texts[number - 1].trim_ascii().is_empty(), "line {number} is empty");
        let written = serde_json::to_string(answer).unwrap_or_default();
        assert_eq!(serde_json::from_str::<ImportedLine>(&written).ok().as_ref(), Some(answer));
        assert!(!written.contains('\n'), "{written:?}");
        let told = detail.as_deref().unwrap_or_default();
        assert!(is_plain(told, 200_000), "{told:?}");
    }
    let full = texts.iter().filter(|text| !text.trim_ascii().is_empty()).count();
    assert_eq!(answers.len(), full, "every line that says something has an answer");
    let devices: Vec<Device> = answers.into_iter().filter_map(|(_, device)| device).collect();
    as_a_file(given, &devices);
}

fn as_a_file(given: &[u8], devices: &[Device]) {
    // A file is told from UTF-16 by its first line, a body by every one.
    if given.iter().any(|byte| matches!(byte, 0xfe | 0xff)) {
        return;
    }
    let options = Options { format: Some(Format::JsonLines), ..Options::new("it", NOW) };
    let mut entries = vec![];
    let read = inventory::read_each(given, &options, |entry| entries.push(entry.device));
    let is_double = |reason: &Reason| matches!(reason, Reason::DuplicateId { .. });
    let has_doubles = match read {
        Ok(_) => false,
        Err(BadInventory::Rows(bad)) => {
            bad.first.iter().any(|row| row.reasons.iter().any(is_double))
                || bad.first.len() as u64 != bad.count
        }
        Err(error) => panic!("{error}"),
    };
    if has_doubles {
        assert!(entries.iter().all(|entry| devices.contains(entry)), "a file takes others");
    } else {
        assert_eq!(entries, devices, "a file takes others");
    }
}

/// A source that gives a few bytes at a time.
struct Pieces<'a> {
    left: &'a [u8],
    piece: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.piece.min(into.len());
        let (now, left) = self.left.split_at(count.min(self.left.len()));
        into[..now.len()].copy_from_slice(now);
        self.left = left;
        Ok(now.len())
    }
}
