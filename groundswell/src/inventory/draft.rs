//! One row on its way to a device: every value is checked, and all that is wrong is noted.

use std::{collections::HashMap, mem, sync::Arc, time::Duration};

use groundswell_core::{
    device::{Address, Device, TAGS_MAX, ValueError, check_label, check_path},
    moment::Moment,
    presence::check_interval,
    time::Time,
};
use http::HeaderMap;
use jiff::tz::TimeZone;
use serde_json::Number;

use super::{
    Entry, HEADER_BYTES_MAX, HEADERS_MAX, Options, Reason,
    cell::{Cell, Member},
    fault::quote,
    field::{Field, Single, squash},
};
use crate::units::parse_duration;

/// Numbers from here on are milliseconds since 1970: as seconds they would lie past the year 5138.
const EPOCH_MILLIS_MIN: i64 = 100_000_000_000;

/// The least number taken for seconds since 1970: one in 1973, so that a year is not taken for one.
const EPOCH_SECS_MIN: i64 = 100_000_000;

/// Most spellings of time zones that are remembered; there are some 600 names.
const ZONES_MAX: usize = 2_000;

/// A time that is no further ahead than this is taken: clocks differ.
const AHEAD_MAX: Duration = Duration::from_mins(5);

const TAGS: &str = "an object of keys and values (in CSV: one column tag.KEY for each)";
const HEADERS: &str = "an object of names and values (in CSV: one column header.NAME for each)";

/// What rows have in common.
#[derive(Default)]
pub(super) struct Shared {
    /// Names of time zones as written and as the database writes them.
    zones: HashMap<String, String>,
    /// The headers of the last row that had any.
    headers: Option<Arc<HeaderMap>>,
}

/// The row being read.
#[derive(Default)]
pub(super) struct Draft {
    line: u64,
    device: Device,
    headers: HeaderMap,
    /// Bits of the [`Single`]s that were there.
    given: u16,
    /// Whether a bad address was given, which is not missing then.
    has_bad_address: bool,
    has_bad_id: bool,
    says_never_seen: bool,
    firmware_version: Option<String>,
    reasons: Vec<Reason>,
}

impl Draft {
    pub(super) fn begin(&mut self, line: u64) {
        *self = Self { line, ..Self::default() };
    }

    pub(super) const fn line(&self) -> u64 {
        self.line
    }

    pub(super) fn id(&self) -> &str {
        &self.device.id
    }

    pub(super) fn refuse(&mut self, reason: Reason) {
        self.reasons.push(reason);
    }

    pub(super) fn set(
        &mut self,
        field: Field<'_>,
        cell: &Cell<'_>,
        options: &Options<'_>,
        shared: &mut Shared,
    ) {
        match field {
            Field::Single(single) => self.set_single(single, cell, options, shared),
            Field::Tag(key) => self.set_tag(key, cell),
            Field::Header(name) => self.set_header(name, cell, options),
            Field::Tags => {
                for (key, value) in self.members("tags", TAGS, cell) {
                    self.set_tag(&key.0, value);
                }
            }
            Field::Headers => {
                for (name, value) in self.members("headers", HEADERS, cell) {
                    self.set_header(&name.0, value, options);
                }
            }
        }
    }

