//! Rollouts and releases: written down, found, changed, given up, removed.

use std::time::Duration;

use groundswell::{
    core::{
        assignment::{Assignment, FailReason, SkipReason, State, Step},
        ids::{Epoch, RolloutId},
        release::{Digest, Release},
        rollout::{self, OnFailure, Spec},
        snapshot::Counts,
        time::Time,
    },
    engine::giving_up::give_up,
    store::{
        Assign, Batch, Change, DeviceKey, RolloutKey, RolloutRecord, SqliteStore, Store, Which,
    },
};

use super::{
    NOW, batch, cohort, devices, draft, each, ids, open_round, queued, release, rollout_of,
    set_state, spec, to,
};

#[test]
fn what_is_logged_without_a_commit_has_the_time_at_which_it_was_done() {
    each(|store| {
        let key = draft(store, None, &spec());
        let [assigned, respecified, discarded] =
            [1, 2, 3].map(|hours| NOW + Duration::from_hours(hours));
        let device = devices(1).remove(0);
        store.put_devices(&[&device]).unwrap();
        let device = store.device_key(&device.id).unwrap().unwrap();
        let assign = Assign { device, cohort: 0, state: State::Queued };
        store.assign(key, 1, &[cohort(0, None)], &[assign], true, assigned).unwrap();
        store.set_spec(key, &spec(), respecified).unwrap();
        assert_eq!(store.discard(key, 10, discarded).unwrap(), 1);
        let mut times = vec![];
        store
            .for_each_log_row(key, &mut |row| {
                times.push(row.at);
                Ok(())
            })
            .unwrap();
        assert_eq!(times, [NOW, assigned, respecified, discarded]);
    });
}

#[test]
fn a_rollout_is_a_draft_when_it_is_written_down_and_is_read_as_it_was() {
    each(|store| {
        let id = RolloutId(uuid::Uuid::now_v7());
        let spec = Spec {
            select: Some("location==Oslo".to_owned()),
            start_at: Some(NOW),
            salt: "salt".to_owned(),
            priority: -4,
            ..spec()
        };
        let key = store.create(id, None, &spec, NOW).unwrap();
        let record = store.rollout(key).unwrap().unwrap();
        assert_eq!((record.key, record.id, record.identity), (key, id, None));
        assert_eq!((record.devices, record.created_at), (0, NOW));
        assert_eq!(record.spec, spec);
        assert_eq!(record.progression, rollout::Progression::draft(&spec));
        assert_eq!(store.count(key, 1).unwrap(), Counts::default());
        assert!(store.rollout(RolloutKey(key.0 + 1)).unwrap().is_none());

        let changed = Spec { on_failure: OnFailure::Abort, ..spec };
        store.set_spec(key, &changed, NOW).unwrap();
        assert_eq!(store.rollout(key).unwrap().unwrap().spec, changed);
    });
}

#[test]
fn the_newest_of_an_identity_is_found_unless_it_was_given_up() {
    each(|store| {
        let identity = [9; 32];
        assert!(store.find(&identity, None).unwrap().is_none());
        let first = draft(store, Some(&identity), &spec());
        let second = draft(store, Some(&identity), &spec());
        draft(store, Some(&[8; 32]), &spec());
        draft(store, None, &spec());
        let found =
            |store: &dyn Store| store.find(&identity, None).unwrap().map(|record| record.key);
        assert_eq!(found(store), Some(second));
        assert_eq!(store.find(&identity, None).unwrap().unwrap().identity, Some(identity));
        for given_up in [rollout::State::Canceled, rollout::State::Aborted] {
            set_state(store, second, given_up);
            assert_eq!(found(store), Some(first));
        }
        set_state(store, second, rollout::State::Failed);
        assert_eq!(found(store), Some(second));
        let older = |than| store.find(&identity, Some(than)).unwrap().map(|record| record.key);
        assert_eq!((older(second), older(first)), (Some(first), None));
    });
}

