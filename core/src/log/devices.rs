//! Devices in a replay: judged again by what was known of them, and what happened to them applied
//! again.

use std::time::Duration;

use super::{
    Becomes, Happened, Judged, Regressed,
    difference::{self, Differences},
    replay::Replay,
};
use crate::{
    admit::{Judgment, Known, consider},
    assignment::{self, Fact, State},
    health::{Finding, Health, in_words},
    time::Time,
};

impl Replay {
    pub(super) fn judged(&mut self, judged: &Judged) -> Judged {
        let Some(spec) = self.spec.clone().filter(|_| self.is_same_decisions) else {
            self.report.followed += judged.ids.len();
            return judged.clone();
        };
        self.report.judged += judged.ids.len();
        let mut becomes = judged.becomes;
        for (at, id) in judged.ids.iter().enumerate() {
            let known = judged.known.as_ref().map(|known| Known {
                last_seen: judged
                    .seen
                    .get(at)
                    .copied()
                    .flatten()
                    .map(|ago| Time::from_millis(self.now.as_millis().saturating_sub(ago))),
                check_in: known.check_in.map(Duration::from_secs),
                version: known.version.clone(),
                is_superseded: known.superseded,
                failed_in_row: known.failed,
            });
            let is_tried = self.book.get(id).is_some_and(|row| row.attempt > 0);
            let judgment = consider(!judged.no_address, known.as_ref(), is_tried, &spec, self.now);
            let again = match (judgment, judged.becomes) {
                (Judgment::Skip(reason), _) => Becomes::Skipped(reason),
                (Judgment::Wait { .. }, _) => Becomes::Away,
                // Places and devices that are busy are looked at when it is claimed.
                (
                    Judgment::Go,
                    goes @ (Becomes::Claimed | Becomes::Host | Becomes::Domain | Becomes::Busy(_)),
                ) => goes,
                (Judgment::Go, _) => Becomes::Claimed,
            };
            if again != judged.becomes {
                becomes = again;
                let mut fields = Differences::follows();
                fields.field("its turn", (&judged.becomes, &again), |it| difference::becomes(*it));
                self.differs(fields.sentence(&format!("assignment {id}")));
            }
        }
        Judged { becomes, ..judged.clone() }
    }

    /// Devices that were updated are not well since: what they said is judged again.
    pub(super) fn regressed(&mut self, regressed: &Regressed) {
        let Regressed { said, times, ids, .. } = regressed;
        for id in self.book.regressed(regressed) {
            self.mismatch(format!("assignment {id} regressed, and was not updated"));
        }
        let Some(spec) = self.spec.as_ref().filter(|_| self.is_same_decisions) else {
            self.report.followed += ids.len();
            return;
        };
        self.report.facts += ids.len();
        let judge =
            |health: &Health| health.judge(said, &spec.release.version, times.saturating_sub(1));
        let finding = spec.health.as_ref().map(judge);
        if finding != Some(Finding::Regressed(*times)) {
            let words = in_words(said, *times);
            self.mismatch(format!("devices are recorded as regressed: {words}; now they are not"));
        }
    }

    pub(super) fn happened(&mut self, happened: &Happened) -> Happened {
        let Some(spec) = self.spec.clone().filter(|_| self.is_same_decisions) else {
            self.report.followed += happened.ids.len();
            self.book.happened(happened, self.now);
            return happened.clone();
        };
        self.report.facts += happened.ids.len();
        let mut again = happened.clone();
        for id in happened.ids.iter() {
            let Some(from) = self.book.get(id) else {
                let fact = difference::fact(&again.fact);
                self.mismatch(format!("assignment {id}: {fact} is recorded, and it is not there"));
                continue;
            };
            if happened.fact == Fact::Claimed {
                self.hold_claim(id, &from);
            }
            if happened.fact == Fact::Claimed && happened.to == State::Delivering {
                let open = self.book.open_on_host(id).unwrap_or(0);
                if open >= spec.limits.max_per_host {
                    self.mismatch(format!("assignment {id} was claimed; its host had {open} open"));
                }
            }
            let dice = assignment::dice(id, from.attempt);
            let to = match assignment::apply(&from, &happened.fact, &spec, self.now, dice) {
                Ok(transition) => transition.to.no_sooner_than(happened.floor(self.now)),
                Err(illegal) => {
                    self.mismatch(format!("assignment {id}: {illegal}"));
                    from
                }
            };
            if to != happened.assignment(self.now) {
                let fields = difference::assignment(&happened.assignment(self.now), &to);
                let fact = difference::fact(&happened.fact);
                let what = format!("assignment {id}, {}, after {fact}", from.state);
                self.differs(fields.sentence(&what));
                let ids = again.ids;
                let floor = happened.floor(self.now);
                again = Happened::to_one(id, happened.fact.clone(), &to, floor, self.now);
                again.ids = ids;
            }
            self.book.set(id, happened.assignment(self.now));
        }
        again
    }
}
