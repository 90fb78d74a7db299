//! What an operator wants, with what was said and seen.

use super::{Act, Acted, Numbers, act_wished};
use crate::{
    rollout::{Progression, Spec},
    time::Time,
};

/// What an operator wants, and what was said with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish<'a> {
    /// What.
    pub act: Act,
    /// The generation that whoever wants it has seen; it is refused of another one.
    pub seen: Option<u64>,
    /// Why, if that was said; kept with what is approved.
    pub reason: Option<&'a str>,
}

impl From<Act> for Wish<'_> {
    fn from(act: Act) -> Self {
        Self { act, seen: None, reason: None }
    }
}

/// Longest reason that is taken, in characters: a sentence or two, and the number of a ticket.
pub const REASON_CHARS_MAX: usize = 500;

/// As [`super::act`], for somebody who may have seen a generation: of another one it is refused.
///
/// # Errors
/// Why it is refused, in words.
pub fn act_seen(
    progression: &Progression,
    spec: &Spec,
    numbers: &Numbers,
    wish: Wish<'_>,
    now: Time,
) -> Result<Acted, String> {
    if wish.seen.is_some_and(|seen| seen != progression.generation) {
        return Err(MOVED_ON.to_owned());
    }
    act_wished(progression, spec, numbers, wish, now).map_err(|refusal| refusal.to_string())
}

/// Why an act of somebody who has seen another generation is refused.
pub const MOVED_ON: &str =
    "it has moved on since you looked; look again, and say it again if you mean it";
