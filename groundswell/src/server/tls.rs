//! Certificates of the server, and of those who call it: read from files, and again when these
//! change.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
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

/// How often it is looked whether files have changed: a renewal is days before the end.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Takes TLS connections. A clone shares the certificates.
#[derive(Clone, Debug)]
pub(super) struct Acceptor(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    files: TlsFiles,
    config: ArcSwap<ServerConfig>,
    looked: Mutex<Looked>,
}

#[derive(Debug)]
struct Looked {
    at: tokio::time::Instant,
    stamps: Vec<Option<SystemTime>>,
}

impl Acceptor {
    pub(super) fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let stamps = files.stamps();
        let config = ArcSwap::from_pointee(files.config()?);
        let looked = Mutex::new(Looked { at: tokio::time::Instant::now(), stamps });
        Ok(Self(Arc::new(Inner { files, config, looked })))
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.0.look_again();
        TlsAcceptor::from(self.0.config.load_full()).accept(stream).await
    }
}

impl Inner {
    /// Takes over certificates that were renewed; what cannot be used is told, and those there were
    /// stay.
    fn look_again(&self) {
        let mut looked = self.looked.lock();
        if looked.at.elapsed() < LOOK_EVERY {
            return;
        }
        looked.at = tokio::time::Instant::now();
        let stamps = self.files.stamps();
        if stamps == looked.stamps {
            return;
        }
        looked.stamps = stamps;
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
    fn stamps(&self) -> Vec<Option<SystemTime>> {
        let paths = [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()];
        let stamp = |path: &PathBuf| fs::metadata(path).and_then(|file| file.modified()).ok();
        paths.into_iter().flatten().map(stamp).collect()
    }

    fn config(&self) -> Result<ServerConfig, TlsError> {
        let chain = certificates(&self.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key)?)
            .map_err(|error| bad(&self.key, format!("no private key ({error})")))?;
        let builder = ServerConfig::builder();
        let builder = match &self.client_ca {
            Some(path) => builder.with_client_cert_verifier(verifier(path)?),
            None => builder.with_no_client_auth(),
        };
        let config = builder.with_single_cert(chain, key);
        let mut config =
            config.map_err(|source| TlsError::Unusable { path: self.cert.clone(), source })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn verifier(path: &Path) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| bad(path, error.to_string()))?;
    }
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
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
