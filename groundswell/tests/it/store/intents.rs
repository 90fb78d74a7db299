//! What others want of the driver, and what they are answered.

use std::time::Duration;

use groundswell::{
    core::rollout::{self, Act},
    store::{Answer, Batch, DeviceKey, Intent, IntentSeq, RolloutKey, SqliteStore, Store},
};

use super::{NOW, batch, each, rollout_of};

#[test]
fn intents_are_listed_in_order_until_they_are_answered() {
    each(|store| {
        let key = rollout_of(store, 1);
        assert_eq!(store.intents().unwrap(), []);
        let wanted: Vec<Intent> = Act::ALL
            .into_iter()
            .map(|act| Intent::Act { rollout: key, act, generation: None, reason: None })
            .chain([Intent::Contact { device: DeviceKey(1) }])
            .collect();
        let put: Vec<(IntentSeq, Intent)> = wanted
            .into_iter()
            .map(|intent| (store.put_intent(&intent, NOW).unwrap(), intent))
            .collect();
        assert!(put.is_sorted_by_key(|(seq, _)| *seq));
        assert_eq!(store.intents().unwrap(), put);
        for (seq, _) in &put {
            assert_eq!(store.answer_to(*seq).unwrap(), None);
        }
        let why = Answer::Refused("cannot pause a draft rollout".to_owned());
        store.answer(put[1].0, &why).unwrap();
        assert_eq!(store.answer_to(put[1].0).unwrap(), Some(why));
        let left: Vec<_> = put.iter().filter(|(seq, _)| *seq != put[1].0).cloned().collect();
        assert_eq!(store.intents().unwrap(), left);
        assert_eq!(store.answer_to(IntentSeq(99)).unwrap(), None);
    });
}

#[test]
fn an_act_and_its_answer_are_one_commit() {
    each(|store| {
        let key = rollout_of(store, 2);
        let acts: Vec<IntentSeq> = [Act::Pause, Act::Pause]
            .map(|act| {
                store
                    .put_intent(
                        &Intent::Act { rollout: key, act, generation: None, reason: None },
                        NOW,
                    )
                    .unwrap()
            })
            .to_vec();
        let mut progression = store.rollout(key).unwrap().unwrap().progression;
        progression.state = rollout::State::Paused;
        let done = Answer::Done { state: rollout::State::Paused, open: 3 };
        let already = Answer::Already("it was paused before".to_owned());
        let answers = vec![(acts[0], done.clone()), (acts[1], already.clone())];
        let both = Batch { progression: Some(progression), answers, ..batch(key, vec![]) };
        assert!(!both.is_empty());
        // Of a batch that is refused, nothing is answered.
        let missing = super::to(groundswell::core::ids::AssignmentId(99), QUEUED, 0, 0);
        assert!(store.commit(&Batch { changes: vec![missing], ..both.clone() }).is_err());
        assert_eq!(store.intents().unwrap().len(), 2);
        store.commit(&both).unwrap();
        assert_eq!(store.answer_to(acts[0]).unwrap(), Some(done));
        assert_eq!(store.answer_to(acts[1]).unwrap(), Some(already));
        assert_eq!(store.intents().unwrap(), []);
        let record = store.rollout(key).unwrap().unwrap();
        assert_eq!(record.progression.state, rollout::State::Paused);
    });
}

const QUEUED: groundswell::core::assignment::State = groundswell::core::assignment::State::Queued;

#[test]
fn a_flood_of_intents_is_read_in_parts() {
    each(|store| {
        let intent = Intent::Contact { device: DeviceKey(7) };
        for _ in 0..1_001 {
            store.put_intent(&intent, NOW).unwrap();
        }
        let first = store.intents().unwrap();
        assert_eq!(first.len(), 1_000);
        for (seq, _) in first {
            store.answer(seq, &Answer::Already(String::new())).unwrap();
        }
        assert_eq!(store.intents().unwrap().len(), 1);
    });
}

#[test]
fn answers_that_nobody_waits_for_any_more_are_forgotten() {
    each(|store| {
        let intent = Intent::Contact { device: DeviceKey(7) };
        let answer = Answer::Already(String::new());
        let asked: Vec<IntentSeq> =
            (0..1_020).map(|_| store.put_intent(&intent, NOW).unwrap()).collect();
        for seq in asked.iter().filter(|seq| **seq != asked[2]) {
            store.answer(*seq, &answer).unwrap();
        }
        let is_kept = |store: &SqliteStore, at: usize| {
            store.answer_to(asked[at]).unwrap().as_ref() == Some(&answer)
        };
        assert!((0..1_020).all(|at| is_kept(store, at) == (at != 2)), "all are of one day");

        let later = NOW + Duration::from_hours(25);
        let newest: Vec<IntentSeq> =
            (0..2).map(|_| store.put_intent(&intent, later).unwrap()).collect();
        let key = rollout_of(store, 1);
        store.answer(newest[0], &answer).unwrap();
        let answers = vec![(newest[1], answer.clone())];
        store.commit(&Batch { answers, ..batch(key, vec![]) }).unwrap();
        for seq in newest {
            assert_eq!(store.answer_to(seq).unwrap().as_ref(), Some(&answer));
        }
        // A thousand are kept, and whoever was not answered.
        assert!((0..1_020).all(|at| is_kept(store, at) == (at >= 22)));
        assert_eq!(store.intents().unwrap(), [(asked[2], intent)]);
    });
}

#[test]
fn intents_of_a_rollout_that_is_not_there_are_kept_for_the_driver_to_refuse() {
    each(|store| {
        let intent =
            Intent::Act { rollout: RolloutKey(4), act: Act::Start, generation: None, reason: None };
        let seq = store.put_intent(&intent, NOW).unwrap();
        assert_eq!(store.intents().unwrap(), [(seq, intent)]);
    });
}
