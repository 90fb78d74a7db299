//! What errors of the layers below mean.

use std::{error::Error, fmt, io};

use groundswell_core::outcome::Fault;
use rustls::{AlertDescription, CertificateError};

use super::{escape::escape, io::Flood};

/// Most bytes of detail: a line for people, not a record.
const DETAIL_BYTES_MAX: usize = 256;

/// A fault and more about it, bounded and escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) fault: Fault,
    pub(super) detail: String,
}

impl Failure {
    pub(super) fn new(fault: Fault, detail: &dyn fmt::Display) -> Self {
        Self { fault, detail: escape(detail.to_string().as_bytes(), DETAIL_BYTES_MAX) }
    }

    pub(super) const fn bare(fault: Fault) -> Self {
        Self { fault, detail: String::new() }
    }

    /// An error while connecting.
    pub(super) fn connecting(error: &io::Error) -> Self {
        let fault = match error.kind() {
            _ if is_local(error) => Fault::LocalExhausted,
            io::ErrorKind::ConnectionRefused => Fault::ConnectRefused,
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Fault::Reset,
            io::ErrorKind::TimedOut => Fault::ConnectTimeout,
            _ => Fault::Unreachable,
        };
        Self::new(fault, error)
    }

    /// Whether the device says that it does not take our certificate. It may say so only when the
    /// request is on its way already (TLS 1.3), and has not looked at it then.
    pub(super) fn is_turned_away(&self) -> bool {
        self.fault == Fault::TlsTrust
    }

    /// An error in the TLS handshake.
    pub(super) fn handshake(error: &io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(error) => Self::new(tls_fault(error), error),
            None => Self::new(Fault::TlsHandshake, error),
        }
    }

    /// An error while a request is sent or its answer read.
    pub(super) fn exchange(error: &hyper::Error) -> Self {
        let mut chain = error.to_string();
        let mut source = error.source();
        let mut fault = None;
        while let Some(error) = source {
            chain.push_str(": ");
            chain.push_str(&error.to_string());
            if let Some(error) = error.downcast_ref::<io::Error>() {
                fault = Some(io_fault(error));
            }
            source = error.source();
        }
        let fault = if error.is_user() {
            Fault::LocalRead
        } else if error.is_parse_too_large() {
            Fault::Oversized
        } else if error.is_parse() {
            Fault::Malformed
        } else {
            fault.unwrap_or(Fault::Reset)
        };
        Self::new(fault, &chain)
    }
}

/// Linux's numbers of ENOMEM, ENFILE, EMFILE and ENOBUFS, for which the standard library has no
/// kinds or shares one with other errors.
const EXHAUSTED: [i32; 4] = [12, 23, 24, 105];

/// Whether this machine lacks something, and not the device.
fn is_local(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error().is_some_and(|number| EXHAUSTED.contains(&number))
}

fn io_fault(error: &io::Error) -> Fault {
    if error.get_ref().and_then(|inner| inner.downcast_ref::<Flood>()).is_some() {
        return Fault::Oversized;
    }
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return match tls_fault(error) {
            // The handshake is long over.
            Fault::TlsHandshake => Fault::Reset,
            fault => fault,
        };
    }
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => Fault::Malformed,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Fault::Unreachable,
        _ => Fault::Reset,
    }
}

fn tls_fault(error: &rustls::Error) -> Fault {
    match error {
        rustls::Error::InvalidCertificate(error) => certificate_fault(error),
        rustls::Error::NoCertificatesPresented
        | rustls::Error::UnsupportedNameType
        | rustls::Error::InvalidCertRevocationList(_) => Fault::TlsTrust,
        rustls::Error::PeerIncompatible(_) => Fault::TlsVersion,
        rustls::Error::AlertReceived(alert) => alert_fault(*alert),
        _ => Fault::TlsHandshake,
    }
}

fn certificate_fault(error: &CertificateError) -> Fault {
    match error {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Fault::TlsName
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => Fault::TlsExpired,
        _ => Fault::TlsTrust,
    }
}

/// What the other side says is wrong with us (RFC 8446 section 6.2). A missing client certificate
/// is an alert of its own in TLS 1.3, and one of several in 1.2.
fn alert_fault(alert: AlertDescription) -> Fault {
    match alert {
        AlertDescription::ProtocolVersion
        | AlertDescription::InsufficientSecurity
        | AlertDescription::HandshakeFailure
        | AlertDescription::InappropriateFallback
        | AlertDescription::NoApplicationProtocol => Fault::TlsVersion,
        AlertDescription::UnrecognisedName => Fault::TlsName,
        AlertDescription::CertificateRequired
        | AlertDescription::NoCertificate
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied
        | AlertDescription::DecryptError => Fault::TlsTrust,
        _ => Fault::TlsHandshake,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_machine_lacks_is_not_the_device_s_fault() {
        for (number, fault) in [
            (99, Fault::LocalExhausted),
            (12, Fault::LocalExhausted),
            (23, Fault::LocalExhausted),
            (24, Fault::LocalExhausted),
            (105, Fault::LocalExhausted),
            (111, Fault::ConnectRefused),
            (113, Fault::Unreachable),
            (101, Fault::Unreachable),
        ] {
            let error = io::Error::from_raw_os_error(number);
            assert_eq!(Failure::connecting(&error).fault, fault, "{error}");
        }
    }
}
