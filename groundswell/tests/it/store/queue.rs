//! Candidates: who is due again, who is next of a cohort, who is to be ended, and what is known.

use std::time::Duration;

use groundswell::{
    core::{assignment::State, device::Device, time::Time},
    store::{
        Candidate, Contact, Cursor, Known, Page, QueueRead, QueueWant, RolloutKey, SqliteStore,
        Store, Values, Want,
    },
};

use super::{
    NOW, batch, cohort, devices, draft, each, ids, names, queue_of, rollout_of, spec, to, want,
};

/// The key of the only cohort.
fn only(store: &impl Store, key: RolloutKey) -> groundswell::store::CohortKey {
    let cohorts = store.cohorts(key, 1).unwrap();
    assert_eq!(cohorts.len(), 1);
    cohorts[0].key
}

fn read(store: &impl Store, want: &Want) -> Page {
    store.candidates(want).unwrap()
}

#[test]
fn the_queue_of_a_cohort_is_read_in_order_and_once() {
    each(|store| {
        let key = rollout_of(store, 10);
        let cohort = only(store, key);
        let of = |after, limit| Want {
            limit,
            queue: Some(QueueWant { after, limit, ..queue_of(cohort) }),
            ..want(key)
        };
        let first = read(store, &of(0, 4));
        assert_eq!(names(&first.candidates), ["pos-0", "pos-1", "pos-2", "pos-3"]);
        let queue = first.queue.unwrap();
        assert_eq!((queue.cohort, queue.is_end, queue.is_sweep), (cohort, false, false));
        assert_eq!(queue.last, first.candidates[3].id.0);
        let rest = read(store, &of(queue.last, 6));
        assert_eq!(rest.candidates.len(), 6);
        // As many as were asked for: there may be more.
        let queue = rest.queue.unwrap();
        assert!(!queue.is_end);
        let none = read(store, &of(queue.last, 6));
        assert!(none.candidates.is_empty());
        assert_eq!(none.queue.unwrap(), QueueRead { is_end: true, ..queue });
        assert_eq!(none.next_due_at, None);
    });
}

#[test]
fn each_cohort_has_a_queue_of_its_own() {
    each(|store| {
        let key = draft(store, None, &spec());
        let fleet = devices(6);
        let mixed: Vec<_> = fleet.iter().enumerate().map(|(n, device)| (device, n % 2)).collect();
        store.add_devices(key, &[cohort(0, None), cohort(1, None)], &mixed, NOW).unwrap();
        let other = rollout_of(store, 3);
        for (at, expected) in
            [["pos-0", "pos-2", "pos-4"], ["pos-1", "pos-3", "pos-5"]].into_iter().enumerate()
        {
            let cohorts = store.cohorts(key, 1).unwrap();
            let queue = Some(queue_of(cohorts[at].key));
            let page = read(store, &Want { queue, ..want(key) });
            assert_eq!(names(&page.candidates), expected);
            assert!(page.candidates.iter().all(|found| found.cohort == cohorts[at].key));
        }
        let _ = other;
    });
}

/// Everybody is away, each due at so many milliseconds from now.
fn away(store: &mut SqliteStore, due: &[i64]) -> RolloutKey {
    let key = rollout_of(store, due.len());
    let all = ids(store, key, 1);
    let change = |(id, due): (_, &i64)| {
        let state = if *due % 2 == 0 { State::Away } else { State::Absent };
        to(id, state, 1, NOW.as_millis() + due)
    };
    let changes = all.into_iter().zip(due).map(change).collect();
    store.commit(&batch(key, changes)).unwrap();
    key
}

