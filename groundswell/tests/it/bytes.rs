//! Whatever bytes come in from outside of the program: read or refused, never a panic, and in
//! bounded time.

mod texts;

use std::{fs, time::Instant};

use groundswell::{
    access::Scope,
    core::time::Time,
    delivery::http::check_header,
    inventory::{self, Format, Options},
    spec_file,
};
use proptest::{collection::vec, prelude::*};

/// Nothing here takes a thousandth of it.
const BOUND: std::time::Duration = std::time::Duration::from_secs(10);

const NOW: Time = Time::from_millis(1_795_485_600_000);

fn bounded<T>(read: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let read = read();
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    read
}

fn import(bytes: &[u8]) {
    let formats = [Format::JsonArray, Format::JsonLines, Format::Csv].map(Some);
    for format in formats.into_iter().chain([None]) {
        let options = Options { format, ..Options::new("the list", NOW) };
        match inventory::read(bytes, &options) {
            Ok(read) => assert!(read.entries.len() <= bytes.len()),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

fn spec(dir: &std::path::Path, bytes: &[u8]) {
    let path = dir.join("spec.toml");
    fs::write(&path, bytes).unwrap();
    if let Err(error) = spec_file::read(&path, NOW) {
        assert!(!error.to_string().is_empty());
    }
}

fn headers(name: &str, value: &str) {
    match check_header(name, value) {
        Ok((name, value)) => {
            assert!(value.as_bytes().iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t')));
            assert!(!["host", "content-length", "connection"].contains(&name.as_str()));
        }
        // A value may be a secret.
        Err(error) => assert!(value.len() < 12 || !error.to_string().contains(value)),
    }
}

/// Lines that are like those of an inventory.
fn near_lists() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ";",
        "\t",
        ":",
        "\"",
        "\"id\"",
        "\"a\"",
        "\"address\"",
        "\"http://10.0.0.7\"",
        "\"tags\"",
        "\"headers\"",
        "\"x\"",
        "id",
        "name",
        "address",
        "tags",
        "tag.region",
        "header.x-key",
        "last_seen",
        "-5m",
        "check_in",
        "1",
        "null",
        "true",
        "\n",
        "\r\n",
        "\\u0000",
        "\\ud800",
        "\u{feff}",
        "ä",
        "\"\"",
        "'",
        " ",
        "\0",
    ]);
    vec(part, 0..60).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..400), more in vec(any::<u8>(), 0..40)) {
        let dir = tempfile::tempdir().unwrap();
        bounded(|| {
            import(&bytes);
            spec(dir.path(), &bytes);
            let text = String::from_utf8_lossy(&bytes);
            headers(&String::from_utf8_lossy(&more), &text);
            headers("x-site", &text);
            let _ = Scope::parse(&text);
        });
    }

    #[test]
    fn lists_that_are_near(list in near_lists()) {
        bounded(|| import(list.as_bytes()));
    }

    #[test]
    fn specs_that_are_near(list in near_lists(), has_release in any::<bool>()) {
        let dir = tempfile::tempdir().unwrap();
        let begun = if has_release { "release = \"pos 2.0.0\"\n" } else { "" };
        bounded(|| spec(dir.path(), format!("{begun}{list}").as_bytes()));
    }
}

#[test]
fn the_longest_and_the_deepest() {
    let dir = tempfile::tempdir().unwrap();
    for bytes in [
        "[".repeat(1 << 20),
        "{\"a\":".repeat(1 << 18),
        "[{}".to_owned() + &",{}".repeat(1 << 18) + "]",
        "\"".repeat(1 << 20),
        ",".repeat(1 << 20),
        "\n".repeat(1 << 20),
        "a.".repeat(1 << 19) + " = 1",
        "a = ".to_owned() + &"[".repeat(1 << 20),
        "a = ".to_owned() + &"{a=".repeat(1 << 18),
        "[[a]]\n".repeat(1 << 17),
    ] {
        bounded(|| import(bytes.as_bytes()));
        bounded(|| spec(dir.path(), &bytes.as_bytes()[..bytes.len().min(1 << 20)]));
    }
}
