//! What an operator does to rollouts, with and without a driver.

use std::thread;

use groundswell::{
    core::rollout::{Act, State},
    store::{
        Answer, Intent, RolloutKey, SqliteStore, Store,
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
    warning: release: 1 of 6 devices runs 3.0.0, newer than 2.0.0, and would be skipped; allow_downgrade = true sends to them as well
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
    pos-03 would be in rollout 1 (pos-app 2.0.0); its wave is drawn at the start
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
      "open_devices": [],
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

/// What is told of an act that a driver answers; this process must hold the directory.
fn answered(desk: &Desk, act: Act, answer: Answer) -> String {
    let path = database(&desk.state());
    let driver = thread::spawn(move || {
        let mut store = SqliteStore::open(&path).unwrap();
        loop {
            if let Some((seq, intent)) = store.intents().unwrap().pop() {
                store.answer(seq, &answer).unwrap();
                return intent;
            }
            pause();
        }
    });
    let told = desk.told(&["rollout", act.as_str(), "1"]);
    let asked = driver.join().unwrap();
    let Intent::Act { rollout, act: asked, .. } = asked else { panic!("{asked:?}") };
    assert_eq!((rollout, asked), (RolloutKey(1), act));
    told
}

#[test]
fn a_driver_is_asked_and_its_answer_told() {
    let desk = Desk::drafted();
    let _dir = StateDir::lock(&desk.state(), "run").unwrap();
    let done = Answer::Done { state: State::Paused, open: 3 };
    assert_told!(answered(&desk, Act::Pause, done), @"
    exit 0
    --- out
    rollout 1 (pos-app 2.0.0) is paused; 3 devices still open
    ");
    let already = Answer::Already("it was paused before".to_owned());
    assert_told!(answered(&desk, Act::Pause, already), @"
    exit 0
    --- out
    rollout 1 (pos-app 2.0.0) is draft: it was paused before
    ");
    let refused = Answer::Refused("cannot pause a completed rollout: it has ended".to_owned());
    assert_told!(answered(&desk, Act::Pause, refused), @"
    exit 2
    --- err
    error: rollout 1: cannot pause a completed rollout: it has ended
    ");
}