#[test]
fn those_away_come_as_they_fall_due_and_each_once() {
    each(|store| {
        let key = away(store, &[700, -5, -10, -5, 701]);
        let first = read(store, &Want { limit: 2, ..want(key) });
        assert_eq!(names(&first.candidates), ["pos-2", "pos-1"]);
        let last = &first.candidates[1];
        assert_eq!(first.cursor, Cursor { due_at: last.assignment.due_at, id: last.id.0 });
        assert_eq!(first.next_due_at, Some(Time::from_millis(NOW.as_millis() - 5)));
        let second = read(store, &Want { cursor: first.cursor, ..want(key) });
        assert_eq!(names(&second.candidates), ["pos-3"], "due at the same time, and behind");
        let next = NOW + Duration::from_millis(700);
        assert_eq!(second.next_due_at, Some(next));
        let none = read(store, &Want { cursor: second.cursor, ..want(key) });
        assert_eq!((none.candidates.len(), none.cursor), (0, second.cursor));
        assert_eq!(none.next_due_at, Some(next));
        let until = NOW + Duration::from_secs(1);
        let last = read(store, &Want { cursor: none.cursor, until, ..want(key) });
        assert_eq!(names(&last.candidates), ["pos-0", "pos-4"]);
        let states: Vec<_> = last.candidates.iter().map(|found| found.assignment.state).collect();
        assert_eq!(states, [State::Away, State::Absent]);
        assert!(last.candidates.iter().all(|found| found.assignment.away_since == NOW));
        assert_eq!(last.next_due_at, None);
    });
}

#[test]
fn those_due_come_before_the_queue_and_share_its_limit() {
    each(|store| {
        let key = rollout_of(store, 5);
        let all = ids(store, key, 1);
        let due = NOW.as_millis() - 1;
        let changes = vec![
            to(all[3], State::Away, 1, due),
            to(all[4], State::Absent, 1, NOW.as_millis() + 700),
        ];
        store.commit(&batch(key, changes)).unwrap();
        let queue = Some(QueueWant { limit: 9, ..queue_of(only(store, key)) });
        let page = read(store, &Want { limit: 2, queue, ..want(key) });
        assert_eq!(names(&page.candidates), ["pos-3", "pos-0"]);
        assert_eq!(page.queue.unwrap().last, all[0].0);
        assert!(!page.queue.unwrap().is_end);
        // No place is left for the queue: it is where it was.
        let page = read(store, &Want { limit: 1, queue, ..want(key) });
        assert_eq!(names(&page.candidates), ["pos-3"]);
        assert_eq!((page.queue.unwrap().last, page.queue.unwrap().is_end), (0, false));
        assert_eq!(page.next_due_at, Some(NOW + Duration::from_millis(700)));
    });
}

#[test]
fn a_sweep_reads_those_away_too_whenever_they_are_due() {
    each(|store| {
        let key = rollout_of(store, 6);
        let all = ids(store, key, 1);
        let later = NOW.as_millis() + 700;
        let changes = vec![
            to(all[0], State::Succeeded, 1, 0),
            to(all[1], State::Away, 1, later),
            to(all[2], State::Absent, 1, i64::MAX),
            to(all[3], State::Delivering, 1, 0),
            to(all[4], State::Retrying, 1, 0),
        ];
        store.commit(&batch(key, changes)).unwrap();
        let cohort = only(store, key);
        let nobody = Time::from_millis(-1);
        let of = |is_sweep| {
            let queue = Some(QueueWant { is_sweep, ..queue_of(cohort) });
            read(store, &Want { until: nobody, queue, ..want(key) })
        };
        assert_eq!(names(&of(true).candidates), ["pos-1", "pos-2", "pos-5"]);
        assert_eq!(names(&of(false).candidates), ["pos-5"]);
        assert!(of(true).queue.unwrap().is_sweep);
    });
}

