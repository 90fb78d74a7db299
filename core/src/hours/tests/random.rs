//! Windows and freezes that nobody chose.

use std::sync::LazyLock;

use jiff::civil::Weekday;
use proptest::prelude::*;

use super::naive::{DAY_MINUTES, Film, Frozen, Plain, changes};
use crate::{hours::*, time::Time};

const ZONES: [&str; 8] = [
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/Denver",
    "America/Havana",
    "America/Nuuk",
    "Antarctica/Troll",
    "Australia/Lord_Howe",
    "Europe/Dublin",
];

static FILMS: LazyLock<Vec<Film>> = LazyLock::new(|| {
    let of_zone = |name: &'static str| {
        changes(name, 2025, 2027).into_iter().map(move |change| Film::shoot(name, change))
    };
    ZONES.into_iter().flat_map(of_zone).collect()
});

fn any_windows() -> impl Strategy<Value = Vec<Plain>> {
    // Every third edge is within the hours in which most clocks are changed.
    let edge = || prop_oneof![2 => 0..DAY_MINUTES, 1 => 0..240_i64];
    let days = prop_oneof![1 => Just(127_u8), 1 => 1..127_u8];
    let window = (days, edge(), edge()).prop_filter("lasts no time", |(_, from, to)| from != to);
    prop::collection::vec(window.prop_map(|(days, from, to)| plain(days, from, to)), 0..4)
}

fn plain(days: u8, from: i64, to: i64) -> Plain {
    let week = Weekday::Monday.cycle_forward().take(7);
    let days = week.filter(|day| days & (1 << day.to_monday_zero_offset()) != 0).collect();
    Plain { days, from, to }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn as_the_stopwatch_says(
        film in any::<prop::sample::Index>(),
        windows in any_windows(),
        freeze in prop::option::of((-900..900_i64, 1..900_i64)),
    ) {
        let film = film.get(&FILMS);
        let (after, _) = film.shown_at_change();
        let freeze = freeze.map(|(ahead, lasts)| {
            let from = after.day * DAY_MINUTES + after.of_day + ahead;
            let split = |at: i64| (at.div_euclid(DAY_MINUTES), at.rem_euclid(DAY_MINUTES));
            Frozen(split(from), split(from + lasts))
        });
        film.compare(&film.case(&windows, freeze), 97);
    }

    /// However far ahead an answer looks, asking again before it is over gives the same one.
    #[test]
    fn an_answer_holds_as_long_as_it_says(
        zone in prop::sample::select(&ZONES[..]),
        windows in any_windows(),
        seam in prop::option::of(0..DAY_MINUTES),
        freeze in prop::option::of((0..700_i32, 0..200_i32)),
        now_minutes in 0..5_000_000_i64,
        permille in prop::collection::vec(0..1_000_i64, 3),
    ) {
        // 2024 and the nine years after it.
        let now = Time::from_millis(1_704_067_200_000 + now_minutes * 60_000);
        let mut windows: Vec<Window> = windows.iter().map(Plain::real).collect();
        if let Some(seam) = seam {
            // Two windows that fill the day.
            let half = (seam + 720) % DAY_MINUTES;
            windows = [plain(127, seam, half), plain(127, half, seam)].map(|w| w.real()).to_vec();
        }
        let freezes = freeze.map(|(ahead, lasts)| {
            let from = jiff::civil::date(2024, 1, 1)
                + jiff::Span::new().days(now_minutes / 1_440 + i64::from(ahead));
            format!("{from}..{}", from + jiff::Span::new().days(lasts)).parse().unwrap()
        });
        let hours = Hours { windows, freezes: freezes.into_iter().collect() };
        let zone = Zone::parse(zone).unwrap();
        let phase = hours.at(&zone, now);
        let Some(change) = phase.changes_at() else { return Ok(()) };
        let lasts = change.as_millis() - now.as_millis();
        for at in permille.into_iter().map(|permille| now.as_millis() + lasts / 1_000 * permille) {
            let again = hours.at(&zone, Time::from_millis(at));
            prop_assert_eq!(again.is_open(), phase.is_open());
            prop_assert_eq!(again.changes_at(), phase.changes_at());
        }
        prop_assert_ne!(hours.at(&zone, change).is_open(), phase.is_open());
    }
}
