//! What there is to do: devices at sites, releases, and rollouts that get in each other's way.

use std::fmt::{self, Write as _};

use groundswell::{clock::Clock, core::time::Time};
use jiff::{Timestamp, tz::TimeZone};

use crate::dice::Dice;

/// Sites that are there from the beginning; one more comes later.
pub(crate) const SITES: u32 = 8;
const DEVICES_PER_SITE: u32 = 40;
/// Devices of the last site come in so many parts.
pub(crate) const LATE_PARTS: u32 = 3;

const ZONES: [&str; 3] = ["UTC", "Asia/Kolkata", "America/St_Johns"];

/// What the fleet does wrong, all the time.
pub(crate) const FAULTS: [&str; 10] = [
    "flaky:2:0.05",
    "status:503:0.04",
    "status:403:0.01",
    "reset:0.03",
    "hang:0.01",
    "slow:0.01",
    "truncated:0.01",
    "malformed:0.01",
    "twice:0.03",
    "wrong-version:0.01",
];

/// The beginning of the addresses of a site.
pub(crate) fn network_of(site: u32) -> String {
    format!("127.{}.", 20 + site)
}

fn inventory(site: u32, numbers: std::ops::Range<u32>, port: u16) -> String {
    let mut csv = String::new();
    for number in numbers {
        // Site 0 is behind a gateway.
        let last = if site == 0 { 1 } else { number + 1 };
        let (network, zone) = (network_of(site), ZONES[number as usize % ZONES.len()]);
        let kind = if number.is_multiple_of(4) { "kiosk" } else { "lane" };
        let _ = writeln!(
            csv,
            "s{site}-{number},http://{network}0.{last}:{port},1.0.0,{zone},{site},{kind}"
        );
    }
    csv
}

const HEAD: &str = "id,address,version,time_zone,tag.site,tag.kind\n";

/// The devices that are there from the beginning, as CSV.
pub(crate) fn devices(port: u16) -> String {
    let sites = (0..SITES).map(|site| inventory(site, 0..DEVICES_PER_SITE, port));
    HEAD.to_owned() + &sites.collect::<String>()
}

/// Devices that come later, as CSV.
pub(crate) fn late_devices(nth: u32, port: u16) -> String {
    let each = DEVICES_PER_SITE / LATE_PARTS;
    HEAD.to_owned() + &inventory(SITES, nth * each..(nth + 1) * each, port)
}

/// Versions of `pos-app`, each with bytes of its own.
pub(crate) const VERSIONS: [&str; 7] =
    ["2.0.0", "2.1.0", "2.2.0", "2.3.0", "2.4.0", "2.5.0", "2.6.0"];

/// The bytes of a version: some fit into one piece, some take many.
pub(crate) fn bytes_of(version: &str) -> Vec<u8> {
    let number = VERSIONS.iter().position(|known| *known == version).unwrap_or_default();
    let text = format!("pos-app {version}\n");
    text.bytes().cycle().take(700 + number * 9_000).collect()
}

/// When a rollout is created, in percent of the whole, and its spec.
pub(crate) struct Planned {
    pub(crate) at_percent: u64,
    pub(crate) spec: Spec,
}

/// A spec, once it is known when it is created.
pub(crate) struct Spec(Box<dyn Fn(Time) -> String>);

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spec")
    }
}

impl Spec {
    pub(crate) fn text(&self) -> String {
        (self.0)(Clock::System.now())
    }
}

const COMMON: &str = "[retry]\nattempts = 4\nbackoff = '300ms'\nmax_backoff = '2s'\n\
                      [timeouts]\nverifying = '6s'\n";

