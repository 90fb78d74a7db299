//! What an operator does to rollouts, with and without a driver.

use std::thread;

use groundswell::{
    core::rollout::{Act, State},
    store::{
        Answer, Intent, IntentSeq, SqliteStore, Store,
        dir::{StateDir, database},
    },
};

use super::{Desk, assert_told};
use crate::program::pause;

#[test]
fn without_a_driver_acts_are_done_here() {
    let desk = Desk::drafted();
    assert_told!(desk.told(&["rollout", "start", "1"]), @"
    exit 0
    --- out
    rollout 1 (pos-app 2.0.0) is preparing
    nothing drives groundswell-data now: `groundswell run` does
    ");
    assert_told!(desk.told(&["rollout", "start", "1"]), @"
    exit 0
    --- out
    rollout 1 (pos-app 2.0.0) is preparing: it was started before
    nothing drives groundswell-data now: `groundswell run` does
    ");
    assert_told!(desk.told(&["rollout", "pause", "1"]), @"
    exit 0
    --- out
    rollout 1 (pos-app 2.0.0) is preparing, and paused once its devices are written down
    nothing drives groundswell-data now: `groundswell run` does
    ");
    assert_told!(desk.told(&["rollout", "show", "1"]), @"
    exit 0
    --- out
    rollout 1: pos-app 2.0.0, progressive, preparing, to be paused by the operator
      id       ID
      select   tag.region==north
      created  TIME

    its devices are being written down: 0 so far
    nothing drives groundswell-data now: `groundswell run` does
    ");
    assert_told!(desk.told(&["rollout", "why", "1", "pos-03"]), @"
    exit 0
    --- out
    pos-03 would be in wave 1 of 2 of rollout 1 (pos-app 2.0.0)
      its devices are being written down: 0 so far
    ");
    assert_told!(desk.told(&["rollout", "resume", "1", "--output", "json"]), @r#"
    exit 0
    --- out
    {
      "rollout": 1,
      "act": "resume",
      "state": "preparing",
      "open": 0,
      "already": null,
      "driver": null
    }
    "#);
    assert_told!(desk.told(&["rollout", "cancel", "1"]), @"
    exit 0
    --- out
    rollout 1 (pos-app 2.0.0) is canceling
    nothing drives groundswell-data now: `groundswell run` does
    ");
    assert_told!(desk.told(&["rollout", "abort", "1"]), @"
    exit 0
    --- out
    rollout 1 (pos-app 2.0.0) is aborting
    nothing drives groundswell-data now: `groundswell run` does
    ");
}

#[test]
fn what_makes_no_sense_is_refused_with_a_way_out() {
    let desk = Desk::drafted();
    assert_told!(desk.told(&["rollout", "pause", "1"]), @"
    exit 2
    --- err
    error: rollout 1: cannot pause a draft rollout: nothing happens before it is started
    ");
    assert_told!(desk.told(&["rollout", "resume", "1"]), @"
    exit 2
    --- err
    error: rollout 1: cannot resume a draft rollout: start it
    ");
    assert_told!(desk.told(&["rollout", "advance", "1"]), @"
    exit 2
    --- err
    error: rollout 1: cannot advance a draft rollout: start it
    ");
    assert_told!(desk.told(&["rollout", "retry", "1"]), @"
    exit 2
    --- err
    error: rollout 1: cannot retry a draft rollout: start it
    ");
    assert_told!(desk.told(&["rollout", "cancel", "1"]), @"
    exit 0
    --- out
    rollout 1 (pos-app 2.0.0) is canceled
    ");
    assert_told!(desk.told(&["rollout", "start", "1"]), @"
    exit 2
    --- err
    error: rollout 1: cannot start a canceled rollout: retry tries what failed again; for all else create another one
    ");
}

/// Answers one intent as the driver that this process seems to be.
fn answer_one(desk: &Desk, answer: Answer) -> (Intent, thread::JoinHandle<()>, StateDir) {
    let dir = StateDir::lock(&desk.state(), "run").unwrap();
    let path = database(&desk.state());
    let (said, heard) = std::sync::mpsc::channel();
    let driver = thread::spawn(move || {
        let mut store = SqliteStore::open(&path).unwrap();
        let (seq, intent): (IntentSeq, Intent) = loop {
            match store.intents().unwrap().pop() {
                Some(found) => break found,
                None => pause(),
            }
        };
        store.answer(seq, &answer).unwrap();
        said.send(intent).unwrap();
    });
    let told = desk.run(&["rollout", "start", "1"]);
    drop(told);
    (heard.recv().unwrap(), driver, dir)
}

#[test]
fn a_driver_is_asked_and_its_answer_told() {
    let desk = Desk::drafted();
    let done = Answer::Done { state: State::Preparing, open: 0 };
    let (intent, driver, _dir) = answer_one(&desk, done);
    driver.join().unwrap();
    let Intent::Act { rollout, act, .. } = intent else { panic!("{intent:?}") };
    assert_eq!((rollout.0, act), (1, Act::Start));
}
