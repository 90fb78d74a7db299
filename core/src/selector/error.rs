//! Why an expression was refused, and where.

use std::{borrow::Cow, fmt, ops::Range};

use winnow::{
    error::ParserError,
    stream::{Location, Stream},
};

use crate::{
    moment::MomentError,
    presence::Presence,
    selector::{COMPARISONS_MAX, DEPTH_MAX, Field, TEXT_BYTES_MAX},
    spelling::nearest,
};

/// Most of an expression that an error shows, in characters: a line of a terminal.
const SHOWN_CHARS_MAX: usize = 72;

/// Most of a name that an error repeats, in characters: longer than any that people give.
const NAME_CHARS_MAX: usize = 64;

/// Names that other systems have for our fields.
const SYNONYMS: [(&str, &str); 10] = [
    ("controllerid", "id"),
    ("device_id", "id"),
    ("serial", "id"),
    ("firmware_version", "version"),
    ("firmware", "version"),
    ("tz", "time_zone"),
    ("lastcontrollerrequestat", "last_seen"),
    ("ipaddress", "address"),
    ("host", "address"),
    ("url", "address"),
];

/// Words that other systems put before a key.
const TAG_PREFIXES: [&str; 5] = ["tags", "metadata", "attribute", "label", "labels"];

/// Why an expression was refused. Shown as the reason, the expression, and a caret under the place.
#[derive(Clone, PartialEq, Eq)]
pub struct SelectorError {
    text: Box<str>,
    fault: Fault,
}

impl SelectorError {
    pub(super) fn new(text: &str, fault: Fault) -> Self {
        // An expression that is too long is not worth keeping.
        let kept = if text.len() > TEXT_BYTES_MAX { "" } else { text };
        Self { text: kept.into(), fault }
    }

    pub(super) fn canonical_too_long(text: &str, bytes: usize) -> Self {
        Self::new(text, Fault { at: 0..text.len(), problem: Problem::CanonicalTooLong(bytes) })
    }

    /// The same error, with a suggestion from the tags that devices really have.
    #[must_use]
    pub fn with_tags<'a>(mut self, keys: impl IntoIterator<Item = &'a str>) -> Self {
        if let Problem::UnknownField { name, meant: meant @ None } = &mut self.fault.problem {
            *meant = nearest(name, keys).map(|key| format!("tag.{key}"));
        }
        self
    }

    /// The bytes of the expression that are wrong; empty if something is missing there.
    pub fn place(&self) -> Range<usize> {
        self.fault.at.clone()
    }

    /// The reason alone, on one line.
    pub fn reason(&self) -> String {
        self.fault.problem.to_string()
    }
}

impl std::error::Error for SelectorError {}

impl fmt::Debug for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SelectorError").field(&self.reason()).field(&self.fault.at).finish()
    }
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.fault.problem)?;
        if self.text.trim().is_empty() {
            return Ok(());
        }
        let place = &self.fault.at;
        let caret_at = self.text.get(..place.start).map_or(0, |before| before.chars().count());
        let marked = self.text.get(place.clone()).map_or(1, |text| text.chars().count());
        let skipped =
            if caret_at < SHOWN_CHARS_MAX - 12 { 0 } else { caret_at - SHOWN_CHARS_MAX / 2 };
        // Whatever could move the cursor of a terminal is shown as something that cannot.
        let shown: String = self
            .text
            .chars()
            .skip(skipped)
            .take(SHOWN_CHARS_MAX)
            .map(|c| if c.is_whitespace() { ' ' } else { printable(c) })
            .collect();
        let before = if skipped > 0 { "..." } else { "" };
        let total = self.text.chars().count();
        let after = if total > skipped + SHOWN_CHARS_MAX { "..." } else { "" };
        let caret_column = before.len() + caret_at - skipped;
        let carets = marked.clamp(1, (SHOWN_CHARS_MAX + skipped).saturating_sub(caret_at).max(1));
        write!(f, "\n  {before}{}{after}", shown.trim_end())?;
        write!(f, "\n  {:caret_column$}{}", "", "^".repeat(carets))
    }
}

