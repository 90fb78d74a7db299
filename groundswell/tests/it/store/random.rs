//! Whatever happens in whatever order: what is counted in step is what is there.

use std::collections::{BTreeMap, BTreeSet};

use groundswell::{
    core::{assignment::State, ids::AssignmentId, rollout, snapshot::Counts},
    store::{Assign, Batch, CohortName, DeviceKey, RolloutKey, SqliteStore, Store},
};
use proptest::{prelude::*, sample::Index};

use super::{
    NOW, batch, cohort, devices, draft, open_round, spec, sum, to, waiting_of, write_round,
};

/// Devices that take part.
const FLEET: usize = 12;

#[derive(Clone, Debug)]
enum Op {
    /// Devices, each with the place of its cohort; those that the round has are left out.
    Assign(Vec<(usize, usize)>),
    /// Assignments go to these states; one may come more than once.
    Commit(Vec<(Index, State)>),
    OpenRound(Option<u32>),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let state = proptest::sample::select(&State::ALL[..]);
    let op = prop_oneof![
        2 => prop::collection::vec((0..FLEET, 0..4_usize), 1..6).prop_map(Op::Assign),
        6 => prop::collection::vec((any::<Index>(), state), 1..8).prop_map(Op::Commit),
        1 => prop::option::of(0..3_u32).prop_map(Op::OpenRound),
    ];
    prop::collection::vec(op, 1..20)
}

fn names() -> [CohortName; 4] {
    [cohort(0, None), cohort(0, Some("Asia/Tokyo")), cohort(1, None), cohort(1, Some("UTC"))]
}

/// What should be there.
#[derive(Default)]
struct Model {
    round: u32,
    /// The round's assignments: of which device, in which wave and zone, where they stand.
    rows: BTreeMap<AssignmentId, (usize, (usize, String), State)>,
    /// Those of earlier rounds that ended well.
    well: Counts,
    /// Devices that any round had.
    ever: BTreeSet<usize>,
}

fn name_of(cohort: &CohortName) -> (usize, String) {
    (cohort.wave, cohort.zone.as_ref().map_or(String::new(), |zone| zone.name().to_owned()))
}

impl Model {
    fn counts(&self) -> BTreeMap<(usize, String), Counts> {
        let mut counts: BTreeMap<_, Counts> = BTreeMap::new();
        for (_, cohort, state) in self.rows.values() {
            *counts.entry(cohort.clone()).or_default().of_mut(*state) += 1;
        }
        counts
    }

    /// Rows that the store has made since.
    fn take_in(&mut self, store: &SqliteStore, key: RolloutKey) {
        for cohort in store.cohorts(key, self.round).unwrap() {
            let name = CohortName { wave: cohort.wave, zone: cohort.zone };
            for found in waiting_of(store, key, cohort.key) {
                let id = found.endpoint.id.strip_prefix("pos-").unwrap();
                let row = (id.parse().unwrap(), name_of(&name), found.assignment.state);
                self.rows.entry(found.id).or_insert(row);
            }
        }
    }

    fn assign(
        &mut self,
        store: &mut SqliteStore,
        key: RolloutKey,
        keys: &[DeviceKey],
        given: &[(usize, usize)],
    ) {
        let names = names();
        let state = State::Queued;
        let assigns: Vec<_> = given
            .iter()
            .map(|(device, cohort)| Assign { device: keys[*device], cohort: *cohort, state })
            .collect();
        // What an earlier round had does not join again.
        self.ever.extend(self.rows.values().map(|(device, ..)| *device));
        let mut there = self.ever.clone();
        let mut expected: BTreeMap<_, u64> = BTreeMap::new();
        for (device, cohort) in given {
            if there.insert(*device) {
                *expected.entry(name_of(&names[*cohort])).or_default() += 1;
            }
        }
        let added = store.assign(key, self.round, &names, &assigns, false, NOW).unwrap();
        let added: BTreeMap<_, u64> = added
            .into_iter()
            .map(|cohort| {
                let name = CohortName { wave: cohort.wave, zone: cohort.zone };
                assert_eq!(cohort.counts.total(), cohort.counts.queued);
                (name_of(&name), cohort.counts.queued)
            })
            .collect();
        assert_eq!(added, expected);
        self.take_in(store, key);
    }

