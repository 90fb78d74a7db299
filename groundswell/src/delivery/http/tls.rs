//! TLS: whom to trust, and who we are.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use groundswell_core::outcome::Fault;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem, pem::PemObject};
use tokio_rustls::TlsConnector;

use super::{
    config::{ConfigError, Tls},
    fault::Failure,
};

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Makes TLS connections by the operator's settings.
///
/// The operating system's authorities are read when the first `https` device is met: most fleets
/// have none, and a machine without authorities can serve those.
pub(super) struct TlsSetup {
    provider: Arc<CryptoProvider>,
    identity: Option<Identity>,
    connector: OnceLock<Result<TlsConnector, String>>,
}

impl TlsSetup {
    pub(super) fn new(tls: &Tls) -> Result<Self, ConfigError> {
        let setup = Self {
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
            identity: tls.identity_pem.as_ref().map(read_identity).transpose()?,
            connector: OnceLock::new(),
        };
        if let Some(identity) = &setup.identity {
            setup.check_identity(identity)?;
        }
        let authorities = tls.ca_pem.as_deref().map(read_authorities).transpose()?;
        let verifier: Arc<dyn ServerCertVerifier> = if tls.insecure {
            tracing::warn!(
                "TLS certificates are NOT checked: anyone on the way to a device can read and \
                 replace what is sent to it"
            );
            Arc::new(TrustAnyone(setup.provider.clone()))
        } else if let Some(authorities) = authorities {
            let builder = WebPkiServerVerifier::builder_with_provider(
                Arc::new(authorities),
                setup.provider.clone(),
            );
            builder.build().map_err(|error| ConfigError::Ca(error.to_string()))?
        } else {
            return Ok(setup);
        };
        let connector = setup.connector_with(verifier).map_err(ConfigError::Tls)?;
        let _ = setup.connector.set(Ok(connector));
        Ok(setup)
    }

    /// What makes connections.
    pub(super) fn connector(&self) -> Result<&TlsConnector, Failure> {
        let made = self.connector.get_or_init(|| {
            let verifier = rustls_platform_verifier::Verifier::new(self.provider.clone())
                .map_err(|error| format!("the system's CA certificates: {error}"))?;
            self.connector_with(Arc::new(verifier))
        });
        made.as_ref().map_err(|error| Failure::new(Fault::TlsTrust, error))
    }

    fn connector_with(
        &self,
        verifier: Arc<dyn ServerCertVerifier>,
    ) -> Result<TlsConnector, String> {
        let builder = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &self.identity {
            Some((chain, key)) => builder
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .map_err(|error| error.to_string())?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsConnector::from(Arc::new(config)))
    }

    /// Checks the key, and that it belongs to the certificate, while there is somebody to tell.
    fn check_identity(&self, (chain, key): &Identity) -> Result<(), ConfigError> {
        let (chain, key) = (chain.clone(), key.clone_key());
        match rustls::sign::CertifiedKey::from_der(chain, key, &self.provider) {
            Ok(_) => Ok(()),
            Err(error) => Err(ConfigError::Key(error.to_string())),
        }
    }
}

fn read_authorities(pem: &[u8]) -> Result<RootCertStore, ConfigError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| ConfigError::Ca(describe(&error)))?;
        roots.add(certificate).map_err(|error| ConfigError::Ca(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(ConfigError::Ca(NO_CERTIFICATE.to_owned()));
    }
    Ok(roots)
}

const NO_CERTIFICATE: &str = "no PEM block \"CERTIFICATE\" in it";

fn read_identity((chain, key): &(Vec<u8>, Vec<u8>)) -> Result<Identity, ConfigError> {
    let chain = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| ConfigError::Certificate(describe(&error)))?;
    if chain.is_empty() {
        return Err(ConfigError::Certificate(NO_CERTIFICATE.to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
        ConfigError::Key(match error {
            pem::Error::NoItemsFound => "no PEM block with a private key in it".to_owned(),
            error => describe(&error),
        })
    })?;
    Ok((chain, key))
}

/// Without the content of the block, which may be a key.
fn describe(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a PEM block does not end".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "a PEM block begins wrongly".to_owned(),
        pem::Error::Base64Decode(_) => "a PEM block is not base64".to_owned(),
        pem::Error::NoItemsFound => "nothing in PEM form in it".to_owned(),
        _ => "it is not PEM".to_owned(),
    }
}

/// The verifier of `insecure`: takes any certificate, as long as its owner holds its key.
struct TrustAnyone(Arc<CryptoProvider>);

impl fmt::Debug for TrustAnyone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TrustAnyone")
    }
}

impl ServerCertVerifier for TrustAnyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
