//! Which version is the newer one.
//!
//! Owns the order of versions. The order *is* the order of [`VersionKey`]s, byte strings that a
//! database can store and index, so that memory and database cannot disagree.
//!
//! - A version is one to eight numbers separated by dots, then an optional pre-release after `-`
//!   and optional build metadata after `+`. A leading `v` or `V`, blanks around it and zeros before
//!   a number are not looked at.
//! - Numbers compare as numbers and missing ones are zero: `1.9` = `1.9.0` < `1.10.0` < `1.10.0.1`.
//! - A pre-release comes before its release; its identifiers compare as Semantic Versioning 2.0.0
//!   section 11 says. Build metadata is not looked at. Hence the order of semver versions is
//!   semver's.
//! - Any other text comes before every version, and such texts compare by their bytes.

/// Most numbers in a version; nobody needs more than four.
const NUMBERS_MAX: usize = 8;

/// Starts the key of a text that is no version.
const OTHER: u8 = 0;
/// Starts the key of a version.
const VERSION: u8 = 1;
/// Ends the numbers and the identifiers: lower than whatever could follow in a longer list.
const END: u8 = 1;
/// Starts a number of the version, or a numeric identifier of the pre-release.
const NUMBER: u8 = 2;
/// Starts an identifier with letters: higher than any numeric one.
const WORD: u8 = 3;
/// Stands in place of a pre-release: higher than any.
const RELEASE: u8 = 0xff;

/// A version in a form whose bytes sort as the versions do. Equal keys do not mean equal texts:
/// `v1.2` and `1.2.0+a` are as new as each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionKey(Box<[u8]>);

impl VersionKey {
    /// The key of a version as reported or written; takes any text.
    pub fn of(text: &str) -> Self {
        let mut key = Vec::with_capacity(text.len() + 24);
        if write_version(&mut key, text).is_none() {
            key.clear();
            key.push(OTHER);
            key.extend_from_slice(text.as_bytes());
        }
        Self(key.into_boxed_slice())
    }

    /// The bytes, as a database stores them.
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the text was read as a version; if not, it comes before every version.
    pub fn is_version(&self) -> bool {
        self.0.first() == Some(&VERSION)
    }
}

/// Appends the key of a version; `None` if the text is none.
fn write_version(key: &mut Vec<u8>, text: &str) -> Option<()> {
    let text = text.trim();
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let (text, build) = text.split_once('+').map_or((text, None), |(a, b)| (a, Some(b)));
    let (numbers, pre_release) = text.split_once('-').map_or((text, None), |(a, b)| (a, Some(b)));
    if build.is_some_and(|build| !build.split('.').all(is_identifier)) {
        return None;
    }
    key.push(VERSION);
    write_numbers(key, numbers)?;
    let Some(pre_release) = pre_release else {
        key.push(RELEASE);
        return Some(());
    };
    for identifier in pre_release.split('.') {
        write_identifier(key, identifier)?;
    }
    key.push(END);
    Some(())
}

/// Appends the numbers; zeros at the end only once a number follows that is not zero.
fn write_numbers(key: &mut Vec<u8>, text: &str) -> Option<()> {
    let mut zeros = 0;
    for (position, digits) in text.split('.').enumerate() {
        if position == NUMBERS_MAX || !is_numeric(digits) {
            return None;
        }
        let number: u64 = digits.parse().ok()?;
        if number == 0 {
            zeros += 1;
            continue;
        }
        for value in std::iter::repeat_n(0, zeros).chain([number]) {
            key.push(NUMBER);
            key.extend_from_slice(&value.to_be_bytes());
        }
        zeros = 0;
    }
    key.push(END);
    Some(())
}

/// Appends one identifier of a pre-release. A numeric one may have any number of digits, so the
/// count of them goes first.
fn write_identifier(key: &mut Vec<u8>, text: &str) -> Option<()> {
    if !is_identifier(text) {
        return None;
    }
    if is_numeric(text) {
        let digits = text.trim_start_matches('0');
        key.push(NUMBER);
        key.extend_from_slice(&u32::try_from(digits.len()).ok()?.to_be_bytes());
        key.extend_from_slice(digits.as_bytes());
    } else {
        key.push(WORD);
        key.extend_from_slice(text.as_bytes());
        key.push(0);
    }
    Some(())
}

fn is_numeric(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Whether a text that is no version is meant to be none: it begins with a letter, and a digit in
/// it gives it a place among others. `2.x` or `latest` would be older than every version, too.
pub(crate) fn is_build_name(text: &str) -> bool {
    let is_like_version = text
        .strip_prefix(['v', 'V'])
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    text.starts_with(char::is_alphabetic)
        && text.contains(|c: char| c.is_ascii_digit())
        && !is_like_version
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn older_to_newer() {
        let ladder = [
            "",
            "1..2",
            "1.2.3.4.5.6.7.8.9",
            "99999999999999999999",
            "build-7",
            "unknown",
            "0",
            "0.9",
            "1.0.0-1",
            "1.0.0-2",
            "1.0.0-99999999999999999999999",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.0.1-rc1",
            "1.0.0.1",
            "1.0.1",
            "1.9.0",
            "1.10.0",
            "2",
            "2.0.9-rc-1",
            "10.0",
            "2024.01.15",
        ];
        for (older, newer) in ladder.iter().zip(&ladder[1..]) {
            assert!(VersionKey::of(older) < VersionKey::of(newer), "{older} < {newer}");
        }
    }

    #[test]
    fn as_new_as_each_other() {
        for same in [
            ["1.2.0", "1.2", "v1.2.0"],
            ["2", "2.0.0.0", " V2 "],
            ["1.0.0+a.1", "1.0.0", "1.0+b"],
            ["2024.01.05", "2024.1.5", "2024.1.05"],
            ["1.0.0-rc.01", "1.0.0-rc.1", "1-rc.1"],
        ] {
            assert_eq!(VersionKey::of(same[0]), VersionKey::of(same[1]));
            assert_eq!(VersionKey::of(same[0]), VersionKey::of(same[2]));
        }
        assert!(!VersionKey::of("1.0.0-").is_version());
        assert!(!VersionKey::of("1.0.0+").is_version());
    }

    proptest! {
        #[test]
        fn the_order_of_semver_versions_is_semvers(
            left in "(0|[1-9][0-9]?)\\.(0|10)\\.[0-2](-(0|1[0-9]?|a|a-b|rc)(\\.(0|[1-9]|b)){0,2})?(\\+[a-z])?",
            right in "(0|[1-9][0-9]?)\\.(0|10)\\.[0-2](-(0|1[0-9]?|a|a-b|rc)(\\.(0|[1-9]|b)){0,2})?(\\+[a-z])?",
        ) {
            let semver = |text: &str| semver::Version::parse(text).unwrap();
            prop_assert_eq!(
                VersionKey::of(&left).cmp(&VersionKey::of(&right)),
                semver(&left).cmp_precedence(&semver(&right))
            );
        }

        #[test]
        fn any_text_has_a_key(text in any::<String>()) {
            prop_assert!(!VersionKey::of(&text).as_bytes().is_empty());
        }
    }
}
