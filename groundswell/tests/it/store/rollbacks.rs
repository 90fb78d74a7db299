//! Rolling back: what devices ran before, and the rollouts that bring it back.

use groundswell::{
    core::{
        assignment::{FailReason, State},
        ids::{RolloutId, RolloutName},
        log::Record,
        rollback::{Changed, Otherwise, Survey, spec as spec_back},
        rollout::{self, Progression, Spec, Verify},
        verify::Mode,
    },
    store::{
        Batch, CohortName, Contact, Heard, NewRollout, Regression, Rollback, RolloutKey,
        SqliteStore, Store, TroubleStore as _,
    },
};

use super::{NOW, batch, cohort, devices, draft, each, ids, release, set_state, spec, to};

/// A rollout that goes on, of `count` devices that are known to run 1.0.0; no push.
fn of_devices(store: &mut SqliteStore, count: usize) -> RolloutKey {
    let key = draft(store, None, &spec());
    let all = devices(count);
    let all: Vec<_> = all.iter().map(|device| (device, 0)).collect();
    store.add_devices(key, &[cohort(0, None)], &all, NOW).unwrap();
    set_state(store, key, rollout::State::Running);
    let ids: Vec<String> = (0..count).map(|n| format!("pos-{n}")).collect();
    saw(store, ids.iter().map(|id| (id.as_str(), "1.0.0")));
    key
}

fn saw<'a>(store: &mut SqliteStore, all: impl IntoIterator<Item = (&'a str, &'a str)>) {
    let contact = |(device, version)| Contact { device, at: NOW, version: Some(version) };
    let contacts: Vec<_> = all.into_iter().map(contact).collect();
    store.saw(&contacts).unwrap();
}

/// A batch of a rollout that looks at versions.
fn seeing(key: RolloutKey, changes: Vec<groundswell::store::Change>) -> Batch {
    Batch { version: Some("2.0.0".into()), ..batch(key, changes) }
}

/// Id, what it ran, what it runs, whether it succeeded, whether it may have it.
fn changed(store: &SqliteStore, key: RolloutKey) -> Vec<String> {
    let mut all = vec![];
    let each = &mut |device: groundswell::store::Chosen<'_>, changed: Changed<'_>| {
        let Changed { before, now, has_shown_it, may_have_it } = changed;
        let (before, now) = (before.unwrap_or("?"), now.unwrap_or("?"));
        all.push(format!("{} {before} {now} {has_shown_it} {may_have_it}", device.id));
    };
    store.for_each_changed(key, each).unwrap();
    all
}

#[test]
fn what_devices_ran_is_kept_when_they_are_claimed() {
    each(|store| {
        let key = of_devices(store, 6);
        let all = ids(store, key, 1);
        let claims = all[..5].iter().map(|id| to(*id, State::Delivering, 1, 0)).collect();
        store.commit(&seeing(key, claims)).unwrap();
        // It calls with the new version before anybody asks.
        saw(store, [("pos-1", "2.0.0")]);
        let ends = [
            State::Succeeded,
            State::Succeeded,
            State::Failed(FailReason::Verification),
            State::Failed(FailReason::Unreachable),
            State::Canceled,
        ];
        let ends = all.iter().zip(ends).map(|(id, end)| to(*id, end, 1, 0)).collect();
        store.commit(&seeing(key, ends)).unwrap();
        // The last was given up before it was begun.
        store.commit(&seeing(key, vec![to(all[5], State::Canceled, 0, 0)])).unwrap();
        assert_eq!(
            changed(store, key),
            [
                "pos-0 1.0.0 2.0.0 true true",
                "pos-1 1.0.0 2.0.0 true true",
                "pos-2 1.0.0 1.0.0 false true",
                "pos-3 1.0.0 1.0.0 false false",
                "pos-4 1.0.0 1.0.0 false true",
            ]
        );
    });
}

