//! What was said outside of a rollout, for the books: the answers to its checks, and approvals.

use std::collections::BTreeMap;

use crate::{
    gate::external::{By, External},
    time::Time,
};

/// What was said last, by the places of gates in the spec, and of waves.
#[derive(Debug, Default)]
pub(super) struct Outside {
    /// When it was asked for, and whether it was go.
    answers: BTreeMap<usize, (Time, bool)>,
    approvals: BTreeMap<usize, Time>,
}

impl Outside {
    /// An answer that was asked for earlier than another one says nothing any more, unless that one
    /// is of a clock that was set back since.
    pub(super) fn answer(&mut self, gate: usize, asked_at: Time, is_go: bool, now: Time) {
        let known = self.answers.entry(gate).or_insert((asked_at, is_go));
        if known.0 < asked_at || known.0 > now {
            *known = (asked_at, is_go);
        } else if known.0 == asked_at {
            known.1 |= is_go;
        }
    }

    pub(super) fn approve(&mut self, wave: usize, now: Time) {
        self.approvals.insert(wave, now);
    }

    /// Why a wave that had soaked at a time should not be let go: none of those gates that are
    /// behind it may be silent, old or against it.
    pub(super) fn doubt(
        &self,
        gates: &[External],
        wave: usize,
        of: usize,
        soaked_at: Option<Time>,
    ) -> Option<String> {
        if wave + 1 >= of {
            return None;
        }
        let own = |gate: &&External| gate.waves.is_empty() || gate.waves.contains(&wave);
        let count = gates.iter().filter(own).count();
        let Some(soaked_at) = soaked_at else {
            return (count > 0).then(|| "the wave had not ended".to_owned());
        };
        for (place, gate) in gates.iter().enumerate().filter(|(_, gate)| own(gate)) {
            let number = place + 1;
            match (&gate.by, self.answers.get(&place), self.approvals.get(&wave)) {
                (By::Approval, _, Some(at)) if *at >= soaked_at => {}
                (By::Approval, ..) => return Some("nobody approved after its soak".to_owned()),
                (By::Check(_), Some((asked_at, _)), _) if *asked_at < soaked_at => {
                    return Some(format!("gate {number} was asked before its soak was over"));
                }
                (By::Check(_), Some((_, true)), _) => {}
                (By::Check(_), Some((_, false)), _) => {
                    return Some(format!("gate {number} did not answer go"));
                }
                (By::Check(_), None, _) => return Some(format!("gate {number} never answered")),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::gate::external::{Check, EVERY, Question, TIMEOUT};

    const SOAKED: Time = Time::from_millis(1_000_000);

    fn gates() -> [External; 2] {
        let url = "http://status.example/".parse().unwrap();
        let question = Question::Http { url, status: 200, wanted: None };
        let headers = BTreeMap::new();
        let check = Check { question, headers, timeout: TIMEOUT, every: EVERY, stops: false };
        [By::Check(Box::new(check)), By::Approval].map(|by| External { by, waves: vec![] })
    }

    #[test]
    fn each_gate_has_to_have_said_go_after_the_soak() {
        let (early, late) = (SOAKED - Duration::from_millis(1), SOAKED + Duration::from_secs(9));
        let doubt = |answers: &[(Time, bool)], approved: Option<Time>| {
            let mut outside = Outside::default();
            for (asked_at, is_go) in answers {
                outside.answer(0, *asked_at, *is_go, late);
            }
            if let Some(at) = approved {
                outside.approve(0, at);
            }
            outside.doubt(&gates(), 0, 2, Some(SOAKED)).unwrap_or_default()
        };
        let approved = Some(SOAKED);
        for (answers, approved, why) in [
            (&[(SOAKED, true)][..], approved, ""),
            (&[(early, true)], approved, "gate 1 was asked before its soak was over"),
            (&[(SOAKED, false)], approved, "gate 1 did not answer go"),
            (&[], approved, "gate 1 never answered"),
            (&[(SOAKED, true)], None, "nobody approved after its soak"),
            (&[(SOAKED, true)], Some(early), "nobody approved after its soak"),
            // What was asked last counts, whenever it is told.
            (&[(SOAKED, true), (late, false)], approved, "gate 1 did not answer go"),
            (&[(late, true), (SOAKED, false)], approved, ""),
            // One of a clock that was set back since does not.
            (
                &[(late + Duration::from_secs(1), true), (SOAKED, false)],
                approved,
                "gate 1 did not answer go",
            ),
        ] {
            assert_eq!(doubt(answers, approved), why, "{answers:?} {approved:?}");
        }
    }

    #[test]
    fn the_last_wave_and_one_that_has_not_ended() {
        let outside = Outside::default();
        assert_eq!(outside.doubt(&gates(), 1, 2, Some(SOAKED)), None);
        assert_eq!(outside.doubt(&[], 0, 2, None), None);
        assert!(outside.doubt(&gates(), 0, 2, None).is_some());
    }
}
