//! Who types a command, for the audit log of a state directory.

use groundswell_core::time::Time;

use crate::{
    access::{Change, this_user},
    operate::State,
    store::Attribution,
};

/// Where changes by the command line come from.
pub(super) const FROM: &str = "command line";

/// Says in the audit log who makes the next change to a state directory.
pub(super) fn attribute(state: &mut State, action: &str, subject: String, now: Time) {
    let change = Change {
        at: now,
        who: this_user(),
        from: FROM.to_owned(),
        action: action.to_owned(),
        subject,
        before: None,
        after: None,
        request: None,
    };
    state.attribute(Attribution { change, created: None });
}
