//! What external gates say of a wave that has soaked: who is asked, when again, and what is made of
//! the answers.
//!
//! An answer counts if it was asked for after the soak ended, and not for longer than it takes to
//! ask again: while one gate is waited for, the others are asked on.

use super::Plan;
use crate::{
    gate::{
        Opinion, Ruling,
        external::{Approval, Asked, Besides, By, Check, Evidence, GRACE, Reply},
    },
    rollout::Spec,
    snapshot::Snapshot,
    time::Time,
    waiting::WaitingOn,
};

/// A wave that its own gate lets pass.
pub(super) struct Soaked<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) spec: &'a Spec,
    /// Counted from 0.
    pub(super) wave: usize,
    /// When its soak ended.
    pub(super) until: Time,
    pub(super) now: Time,
}

/// What is ruled, if all have said go or one has said stop. Otherwise who is to be asked, what is
/// waited for and until when is put into `plan`.
pub(super) fn rule(soaked: &Soaked<'_>, plan: &mut Plan) -> Option<(Ruling, Besides)> {
    let mut evidence = vec![];
    let (mut stop, mut waits) = (None, false);
    for (gate, external) in soaked.spec.external(soaked.wave) {
        let said = match &external.by {
            By::Approval => soaked.approval(gate, plan),
            By::Check(check) => soaked.check(gate, check, plan),
        };
        match said {
            Some((Opinion::NotYet, _)) | None => waits = true,
            Some((Opinion::Go, said)) => evidence.push(said),
            Some((Opinion::Stop, said)) => {
                stop = stop.or(Some(gate));
                evidence.push(said);
            }
        }
    }
    let count = evidence.len() as u8;
    let ruled = match stop {
        Some(gate) => Some((Ruling::Stop, Besides::Stop(gate as u8 + 1))),
        None if waits => None,
        None if count == 0 => Some((Ruling::Go, Besides::Nothing)),
        None => Some((Ruling::Go, Besides::Go(count))),
    };
    if ruled.is_some() {
        plan.evidence = evidence;
    } else if soaked.snapshot.is_stopping {
        plan.ask.clear();
    }
    ruled
}

impl Soaked<'_> {
    fn of(&self) -> usize {
        self.snapshot.progression.waves.len()
    }

    fn approval(&self, gate: usize, plan: &mut Plan) -> Option<(Opinion, Evidence)> {
        let approval = self.snapshot.progression.waves[self.wave].approved.as_ref();
        if let Some(Approval { at, .. }) = approval.filter(|approval| approval.at >= self.until) {
            let at = *at;
            return Some((Opinion::Go, Evidence { gate, at, answer: None }));
        }
        let (wave, of) = (self.wave, self.of());
        plan.waiting_on.push(WaitingOn::Approval { wave, of });
        None
    }

    fn check(&self, gate: usize, check: &Check, plan: &mut Plan) -> Option<(Opinion, Evidence)> {
        let asked = self.snapshot.checks.iter().find(|asked| asked.gate == gate);
        let reply = asked.and_then(|asked| asked.reply.as_ref()).filter(|r| self.counts(check, r));
        let again_at = self.ask(gate, check, asked, reply, plan);
        let said = reply.map(|Reply { at, answer, .. }| {
            let evidence = Evidence { gate, at: *at, answer: Some(answer.clone()) };
            (check.judge(answer), evidence)
        });
        if said.as_ref().is_none_or(|(opinion, _)| *opinion == Opinion::NotYet) {
            plan.waiting_on.push(WaitingOn::Check {
                wave: self.wave,
                of: self.of(),
                check: check.to_string(),
                wants: check.wants(),
                answer: reply.map(|reply| reply.answer.clone()),
                again_at,
            });
        }
        said
    }

    /// Whether an answer says anything of now.
    fn counts(&self, check: &Check, reply: &Reply) -> bool {
        if bites!(StaleAnswerOpens) {
            return true;
        }
        // One that is of later than now is of a clock that was set back since.
        let is_of_later = reply.asked_at > self.now || reply.at > self.now;
        reply.asked_at >= self.until && !is_of_later && self.now <= check.fresh_until(reply.at)
    }

    /// Has a check asked if it is its time, or says when that is.
    fn ask(
        &self,
        gate: usize,
        check: &Check,
        asked: Option<&Asked>,
        reply: Option<&Reply>,
        plan: &mut Plan,
    ) -> Option<Time> {
        let open_since = asked.and_then(|asked| asked.open_since).filter(|at| *at <= self.now);
        let given_up_at = open_since.map(|since| since + check.timeout + GRACE);
        if let Some(at) = given_up_at.filter(|at| *at > self.now) {
            plan.wake_by(at);
            return None;
        }
        let due_at = reply.map(|reply| reply.at + check.every);
        let again_at = due_at.filter(|at| *at > self.now);
        if let Some(at) = again_at {
            plan.wake_by(at);
        } else {
            plan.ask.push(gate);
        }
        again_at
    }
}
