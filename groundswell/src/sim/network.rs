//! The network between the fleet and whoever sends to it, as bad as it is told to be.
//!
//! Owns what `tc netem` would do to packets, done to the reads and writes of the fleet's own
//! sockets: no privilege is needed, and nobody else on the machine is hurt. It can be changed while
//! the fleet runs. Type to read first: [`Network`].

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{fleet::Shared, visits::Visit, wire::Ending};

/// Nobody rehearses longer delays than this, in milliseconds.
const DELAY_MS_MAX: u64 = 600_000;
/// More sites than anybody writes down by hand.
const CUT_OFF_MAX: usize = 1_000;
/// How often a connection that is cut off looks whether it still is.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How requests begin that are about the fleet.
const ABOUT_FLEET: [&[u8; 9]; 2] = [b"GET /sim/", b"PUT /sim/"];
/// What passes in one piece: as much as hyper reads at first.
const PIECE_BYTES: usize = 8 << 10;
/// Where bytes are few, a piece is what passes in this part of a second.
const PIECES_PER_SEC: u64 = 10;

/// How the network is. By default nothing is wrong with it.
///
/// A *piece* is one read or write of a connection: a request, an answer, or a part of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// Each piece comes so many milliseconds late, each way.
    pub delay_ms: u64,
    /// Up to so many more, by the address: some devices are always far away.
    pub spread_ms: u64,
    /// Up to so many more, by chance for each piece.
    pub jitter_ms: u64,
    /// Bytes that a connection takes in a second, each way; 0 for no limit.
    pub bytes_per_sec: u64,
    /// Of a million pieces so many reset their connection instead.
    pub resets_per_million: u32,
    /// Of a million pieces so many come `stall_ms` late.
    pub stalls_per_million: u32,
    /// How late these are.
    pub stall_ms: u64,
    /// Beginnings of addresses (`127.3.`) that nothing reaches and nothing leaves. What was open
    /// there is lost, and is reset once they are reached again.
    pub cut_off: Vec<String>,
}

impl Network {
    /// Whether nothing is wrong with it.
    pub fn is_calm(&self) -> bool {
        *self == Self::default()
    }

    /// Why it cannot be, if it cannot.
    pub(super) fn check(&self) -> Result<(), String> {
        let times = [self.delay_ms, self.spread_ms, self.jitter_ms, self.stall_ms];
        if times.iter().any(|ms| *ms > DELAY_MS_MAX) {
            return Err(format!("a delay is at most {DELAY_MS_MAX} ms"));
        }
        if self.cut_off.len() > CUT_OFF_MAX {
            return Err(format!("at most {CUT_OFF_MAX} beginnings of addresses are cut off"));
        }
        Ok(())
    }

    fn is_cut_off(&self, address: &str) -> bool {
        self.cut_off.iter().any(|beginning| address.starts_with(beginning))
    }

    /// How late a piece is; none if it resets its connection.
    fn draw(&self, far: u64, dice: &mut Dice) -> Option<Duration> {
        let is_hit = |per_million: u32, roll: u64| roll % 1_000_000 < u64::from(per_million);
        if is_hit(self.resets_per_million, dice.roll()) {
            return None;
        }
        let is_stalled = is_hit(self.stalls_per_million, dice.roll());
        let late = self.delay_ms
            + far % (self.spread_ms + 1)
            + dice.roll() % (self.jitter_ms + 1)
            + if is_stalled { self.stall_ms } else { 0 };
        Some(Duration::from_millis(late))
    }

    fn piece_bytes(&self) -> usize {
        match self.bytes_per_sec {
            0 => PIECE_BYTES,
            per_sec => PIECE_BYTES.min((per_sec / PIECES_PER_SEC).max(1) as usize),
        }
    }

    fn takes(&self, bytes: usize) -> Duration {
        match self.bytes_per_sec {
            0 => Duration::ZERO,
            per_sec => Duration::from_micros(bytes as u64 * 1_000_000 / per_sec),
        }
    }
}

/// The network as it is now, for all connections.
#[derive(Debug)]
pub(super) struct Weather {
    /// So that a calm network costs one look at this.
    is_calm: AtomicBool,
    network: RwLock<Arc<Network>>,
}

impl Default for Weather {
    fn default() -> Self {
        Self { is_calm: AtomicBool::new(true), network: RwLock::default() }
    }
}

impl Weather {
    pub(super) fn set(&self, network: Network) {
        let is_calm = network.is_calm();
        *self.network.write() = Arc::new(network);
        self.is_calm.store(is_calm, Relaxed);
    }

    pub(super) fn now(&self) -> Arc<Network> {
        self.network.read().clone()
    }
}

/// `SplitMix64` (Steele, Lea, Flood, 2014).
struct Dice(u64);

impl Dice {
    fn of(seed: u64, address: &str, connection: u64) -> Self {
        let mut dice = Self(seed ^ connection.rotate_left(32));
        for byte in address.bytes() {
            dice.0 ^= u64::from(byte);
            dice.roll();
        }
        dice
    }

    const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // The high bits are the better ones.
        (mixed ^ (mixed >> 31)) >> 8
    }
}

/// One way of a connection.
#[derive(Default)]
struct Way<'a> {
    wait: Option<Pin<Box<dyn Future<Output = ()> + Send + 'a>>>,
    /// The fate of the next piece is drawn, and it only has to wait.
    is_drawn: bool,
    /// What the piece before still takes.
    owed: Duration,
}

/// A socket at the end of such a network, lent to the HTTP server. It is not shut down, only
/// closed, which tells the other side the same and spares a call per connection.
pub(super) struct Link<'a> {
    stream: &'a mut TcpStream,
    shared: &'a Shared,
    visit: &'a Visit<'a>,
    address: String,
    /// How far away it is, apart from the network.
    far: u64,
    dice: Dice,
    inward: Way<'a>,
    outward: Way<'a>,
    /// It was cut off: whatever was on the way is lost.
    is_lost: bool,
    piece: Vec<u8>,
}

