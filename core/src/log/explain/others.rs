//! Other rollouts, which the log has by their numbers only.

use std::collections::BTreeMap;

/// Other rollouts by their numbers, each with its release as people write it.
#[derive(Clone, Debug, Default)]
pub struct Others {
    known: BTreeMap<i64, String>,
    /// Whether whoever is told may know of no more than these.
    is_part: bool,
}

impl Others {
    /// These, for somebody who may know of no other ones.
    #[must_use]
    pub fn and_no_more(self) -> Self {
        Self { is_part: true, ..self }
    }

    /// What a rollout is called: one that is not known by its number.
    pub(super) fn name(&self, number: i64) -> String {
        match self.known.get(&number) {
            Some(release) => format!("rollout {number} ({release})"),
            None if self.is_part => "a rollout that is out of your scope".to_owned(),
            None => format!("rollout {number}"),
        }
    }

    /// Whether whoever is told may know of a part of the fleet only.
    pub(super) const fn is_part(&self) -> bool {
        self.is_part
    }
}

impl FromIterator<(i64, String)> for Others {
    fn from_iter<I: IntoIterator<Item = (i64, String)>>(all: I) -> Self {
        Self { known: all.into_iter().collect(), is_part: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        assignment::State,
        ids::AssignmentId,
        log::{Becomes, DeviceStory, Entry, Ids, Judged, Listed, Record, Story},
        release::{Digest, Release},
        rollout::Spec,
        time::Time,
    };

    #[test]
    fn the_rollout_that_has_a_device_is_told_by_its_number_and_release() {
        let (name, version) = ("pos".to_owned(), "2.0.0".to_owned());
        let release = Release { name, version, artifact: Digest([7; 32]), artifact_bytes: 12 };
        let ids = Ids::one(AssignmentId(1));
        let judged = |rollout| {
            Record::Judged(Judged {
                ids: ids.clone(),
                no_address: false,
                known: None,
                seen: vec![],
                becomes: Becomes::Busy(rollout),
            })
        };
        let (state, zone) = (State::Queued, None);
        let listed = Listed { round: 1, wave: 0, zone, state, ids: ids.clone() };
        let spec = Record::Spec(Box::new(Spec::immediate(release)));
        let entry = |records| Entry { at: Time::ZERO, records };
        let others: Others = [(7, "signage 3.1.0".to_owned())].into_iter().collect();
        let mut of_part = Story::beside(others.clone().and_no_more());
        let mut story = Story::beside(others.clone());
        let mut device = DeviceStory::new("till", [AssignmentId(1)]).beside(others);
        for records in [vec![spec, Record::Listed(listed)], vec![judged(7), judged(8)]] {
            story.entry(&entry(records.clone()));
            of_part.entry(&entry(records.clone()));
            device.entry(&entry(records));
        }
        let (lines, _) = story.finish();
        let text =
            "devices: 1 had to wait for rollout 7 (signage 3.1.0), 1 had to wait for rollout 8";
        assert_eq!(lines.last().unwrap().text, text);
        let text = "devices: 1 had to wait for rollout 7 (signage 3.1.0), 1 had to wait for a rollout \
                    that is out of your scope";
        assert_eq!(of_part.finish().0.last().unwrap().text, text);
        let told: Vec<String> = device.finish().0.into_iter().map(|line| line.text).collect();
        let busy = "its turn; busy with rollout 7 (signage 3.1.0)";
        assert_eq!(told[1..], [busy, "its turn; busy with rollout 8"]);
    }
}
