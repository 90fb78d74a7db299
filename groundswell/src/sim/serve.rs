//! What a request to a simulated device gets.
//!
//! Owns the routes and the order of things: who is meant, is it up, does a fault hit, the body,
//! the answer. Knows nothing of sockets; a fault that HTTP cannot express leaves as an
//! [`Ending`]. Start with [`connection`].

use std::{borrow::Cow, net::IpAddr, sync::atomic::Ordering::Relaxed};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use tokio::net::TcpStream;

use super::{
    device::{Fate, Said},
    fault::{self, Hit, SICKENS_AFTER},
    fleet::Shared,
    headers::{BadHeader, Told},
    network::{Link, Network},
    reception::Reception,
    visits::Visit,
    wire::Ending,
};

/// Room for more addresses than may be cut off.
const NETWORK_BYTES_MAX: usize = 64 << 10;

type Answer = Response<Full<Bytes>>;

/// Serves the connection of this number until it ends. `local` names the device if no header does.
pub(super) async fn connection(shared: &Shared, local: IpAddr, number: u64, mut stream: TcpStream) {
    let visit = shared.visits.enter(local);
    let service = service_fn(|request| answer(shared, &visit, request));
    let served = http1::Builder::new()
        .auto_date_header(false)
        .serve_connection(TokioIo::new(Link::new(&mut stream, shared, &visit, number)), service)
        .await;
    if let Err(error) = served
        && let Some(ending) = Ending::behind(&error)
    {
        // However it ends, it ends; there is nobody to tell.
        let _ = ending.play(stream, &shared.options.clock).await;
    }
}

async fn answer(
    shared: &Shared,
    visit: &Visit<'_>,
    request: Request<Incoming>,
) -> Result<Answer, Ending> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let is_update = path.ends_with("/update");
    let is_health = path.ends_with("/healthz");
    if !(is_update || is_health || path.ends_with("/version")) {
        visit.set_about_fleet();
        if path == "/sim/network" {
            return Ok(network(shared, &head.method, visit, body).await);
        }
        return Ok(about_the_fleet(shared, &head.method, path, head.uri.query()));
    }
    shared.counts.requests.fetch_add(1, Relaxed);
    let _open = visit.begin_request();
    let told = match Told::read(&head.headers) {
        Ok(told) => told,
        Err(BadHeader(name)) => {
            return Ok(refusal(400, &format!("{name} is there twice, too long or not readable")));
        }
    };
    let device = match &told.device {
        Some(device) => Cow::Borrowed(&**device),
        None => Cow::Owned(visit.address().to_string()),
    };
    match (is_update, &head.method) {
        (true, &Method::POST) => update(shared, &device, &told, body).await,
        (false, &Method::GET) if is_health => health(shared, &device).await,
        (false, &Method::GET) => version(shared, &device).await,
        (true, _) => Ok(refusal(405, "updates are sent by POST")),
        (false, _) => Ok(refusal(405, "a device is asked by GET")),
    }
}

async fn update(
    shared: &Shared,
    device: &str,
    told: &Told<'_>,
    body: Incoming,
) -> Result<Answer, Ending> {
    let begun = shared.devices.enter(device, |device| device.begin_update(|| shared.now()));
    let (place, number) = match begun {
        None => return Ok(no_room()),
        Some((_, None)) => return Err(turn_away(shared)),
        Some((place, Some(number))) => (place, number),
    };
    let options = &shared.options;
    let hit = fault::hit(&options.faults, options.seed, device, number);
    if let Some(hit) = hit {
        shared.counts.add_fault(hit.name());
    }
    let mut reception = Reception::begin(shared, place, told, hit.map(Hit::name));
    reception.read(body, hit).await?;
    let fate = reception.finish(match hit {
        None | Some(Hit::Slow | Hit::Twice | Hit::ResetWithin | Hit::Sickens) => {
            Fate::Accepted(200)
        }
        Some(Hit::Status(_, status)) if (200..300).contains(&status) => Fate::Accepted(status),
        Some(Hit::Status(_, status)) => Fate::Refused(status),
        Some(Hit::WrongVersion) => Fate::Kept,
        Some(Hit::Bricks) => Fate::Bricked,
        Some(Hit::Lost(_)) => Fate::Lost,
    });
    if matches!(fate, Fate::Accepted(_) | Fate::Lost) {
        let sick_at = matches!(hit, Some(Hit::Sickens)).then(|| shared.now() + SICKENS_AFTER);
        shared.devices.at(place, |device| device.sicken(sick_at));
    }
    latency(shared).await;
    let mut answer = match (fate, hit) {
        (Fate::Lost, Some(Hit::Lost(name))) => return Err(Ending::of(name)),
        (Fate::Accepted(_), Some(Hit::Slow)) => return Err(Ending::Drip),
        (Fate::Accepted(_), Some(Hit::Twice)) => return Err(Ending::Twice),
        (Fate::Refused(status), Some(Hit::Status(..))) => refusal(status, "refused by design"),
        (Fate::Refused(status), _) => refusal(status, "the body is not the one Repr-Digest names"),
        (Fate::Accepted(status), _) => plain(status, Bytes::from_static(b"{\"accepted\":true}")),
        (Fate::Kept | Fate::Bricked | Fate::Lost, _) => {
            plain(200, Bytes::from_static(b"{\"accepted\":true}"))
        }
    };
    if !options.reboot.is_zero() && !matches!(fate, Fate::Refused(_)) {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(answer)
}

async fn version(shared: &Shared, device: &str) -> Result<Answer, Ending> {
    latency(shared).await;
    let now = shared.now();
    let at_ms = shared.at_ms(now);
    match shared.devices.with(device, |device| device.answer_version(now, at_ms)) {
        None => Ok(no_room()),
        Some(Said::Nothing) => Err(turn_away(shared)),
        Some(Said::Broken) => Ok(refusal(500, "broken by its update, by design")),
        Some(Said::Version(version)) => {
            #[derive(Serialize)]
            struct Version<'a> {
                version: &'a str,
            }
            Ok(json(200, &Version { version: &version }))
        }
    }
}

