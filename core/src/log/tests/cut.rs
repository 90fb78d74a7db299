//! Logs whose beginning was pruned.

use super::*;

#[test]
fn a_log_that_is_cut_anywhere_runs_on_from_what_is_kept() {
    let told = Told::new();
    for cut in 1..told.entries.len() {
        let (before, behind) = told.entries.split_at(cut);
        let mut first = Replay::new(ZONES);
        for entry in before {
            drop(first.entry(entry));
        }
        let at = before.last().unwrap().at;
        let base = Entry { at, records: vec![first.base().unwrap()] };
        let text = serde_json::to_string(&base).unwrap();
        let mut second = Replay::new(ZONES);
        for entry in std::iter::once(&serde_json::from_str(&text).unwrap()).chain(behind) {
            assert_eq!(second.entry(entry), *entry);
        }
        assert_eq!(second.report().mismatches, [], "cut at {cut}");
        assert_eq!(second.counts(1), told.counts());
        assert_eq!(second.report().devices, 3, "cut at {cut}");
        assert_eq!(second.progression(), Some(&told.progression));
    }
}

#[test]
fn what_is_taken_back_behind_a_cut_is_known_one_by_one() {
    let listed = |state, ids: std::ops::RangeInclusive<i64>| {
        Record::Listed(Listed {
            round: 1,
            wave: 0,
            zone: None,
            state,
            ids: ids.map(AssignmentId).collect(),
        })
    };
    let skipped = State::Skipped(SkipReason::NoAddress);
    // Those that a driver was taking back when it died are taken back behind a cancel, too.
    for state in [rollout::State::Preparing, rollout::State::Canceling, rollout::State::Aborting] {
        let mut unwritten = Progression::draft(&spec());
        unwritten.state = state;
        let records = vec![
            Record::Spec(Box::new(spec())),
            Record::stands(&unwritten, NOON),
            listed(State::Queued, 1..=2),
            listed(skipped, 3..=5),
        ];
        let mut first = Replay::new(ZONES);
        drop(first.entry(&Entry { at: NOON, records }));
        let taken_back = Record::Unlisted((1..=5).map(AssignmentId).collect());
        let records = vec![first.base().unwrap(), taken_back];
        let mut second = Replay::new(ZONES);
        drop(second.entry(&Entry { at: NOON, records }));
        assert_eq!(second.counts(1), Counts::default(), "{state}");
    }
}

#[test]
fn each_device_is_kept_with_its_own_host() {
    let spec = spec();
    let ids = 1..=60_i64;
    let host = |id: i64| format!("http://shop-{}", id % 7);
    let met = |id| Met(id, format!("till-{id}"), host(id));
    let listed = Listed {
        round: 1,
        wave: 0,
        zone: None,
        state: State::Queued,
        ids: ids.clone().map(AssignmentId).collect(),
    };
    let records = vec![
        Record::Spec(Box::new(spec)),
        Record::Listed(listed),
        Record::Met(ids.clone().map(met).collect()),
    ];
    let mut replay = Replay::new(ZONES);
    drop(replay.entry(&Entry { at: NOON, records }));
    let Some(Record::Base(base)) = replay.base() else { panic!("no base") };
    assert_eq!(base.met, ids.map(met).collect::<Vec<_>>());
}

#[test]
fn what_changed_behind_a_cut_is_told_from_where_it_stood_when_that_was_said() {
    let stood = Progression::draft(&spec());
    let mut first = Replay::new(ZONES);
    let chosen = Record::Chosen(Some("digest".to_owned()));
    let records = vec![Record::Spec(Box::new(spec())), Record::stands(&stood, NOON), chosen];
    drop(first.entry(&Entry { at: NOON, records }));
    assert_eq!(first.progression().unwrap().prepared.as_deref(), Some("digest"));
    let is = Progression { generation: 1, ..stood.clone() };
    let records = vec![first.base().unwrap(), Record::stands_since(Some(&stood), &is, NOON)];
    let mut second = Replay::new(ZONES);
    drop(second.entry(&Entry { at: NOON, records }));
    assert_eq!(second.progression(), Some(&is));
}
