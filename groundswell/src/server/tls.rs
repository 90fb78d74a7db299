//! Certificates of the server, and of those who call it: read from files, and again when these
//! change.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    version,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Where certificates are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate and those that lead from it to an authority (PEM).
    pub cert: PathBuf,
    /// Its private key (PEM).
    pub key: PathBuf,
    /// The authorities whose certificates callers have to show; none: they show none (PEM).
    pub client_ca: Option<PathBuf>,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file has not what it should have.
    #[error("{}: {what}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// They do not go together.
    #[error("the certificate {} and its key cannot be used together", path.display())]
    Unusable {
        /// The certificate.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// Takes TLS connections. A clone shares the certificates.
#[derive(Clone, Debug)]
pub(super) struct Acceptor(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    files: TlsFiles,
    config: ArcSwap<ServerConfig>,
    seen: Mutex<Vec<Stamp>>,
}

/// What tells that a file is another one than before; none: it cannot be looked at.
type Stamp = Option<(SystemTime, u64, u64)>;

impl Acceptor {
    pub(super) fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let stamps = files.stamps();
        let config = ArcSwap::from_pointee(files.config()?);
        Ok(Self(Arc::new(Inner { files, config, seen: Mutex::new(stamps) })))
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.0.look_again();
        TlsAcceptor::from(self.0.config.load_full()).accept(stream).await
    }
}

impl Inner {
    /// Takes over certificates that were renewed; what cannot be used is told once, and those there
    /// were stay. Looked at by each connection: three looks at a file are nothing beside a handshake.
    fn look_again(&self) {
        let stamps = self.files.stamps();
        {
            let mut seen = self.seen.lock();
            if stamps == *seen {
                return;
            }
            *seen = stamps;
        }
        match self.files.config() {
            Ok(config) => {
                self.config.store(Arc::new(config));
                tracing::info!("the certificate {} was renewed", self.files.cert.display());
            }
            Err(error) => tracing::error!(
                "the renewed certificate is not used, the one before is: {:#}",
                anyhow::Error::from(error)
            ),
        }
    }
}

impl TlsFiles {
    fn stamps(&self) -> Vec<Stamp> {
        let paths = [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()];
        let stamp = |path: &PathBuf| {
            let file = fs::metadata(path).ok()?;
            Some((file.modified().ok()?, file.len(), file.ino()))
        };
        paths.into_iter().flatten().map(stamp).collect()
    }

    fn config(&self) -> Result<ServerConfig, TlsError> {
        let chain = certificates(&self.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key)?)
            .map_err(|error| bad(&self.key, format!("no private key ({error})")))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let unusable = |source| TlsError::Unusable { path: self.cert.clone(), source };
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(unusable)?;
        let builder = match &self.client_ca {
            Some(path) => builder.with_client_cert_verifier(verifier(path, provider)?),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(unusable)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn verifier(
    path: &Path,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| bad(path, error.to_string()))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    verifier.map_err(|error| bad(path, error.to_string()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    let found = found.map_err(|error| bad(path, error.to_string()))?;
    if found.is_empty() { Err(bad(path, "no certificate in it".to_owned())) } else { Ok(found) }
}

fn bad(path: &Path, what: String) -> TlsError {
    TlsError::Pem { path: path.to_owned(), what }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}
