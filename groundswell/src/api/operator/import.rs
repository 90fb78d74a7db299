//! Bulk import: `/api/v1/devices/import`, a device a line, a result a line.
//!
//! Lines are read, written and answered in turns, so that neither the request nor the answer is ever
//! in memory as a whole.

use std::{collections::VecDeque, time::Duration};

use axum::{
    body::{Body, BodyDataStream},
    extract::Request,
    response::{IntoResponse, Response},
};
use bytes::{Buf as _, Bytes};
use futures_util::{StreamExt as _, stream};
use groundswell_core::{device::Device, time::Time};
use http::{Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use tracing::{Instrument as _, Span};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{Api, Caller, Problem, routes::Route};
use crate::{
    inventory::{self, BadInventory, Format, Options, ROW_BYTES_MAX, ROWS_MAX},
    store::Written,
};

/// What lines of JSON are sent and answered as.
const MEDIA_TYPE: &str = "application/x-ndjson";

/// Devices written in one transaction: some 20 ms, for which a driver that writes waits.
const AT_ONCE: usize = 1_000;

/// How long more lines are waited for before those that came are written.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// How often it is looked up whether the token is still good while no line comes.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Bytes of lines that are held until they are written.
const HELD_BYTES_MAX: usize = 4 << 20;

/// How programs of some systems begin a text in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Who may do what here.
pub(in crate::api) const ROUTES: &[Route] =
    &[Route::operate(Method::POST, "/api/v1/devices/import")];

pub(in crate::api) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(import))
}

/// What came of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportedLine {
    /// Which line, counted from 1.
    pub line: u64,
    /// The device; none if the line says none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What it did.
    pub result: LineResult,
    /// What is wrong with it, or was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What a line did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LineResult {
    /// The device is new.
    Created,
    /// Something else was known of it.
    Changed,
    /// The same was known of it.
    Same,
    /// Nothing was written; `detail` says why.
    Error,
}

/// Puts devices into the inventory, or brings them up to date: a JSON object a line, as in a file of
/// `device import`. It is answered by a result a line, sent while lines are still being read: read
/// the answer while you send. A bad line does not stop the others. What was written stays if it
/// breaks off, and the same import may be sent again.
#[utoipa::path(
    post, path = "/api/v1/devices/import", tag = "devices",
    request_body(content = String, content_type = "application/x-ndjson"),
    responses(
        (status = 200, body = ImportedLine, content_type = "application/x-ndjson"),
        (status = "default", body = Problem),
    ),
)]
async fn import(api: Api, caller: Caller, request: Request) -> Result<Response, Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case(MEDIA_TYPE) {
        let told = "send a JSON object a line, with Content-Type: application/x-ndjson";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-ndjson", told));
    }
    let lines = Lines::new(request.into_body().into_data_stream());
    let import = Import { api, caller, lines, answered: 0, is_over: false };
    // It is read when the request has been answered already, as far as the log knows.
    let answer = stream::unfold((import, Span::current()), |(mut import, span)| async {
        let results = import.next().instrument(span.clone()).await?;
        Some((Ok::<_, std::convert::Infallible>(results), (import, span)))
    });
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], Body::from_stream(answer)).into_response())
}

/// An import that goes on.
struct Import {
    api: Api,
    caller: Caller,
    lines: Lines,
    /// The last line that was answered.
    answered: u64,
    is_over: bool,
}

/// A line, as far as it was understood.
struct Row {
    line: u64,
    id: Option<String>,
    read: Result<Device, String>,
    note: Option<String>,
}

impl Import {
    /// The results of the next lines; none once all are answered.
    async fn next(&mut self) -> Option<Bytes> {
        let mut rows = vec![];
        while rows.is_empty() {
            if self.is_over {
                return None;
            }
            rows = match self.read().await {
                Ok(rows) => rows,
                Err(problem) => return Some(self.end(&problem)),
            };
        }
        // It may have been revoked while the lines came: none of them is written then.
        if let Err(problem) = self.api.judge_again(&self.caller) {
            return Some(self.end(&problem));
        }
        Some(lines(&self.write(rows).await))
    }

