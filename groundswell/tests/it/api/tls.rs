//! TLS of the server: certificates that are renewed, and those of callers.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

use groundswell::server::TlsFiles;
use reqwest::{Certificate, Client, ClientBuilder, StatusCode};

use super::support::Served;
use crate::support::pki::{Authority, Identity};

fn write(dir: &Path, identity: &Identity) {
    fs::write(dir.join("server.crt"), &identity.certificate_pem).unwrap();
    fs::write(dir.join("server.key"), &identity.key_pem).unwrap();
}

async fn served(dir: &Path, client_ca: Option<&Authority>) -> Served {
    let client_ca = client_ca.map(|authority| {
        fs::write(dir.join("clients.crt"), authority.pem()).unwrap();
        dir.join("clients.crt")
    });
    let (cert, key) = (dir.join("server.crt"), dir.join("server.key"));
    Served::start_with(|mut setup| {
        setup.tls = Some(TlsFiles { cert, key, client_ca });
        setup
    })
    .await
}

fn trusting(authority: &Authority) -> ClientBuilder {
    let root = Certificate::from_pem(&authority.pem()).unwrap();
    Client::builder().tls_certs_only([root])
}

/// What a connection of its own comes to.
async fn status(served: &Served, client: ClientBuilder) -> Result<StatusCode, reqwest::Error> {
    let url = format!("https://{}/docs", served.address);
    let answer = client.build().unwrap().get(url).send().await?;
    assert_eq!(answer.headers()["strict-transport-security"], "max-age=31536000");
    Ok(answer.status())
}

#[tokio::test]
async fn a_renewed_certificate_is_seen_by_the_next_connection_and_a_broken_one_by_none() {
    let dir = tempfile::tempdir().unwrap();
    let (before, after) = (Authority::new(), Authority::new());
    write(dir.path(), &before.issue(&["127.0.0.1"]));
    let served = served(dir.path(), None).await;
    let see = |authority| status(&served, trusting(authority));
    assert_eq!(see(&before).await.unwrap(), StatusCode::OK);
    assert!(see(&after).await.is_err());

    fs::write(dir.path().join("server.crt"), "no certificate").unwrap();
    assert_eq!(see(&before).await.unwrap(), StatusCode::OK, "the one before stays");
    // The certificate comes first, and for a moment its key is another one's.
    let renewed = after.issue(&["127.0.0.1"]);
    fs::write(dir.path().join("server.crt"), &renewed.certificate_pem).unwrap();
    assert_eq!(see(&before).await.unwrap(), StatusCode::OK, "they do not go together yet");
    fs::write(dir.path().join("server.key"), &renewed.key_pem).unwrap();
    assert_eq!(see(&after).await.unwrap(), StatusCode::OK);
    assert!(see(&before).await.is_err());
    fs::remove_file(dir.path().join("server.key")).unwrap();
    assert_eq!(see(&after).await.unwrap(), StatusCode::OK, "it is kept in memory");
    served.stop().await;
}

#[tokio::test]
async fn callers_show_a_certificate_of_the_authority_or_are_turned_away() {
    let dir = tempfile::tempdir().unwrap();
    let (own, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    write(dir.path(), &own.issue(&["127.0.0.1"]));
    let served = served(dir.path(), Some(&clients)).await;
    let showing = |authority: &Authority| {
        let identity = authority.issue(&["pipeline"]);
        let pem = format!("{}{}", identity.certificate_pem, identity.key_pem);
        trusting(&own).identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap())
    };
    assert!(status(&served, trusting(&own)).await.is_err(), "it shows none");
    assert!(status(&served, showing(&others)).await.is_err(), "of another authority");
    assert_eq!(status(&served, showing(&clients)).await.unwrap(), StatusCode::OK);
    served.stop().await;
}

#[tokio::test]
async fn tls_1_2_is_the_least() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    write(dir.path(), &authority.issue(&["127.0.0.1"]));
    let served = served(dir.path(), None).await;
    for version in [reqwest::tls::Version::TLS_1_2, reqwest::tls::Version::TLS_1_3] {
        let client = trusting(&authority).tls_version_min(version).tls_version_max(version);
        assert_eq!(status(&served, client).await.unwrap(), StatusCode::OK, "{version:?}");
    }
    // What no client here could send: as it is, but for its version.
    let hello = |minor| hello_of(minor, served.address);
    let answer = tokio::task::spawn_blocking(hello(3)).await.unwrap();
    assert_eq!(answer[0], 22, "a handshake goes on with TLS 1.2: {answer:?}");
    for minor in [1, 2] {
        let answer = tokio::task::spawn_blocking(hello(minor)).await.unwrap();
        // An alert: fatal, protocol_version.
        assert_eq!((answer[0], &answer[5..]), (21, &[2, 70][..]), "{answer:?}");
    }
    served.stop().await;
}

/// Says hello as TLS 1.(minor - 1) does (RFC 5246 section 7.4.1.2), without the extension by which
/// TLS 1.3 is offered; what is answered first.
fn hello_of(minor: u8, address: SocketAddr) -> impl FnOnce() -> Vec<u8> {
    move || {
        let with_length = |bytes: Vec<u8>| {
            [u16::try_from(bytes.len()).unwrap().to_be_bytes().to_vec(), bytes].concat()
        };
        let extensions = [
            // Groups, forms of points, and algorithms of signatures.
            vec![0, 10, 0, 6, 0, 4, 0, 0x1d, 0, 0x17],
            vec![0, 11, 0, 2, 1, 0],
            vec![0, 13, 0, 8, 0, 6, 4, 3, 8, 4, 4, 1],
        ];
        let ciphers = vec![0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x13];
        let hello = [
            vec![3, minor],
            vec![7; 32],
            vec![0],
            with_length(ciphers),
            vec![1, 0],
            with_length(extensions.concat()),
        ];
        let message = [vec![1, 0], with_length(hello.concat())].concat();
        let record = [vec![22, 3, 1], with_length(message)].concat();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(&record).unwrap();
        let mut answer = vec![0; 7];
        stream.read_exact(&mut answer).unwrap();
        answer
    }
}
