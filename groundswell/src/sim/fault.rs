//! What may go wrong with a simulated device, and when it does.
//!
//! Owns the faults' names, their reading from the command line and the seeded choice: whether a
//! fault hits depends on (seed, device, number of the device's update, kind, how many of that kind
//! stand before it) and on nothing else, so a run can be repeated whatever the interleaving. How a
//! fault looks on the wire is [`super::wire`]'s. Start with [`Fault`].

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// One way in which the simulated devices misbehave on an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: Kind,
    /// How often.
    pub rate: Rate,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The body is taken and answered with this status.
    Status(u16),
    /// Each device answers its first so many updates with 503.
    Flaky(u32),
    /// The body is taken and installed, and no answer ever comes.
    Hang,
    /// The connection is reset: within the body, or after it was taken and installed.
    Reset,
    /// The body is read and the answer written in drips.
    Slow,
    /// The body is taken and installed, and the answer is cut short.
    Truncated,
    /// The body is taken and installed, and the answer is not HTTP.
    Malformed,
    /// The body is taken and installed, and the answer never ends.
    Endless,
    /// The update is accepted, and the device goes on with the version it had.
    WrongVersion,
    /// The first update that a device takes breaks it: it is accepted and installed, and from then
    /// on the version is asked for in vain, until another update.
    Bricks,
    /// The update is accepted, and the answer comes twice.
    Twice,
    /// The update is accepted and installed, and the device is not well some time later: see
    /// docs/sim.md.
    Sickens,
}

/// So long after an update a device that sickens of it tells that it is not well: long enough to show
/// the new version before, and short enough for a rehearsal.
pub(super) const SICKENS_AFTER: Duration = Duration::from_secs(10);

/// A fault's name, as reports count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// [`Kind::Status`]
    Status,
    /// [`Kind::Flaky`]
    Flaky,
    /// [`Kind::Hang`]
    Hang,
    /// [`Kind::Reset`]
    Reset,
    /// [`Kind::Slow`]
    Slow,
    /// [`Kind::Truncated`]
    Truncated,
    /// [`Kind::Malformed`]
    Malformed,
    /// [`Kind::Endless`]
    Endless,
    /// [`Kind::WrongVersion`]
    WrongVersion,
    /// [`Kind::Bricks`]
    Bricks,
    /// [`Kind::Twice`]
    Twice,
    /// [`Kind::Sickens`]
    Sickens,
}

impl Name {
    /// Every name, in the order of the counters.
    pub const ALL: [Self; 12] = [
        Self::Status,
        Self::Flaky,
        Self::Hang,
        Self::Reset,
        Self::Slow,
        Self::Truncated,
        Self::Malformed,
        Self::Endless,
        Self::WrongVersion,
        Self::Bricks,
        Self::Twice,
        Self::Sickens,
    ];

    /// As it is written on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Flaky => "flaky",
            Self::Hang => "hang",
            Self::Reset => "reset",
            Self::Slow => "slow",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::Endless => "endless",
            Self::WrongVersion => "wrong-version",
            Self::Bricks => "bricks",
            Self::Twice => "twice",
            Self::Sickens => "sickens",
        }
    }
}

impl Kind {
    /// Its name without its number.
    pub fn name(self) -> Name {
        match self {
            Self::Status(_) => Name::Status,
            Self::Flaky(_) => Name::Flaky,
            Self::Hang => Name::Hang,
            Self::Reset => Name::Reset,
            Self::Slow => Name::Slow,
            Self::Truncated => Name::Truncated,
            Self::Malformed => Name::Malformed,
            Self::Endless => Name::Endless,
            Self::WrongVersion => Name::WrongVersion,
            Self::Bricks => Name::Bricks,
            Self::Twice => Name::Twice,
            Self::Sickens => Name::Sickens,
        }
    }
}

/// How often a fault hits, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(u32);

impl Rate {
    /// Every time.
    pub const ALWAYS: Self = Self(1_000_000);

    /// From a share between 0 and 1, or nothing if it is outside.
    pub fn new(share: f64) -> Option<Self> {
        (0.0..=1.0).contains(&share).then(|| Self((share * 1e6).round() as u32))
    }
}

/// Why a text names no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// No such kind.
    #[error(
        "there is no fault `{0}`; there are status:N, flaky:N, hang, reset, slow, truncated, \
             malformed, endless, wrong-version, bricks, twice and sickens, each with a rate if wanted, as in hang:0.1"
    )]
    UnknownKind(String),
    /// `status` needs the status.
    #[error("`status` needs the status to answer, 200 to 599, as in status:503")]
    NoStatus,
    /// `flaky` needs a count.
    #[error("`flaky` needs the number of updates to refuse, 1 to 1000000, as in flaky:3")]
    NoCount,
    /// Not a share.
    #[error("the rate `{0}` is not a share between 0 and 1, as in 0.1")]
    BadRate(String),
    /// More parts than kind, number and rate.
    #[error("`{0}` comes after the rate, where nothing is expected")]
    Excess(String),
}