impl<'a> Link<'a> {
    /// The link of connection number `connection` to `address`.
    pub(super) fn new(
        stream: &'a mut TcpStream,
        shared: &'a Shared,
        visit: &'a Visit<'a>,
        connection: u64,
    ) -> Self {
        let address = visit.address().to_string();
        let seed = shared.options.seed;
        let far = Dice::of(seed, &address, 0).roll();
        let dice = Dice::of(seed, &address, connection);
        let (inward, outward) = (Way::default(), Way::default());
        let piece = vec![];
        let is_lost = false;
        Self { stream, shared, visit, address, far, dice, inward, outward, is_lost, piece }
    }

    /// Whoever asks about the fleet does not come through the network of its devices.
    fn is_calm(&self) -> bool {
        self.shared.weather.is_calm.load(Relaxed) && !self.is_lost || self.visit.is_about_fleet()
    }

    /// Ready once there is something to read; looks whether it is about the fleet.
    fn poll_arrived(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut bytes = [0; ABOUT_FLEET[0].len()];
        let mut beginning = ReadBuf::new(&mut bytes);
        ready!(self.stream.poll_peek(cx, &mut beginning))?;
        if ABOUT_FLEET.iter().any(|about| beginning.filled() == *about) {
            self.visit.set_about_fleet();
        }
        Poll::Ready(Ok(()))
    }

    /// Ready once the next piece may pass.
    fn poll_pass(&mut self, is_outward: bool, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { shared, dice, inward, outward, .. } = self;
        let way = if is_outward { outward } else { inward };
        loop {
            if let Some(wait) = &mut way.wait {
                ready!(wait.as_mut().poll(cx));
                way.wait = None;
            }
            let network = shared.weather.now();
            let late = if network.is_cut_off(&self.address) {
                self.is_lost = true;
                LOOK_EVERY
            } else if self.is_lost {
                return Poll::Ready(Err(io::Error::other(Ending::Reset)));
            } else if std::mem::take(&mut way.is_drawn) {
                return Poll::Ready(Ok(()));
            } else {
                let Some(late) = network.draw(self.far, dice) else {
                    return Poll::Ready(Err(io::Error::other(Ending::Reset)));
                };
                way.is_drawn = true;
                late + std::mem::take(&mut way.owed)
            };
            if !late.is_zero() {
                way.wait = Some(Box::pin(shared.options.clock.sleep(late, "sim network")));
            }
        }
    }
}

impl AsyncRead for Link<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let link = &mut *self;
        if link.is_calm() {
            return Pin::new(&mut *link.stream).poll_read(cx, buf);
        }
        if link.inward.wait.is_none() {
            ready!(link.poll_arrived(cx))?;
            if link.visit.is_about_fleet() {
                return Pin::new(&mut *link.stream).poll_read(cx, buf);
            }
        }
        ready!(link.poll_pass(false, cx))?;
        let network = link.shared.weather.now();
        let max = network.piece_bytes().min(buf.remaining());
        link.piece.resize(max, 0);
        let mut piece = ReadBuf::new(&mut link.piece);
        ready!(Pin::new(&mut *link.stream).poll_read(cx, &mut piece))?;
        buf.put_slice(piece.filled());
        link.inward.owed = network.takes(piece.filled().len());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Link<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let link = &mut *self;
        if link.is_calm() {
            return Pin::new(&mut *link.stream).poll_write(cx, buf);
        }
        ready!(link.poll_pass(true, cx))?;
        let network = link.shared.weather.now();
        let piece = &buf[..network.piece_bytes().min(buf.len())];
        let written = ready!(Pin::new(&mut *link.stream).poll_write(cx, piece))?;
        link.outward.owed = network.takes(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_calm() {
            return Pin::new(&mut *self.stream).poll_write_vectored(cx, bufs);
        }
        let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
        self.poll_write(cx, first)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_made_of_its_parts_and_bounded() {
        let network = Network { delay_ms: 10, spread_ms: 5, jitter_ms: 3, ..Network::default() };
        let mut dice = Dice::of(1, "127.0.0.1", 1);
        let drawn: Vec<_> = (0..1_000).map(|_| network.draw(4, &mut dice).unwrap()).collect();
        let bounds = (drawn.iter().min().unwrap().as_millis(), drawn.iter().max().unwrap());
        assert_eq!((bounds.0, bounds.1.as_millis()), (14, 17));
    }

    #[test]
    fn resets_and_stalls_have_their_share() {
        let network = Network {
            resets_per_million: 100_000,
            stalls_per_million: 200_000,
            stall_ms: 500,
            ..Network::default()
        };
        let mut dice = Dice::of(7, "127.0.0.1", 1);
        let drawn: Vec<_> = (0..10_000).map(|_| network.draw(0, &mut dice)).collect();
        let count = |wanted| drawn.iter().filter(|late| **late == wanted).count();
        let (resets, stalls) = (count(None), count(Some(Duration::from_millis(500))));
        assert!((800..1_200).contains(&resets), "{resets}");
        assert!((1_500..2_100).contains(&stalls), "{stalls}");
    }

    #[test]
    fn what_takes_for_ever_is_refused_and_what_is_unknown_too() {
        let late = Network { stall_ms: DELAY_MS_MAX + 1, ..Network::default() };
        assert_eq!(late.check().unwrap_err(), "a delay is at most 600000 ms");
        assert!(serde_json::from_str::<Network>("{\"dealy_ms\":1}").is_err());
    }
}