    /// The members of an object; notes a cell that is none.
    fn members<'c, 'a>(
        &mut self,
        field: &str,
        expected: &'static str,
        cell: &'c Cell<'a>,
    ) -> &'c [Member<'a>] {
        match cell {
            Cell::Map(members) => return members,
            Cell::Null => {}
            Cell::Text(text) if text.trim().is_empty() => {}
            other => self.wrong_type(field, expected, other),
        }
        &[]
    }

    fn wrong_type(&mut self, field: &str, expected: &'static str, cell: &Cell<'_>) {
        self.refuse(Reason::WrongType { field: field.to_owned(), expected, found: cell.kind() });
    }

    fn set_single(
        &mut self,
        single: Single,
        cell: &Cell<'_>,
        options: &Options<'_>,
        shared: &mut Shared,
    ) {
        let bit = 1 << single as u16;
        if self.given & bit != 0 {
            self.refuse(Reason::Twice(single.name().to_owned()));
            return;
        }
        self.given |= bit;
        let text = match cell {
            Cell::Null => return,
            Cell::Text(text) => text.trim(),
            Cell::Number(number) if single == Single::LastSeen => {
                return self.set_last_seen_number(number, options.now);
            }
            Cell::Number(number) if single == Single::CheckIn => &number.to_string(),
            other => {
                let expected = match single {
                    Single::LastSeen => "a time or an age",
                    Single::CheckIn => "a duration or a number of seconds",
                    _ => "text in quotes",
                };
                self.mark_bad(single);
                return self.wrong_type(single.name(), expected, other);
            }
        };
        if text.is_empty() {
            return;
        }
        if let Err(reason) = self.set_text(single, text, options, shared) {
            self.mark_bad(single);
            self.refuse(reason);
        }
    }

    /// Notes that a value is not missing, but bad.
    fn mark_bad(&mut self, single: Single) {
        self.has_bad_address |= single == Single::Address;
        self.has_bad_id |= single == Single::Id;
    }

    fn set_text(
        &mut self,
        single: Single,
        text: &str,
        options: &Options<'_>,
        shared: &mut Shared,
    ) -> Result<(), Reason> {
        let label = || {
            check_label(single.name(), text).map_err(Reason::Value)?;
            Ok(text.to_owned())
        };
        let device = &mut self.device;
        match single {
            Single::Id => device.id = label()?,
            Single::Name => device.name = label()?,
            Single::Version => device.version = Some(label()?),
            Single::FirmwareVersion => self.firmware_version = Some(label()?),
            Single::Location => device.location = Some(label()?),
            Single::Status => self.says_never_seen = squash(&label()?) == "neverseen",
            Single::CheckIn => device.check_in = Some(parse_check_in(text)?),
            Single::Address => device.address = Some(parse_address(text)?),
            Single::TimeZone => device.time_zone = Some(shared.time_zone(text)?),
            Single::LastSeen => {
                let seen = parse_last_seen(text, options.now)?;
                device.last_seen = seen.map(|at| not_ahead(at, options.now)).transpose()?;
            }
            Single::UpdatePath => {
                check_path(text).map_err(Reason::Value)?;
                device.update_path = Some(text.to_owned());
            }
        }
        Ok(())
    }

    fn set_last_seen_number(&mut self, number: &Number, now: Time) {
        match number.as_i64().and_then(time_of_number) {
            Some(time) => match not_ahead(time, now) {
                Ok(time) => self.device.last_seen = Some(time),
                Err(reason) => self.refuse(reason),
            },
            None => self.refuse(Reason::LastSeenNumber),
        }
    }

    fn set_tag(&mut self, key: &str, cell: &Cell<'_>) {
        let key = key.trim();
        let value = match cell {
            Cell::Null => return,
            Cell::Text(text) => text.trim().to_owned(),
            Cell::Number(number) => number.to_string(),
            Cell::Bool(value) => value.to_string(),
            Cell::List | Cell::Map(_) => {
                let field = format!("tag {}", quote(key));
                return self.wrong_type(&field, "text, a number, true or false", cell);
            }
        };
        if value.is_empty() {
            return;
        }
        let checked = check_label("its key", key).and_then(|()| check_label("its value", &value));
        if let Err(why) = checked {
            return self.refuse(Reason::Tag { key: key.to_owned(), why });
        }
        let tags = &mut self.device.tags;
        if tags.len() == TAGS_MAX && !tags.contains_key(key) {
            if !self.reasons.contains(&Reason::TooManyTags) {
                self.refuse(Reason::TooManyTags);
            }
        } else if tags.insert(key.to_owned(), value).is_some() {
            self.refuse(Reason::Twice(format!("tag.{key}")));
        }
    }

    fn set_header(&mut self, name: &str, cell: &Cell<'_>, options: &Options<'_>) {
        let name = name.trim();
        // A whole header line in place of a name would show its value.
        let shown = || name.split(':').next().unwrap_or_default().to_owned();
        let value = match cell {
            Cell::Null => return,
            Cell::Text(text) => text.trim(),
            other => {
                return self.wrong_type(
                    &format!("header {}", quote(name)),
                    "text in quotes",
                    other,
                );
            }
        };
        // An empty cell of a table says that this device has no such header.
        if value.is_empty() {
            return;
        }
        if value.len() > HEADER_BYTES_MAX {
            return self.refuse(Reason::HeaderTooLong(shown()));
        }
        let (checked_name, mut checked_value) = match (options.check_header)(name, value) {
            Ok(header) => header,
            Err(why) => return self.refuse(Reason::Header { name: shown(), why }),
        };
        checked_value.set_sensitive(true);
        if self.headers.contains_key(&checked_name) {
            self.refuse(Reason::Twice(format!("header {checked_name}")));
        } else if self.headers.len() == HEADERS_MAX {
            if !self.reasons.contains(&Reason::TooManyHeaders) {
                self.refuse(Reason::TooManyHeaders);
            }
        } else {
            self.headers.insert(checked_name, checked_value);
        }
    }

    /// The row as a device, or all that is wrong with it.
    pub(super) fn finish(
        &mut self,
        options: &Options<'_>,
        shared: &mut Shared,
    ) -> Result<Entry, Vec<Reason>> {
        let draft = mem::take(self);
        let (mut device, mut reasons) = (draft.device, draft.reasons);
        if options.require_address && device.address.is_none() && !draft.has_bad_address {
            reasons.insert(0, Reason::Missing("address"));
        }
        if device.id.is_empty() && !draft.has_bad_id {
            reasons.insert(0, Reason::Missing("id"));
        }
        match (&device.version, draft.firmware_version) {
            (Some(version), Some(firmware)) if *version != firmware => {
                reasons.push(Reason::VersionsDiffer);
            }
            (None, firmware) => device.version = firmware,
            _ => {}
        }
        if draft.says_never_seen && device.last_seen.is_some() {
            reasons.push(Reason::SeenAndNeverSeen);
        }
        if device.name.is_empty() {
            device.name.clone_from(&device.id);
        }
        if reasons.is_empty() {
            Ok(Entry { device, headers: shared.headers(draft.headers) })
        } else {
            Err(reasons)
        }
    }
}

