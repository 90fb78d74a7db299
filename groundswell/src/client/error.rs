//! Why something was not done, and what to do.

use std::{error::Error, path::PathBuf};

use crate::api::Problem;

/// Why something that was asked of a server was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// Not where a server could be.
    #[error("`{0}` is not the address of a server: write https://HOST or http://HOST:PORT")]
    Url(String),
    /// Not what a token looks like. What was given is not told.
    #[error("that is no token: one begins with gsw_ and is one word")]
    Token,
    /// A file of authorities cannot be used.
    #[error("the authorities in {} cannot be used: {why}", path.display())]
    Ca {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A certificate of one's own, or its key, cannot be used.
    #[error("the certificate in {} cannot be used: {why}", path.display())]
    Identity {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// No connection could be made at all.
    #[error("there is no TLS on this machine: {0}")]
    Tls(String),
    /// Nobody is there, or nobody who can be trusted.
    #[error("cannot reach {url}: {why}{}", unreachable_hint(.url, .why))]
    Unreachable {
        /// The server.
        url: String,
        /// Why not.
        why: String,
    },
    /// It did not answer in time.
    #[error(
        "{url} does not answer; whether what was asked was done is not known: look, then ask again"
    )]
    Silent {
        /// The server.
        url: String,
    },
    /// The connection failed in the middle.
    #[error(
        "the connection to {url} broke off: {why}{}", broken_hint(.url, .why)
    )]
    Broken {
        /// The server.
        url: String,
        /// How.
        why: String,
    },
    /// It sends elsewhere.
    #[error(
        "{url} sends to {to}, where the token is not shown: if that is the server, name it by that \
         address"
    )]
    Redirected {
        /// The server.
        url: String,
        /// Where it sends to.
        to: String,
    },
    /// It was refused, in the words of the server.
    #[error("{}{}", .0.detail, problem_hint(.0))]
    Problem(Box<Problem>),
    /// Something that is no Groundswell server refused it.
    #[error(
        "{url} answers {status}, and not as a Groundswell server does: is it the right address?"
    )]
    Status {
        /// The server.
        url: String,
        /// What it answered.
        status: u16,
        /// In how many seconds to try again, if it said so.
        retry_after_secs: Option<u64>,
    },
    /// It answers what this program cannot read, or lacks what it asks for.
    #[error("{url} {what}{}", version_hint(.server.as_deref()))]
    OtherVersion {
        /// The server.
        url: String,
        /// What it does.
        what: String,
        /// The version of the server, if that could be found out.
        server: Option<String>,
    },
    /// A file that was to be sent cannot be read.
    #[error("{} cannot be read: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
}

impl ClientError {
    /// The problem that the server told, if it did.
    pub const fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// Whether it is what was asked for that is wrong, and not the server or the way there.
    pub fn is_of_input(&self) -> bool {
        match self {
            Self::Problem(problem) => problem.status < 500 && problem.status != 429,
            Self::Url(_)
            | Self::Token
            | Self::Ca { .. }
            | Self::Identity { .. }
            | Self::File { .. } => true,
            _ => false,
        }
    }

    /// Whether nothing was heard of the server, so that whatever may be done twice may be tried
    /// again.
    pub(super) const fn is_of_connection(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Silent { .. } | Self::Broken { .. })
    }

    /// When the server wants to be asked again.
    pub(super) const fn retry_after_secs(&self) -> Option<u64> {
        match self {
            Self::Problem(problem) if matches!(problem.status, 429 | 503) => {
                problem.retry_after_secs
            }
            Self::Status { status: 429 | 503, retry_after_secs, .. } => *retry_after_secs,
            _ => None,
        }
    }
}

/// What a chain of errors ends with: what happened, without the layers that passed it on.
pub(super) fn root(error: &dyn Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// What was said where the one side spoke TLS and the other did not; nothing of a request was read.
fn scheme_hint(url: &str, why: &str) -> Option<&'static str> {
    if url.starts_with("https:") && why.contains("InvalidContentType") {
        return Some(
            "; what is there speaks plain HTTP, without TLS: is it http:// that is meant?",
        );
    }
    let is_no_http = ["invalid HTTP version", "HTTP/0.9"].iter().any(|told| why.contains(told));
    (url.starts_with("http:") && is_no_http)
        .then_some("; what is there speaks no plain HTTP: is it https:// that is meant?")
}

/// What to do about an alert of a server that lets only those connect who show a certificate.
fn identity_hint(why: &str) -> Option<&'static str> {
    if why.contains("CertificateRequired") {
        return Some(
            "; the server asks who calls for a certificate: name yours by --cert FILE --key FILE",
        );
    }
    let alerts = [
        "alert: UnknownCA",
        "alert: BadCertificate",
        "alert: DecryptError",
        "alert: CertificateExpired",
    ];
    alerts
        .iter()
        .any(|alert| why.contains(alert))
        .then_some("; the server does not take the certificate that --cert names")
}

fn broken_hint(url: &str, why: &str) -> &'static str {
    scheme_hint(url, why)
        .or_else(|| identity_hint(why))
        .unwrap_or("; whether what was asked was done is not known: look, then ask again")
}

fn unreachable_hint(url: &str, why: &str) -> &'static str {
    if let Some(hint) = scheme_hint(url, why).or_else(|| identity_hint(why)) {
        hint
    } else if why.contains("certificate") {
        "; if the server has one of an authority of yours, name that by --ca FILE"
    } else if why.contains("refused") {
        "; is `groundswell serve` running there?"
    } else {
        ""
    }
}

fn problem_hint(problem: &Problem) -> String {
    let told = match problem.status {
        401 => "; `groundswell login URL` takes another one".to_owned(),
        404 => missing_hint(&problem.detail),
        500 => problem.request_id.as_ref().map_or_else(String::new, |id| format!(" ({id})")),
        _ => String::new(),
    };
    match problem.retry_after_secs {
        Some(secs) => format!("{told}; try again in {secs} s"),
        None => told,
    }
}

/// What the command line does about what is not there: a server says nothing of commands.
fn missing_hint(detail: &str) -> String {
    let named = |noun: &str| {
        detail
            .strip_prefix(&format!("there is no {noun} "))
            .filter(|rest| !rest.contains([';', ':']))
    };
    if named("device").is_some() {
        return "; import it with `groundswell device import`".to_owned();
    }
    if let Some(release) = named("release") {
        return format!("; `groundswell release create {release} FILE` makes it");
    }
    if named("rollout").is_some() {
        return "; `groundswell rollout list` has those that you may see".to_owned();
    }
    if detail.contains(": they are numbered 1 to ") {
        return "; `groundswell rollout list` has them".to_owned();
    }
    String::new()
}

fn version_hint(server: Option<&str>) -> String {
    let own = env!("CARGO_PKG_VERSION");
    match server {
        Some(server) if server != own => format!(
            ": the server is of version {server}, this program of {own}; use the program of the \
             server's version"
        ),
        Some(_) => String::new(),
        None => format!(
            ": it is of another version than this program ({own}), or no Groundswell server at all"
        ),
    }
}
