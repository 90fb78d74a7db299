//! What an operator reads about a bad inventory: whole texts.

use std::io::{self, Read};

use super::*;

#[test]
fn bad_values() {
    let text = r#"[
  {"address": "h"},
  {"id": " ", "address": "h"},
  {"id": 7, "address": "h"},
  {"id": "a\nb", "address": "h"},
  {"id": "a"},
  {"id": "b", "address": ""},
  {"id": "c", "address": "ftp://h"},
  {"id": "d", "address": "http://user:secret@h"},
  {"id": "e", "address": "h",
   "version": 2.1, "location": ["x"], "tags": "x", "headers": "Bearer secret"},
  {"id": "f", "address": "h", "time_zone": "America/Nowhere"},
  {"id": "g", "address": "h", "last_seen": "yesterday"},
  {"id": "h", "address": "h", "last_seen": "-3"},
  {"id": "i", "address": "h", "last_seen": 2026},
  {"id": "j", "address": "h", "last_seen": {}},
  {"id": "k", "address": "h", "update_path": "ota"},
  {"id": "l", "address": "h", "version": "1", "firmware_version": "2"},
  {"id": "m", "address": "h", "name": "x", "name": "y"},
  {"id": "n", "address": "h", "tags": {"": "x", "b": "\u0007", "c": [], "d": "1"}, "metadata": {"d": "2"}},
  {"id": "a", "address": "h"},
  {"id": "o", "address": "h:0", "adress": "x", "status": "\u001b[2J"},
  {"id": "p", "address": "h", "status": "Never Seen", "last_seen": "-3m"},
  {"id": "q", "address": "h", "check_in": "often"},
  {"id": "r", "address": "h", "check_in": 0},
  {"id": "s", "address": "h", "check_in": "8d"},
  {"id": "t", "address": "h", "check_in": "1.5s"},
  {"id": "u", "address": "h", "check_in": 1.5},
  {"id": "v", "address": "h", "check_in": true}
]"#;
    insta::assert_snapshot!(refusal(text), @r#"
    devices: 27 bad rows
      line 2: id is missing
      line 3: id is missing
      line 4: id must be text in quotes, not a number
      line 5: id has a control character at byte 1
      line 6: address is missing
      line 7: address is missing
      line 8: address "ftp://h": only http and https can be sent to
      line 9: address "...": it holds a user name or password; give credentials as headers
      line 10: version must be text in quotes, not a number; location must be text in quotes, not a list; tags must be an object of keys and values (in CSV: one column tag.KEY for each), not text; headers must be an object of names and values (in CSV: one column header.NAME for each), not text
      line 12: there is no time zone `America/Nowhere` (names are like America/Denver)
      line 13: last_seen: a time is written as 2026-11-24T02:00:00Z (RFC 3339), or as an age such as -3m; a device that was never seen has `never` or nothing
      line 14: last_seen: an age is written as -30s, -3m, -12h, -7d or -1d12h; a device that was never seen has `never` or nothing
      line 15: last_seen: a number must be seconds or milliseconds since 1970, after 1973
      line 16: last_seen must be a time or an age, not an object
      line 17: path "ota": it must start with /
      line 18: `version` and `firmware_version` differ
      line 19: `name` is there twice
      line 20: tag ``: its key is empty; tag `b`: its value has a control character at byte 0; tag `c` must be text, a number, true or false, not a list; `tag.d` is there twice
      line 21: id `a` is already on line 6
      line 22: address "h:0": the port must be between 1 and 65535; status has a control character at byte 0
      line 23: status is `never seen`, but last_seen has a time
      line 24: check_in `often`: write 60s, 5m or 1h, or a number of seconds
      line 25: check_in `0`: the interval of check-ins must be 1 s to 7 days
      line 26: check_in `8d`: the interval of check-ins must be 1 s to 7 days
      line 27: check_in `1.5s`: the interval of check-ins must be whole seconds
      line 28: check_in `1.5`: write 60s, 5m or 1h, or a number of seconds
      line 29: check_in must be a duration or a number of seconds, not true or false
      ignored fields: `adress` (did you mean `address`?)
    Nothing was sent. Correct them and run the same command again.
    "#);
}

