//! Batches: whole or not at all, what was heard of devices, and the last word of each.

use groundswell::{
    core::{
        assignment::{FailReason, SkipReason, State},
        ids::AssignmentId,
        log::Record,
        rollout,
        snapshot::Counts,
        time::Time,
    },
    store::{
        Answer, Batch, Change, Contact, Heard, Intent, LogRow, SqliteStore, Store, StoreError,
    },
};

use super::{NOW, batch, each, ids, names, rollout_of, to};

#[test]
fn a_batch_is_written_whole_and_its_last_word_counts() {
    each(|store| {
        let key = rollout_of(store, 6);
        let all = ids(store, key, 1);
        let mut changes: Vec<_> = all.iter().map(|id| to(*id, State::Delivering, 1, 0)).collect();
        changes.push(to(all[1], State::Succeeded, 1, 0));
        changes.push(to(all[2], State::Verifying, 1, 99));
        changes.push(to(all[2], State::Succeeded, 1, 0));
        changes.push(Change {
            detail: Some("HTTP 404".into()),
            ..to(all[4], State::Failed(FailReason::Rejected), 1, 0)
        });
        store.commit(&batch(key, changes)).unwrap();
        let counts = store.count(key, 1).unwrap();
        assert_eq!(counts, Counts { delivering: 3, succeeded: 2, failed: 1, ..Counts::default() });
        let mut unfinished = vec![];
        store.for_each_unfinished(key, 1, &mut |device| unfinished.push(device)).unwrap();
        let told: Vec<_> = unfinished
            .iter()
            .map(|device| (device.device.as_str(), device.state, device.detail.as_deref()))
            .collect();
        let open = |id| (id, State::Delivering, None);
        let failed = ("pos-4", State::Failed(FailReason::Rejected), Some("HTTP 404"));
        assert_eq!(told, [open("pos-0"), open("pos-3"), failed, open("pos-5")]);
        let active = store.active(key).unwrap();
        assert_eq!(names(&active), ["pos-0", "pos-3", "pos-5"]);
        assert!(active.iter().all(|candidate| candidate.assignment.attempt == 1));
    });
}

#[test]
fn a_batch_with_a_row_that_is_not_there_changes_nothing() {
    each(|store| {
        let key = rollout_of(store, 3);
        let other = rollout_of(store, 2);
        let (all, others) = (ids(store, key, 1), ids(store, other, 1));
        let seq = store.put_intent(&intent(key), NOW).unwrap();
        let mut progression = store.rollout(key).unwrap().unwrap().progression;
        progression.state = rollout::State::Paused;
        // One that was never there, and one of another rollout.
        for missing in [AssignmentId(others[1].0 + 1), others[0]] {
            let changes =
                vec![to(all[0], State::Delivering, 1, 0), to(missing, State::Delivering, 1, 0)];
            let device = store.device_key("pos-0").unwrap().unwrap();
            let refused = store.commit(&Batch {
                progression: Some(progression.clone()),
                heard: vec![Heard { device, version: Some("7".into()) }],
                answers: vec![(seq, Answer::Already("it was".to_owned()))],
                ..batch(key, changes)
            });
            assert!(matches!(refused, Err(StoreError::Damaged(_))), "{refused:?}");
            assert_eq!(store.count(key, 1).unwrap().queued, 3);
            let record = store.rollout(key).unwrap().unwrap();
            assert_eq!(record.progression.state, rollout::State::Running);
            assert_eq!(store.answer_to(seq).unwrap(), None);
            assert_eq!(store.device("pos-0").unwrap().unwrap().version, None);
        }
    });
}

fn intent(rollout: groundswell::store::RolloutKey) -> Intent {
    Intent::Act {
        rollout,
        act: groundswell::core::rollout::Act::Pause,
        generation: None,
        reason: None,
    }
}

#[test]
fn a_device_has_at_most_one_active_assignment() {
    for state in [State::Delivering, State::Verifying, State::Retrying] {
        each(|store| {
            let first = rollout_of(store, 2);
            let second = rollout_of(store, 3);
            let (ours, theirs) = (ids(store, first, 1), ids(store, second, 1));
            store.commit(&batch(first, vec![to(ours[0], state, 1, 0)])).unwrap();
            let both = vec![
                to(theirs[1], State::Delivering, 1, 0),
                to(theirs[0], State::Delivering, 1, 0),
            ];
            let refused = store.commit(&batch(second, both));
            assert!(refused.is_err());
            assert_eq!(store.count(second, 1).unwrap().queued, 3, "{state}: all or nothing");
            store.commit(&batch(first, vec![to(ours[0], State::Succeeded, 1, 0)])).unwrap();
            store.commit(&batch(second, vec![to(theirs[0], State::Delivering, 1, 0)])).unwrap();
        });
    }
}

