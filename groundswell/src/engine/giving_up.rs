//! Giving up a rollout that nobody drives: canceled as by an operator, and ended by the same step.
//!
//! What it takes to send or to ask is not at hand here, so that nothing that is open is waited for.

use std::time::Duration;

use groundswell_core::{
    ids::Epoch,
    rollout::{Act, Acted, act},
    snapshot::Counts,
    time::Time,
};

use super::{
    beside::{acted, looked_at},
    shell::without_error,
    step::{Command, Engine, Fact, Manner},
    takeover::{numbers, take},
};
use crate::store::{Batch, RolloutRecord, Store, StoreError, writer::do_job};

/// Why nothing is sent.
const NOTHING_AT_HAND: &str = "nobody drives it";

/// Cancels a rollout and ends every device of it that has not ended; returns the devices of its
/// round, counted. Cut short, it is canceling, and this ends it another time.
///
/// # Errors
/// [`StoreError`] if it cannot be read or written, or has ended.
pub fn give_up<S: Store>(
    store: &mut S,
    mut record: RolloutRecord,
    epoch: Epoch,
    now: Time,
) -> Result<Counts, StoreError> {
    let numbers = numbers(store, &record)?;
    match act(&record.progression, &record.spec, &numbers, Act::Cancel, now) {
        Ok(Acted::Changed(progression)) => {
            let mut records = looked_at(store, &record)?;
            records.extend(acted(Act::Cancel.into(), Ok(&progression), now));
            record.progression = *progression;
            let progression = Some(record.progression.clone());
            let batch = Batch::empty(record.key, epoch, now);
            store.commit(&Batch { records, progression, ..batch })?;
        }
        Ok(Acted::Already(_)) => {}
        Err(refusal) => return Err(StoreError::Damaged(refusal.to_string())),
    }
    let key = record.key;
    // Nobody waits for company in a commit, and nobody else is heard.
    let manner =
        Manner { is_heard: false, gather: Duration::ZERO, in_flight_max: 0, look_every: None };
    let mut engine = Engine::new(vec![take(store, record)?], epoch, manner, now);
    drive(store, &mut engine, now)?;
    Ok(engine.counts(key).copied().unwrap_or_default())
}

fn drive<S: Store>(store: &mut S, engine: &mut Engine, now: Time) -> Result<(), StoreError> {
    let mut facts = vec![];
    let mut failed = None;
    loop {
        let mut ended = false;
        for command in engine.step(now, std::mem::take(&mut facts)) {
            match command {
                Command::Store(job) => {
                    let (done, error) = without_error(do_job(store, job));
                    failed = failed.or(error);
                    facts.push(Fact::Store(done));
                }
                Command::Open(opening) => {
                    facts.push(Fact::Unsendable(opening.rollout, NOTHING_AT_HAND.to_owned()));
                }
                Command::End(_) => ended = true,
                // Nothing is open that could be stopped, and whatever could not be written is left
                // as it was.
                _ => {}
            }
        }
        match failed {
            None if !ended && facts.is_empty() => {
                let what = "a rollout that was given up does not end";
                return Err(StoreError::Damaged(what.to_owned()));
            }
            Some(error) if ended => return Err(error),
            None if ended => return Ok(()),
            _ => {}
        }
    }
}