    /// The last line of an answer: from which line on nothing was written, and why.
    fn end(&mut self, problem: &Problem) -> Bytes {
        self.is_over = true;
        let line = self.answered + 1;
        let detail = format!("{}; nothing from this line on was written", problem.detail);
        let (result, detail) = (LineResult::Error, Some(detail));
        lines(&[ImportedLine { line, id: None, result, detail }])
    }

    /// The next line; while none comes, it is looked whether the caller may still send any.
    async fn line(&mut self) -> Result<Option<Line>, Problem> {
        loop {
            match tokio::time::timeout(CHECK_EVERY, self.lines.next()).await {
                Ok(next) => return Ok(next),
                Err(_) => self.api.judge_again(&self.caller)?,
            }
        }
    }

    /// The next lines, as far as they have come.
    async fn read(&mut self) -> Result<Vec<Row>, Problem> {
        let (mut rows, mut held) = (vec![], 0);
        while rows.len() < AT_ONCE && held < HELD_BYTES_MAX {
            let next = if rows.is_empty() {
                self.line().await?
            } else {
                // Whoever waits for an answer before sending more gets one.
                match tokio::time::timeout(PAUSE_MAX, self.lines.next()).await {
                    Ok(next) => next,
                    Err(_) => break,
                }
            };
            let Some((line, text)) = next else {
                self.is_over = true;
                break;
            };
            let is_last = line > ROWS_MAX as u64 || matches!(text, Err(LineFault::BrokenOff));
            held += text.as_ref().map_or(0, Vec::len);
            rows.extend(read(line, text, self.api.now()).map(|row| self.judged(row)));
            if is_last {
                self.is_over = true;
                break;
            }
        }
        Ok(rows)
    }

    /// A line of a device that may not be where it says is a bad one.
    fn judged(&self, row: Row) -> Row {
        let judged = row.read.and_then(|device| match self.api.borders().judge_device(&device) {
            Ok(()) => Ok(device),
            Err(error) => Err(error.to_string()),
        });
        Row { read: judged, ..row }
    }

    async fn write(&mut self, rows: Vec<Row>) -> Vec<ImportedLine> {
        self.answered = rows.last().map_or(self.answered, |row| row.line);
        let devices: Vec<Device> =
            rows.iter().filter_map(|row| row.read.as_ref().ok().cloned()).collect();
        let change = self.caller.change(self.api.now(), "device.import", "devices".to_owned());
        let scope = self.caller.scope().cloned();
        let written = if devices.is_empty() {
            Ok(vec![])
        } else {
            let put = move |state: &mut crate::operate::State, _| {
                state.import_seen(&devices, scope.as_ref())
            };
            self.api.change(change, None, put).await
        };
        // What follows would fare no better.
        self.is_over |= written.is_err();
        let mut written = written.map(Vec::into_iter);
        let result = |Row { line, id, read, note }: Row| {
            let of = |result, detail| ImportedLine { line, id: id.clone(), result, detail };
            let error = |told: String| of(LineResult::Error, Some(told));
            match (read, &mut written) {
                (Err(told), _) => error(told),
                (Ok(_), Err(problem)) => error(problem.detail.clone()),
                (Ok(_), Ok(written)) => match written.next().flatten() {
                    Some(Written::Created) => of(LineResult::Created, note),
                    Some(Written::Changed) => of(LineResult::Changed, note),
                    Some(Written::Same) => of(LineResult::Same, note),
                    None => error("it is not in your scope, or would not be".to_owned()),
                },
            }
        };
        rows.into_iter().map(result).collect()
    }
}

fn lines(results: &[ImportedLine]) -> Bytes {
    let mut text = vec![];
    for result in results {
        // A vector takes whatever is written.
        let _ = serde_json::to_writer(&mut text, result);
        text.push(b'\n');
    }
    text.into()
}

