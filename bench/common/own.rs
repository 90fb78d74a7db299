//! What the benches of the server share: this very program started anew as the server, and somebody
//! who asks it. Everything in here is used by each of them.

use std::{
    env,
    fs::{self, File},
    io::{self, ErrorKind},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use groundswell::{
    access::{Kind, Role},
    clock::Clock,
    operate::State,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A server that is not ready by then never is.
const READY_MAX: Duration = Duration::from_mins(2);

/// This program once more, as another process; killed when this is dropped.
pub(crate) struct Own(pub(crate) Child);

impl Own {
    /// Starts it with these words, which are those of the command line for `serve` and `sim`.
    pub(crate) fn start(words: &[&str], out: Stdio) -> Self {
        let program = env::current_exe().unwrap();
        let mut command = Command::new(program);
        let log = File::options().append(true).create(true).open(log()).unwrap();
        command.args(words);
        Self(command.stdin(Stdio::null()).stdout(out).stderr(log).spawn().unwrap())
    }

    /// The server of a state directory.
    pub(crate) fn serve(data: &Path, port: u16) -> Self {
        let listen = format!("127.0.0.1:{port}");
        let data = data.to_str().unwrap();
        let words =
            ["serve", "--listen", &listen, "--data", data, "--allow-network", "127.0.0.0/8"];
        Self::start(&words, Stdio::null())
    }

    /// The most memory it had until now, in MiB.
    pub(crate) fn peak_mib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1_024
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the processes that are started say.
fn log() -> PathBuf {
    env::temp_dir().join("groundswell-bench.log")
}

/// A port that nobody has at the moment.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// The token of an admin, written into a state directory.
pub(crate) fn token(data: &Path) -> String {
    let kind = Kind::Operator { role: Role::Admin, scope: None };
    let mut state = State::open(data).unwrap();
    state.create_token("bench", kind, None, Clock::System.now()).unwrap().1.reveal()
}

/// Waits until a server is ready, and says how long that took.
pub(crate) async fn ready(port: u16) -> Duration {
    let begun = Instant::now();
    loop {
        if let Ok(mut wire) = Wire::connect(port, "").await
            && let Ok((200, _)) = wire.ask("GET", "/readyz", "").await
        {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < READY_MAX, "the server is not ready: {}", log().display());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The one in the middle.
pub(crate) fn median(of: &[f64]) -> f64 {
    let mut sorted = of.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A connection that is kept, and asks one thing after the other.
pub(crate) struct Wire {
    stream: TcpStream,
    token: String,
    read: Vec<u8>,
}

impl Wire {
    pub(crate) async fn connect(port: u16, token: &str) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, token: token.to_owned(), read: vec![] })
    }

    /// The status and the body of the answer.
    pub(crate) async fn ask(
        &mut self,
        method: &str,
        path: &str,
        body: &str,
    ) -> io::Result<(u16, Vec<u8>)> {
        let (token, length) = (&self.token, body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.stream.write_all(head.as_bytes()).await?;
        self.read.clear();
        let end = loop {
            self.more().await?;
            if let Some(at) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let head = String::from_utf8_lossy(&self.read[..end]).to_ascii_lowercase();
        let bad = || io::Error::from(ErrorKind::InvalidData);
        let status = head.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(bad)?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.and_then(|length| length.parse().ok()).ok_or_else(bad)?;
        while self.read.len() < end + length {
            self.more().await?;
        }
        Ok((status, self.read[end..end + length].to_vec()))
    }

    async fn more(&mut self) -> io::Result<()> {
        self.read.reserve(16 << 10);
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}
