//! Pages of devices in the order of their ids.
//!
//! Owns how a page is looked for. An index of what a selector asks about knows nothing of that order,
//! and the database does not know how many each of them finds: left to itself it looks at all devices
//! for three that an index would have found, or sorts a hundred thousand for the first hundred. So the
//! next devices are looked at one by one first; if these do not fill the page, few are chosen, and it is
//! counted which comparison finds fewest.

use std::{fmt::Write as _, ptr};

use groundswell_core::{device::Device, selector::Selector, time::Time};
use rusqlite::{Connection, OptionalExtension as _, params, params_from_iter, types::Value};

use super::{
    device::{COLUMNS, device},
    selector::{self, Condition, Found},
};
use crate::store::StoreError;

/// Devices that are looked at one by one for a page: some milliseconds, and a page of 100 is filled
/// by them unless fewer than one in 20 is chosen.
const WALK_MAX: u32 = 2_000;

/// Devices of a comparison that are few: to look at each, and to sort them, takes some ten milliseconds.
const FEW_MAX: i64 = 10_000;

/// The same where tags are asked about, each of which is a look-up of its own.
const FEW_WITH_TAGS_MAX: i64 = 4_000;

/// Devices that the database looks at one by one where each comparison finds many, some 30 ms: a page
/// of 100 is filled by them unless fewer than one in 1,000 is chosen.
const STRETCH: i64 = 100_000;

/// The same where tags are asked about, each of which is a look-up of its own.
const STRETCH_WITH_TAGS: i64 = 20_000;

/// Behind which id, and how many.
const ORDERED: &str = "AND d.id > ? ORDER BY d.id LIMIT ?";

/// At most `limit` devices that are chosen, in the order of their ids, behind `after`.
pub(super) fn list(
    connection: &Connection,
    select: Option<&Selector>,
    after: Option<&str>,
    limit: usize,
    now: Time,
) -> Result<Vec<Device>, StoreError> {
    let after = after.unwrap_or_default();
    let Some(select) = select else {
        return rows(connection, selector::condition(None, now), ORDERED, &[text(after)], limit);
    };
    let mut found = Vec::new();
    let mut behind = after.to_owned();
    let mut walked = 0;
    let every = sql(&selector::condition(None, now), ORDERED);
    let mut next = connection.prepare_cached(&every)?;
    let mut walk = next.query(params![after, WALK_MAX])?;
    while found.len() < limit
        && let Some(row) = walk.next()?
    {
        let device = device(row)?;
        walked += 1;
        behind.clone_from(&device.id);
        if select.matches(&device, now) {
            found.push(device);
        }
    }
    if found.len() < limit && walked == WALK_MAX {
        let left = limit - found.len();
        found.extend(further(connection, select, &behind, left, now)?);
    }
    Ok(found)
}

/// The page behind those that were looked at one by one.
fn further(
    connection: &Connection,
    select: &Selector,
    after: &str,
    limit: usize,
    now: Time,
) -> Result<Vec<Device>, StoreError> {
    let by = selector::found(select, now);
    let few_max = if select.tag_keys().is_empty() { FEW_MAX } else { FEW_WITH_TAGS_MAX };
    if let Some(few) = fewest(connection, &by, few_max)? {
        return among(connection, (few, &by), select, after, limit, now);
    }
    let (mut found, mut behind) = (vec![], after.to_owned());
    if !by.is_empty() {
        let end = stretch(connection, select, after, limit, now, &mut found)?;
        let Some(end) = end.filter(|_| found.len() < limit) else { return Ok(found) };
        behind = end;
    }
    let left = limit - found.len();
    let condition = selector::condition(Some(select), now);
    found.extend(rows(connection, condition, ORDERED, &[text(&behind)], left)?);
    Ok(found)
}

