//! What the wall clock of a zone shows, for people.

use jiff::Timestamp;

use super::Zone;
use crate::time::Time;

impl Zone {
    /// The time of day at `at`, such as `02:00`; with the weekday and date where it is not the
    /// day it is `now` in this zone, such as `Thu 2026-11-26 02:00`.
    pub fn local_text(&self, at: Time, now: Time) -> String {
        let read = |time: Time| Timestamp::from_millisecond(time.as_millis());
        let (Ok(at_stamp), Ok(now_stamp)) = (read(at), read(now)) else { return at.to_string() };
        let local = at_stamp.to_zoned(self.rules().clone());
        let today = now_stamp.to_zoned(self.rules().clone()).date();
        if local.date() == today {
            local.strftime("%H:%M").to_string()
        } else {
            local.strftime("%a %Y-%m-%d %H:%M").to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_told_where_it_is_another_one() {
        let read = |text: &str| -> Time {
            let stamp: Timestamp = text.parse().unwrap();
            Time::from_millis(stamp.as_millisecond())
        };
        let zone = Zone::parse("America/Denver").unwrap();
        let now = read("2026-11-25T04:00:00Z"); // 21:00 on the day before
        assert_eq!(zone.local_text(read("2026-11-25T06:30:00Z"), now), "23:30");
        assert_eq!(zone.local_text(read("2026-11-25T09:00:00Z"), now), "Wed 2026-11-25 02:00");
        assert_eq!(zone.local_text(Time::MAX, now), Time::MAX.to_string());
    }
}
