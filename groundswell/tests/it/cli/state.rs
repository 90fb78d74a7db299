//! A state directory that cannot be used: where it is, and what to do.

use std::fs;

use super::ground;

#[test]
fn what_is_wrong_with_the_state_names_the_directory_and_a_way_out() {
    let ground = ground(3);
    assert_eq!(ground.run(&[]).code, Some(0));
    let database = ground.state().join("state.db");
    let state = ground.state().display().to_string();

    rusqlite::Connection::open(&database).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let newer = ground.run(&["--name", "other"]);
    let told = format!("error: in {state} (use that version, or another --state): the state was");
    assert!(newer.code == Some(3) && newer.err.starts_with(&told), "{newer:?}");

    fs::write(&database, vec![7; 8_192]).unwrap();
    let damaged = ground.run(&["--name", "other"]);
    let told = format!("error: in {state} (put a copy of it back, or use another --state): the");
    assert!(damaged.code == Some(3) && damaged.err.starts_with(&told), "{damaged:?}");
    assert_eq!(ground.fleet.summary().receptions.count, 3, "nothing was sent");
}
