//! The waves.

use std::time::Duration;

use super::{
    read::selector,
    reader::{Field, Table},
};
use crate::rollout::{Membership, WAIT_LIMIT, WaveSize, WaveSpec, wave_faults};

/// Waves that were read; what they are to each other is looked at once all of them were.
pub(super) fn waves(table: &Table<'_>, membership: Membership) -> Vec<WaveSpec> {
    let Some(field) = table.field("waves") else { return vec![] };
    let fields = field.list();
    let waves: Vec<WaveSpec> = fields.iter().filter_map(wave).collect();
    if waves.len() == fields.len() {
        for fault in wave_faults(&waves, membership) {
            table.refuse_spec(&fault);
        }
    }
    waves
}

fn wave(field: &Field<'_>) -> Option<WaveSpec> {
    let table = field.table("waves")?;
    let size = size(&table);
    let soak = match table.field("soak") {
        Some(field) => field.duration(&(Duration::ZERO..=WAIT_LIMIT), "30m"),
        None => Some(Duration::ZERO),
    };
    let min_success = match table.field("min_success") {
        Some(field) => field.percentage(0..=100).map(Some),
        None => Some(None),
    };
    Some(WaveSpec { size: size?, soak: soak?, min_success: min_success? })
}

/// Exactly one of the three fields that say which devices.
fn size(table: &Table<'_>) -> Option<WaveSize> {
    let percent = table.field("percent");
    let count = table.field("count");
    let select = table.field("select");
    match (percent, count, select) {
        (Some(percent), None, None) => percent.percentage(1..=100).map(WaveSize::Percent),
        (None, Some(count), None) => count.whole(1..=u32::MAX).map(WaveSize::Count),
        (None, None, Some(select)) => selector(&select).map(WaveSize::Select),
        (None, None, None) => {
            table.refuse("says no devices; write one of percent, count and select");
            None
        }
        _ => {
            table.refuse("has more than one of percent, count and select; keep one");
            None
        }
    }
}
