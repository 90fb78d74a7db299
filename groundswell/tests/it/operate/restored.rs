//! A copy that is put in place of a state, and what was sent since it was made.

use std::{fs, process::Stdio};

use groundswell::sim::Options;

use super::{Ending, driven::Stage, groundswell};
use crate::program::pause;

#[test]
fn devices_are_asked_before_they_are_sent_what_they_may_have() {
    let mut stage = Stage::new(5, Options::default());
    assert_eq!(stage.run(&["rollout", "start", "1"]).code, Some(0));
    let copied = stage.run(&["state", "backup", "copy.db"]);
    assert_eq!(copied.code, Some(0), "{copied:?}");
    stage.drive();
    stage.until("completed");
    assert_eq!(stage.fleet().summary().receptions.complete, 5);

    let restored = stage.dir().join("restored");
    fs::create_dir_all(restored.join("artifacts")).unwrap();
    fs::copy(stage.dir().join("copy.db"), restored.join("state.db")).unwrap();
    for entry in fs::read_dir(stage.dir().join("groundswell-data/artifacts")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), restored.join("artifacts").join(entry.file_name())).unwrap();
    }
    let mut command = groundswell(stage.dir(), &["run", "--state", "restored"]);
    let driver = Ending(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let shown = || {
        let show = ["rollout", "show", "1", "--state", "restored", "--output", "json"];
        stage.run(&show).json()
    };
    while shown()["state"] != "completed" {
        pause();
    }
    drop(driver);
    assert_eq!(stage.fleet().summary().receptions.complete, 5, "nobody was sent it again");
}
