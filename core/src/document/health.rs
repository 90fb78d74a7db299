//! How devices that were updated are looked after.

use super::reader::Table;
use crate::{
    health::{Check, EVERY, EVERY_MIN, FAILURES, FAILURES_LIMIT, Health, PATH},
    rollout::{WAIT_LIMIT, WaveSpec},
};

const VERSION: &str = "version";
const URL: &str = "url";
const CHECKS: [(&str, bool); 2] = [(VERSION, false), (URL, true)];

pub(super) fn health(table: &Table<'_>, waves: &[WaveSpec]) -> Option<Health> {
    let table = table.field("health")?.table("health")?;
    let check = table.required("check", URL).and_then(|field| field.word(&CHECKS));
    let path = table.field("path");
    if let (Some(false), Some(path)) = (check, &path) {
        path.refuse(format!(
            "check = \"{VERSION}\" asks where devices tell their version; leave it out, or write \
             check = \"{URL}\""
        ));
    }
    let path = path.map_or(Some(PATH), |path| path.text(PATH));
    let every = table
        .field("every")
        .map_or(Some(EVERY), |field| field.duration(&(EVERY_MIN..=WAIT_LIMIT), "1m"));
    let failures =
        table.field("failures").map_or(Some(FAILURES), |field| field.whole(1..=FAILURES_LIMIT));
    let check = if check? { Check::Url(path?.to_owned()) } else { Check::Version };
    let health = Health { check, every: every?, failures: failures? };
    if let Some(fault) = health.fault(waves) {
        table.refuse_spec(&fault);
    }
    Some(health)
}
