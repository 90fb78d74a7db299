//! The program against one device that tells what it was sent: TLS and headers.

use std::fs;

use rustls::{
    SupportedProtocolVersion,
    version::{TLS12, TLS13},
};
use tokio::runtime::Runtime;

use super::ground;
use crate::{
    program::{Ground, Ran},
    support::{
        device::{Device, reply},
        pki::Authority,
    },
};

const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// A device that runs 2.0.0 once it was sent anything, and a place to push from.
struct Post {
    ground: Ground,
    device: Device,
    _runtime: Runtime,
}

impl Post {
    fn new(start: impl Future<Output = Device>) -> Self {
        let runtime = Runtime::new().unwrap();
        let device = runtime.block_on(start);
        let ground = ground(0);
        let devices = format!("id,address\npos-0,{}\n", device.address());
        fs::write(ground.dir.path().join("devices.csv"), devices).unwrap();
        Self { ground, device, _runtime: runtime }
    }

    fn keep(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.ground.dir.path().join(name), content).unwrap();
    }

    /// A push by a name of its own, so that none was done before.
    fn run(&self, name: &str, args: &[&str]) -> Ran {
        let mut command = self.ground.push();
        command.args(["--name", name, "--attempts", "1"]).args(args);
        command.env("POS_TOKEN", "s3cr3t").env("RUST_LOG", "trace");
        Ran::from(command.output().unwrap())
    }
}

fn ok() -> [crate::support::device::Script; 1] {
    [reply(200, "", "2.0.0")]
}

#[test]
fn over_tls_to_those_whom_an_authority_vouches_for() {
    let authority = Authority::new();
    let identity = authority.issue(&["127.0.0.1"]);
    let post = Post::new(Device::start_tls(identity.acceptor(None, BOTH), ok()));
    post.keep("ca.pem", authority.pem());
    post.keep("other.pem", Authority::new().pem());
    let header = ["--header", "Authorization: env:POS_TOKEN"];
    let done = post.run("trusted", &[&["--ca", "ca.pem"], &header[..]].concat());
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(post.device.seen()[0].header("authorization"), Some("s3cr3t"));
    assert!(!done.told().contains("s3cr3t"), "{done:?}");
    let before = post.device.seen_count();
    for (name, args) in [("others", &["--ca", "other.pem"][..]), ("system's", &[])] {
        let refused = post.run(name, args);
        assert_eq!(refused.code, Some(1));
        let why = "failed: unreachable: certificate is not trusted";
        assert!(refused.out.contains(why), "{refused:?}");
    }
    assert_eq!(post.device.seen_count(), before, "it was sent to");
    let insecure = post.run("insecure", &["--insecure"]);
    assert_eq!(insecure.code, Some(0), "{insecure:?}");
    assert!(insecure.err.contains("warning: TLS certificates are NOT checked"), "{insecure:?}");
}

#[test]
fn over_tls_to_those_who_want_to_know_us() {
    let (authority, fleet) = (Authority::new(), Authority::new());
    let identity = authority.issue(&["127.0.0.1"]);
    let post = Post::new(Device::start_tls(identity.acceptor(Some(&fleet), BOTH), ok()));
    let us = fleet.issue(&["us"]);
    post.keep("ca.pem", authority.pem());
    post.keep("us.pem", &us.certificate_pem);
    post.keep("us.key", &us.key_pem);
    let ca = ["--ca", "ca.pem"];
    let known = post.run("known", &[&ca[..], &["--cert", "us.pem", "--key", "us.key"]].concat());
    assert_eq!(known.code, Some(0), "{known:?}");
    assert!(!known.told().contains("PRIVATE KEY"), "{known:?}");
    let unknown = post.run("unknown", &[&ca[..], &["--verify", "none"]].concat());
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    let half = post.run("half", &["--cert", "us.pem"]);
    assert_eq!(half.code, Some(2), "{half:?}");
}

#[test]
fn headers_from_the_environment_and_from_files() {
    let post = Post::new(Device::start(ok()));
    post.keep("token", "f1l3\n");
    let headers = ["X-One: env:POS_TOKEN", "X-Two: file:token", "X-Three: as: it is"];
    let args: Vec<_> = headers.iter().flat_map(|header| ["--header", header]).collect();
    let ran = post.run("headers", &args);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let seen = &post.device.seen()[0];
    let got = ["x-one", "x-two", "x-three"].map(|name| seen.header(name).unwrap());
    assert_eq!(got, ["s3cr3t", "f1l3", "as: it is"]);
    assert!(!ran.told().contains("s3cr3t") && !ran.told().contains("f1l3"), "{ran:?}");
    for (header, why) in [
        ("X-One: env:POS_NOBODY", "the environment has no readable variable POS_NOBODY"),
        ("X-One: file:nowhere", "nowhere cannot be read"),
        ("s3cr3t", "one has no name, or no colon"),
    ] {
        let refused = post.run("refused", &["--header", header]);
        assert_eq!(refused.code, Some(2));
        assert!(refused.err.contains(why) && !refused.err.contains("s3cr3t"), "{refused:?}");
    }
}