    fn commit(&mut self, store: &mut SqliteStore, key: RolloutKey, given: &[(Index, State)]) {
        if self.rows.is_empty() {
            return;
        }
        let ids: Vec<_> = self.rows.keys().copied().collect();
        let mut changes = vec![];
        for (at, state) in given {
            let id = *at.get(&ids);
            if let Some(row) = self.rows.get_mut(&id) {
                row.2 = *state;
            }
            changes.push(to(id, *state, 1, 5));
        }
        let counts = self.counts();
        let cohorts = store.cohorts(key, self.round).unwrap();
        let cohorts = cohorts
            .into_iter()
            .map(|record| {
                let name = name_of(&CohortName { wave: record.wave, zone: record.zone });
                (record.key, counts.get(&name).copied().unwrap_or_default())
            })
            .collect();
        store.commit(&Batch { cohorts, ..batch(key, changes) }).unwrap();
    }

    fn open_round(&mut self, store: &mut SqliteStore, key: RolloutKey, canaries: Option<u32>) {
        let again: Vec<(usize, (usize, String))> = self
            .rows
            .values()
            .filter(|(_, _, state)| state.is_failure() || *state == State::Canceled)
            .enumerate()
            .map(|(at, (device, (wave, zone), _))| {
                let wave = match canaries {
                    None => *wave,
                    Some(0) => 0,
                    Some(first) => usize::from(at >= first as usize),
                };
                (*device, (wave, zone.clone()))
            })
            .collect();
        match canaries {
            Some(canaries) => {
                assert_eq!(open_round(store, key, canaries), again.len() as u64);
            }
            None => {
                write_round(store, key, self.round + 1, 2);
            }
        }
        for (_, _, state) in self.rows.values() {
            if matches!(state, State::Succeeded | State::Skipped(_)) {
                *self.well.of_mut(*state) += 1;
            }
        }
        // Nobody may be active in two rounds.
        let left: Vec<_> = self
            .rows
            .iter()
            .filter(|(_, (_, _, state))| state.is_active())
            .map(|(id, _)| to(*id, State::Queued, 1, 0))
            .collect();
        store.commit(&batch(key, left)).unwrap();
        self.ever.extend(self.rows.values().map(|(device, ..)| *device));
        self.round += 1;
        self.rows.clear();
        let mut progression = store.rollout(key).unwrap().unwrap().progression;
        progression.round = self.round;
        let progression = Some(progression);
        store.commit(&Batch { progression, ..batch(key, vec![]) }).unwrap();
        self.take_in(store, key);
        let rows: Vec<_> =
            self.rows.values().map(|(device, cohort, _)| (*device, cohort.clone())).collect();
        let sorted = |mut rows: Vec<(usize, (usize, String))>| {
            rows.sort();
            rows
        };
        assert_eq!(sorted(rows), sorted(again));
    }

    fn check(&self, store: &SqliteStore, key: RolloutKey) {
        let cohorts = store.cohorts(key, self.round).unwrap();
        assert_eq!(sum(&cohorts), store.count(key, self.round).unwrap());
        let counted: BTreeMap<_, Counts> = cohorts
            .into_iter()
            .map(|record| {
                let name = CohortName { wave: record.wave, zone: record.zone };
                (name_of(&name), record.counts)
            })
            .filter(|(_, counts)| counts.total() > 0)
            .collect();
        assert_eq!(counted, self.counts());
        assert_eq!(store.counts_before(key, self.round).unwrap(), self.well);
        let active: Vec<_> = store.active(key).unwrap().into_iter().map(|found| found.id).collect();
        let expected = self.rows.iter().filter(|(_, row)| row.2.is_active());
        assert_eq!(active, expected.map(|(id, _)| *id).collect::<Vec<_>>());
        let mut unfinished = 0;
        store.for_each_unfinished(key, self.round, &mut |_| unfinished += 1).unwrap();
        let is_unfinished = |state| !matches!(state, State::Succeeded | State::Skipped(_));
        let expected = self.rows.values().filter(|row| is_unfinished(row.2)).count();
        assert_eq!(unfinished, expected);
    }
}

fn play(ops: &[Op]) {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let mut store = SqliteStore::open(&dir.path().join("state.db")).unwrap();
    let fleet = devices(FLEET);
    store.put_devices(&fleet.iter().collect::<Vec<_>>()).unwrap();
    let keys: Vec<_> =
        fleet.iter().map(|device| store.device_key(&device.id).unwrap().unwrap()).collect();
    let key = draft(&mut store, None, &spec());
    super::set_state(&mut store, key, rollout::State::Running);
    let mut model = Model { round: 1, ..Model::default() };
    for op in ops {
        match op {
            Op::Assign(given) => model.assign(&mut store, key, &keys, given),
            Op::Commit(given) => model.commit(&mut store, key, given),
            Op::OpenRound(canaries) => model.open_round(&mut store, key, *canaries),
        }
        model.check(&store, key);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn counts_are_in_step_after_whatever_happened(ops in ops()) {
        play(&ops);
    }
}