#[test]
fn a_success_without_a_version_shows_nothing() {
    each(|store| {
        for (mode, shown) in [(Mode::Version, true), (Mode::Reachable, false), (Mode::None, false)]
        {
            let verify = Verify { mode, ..spec().verify };
            let key = draft(store, None, &Spec { verify, ..spec() });
            let all = devices(1);
            store.add_devices(key, &[cohort(0, None)], &[(&all[0], 0)], NOW).unwrap();
            set_state(store, key, rollout::State::Running);
            saw(store, [("pos-0", "1.0.0")]);
            let id = ids(store, key, 1)[0];
            let silent = |changes| Batch { version: None, ..batch(key, changes) };
            store.commit(&silent(vec![to(id, State::Delivering, 1, 0)])).unwrap();
            store.commit(&silent(vec![to(id, State::Succeeded, 1, 0)])).unwrap();
            assert_eq!(
                changed(store, key),
                [format!("pos-0 1.0.0 1.0.0 {shown} true")],
                "{mode:?}"
            );
        }
    });
}

#[test]
fn what_a_device_says_while_it_is_asked_is_kept_and_its_own_release_is_not() {
    each(|store| {
        let key = of_devices(store, 3);
        let all = ids(store, key, 1);
        saw(store, [("pos-1", "2.0.0"), ("pos-2", "2.0.0")]);
        let claims = all.iter().map(|id| to(*id, State::Delivering, 1, 0)).collect();
        store.commit(&seeing(key, claims)).unwrap();
        // What was known was wrong.
        let device = store.device_key("pos-1").unwrap().unwrap();
        let heard = vec![Heard { device, version: Some("1.5.0".into()) }];
        store.commit(&Batch { heard, ..seeing(key, vec![]) }).unwrap();
        let ends = all.iter().map(|id| to(*id, State::Succeeded, 1, 0)).collect();
        store.commit(&seeing(key, ends)).unwrap();
        assert_eq!(
            changed(store, key),
            [
                "pos-0 1.0.0 2.0.0 true true",
                "pos-1 1.5.0 2.0.0 true true",
                "pos-2 ? 2.0.0 true true"
            ]
        );
    });
}

#[test]
fn each_rollout_knows_what_its_devices_ran_before_it() {
    each(|store| {
        let first = of_devices(store, 1);
        let id = ids(store, first, 1)[0];
        store.commit(&seeing(first, vec![to(id, State::Delivering, 1, 0)])).unwrap();
        store.commit(&seeing(first, vec![to(id, State::Succeeded, 1, 0)])).unwrap();
        let second = draft(store, None, &spec());
        let cohorts: [CohortName; 1] = [cohort(0, None)];
        let all = devices(1);
        store.add_devices(second, &cohorts, &[(&all[0], 0)], NOW).unwrap();
        let id = ids(store, second, 1)[0];
        let three = |changes| Batch { version: Some("3.0.0".into()), ..batch(second, changes) };
        store.commit(&three(vec![to(id, State::Delivering, 1, 0)])).unwrap();
        store.commit(&three(vec![to(id, State::Succeeded, 1, 0)])).unwrap();
        assert_eq!(changed(store, second), ["pos-0 2.0.0 3.0.0 true true"]);
        // Once the second is rolled back, the first can be.
        saw(store, [("pos-0", "2.0.0")]);
        assert_eq!(changed(store, first), ["pos-0 1.0.0 2.0.0 true true"]);
    });
}

#[test]
fn a_later_round_does_not_hide_what_a_device_ran_before_the_first() {
    each(|store| {
        let key = of_devices(store, 1);
        let id = ids(store, key, 1)[0];
        store.commit(&seeing(key, vec![to(id, State::Delivering, 1, 0)])).unwrap();
        let failed = State::Failed(FailReason::Verification);
        store.commit(&seeing(key, vec![to(id, failed, 1, 0)])).unwrap();
        let mut progression = store.rollout(key).unwrap().unwrap().progression;
        progression.round = 2;
        store.commit(&Batch { progression: Some(progression), ..batch(key, vec![]) }).unwrap();
        super::write_round(store, key, 2, 10);
        // By hand somebody put something else there meanwhile.
        saw(store, [("pos-0", "1.7.0")]);
        let again = ids(store, key, 2)[0];
        store.commit(&seeing(key, vec![to(again, State::Delivering, 1, 0)])).unwrap();
        store.commit(&seeing(key, vec![to(again, State::Succeeded, 1, 0)])).unwrap();
        assert_eq!(changed(store, key), ["pos-0 1.0.0 2.0.0 true true"]);
    });
}

