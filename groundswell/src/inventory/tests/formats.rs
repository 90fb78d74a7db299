//! What each format may look like, and that all three say the same.

use std::time::Duration;

use super::*;

const JSON: &str = r#"
[
  {"id": "pos-1", "name": "Lane \u0031", "address": "10.0.0.1:8080", "version": "2.1.0",
   "location": "New York", "time_zone": "america/new_york", "status": "online", "check_in": "1m",
   "last_seen": "-3m", "tags": {"region": "northeast", "lane": 1, "test": true, "none": null},
   "headers": {"Authorization": "Bearer abc", "X-Empty": ""}, "update_path": "/ota", "rack": [{}]},
  {"id": "pos-2", "address": "http://10.0.0.2", "firmware_version": "2.0.0", "last_seen": "never",
   "metadata": {"region": "west"}, "name": null, "rack": {"a": [1, "]"]}}
]
"#;

const LINES: &str = concat!(
    r#"{"id":"pos-1","name":"Lane 1","address":"10.0.0.1:8080","version":"2.1.0","location":"New York","#,
    r#""time_zone":"America/New_York","status":"Away","Check-In":60,"last_seen":1799999820,"rack":1,"#,
    r#""tag.region":"northeast","tags":{"lane":"1","test":"true"},"headers":{"authorization":"Bearer abc"},"update_path":"/ota"}"#,
    "\r\n\n",
    r#"  {"id":"pos-2","address":"10.0.0.2:80/","version":"2.0.0","firmware_version":"2.0.0","tags":{"region":"west"}}"#,
);

const CSV: &str = "\u{feff}\r
ID,Name,address,Version,location,Time Zone,status,check in,last-seen,tag.region,tag.lane,tag.test,header.Authorization,update_path,rack,\r
pos-1,\"Lane 1\", 10.0.0.1:8080 ,2.1.0, \"New York\" ,America/New_York,,60,2027-01-15T07:57:00Z,northeast,1,true,Bearer abc,/ota,7,\r
\r
pos-2,,http://10.0.0.2,2.0.0,,,Never-Seen,,never,west,,,,,,\r
,,,,,,,,,,,,,,,\r
";