/// A device that never recovers is `status:503`; this only keeps the count readable.
const FLAKY_MAX: u32 = 1_000_000;

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let mut parts = text.split(':');
        let kind = match parts.next().unwrap_or_default() {
            "status" => Kind::Status(
                number(parts.next(), 200, 599).map(|n| n as u16).ok_or(FaultError::NoStatus)?,
            ),
            "flaky" => Kind::Flaky(number(parts.next(), 1, FLAKY_MAX).ok_or(FaultError::NoCount)?),
            "hang" => Kind::Hang,
            "reset" => Kind::Reset,
            "slow" => Kind::Slow,
            "truncated" => Kind::Truncated,
            "malformed" => Kind::Malformed,
            "endless" => Kind::Endless,
            "wrong-version" => Kind::WrongVersion,
            "bricks" => Kind::Bricks,
            "twice" => Kind::Twice,
            "sickens" => Kind::Sickens,
            other => return Err(FaultError::UnknownKind(other.to_owned())),
        };
        let rate = match parts.next() {
            None => Rate::ALWAYS,
            Some(text) => text
                .parse()
                .ok()
                .and_then(Rate::new)
                .ok_or_else(|| FaultError::BadRate(text.to_owned()))?,
        };
        match parts.next() {
            None => Ok(Self { kind, rate }),
            Some(excess) => Err(FaultError::Excess(excess.to_owned())),
        }
    }
}

fn number(text: Option<&str>, least: u32, most: u32) -> Option<u32> {
    text?.parse().ok().filter(|number| (least..=most).contains(number))
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name().as_str())?;
        match self.kind {
            Kind::Status(number) => write!(f, ":{number}")?,
            Kind::Flaky(number) => write!(f, ":{number}")?,
            _ => {}
        }
        if self.rate == Rate::ALWAYS {
            return Ok(());
        }
        write!(f, ":{}", f64::from(self.rate.0) / 1e6)
    }
}

/// A fault that hits one update, with what is chosen for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hit {
    /// Answer with this status; `Name` says which fault asked for it.
    Status(Name, u16),
    /// Reset once half of the body was read.
    ResetWithin,
    /// Take the whole body, then end the connection in the fault's own way.
    Lost(Name),
    /// Read and answer in drips.
    Slow,
    /// Accept without installing.
    WrongVersion,
    /// Accept and install, and be broken afterwards.
    Bricks,
    /// Answer twice.
    Twice,
    /// Be unwell later.
    Sickens,
}

impl Hit {
    pub(super) fn name(self) -> Name {
        match self {
            Self::Status(name, _) | Self::Lost(name) => name,
            Self::ResetWithin => Name::Reset,
            Self::Slow => Name::Slow,
            Self::WrongVersion => Name::WrongVersion,
            Self::Bricks => Name::Bricks,
            Self::Twice => Name::Twice,
            Self::Sickens => Name::Sickens,
        }
    }
}

/// Which of `faults` hits a device's update number `update` (from 0): the first that does.
pub(super) fn hit(faults: &[Fault], seed: u64, device: &str, update: u64) -> Option<Hit> {
    faults.iter().enumerate().find_map(|(place, fault)| {
        let name = fault.kind.name();
        // A device is flaky or not, for good; everything else is rolled for each update.
        let turn = if matches!(fault.kind, Kind::Flaky(_) | Kind::Bricks) { 0 } else { update };
        let nth = faults[..place].iter().filter(|earlier| earlier.kind.name() == name).count();
        let roll = roll(seed, device, turn, name, nth);
        if roll % 1_000_000 >= u64::from(fault.rate.0) {
            return None;
        }
        match fault.kind {
            Kind::Status(status) => Some(Hit::Status(name, status)),
            Kind::Flaky(count) => (update < u64::from(count)).then_some(Hit::Status(name, 503)),
            // The bit is far from those that the rate looked at.
            Kind::Reset if roll >> 63 == 0 => Some(Hit::ResetWithin),
            Kind::Hang | Kind::Reset | Kind::Truncated | Kind::Malformed | Kind::Endless => {
                Some(Hit::Lost(name))
            }
            Kind::Slow => Some(Hit::Slow),
            Kind::WrongVersion => Some(Hit::WrongVersion),
            Kind::Bricks => (update == 0).then_some(Hit::Bricks),
            Kind::Twice => Some(Hit::Twice),
            Kind::Sickens => Some(Hit::Sickens),
        }
    })
}

