//! The bytes of updates on their way: each delivery reads them through a cursor of its own, as in
//! production, part by part while others read.

use std::{collections::BTreeMap, future::poll_fn, path::Path};

use groundswell::artifacts::payload::{CHUNK_BYTES, Payload, PayloadReader};
use tokio::runtime::{Builder, Runtime};

/// Two chunks, so that one delivery may go on where another has stopped.
const LEN: usize = CHUNK_BYTES + 100;

/// Bytes looked at of each chunk: enough to tell which one it is.
const LOOK: usize = 16;

pub(crate) struct Shipments {
    payload: Payload,
    runtime: Runtime,
    /// What everybody should get.
    whole: Received,
    /// By the number of the device: what is read already, and the cursor.
    under_way: BTreeMap<usize, Vec<(Received, PayloadReader)>>,
}

/// What arrived: how many bytes, and how each chunk of it began.
#[derive(Debug, Default, PartialEq, Eq)]
struct Received {
    len: usize,
    chunks: Vec<Vec<u8>>,
}

impl Received {
    fn add(&mut self, chunk: &[u8]) {
        self.len += chunk.len();
        self.chunks.push(chunk.iter().copied().take(LOOK).collect());
    }
}

fn content() -> Vec<u8> {
    (0..LEN).map(|at| (at / CHUNK_BYTES * 100 + at % 97) as u8).collect()
}

impl Shipments {
    /// With a file of its own in `dir`.
    pub(crate) fn new(dir: &Path) -> Self {
        let path = dir.join("artifact");
        std::fs::write(&path, content()).unwrap();
        let payload = Payload::from_file(&path).unwrap();
        let runtime = Builder::new_current_thread().build().unwrap();
        let mut whole = Received::default();
        content().chunks(CHUNK_BYTES).for_each(|chunk| whole.add(chunk));
        Self { payload, runtime, whole, under_way: BTreeMap::new() }
    }

    /// The first bytes leave for a device.
    pub(crate) fn begin(&mut self, device: usize) {
        let mut reader = self.payload.reader();
        let mut received = Received::default();
        self.read(&mut reader, &mut received);
        self.under_way.entry(device).or_default().push((received, reader));
    }

    /// The last ones arrive; says what is wrong with them.
    pub(crate) fn end(&mut self, device: usize) -> Option<String> {
        let under_way = self.under_way.get_mut(&device)?;
        let (mut received, mut reader) = under_way.remove(0);
        if under_way.is_empty() {
            self.under_way.remove(&device);
        }
        // Whoever gets more than there is has seen enough.
        while received.len <= LEN && self.read(&mut reader, &mut received) {}
        (received != self.whole).then(|| {
            let Received { len, chunks } = &received;
            let began: Vec<_> = chunks.iter().map(|chunk| chunk.first()).collect();
            format!("d{device:03} got {len} bytes of {LEN}, in chunks that begin with {began:?}")
        })
    }

    fn read(&self, reader: &mut PayloadReader, received: &mut Received) -> bool {
        match self.runtime.block_on(poll_fn(|cx| reader.poll_next(cx))) {
            Some(chunk) => received.add(&chunk.unwrap()),
            None => return false,
        }
        true
    }
}