impl Shared {
    fn headers(&mut self, headers: HeaderMap) -> Option<Arc<HeaderMap>> {
        if headers.is_empty() {
            return None;
        }
        match &self.headers {
            Some(last) if **last == headers => {}
            _ => self.headers = Some(Arc::new(headers)),
        }
        self.headers.clone()
    }

    /// The name of a time zone as the database writes it.
    fn time_zone(&mut self, name: &str) -> Result<String, Reason> {
        if let Some(known) = self.zones.get(name) {
            return Ok(known.clone());
        }
        let zone = TimeZone::get(name).map_err(|_| Reason::TimeZone(name.to_owned()))?;
        let known = zone.iana_name().unwrap_or(name).to_owned();
        if self.zones.len() < ZONES_MAX {
            self.zones.insert(name.to_owned(), known.clone());
        }
        Ok(known)
    }
}

/// An address; one that is refused is told without the credentials it may hold.
fn parse_address(text: &str) -> Result<Address, Reason> {
    text.parse::<Address>().map_err(|mut error| {
        if let ValueError::Address { address, .. } = &mut error
            && text.contains('@')
        {
            "...".clone_into(address);
        }
        Reason::Value(error)
    })
}

/// How often a device checks in: a duration, or a number of seconds.
fn parse_check_in(text: &str) -> Result<Duration, Reason> {
    let check_in = match text.parse() {
        Ok(secs) => Duration::from_secs(secs),
        Err(_) => parse_duration(text).map_err(|_| Reason::CheckIn(text.to_owned()))?,
    };
    check_interval(check_in)
        .map_err(|why| Reason::CheckInLength { given: text.to_owned(), why })?;
    Ok(check_in)
}

fn parse_last_seen(text: &str, now: Time) -> Result<Option<Time>, Reason> {
    if text.eq_ignore_ascii_case("never") {
        return Ok(None);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number = text.parse().ok();
        return match number.and_then(time_of_number) {
            Some(time) => Ok(Some(time)),
            None => Err(Reason::LastSeenNumber),
        };
    }
    match text.parse::<Moment>() {
        Ok(moment) => Ok(Some(moment.resolve(now))),
        Err(error) => Err(Reason::LastSeen(error)),
    }
}

/// Clocks differ a little; beyond that nobody was seen yet.
fn not_ahead(at: Time, now: Time) -> Result<Time, Reason> {
    if at.since(now) > AHEAD_MAX {
        return Err(Reason::LastSeenAhead(at));
    }
    Ok(at)
}

/// A number of seconds or milliseconds since 1970; which of them, its size tells.
const fn time_of_number(number: i64) -> Option<Time> {
    match number {
        EPOCH_MILLIS_MIN.. => Some(Time::from_millis(number)),
        EPOCH_SECS_MIN.. => Some(Time::from_millis(number * 1_000)),
        _ => None,
    }
}