pub(super) fn printable(c: char) -> char {
    if c.is_control() { '\u{fffd}' } else { c }
}

/// What went wrong, and at which bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: Range<usize>,
    pub(super) problem: Problem,
}

impl<I: Stream + Location> ParserError<I> for Fault {
    type Inner = Self;

    fn from_input(input: &I) -> Self {
        let at = input.current_token_start();
        Self { at: at..at, problem: Problem::Unreadable }
    }

    fn into_inner(self) -> Result<Self, Self> {
        Ok(self)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    #[error("the expression cannot be read here")]
    Unreadable,
    #[error("the expression is empty; leave it out to choose every device")]
    Empty,
    #[error("the expression is {0} bytes long, the most is {TEXT_BYTES_MAX}")]
    TooLong(usize),
    #[error("the expression is {0} bytes long in its canonical form, the most is {TEXT_BYTES_MAX}")]
    CanonicalTooLong(usize),
    #[error("more than {DEPTH_MAX} parentheses inside each other")]
    TooDeep,
    #[error("more than {COMPARISONS_MAX} comparisons; choose by a tag instead of by a list")]
    TooMany,
    #[error("expected {expected}, found {found}{hint}")]
    Expected { expected: &'static str, found: String, hint: &'static str },
    #[error("unknown field `{}`: {}", short(name), suggest(name, meant.as_deref()))]
    UnknownField { name: String, meant: Option<String> },
    #[error("a tag needs a key, such as tag.region")]
    NoKey,
    #[error("{what} is not closed: a {quote} is missing")]
    Unclosed { what: &'static str, quote: char },
    #[error("a \\ at the end takes no character as itself")]
    LoneBackslash,
    #[error("{0} takes no wildcards, only == and != do; write \\* for the character itself")]
    Wildcard(&'static str),
    #[error(
        "a time takes no wildcards, except last_seen==* (was ever seen) and last_seen!=* (never)"
    )]
    WildcardTime,
    #[error("a tag key takes no wildcards; write \\* for the character itself")]
    WildcardKey,
    #[error("last_seen: {0}")]
    Moment(MomentError),
    #[error("last_seen: a device that was never seen is chosen by last_seen!=*")]
    Never,
    #[error("status: {}", suggest_status(.0))]
    Status(String),
    #[error("version: {} is no version; write one such as 2.1.0", quoted(.0))]
    Version(String),
}

/// A name as far as it is worth showing.
fn short(name: &str) -> Cow<'_, str> {
    match name.char_indices().nth(NAME_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &name[..end]).into(),
        None => name.into(),
    }
}

fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(32).map(printable).collect();
    format!("`{shown}`")
}

/// What a status can be, and which of them was probably meant.
fn suggest_status(word: &str) -> String {
    let words = Presence::WORDS;
    let shown: String = word.chars().take(32).map(printable).collect();
    // Of two as near, the first is taken: `ofline` is one letter from `online`, too.
    let meant = match nearest(word, words.into_iter().rev()) {
        Some(meant) => format!("; did you mean `{meant}`?"),
        None => String::new(),
    };
    format!("`{shown}` is none of {}{meant}", words.join(", "))
}

/// What was probably meant by a field we do not have.
fn suggest(name: &str, meant: Option<&str>) -> String {
    if let Some(meant) = meant.map(str::to_owned).or_else(|| guess(name)) {
        return format!("did you mean `{meant}`?");
    }
    let fields: Vec<&str> = Field::NAMED.iter().map(|(name, _)| *name).collect();
    format!("a tag is written `tag.{}`; the fields are {}", short(name), fields.join(", "))
}

fn guess(name: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    if let Some((prefix, key)) = lower.split_once('.')
        && (TAG_PREFIXES.contains(&prefix) || nearest(prefix, ["tag"]).is_some())
    {
        return Some(format!("tag.{}", short(&name[name.len() - key.len()..])));
    }
    let synonym = SYNONYMS.iter().find(|(theirs, _)| *theirs == lower).map(|(_, ours)| *ours);
    let named = || nearest(name, Field::NAMED.iter().map(|(name, _)| *name));
    synonym.or_else(named).map(str::to_owned)
}
