//! One thing that is asked: how it is sent, asked again, and read.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use reqwest::{Response, Url};
use serde::{Serialize, de::DeserializeOwned};

use super::{Client, ClientError, Page, error::root};
use crate::api::Problem;

/// The first pause before something is asked again; each is twice the one before.
const PAUSE: Duration = Duration::from_millis(200);

/// The longest pause a server may ask for: beyond, whoever waits is told to come back.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Longest answer that is read as a whole: the story of a rollout is 600 lines, a page of devices
/// half a MiB.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// The same of a problem.
const PROBLEM_BYTES_MAX: usize = 1 << 20;

/// The kind of problem that says that there is no such route.
const NO_SUCH_PLACE: &str = "urn:groundswell:problem:no-such-place";

/// Something that is asked of a server.
pub(super) struct Ask<'a> {
    client: &'a Client,
    method: Method,
    url: Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Option<Bytes>,
    is_repeatable: bool,
}

impl Client {
    /// Something to be read: it may be asked again.
    pub(super) fn get(&self, path: &[&str]) -> Ask<'_> {
        Ask { is_repeatable: true, ..self.ask(Method::GET, path) }
    }

    /// Something to be done: it is asked once.
    pub(super) fn post(&self, path: &[&str]) -> Ask<'_> {
        self.ask(Method::POST, path)
    }

    pub(super) fn ask(&self, method: Method, path: &[&str]) -> Ask<'_> {
        let mut url = self.base.clone();
        // An address that was read always has segments.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        let (headers, body) = (vec![], None);
        Ask { client: self, method, url, headers, body, is_repeatable: false }
    }

    /// A request by whoever has the token.
    pub(super) fn request(&self, method: Method, url: Url) -> reqwest::RequestBuilder {
        let request = self.http.request(method, url);
        request.header(header::AUTHORIZATION, self.authorization.clone())
    }

    /// What happened to a connection.
    pub(super) fn failed(&self, error: &reqwest::Error) -> ClientError {
        let (url, why) = (self.url().to_owned(), root(error));
        if error.is_connect() {
            ClientError::Unreachable { url, why }
        } else if error.is_timeout() {
            ClientError::Silent { url }
        } else {
            ClientError::Broken { url, why }
        }
    }

    /// The answer, unless it is a refusal.
    pub(super) async fn taken(&self, response: Response) -> Result<Response, ClientError> {
        let status = response.status();
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(response);
        }
        let text = |name: HeaderName| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let url = self.url().to_owned();
        if status.is_redirection() {
            let to = text(header::LOCATION).unwrap_or_else(|| "another place".to_owned());
            return Err(ClientError::Redirected { url, to });
        }
        let retry_after_secs = text(header::RETRY_AFTER).and_then(|secs| secs.parse().ok());
        let other = ClientError::Status { url, status: status.as_u16(), retry_after_secs };
        if !text(header::CONTENT_TYPE).is_some_and(|kind| kind.contains("problem+json")) {
            return Err(other);
        }
        let told = self.whole(response, PROBLEM_BYTES_MAX).await?;
        match serde_json::from_slice::<Problem>(&told) {
            Ok(problem) if problem.kind == NO_SUCH_PLACE => {
                Err(self.of_another_version("does not have what is asked of it").await)
            }
            Ok(problem) => {
                let retry_after_secs = problem.retry_after_secs.or(retry_after_secs);
                Err(ClientError::Problem(Box::new(Problem { retry_after_secs, ..problem })))
            }
            Err(_) => Err(other),
        }
    }

    async fn whole(&self, mut response: Response, max: usize) -> Result<Vec<u8>, ClientError> {
        let mut whole = vec![];
        while let Some(part) = response.chunk().await.map_err(|error| self.failed(&error))? {
            if whole.len() + part.len() > max {
                return Err(ClientError::Broken {
                    url: self.url().to_owned(),
                    why: format!("it sends more than {} MiB", max >> 20),
                });
            }
            whole.extend_from_slice(&part);
        }
        Ok(whole)
    }

    /// Reads an answer as what it is to be.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        response: Response,
    ) -> Result<T, ClientError> {
        let whole = self.whole(response, ANSWER_BYTES_MAX).await?;
        match serde_json::from_slice(&whole) {
            Ok(value) => Ok(value),
            Err(error) => {
                let what = format!("answers what this program does not understand ({error})");
                Err(self.of_another_version(&what).await)
            }
        }
    }

    /// The error of a server that does something else than was expected.
    async fn of_another_version(&self, what: &str) -> ClientError {
        let server = self.version().await;
        ClientError::OtherVersion { url: self.url().to_owned(), what: what.to_owned(), server }
    }
}

impl Ask<'_> {
    /// With a query parameter.
    pub(super) fn query(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.url.query_pairs_mut().append_pair(name, value.as_ref());
        self
    }

    /// With a query parameter, if there is a value.
    pub(super) fn query_if(self, name: &str, value: Option<impl AsRef<str>>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// A page of a list.
    pub(super) fn page(self, page: &Page) -> Self {
        let limit = page.limit.map(|limit| limit.to_string());
        self.query_if("limit", limit).query_if("cursor", page.cursor.as_ref())
    }

    /// With a header.
    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((HeaderName::from_static(name), value));
        }
        self
    }

    /// With a body.
    pub(super) fn json(self, body: &impl Serialize) -> Self {
        // Nothing that is sent has keys that are no text.
        let body = serde_json::to_vec(body).unwrap_or_default();
        self.body(HeaderValue::from_static("application/json"), body.into())
    }

    /// With a body of another kind.
    pub(super) fn body(mut self, kind: HeaderValue, body: Bytes) -> Self {
        self.headers.push((header::CONTENT_TYPE, kind));
        self.body = Some(body);
        self
    }

    /// It does no harm if it is done twice.
    pub(super) fn repeatable(self) -> Self {
        Self { is_repeatable: true, ..self }
    }

    /// It is done once, however often it is sent.
    pub(super) fn once(self) -> Self {
        let key = uuid::Uuid::now_v7().to_string();
        self.header("idempotency-key", &key).repeatable()
    }

    /// Asks, and reads the answer.
    pub(super) async fn read<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        let client = self.client;
        client.read(self.answer().await?).await
    }

    /// Asks, again where that may be and helps, and returns an answer that is no refusal.
    pub(super) async fn answer(self) -> Result<Response, ClientError> {
        let tries = if self.is_repeatable { self.client.tries } else { 1 };
        let mut pause = PAUSE;
        for _ in 1..tries {
            let error = match self.send().await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let wait = match error.retry_after_secs().map(Duration::from_secs) {
                Some(wait) if wait <= PAUSE_MAX => wait,
                None if error.is_of_connection() => pause,
                _ => return Err(error),
            };
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
        self.send().await
    }

    async fn send(&self) -> Result<Response, ClientError> {
        let mut request = self.client.request(self.method.clone(), self.url.clone());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        let response = request.send().await.map_err(|error| self.client.failed(&error))?;
        self.client.taken(response).await
    }
}
