//! A driver that another one has taken over from writes nothing more.

use groundswell::{
    core::{assignment::State, ids::Epoch},
    engine::takeover::recover,
    store::{
        Answer, Assign, Batch, ChangeSeq, Intent, RolloutKey, SqliteStore, Store, StoreError,
        reserve::Reserve,
    },
};

use super::{NOW, batch, cohort, devices, draft, ids, queued, rollout_of, spec, to};

/// Two handles on one database, and a rollout of three devices in it.
fn two(check: impl FnOnce(&mut SqliteStore, &mut SqliteStore, RolloutKey)) {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = dir.path().join("state.db");
    let (mut first, mut second) =
        (SqliteStore::open(&path).unwrap(), SqliteStore::open(&path).unwrap());
    let key = rollout_of(&mut first, 3);
    check(&mut first, &mut second, key);
}

fn is_stale<T: std::fmt::Debug>(result: Result<T, StoreError>) -> bool {
    match result {
        Err(StoreError::Stale { own, current }) => own == Epoch(1) && current == Epoch(2),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stale_driver_commits_no_claim_and_no_outcome() {
    two(|first, second, key| {
        let all = ids(first, key, 1);
        first.raise_epoch().unwrap();
        first.commit(&batch(key, vec![to(all[0], State::Delivering, 1, 0)])).unwrap();
        second.raise_epoch().unwrap();
        let late = batch(key, vec![to(all[0], State::Succeeded, 1, 0)]);
        assert!(is_stale(first.commit(&late)));
        assert!(is_stale(first.commit(&batch(key, vec![to(all[1], State::Delivering, 1, 0)]))));
        let counts = second.count(key, 1).unwrap();
        assert_eq!((counts.queued, counts.delivering, counts.succeeded), (2, 1, 0));
        second.commit(&late).unwrap();
        assert_eq!(second.count(key, 1).unwrap().succeeded, 1);
    });
}

#[test]
fn a_stale_driver_assigns_answers_discards_and_opens_nothing() {
    two(|first, second, key| {
        let new = draft(second, None, &spec());
        let device = devices(5).pop().unwrap();
        second.put_devices(&[&device]).unwrap();
        let device = second.device_key(&device.id).unwrap().unwrap();
        let intent = Intent::Contact { device };
        let seq = second.put_intent(&intent, NOW).unwrap();
        first.raise_epoch().unwrap();
        second.raise_epoch().unwrap();
        let cohorts = [cohort(0, None)];
        let assign = Assign { device, cohort: 0, state: State::Queued };
        assert!(is_stale(first.assign(new, 1, &cohorts, &[assign], true, NOW)));
        assert!(is_stale(first.discard(key, 10, NOW)));
        assert!(is_stale(first.extend_round(key, 2, None, 10, NOW)));
        assert!(is_stale(first.answer(seq, &Answer::Already("it was".to_owned()))));
        assert!(is_stale(first.forget_changed(ChangeSeq(1))));
        assert!(is_stale(first.foreign_version()), "one that is idle must notice, too");
        assert_eq!(second.count(key, 1).unwrap(), queued(3));
        assert_eq!(second.cohorts(new, 1).unwrap(), []);
        assert_eq!(second.answer_to(seq).unwrap(), None);
        // Reading harms nobody, and whoever takes over again may write again.
        assert_eq!(first.count(key, 1).unwrap(), queued(3));
        assert_eq!(first.raise_epoch().unwrap(), Epoch(3));
        assert_eq!(first.discard(key, 10, NOW).unwrap(), 3);
    });
}

#[test]
fn others_than_drivers_write_whoever_drives() {
    two(|first, second, key| {
        first.raise_epoch().unwrap();
        let all = ids(second, key, 1);
        second.commit(&batch(key, vec![to(all[0], State::Canceled, 0, 0)])).unwrap();
        assert_eq!(second.put_devices(&[&devices(9)[8]]).unwrap().new, 1);
    });
}

#[test]
fn what_a_stale_driver_kept_is_left_out_and_what_the_last_one_kept_is_not() {
    two(|first, second, key| {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::open(&dir.path().join("reserve")).unwrap();
        let all = ids(first, key, 1);
        let keep = |epoch, at: usize| {
            let changes = vec![to(all[at], State::Delivering, 1, 0)];
            reserve.keep(&[Batch { epoch, ..batch(key, changes) }]).unwrap();
        };
        let own = first.raise_epoch().unwrap();
        keep(own, 0);
        recover(second, &reserve).unwrap();
        assert_eq!(second.count(key, 1).unwrap().delivering, 1);
        assert!(reserve.kept().unwrap().is_empty());
        second.raise_epoch().unwrap();
        keep(own, 1);
        recover(second, &reserve).unwrap();
        assert_eq!(second.count(key, 1).unwrap().delivering, 1);
        assert!(reserve.kept().unwrap().is_empty(), "it must not come back");
    });
}
