//! Who was asked, and what was answered: what a driver keeps in memory while a wave waits.
//!
//! It is forgotten with the generation of the rollout, and with the driver: what was answered in
//! another one is asked anew.

use serde::{Deserialize, Serialize};

use super::Answer;
use crate::time::Time;

/// A check that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Which one, by its place in the spec.
    #[serde(rename = "g")]
    pub gate: usize,
    /// Since when a question is open; none if none is.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub open_since: Option<Time>,
    /// What was answered last.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Reply>,
}

/// An answer, and when it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// When it was asked for.
    #[serde(rename = "a")]
    pub asked_at: Time,
    /// When it came.
    #[serde(rename = "t")]
    pub at: Time,
    /// What it was.
    #[serde(rename = "s")]
    pub answer: Answer,
}

/// A question that is open; no other one has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Which check, by its place in the spec.
    pub gate: usize,
    number: u64,
}

/// What a driver knows of the checks of a rollout.
#[derive(Debug, Default)]
pub struct Notebook {
    generation: u64,
    /// Questions so far, of all generations.
    number: u64,
    asked: Vec<(Asked, u64)>,
}

impl Notebook {
    /// The rollout is of this generation: what was asked and answered in another one is over.
    pub fn keep_to(&mut self, generation: u64) {
        if generation != self.generation {
            self.generation = generation;
            if !bites!(StaleAnswerOpens) {
                self.asked.clear();
            }
        }
    }

    /// What a decision sees, in the order of the spec.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.iter().map(|(asked, _)| asked.clone()).collect()
    }

    /// A check is asked. A question that was open is over.
    pub fn ask(&mut self, gate: usize, now: Time) -> Ticket {
        self.number += 1;
        let place = self.asked.binary_search_by_key(&gate, |(asked, _)| asked.gate);
        let at = place.unwrap_or_else(|at| {
            self.asked.insert(at, (Asked { gate, open_since: None, reply: None }, 0));
            at
        });
        let (asked, number) = &mut self.asked[at];
        asked.open_since = Some(now);
        *number = self.number;
        Ticket { gate, number: self.number }
    }

    /// A question was answered; `false` if nobody waits for that any more.
    pub fn answered(&mut self, ticket: Ticket, answer: Answer, now: Time) -> bool {
        let open = self.asked.iter_mut().find(|(asked, _)| asked.gate == ticket.gate);
        let Some((asked, number)) = open else { return false };
        let Some(asked_at) = asked.open_since.filter(|_| *number == ticket.number) else {
            return false;
        };
        asked.open_since = None;
        asked.reply = Some(Reply { asked_at, at: now, answer });
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Time = Time::from_millis(1_000_000);

    #[test]
    fn only_the_answer_to_the_open_question_counts() {
        let mut book = Notebook::default();
        let (first, later) = (book.ask(3, NOW), NOW + Duration::from_secs(2));
        let second = book.ask(3, later);
        assert!(!book.answered(first, Answer::Status(200), later), "asked again since");
        assert_eq!(book.asked()[0].open_since, Some(later));
        assert!(book.answered(second, Answer::Status(503), later));
        assert!(!book.answered(second, Answer::Status(200), later), "answered once");
        let reply = Reply { asked_at: later, at: later, answer: Answer::Status(503) };
        assert_eq!(book.asked(), [Asked { gate: 3, open_since: None, reply: Some(reply) }]);
    }

    #[test]
    fn what_was_answered_in_another_generation_is_forgotten() {
        let mut book = Notebook::default();
        book.keep_to(7);
        let (done, open) = (book.ask(1, NOW), book.ask(0, NOW));
        book.answered(done, Answer::Status(200), NOW);
        book.keep_to(7);
        assert_eq!(book.asked().iter().map(|asked| asked.gate).collect::<Vec<_>>(), [0, 1]);
        book.keep_to(8);
        assert!(book.asked().is_empty());
        assert!(!book.answered(open, Answer::Status(200), NOW));
        let again = book.ask(0, NOW);
        assert!(!book.answered(open, Answer::Status(200), NOW), "another question is open");
        assert!(book.answered(again, Answer::Status(200), NOW));
    }
}