#[test]
fn a_push_keeps_nothing_of_that() {
    each(|store| {
        let key = super::rollout_of(store, 1);
        saw(store, [("pos-0", "1.0.0")]);
        let id = ids(store, key, 1)[0];
        store.commit(&seeing(key, vec![to(id, State::Delivering, 1, 0)])).unwrap();
        store.commit(&seeing(key, vec![to(id, State::Succeeded, 1, 0)])).unwrap();
        assert_eq!(changed(store, key), ["pos-0 ? 2.0.0 true true"]);
    });
}

#[test]
fn rollbacks_are_linked_and_written_once() {
    each(|store| {
        let key = of_devices(store, 2);
        let record = store.rollout(key).unwrap().unwrap();
        let name: RolloutName = record.name();
        let back = |version: &str| {
            let to =
                groundswell::core::release::Release { version: version.to_owned(), ..release() };
            let spec = spec_back(&record.spec, name.clone(), to, &Otherwise::default());
            let progression = Progression::draft(&spec);
            let id = RolloutId(uuid::Uuid::now_v7());
            NewRollout { id, spec, progression, records: vec![] }
        };
        let rollouts = vec![back("1.0.0"), back("1.1.0")];
        let survey = Survey { unknown: 1, ..Survey::default() };
        let rollback = Rollback { rollouts, survey: survey.clone(), missing: vec![] };
        let seen = (record.progression.generation, 0);
        let stale = store.roll_back(key, (seen.0 + 1, 0), &rollback, NOW).unwrap();
        assert_eq!(stale, None, "it has moved on");
        let by = store.roll_back(key, seen, &rollback, NOW).unwrap().unwrap();
        assert_eq!(store.roll_back(key, seen, &rollback, NOW).unwrap(), None, "somebody did it");
        let found = store.rollbacks(key).unwrap();
        assert_eq!(found.iter().map(|record| record.key).collect::<Vec<_>>(), by);
        assert!(found.iter().all(|record| record.spec.rolls_back.as_ref() == Some(&name)));
        let (mut last, numbers) = (None, by.iter().map(|key| key.0).collect::<Vec<_>>());
        store
            .for_each_log_row(key, &mut |row| {
                last = Some(row.body);
                Ok(())
            })
            .unwrap();
        let records: Vec<Record> = serde_json::from_str(&last.unwrap()).unwrap();
        let [Record::RolledBack(told)] = records.as_slice() else { panic!("{records:?}") };
        assert_eq!((&told.by, &told.survey), (&numbers, &survey));
    });
}

#[test]
fn a_device_that_goes_back_well_has_failed_as_often_as_before() {
    each(|store| {
        let key = of_devices(store, 1);
        let record = store.rollout(key).unwrap().unwrap();
        let device = store.device_key("pos-0").unwrap().unwrap();
        let id = ids(store, key, 1)[0];
        store.commit(&seeing(key, vec![to(id, State::Delivering, 1, 0)])).unwrap();
        store.commit(&seeing(key, vec![to(id, State::Succeeded, 1, 0)])).unwrap();
        assert_eq!(store.failing(device).unwrap().rollouts, []);
        // It is not well since.
        let regressed = vec![Regression { id, text: "HTTP 500".into() }];
        store.commit(&Batch { regressed, ..seeing(key, vec![]) }).unwrap();
        assert_eq!(store.failing(device).unwrap().rollouts, [key]);
        let to_old = groundswell::core::release::Release { version: "1.0.0".into(), ..release() };
        let back = spec_back(&record.spec, record.name(), to_old, &Otherwise::default());
        for (spec, failed) in [(&back, vec![key]), (&spec(), vec![])] {
            let next = draft(store, None, spec);
            let all = devices(1);
            store.add_devices(next, &[cohort(0, None)], &[(&all[0], 0)], NOW).unwrap();
            let id = ids(store, next, 1)[0];
            store.commit(&seeing(next, vec![to(id, State::Delivering, 1, 0)])).unwrap();
            store.commit(&seeing(next, vec![to(id, State::Succeeded, 1, 0)])).unwrap();
            assert_eq!(store.failing(device).unwrap().rollouts, failed);
        }
    });
}