/// What a line says; nothing of an empty one.
fn read(line: u64, text: Result<Vec<u8>, LineFault>, now: Time) -> Option<Row> {
    let fault = |told: String| Some(Row { line, id: None, read: Err(told), note: None });
    let text = match text {
        _ if line > ROWS_MAX as u64 => {
            return fault(format!("more than {ROWS_MAX} lines; the rest was not read"));
        }
        Ok(text) => text,
        Err(LineFault::TooLong) => {
            return fault(format!("the line is longer than {ROW_BYTES_MAX} bytes"));
        }
        Err(LineFault::BrokenOff) => return fault("the body broke off".to_owned()),
    };
    // A mark of byte order stands before the first line, if anywhere.
    let unmarked = text.strip_prefix(MARK);
    if unmarked.is_some() && line > 1 {
        return fault("a mark of byte order stands before the first line only".to_owned());
    }
    if unmarked.unwrap_or(&text).trim_ascii().is_empty() {
        return None;
    }
    let options = Options { format: Some(Format::JsonLines), ..Options::new("the line", now) };
    match inventory::read(&*text, &options) {
        Ok(inventory) => {
            let mut notes: Vec<String> = inventory.ignored.warning().into_iter().collect();
            let entry = inventory.entries.into_iter().next()?;
            if entry.headers.is_some() {
                notes.push("headers may be secrets and are not kept".to_owned());
            }
            let note = Some(notes.join("; ")).filter(|note| !note.is_empty());
            let id = Some(entry.device.id.clone());
            Some(Row { line, id, read: Ok(entry.device), note })
        }
        Err(BadInventory::Rows(bad)) => {
            let reasons = bad.first.iter().flat_map(|row| &row.reasons);
            let told: Vec<String> = reasons.map(ToString::to_string).collect();
            Some(Row { line, id: id_of(&text), read: Err(told.join("; ")), note: None })
        }
        Err(error) => fault(error.to_string()),
    }
}

/// The id that a bad line has, to find it by.
fn id_of(text: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        id: String,
    }
    serde_json::from_slice(text).ok().map(|Named { id }| id)
}

/// Why there is no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineFault {
    /// It is over [`ROW_BYTES_MAX`].
    TooLong,
    /// The connection failed.
    BrokenOff,
}

/// A line without its end, and its number.
type Line = (u64, Result<Vec<u8>, LineFault>);

/// A body, line by line.
struct Lines {
    body: BodyDataStream,
    /// What was received and not looked at.
    left: VecDeque<Bytes>,
    /// What there is of the next line, if anything was received of it.
    begun: Option<Vec<u8>>,
    is_too_long: bool,
    line: u64,
    is_end: bool,
}

impl Lines {
    fn new(body: BodyDataStream) -> Self {
        let left = VecDeque::new();
        Self { body, left, begun: None, is_too_long: false, line: 0, is_end: false }
    }

    /// The next line without its end, and its number. Whoever gives up waiting loses nothing.
    async fn next(&mut self) -> Option<Line> {
        loop {
            let Some(bytes) = self.left.front_mut() else {
                match self.receive().await {
                    Ok(true) => continue,
                    Ok(false) if self.begun.is_none() => return None,
                    Ok(false) => break,
                    Err(fault) => {
                        self.line += 1;
                        return Some((self.line, Err(fault)));
                    }
                }
            };
            let text = self.begun.get_or_insert_default();
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let part = &bytes[..end.unwrap_or(bytes.len())];
            self.is_too_long |= text.len() + part.len() > ROW_BYTES_MAX;
            if !self.is_too_long {
                text.extend_from_slice(part);
            }
            bytes.advance(end.map_or(bytes.len(), |end| end + 1));
            if bytes.is_empty() {
                self.left.pop_front();
            }
            if end.is_some() {
                break;
            }
        }
        self.line += 1;
        let text = self.begun.take().unwrap_or_default();
        let is_too_long = std::mem::take(&mut self.is_too_long);
        Some((self.line, if is_too_long { Err(LineFault::TooLong) } else { Ok(text) }))
    }

