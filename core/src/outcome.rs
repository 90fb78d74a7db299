//! What an attempt to deliver, or a question for the version, came to.
//!
//! Owns the words in which delivery reports, and the classification of answers and faults into
//! permanent and transient. Knows nothing of sockets, and decides nothing: what follows from an
//! outcome is [`crate::assignment::apply`]'s.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permanence {
    /// It may pass by itself.
    Transient,
    /// The same attempt will fail the same way.
    Permanent,
}

/// What stopped a delivery or a question, apart from a complete answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The connection was refused.
    ConnectRefused,
    /// No route, network or host down.
    Unreachable,
    /// No connection (TCP and TLS) within the connect time-out.
    ConnectTimeout,
    /// The name could not be looked up just now.
    DnsFailed,
    /// There is no such name.
    NoSuchName,
    /// The certificate is for another name or address.
    TlsName,
    /// The certificate is not trusted.
    TlsTrust,
    /// The certificate has expired or is not valid yet.
    TlsExpired,
    /// No TLS version or cipher in common (1.2 is the minimum).
    TlsVersion,
    /// The TLS handshake was cut or failed otherwise.
    TlsHandshake,
    /// The connection was reset or closed.
    Reset,
    /// The upload made no progress within its time-out.
    UploadStalled,
    /// No response headers in time.
    ResponseTimeout,
    /// The headers came, but the rest of the answer did not in time.
    BodyTimeout,
    /// The answer was not HTTP.
    Malformed,
    /// The answer was larger than we read.
    Oversized,
    /// The attempt as a whole ran out of time.
    AttemptTimeout,
    /// It answered before it had the file, without refusing it.
    AnsweredEarly,
    /// The artifact could not be read here.
    LocalRead,
    /// This machine has no port, file descriptor or memory left for the connection.
    LocalExhausted,
    /// The request could not be built: an address or header that cannot be sent.
    BadRequest,
    /// Nothing is sent to such an address from here, by the rules for networks.
    AddressRefused,
    /// It was canceled here.
    Canceled,
    /// The driver died after it had claimed the device.
    DriverDied,
}

impl Fault {
    /// Whether trying again can help.
    pub const fn permanence(self) -> Permanence {
        match self {
            Self::NoSuchName
            | Self::TlsName
            | Self::TlsTrust
            | Self::TlsExpired
            | Self::TlsVersion
            | Self::BadRequest
            | Self::AddressRefused
            | Self::Canceled => Permanence::Permanent,
            Self::ConnectRefused
            | Self::Unreachable
            | Self::ConnectTimeout
            | Self::DnsFailed
            | Self::TlsHandshake
            | Self::Reset
            | Self::UploadStalled
            | Self::ResponseTimeout
            | Self::BodyTimeout
            | Self::Malformed
            | Self::Oversized
            | Self::AttemptTimeout
            | Self::AnsweredEarly
            | Self::LocalRead
            | Self::LocalExhausted
            | Self::DriverDied => Permanence::Transient,
        }
    }

    /// In words, to follow "device 17: ".
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConnectRefused => "connection refused",
            Self::Unreachable => "host unreachable",
            Self::ConnectTimeout => "no connection in time",
            Self::DnsFailed => "name look-up failed",
            Self::NoSuchName => "no such host name",
            Self::TlsName => "certificate is for another name",
            Self::TlsTrust => "certificate is not trusted",
            Self::TlsExpired => "certificate is expired or not yet valid",
            Self::TlsVersion => "no TLS version or cipher in common",
            Self::TlsHandshake => "TLS handshake failed",
            Self::Reset => "connection reset",
            Self::UploadStalled => "upload made no progress",
            Self::ResponseTimeout => "no answer in time",
            Self::BodyTimeout => "answer did not end in time",
            Self::Malformed => "answer is not HTTP",
            Self::Oversized => "answer is too large",
            Self::AttemptTimeout => "attempt ran out of time",
            Self::AnsweredEarly => "answered before it had the file",
            Self::LocalRead => "artifact could not be read",
            Self::LocalExhausted => {
                "this machine has no ports, files or memory left (raise ulimit -n or \
                 net.ipv4.ip_local_port_range, or lower --max-in-flight)"
            }
            Self::BadRequest => "request could not be built",
            Self::AddressRefused => "address may not be connected to from here",
            Self::Canceled => "canceled",
            Self::DriverDied => "the run was ended after it had claimed the device",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one delivery came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// The body did not leave whole: the device cannot have acted on it.
    NotSent {
        /// What stopped it.
        fault: Fault,
        /// More, for people; bounded and escaped.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        detail: String,
    },
    /// A complete 2xx answer.
    Accepted {
        /// The status code.
        status: u16,
    },
    /// A complete answer that is not 2xx.
    Refused {
        /// The status code.
        status: u16,
        /// How long the device asked us to wait, from now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<Duration>,
        /// The start of the answer's body, at most 1 KiB, escaped.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        detail: String,
    },
    /// The last byte may have left and no complete answer came.
    Unknown {
        /// What was seen instead of an answer.
        fault: Fault,
        /// More, for people; bounded and escaped.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        detail: String,
    },
    /// Asked before the first attempt, the device already reported the release's version.
    AlreadyCurrent,
}

/// What an HTTP status means for a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusMeaning {
    /// 2xx.
    Accepted,
    /// Not 2xx, and whether trying again can help.
    Refused(Permanence),
}

/// Classifies a final HTTP status: 2xx accepted; 5xx, 408, 425 and 429 transient; every other
/// 3xx and 4xx (and what is no HTTP class) permanent.
pub const fn classify_status(status: u16) -> StatusMeaning {
    match status {
        200..=299 => StatusMeaning::Accepted,
        408 | 425 | 429 | 500..=599 => StatusMeaning::Refused(Permanence::Transient),
        _ => StatusMeaning::Refused(Permanence::Permanent),
    }
}

/// What a device said when it was asked for its version once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Answer {
    /// A 200 with a version that could be read.
    Version {
        /// As reported, trimmed.
        version: String,
    },
    /// A complete HTTP answer without a version that could be read.
    Unreadable {
        /// The status code.
        status: u16,
        /// Why no version could be read; bounded and escaped.
        detail: String,
    },
    /// No complete answer.
    Silent {
        /// What was seen instead.
        fault: Fault,
        /// More, for people; bounded and escaped.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        detail: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses() {
        use Permanence::{Permanent, Transient};
        let table = [
            (200, StatusMeaning::Accepted),
            (204, StatusMeaning::Accepted),
            (299, StatusMeaning::Accepted),
            (301, StatusMeaning::Refused(Permanent)),
            (304, StatusMeaning::Refused(Permanent)),
            (400, StatusMeaning::Refused(Permanent)),
            (401, StatusMeaning::Refused(Permanent)),
            (403, StatusMeaning::Refused(Permanent)),
            (404, StatusMeaning::Refused(Permanent)),
            (408, StatusMeaning::Refused(Transient)),
            (425, StatusMeaning::Refused(Transient)),
            (429, StatusMeaning::Refused(Transient)),
            (499, StatusMeaning::Refused(Permanent)),
            (500, StatusMeaning::Refused(Transient)),
            (599, StatusMeaning::Refused(Transient)),
            (600, StatusMeaning::Refused(Permanent)),
        ];
        for (status, meaning) in table {
            assert_eq!(classify_status(status), meaning, "{status}");
        }
    }
}