#[test]
fn what_is_known_of_a_candidate_comes_with_it_where_it_is_wanted() {
    each(|store| {
        let key = draft(store, None, &spec());
        let mut fleet = devices(3);
        fleet[0].check_in = Some(Duration::from_secs(90));
        fleet[1].last_seen = None;
        let all: Vec<_> = fleet.iter().map(|device| (device, 0)).collect();
        store.add_devices(key, &[cohort(0, None)], &all, NOW).unwrap();
        store.saw(&[Contact { device: "pos-2", at: NOW, version: Some("3.1") }]).unwrap();
        let ids = ids(store, key, 1);
        let due = to(ids[2], State::Away, 1, NOW.as_millis());
        store.commit(&batch(key, vec![due])).unwrap();
        let queue = Some(queue_of(only(store, key)));
        let of = |is_known_wanted| {
            let page = read(store, &Want { queue, is_known_wanted, ..want(key) });
            page.candidates.into_iter().map(|found| found.known).collect::<Vec<_>>()
        };
        assert_eq!(of(false), [None, None, None]);
        let known: Vec<Known> = of(true).into_iter().map(|known| *known.unwrap()).collect();
        let here = Known { last_seen: Some(NOW), version: Some("3.1".into()), ..Known::default() };
        let first = Known {
            last_seen: Some(Time::from_millis(0)),
            check_in: Some(Duration::from_secs(90)),
            ..Known::default()
        };
        assert_eq!(known, [here, first, Known::default()]);
    });
}

