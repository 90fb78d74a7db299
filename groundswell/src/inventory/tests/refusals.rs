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
  {"id": "o", "address": "h:0", "adress": "x", "status": "\u001b[2J"}
]"#;
    insta::assert_snapshot!(refusal(text), @"");
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
"#;
    let refusal = refusal(text);
    assert!(!refusal.contains("secret"));
    insta::assert_snapshot!(refusal, @"");
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
    insta::assert_snapshot!(read(text.as_bytes(), &options).unwrap_err(), @"");
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
    insta::assert_snapshot!(refusal(text), @"");
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
    ];
    insta::assert_snapshot!(all.join("\n\n"), @"");
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
    insta::assert_snapshot!(all.join("\n\n"), @"");
}

#[test]
fn bytes_that_are_no_utf8() {
    insta::assert_snapshot!(refusal(b"\xff\xfei\0d\0"), @"");
    insta::assert_snapshot!(refusal(b"i\xe9d,address\n1,2"), @"");
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
    insta::assert_snapshot!(refusal(text), @"");
    let element = format!("[{{\"id\":\"{}\"}},{{}}]", long(ROW_BYTES_MAX));
    insta::assert_snapshot!(refusal(element), @"");
    let cells = format!("id,address\na,{}\nb,\"{}", long(ROW_BYTES_MAX), long(ROW_BYTES_MAX));
    insta::assert_snapshot!(refusal(cells), @"");
    let separators = format!("id,address\n{}\n,h\n", ",".repeat(2 * ROW_BYTES_MAX));
    insta::assert_snapshot!(refusal(separators), @"");
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
    insta::assert_snapshot!(all.join("\n\n"), @"");
    for text in [lines[..2].join("\n"), format!("[{}]", lines[..2].join(","))] {
        assert!(read(text.as_bytes(), &options).is_ok());
    }
}

#[test]
fn the_report_has_an_end() {
    let refusal = refusal("{}\n".repeat(1_234));
    assert_eq!(refusal.lines().count(), 1_003);
    let end: Vec<_> = refusal.lines().skip(1_000).collect();
    insta::assert_snapshot!(end.join("\n"), @"");
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
