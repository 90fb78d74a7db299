//! Bodies: their bytes, and what they cost.

use std::{
    io::{Read, Write},
    sync::{Arc, atomic::AtomicU64},
};

use groundswell::{
    artifacts::payload::Payload,
    core::outcome::{Fault, Outcome},
    delivery::http::Reuse,
};
use sha2::{Digest, Sha256};
use tokio::sync::Barrier;

use super::{client, push, shipment, target};
use crate::support::{
    child,
    device::{Device, Do, answer, reply},
};

const MIB: u64 = 1_024 * 1_024;

struct Pattern(u8);

impl Read for Pattern {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0 = self.0.wrapping_add(1);
        buffer.fill(self.0);
        Ok(buffer.len())
    }
}

/// As many bytes as anyone wants, from nowhere, with a sha-256 that nobody checks.
pub(super) fn synthetic(len: u64) -> Payload {
    Payload::from_source(len, [0; 32], || Ok(Box::new(Pattern(0)) as Box<dyn Read + Send>))
}

/// Bytes that are different everywhere.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

fn file_with(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

#[tokio::test]
async fn nothing_at_all_can_be_sent() {
    let file = file_with(b"");
    for payload in
        [Payload::from_bytes(&b""[..]), Payload::from_file(file.path()).unwrap(), synthetic(0)]
    {
        assert!(payload.is_empty());
        let device = Device::start([reply(200, "", "")]).await;
        let outcome = push(&client(), &shipment(payload), &device).await;
        assert_eq!(outcome, Outcome::Accepted { status: 200 });
        let seen = &device.seen()[0];
        assert_eq!(seen.line, "POST /update HTTP/1.1");
        assert_eq!(seen.header("content-length"), Some("0"));
        assert_eq!(seen.header("transfer-encoding"), None);
    }
    // Its head left whole, so it may have been acted on.
    let device = Device::start([vec![Do::Head, Do::Close]]).await;
    let outcome = push(&client(), &shipment(Payload::from_bytes(&b""[..])), &device).await;
    assert!(matches!(outcome, Outcome::Unknown { fault: Fault::Reset, .. }), "{outcome:?}");
}

#[tokio::test]
async fn every_source_yields_its_bytes() {
    // Around the borders of chunks, and past what the cache holds.
    for len in [1, 131_071, 131_072, 131_073, 300_000, 20 * MIB as usize + 5] {
        let bytes = noise(len);
        let file = file_with(&bytes);
        let sha256: [u8; 32] = Sha256::digest(&bytes).into();
        let again = bytes.clone();
        let open =
            move || Ok(Box::new(std::io::Cursor::new(again.clone())) as Box<dyn Read + Send>);
        for payload in [
            Payload::from_bytes(bytes.clone()),
            Payload::from_file(file.path()).unwrap(),
            Payload::from_hashed_file(file.path(), sha256).unwrap(),
            Payload::from_source(len as u64, sha256, open.clone()),
        ] {
            assert_eq!((payload.len(), payload.sha256()), (len as u64, &sha256));
            let device = Device::start([reply(200, "", "")]).await;
            let outcome = push(&client(), &shipment(payload), &device).await;
            assert_eq!(outcome, Outcome::Accepted { status: 200 });
            let seen = &device.seen()[0];
            assert_eq!((seen.body_bytes, seen.sha256), (len as u64, sha256));
            assert_eq!(seen.header("content-length"), Some(&*len.to_string()));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_devices_share_a_payload_and_none_gets_anothers_bytes() {
    let bytes = noise(3 * MIB as usize + 12_345);
    let file = file_with(&bytes);
    let again = bytes.clone();
    let open = move || Ok(Box::new(std::io::Cursor::new(again.clone())) as Box<dyn Read + Send>);
    let sha256 = Sha256::digest(&bytes).into();
    for payload in [
        Payload::from_file(file.path()).unwrap(),
        Payload::from_source(bytes.len() as u64, sha256, open),
    ] {
        // All of them stand at another place before any of them goes on.
        let meet = Arc::new(Barrier::new(100));
        let mut devices = vec![];
        for index in 0..100 {
            devices.push(
                Device::start([vec![
                    Do::Head,
                    Do::Body(index * 31_337),
                    Do::Meet(meet.clone()),
                    Do::Rest,
                    Do::Write(answer(200, "", "")),
                ]])
                .await,
            );
        }
        let (client, shipment) = (client(), shipment(payload));
        let pushes = devices.iter().map(|device| push(&client, &shipment, device));
        for outcome in futures_util::future::join_all(pushes).await {
            assert_eq!(outcome, Outcome::Accepted { status: 200 });
        }
        for device in &devices {
            let seen = &device.seen()[0];
            assert_eq!((seen.body_bytes, seen.sha256), (bytes.len() as u64, sha256));
        }
    }
}

#[tokio::test]
async fn a_source_that_fails_is_our_own_fault() {
    let bytes = noise(MIB as usize);
    let file = file_with(&bytes);
    let shrunk = Payload::from_file(file.path()).unwrap();
    file.as_file().set_len(MIB / 2).unwrap();
    let short = || Ok(Box::new(std::io::Cursor::new([7_u8; 9])) as Box<dyn Read + Send>);
    let closed = || Err(std::io::Error::from(std::io::ErrorKind::PermissionDenied));
    for payload in [
        shrunk,
        Payload::from_source(10, [0; 32], short),
        Payload::from_source(10, [0; 32], closed),
    ] {
        let device = Device::start([reply(200, "", "")]).await;
        let client = client();
        let outcome = push(&client, &shipment(payload), &device).await;
        match outcome {
            Outcome::NotSent { fault: Fault::LocalRead, detail } => assert!(!detail.is_empty()),
            other => panic!("{other:?}"),
        }
        assert_eq!(client.pool_stats().open, 0);
    }
    assert!(Payload::from_file(std::path::Path::new("/")).is_err());
    assert!(Payload::from_file(std::path::Path::new("/nowhere")).is_err());
}

#[tokio::test]
async fn a_file_that_was_cut_and_came_back_is_read_again() {
    let bytes = noise(300_000);
    let file = file_with(&bytes);
    let shipment = shipment(Payload::from_file(file.path()).unwrap());
    file.as_file().set_len(1).unwrap();
    let device = Device::start([reply(200, "", "")]).await;
    let outcome = push(&client(), &shipment, &device).await;
    assert!(matches!(outcome, Outcome::NotSent { fault: Fault::LocalRead, .. }), "{outcome:?}");
    std::fs::write(file.path(), &bytes).unwrap();
    let device = Device::start([reply(200, "", "")]).await;
    assert_eq!(push(&client(), &shipment, &device).await, Outcome::Accepted { status: 200 });
    assert_eq!(&device.seen()[0].sha256, shipment.payload().sha256());
}

/// The most memory this process ever had, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn memory_does_not_grow_with_the_payload() {
    const NAME: &str = "delivery::payloads::memory_does_not_grow_with_the_payload";
    if let Some(argument) = child::argument() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(stream(argument.parse().unwrap()));
        println!("peak {} KiB", peak_kib());
        return;
    }
    let peaks = [100 * MIB, 1_024 * MIB].map(|len| {
        let text = child::run(NAME, &len.to_string());
        let peak = text.lines().find_map(|line| line.split_once("peak ")).unwrap().1;
        peak.split_once(' ').unwrap().0.parse::<u64>().unwrap()
    });
    // How much of it is under way at once differs by some MiB with what else the machine does.
    assert!(peaks[1] < peaks[0] + 32 * 1_024, "{peaks:?} KiB for 100 MiB and 1 GiB");
}

async fn stream(len: u64) {
    let device = Device::start_unhashed([reply(200, "", "")]).await;
    let shipment = shipment(synthetic(len));
    let sent = AtomicU64::new(0);
    let target = target(device.address());
    let outcome = client().push(&shipment, &target, Reuse::Close, &sent).await;
    assert_eq!(outcome, Outcome::Accepted { status: 200 });
    assert_eq!((sent.into_inner(), device.seen()[0].body_bytes), (len, len));
}
