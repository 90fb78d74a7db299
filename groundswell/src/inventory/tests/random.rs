//! Random devices through every format and back, and random bytes.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::units::Span;

/// What the formats can carry: no value is empty or has blanks at its ends, as none that was read.
fn any_label() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9é,;\"'\\\\{}\\[\\]|=*]([ -~é漢]{0,12}[!-~])?"
}

fn any_device() -> impl Strategy<Value = Device> {
    let label = || proptest::option::of(any_label());
    let check_in = proptest::option::of((1..=604_800_u64).prop_map(Duration::from_secs));
    let zone = prop::sample::select(vec!["America/Denver", "UTC", "Asia/Kolkata"]);
    let address = ("[a-z][a-z0-9]{0,8}", 1..=u16::MAX, prop::bool::ANY);
    (
        (any_label(), label(), label(), label(), check_in),
        (address, proptest::option::of(zone), proptest::option::of(0..1_800_000_000_000_i64)),
        prop::collection::btree_map("[a-z]([a-z._ -]{0,6}[a-z])?", any_label(), 0..4),
        proptest::option::of("/[a-z0-9/?=&]{0,10}"),
    )
        .prop_map(
            |((id, name, version, location, check_in), (address, zone, seen), tags, path)| {
                let scheme = if address.2 { "https" } else { "http" };
                Device {
                    name: name.unwrap_or_else(|| id.clone()),
                    id,
                    address: Some(
                        format!("{scheme}://{}:{}", address.0, address.1).parse().unwrap(),
                    ),
                    version,
                    location,
                    time_zone: zone.map(str::to_owned),
                    check_in,
                    last_seen: seen.map(Time::from_millis),
                    tags,
                    update_path: path,
                }
            },
        )
}

fn any_devices() -> impl Strategy<Value = Vec<Device>> {
    prop::collection::vec(any_device(), 0..12).prop_map(|devices| {
        let by_id: BTreeMap<_, _> =
            devices.into_iter().map(|device| (device.id.clone(), device)).collect();
        by_id.into_values().collect()
    })
}

fn to_json(device: &Device) -> serde_json::Value {
    json!({
        "id": device.id, "name": device.name, "address": device.address,
        "version": device.version, "location": device.location, "time_zone": device.time_zone,
        "check_in": device.check_in.map(|every| every.as_secs()), "last_seen": device.last_seen.map(|seen| seen.to_string()),
        "tags": device.tags, "update_path": device.update_path,
    })
}

fn to_csv(devices: &[Device], crlf: bool) -> Vec<u8> {
    let terminator = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
    let mut writer = csv::WriterBuilder::new().terminator(terminator).from_writer(vec![]);
    let keys: std::collections::BTreeSet<_> =
        devices.iter().flat_map(|device| device.tags.keys()).collect();
    let columns = [
        "id",
        "name",
        "address",
        "version",
        "location",
        "time_zone",
        "check_in",
        "last_seen",
        "update_path",
    ];
    let tag_columns = keys.iter().map(|key| format!("tag.{key}"));
    writer.write_record(columns.map(str::to_owned).into_iter().chain(tag_columns)).unwrap();
    for device in devices {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let cells = [
            device.id.clone(),
            device.name.clone(),
            device.address.as_ref().map(ToString::to_string).unwrap_or_default(),
            text(&device.version),
            text(&device.location),
            text(&device.time_zone),
            device.check_in.map(|every| Span(every).to_string()).unwrap_or_default(),
            device.last_seen.map(|seen| seen.to_string()).unwrap_or_default(),
            text(&device.update_path),
        ];
        let tags = keys.iter().map(|key| device.tags.get(*key).cloned().unwrap_or_default());
        writer.write_record(cells.into_iter().chain(tags)).unwrap();
    }
    writer.into_inner().unwrap()
}

fn check(bytes: &[u8], devices: &[Device]) -> Result<(), TestCaseError> {
    let options = Options { require_address: true, ..Options::new("devices", NOW) };
    let inventory =
        read(bytes, &options).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let found: Vec<_> = inventory.entries.into_iter().map(|entry| entry.device).collect();
    prop_assert_eq!(&found, devices, "{}", String::from_utf8_lossy(bytes));
    Ok(())
}

/// Hands out a few bytes at a time, so that every boundary falls everywhere.
struct Trickle<'a>(&'a [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.1.min(self.0.len()).min(buffer.len());
        let (now, later) = self.0.split_at(count);
        buffer[..count].copy_from_slice(now);
        self.0 = later;
        Ok(count)
    }
}

proptest! {
    #[test]
    fn every_format_reads_back_what_was_written(devices in any_devices(), crlf: bool) {
        let values: Vec<_> = devices.iter().map(to_json).collect();
        check(&serde_json::to_vec(&values).unwrap(), &devices)?;
        check(&serde_json::to_vec_pretty(&values).unwrap(), &devices)?;
        let end = if crlf { "\r\n" } else { "\n" };
        let lines: String = values.iter().map(|value| value.to_string() + end).collect();
        check(lines.as_bytes(), &devices)?;
        check(&to_csv(&devices, crlf), &devices)?;
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>, format in 0..4_usize) {
        let format = [None, Some(Format::JsonArray), Some(Format::JsonLines), Some(Format::Csv)][format];
        let options = Options { format, ..Options::new("devices", NOW) };
        if let Err(error) = read(&*bytes, &options) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn near_misses_are_read_or_refused_whole_or_in_pieces(
        text in "(\\{|\\}|\\[|\\]|,|:|\"|\"id\":|\"a\"|\"address\":\"h\"|id|address|tag\\.x|\\\\|\r|\n|;|\t| |é|1|null){0,40}",
        piece in 1..5_usize,
    ) {
        let options = Options::new("devices", NOW);
        let show = |result: Result<Inventory, BadInventory>| match result {
            Ok(inventory) => format!("{inventory:?}"),
            Err(error) => error.to_string(),
        };
        let whole = show(read(text.as_bytes(), &options));
        prop_assert_eq!(show(read(Trickle(text.as_bytes(), piece), &options)), whole);
    }

    #[test]
    fn one_bad_row_is_told_with_its_line(before in 0..20_usize, after in 0..20_usize, blank in 0..3_usize) {
        let good = |n: usize| format!("{{\"id\":\"{n}\",\"address\":\"h\"}}");
        let mut rows: Vec<_> = (0..before).map(good).collect();
        rows.push("{\"id\":\"bad\"}".to_owned());
        rows.extend((100..100 + after).map(good));
        let gap = "\n".repeat(blank + 1);
        let expected = 1 + before * (blank + 1);
        let table: Vec<_> = rows
            .iter()
            .map(|row| if row.contains("address") { format!("{row:?},h").replace("\\\"", "\"\"") } else { "bad,".to_owned() })
            .collect();
        for (text, line) in [
            (rows.join(&gap), expected),
            (format!("[{}]", rows.join(&format!(",{gap}"))), expected),
            (format!("id,address\n{}", table.join(&gap)), expected + 1),
        ] {
            match read(text.as_bytes(), &options()) {
                Err(BadInventory::Rows(bad)) => {
                    prop_assert_eq!(bad.count, 1, "{}", bad);
                    prop_assert_eq!(bad.first[0].line, line as u64);
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
