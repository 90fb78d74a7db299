//! Servers behind the external gates of a world: they answer late, wrongly, with errors, or never.

use std::time::Duration;

use groundswell::{
    core::{
        gate::external::{
            Answer, By, Check, Decimal, EVERY, External, Kind, Op, Question, Test, Ticket, Unread,
            Value, Wanted,
        },
        outcome::Fault,
        rollout::Spec,
        time::Time,
    },
    engine::fact::{Fact, Inquiry},
    store::RolloutKey,
};

use super::{Event, World, dice::Dice, trace::tell};

/// Longest that an answer takes: longer than anybody waits for it.
const LATE_MAX_MS: u64 = 40_000;

/// An answer on its way.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    key: RolloutKey,
    ticket: Ticket,
    answer: Answer,
    asked_at: Time,
    is_go: bool,
}

impl World {
    /// A server is asked. Everybody is well once it is calm.
    pub(crate) fn inquire(&mut self, key: RolloutKey, inquiry: &Inquiry) {
        let is_calm = self.agenda.now >= self.calm_at;
        let (gate, dice) = (inquiry.ticket.gate, &mut self.outside);
        let fate = if is_calm { 0 } else { dice.roll(100) };
        let (answer, is_go) = answer(&inquiry.check, fate, dice);
        let wait =
            if is_calm { 50 } else { dice.roll(*dice.clone().pick(&[50, 5_000, LATE_MAX_MS])) };
        tell!(self, "{} gate {gate} of {} is asked: {answer:?} in {wait} ms", self.stamp(), key.0);
        self.note("gate: asked");
        let Some(answer) = answer else { return self.note("gate: never answered") };
        let (ticket, asked_at) = (inquiry.ticket, self.agenda.clock());
        let reply = Reply { key, ticket, answer, asked_at, is_go };
        let no = self.drivers;
        self.agenda.put(Duration::from_millis(wait), Event::Replied(no, Box::new(reply)));
    }

    /// An answer comes to whoever asked.
    pub(crate) fn replied(&mut self, reply: Reply) {
        let Reply { key, ticket, answer, asked_at, is_go } = reply;
        let now = self.agenda.clock();
        let breaches = self.checker.answered_outside(key, ticket.gate, asked_at, is_go, now);
        self.breached(&breaches);
        self.note(if is_go { "gate: answered go" } else { "gate: answered otherwise" });
        self.facts.push(Fact::Checked(key, ticket, answer));
    }
}

/// What is answered, and whether that is go; none if nothing ever is.
fn answer(check: &Check, fate: u64, dice: &mut Dice) -> (Option<Answer>, bool) {
    let number = |number: i64| Value::Number(Decimal::from(number));
    let is_compared = !matches!(check.question, Question::Http { wanted: None, .. });
    let answer = match fate {
        0..50 if is_compared => {
            return (Some(Answer::Value(200, number(dice.roll(3) as i64))), true);
        }
        0..50 => return (Some(Answer::Status(200)), true),
        50..62 if is_compared => Answer::Value(200, number(3 + dice.roll(9) as i64)),
        50..62 => Answer::Status(204),
        62..72 => Answer::Status(503),
        72..78 => Answer::Value(200, Value::Text("0".to_owned())),
        78..84 => Answer::Unreadable(200, Unread::Kind(Kind::Null)),
        84..92 => Answer::Silent(Fault::ConnectRefused),
        _ => return (None, false),
    };
    (Some(answer), false)
}

/// Gates for a rollout that was drawn, by dice of their own: other draws stay what they are.
pub(crate) fn add_gates(spec: &mut Spec, share: u64, now: Time) {
    let seed = spec.salt.bytes().fold(now.as_millis() as u64, |seed, byte| {
        seed.wrapping_mul(31).wrapping_add(u64::from(byte))
    });
    let mut dice = Dice::new(seed);
    if spec.waves.len() < 2 || !dice.percent(share) {
        return;
    }
    if dice.percent(50) {
        spec.gates.push(External { by: By::Approval, waves: vec![] });
    }
    for _ in 0..dice.range(u64::from(spec.gates.is_empty()), 2) {
        let last = spec.waves.len() as u64 - 1;
        let waves = if dice.percent(70) { vec![] } else { vec![dice.roll(last) as usize] };
        spec.gates.push(External { by: By::Check(Box::new(check(&mut dice))), waves });
    }
}

/// Below 3 is go, wherever it stands.
fn check(dice: &mut Dice) -> Check {
    let test = Test::new(Op::Lt, Value::Number(Decimal::from(3))).unwrap();
    let url = "http://status.example/".parse().unwrap();
    let question = match dice.roll(3) {
        0 => Question::Http { url, status: 200, wanted: None },
        1 => {
            let wanted = Some(Wanted { pointer: "/level".to_owned(), test });
            Question::Http { url, status: 200, wanted }
        }
        _ => Question::Prometheus { url, query: "errors".to_owned(), test },
    };
    let is_compared = !matches!(question, Question::Http { wanted: None, .. });
    Check {
        question,
        headers: std::collections::BTreeMap::new(),
        timeout: Duration::from_secs(*dice.pick(&[1, 10])),
        every: *dice.pick(&[Duration::from_secs(1), EVERY, Duration::from_mins(10)]),
        stops: is_compared && dice.percent(15),
    }
}
