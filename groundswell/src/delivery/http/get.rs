//! One GET of a server that is no device: nothing of a device's request is sent along.

use std::time::Duration;

use groundswell_core::{device::Address, outcome::Fault};
use http::{
    HeaderMap, HeaderValue, Request, Uri,
    header::{CONNECTION, HOST, USER_AGENT},
};

use super::{
    Client,
    answer::VERSION,
    exchange::{self, End, Steps},
    fault::Failure,
    request::{Sendable, agent},
    secrets::Secrets,
    timers::Timers,
    upload::Upload,
};

impl Client {
    /// Asks for `target` at `server` once, with these headers and no other that were set for
    /// devices, over a connection of its own. An answer of another status than `wanted` has no
    /// body; the body of another is read whole, at most 64 KiB of it, or is a fault. What echoes a
    /// sensitive header is blanked. Ends within `within`. Redirects are not followed.
    pub(crate) async fn get(
        &self,
        server: &Address,
        target: &str,
        headers: &HeaderMap,
        wanted: u16,
        within: Duration,
    ) -> Result<(u16, Vec<u8>), Fault> {
        let (config, connector) = self.wire();
        let mut timers = Timers::for_question(&config.clock, within);
        let got = async {
            let mut conn = connector.connect(server, &mut timers).await?;
            conn.flow.begin(0, false);
            let request = request(server, target, headers, Upload::new(None, conn.flow.clone()))?;
            let steps = Steps::new(&config.timeouts, 0);
            let sendable = Sendable { request, bytes: 0 };
            let response = exchange::send(&mut conn, sendable, &steps, &mut timers, None).await?;
            let (parts, body) = response.into_parts();
            let status = parts.status.as_u16();
            if status != wanted {
                return Ok((status, vec![]));
            }
            let mut content =
                exchange::read_content(&mut conn, body, VERSION, &steps, &mut timers, None).await;
            match content.end {
                End::Complete => {}
                End::Enough => return Err(Failure::bare(Fault::Oversized)),
                End::Cut(failure) => return Err(failure),
            }
            conn.close().await;
            Secrets { common: headers, own: None }.blank(&mut content.kept);
            Ok((status, content.kept))
        };
        got.await.map_err(|failure: Failure| failure.fault)
    }
}

fn request(
    server: &Address,
    target: &str,
    headers: &HeaderMap,
    body: Upload,
) -> Result<Request<Upload>, Failure> {
    let refuse = |error: &dyn std::fmt::Display| Failure::new(Fault::BadRequest, error);
    let mut request = Request::new(body);
    *request.uri_mut() = Uri::try_from(target).map_err(|error| refuse(&error))?;
    let all = request.headers_mut();
    all.clone_from(headers);
    let host = HeaderValue::from_str(server.authority()).map_err(|error| refuse(&error))?;
    all.insert(HOST, host);
    all.entry(USER_AGENT).or_insert(agent());
    all.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(request)
}