#[test]
fn those_with_something_to_do_are_told_apart() {
    each(|store| {
        let keys: Vec<_> = rollout::State::ALL
            .into_iter()
            .map(|state| {
                let key = draft(store, None, &spec());
                set_state(store, key, state);
                (key, state)
            })
            .collect();
        let read = |which| -> Vec<_> {
            let records = store.rollouts(which).unwrap();
            records.iter().map(|record| (record.key, record.progression.state)).collect()
        };
        assert_eq!(read(Which::All), keys);
        let unended: Vec<_> = keys.iter().copied().filter(|(_, s)| !s.is_ended()).collect();
        assert_eq!((read(Which::Unended), unended.len()), (unended.clone(), 7));
        let driven: Vec<_> = keys.into_iter().filter(|(_, state)| state.is_driven()).collect();
        assert_eq!(read(Which::Driven), driven);
        assert_eq!(driven.len(), 6);
    });
}

#[test]
fn what_is_being_prepared_is_taken_back_in_parts() {
    each(|store| {
        let (kept, key) = (rollout_of(store, 3), rollout_of(store, 7));
        set_state(store, key, rollout::State::Preparing);
        assert_eq!(store.discard(key, 3, NOW).unwrap(), 3);
        assert_eq!(store.count(key, 1).unwrap(), queued(4));
        assert_eq!(store.discard(key, 4, NOW).unwrap(), 4);
        assert_eq!(store.discard(key, 4, NOW).unwrap(), 0);
        assert_eq!(store.cohorts(key, 1).unwrap(), []);
        assert_eq!(store.rollout(key).unwrap().unwrap().devices, 0);
        store.remove(key).unwrap();
        assert!(store.rollout(key).unwrap().is_none());
        assert_eq!(store.rollouts(Which::All).unwrap().len(), 1);
        assert_eq!(store.count(kept, 1).unwrap(), queued(3));
        assert_ne!(draft(store, None, &spec()), key, "a number is given once");
    });
}

#[test]
fn a_rollout_given_up_is_ended_as_it_is_and_not_found_again() {
    each(|store| {
        let count = State::ALL.len() + 2;
        let key = rollout_of(store, count);
        let at = ids(store, key, 1);
        let mut expected = Counts { canceled: 2, ..Counts::default() };
        let mut changes = vec![];
        for (id, state) in at.into_iter().zip(State::ALL) {
            changes.push(to(id, state, 1, 9));
            let ended = if state.is_terminal() { state } else { State::Canceled };
            *expected.of_mut(ended) += 1;
        }
        commit_counted(store, key, changes);
        let before = prepared(store, key, rollout::State::Running);
        let counts = give_up(store, before.clone(), Epoch(7), NOW).unwrap();
        assert_eq!(counts, expected);
        assert_eq!(store.count(key, 1).unwrap(), expected);
        assert_eq!(super::sum(&store.cohorts(key, 1).unwrap()), expected);
        assert!(store.find(&[count as u8; 32], None).unwrap().is_none());
        assert!(store.rollouts(Which::Driven).unwrap().is_empty());
        assert!(store.active(key).unwrap().is_empty());
        let progression = store.rollout(key).unwrap().unwrap().progression;
        assert_eq!(progression.state, rollout::State::Canceled);
        assert!(progression.generation > before.progression.generation, "a stale plan is refused");
        let again = store.rollout(key).unwrap().unwrap();
        assert_eq!(give_up(store, again, Epoch(8), NOW).unwrap(), expected, "done twice");
    });
}

#[test]
fn a_rollout_whose_giving_up_was_cut_short_is_given_up() {
    // More than are ended in one go.
    const DEVICES: usize = 4_500;
    each(|store| {
        for state in [rollout::State::Canceling, rollout::State::Paused, rollout::State::Scheduled]
        {
            let key = rollout_of(store, DEVICES);
            let first = ids(store, key, 1)[0];
            commit_counted(store, key, vec![to(first, State::Canceled, 0, 0)]);
            let record = prepared(store, key, state);
            let counts = give_up(store, record, Epoch(7), NOW).unwrap();
            assert_eq!(counts, Counts { canceled: DEVICES as u64, ..Counts::default() });
            let state = store.rollout(key).unwrap().unwrap().progression.state;
            assert_eq!(state, rollout::State::Canceled);
        }
    });
}

