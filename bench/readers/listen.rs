//! Those who listen: one process, one thread, a connection for each.

use std::{io::Write as _, net::Ipv4Addr};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

/// Readers of one rollout and its waves.
const OF_ROLLOUT: usize = 1_000;

/// Readers of everything.
const OF_ALL: usize = 10;

/// All that is told of a rollout and its waves, and not of a device.
const KINDS: [&str; 10] = [
    "rollout_taken_over",
    "operator_acted",
    "devices_added",
    "rollout_prepared",
    "rollout_began",
    "wave_opened",
    "wave_ended",
    "gate_ruled",
    "rollout_stands",
    "rollout_completed",
];

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Heard {
    /// Events that all of them were told.
    pub(crate) events: u64,
    /// Events of the rollout and its waves.
    pub(crate) of_rollout: u64,
    /// Events of everything.
    pub(crate) of_all: u64,
    /// Streams that were gone on with.
    pub(crate) resumed: u64,
    /// What must not be.
    pub(crate) wrong: Vec<String>,
}

/// Listens until the rollout has completed, and prints a line when all hear, one when all have
/// heard, and [`Heard`].
pub(crate) fn listen(port: u16, token: &str, rollout: &str) {
    let _ = rlimit::increase_nofile_limit(8_192);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let kinds = KINDS.join("&kind=");
        let of_rollout = format!("/api/v1/events?rollout={rollout}&kind={kinds}");
        let of_all = "/api/v1/events?".to_owned();
        let mut readers = vec![];
        for at in 0..OF_ROLLOUT + OF_ALL {
            let is_all = at % (OF_ROLLOUT / OF_ALL) == 0 && at < OF_ROLLOUT;
            let path = if is_all { &of_all } else { &of_rollout };
            let mut reader = Reader::new(port, token, path);
            reader.connect().await;
            readers.push((is_all, reader));
        }
        let begin = readers[0].1.last;
        println!("ready");
        std::io::stdout().flush().unwrap();
        let mut listening = JoinSet::new();
        for (is_all, reader) in readers {
            listening.spawn(async move { (is_all, reader.until_completed().await) });
        }
        let heard = listening.join_all().await;
        println!("told");
        // The log, read again when nothing goes on any more.
        let mut expected = vec![];
        for path in [&of_rollout, &of_all] {
            let mut reader = Reader::new(port, token, path);
            reader.last = begin;
            expected.push(reader.until_completed().await);
        }
        println!("{}", serde_json::to_string(&judge(&heard, &expected)).unwrap());
    });
}

fn judge(heard: &[(bool, Reader)], expected: &[Reader]) -> Heard {
    let mut wrong = vec![];
    for (is_all, reader) in heard {
        let expected = &expected[usize::from(*is_all)];
        wrong.extend(reader.wrong.clone());
        if (reader.events, reader.hash) != (expected.events, expected.hash) {
            wrong.push(format!("{} events instead of {}", reader.events, expected.events));
        }
    }
    wrong.truncate(5);
    Heard {
        events: heard.iter().map(|(_, reader)| reader.events).sum(),
        of_rollout: expected[0].events,
        of_all: expected[1].events,
        resumed: heard.iter().map(|(_, reader)| reader.resumed).sum(),
        wrong,
    }
}

/// One who listens, and goes on where it was.
struct Reader {
    port: u16,
    token: String,
    path: String,
    stream: Option<TcpStream>,
    text: Vec<u8>,
    /// The id told last.
    last: (i64, u64),
    events: u64,
    hash: u64,
    resumed: u64,
    is_over: bool,
    wrong: Option<String>,
}

impl Reader {
    fn new(port: u16, token: &str, path: &str) -> Self {
        Self {
            port,
            token: token.to_owned(),
            path: path.to_owned(),
            stream: None,
            text: vec![],
            last: (0, 0),
            events: 0,
            hash: 0xcbf2_9ce4_8422_2325,
            resumed: 0,
            is_over: false,
            wrong: None,
        }
    }

    /// Asks, and reads on until it was greeted. By HTTP/1.0, so that the body comes as it is.
    async fn connect(&mut self) {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.unwrap();
        let (path, token) = (&self.path, &self.token);
        let from = match self.last {
            (0, _) => String::new(),
            (seq, index) => format!("last-event-id: {seq}.{index}\r\n"),
        };
        let head = format!(
            "GET {path} HTTP/1.0\r\nhost: a\r\nauthorization: Bearer {token}\r\n{from}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        self.text.clear();
        loop {
            assert_ne!(stream.read_buf(&mut self.text).await.unwrap(), 0, "it hung up");
            let text = String::from_utf8_lossy(&self.text);
            if let Some((head, body)) = text.split_once("\r\n\r\n")
                && body.contains("\n\n")
            {
                let is_good = head.starts_with("HTTP/1.") && head[8..].starts_with(" 200");
                assert!(is_good, "{text}");
                self.text = body.as_bytes().to_vec();
                break;
            }
        }
        self.stream = Some(stream);
        self.take();
    }

    async fn until_completed(mut self) -> Self {
        while !self.is_over {
            let Some(stream) = &mut self.stream else {
                self.connect().await;
                continue;
            };
            self.text.reserve(64 << 10);
            match stream.read_buf(&mut self.text).await {
                Ok(read) if read > 0 => self.take(),
                _ => {
                    self.stream = None;
                    self.resumed += 1;
                }
            }
        }
        // It listens no more; what it holds is of no use to the others.
        self.stream = None;
        self
    }

    /// Takes in all that came whole.
    fn take(&mut self) {
        let mut text = std::mem::take(&mut self.text);
        let mut rest = std::str::from_utf8(&text).unwrap();
        while let Some(end) = rest.find("\n\n") {
            self.block(&rest[..end]);
            rest = &rest[end + 2..];
        }
        let taken = text.len() - rest.len();
        text.drain(..taken);
        self.text = text;
    }

    fn block(&mut self, block: &str) {
        let Some(at) = block.find("id: ") else { return };
        let (id, rest) = block[at + 4..].split_once('\n').unwrap_or((&block[at + 4..], ""));
        // Behind a dash it says of which state it is, which is one here.
        let place = id.split('-').next().unwrap();
        let (seq, index) = place.split_once('.').unwrap();
        let id = (seq.parse().unwrap(), index.parse().unwrap());
        let Some(event) = rest.strip_prefix("event: ") else {
            // A place to go on from, and no event.
            self.last = self.last.max(id);
            return;
        };
        if id <= self.last {
            self.wrong = Some(format!("{id:?} after {:?}", self.last));
        }
        self.last = id;
        self.events += 1;
        for word in [id.0 as u64, id.1] {
            self.hash = (self.hash ^ word).wrapping_mul(0x100_0000_01b3);
        }
        self.is_over |= event.starts_with("rollout_completed");
    }
}