/// The rollouts of a run of `secs` seconds, in the order of their creation.
pub(crate) fn rollouts(dice: &mut Dice, secs: u64) -> Vec<Planned> {
    let in_flight = dice.range(4, 30);
    let soak_ms = dice.range(200, 3_000);
    let first = dice.range(3, 15);
    let waves = |success: u64| {
        format!(
            "[[waves]]\npercent = {first}\nsoak = '{soak_ms}ms'\nmin_success = {success}\n\
             [[waves]]\npercent = 50\nsoak = '1s'\nmin_success = {success}\n\
             [[waves]]\npercent = 100\n"
        )
    };
    let (site, other) = (dice.range(1, 4), dice.range(5, 7));
    let per_minute = dice.range(300, 3_000);
    let fixed = |at_percent, text: String| Planned {
        at_percent,
        spec: Spec(Box::new(move |_| text.clone())),
    };
    let limits = |more: &str| format!("[limits]\nmax_in_flight = {in_flight}\n{more}");
    vec![
        fixed(
            0,
            format!(
                "release = 'pos-app 2.0.0'\n{}max_unverified = 40\n{COMMON}{}",
                limits(""),
                waves(40)
            ),
        ),
        Planned { at_percent: 0, spec: Spec(Box::new(move |now| scheduled(now, secs))) },
        fixed(
            12,
            format!(
                "release = 'pos-app 2.1.0'\nselect = 'tag.site=in=({site},{other})'\n\
            priority = 10\n{}max_per_host = 3\n{COMMON}",
                limits("")
            ),
        ),
        fixed(
            25,
            format!(
                "release = 'pos-app 2.3.0'\nselect = 'tag.site=in=(0,{SITES})'\n\
            membership = 'dynamic'\ndeadline = '{}s'\n{}{COMMON}[[waves]]\npercent = 40\n\
            min_success = 30\n[[waves]]\npercent = 100\n",
                secs * 7 / 10,
                limits("")
            ),
        ),
        fixed(
            40,
            format!(
                "release = 'pos-app 2.4.0'\nselect = 'tag.kind==lane'\n\
            max_failures = '40%'\npriority = 5\n{}{COMMON}{}",
                limits(&format!("per_minute = {per_minute}\n")),
                waves(30)
            ),
        ),
        fixed(
            60,
            format!(
                "release = 'pos-app 2.5.0'\nselect = 'tag.site=={other}'\n\
            {}{COMMON}[verify]\nmode = 'reachable'\n",
                limits("")
            ),
        ),
        fixed(
            75,
            format!(
                "release = 'pos-app 2.6.0'\nselect = 'tag.site=={site}'\n\
            strategy = 'on_connect'\noffline = 'wait'\ndeadline = '{}s'\n{}{COMMON}\
            [verify]\nfirst = true\n",
                secs / 2,
                limits("")
            ),
        ),
    ]
}

/// Windows of a minute or two from now on, another one in each zone, and a freeze within one.
fn scheduled(now: Time, secs: u64) -> String {
    let wall = |zone: &str, minutes: i64, format: &str| {
        let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
        let at = Timestamp::from_millisecond(now.as_millis() + minutes * 60_000);
        at.map(|at| at.to_zoned(zone).strftime(format).to_string()).unwrap_or_default()
    };
    let hour = |zone, minutes| wall(zone, minutes, "%H:%M");
    let date = |zone, minutes| wall(zone, minutes, "%Y-%m-%dT%H:%M");
    let [utc, east, west] = ZONES;
    format!(
        "release = 'pos-app 2.2.0'\nselect = 'tag.kind==kiosk'\nstrategy = 'scheduled'\n\
         priority = 3\ndeadline = '{}s'\n\
         windows = ['{}-{}', '{}-{}', '{}-{}']\n\
         [[freezes]]\nfrom = '{}'\nto = '{}'\n\
         [limits]\nper_minute = 240\nmax_in_flight = 12\n{COMMON}",
        secs + 15,
        hour(utc, 0),
        hour(utc, 1),
        hour(east, 1),
        hour(east, 2),
        hour(west, 0),
        hour(west, 3),
        date(west, 1),
        date(west, 2),
    )
}
