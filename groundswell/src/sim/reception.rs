//! A body on its way in.
//!
//! Owns reading, counting and hashing it in constant memory, and that every body which began is
//! recorded once, even when the connection dies under it. Start with [`Reception::read`].

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use groundswell_core::time::Time;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use sha2::{Digest as _, Sha256};

use super::{
    device::{Arrival, Fate, Place},
    fault::{Hit, Name},
    fleet::{Digest, Shared},
    headers::Told,
    wire::Ending,
};

/// `--digest sample` hashes one in so many.
const SAMPLE_EVERY: u64 = 16;
/// A slow device pauses this long after each piece it reads ...
const SLOW_EVERY: Duration = Duration::from_millis(50);
/// ... and so many times at most, 2 s in all.
const SLOW_PAUSES_MAX: u32 = 40;

/// One body that is being received.
pub(super) struct Reception<'a> {
    shared: &'a Shared,
    device: Place,
    told: &'a Told<'a>,
    version: Option<Arc<str>>,
    update_id: Option<Arc<str>>,
    hasher: Option<Sha256>,
    bytes: u64,
    fault: Option<Name>,
    is_recorded: bool,
    began: Time,
}

impl<'a> Reception<'a> {
    pub(super) fn begin(
        shared: &'a Shared,
        device: Place,
        told: &'a Told<'a>,
        fault: Option<Name>,
    ) -> Self {
        let is_hashed = match shared.options.digest {
            Digest::All => true,
            Digest::Sample => {
                shared.counts.hashable.fetch_add(1, Relaxed).is_multiple_of(SAMPLE_EVERY)
            }
            Digest::None => false,
        };
        let (version, update_id) = shared.share(told.version.as_deref(), told.update_id);
        Self {
            shared,
            device,
            told,
            version,
            update_id,
            hasher: is_hashed.then(Sha256::new),
            bytes: 0,
            fault,
            is_recorded: false,
            began: shared.now(),
        }
    }

    /// Reads the body to its end, or as far as the fault lets it come.
    pub(super) async fn read(
        &mut self,
        mut body: Incoming,
        hit: Option<Hit>,
    ) -> Result<(), Ending> {
        let resets = hit == Some(Hit::ResetWithin);
        let enough = body.size_hint().exact().map_or(1, |length| length.div_ceil(2));
        let mut pauses = if hit == Some(Hit::Slow) { SLOW_PAUSES_MAX } else { 0 };
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Ending::Reset)?;
            if let Some(data) = frame.data_ref() {
                self.bytes += data.len() as u64;
                if let Some(hasher) = &mut self.hasher {
                    hasher.update(data);
                }
            }
            if resets && self.bytes >= enough {
                break;
            }
            if pauses > 0 {
                pauses -= 1;
                self.shared.options.clock.sleep(SLOW_EVERY, "sim slow read").await;
            }
        }
        if resets { Err(Ending::Reset) } else { Ok(()) }
    }

    /// Records the complete body, and says what became of it: `fate`, or a refusal if it is not
    /// the body that was announced.
    pub(super) fn finish(mut self, fate: Fate) -> Fate {
        let sha256: Option<[u8; 32]> = self.hasher.take().map(|hasher| hasher.finalize().into());
        let differs =
            sha256.zip(self.told.sha256).is_some_and(|(found, announced)| found != announced);
        let fate = if differs { Fate::Refused(400) } else { fate };
        self.is_recorded = true;
        let shared = self.shared;
        let options = &shared.options;
        let down_for = options.latency + options.reboot;
        let now = shared.now();
        let back_at = (!options.reboot.is_zero()).then(|| now + down_for);
        let arrival = self.arrival(now);
        shared.devices.at(self.device, |device| device.received(arrival, sha256, fate, back_at));
        fate
    }

    fn arrival(&mut self, now: Time) -> Arrival<'a> {
        Arrival {
            at_ms: self.shared.at_ms(now),
            took_ms: now.since(self.began).as_millis() as u32,
            key: self.told.key,
            version: self.version.take(),
            update_id: self.update_id.take(),
            bytes: self.bytes,
            fault: self.fault,
        }
    }
}

impl Drop for Reception<'_> {
    fn drop(&mut self) {
        if !self.is_recorded {
            let arrival = self.arrival(self.shared.now());
            self.shared.devices.at(self.device, |device| device.cut(arrival));
        }
    }
}