    /// Receives more; false if there is no more.
    async fn receive(&mut self) -> Result<bool, LineFault> {
        if self.is_end {
            return Ok(false);
        }
        match self.body.next().await {
            Some(Ok(bytes)) => {
                if !bytes.is_empty() {
                    self.left.push_back(bytes);
                }
                Ok(true)
            }
            Some(Err(_)) => {
                self.is_end = true;
                Err(LineFault::BrokenOff)
            }
            None => {
                self.is_end = true;
                Ok(false)
            }
        }
    }
}

/// For whoever makes bodies up.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzzed {
    use futures_util::FutureExt as _;

    use super::*;

    /// What would be answered to a body that comes in these parts, and what would be written.
    pub(crate) fn answered(parts: &[&[u8]]) -> Vec<(ImportedLine, Option<Device>)> {
        let parts: Vec<Result<Bytes, std::io::Error>> =
            parts.iter().map(|part| Ok(Bytes::copy_from_slice(part))).collect();
        let mut lines = Lines::new(Body::from_stream(stream::iter(parts)).into_data_stream());
        let mut answers = vec![];
        // It is all there: nothing is waited for.
        while let Some(Some((line, text))) = lines.next().now_or_never() {
            let Some(row) = read(line, text, crate::fuzzed::NOW) else { continue };
            let Row { line, id, read, note } = row;
            let (result, detail) = match &read {
                Ok(_) => (LineResult::Created, note),
                Err(told) => (LineResult::Error, Some(told.clone())),
            };
            answers.push((ImportedLine { line, id, result, detail }, read.ok()));
        }
        answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn cut(parts: &[&str]) -> Vec<(u64, Result<String, LineFault>)> {
        let parts: Vec<Result<Bytes, std::io::Error>> =
            parts.iter().map(|part| Ok(Bytes::copy_from_slice(part.as_bytes()))).collect();
        let mut lines = Lines::new(Body::from_stream(stream::iter(parts)).into_data_stream());
        let mut found = vec![];
        while let Some((line, text)) = lines.next().await {
            found.push((line, text.map(|text| String::from_utf8(text).unwrap())));
        }
        found
    }

    #[tokio::test]
    async fn lines_are_cut_wherever_the_body_is() {
        let whole = "one\n\nthree\r\nfour";
        let expected = cut(&[whole]).await;
        let texts: Vec<_> = expected.iter().map(|(_, text)| text.clone().unwrap()).collect();
        assert_eq!(texts, ["one", "", "three\r", "four"]);
        for at in 0..=whole.len() {
            assert_eq!(cut(&[&whole[..at], "", &whole[at..]]).await, expected, "{at}");
        }
        assert_eq!(cut(&["a\n"]).await.len(), 1);
        assert!(cut(&[]).await.is_empty());
    }

    #[test]
    fn every_line_that_says_something_is_answered() {
        let told = |body: &[u8]| -> Vec<(u64, bool)> {
            let answers = fuzzed::answered(&[body]).into_iter();
            answers.map(|(answer, device)| (answer.line, device.is_some())).collect()
        };
        assert_eq!(told(b"\xef\xbb\xbf{\"id\": \"a\"}\n"), [(1, true)]);
        assert_eq!(told(b"\xef\xbb\xbf\n\n{\"id\": \"a\"}"), [(3, true)]);
        let within = b"{\"id\": \"a\"}\n\xef\xbb\xbf\n\xef\xbb\xbf{\"id\": \"b\"}";
        assert_eq!(told(within), [(1, true), (2, false), (3, false)]);
        assert_eq!(told(b"\xef\xbb\xbf\xef\xbb\xbf"), [(1, false)]);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_passed_over_and_not_kept() {
        let long = "x".repeat(ROW_BYTES_MAX);
        let found = cut(&["a\n", &long, "y", &long, "\nb"]).await;
        assert_eq!(found[0], (1, Ok("a".to_owned())));
        assert_eq!(found[1], (2, Err(LineFault::TooLong)));
        assert_eq!(found[2], (3, Ok("b".to_owned())));
    }
}