#[test]
fn whoever_is_in_a_rival_rollout_is_superseded() {
    each(|store| {
        let key = rollout_of(store, 4);
        let (rival, stranger) = (rollout_of(store, 2), rollout_of(store, 3));
        let later = to(ids(store, key, 1)[1], State::Away, 1, NOW.as_millis());
        store.commit(&batch(key, vec![later])).unwrap();
        let queue = Some(queue_of(only(store, key)));
        let superseded = |store: &SqliteStore, rivals: &[RolloutKey]| {
            let rivals = rivals.to_vec();
            let page = read(store, &Want { queue, rivals, ..want(key) });
            let is_superseded =
                |found: &Candidate| found.known.as_ref().is_some_and(|k| k.is_superseded);
            let found: Vec<_> = page.candidates.into_iter().filter(is_superseded).collect();
            names(&found).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert!(superseded(store, &[]).is_empty());
        // Those that are away are judged by it, too; how far the rival got makes no difference.
        assert_eq!(superseded(store, &[rival]), ["pos-1", "pos-0"]);
        let done: Vec<_> =
            ids(store, rival, 1).iter().map(|id| to(*id, State::Succeeded, 1, 0)).collect();
        store.commit(&batch(rival, done)).unwrap();
        assert_eq!(superseded(store, &[rival]), ["pos-1", "pos-0"]);
        assert_eq!(superseded(store, &[rival, stranger]), ["pos-1", "pos-0", "pos-2"]);
    });
}

#[test]
fn what_is_known_of_some_is_read_anew_on_request() {
    each(|store| {
        let key = rollout_of(store, 4);
        let rival = rollout_of(store, 2);
        let all = ids(store, key, 1);
        store.saw(&[Contact { device: "pos-3", at: NOW, version: Some("3.1") }]).unwrap();
        // Wherever they stand by now; and one that is gone is no reason to fail.
        store.commit(&batch(key, vec![to(all[3], State::Verifying, 1, 0)])).unwrap();
        let gone = groundswell::core::ids::AssignmentId(99);
        let refresh = vec![all[3], all[1], gone];
        let nobody = Time::from_millis(-1);
        let of = |rivals| {
            let want = Want { refresh: refresh.clone(), rivals, until: nobody, ..want(key) };
            let page = read(store, &want);
            assert!(page.candidates.is_empty());
            page.refreshed
        };
        let here = Known { last_seen: Some(NOW), version: Some("3.1".into()), ..Known::default() };
        let other = Known { last_seen: Some(Time::from_millis(1)), ..Known::default() };
        assert_eq!(
            of(vec![]),
            [(all[3], here.clone(), Values::default()), (all[1], other.clone(), Values::default())]
        );
        let superseded = Known { is_superseded: true, ..other };
        assert_eq!(
            of(vec![rival]),
            [(all[3], here, Values::default()), (all[1], superseded, Values::default())]
        );
    });
}

#[test]
fn some_are_recalled_as_far_as_they_are_queued() {
    each(|store| {
        let key = rollout_of(store, 4);
        let rival = rollout_of(store, 4);
        let all = ids(store, key, 1);
        let states = [(1, State::Away), (2, State::Verifying)];
        let changes = states.map(|(at, state)| to(all[at], state, 1, 0)).into();
        store.commit(&batch(key, changes)).unwrap();
        let gone = groundswell::core::ids::AssignmentId(99);
        let recall = vec![all[3], all[1], gone, all[2], all[0]];
        let nobody = Time::from_millis(-1);
        let wanted = Want { recall: recall.clone(), until: nobody, ..want(key) };
        let page = read(store, &wanted);
        assert!(page.candidates.is_empty() && page.refreshed.is_empty());
        let asked: Vec<_> = page.recalled.iter().map(|(id, _)| *id).collect();
        assert_eq!(asked, recall, "each is answered for, in the order asked");
        let found: Vec<_> = page.recalled.into_iter().filter_map(|(_, found)| found).collect();
        assert_eq!(names(&found), ["pos-3", "pos-0"]);
        assert!(found.iter().all(|found| found.known.is_none()));
        // They are what is read of the queue, with all that is asked of those.
        let wanted = Want { rivals: vec![rival], ..wanted };
        let queue = Some(queue_of(only(store, key)));
        let mut queued = read(store, &Want { queue, ..wanted.clone() }).candidates;
        queued.reverse();
        let recalled = read(store, &wanted).recalled;
        let found: Vec<_> = recalled.into_iter().filter_map(|(_, found)| found).collect();
        assert_eq!(format!("{found:?}"), format!("{queued:?}"));
    });
}

#[test]
fn assignments_that_wait_for_a_device_are_found_by_it() {
    each(|store| {
        let (first, second, third) =
            (rollout_of(store, 2), rollout_of(store, 3), rollout_of(store, 4));
        let device = store.device_key("pos-1").unwrap().unwrap();
        assert!(store.waiting(device).unwrap().is_empty());
        let [ours, theirs, others] = [first, second, third].map(|key| ids(store, key, 1));
        let changes = [
            (first, to(ours[1], State::Away, 1, i64::MAX)),
            (second, to(theirs[1], State::Absent, 2, 5)),
            (second, to(theirs[0], State::Away, 1, 5)),
            (third, to(others[1], State::Delivering, 1, 0)),
        ];
        for (key, change) in changes {
            store.commit(&batch(key, vec![change])).unwrap();
        }
        let waiting = store.waiting(device).unwrap();
        let told: Vec<_> = waiting
            .iter()
            .map(|(key, found)| (*key, &*found.endpoint.id, found.assignment.state))
            .collect();
        assert_eq!(told, [(first, "pos-1", State::Away), (second, "pos-1", State::Absent)]);
        assert_eq!(waiting[1].1.assignment.attempt, 2);
        assert_eq!(waiting[1].1.device, device);
    });
}

#[test]
fn a_device_that_lost_its_address_is_still_read() {
    each(|store| {
        let key = rollout_of(store, 3);
        let all = ids(store, key, 1);
        let gone = Device { address: None, ..devices(2)[1].clone() };
        store.put_devices(&[&gone]).unwrap();
        let queue = Some(queue_of(only(store, key)));
        let page = read(store, &Want { queue, ..want(key) });
        let has_address: Vec<_> = page.candidates.iter().map(|found| found.has_address).collect();
        assert_eq!(has_address, [true, false, true]);
        store.commit(&batch(key, vec![to(all[1], State::Verifying, 1, 9)])).unwrap();
        assert_eq!(names(&store.active(key).unwrap()), ["pos-1"]);
    });
}
