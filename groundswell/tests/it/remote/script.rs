//! The same commands on a state directory and by a server: the same text.

use std::{fmt::Write as _, fs, process::Stdio};

use super::Serving;
use crate::{
    operate::{Desk, Ending, groundswell},
    program::{Ran, pause},
};

const SPEC: &str = r#"
release = "pos-app 2.0.0"
select = "tag.region==north"
salt = "fixed"
start_at = "2999-01-01T00:00:00Z"
budgets = [{ per = "tag.region", max = 2 }]

[[waves]]
count = 1
soak = "1h"
min_success = 100

[[waves]]
percent = 100
"#;

/// What is typed before anything is started.
const DRAFT: &[&str] = &[
    "device list",
    "device list --select tag.region==north --output json",
    "device list --select id==nobody",
    "device list --select tag.region=",
    "rollout list",
    "rollout list --output json",
    "rollout check later.toml",
    "rollout check later.toml --output json",
    "rollout check bad.toml",
    "rollout create bad.toml",
    "rollout create broken.toml",
    "rollout create missing.toml",
    "rollout create unknown.toml",
    "rollout create unmeetable.toml",
    "rollout create later.toml --dry-run",
    "rollout create later.toml --dry-run --output json",
    "rollout create later.toml",
    "rollout create later.toml --output json",
    "rollout list",
    "rollout list --output json",
    "rollout show 1",
    "rollout show 1 --output json",
    "rollout show 9",
    "rollout why 1",
    "rollout why 1 --output json",
    "rollout why 1 pos-01",
    "rollout why 1 pos-07",
    "rollout why 1 pos-99",
    "rollout explain 1",
    "rollout explain 1 pos-07",
    "rollout explain 1 pos-07 --output json",
    "rollout replay 1",
    "rollout replay 1 --output json",
    "rollout pause 1",
    "rollout approve 1",
    "rollout rollback 1 --dry-run",
];

/// What is typed once the first one waits for its time.
const STARTED: &[&str] = &[
    "rollout show 1",
    "rollout show 1 --output json",
    "rollout why 1 pos-01 --output json",
    "rollout explain 1 pos-01",
    "rollout explain 1 pos-07",
    "rollout pause 1",
    "rollout pause 1",
    "rollout advance 1",
    "rollout resume 1 --output json",
    "rollout cancel 2",
    "rollout cancel 1",
    "rollout resume 1",
    "rollout watch 1",
    "rollout list",
    "rollout retry 1",
];

#[test]
fn the_same_commands_tell_the_same_of_a_directory_and_by_a_server() {
    let by_directory = {
        let desk = desk();
        let mut command = groundswell(desk.path(), &["run"]);
        let log = fs::File::create(desk.path().join("run.log")).unwrap();
        let driver = command.stdout(Stdio::null()).stderr(log).spawn().map(Ending).unwrap();
        while !fs::read_to_string(desk.path().join("run.log")).unwrap().contains("driv") {
            pause();
        }
        let told = transcript(&|args| desk.run(args));
        drop(driver);
        told
    };
    let by_server = {
        let desk = desk();
        let serving = Serving::of(&desk);
        let here = |told: String| {
            let told = told.replace(&format!(" --server {}", serving.url), "");
            told.replace(&serving.url, "groundswell-data")
        };
        transcript(&|args| {
            let Ran { code, out, err } = serving.run(&desk, args);
            Ran { code, out: here(out), err: here(err) }
        })
    };
    let (by_directory, by_server) = (by_directory.trim_end(), by_server.trim_end());
    for (one, other) in by_directory.lines().zip(by_server.lines()) {
        assert_eq!(one, other, "\n--- directory\n{by_directory}\n--- server\n{by_server}");
    }
    assert_eq!(by_directory.lines().count(), by_server.lines().count());
}

fn desk() -> Desk {
    let desk = Desk::set();
    desk.keep("later.toml", SPEC);
    desk.keep("bad.toml", &SPEC.replace("100\n", "190\n").replace("1h", "soon"));
    desk.keep("broken.toml", "release = 'a 1'\nselect = tag");
    desk.keep("unknown.toml", &SPEC.replace("pos-app 2", "pos-app 3"));
    desk.keep("unmeetable.toml", &SPEC.replace("max = 2", "max_percent = 1"));
    desk
}

fn transcript(run: &dyn Fn(&[&str]) -> Ran) -> String {
    let mut told = String::new();
    let mut tell = |line: &str| {
        let args: Vec<&str> = line.split(' ').collect();
        writeln!(told, "$ {line}\n{}", plain(&run(&args).told())).unwrap();
    };
    for line in DRAFT {
        tell(line);
    }
    // A driver may be quick or not.
    run(&["rollout", "start", "1"]);
    while run(&["rollout", "show", "1", "--output", "json"]).json()["state"] != "scheduled" {
        pause();
    }
    for line in STARTED {
        tell(line);
    }
    told
}

/// Without what differs from run to run: times, ids, and who drives.
fn plain(told: &str) -> String {
    let mut plain = String::new();
    for line in told.lines() {
        let line = line.replace("groundswell serve", "groundswell run");
        let words: Vec<String> = line.split(' ').map(plain_word).collect();
        plain.push_str(without_ages(&words).join(" ").trim_end());
        plain.push('\n');
    }
    plain
}

/// How long ago something was depends on how quickly all this is typed.
fn without_ages(words: &[String]) -> Vec<&str> {
    let is_part = |word: &str| {
        let word = word.trim_start_matches('(');
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
            || ["s", "min", "h", "d"].contains(&word)
    };
    let mut plain: Vec<&str> = vec![];
    for word in words {
        if word.starts_with("ago") {
            while plain.last().is_some_and(|last| is_part(last)) {
                plain.pop();
            }
        }
        // What was a moment ago has no number.
        plain.push(if word == "(now)" { "ago)" } else { word });
    }
    plain
}

fn plain_word(word: &str) -> String {
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let is_id = word.matches('-').count() == 4 && digits > 8;
    let is_time =
        digits >= 8 && word.contains('-') || digits == 13 || digits >= 4 && word.contains(':');
    let is_process = digits > 0 && word.ends_with(':') && !word.contains('.');
    match (is_id, is_time || is_process) {
        (true, _) => "ID".to_owned(),
        (_, true) => "TIME".to_owned(),
        _ => word.to_owned(),
    }
}