#[test]
fn those_who_got_the_release_are_known_to_run_it_where_that_was_seen() {
    each(|store| {
        let key = rollout_of(store, 6);
        let all = ids(store, key, 1);
        store.saw(&[Contact { device: "pos-3", at: NOW, version: Some("1.0.0") }]).unwrap();
        let seen = Batch {
            version: Some("2.0.0".into()),
            ..batch(
                key,
                vec![
                    to(all[0], State::Succeeded, 1, 0),
                    to(all[1], State::Succeeded, 1, 0),
                    to(all[2], State::Skipped(SkipReason::AlreadyCurrent), 0, 0),
                    to(all[4], State::Failed(FailReason::Rejected), 1, 0),
                    to(all[5], State::Skipped(SkipReason::Superseded), 0, 0),
                ],
            )
        };
        store.commit(&seen).unwrap();
        // Of this one nobody saw what it runs.
        store.commit(&batch(key, vec![to(all[3], State::Succeeded, 1, 0)])).unwrap();
        let known = |id: &str| {
            let device = store.device(id).unwrap().unwrap();
            (device.version, device.last_seen)
        };
        let new = Some("2.0.0".to_owned());
        for id in ["pos-0", "pos-1", "pos-2"] {
            assert_eq!(known(id), (new.clone(), Some(NOW)), "{id}");
        }
        assert_eq!(known("pos-3"), (Some("1.0.0".to_owned()), Some(NOW)));
        // As the inventory said: nothing was heard of them here.
        assert_eq!(known("pos-4"), (None, Some(Time::from_millis(4))));
        assert_eq!(known("pos-5"), (None, Some(Time::from_millis(5))));
        // Found by what they run, through the index that is kept in step.
        let select = groundswell::core::selector::Selector::parse("version==2.0.0").unwrap();
        assert_eq!(store.count_devices(Some(&select), NOW).unwrap(), 3);
    });
}

#[test]
fn what_is_heard_of_a_device_is_kept_beside_what_became_of_it() {
    each(|store| {
        let key = rollout_of(store, 3);
        let at = Time::from_millis(NOW.as_millis() + 5);
        let device = |store: &dyn Store, id: &str| store.device_key(id).unwrap().unwrap();
        let heard = vec![
            Heard { device: device(store, "pos-0"), version: Some("1.5.0".into()) },
            Heard { device: device(store, "pos-1"), version: None },
        ];
        store.commit(&Batch { at, heard, ..batch(key, vec![]) }).unwrap();
        let known = |store: &dyn Store, id: &str| {
            let device = store.device(id).unwrap().unwrap();
            (device.version, device.last_seen)
        };
        assert_eq!(known(store, "pos-0"), (Some("1.5.0".to_owned()), Some(at)));
        assert_eq!(known(store, "pos-1"), (None, Some(at)));
        assert_eq!(known(store, "pos-2"), (None, Some(Time::from_millis(2))));
        // An answer that names no version says nothing against the one known.
        let heard = vec![Heard { device: device(store, "pos-0"), version: None }];
        store.commit(&Batch { heard, ..batch(key, vec![]) }).unwrap();
        assert_eq!(known(store, "pos-0"), (Some("1.5.0".to_owned()), Some(NOW)));
    });
}

#[test]
fn batches_that_were_kept_are_written_once_however_often_they_are_handed_over() {
    each(|store| {
        let key = rollout_of(store, 3);
        let (all, cohort) = (ids(store, key, 1), store.cohorts(key, 1).unwrap()[0].key);
        let records = || vec![Record::SetBack(NOW)];
        let one_open = Counts { queued: 2, delivering: 1, ..Counts::default() };
        let one_done = Counts { queued: 2, succeeded: 1, ..Counts::default() };
        let to = |state, counts| {
            let changes = vec![to(all[0], state, 1, 0)];
            let cohorts = vec![(cohort, counts)];
            Batch { records: records(), cohorts, ..batch(key, changes) }
        };
        let kept = [to(State::Delivering, one_open)];
        let rows = |store: &SqliteStore| {
            let mut rows = 0;
            let mut each = |_| {
                rows += 1;
                Ok(())
            };
            store.for_each_log_row(key, &mut each).unwrap();
            rows
        };
        let before = rows(store);
        store.commit_kept(&kept).unwrap();
        assert_eq!(rows(store), before + 1);
        // Whoever wrote them died before they were taken out of the reserve, or after that.
        store.commit_kept(&kept).unwrap();
        assert_eq!((rows(store), store.count(key, 1).unwrap()), (before + 1, one_open));
        let after = to(State::Succeeded, one_done);
        store.commit(&after).unwrap();
        store.commit_kept(&kept).unwrap();
        assert_eq!((rows(store), store.count(key, 1).unwrap()), (before + 2, one_done));
        assert_eq!(store.cohorts(key, 1).unwrap()[0].counts, one_done);
        // Others are no less kept.
        store.commit_kept(&[after]).unwrap();
        assert_eq!(rows(store), before + 3);
    });
}

#[test]
fn a_log_begins_with_its_base_before_the_rows_that_it_stands_for_are_gone() {
    each(|store| {
        let key = rollout_of(store, 3);
        for no in 0..5 {
            let records = vec![Record::SetBack(Time::from_millis(no))];
            store.commit(&Batch { records, ..batch(key, vec![]) }).unwrap();
        }
        let told = |store: &SqliteStore| {
            let mut told = vec![];
            let mut each = |row: LogRow| {
                told.push((row.seq, row.body));
                Ok(())
            };
            store.for_each_log_row(key, &mut each).unwrap();
            told
        };
        let before = told(store);
        let at = before.len() - 2;
        store.shorten_log(key, before[at].0, &Record::SetBack(NOW)).unwrap();
        // Whoever does it may die here.
        let after = told(store);
        assert_eq!((after.len(), &after[1]), (2, &before[at + 1]));
        assert_eq!(after[0].1, serde_json::to_string(&[Record::SetBack(NOW)]).unwrap());
        let mut removed = 0;
        while let Ok(some @ 1..) = store.prune_log(key, 2) {
            removed += some;
        }
        assert_eq!((removed, told(store)), (at, after));
    });
}
