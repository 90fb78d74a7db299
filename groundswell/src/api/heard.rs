//! Devices that checked in: gathered in memory, and written down together.
//!
//! A check-in costs the disk nothing by itself. What is answered is written within a second or so; a
//! server that is killed forgets that much, one that is stopped nothing.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::Api;
use crate::store::CheckedIn;

/// How often what was gathered is written.
const WRITE_EVERY: Duration = Duration::from_millis(500);

/// Devices written in one transaction: some 10 ms, for which a driver that writes waits.
const AT_ONCE: usize = 1_000;

/// The pause after each, in which a driver that waits gets its turn.
const PAUSE: Duration = Duration::from_millis(2);

/// Devices that are gathered while nothing can be written: twenty seconds of a busy server, some
/// 50 MB. Beyond, nobody else is answered.
const DEVICES_MAX: usize = 200_000;

/// What was heard, by the device's id.
#[derive(Debug, Default)]
pub(super) struct Heard(Mutex<Unwritten>);

#[derive(Debug, Default)]
struct Unwritten {
    devices: HashMap<Box<str>, CheckedIn>,
    /// What is being written at the moment.
    taken: Arc<HashMap<Box<str>, CheckedIn>>,
}

impl Heard {
    /// Notes that a device checked in; false if there is no room.
    pub(super) fn note(&self, id: &str, said: CheckedIn) -> bool {
        let devices = &mut self.0.lock().devices;
        if let Some(known) = devices.get_mut(id) {
            *known = said.over(known.clone());
            return true;
        }
        if devices.len() >= DEVICES_MAX {
            return false;
        }
        devices.insert(id.into(), said);
        true
    }

    /// What a device said that is not written yet.
    pub(super) fn unwritten(&self, id: &str) -> Option<CheckedIn> {
        let unwritten = self.0.lock();
        match (unwritten.devices.get(id).cloned(), unwritten.taken.get(id).cloned()) {
            (Some(newer), Some(older)) => Some(newer.over(older)),
            (newer, older) => newer.or(older),
        }
    }

    fn take(&self) -> Arc<HashMap<Box<str>, CheckedIn>> {
        let mut unwritten = self.0.lock();
        unwritten.taken = Arc::new(std::mem::take(&mut unwritten.devices));
        unwritten.taken.clone()
    }

    /// All that was taken is written, but for this. That is kept, unless something newer was heard.
    fn written_but(&self, left: impl Iterator<Item = (Box<str>, CheckedIn)>) {
        let mut unwritten = self.0.lock();
        for (id, older) in left {
            let said = match unwritten.devices.remove(&id) {
                Some(newer) => newer.over(older),
                None => older,
            };
            unwritten.devices.insert(id, said);
        }
        unwritten.taken = Arc::default();
    }
}

/// Writes down who checked in, until `stop` is told, and once more then.
pub async fn write_heard(api: Api, stop: CancellationToken) {
    let mut is_told = false;
    loop {
        let is_over = tokio::select! {
            () = stop.cancelled() => true,
            () = api.clock().sleep(WRITE_EVERY, "writing who checked in") => false,
        };
        match write(&api).await {
            Ok(()) => is_told = false,
            Err(()) if !std::mem::replace(&mut is_told, true) => {
                tracing::warn!(
                    "who checked in cannot be written for now: it is kept and tried again"
                );
            }
            Err(()) => {}
        }
        if is_over {
            return;
        }
    }
}

async fn write(api: &Api) -> Result<(), ()> {
    let taken = api.heard().take();
    let mut left = taken.iter().map(|(id, said)| (id.clone(), said.clone()));
    loop {
        let chunk: Vec<_> = left.by_ref().take(AT_ONCE).collect();
        if chunk.is_empty() {
            api.heard().written_but(std::iter::empty());
            return Ok(());
        }
        let written = chunk.clone();
        if api.write(None, move |state, _| state.checked_in(&written)).await.is_err() {
            api.heard().written_but(chunk.into_iter().chain(left));
            return Err(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use groundswell_core::time::Time;

    use super::*;
    use crate::store::Health;

    fn said(secs: i64, version: Option<&str>, health: Option<Health>) -> CheckedIn {
        let at = Time::from_millis(secs * 1_000);
        CheckedIn { at, version: version.map(str::to_owned), health }
    }

    #[test]
    fn the_last_word_counts_and_what_it_leaves_out_stays() {
        let heard = Heard::default();
        assert!(heard.note("a", said(1, Some("1.0"), Some(Health::Unwell("hot".to_owned())))));
        assert!(heard.note("a", said(2, None, None)));
        let unwell = || Some(Health::Unwell("hot".to_owned()));
        let taken = heard.take();
        let all = |taken: &HashMap<_, _>| taken.clone().into_iter().collect::<Vec<(Box<str>, _)>>();
        assert_eq!(all(&taken), [("a".into(), said(2, Some("1.0"), unwell()))]);
        assert_eq!(heard.unwritten("a"), Some(said(2, Some("1.0"), unwell())), "not yet");
        // Something newer came while this could not be written.
        assert!(heard.note("a", said(3, Some("2.0"), Some(Health::Well))));
        assert_eq!(heard.unwritten("a"), Some(said(3, Some("2.0"), Some(Health::Well))));
        heard.written_but(all(&taken).into_iter());
        assert_eq!(all(&heard.take()), [("a".into(), said(3, Some("2.0"), Some(Health::Well)))]);
        heard.written_but(std::iter::empty());
        assert_eq!(heard.unwritten("a"), None);
        assert!(heard.take().is_empty());
    }

    #[test]
    fn no_more_are_gathered_than_there_is_room_for() {
        let heard = Heard::default();
        for device in 0..DEVICES_MAX {
            assert!(heard.note(&device.to_string(), said(1, None, None)));
        }
        assert!(!heard.note("one more", said(1, None, None)));
        assert!(heard.note("7", said(2, None, None)), "who is among them is heard on");
    }
}
