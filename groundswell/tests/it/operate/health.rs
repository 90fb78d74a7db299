//! Devices that fail after their update, as operators see them.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use groundswell::sim::Options;

use super::{assert_told, driven::Stage};
use crate::program::pause;

const SPEC: &str = "release = 'pos-app 2.0.0'\nsalt = 'fixed'\n\
    waves = [{ count = 1, soak = '10m', min_success = 60 }, { percent = 100 }]\n\
    health = { check = 'url', every = '1s', failures = 2 }";

#[test]
fn what_regressed_is_told_wherever_it_counts() {
    // The devices of a fleet know no such page.
    let mut stage = Stage::new(5, Options::default());
    fs::write(stage.dir().join("health.toml"), SPEC.replace("'url'", "'url', path = '/other'"))
        .unwrap();
    let created = stage.run(&["rollout", "create", "health.toml"]);
    assert_eq!(created.code, Some(0), "{created:?}");
    stage.drive();
    stage.run(&["rollout", "start", "2"]);
    stage.until_of("2", "paused");
    assert_told!(stage.told(&["rollout", "show", "2"]), @r#"
    exit 0
    --- out
    rollout 2: pos-app 2.0.0, progressive, paused by the gate
      id       ID
      select   every device
      created  TIME
      began    TIME
      devices  5: 1 regressed after their update, 4 queued

      wave  state    devices  ended  succeeded  failed
         1  stopped        1      1          0       1
         2  pending        4      0          0       0

      wave 1  stop: 0 of 1 succeeded (1 regressed), at least 60 % required

    1 device regressed after the update:
      pos-3  answers 404, 2 times in a row

    paused by the gate: advance overrides it
    "#);
    let first = stage.rollout("2")["regressed"][0]["device"].as_str().unwrap().to_owned();
    assert_told!(stage.told(&["rollout", "why", "2", &first]), @r#"
    exit 0
    --- out
    pos-3 in rollout 2 (pos-app 2.0.0): succeeded, regressed: answers 404, 2 times in a row; wave 1 of 2; 1 attempt; since TIME
    "#);
    let shown = stage.told(&["device", "show", &first]);
    let told = "succeeded, regressed: answers 404, 2 times in a row; wave 1 of 2; 1 attempt";
    assert!(shown.contains(told), "{shown}");
    assert_eq!(stage.run(&["rollout", "replay", "2"]).code, Some(0));
    let explained = stage.told(&["rollout", "explain", "2"]);
    let explained = explained.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(explained.contains("answers 404, 2 times in a row"), "{explained}");
}

/// Devices at one address that take every update, and say how they are as the first part of their
/// path has it; and how often somebody went where one of them sends who asks.
fn devices() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, elsewhere) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
    let went = elsewhere.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let went = went.clone();
            thread::spawn(move || answer(&stream.unwrap(), address, &went));
        }
    });
    (address, elsewhere)
}

/// Errors are those of somebody who does not wait any longer.
fn answer(stream: &TcpStream, own: SocketAddr, went: &AtomicUsize) -> Option<()> {
    let mut from = BufReader::new(stream);
    let mut lines = from.by_ref().lines();
    let first = lines.next()?.ok()?;
    let mut len = 0;
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            len = value.trim().parse().unwrap();
        }
    }
    from.read_exact(&mut vec![0; len]).ok()?;
    let whole = |status: &str, body: &str| {
        let len = body.len();
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {len}\r\n\r\n{body}")
    };
    let path: Vec<&str> = first.split(' ').nth(1)?.split('/').skip(1).collect();
    let (device, what) = (path[0], path[path.len() - 1]);
    let (head, rest) = match (what, device) {
        ("healthz", "drips-head") => (String::new(), whole("200 OK", "well")),
        ("healthz", "drips-body") => {
            ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n".to_owned(), "w".repeat(100))
        }
        ("healthz", "cuts-head") => ("HTTP/1.1 200 OK\r\ncontent-le".to_owned(), String::new()),
        ("healthz", "cuts-body") => {
            ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nwell".to_owned(), String::new())
        }
        ("healthz", "redirects") => {
            let to = format!("302 Found\r\nlocation: http://{own}/elsewhere");
            (whole(&to, ""), String::new())
        }
        ("elsewhere", _) => {
            went.fetch_add(1, Ordering::SeqCst);
            (whole("200 OK", "well"), String::new())
        }
        ("version", _) => (whole("200 OK", "2.0.0"), String::new()),
        _ => (whole("200 OK", "well"), String::new()),
    };
    let mut to = stream;
    to.write_all(head.as_bytes()).ok()?;
    for byte in rest.bytes() {
        // Each of them comes in time, and all of them do not.
        thread::sleep(Duration::from_millis(200));
        to.write_all(&[byte]).ok()?;
    }
    Some(())
}

#[test]
fn who_drips_cuts_off_or_sends_elsewhere_is_never_taken_for_well() {
    const BAD: [&str; 5] = ["cuts-body", "cuts-head", "drips-body", "drips-head", "redirects"];
    let (address, elsewhere) = devices();
    let mut stage = Stage::new(1, Options::default());
    let rows = BAD.iter().chain(&["well"]);
    let rows = rows.map(|id| format!("{id},http://{address}/{id},1.0.0,yes\n"));
    let csv = format!("id,address,version,tag.raw\n{}", rows.collect::<String>());
    fs::write(stage.dir().join("raw.csv"), csv).unwrap();
    let spec = "release = 'pos-app 2.0.0'\nsalt = 'fixed'\nselect = 'tag.raw==yes'\n\
        waves = [{ count = 6, soak = '10m' }, { percent = 100 }]\n\
        health = { check = 'url', every = '1s', failures = 2 }";
    fs::write(stage.dir().join("raw.toml"), spec).unwrap();
    for args in [&["device", "import", "raw.csv"][..], &["rollout", "create", "raw.toml"]] {
        let ran = stage.run(args);
        assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
    }
    stage.drive();
    stage.run(&["rollout", "start", "2"]);
    while stage.rollout("2")["counts"]["regressed"] != BAD.len() {
        pause();
    }
    let shown = stage.rollout("2");
    assert_eq!(shown["counts"]["succeeded"], 6, "they took it, all of them: {shown}");
    let regressed = shown["regressed"].as_array().unwrap();
    let regressed: BTreeSet<_> =
        regressed.iter().map(|one| one["device"].as_str().unwrap()).collect();
    assert_eq!(regressed, BTreeSet::from(BAD), "{shown}");
    assert_eq!(elsewhere.load(Ordering::SeqCst), 0, "nobody is followed anywhere");
}
