//! A part of the log as the bytes that are sent of it.

use std::{io::Write as _, sync::Arc};

use bytes::{BufMut as _, Bytes, BytesMut};
use groundswell_core::{ids::AssignmentId, log::Record};

use super::{
    event::{Event, Kind},
    feed::Feed,
    filter::Filter,
    names::Names,
    position::Position,
    tell::{named, tell},
    terms::Terms,
};
use crate::{
    operate::{OperateError, State},
    store::{LogRow, RolloutKey, StoreError},
};

/// Bytes of a chunk, and a little more: what a reader keeps in memory is a few of these.
pub(super) const CHUNK_BYTES: usize = 32 << 10;

/// Rows of the log that are read at once.
const ROWS_MAX: usize = 256;

/// Bytes of the log that are read at once; one row at least.
const BODY_BYTES_MAX: usize = 512 << 10;

/// What stands in a row that changes what a rollout chooses; in a text the quotes are escaped.
const SPEC: &str = "{\"spec\":";

/// Kinds that name devices.
pub(super) const DEVICE_KINDS: u64 = Kind::DeviceChanged.bit() | Kind::DeviceRegressed.bit();

/// Events that follow each other, ready to be sent. Whoever is told up to somewhere from `from` on,
/// before `to`, is told up to `to` with what of it is behind that.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) from: Position,
    pub(super) to: Position,
    pub(super) bytes: Bytes,
    pub(super) marks: Vec<Mark>,
}

impl Chunk {
    /// The same, with nothing behind it up to there.
    pub(super) fn extended(&self, to: Position) -> Self {
        Self { from: self.from, to, bytes: self.bytes.clone(), marks: self.marks.clone() }
    }
}

/// An event of a chunk.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) id: Position,
    pub(super) rollout: i64,
    pub(super) kind: Kind,
    /// Of which device, if it is of one that is known.
    pub(super) device: Option<Arc<str>>,
    /// Where its bytes end.
    pub(super) end: usize,
}

/// Reads what follows `from` in the log, of what `filter` wants and may see.
pub(super) fn read(
    state: &State,
    feed: &Feed,
    from: Position,
    filter: Option<&Filter>,
) -> Result<Chunk, OperateError> {
    let end = state.log_end()?;
    let (mut rows, mut body_bytes, mut is_whole) = (vec![], 0, true);
    let only = filter.and_then(Filter::only);
    state.for_each_row_after(from.seq.saturating_sub(1), only, &mut |rollout, row| {
        body_bytes += row.body.len();
        rows.push((rollout, row));
        is_whole = rows.len() < ROWS_MAX && body_bytes < BODY_BYTES_MAX;
        Ok(is_whole)
    })?;
    let (bytes, terms) = (BytesMut::new(), feed.terms());
    let mut writing = Writing { bytes, marks: vec![], from, to: from, terms };
    for (rollout, row) in rows {
        let is_done = writing.row(state, &feed.names, filter, rollout, &row)?;
        if !is_done || writing.bytes.len() >= CHUNK_BYTES {
            is_whole = false;
            break;
        }
    }
    if is_whole {
        // Nothing of what was there before it was read is left.
        writing.to = writing.to.max(Position::behind(end));
    }
    let Writing { bytes, marks, to, .. } = writing;
    Ok(Chunk { from, to, bytes: bytes.freeze(), marks })
}

struct Writing<'a> {
    bytes: BytesMut,
    marks: Vec<Mark>,
    from: Position,
    to: Position,
    terms: &'a Terms,
}

impl Writing<'_> {
    /// Writes the events of a row; says whether these were all.
    fn row(
        &mut self,
        state: &State,
        names: &Names,
        filter: Option<&Filter>,
        rollout: RolloutKey,
        row: &LogRow,
    ) -> Result<bool, OperateError> {
        let is_wanted = match filter {
            Some(filter) => {
                if row.body.contains(SPEC) {
                    filter.forget(rollout.0);
                }
                filter.wants(rollout.0, u64::MAX) && filter.sees(state, rollout.0)?
            }
            None => true,
        };
        // It may be gone by now: a push that could not begin takes its rollout back.
        let identity = if is_wanted { state.identity_of(rollout)? } else { None };
        let Some((id, first)) = identity else {
            self.to = Position::behind(row.seq);
            return Ok(true);
        };
        let records: Vec<Record> = serde_json::from_str(&row.body)
            .map_err(|error| StoreError::Damaged(format!("row {} of the log: {error}", row.seq)))?;
        for met in records.iter().filter_map(met).flatten() {
            names.met(AssignmentId(met.0), &met.1);
        }
        let has_names = filter.is_none_or(|filter| filter.wants(rollout.0, DEVICE_KINDS));
        let ids = if has_names { named(&records) } else { vec![] };
        let known = names.of(state, &ids)?;
        let mut index = 0;
        let (mut is_done, mut failed) = (true, None);
        tell(&records, row.at, row.seq == first, &known, &mut |at, told| {
            index += 1;
            let place = Position::new(row.seq, index);
            if place <= self.from || !is_done {
                return;
            }
            if self.bytes.len() >= CHUNK_BYTES {
                is_done = false;
                return;
            }
            self.to = place;
            let kind = told.kind().bit();
            let sees = |filter: &Filter| {
                let is_wanted = filter.wants(rollout.0, kind);
                let is_of_device = kind & DEVICE_KINDS != 0;
                Ok(is_wanted && (!is_of_device || filter.sees_device(state, told.device())?))
            };
            let is_told = filter.map_or(Ok(true), sees).unwrap_or_else(|error: OperateError| {
                failed = Some(error);
                false
            });
            if is_told {
                self.event(place, &Event { at, rollout: rollout.0, rollout_id: id, told });
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        if is_done {
            self.to = Position::behind(row.seq);
        }
        Ok(is_done)
    }

    fn event(&mut self, id: Position, event: &Event) {
        let kind = event.told.kind();
        let mut to = (&mut self.bytes).writer();
        // Writing to memory does not fail.
        let _ = write!(to, "id: {id}");
        if let Some(term) = self.terms.of(id) {
            let _ = write!(to, "-{term}");
        }
        let _ = write!(to, "\nevent: {}\ndata: ", kind.as_str());
        let _ = serde_json::to_writer(&mut to, event);
        self.bytes.put_slice(b"\n\n");
        let device = event.told.device().cloned();
        self.marks.push(Mark { id, rollout: event.rollout, kind, device, end: self.bytes.len() });
    }
}

const fn met(record: &Record) -> Option<&Vec<groundswell_core::log::Met>> {
    match record {
        Record::Met(met) => Some(met),
        _ => None,
    }
}
