//! How many check-ins a second a server answers, and how late what they say is durable.
//!
//! Server and devices are in this process, over real sockets on loopback: both share the cores.
//! `cargo run --release --example checkin -- [DEVICES] [CONNECTIONS] [SECS] [--driven]`; with `--driven`
//! a rollout goes on that has every device, so that each is told what waits for it.

use std::{
    io::Write as _,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use groundswell::{
    Driver,
    access::Kind,
    api::Limits,
    clock::Clock,
    core::{device::Device, rollout::Act, time::Time},
    inventory::{Entry, Inventory},
    networks::Networks,
    operate::State,
    server::{ConnectionLimits, Server, Setup},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{oneshot, watch},
};
use tokio_util::sync::CancellationToken;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Longest answer that is read; ours are a tenth.
const ANSWER_BYTES_MAX: usize = 8_192;

fn main() -> Result<(), Failure> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<usize> = given.iter().filter_map(|word| word.parse().ok()).collect();
    let number = |at: usize, otherwise| numbers.get(at).copied().unwrap_or(otherwise);
    let (devices, connections, secs) = (number(0, 10_000), number(1, 64), number(2, 20));
    let is_driven = given.iter().any(|word| word == "--driven");
    let dir = Path::new("target/checkin");
    let _ = std::fs::remove_dir_all(dir);
    std::fs::create_dir_all(dir)?;
    let data = dir.join("data");
    let tokens = prepare(&data, devices, is_driven)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(&data, &tokens, connections, Duration::from_secs(secs as u64)))
}

/// Devices, each with its token.
fn prepare(data: &Path, devices: usize, is_driven: bool) -> Result<Vec<String>, Failure> {
    let mut state = State::open(data)?;
    let entry = |number: usize| {
        let id = format!("till-{number:06}");
        let device = Device { name: id.clone(), id, ..Device::default() };
        Entry { device, headers: None }
    };
    let entries = (0..devices).map(entry).collect();
    state.import(&Inventory { entries, ..Inventory::default() })?;
    let now = Clock::System.now();
    let mut tokens = vec![];
    for number in 0..devices {
        let kind = Kind::Device { device: format!("till-{number:06}") };
        tokens.push(state.create_token("a device", kind, None, now)?.1.reveal());
    }
    if is_driven {
        let file = data.join("app.bin");
        std::fs::write(&file, b"an update")?;
        state.create_release("app", "2.0.0", &file, now)?;
        let spec = data.join("spec.toml");
        // It is driven, and sends nothing while this is measured.
        let text = "release = \"app 2.0.0\"\nstrategy = \"scheduled\"\n\
                    start_at = \"2099-01-01T00:00:00Z\"\n";
        std::fs::write(&spec, text)?;
        let spec = state.read_spec(&spec, now)?;
        let (key, _) = state.create_rollout(&spec, now)?;
        state.act(key, Act::Start, now)?;
    }
    Ok(tokens)
}

async fn measure(
    data: &Path,
    tokens: &[String],
    connections: usize,
    duration: Duration,
) -> Result<(), Failure> {
    let setup = Setup {
        listen: "127.0.0.1:0".parse()?,
        data: data.to_owned(),
        tls: None,
        allow_plain: false,
        limits: Limits::default(),
        connections: ConnectionLimits::default(),
        networks: Networks::default(),
        gate_secrets: vec![],
    };
    let server = Server::bind(setup, Driver::new(data).called("serve"), Clock::System).await?;
    let address = server.address()?;
    let stop = CancellationToken::new();
    let (begun, is_begun) = oneshot::channel();
    let told = move |_| {
        let _ = begun.send(());
    };
    let running = tokio::spawn(server.run(stop.clone(), told));
    is_begun.await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let start = Instant::now();
    let until = start + duration;
    let share = tokens.len().div_ceil(connections);
    let (said, is_said) = watch::channel(None);
    let callers: Vec<_> = tokens
        .chunks(share)
        .enumerate()
        .map(|(chunk, tokens)| {
            let first = chunk * share;
            let said = (first == 0).then(|| said.clone());
            tokio::spawn(call(address, first, tokens.to_vec(), until, said))
        })
        .collect();
    drop(said);
    let lag = tokio::spawn(watch_lag(data.to_owned(), is_said));
    let mut took = vec![];
    for caller in callers {
        took.extend(caller.await??);
    }
    let secs = start.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |part: f64| took[((took.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    let lag = lag.await??;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{} devices over {connections} connections: {:.0} check-ins a second; p50 {:.2} ms, p99 {:.2} \
         ms, worst {:.1} ms; last_seen at most {:.2} s behind",
        tokens.len(),
        took.len() as f64 / secs,
        at(0.5),
        at(0.99),
        at(1.0),
        lag.as_secs_f64(),
    )?;
    stop.cancel();
    Ok(running.await??)
}

/// One connection: its devices check in one after the other, again and again.
async fn call(
    address: SocketAddr,
    first: usize,
    tokens: Vec<String>,
    until: Instant,
    said: Option<watch::Sender<Option<Time>>>,
) -> Result<Vec<Duration>, Failure> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let body = "{\"version\":\"1.0.0\",\"health\":\"healthy\"}";
    let request = |(at, token): (usize, &String)| {
        format!(
            "POST /api/v1/devices/till-{:06}/check-in HTTP/1.1\r\nhost: a\r\nauthorization: Bearer \
             {token}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            first + at,
            body.len()
        )
    };
    let requests: Vec<String> = tokens.iter().enumerate().map(request).collect();
    let mut took = vec![];
    let mut answer = vec![0; ANSWER_BYTES_MAX];
    for (at, request) in requests.iter().enumerate().cycle() {
        let begin = Instant::now();
        let sent_at = Clock::System.now();
        if begin >= until {
            break;
        }
        stream.write_all(request.as_bytes()).await?;
        read_answer(&mut stream, &mut answer).await?;
        took.push(begin.elapsed());
        if let Some(said) = said.as_ref().filter(|_| at == 0) {
            said.send_replace(Some(sent_at));
        }
    }
    Ok(took)
}

async fn read_answer(stream: &mut TcpStream, answer: &mut [u8]) -> Result<(), Failure> {
    let mut read = 0;
    loop {
        let more = stream.read(&mut answer[read..]).await?;
        if more == 0 {
            return Err("the server hung up".into());
        }
        read += more;
        let text = String::from_utf8_lossy(&answer[..read]);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.ok_or("no length")?.parse()? {
            return if head.starts_with("HTTP/1.1 200") {
                Ok(())
            } else {
                Err(text.as_ref().into())
            };
        }
    }
}

/// How long it takes at most until what one of them said is in the database.
async fn watch_lag(
    data: std::path::PathBuf,
    mut said: watch::Receiver<Option<Time>>,
) -> Result<Duration, Failure> {
    let mut worst = Duration::ZERO;
    let state = State::look(&data)?;
    while said.changed().await.is_ok() {
        let Some(at) = *said.borrow_and_update() else { continue };
        while state.device_view("till-000000", at)?.1.last_seen < Some(at) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        worst = worst.max(Clock::System.now().since(at));
    }
    Ok(worst)
}
