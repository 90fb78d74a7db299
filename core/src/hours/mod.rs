//! When a device may be touched: daily and weekly windows, and freezes, in the device's own zone.
//!
//! Owns the text forms of windows and freezes and what they mean, also when a clock is changed.
//! Does not know what is done inside of them, nor what time it is. Types to read first: [`Hours`],
//! [`Phase`].
//!
//! The meaning:
//! - An instant is in a window of a local date if its local wall-clock time lies in `[from, to)` of
//!   that date; a window over midnight belongs to the date it begins on and ends at `to` of the next
//!   one. So a device is never touched when its wall clock shows a time outside of the window.
//! - A time that the clock shows twice counts once, the first time, unless the window holds all that
//!   the clock repeats: then both passes count, in one piece. So a window never comes twice on one
//!   date; what of it lies behind a repeated hour comes when the clock gets there.
//! - Several windows are united; no windows at all means any time.
//! - A freeze is a range of the wall clock. An instant is frozen if its local date and time lie in
//!   the range; when an hour is repeated both passes count. A freeze beats every window.
//! - All intervals are half open, and judged to the millisecond.
//!
//! Where clocks are changed this means, for a clock set forward from 02:00 to 03:00:
//!
//! | window | on that date |
//! |---|---|
//! | `02:00-04:00` | opens at the change and lasts one hour |
//! | `02:15-02:45` | does not occur |
//! | `00:00-04:00` | lasts three hours |
//!
//! and for a clock set back from 02:00 to 01:00:
//!
//! | window | on that date |
//! |---|---|
//! | `01:00-02:00` | lasts two hours in one piece |
//! | `00:00-04:00` | lasts five hours |
//! | `01:00-01:30` | half an hour, in the first pass |
//! | `00:00-01:30` | an hour and a half, in the first pass |
//! | `01:30-02:00` | half an hour, in the first pass |
//! | `01:30-05:00` | half an hour in the first pass, and again from 02:00: three and a half hours |
//! | `00:00-24:00` | lasts 25 hours |
//!
//! Each window is judged by itself: where two meet inside the repeated hour neither holds all of
//! it, and both are closed during the second pass, and only then.

mod days;
mod freeze;
mod local;
mod phase;
mod sweep;
mod wall;
mod window;
mod zone;

#[cfg(test)]
mod tests;

pub use self::{
    days::Days,
    freeze::{Edge, Freeze, FreezeError},
    phase::{ClosedBy, FREEZES_MAX, HORIZON, Hours, HoursError, Phase, WINDOWS_MAX},
    window::{TimeOfDay, Window, WindowError},
    zone::{Zone, ZoneError},
};

/// Most characters of a refused text that a message repeats; what people mistype is shorter.
const ECHO_CHARS_MAX: usize = 64;

/// A refused text as a message shows it: on one line, and cut where nobody reads on.
pub(crate) fn echo(text: &str) -> String {
    let mut shown: String =
        text.chars().take(ECHO_CHARS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(ECHO_CHARS_MAX).is_some() {
        shown.push_str("...");
    }
    shown
}