async fn health(shared: &Shared, device: &str) -> Result<Answer, Ending> {
    latency(shared).await;
    let now = shared.now();
    match shared.devices.with(device, |device| device.is_well(now)) {
        None => Ok(no_room()),
        Some(None) => Err(turn_away(shared)),
        Some(Some(true)) => Ok(plain(200, Bytes::from_static(b"{\"well\":true}"))),
        Some(Some(false)) => Ok(refusal(503, "not well since its update, by design")),
    }
}

fn about_the_fleet(shared: &Shared, method: &Method, path: &str, query: Option<&str>) -> Answer {
    let named = query.unwrap_or_default().split('&').find_map(|part| part.strip_prefix("device="));
    let named = named.map(|id| percent_decode_str(id).decode_utf8_lossy());
    match (path, named) {
        ("/sim/report" | "/sim/summary", _) if *method != Method::GET => {
            refusal(405, "reports are asked for by GET")
        }
        ("/sim/report", Some(id)) => match shared.device(&id) {
            Some(report) => json(200, &report),
            None => refusal(404, "no such device was heard of"),
        },
        ("/sim/report", None) => json(200, &shared.report()),
        ("/sim/summary", _) => json(200, &shared.summary()),
        _ => refusal(
            404,
            "there are POST .../update, GET .../version, GET .../healthz, GET /sim/report, GET \
             /sim/summary and GET and PUT /sim/network",
        ),
    }
}

/// What the network is like, or is to be like from now on.
async fn network(shared: &Shared, method: &Method, visit: &Visit<'_>, body: Incoming) -> Answer {
    match *method {
        Method::GET => {}
        Method::PUT if !visit.address().is_loopback() => {
            return refusal(403, "the network is changed from this machine only");
        }
        Method::PUT => match read_network(body).await {
            Ok(network) => shared.weather.set(network),
            Err(why) => return refusal(400, &why),
        },
        _ => return refusal(405, "the network is asked for by GET and changed by PUT"),
    }
    json(200, &*shared.weather.now())
}

async fn read_network(body: Incoming) -> Result<Network, String> {
    let body = Limited::new(body, NETWORK_BYTES_MAX).collect().await;
    let body = body.map_err(|error| error.to_string())?.to_bytes();
    let network: Network = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    network.check().map(|()| network)
}

async fn latency(shared: &Shared) {
    let options = &shared.options;
    if !options.latency.is_zero() {
        options.clock.sleep(options.latency, "sim latency").await;
    }
}

fn turn_away(shared: &Shared) -> Ending {
    shared.counts.turned_away.fetch_add(1, Relaxed);
    Ending::Reset
}

fn no_room() -> Answer {
    refusal(503, "the simulated fleet has no room for another device")
}

fn refusal(status: u16, error: &str) -> Answer {
    #[derive(Serialize)]
    struct Refusal<'a> {
        error: Cow<'a, str>,
    }
    json(status, &Refusal { error: error.into() })
}

fn json(status: u16, value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(body) => plain(status, body.into()),
        Err(_) => plain(500, Bytes::new()),
    }
}

fn plain(status: u16, body: Bytes) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let has_body = !matches!(status.as_u16(), 204 | 205 | 304);
    let mut answer = Response::new(Full::new(if has_body { body } else { Bytes::new() }));
    *answer.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}
