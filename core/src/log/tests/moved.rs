//! Devices that are in another zone while their rollout goes on.

use super::*;

/// A rollout with hours, three devices of which are in UTC, until one of them moves.
fn moved(spec: &Spec, ids: Ids) -> Vec<Entry> {
    let zone = |name: &str| Zone::parse(name).unwrap();
    let listed = Listed {
        round: 1,
        wave: 0,
        zone: Some(Zone::utc()),
        state: State::Queued,
        ids: (1..=3).map(AssignmentId).collect(),
    };
    let counted = |name, queued| CohortCounts {
        wave: 0,
        zone: Some(zone(name)),
        counts: Counts { queued, ..Counts::default() },
    };
    let (epoch, zones) = (Epoch(2), ZONES.to_owned());
    let cohorts = vec![counted("Asia/Tokyo", 1), counted("UTC", 2)];
    [
        vec![Record::Spec(Box::new(spec.clone())), Record::Listed(listed)],
        vec![Record::Counted(vec![counted("UTC", 3)])],
        vec![Record::Added(vec![counted("Asia/Tokyo", 0)])],
        vec![Record::Moved(Moved { zone: zone("Asia/Tokyo"), ids })],
        vec![Record::Taken(Taken { epoch, decisions: DECISIONS, zones, cohorts })],
    ]
    .map(|records| Entry { at: NOON, records })
    .into()
}

fn with_hours() -> Spec {
    let mut spec = spec();
    spec.schedule.hours.windows = vec!["02:00-04:00".parse().unwrap()];
    spec
}

#[test]
fn a_device_that_moves_is_counted_in_its_zone_from_then_on() {
    let json = |entries: Vec<Entry>| -> Vec<String> {
        entries.iter().map(|entry| serde_json::to_string(entry).unwrap()).collect()
    };
    let two = Ids::one(AssignmentId(2));
    let (report, is_same) = replay(&json(moved(&with_hours(), two)));
    assert_eq!((report.mismatches, is_same), (vec![], true));
    for ids in [Ids::default(), Ids::one(AssignmentId(9)), (1..=2).map(AssignmentId).collect()] {
        assert!(
            replay(&json(moved(&with_hours(), ids.clone()))).0.mismatches_in_all > 0,
            "{ids:?}"
        );
    }
}

#[test]
fn it_is_told_that_a_device_moved() {
    let mut recorder = Recorder::default();
    for id in 2..=3 {
        recorder.moved(AssignmentId(id), &Zone::parse("Asia/Tokyo").unwrap());
    }
    let [Record::Moved(Moved { ids, .. })] = &recorder.take(NOON)[..] else { panic!("not one") };
    let (mut story, mut device) = (Story::default(), DeviceStory::new("till", [AssignmentId(2)]));
    for entry in &moved(&with_hours(), ids.clone())[..4] {
        story.entry(entry);
        device.entry(entry);
    }
    let (lines, _) = story.finish();
    let text = "devices: 2 moved to Asia/Tokyo, whose hours are theirs from now on";
    assert_eq!(lines.last().unwrap().text, text);
    let (lines, _) = device.finish();
    assert_eq!(lines.last().unwrap().text, "its hours are those of Asia/Tokyo from now on");
}
