//! What is told of a change, and what little else a change needs.

use std::sync::Arc;

use groundswell_core::{
    assignment::{Assignment, State},
    event::Kind,
};

use crate::store::DETAIL_BYTES_MAX;

/// The events that a change of a device makes, in order.
pub(super) fn events(
    device: &Arc<str>,
    from: Assignment,
    to: Assignment,
    detail: &str,
) -> Vec<Kind> {
    // An attempt cut short by the death of its driver does not count, and is the first all the same.
    let attempt = from.attempt.max(1);
    let device = || device.clone();
    let detail = || detail.to_owned();
    match to.state {
        State::Queued | State::Delivering | State::Canceled => vec![],
        // Heard of again, or away for longer than its wave waits: told when something is done.
        State::Away | State::Absent if matches!(from.state, State::Away | State::Absent) => vec![],
        State::Away | State::Absent => {
            vec![Kind::DeviceAway { device: device(), since: to.away_since, detail: detail() }]
        }
        State::Verifying if to.in_doubt => {
            vec![Kind::AttemptUnanswered { device: device(), attempt, detail: detail() }]
        }
        State::Verifying => vec![Kind::AttemptAccepted { device: device(), attempt }],
        // Nothing was tried: the device was left as it is, or its time was up.
        state if from.state.is_waiting() => {
            vec![Kind::DeviceEnded { device: device(), state, detail: detail() }]
        }
        state @ (State::Succeeded | State::Skipped(_)) => {
            vec![Kind::AttemptSucceeded { device: device(), attempt, state }]
        }
        state @ (State::Failed(_) | State::TimedOut(_)) => {
            vec![Kind::AttemptFailed { device: device(), attempt, state, detail: detail() }]
        }
        state @ State::Retrying => vec![
            Kind::AttemptFailed { device: device(), attempt, state, detail: detail() },
            Kind::WillRetry { device: device(), attempt: to.attempt + 1, due_at: to.due_at },
        ],
    }
}

/// A detail within the bound the store has for it.
pub(super) fn shorten(mut detail: String) -> String {
    if detail.len() > DETAIL_BYTES_MAX {
        let mut end = DETAIL_BYTES_MAX;
        while !detail.is_char_boundary(end) {
            end -= 1;
        }
        detail.truncate(end);
    }
    detail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_heard_of_again_is_not_told_to_be_away() {
        let device: Arc<str> = "d".into();
        let told = |from, to| {
            let [from, to] = [from, to].map(|state| Assignment { state, ..Assignment::queued() });
            events(&device, from, to, "").len()
        };
        for (from, to, count) in [
            (State::Queued, State::Away, 1),
            (State::Queued, State::Absent, 1),
            (State::Delivering, State::Away, 1),
            (State::Away, State::Absent, 0),
            (State::Absent, State::Away, 0),
            (State::Away, State::Away, 0),
        ] {
            assert_eq!(told(from, to), count, "{from} {to}");
        }
    }
}