#[test]
fn bad_headers_are_told_without_their_values() {
    let text = r#"
{"id":"a","address":"h","headers":{"X Y":"secret"}}
{"id":"b","address":"h","headers":{"X-Y":"secret\r\nX: secret"}}
{"id":"c","address":"h","headers":{"X-Y":["secret"]}}
{"id":"d","address":"h","headers":{"X-Y":"secret","x-y":"secret"}}
{"id":"e","address":"h","header.X-Y":"secret","headers":{"x-y":"secret"}}
{"id":"f","address":"h","headers":["secret"]}
{"id":"g","address":"h","headers":{"X-Y":"secret
{"id":"h","address":"h","headers":"secret","headers":"secret"}
{"id":"i","address":"h","headers":{"X-Y: secret":"secret"}}
"#;
    let refusal = refusal(text);
    assert!(!refusal.contains("secret"));
    insta::assert_snapshot!(refusal, @"
    devices: 9 bad rows
      line 2: header `X Y`: the name is no HTTP header name
      line 3: header `X-Y`: the value has a character that no header may have
      line 4: header `X-Y` must be text in quotes, not a list
      line 5: `header x-y` is there twice
      line 6: `header x-y` is there twice
      line 7: headers must be an object of names and values (in CSV: one column header.NAME for each), not a list
      line 8: not JSON: the object is not complete (column 48)
      line 9: headers must be an object of names and values (in CSV: one column header.NAME for each), not text; headers must be an object of names and values (in CSV: one column header.NAME for each), not text
      line 10: header `X-Y`: the name is no HTTP header name
    Nothing was sent. Correct them and run the same command again.
    ");
    let fine = taken(r#"[{"id":"a","address":"h","headers":{"X-Y":"secret"}}]"#);
    assert!(!format!("{fine:?}").contains("secret"));
}

#[test]
fn headers_are_what_the_caller_allows() {
    let check_header: CheckHeader = |name, value| match name {
        "host" => Err("it is ours to set".to_owned()),
        _ => parse_header(name, value),
    };
    let options = Options { check_header, ..options() };
    let text = "id,address,header.host\na,h,secret\n";
    insta::assert_snapshot!(read(text.as_bytes(), &options).unwrap_err(), @"
    devices: 1 bad row
      line 2: header `host`: it is ours to set
    Nothing was sent. Correct it and run the same command again.
    ");
}

#[test]
fn bad_json_lines() {
    let text = b"{\"id\":\"a\",\"address\":\"h\"}
{\"id\":\"b\" \"address\":\"h\"}
{\"id\":\"c\",
[1]
\"text\"
{\"id\":\"d\",\"address\":\"h\"} {}
{\"id\":\"\xff\"}

{\"id\":\"a\",\"address\":\"h\"}
{\"id\":\"e\",\"address\":\"h\",\"n\":1e999}";
    insta::assert_snapshot!(refusal(text), @"
    devices: 8 bad rows
      line 2: not JSON: expected `,` or `}` (column 11)
      line 3: not JSON: the object is not complete (column 10)
      line 4: expected a device, an object in { }, found a list
      line 5: expected a device, an object in { }, found text
      line 6: not JSON: trailing characters (column 26)
      line 7: not UTF-8 from byte 8 of the row on
      line 9: id `a` is already on line 1
      line 10: not JSON: number out of range (column 33)
    Nothing was sent. Correct them and run the same command again.
    ");
}

#[test]
fn bad_json_arrays() {
    let broken = r#"[
  {"id": "a", "address": "h"},
  {"id": "b" "address": "h"},
  {"id": "c",
   "address: "h"
  },
  , 7,
  {"id": "d", "address": "h"},
] {"#;
    let all = [
        refusal(broken),
        refusal("[{\"id\":\"a\",\"address\":\"h\"},\n{\"id\":\"b\""),
        refusal("[{\"id\":\"a\",\"address\":\"h\"}"),
        refusal("[{\"id\":\"a\",\"address\":\"h\"},\n"),
        refusal("["),
        refusal("[{\"id\":\n\"a\",\"address\":\"h\"}, {\"id\" 1}]"),
    ];
    insta::assert_snapshot!(all.join("\n\n"), @"
    devices: 6 bad rows
      line 3: not JSON: expected `,` or `}` (column 14)
      line 5: not JSON: expected `:` (column 15)
      line 7: a comma with no device beside it
      line 7, row 5: expected a device, an object in { }, found a number
      line 9: a comma with no device beside it
      line 9: something follows the end of the list
    Nothing was sent. Correct them and run the same command again.

    devices: 2 bad rows
      line 2: not JSON: the object is not complete (column 9)
      line 2: the list has no end: a ] is missing
    Nothing was sent. Correct them and run the same command again.

    devices: 1 bad row
      line 1: the list has no end: a ] is missing
    Nothing was sent. Correct it and run the same command again.

    devices: 1 bad row
      line 2: the list has no end: a ] is missing
    Nothing was sent. Correct it and run the same command again.

    devices: 1 bad row
      line 1: the list has no end: a ] is missing
    Nothing was sent. Correct it and run the same command again.

    devices: 1 bad row
      line 2: not JSON: expected `:` (column 27)
    Nothing was sent. Correct it and run the same command again.
    ");
}

#[test]
fn bad_tables() {
    let rows = "id,address,name,tags
a,h,x
b,h,x,,y
c,h,\"x\"y,
d,h,x,1
\"e\",h,\"two
lines\",
a,h,x,
f,,x,
g,h,\"x,
h,h,x,
";
    let all = [
        refusal(rows),
        refusal(b"id,address\na,h\n\xff,h\n"),
        refusal("pos-1,10.0.0.1\npos-2,10.0.0.2\n"),
        refusal("id,adress,ID,tag.a,tag.a\n1,2,3,4,5\n"),
        refusal("id,\"address\n1,2"),
    ];
    insta::assert_snapshot!(all.join("\n\n"), @"
    devices: 7 bad rows
      line 2: 3 cells, but the first line names 4 columns
      line 3: 5 cells, but the first line names 4 columns
      line 4: text follows a closing quote; write a quote inside quotes twice
      line 5: tags must be an object of keys and values (in CSV: one column tag.KEY for each), not text
      line 6: name has a control character at byte 3
      line 9: address is missing
      line 10: a quote that opens in this row is not closed
    Nothing was sent. Correct them and run the same command again.

    devices: 1 bad row
      line 3: not UTF-8 from byte 1 of the row on
    Nothing was sent. Correct it and run the same command again.

    devices: 1 bad row
      line 1: the first line names no column `id`; the first line names no column `address`
    Nothing was sent. Correct it and run the same command again.

    devices: 1 bad row
      line 1: column `ID` is there twice; column `tag.a` is there twice; the first line names no column `address`
      ignored fields: `adress` (did you mean `address`?)
    Nothing was sent. Correct it and run the same command again.

    devices: 1 bad row
      line 1: a quote that opens in this row is not closed
    Nothing was sent. Correct it and run the same command again.
    ");
}

#[test]
fn bytes_that_are_no_utf8() {
    insta::assert_snapshot!(refusal(b"\xff\xfei\0d\0"), @"
    devices: 1 bad row
      line 1: the text is UTF-16; save it as UTF-8
    Nothing was sent. Correct it and run the same command again.
    ");
    insta::assert_snapshot!(refusal(b"i\xe9d,address\n1,2"), @"
    devices: 1 bad row
      line 1: not UTF-8 from byte 2 of the row on
    Nothing was sent. Correct it and run the same command again.
    ");
}

#[test]
fn limits() {
    let tags: Vec<_> = (0..65).map(|n| format!("\"t{n}\":1")).collect();
    let headers: Vec<_> = (0..33).map(|n| format!("\"h{n}\":\"1\"")).collect();
    let long = |bytes: usize| "x".repeat(bytes);
    let text = format!(
        "{{\"id\":\"{}\",\"address\":\"h\"}}
{{\"id\":\"a\",\"address\":\"{}\"}}
{{\"id\":\"b\",\"address\":\"h\",\"tags\":{{{}}}}}
{{\"id\":\"c\",\"address\":\"h\",\"headers\":{{{}}}}}
{{\"id\":\"d\",\"address\":\"h\",\"headers\":{{\"x\":\"{}\"}}}}
{{\"id\":\"e\",\"address\":\"h\",\"tags\":{{\"{}\":1}}}}
{{\"id\":\"{}\"}}
{{\"id\":\"f\",\"address\":\"h\"",
        long(257),
        long(1_025),
        tags.join(","),
        headers.join(","),
        long(8_193),
        long(257),
        long(ROW_BYTES_MAX),
    );
    insta::assert_snapshot!(refusal(text), @r#"
    devices: 8 bad rows
      line 1: id is 257 bytes long, the most is 256
      line 2: address "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx": it is longer than 1024 bytes
      line 3: more than 64 tags
      line 4: more than 32 headers
      line 5: header `x`: the value is longer than 8192 bytes
      line 6: tag `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...`: its key is 257 bytes long, the most is 256
      line 7: the row is longer than 1048576 bytes
      line 8: not JSON: the object is not complete (column 23)
    Nothing was sent. Correct them and run the same command again.
    "#);
    let element = format!("[{{\"id\":\"{}\"}},{{}}]", long(ROW_BYTES_MAX));
    insta::assert_snapshot!(refusal(element), @"
    devices: 2 bad rows
      line 1: the row is longer than 1048576 bytes
      line 1, row 2: id is missing; address is missing
    Nothing was sent. Correct them and run the same command again.
    ");
    let cells = format!("id,address\na,{}\nb,\"{}", long(ROW_BYTES_MAX), long(ROW_BYTES_MAX));
    insta::assert_snapshot!(refusal(cells), @"
    devices: 2 bad rows
      line 2: the row is longer than 1048576 bytes
      line 3: a quote that opens in this row is not closed
    Nothing was sent. Correct them and run the same command again.
    ");
    let separators = format!("id,address\n{}\n,h\n", ",".repeat(2 * ROW_BYTES_MAX));
    insta::assert_snapshot!(refusal(separators), @"
    devices: 2 bad rows
      line 2: the row is longer than 1048576 bytes
      line 3: id is missing
    Nothing was sent. Correct them and run the same command again.
    ");
}

#[test]
fn too_many_rows() {
    let options = Options { rows_max: 2, ..options() };
    let line = |n| format!("{{\"id\":\"{n}\",\"address\":\"h\"}}");
    let lines = [line(1), line(2), line(3), line(4)];
    let texts = [
        lines.join("\n"),
        format!("[{}]", lines.join(",\n")),
        "id,address\n1,h\n2,h\n\n3,h\n4,h\n".to_owned(),
    ];
    let all = texts.map(|text| read(text.as_bytes(), &options).unwrap_err().to_string());
    insta::assert_snapshot!(all.join("\n\n"), @"
    devices: 1 bad row
      line 3: more than 2 rows; the rest was not read
    Nothing was sent. Correct it and run the same command again.

    devices: 1 bad row
      line 3: more than 2 rows; the rest was not read
    Nothing was sent. Correct it and run the same command again.

    devices: 1 bad row
      line 5: more than 2 rows; the rest was not read
    Nothing was sent. Correct it and run the same command again.
    ");
    for text in [lines[..2].join("\n"), format!("[{}]", lines[..2].join(","))] {
        assert!(read(text.as_bytes(), &options).is_ok());
    }
}

#[test]
fn the_report_has_an_end() {
    let refusal = refusal("{}\n".repeat(1_234));
    assert_eq!(refusal.lines().count(), 1_003);
    let end: Vec<_> = refusal.lines().skip(1_000).collect();
    insta::assert_snapshot!(end.join("\n"), @"
      line 1000: id is missing; address is missing
      and 234 more
    Nothing was sent. Correct them and run the same command again.
    ");
}

#[test]
fn a_source_that_breaks_off_is_no_inventory() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let source = b"id,address\na,h\n".chain(Broken);
    let error = read(source, &options()).unwrap_err();
    assert_eq!(error.to_string(), "devices: cannot be read");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the disk is gone");
}

#[test]
fn what_looks_otherwise_or_has_not_come_is_refused() {
    let devices = r#"[
  {"id": "pos\u202e10", "address": "h"},
  {"id": "a", "address": "h", "last_seen": "2099-01-01T00:00:00Z"},
  {"id": "b", "address": "h", "last_seen": 4070908800},
  {"id": "c", "address": "h", "last_seen": "9999-12-31T23:59:59Z"}
]"#;
    insta::assert_snapshot!(refusal(devices), @"
    devices: 4 bad rows
      line 2: id has a control character at byte 3
      line 3: last_seen: 2099-01-01T00:00:00.000Z has not come yet; nobody was seen then
      line 4: last_seen: 2099-01-01T00:00:00.000Z has not come yet; nobody was seen then
      line 5: last_seen: out of range: the last time there is is 9999-12-30T22:00:00Z; a device that was never seen has `never` or nothing
    Nothing was sent. Correct them and run the same command again.
    ");
}
