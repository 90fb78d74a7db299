//! The ids of devices by their assignments: those that were asked for last.

use std::{collections::HashMap, sync::Arc};

use groundswell_core::ids::AssignmentId;
use parking_lot::Mutex;

use crate::operate::{OperateError, State};

/// Names in each of the two halves: devices that are under way at once, and more; some 10 MiB.
const HALF_MAX: usize = 50_000;

/// Assignments that are looked up by one query.
const ASKED_MAX: usize = 1_000;

/// Names that were asked for last. The older half is forgotten when the newer one is full.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<[HashMap<AssignmentId, Arc<str>>; 2]>);

impl Names {
    /// The ids of the devices of these assignments, as far as these are there.
    pub(super) fn of(
        &self,
        state: &State,
        ids: &[AssignmentId],
    ) -> Result<HashMap<AssignmentId, Arc<str>>, OperateError> {
        let mut found = HashMap::with_capacity(ids.len());
        let mut missing = vec![];
        {
            let mut halves = self.0.lock();
            for id in ids {
                match halves[0].get(id).or_else(|| halves[1].get(id)).cloned() {
                    Some(name) => {
                        keep(&mut halves, *id, &name);
                        found.insert(*id, name);
                    }
                    None => missing.push(*id),
                }
            }
        }
        for asked in missing.chunks(ASKED_MAX) {
            let known = state.devices_of(asked)?;
            let mut halves = self.0.lock();
            for (id, name) in known {
                let name: Arc<str> = name.into();
                keep(&mut halves, id, &name);
                found.insert(id, name);
            }
        }
        Ok(found)
    }

    /// Keeps what the log itself says.
    pub(super) fn met(&self, id: AssignmentId, name: &str) {
        keep(&mut self.0.lock(), id, &name.into());
    }
}

fn keep(halves: &mut [HashMap<AssignmentId, Arc<str>>; 2], id: AssignmentId, name: &Arc<str>) {
    let [newer, older] = halves;
    if newer.len() >= HALF_MAX && !newer.contains_key(&id) {
        *older = std::mem::take(newer);
    }
    newer.insert(id, name.clone());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_bounded_and_keeps_what_was_asked_for_last() {
        let names = Names::default();
        for number in 0..3 * HALF_MAX as i64 {
            names.met(AssignmentId(number), "till");
        }
        let halves = names.0.lock();
        assert!(halves.iter().all(|half| half.len() <= HALF_MAX));
        assert!(halves[0].contains_key(&AssignmentId(3 * HALF_MAX as i64 - 1)));
    }
}