/// A rollout that knows its rows to be those that were chosen.
fn prepared(store: &mut SqliteStore, key: RolloutKey, state: rollout::State) -> RolloutRecord {
    let mut record = store.rollout(key).unwrap().unwrap();
    record.progression.state = state;
    record.progression.prepared = Some("as chosen".to_owned());
    let progression = Some(record.progression.clone());
    store.commit(&Batch { progression, ..batch(key, vec![]) }).unwrap();
    record
}

/// Commits changes of the only cohort with its devices counted, as a driver does.
fn commit_counted(store: &mut SqliteStore, key: RolloutKey, changes: Vec<Change>) {
    store.commit(&batch(key, changes)).unwrap();
    let counts = store.count(key, 1).unwrap();
    let cohort = store.cohorts(key, 1).unwrap()[0].key;
    store.commit(&Batch { cohorts: vec![(cohort, counts)], ..batch(key, vec![]) }).unwrap();
}

#[test]
fn a_rollout_is_overtaken_by_a_later_one_that_was_begun_for_its_devices() {
    each(|store| {
        let (first, later) = (rollout_of(store, 2), rollout_of(store, 4));
        let all = ids(store, later, 1);
        assert!(!store.is_overtaken(first).unwrap(), "nothing was begun");
        store.commit(&batch(later, vec![to(all[3], State::Succeeded, 1, 0)])).unwrap();
        assert!(!store.is_overtaken(first).unwrap(), "of another device");
        store.commit(&batch(later, vec![to(all[1], State::Delivering, 1, 0)])).unwrap();
        assert!(store.is_overtaken(first).unwrap());
        assert!(!store.is_overtaken(later).unwrap());
    });
}

#[test]
fn newer_rollouts_of_the_same_release_that_were_started_are_rivals() {
    each(|store| {
        let other = Release { name: "gate".to_owned(), ..release() };
        let newer = Release { version: "9".to_owned(), ..release() };
        let older = draft(store, None, &spec());
        let own = draft(store, None, &spec());
        let rivals =
            [Spec { release: newer, ..spec() }, spec()].map(|spec| draft(store, None, &spec));
        let stranger = draft(store, None, &Spec { release: other, ..spec() });
        assert_eq!(store.rivals(own).unwrap(), [], "none was started");
        for key in [older, rivals[0], rivals[1], stranger] {
            let mut progression = store.rollout(key).unwrap().unwrap().progression;
            // However it ended: its devices are its.
            progression.state = rollout::State::Canceled;
            progression.started_at = Some(NOW);
            let progression = Some(progression);
            store.commit(&Batch { progression, ..batch(key, vec![]) }).unwrap();
        }
        assert_eq!(store.rivals(own).unwrap(), rivals);
        assert_eq!(store.rivals(rivals[1]).unwrap(), []);
        assert_eq!(store.rivals(older).unwrap(), rivals);
    });
}

#[test]
fn whoever_asks_about_a_device_is_told_of_every_round() {
    each(|store| {
        let key = draft(store, None, &spec());
        let fleet = devices(2);
        let names = [cohort(0, None), cohort(1, Some("Asia/Tokyo"))];
        store.add_devices(key, &names, &[(&fleet[0], 0), (&fleet[1], 1)], NOW).unwrap();
        let device = store.device_key("pos-1").unwrap().unwrap();
        let told = |store: &dyn Store| store.standings(device).unwrap();
        let first = &told(store)[0];
        assert_eq!((first.rollout, first.round, first.wave), (key, 1, 1));
        assert_eq!((&first.zone, first.changed_at), (&names[1].zone, None));
        assert_eq!(first.assignment, Assignment::queued());
        let id = ids(store, key, 1)[1];
        let failed = Change {
            detail: Some("HTTP 404".into()),
            ..to(id, State::Failed(FailReason::Rejected), 2, 0)
        };
        store.commit(&batch(key, vec![failed])).unwrap();
        open_round(store, key, 0);
        let [first, second] = &told(store)[..] else { panic!("{:?}", told(store)) };
        assert_eq!((first.round, first.changed_at), (1, Some(NOW)));
        assert_eq!(first.detail.as_deref(), Some("HTTP 404"));
        assert_eq!(first.assignment.state, State::Failed(FailReason::Rejected));
        assert_eq!(first.assignment.attempt, 2);
        assert_eq!((second.round, second.wave, &second.detail), (2, 0, &None));
        assert!(store.standings(DeviceKey(99)).unwrap().is_empty());
    });
}