fn devices() -> Vec<Entry> {
    let tags = |tags: &[(&str, &str)]| {
        tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Bearer abc"));
    let first = Device {
        id: "pos-1".to_owned(),
        name: "Lane 1".to_owned(),
        address: Some("http://10.0.0.1:8080".parse().unwrap()),
        version: Some("2.1.0".to_owned()),
        location: Some("New York".to_owned()),
        time_zone: Some("America/New_York".to_owned()),
        check_in: Some(Duration::from_mins(1)),
        last_seen: Some(NOW - Duration::from_mins(3)),
        tags: tags(&[("region", "northeast"), ("lane", "1"), ("test", "true")]),
        update_path: Some("/ota".to_owned()),
    };
    let second = Device {
        id: "pos-2".to_owned(),
        name: "pos-2".to_owned(),
        address: Some("http://10.0.0.2".parse().unwrap()),
        version: Some("2.0.0".to_owned()),
        tags: tags(&[("region", "west")]),
        ..Device::default()
    };
    vec![
        Entry { device: first, headers: Some(Arc::new(headers)) },
        Entry { device: second, headers: None },
    ]
}

#[test]
fn the_three_formats_say_the_same() {
    for text in [JSON, LINES, CSV] {
        let inventory = taken(text);
        assert_eq!(inventory.entries, devices(), "{text}");
        assert_eq!(inventory.ignored.warning().as_deref(), Some("ignored fields: `rack`"));
    }
}

#[test]
fn cells_may_be_separated_otherwise() {
    for text in ["id;address;name\na;h;b,c\n", "id\taddress\tname\na\th\t\"b,c\""] {
        let device = &taken(text).entries[0].device;
        assert_eq!((&*device.id, &*device.name), ("a", "b,c"), "{text}");
    }
}

#[test]
fn quotes_hold_anything() {
    let text = "id,address,name,location\na,h,\"say \"\"hi\"\", twice\",5\" pipe\nb,h,\"\",\n";
    let inventory = taken(text);
    assert_eq!(inventory.entries[0].device.name, "say \"hi\", twice");
    assert_eq!(inventory.entries[0].device.location.as_deref(), Some("5\" pipe"));
    assert_eq!(inventory.entries[1].device.name, "b");
}

#[test]
fn nothing_is_an_inventory_too() {
    for text in ["", " \n", "[]", " [ ] \n", "\u{feff}", "id,address\n", "id,address"] {
        assert_eq!(taken(text), Inventory::default(), "{text:?}");
    }
}

#[test]
fn a_said_format_is_not_guessed() {
    let read_as = |text: &str, format| {
        let options = Options { format: Some(format), ..options() };
        read(text.as_bytes(), &options).map(|inventory| inventory.entries.len())
    };
    let line = r#"{"id":"a","address":"h"}"#;
    assert_eq!(read_as(line, Format::JsonLines).unwrap(), 1);
    assert!(read_as(line, Format::JsonArray).is_err());
    assert!(read_as(line, Format::Csv).is_err());
    assert!(read_as("[]", Format::JsonLines).is_err());
}

#[test]
fn last_seen_is_a_time_an_age_or_a_number() {
    for (text, expected) in [
        (r#""2027-01-15T08:00:00Z""#, Some(NOW)),
        (r#""2027-01-15T01:00:00-07:00""#, Some(NOW)),
        (r#""-1h""#, Some(NOW - Duration::from_hours(1))),
        ("1800000000", Some(NOW)),
        ("1800000000000", Some(NOW)),
        (r#""1800000000""#, Some(NOW)),
        (r#""Never""#, None),
        (r#""""#, None),
        ("null", None),
    ] {
        let text = format!(r#"[{{"id":"a","address":"h","last_seen":{text}}}]"#);
        assert_eq!(taken(&text).entries[0].device.last_seen, expected, "{text}");
    }
}

#[test]
fn check_in_is_a_duration_or_a_number_of_seconds() {
    for (text, secs) in [
        (r#""60s""#, Some(60)),
        (r#"" 5m ""#, Some(300)),
        (r#""1h""#, Some(3_600)),
        (r#""0.5d""#, Some(43_200)),
        (r#""60""#, Some(60)),
        ("1", Some(1)),
        ("604800", Some(604_800)),
        (r#""""#, None),
        ("null", None),
    ] {
        let text = format!(r#"[{{"id":"a","address":"h","check_in":{text}}}]"#);
        let expected = secs.map(Duration::from_secs);
        assert_eq!(taken(&text).entries[0].device.check_in, expected, "{text}");
    }
}

#[test]
fn a_status_says_nothing_but_never_seen() {
    let presence = |text: &str| {
        let text = format!("id,address,status,check_in,last_seen\na,h,{text}\n");
        taken(&text).entries[0].device.presence(NOW).as_str()
    };
    for (text, expected) in [
        ("online,,", "never_seen"),
        ("offline,60s,-1m", "online"),
        ("online,60s,-4m", "offline"),
        ("anything at all,,-4m", "unknown"),
        ("never seen,60s,", "never_seen"),
        ("NEVER_SEEN,60s,never", "never_seen"),
    ] {
        assert_eq!(presence(text), expected, "{text}");
    }
}

#[test]
fn a_polling_device_needs_no_address() {
    let options = Options::new("devices", NOW);
    let inventory = read(&b"id\na\n"[..], &options).unwrap();
    assert_eq!(inventory.entries[0].device.address, None);
}

#[test]
fn devices_with_equal_headers_share_them() {
    let entries = taken("id,address,header.x-key\na,h,1\nb,h,\nc,h,1\nd,h,2\n").entries;
    let headers = |at: usize| entries[at].headers.as_ref();
    assert!(Arc::ptr_eq(headers(0).unwrap(), headers(2).unwrap()));
    assert!(headers(1).is_none());
    assert_eq!(headers(3).unwrap()["x-key"], "2");
}

#[test]
fn near_misses_are_told() {
    let inventory = taken("id,address,versoin,rack,tag.x\na,h,1,2,3\n");
    assert!(inventory.ignored.names().eq(["rack", "versoin"]));
    insta::assert_snapshot!(
        inventory.ignored.warning().unwrap(),
        @"ignored fields: `rack`, `versoin` (did you mean `version`?)"
    );
}

#[test]
fn the_warning_has_an_end() {
    let rows: Vec<_> =
        (0..1_000).map(|n| format!("{{\"id\":\"{n}\",\"address\":\"h\",\"x{n}\":1}}")).collect();
    let ignored = taken(&rows.join("\n")).ignored;
    assert_eq!(ignored.names().count(), IGNORED_MAX);
    assert!(ignored.warning().unwrap().ends_with(" and possibly more"));
}

#[test]
fn a_hundred_thousand_rows() {
    use std::fmt::Write;
    let mut text = String::from("id,address,version,tag.region\n");
    for n in 0..100_000 {
        writeln!(text, "pos-{n},10.{}.{}.{}:80,2.1.0,west", n >> 16, (n >> 8) & 255, n & 255)
            .unwrap();
    }
    let mut count = 0;
    assert!(read_each(text.as_bytes(), &options(), |_| count += 1).is_ok());
    assert_eq!(count, 100_000);
}

#[test]
fn the_same_set_has_the_same_identity() {
    let digest = |text: &str| {
        let inventory = read(text.as_bytes(), &Options::new("devices", NOW)).unwrap();
        identity_digest(inventory.entries.iter().map(|entry| &entry.device))
    };
    let same = digest("id,address,version\na,h:80,1\nb,,2\n");
    assert_eq!(same, digest(r#"[{"id":"b"},{"id":"a","address":"http://H","name":"x"}]"#));
    for other in [
        "id,address\na,h\n",
        "id,address\na,h\nb,h\n",
        "id,address\na,\nb,h\n",
        "id,address\na,https://h\nb,\n",
        "id,address\nab,h\n",
    ] {
        assert_ne!(same, digest(other), "{other}");
    }
    let device = Device { id: "a".to_owned(), ..Device::default() };
    assert_eq!(identity_digest([&device]), identity_digest([&device, &device]));
}

#[test]
fn the_identity_stays_what_it_was() {
    // Kept in state directories: another value for the same devices would orphan their rollouts.
    let polling = Device { id: "pos-3".to_owned(), ..Device::default() };
    let devices = devices();
    let all = devices.iter().map(|entry| &entry.device).chain([&polling]);
    let hex: String =
        identity_digest(all).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    insta::assert_snapshot!(hex, @"7fad29a5bf4c27f166e0ddc2b93c779cd29d69711ae8a8419fb91b605bbd6a80");
}

#[test]
fn the_example_fleet_is_sound() {
    let entries = taken(include_str!("../../../../examples/pos/devices.json")).entries;
    let count = |status: &str| {
        entries.iter().filter(|entry| entry.device.presence(NOW).as_str() == status).count()
    };
    assert_eq!(entries.len(), 10);
    assert_eq!((count("online"), count("offline"), count("never_seen")), (6, 3, 1));
    for (position, entry) in entries.iter().enumerate() {
        let Device { address, version, tags, time_zone, check_in, .. } = &entry.device;
        let expected = format!("http://127.42.0.{}:9100", 11 + position);
        assert_eq!(address.as_ref().unwrap().as_str(), expected);
        assert!(version.as_ref().unwrap().starts_with("2."));
        assert!(["region", "store", "lane"].iter().all(|key| tags.contains_key(*key)));
        assert!(time_zone.is_some());
        assert!(check_in.is_some());
    }
}
