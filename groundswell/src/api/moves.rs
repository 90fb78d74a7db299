//! How often devices move: each new address is a change of the inventory, with an entry in the audit log
//! that stays.

use std::{collections::HashMap, time::Duration};

use groundswell_core::time::Time;
use parking_lot::Mutex;

/// New addresses of a device at once; they come back one in [`MOVE_EVERY`]: ten an hour. One that is
/// given another address by each network that it meets on its way stays below.
const MOVES_MAX: u32 = 10;
const MOVE_EVERY: Duration = Duration::from_mins(6);

/// Devices that are remembered: those that moved within the last hour. Beyond, nobody else moves.
const DEVICES_MAX: usize = 100_000;

/// Which devices moved lately.
#[derive(Debug, Default)]
pub(super) struct Moves(Mutex<HashMap<Box<str>, Time>>);

impl Moves {
    /// Counts that a device moves, if it may.
    ///
    /// # Errors
    /// How long it has to wait.
    pub(super) fn note(&self, id: &str, now: Time) -> Result<(), Duration> {
        let mut devices = self.0.lock();
        let whole_at = devices.get(id).copied().unwrap_or(now).max(now);
        let (owed, allowed) = (whole_at.since(now), MOVE_EVERY * (MOVES_MAX - 1));
        if owed > allowed {
            return Err(owed.saturating_sub(allowed));
        }
        if devices.len() >= DEVICES_MAX && !devices.contains_key(id) {
            devices.retain(|_, whole_at| *whole_at > now);
            if devices.len() >= DEVICES_MAX {
                return Err(MOVE_EVERY);
            }
        }
        devices.insert(id.into(), whole_at + MOVE_EVERY);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_moves_so_often_and_again_later() {
        let (moves, now) = (Moves::default(), Time::from_millis(1_000));
        for _ in 0..MOVES_MAX {
            assert_eq!(moves.note("till-1", now), Ok(()));
        }
        assert_eq!(moves.note("till-1", now), Err(MOVE_EVERY));
        assert_eq!(moves.note("till-2", now), Ok(()), "another one");
        let later = now + MOVE_EVERY;
        assert_eq!(moves.note("till-1", later), Ok(()));
        assert_eq!(moves.note("till-1", later), Err(MOVE_EVERY));
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let (moves, now) = (Moves::default(), Time::from_millis(1_000));
        for device in 0..DEVICES_MAX {
            assert_eq!(moves.note(&device.to_string(), now), Ok(()));
        }
        assert!(moves.note("one more", now).is_err());
        assert_eq!(moves.note("7", now), Ok(()));
        assert_eq!(moves.note("one more", now + MOVE_EVERY), Ok(()), "the others are forgotten");
    }
}
