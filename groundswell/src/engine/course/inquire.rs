//! Checks of external gates: asked as it was decided, and their answers.

use groundswell_core::{
    gate::external::{Answer, External, Ticket},
    plan::Plan,
    time::Time,
};

use super::Course;
use crate::engine::fact::{Command, Inquiry};

impl Course {
    /// Has those checks asked that are due.
    pub(super) fn inquire(&mut self, now: Time, plan: &Plan, commands: &mut Vec<Command>) {
        for gate in &plan.ask {
            if let Some(check) = self.spec.gates.get(*gate).and_then(External::check) {
                let (ticket, check) = (self.checks.ask(*gate, now), check.clone());
                commands.push(Command::Check(self.key, Box::new(Inquiry { ticket, check })));
            }
        }
    }

    /// A check was answered. What was asked before the rollout moved on is not waited for.
    pub(in crate::engine) fn checked(&mut self, now: Time, ticket: Ticket, answer: Answer) {
        self.checks.answered(ticket, answer, now);
    }
}