/// The comparison that finds fewest, if these are few.
fn fewest<'a>(
    connection: &Connection,
    by: &'a [Found],
    few_max: i64,
) -> Result<Option<&'a Found>, StoreError> {
    let mut fewest = None;
    for found in by {
        let sql = format!("SELECT count(*) FROM ({} LIMIT ?)", found.sql);
        let most = fewest.map_or(few_max + 1, |(count, _)| count);
        let params = found.params.iter().cloned().chain([Value::Integer(most)]);
        let mut statement = connection.prepare(&sql)?;
        let count: i64 = statement.query_row(params_from_iter(params), |row| row.get(0))?;
        if count < most {
            fewest = Some((count, found));
        }
    }
    Ok(fewest.map(|(_, found)| found))
}

/// A page of those that a comparison finds, which is one of those (`by`) that have to hold.
fn among(
    connection: &Connection,
    (few, by): (&Found, &[Found]),
    select: &Selector,
    after: &str,
    limit: usize,
    now: Time,
) -> Result<Vec<Device>, StoreError> {
    let mut condition = selector::looked_at(select, now);
    let mut keys = format!("SELECT k.key FROM ({}) k WHERE 1", few.sql);
    let mut params = few.params.clone();
    // What other indexes say by themselves spares a look at the device.
    let others = by.iter().filter(|other| !ptr::eq(*other, few));
    for (has, asked) in others.filter_map(|other| other.has.as_ref()) {
        let _ = write!(keys, " AND {has}");
        params.extend_from_slice(asked);
    }
    condition.sql = format!("d.key IN ({keys}) AND {}", condition.sql);
    condition.params.splice(0..0, params);
    let order = "AND +d.id > ? ORDER BY +d.id LIMIT ?";
    rows(connection, condition, order, &[text(after)], limit)
}

/// Those of the next devices that are chosen; says where it ended, if there are more of them.
fn stretch(
    connection: &Connection,
    select: &Selector,
    after: &str,
    limit: usize,
    now: Time,
    found: &mut Vec<Device>,
) -> Result<Option<String>, StoreError> {
    let has_tags = !select.tag_keys().is_empty();
    let devices = if has_tags { STRETCH_WITH_TAGS } else { STRETCH };
    let sql = "SELECT id FROM device WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?";
    let mut find = connection.prepare_cached(sql)?;
    let end: Option<String> =
        find.query_row(params![after, devices], |row| row.get(0)).optional()?;
    let condition = selector::looked_at(select, now);
    let given = [text(after), end.as_deref().map_or(Value::Null, text)];
    let order = "AND d.id > ? AND d.id <= ? ORDER BY d.id LIMIT ?";
    let order = if end.is_some() { order } else { ORDERED };
    let given = if end.is_some() { &given[..] } else { &given[..1] };
    found.extend(rows(connection, condition, order, given, limit)?);
    Ok(end)
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn sql(condition: &Condition, order: &str) -> String {
    let (from, sql) = (selector::FROM, &condition.sql);
    format!("SELECT {COLUMNS} FROM {from} WHERE {sql} {order}")
}

/// The devices of a condition; `order` asks for what is given, and how many.
fn rows(
    connection: &Connection,
    condition: Condition,
    order: &str,
    given: &[Value],
    limit: usize,
) -> Result<Vec<Device>, StoreError> {
    let sql = sql(&condition, order);
    let mut params = condition.params;
    params.extend_from_slice(given);
    params.push(Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
    // Not kept: selectors are as many as their writers, and would drive out what commits run.
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(params_from_iter(params))?;
    let mut devices = Vec::new();
    while let Some(row) = rows.next()? {
        devices.push(device(row)?);
    }
    Ok(devices)
}

/// The ids of all that are chosen, however a page comes to look for them.
#[cfg(test)]
pub(super) fn every_way(connection: &Connection, select: &Selector, now: Time) -> Vec<Vec<String>> {
    let most = 1_000;
    let mut ways = vec![further(connection, select, "", most, now).unwrap()];
    let by = selector::found(select, now);
    for few in &by {
        ways.push(among(connection, (few, &by), select, "", most, now).unwrap());
    }
    let mut found = vec![];
    assert_eq!(stretch(connection, select, "", most, now, &mut found).unwrap(), None);
    ways.push(found);
    let id_of = |device: Device| device.id;
    ways.into_iter().map(|way| way.into_iter().map(id_of).collect()).collect()
}

#[cfg(test)]
mod tests;