#[test]
fn the_first_failures_are_listed_without_the_others() {
    each(|store| {
        let key = rollout_of(store, 5);
        let all = ids(store, key, 1);
        let states = [
            State::Canceled,
            State::TimedOut(Step::Delivering),
            State::Succeeded,
            State::Failed(FailReason::Unreachable),
            State::Failed(FailReason::Rejected),
        ];
        let changes = all.iter().zip(states).map(|(id, state)| to(*id, state, 1, 0)).collect();
        store.commit(&batch(key, changes)).unwrap();
        let read = |limit| -> Vec<_> {
            let failed = store.failures(key, 1, limit).unwrap();
            failed.into_iter().map(|failed| failed.device).collect()
        };
        assert_eq!(read(9), ["pos-1", "pos-3", "pos-4"]);
        assert_eq!(read(2), ["pos-1", "pos-3"]);
        assert!(store.failures(key, 2, 9).unwrap().is_empty());
    });
}

#[test]
fn how_devices_fell_short_is_counted_the_most_first() {
    each(|store| {
        let _other = rollout_of(store, 3);
        let key = rollout_of(store, State::ALL.len() + 2);
        let ids = ids(store, key, 1);
        // No two are active on one device; two more are offline.
        let offline = State::Skipped(SkipReason::Offline);
        let states = State::ALL.into_iter().chain([offline; 2]);
        let changes = ids.iter().zip(states).map(|(id, state)| to(*id, state, 1, 0));
        store.commit(&batch(key, changes.collect())).unwrap();
        let counted = store.count_short(key, 1).unwrap();
        assert_eq!(counted[0], (offline, 3));
        let mut alone: Vec<State> = counted[1..].iter().map(|(state, _)| *state).collect();
        alone.sort_unstable();
        let is_short = |state: &State| match state {
            State::Failed(_) | State::TimedOut(_) => true,
            State::Skipped(reason) => *reason != SkipReason::AlreadyCurrent && *state != offline,
            _ => false,
        };
        let mut expected: Vec<State> = State::ALL.into_iter().filter(is_short).collect();
        expected.sort_unstable();
        assert_eq!(alone, expected);
        assert!(counted[1..].iter().all(|(_, count)| *count == 1), "{counted:?}");
        let failures = store.failures(key, 1, 100).unwrap();
        assert_eq!(failures.len(), State::ALL.iter().filter(|state| state.is_failure()).count());
        assert_eq!(store.count_short(key, 2).unwrap(), []);
    });
}

#[test]
fn releases_are_written_down_once_and_listed_by_name() {
    each(|store| {
        let at = |millis| Time::from_millis(millis);
        let of = |name: &str, version: &str| Release {
            name: name.to_owned(),
            version: version.to_owned(),
            ..release()
        };
        let (older, newer, other) = (of("pos", "2.0.0"), of("pos", "1.9.0"), of("gate", "1"));
        assert!(store.put_release(&older, at(5)).unwrap());
        assert!(store.put_release(&newer, at(6)).unwrap());
        assert!(store.put_release(&other, at(7)).unwrap());
        let another = Release { artifact: Digest([1; 32]), artifact_bytes: 99, ..older.clone() };
        assert!(!store.put_release(&another, at(8)).unwrap(), "a release never changes");
        let pos = [(older, at(5)), (newer, at(6))];
        assert_eq!(store.releases(Some("pos")).unwrap(), pos);
        assert_eq!(store.releases(Some("nothing")).unwrap(), []);
        let all = store.releases(None).unwrap();
        assert_eq!(all[0], (other, at(7)));
        assert_eq!(all[1..], pos);
    });
}

#[test]
fn the_row_of_a_device_stays_its_row() {
    each(|store| {
        assert_eq!(store.device_key("pos-1").unwrap(), None);
        rollout_of(store, 2);
        let key = store.device_key("pos-1").unwrap();
        assert!(key.is_some());
        rollout_of(store, 3);
        let fleet = devices(2);
        store.put_devices(&fleet.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(store.device_key("pos-1").unwrap(), key);
    });
}