/// A number that looks random and is the same in every run and on every machine: FNV-1a over the
/// parts, then the finalizer of `SplitMix64`.
///
/// `nth` is among them, since two faults of one kind that shared a roll would always hit together,
/// and the second would never be seen. It counts the kind alone: a fault of another kind moves
/// nothing.
fn roll(seed: u64, device: &str, turn: u64, name: Name, nth: usize) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut eat = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    eat(&seed.to_le_bytes());
    eat(device.as_bytes());
    eat(&turn.to_le_bytes());
    eat(name.as_str().as_bytes());
    eat(&(nth as u64).to_le_bytes());
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_read_and_print() {
        for text in [
            "status:503",
            "status:429:0.25",
            "flaky:3",
            "flaky:2:0.5",
            "hang",
            "hang:0.000001",
            "reset:0",
            "slow",
            "truncated",
            "malformed:0.1",
            "endless",
            "wrong-version",
            "bricks:0.3",
            "twice:0.2",
        ] {
            assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
        }
        assert_eq!("hang:1.0".parse::<Fault>().unwrap().rate, Rate::ALWAYS);
    }

    #[test]
    fn what_is_no_fault_says_why() {
        let refusal = |text: &str| text.parse::<Fault>().unwrap_err().to_string();
        insta::assert_snapshot!(refusal("explode"), @"there is no fault `explode`; there are status:N, flaky:N, hang, reset, slow, truncated, malformed, endless, wrong-version, bricks, twice and sickens, each with a rate if wanted, as in hang:0.1");
        insta::assert_snapshot!(refusal("status"), @"`status` needs the status to answer, 200 to 599, as in status:503");
        insta::assert_snapshot!(refusal("status:700"), @"`status` needs the status to answer, 200 to 599, as in status:503");
        insta::assert_snapshot!(refusal("flaky:0"), @"`flaky` needs the number of updates to refuse, 1 to 1000000, as in flaky:3");
        insta::assert_snapshot!(refusal("hang:1.5"), @"the rate `1.5` is not a share between 0 and 1, as in 0.1");
        insta::assert_snapshot!(refusal("hang:NaN"), @"the rate `NaN` is not a share between 0 and 1, as in 0.1");
        insta::assert_snapshot!(refusal("hang:0.1:2"), @"`2` comes after the rate, where nothing is expected");
    }

    #[test]
    fn a_rate_hits_its_share_and_the_same_ones_again() {
        let faults = ["reset:0.3".parse().unwrap()];
        let hits = |seed| -> Vec<_> {
            (0..10_000).map(|n| hit(&faults, seed, &format!("pos-{n}"), n % 7)).collect()
        };
        let count =
            |hits: &[Option<Hit>], wanted| hits.iter().filter(|hit| **hit == wanted).count();
        let first = hits(7);
        assert_eq!(first, hits(7));
        assert_ne!(first, hits(8));
        assert!((6_800..7_200).contains(&count(&first, None)));
        let within = count(&first, Some(Hit::ResetWithin));
        assert!((1_300..1_700).contains(&within), "{within} of 3,000 within the body");
    }

    #[test]
    fn a_share_of_the_devices_is_bricked_by_its_first_update_and_by_no_other() {
        let faults = ["bricks:0.3".parse().unwrap()];
        let count = |update| {
            let hits = (0..10_000).map(|n| hit(&faults, 7, &format!("pos-{n}"), update));
            hits.filter(|hit| *hit == Some(Hit::Bricks)).count()
        };
        assert!((2_800..3_200).contains(&count(0)), "{}", count(0));
        assert_eq!((count(1), count(2)), (0, 0));
    }

    #[test]
    fn two_faults_of_one_kind_have_a_share_each() {
        let faults = ["status:500:0.05", "status:403:0.03"].map(|text| text.parse().unwrap());
        let count = |status| {
            let wanted = Some(Hit::Status(Name::Status, status));
            (0..10_000).filter(|n| hit(&faults, 7, &format!("pos-{n}"), 0) == wanted).count()
        };
        let (first, second) = (count(500), count(403));
        assert!((400..600).contains(&first), "{first}");
        assert!((220..350).contains(&second), "{second}");
    }

    #[test]
    fn the_first_that_hits_wins_and_flaky_ends() {
        let faults = ["flaky:2".parse().unwrap(), "hang".parse().unwrap()];
        let hits: Vec<_> = (0..4).map(|n| hit(&faults, 1, "d", n)).collect();
        let busy = Some(Hit::Status(Name::Flaky, 503));
        let hang = Some(Hit::Lost(Name::Hang));
        assert_eq!(hits, [busy, busy, hang, hang]);
    }
}
