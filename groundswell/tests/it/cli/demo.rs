//! `groundswell demo`, as `make demo` plays it.

use std::process::Command;

use crate::program::Ran;

#[test]
fn the_demo_updates_the_terminals_that_answer() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_groundswell"));
    let ran = Ran::from(demo.args(["demo", "--headless"]).output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    assert!(!ran.out.contains('\x1b'), "there are colors: {ran:?}");
    let last = ran.out.trim_end().lines().last().unwrap();
    assert!(last.starts_with("6 of 6 terminals that answer run 2.4.0, after "), "{last}");
    assert!(last.ends_with(" s; 4 others were left alone."), "{last}");
}
