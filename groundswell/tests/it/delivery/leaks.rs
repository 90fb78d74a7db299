//! What a thousand pushes leave behind: nothing.

use std::{sync::atomic::AtomicU64, time::Duration};

use groundswell::{
    artifacts::payload::Payload,
    delivery::http::{Client, Config, Reuse, Timeouts},
};

use super::{shipment, target};
use crate::support::{
    child,
    device::{Device, Do, Script, answer, reply},
};

/// Open files and sockets, without the one that lists them.
fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count() - 1
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

fn scripts() -> Vec<Script> {
    let mut scripts = vec![];
    for _ in 0..125 {
        scripts.extend([
            reply(200, "", "ok"),
            reply(503, "", "busy"),
            reply(200, "Connection: close\r\n", ""),
            vec![Do::Head, Do::Reset],
            vec![Do::Head, Do::Write(answer(413, "", "no")), Do::Close],
            vec![Do::Head, Do::Rest, Do::Write(b"nonsense\r\n\r\n".to_vec()), Do::Close],
            vec![Do::Head, Do::Rest, Do::Hang],
            vec![Do::Head, Do::Rest, Do::Write(answer(200, "", "")), Do::Close],
        ]);
    }
    scripts.push(reply(200, "", ""));
    scripts
}

#[test]
fn a_thousand_pushes_leave_no_task_socket_or_file() {
    const NAME: &str = "delivery::leaks::a_thousand_pushes_leave_no_task_socket_or_file";
    if child::argument().is_none() {
        child::run(NAME, "run");
        return;
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(push_and_count());
}

async fn push_and_count() {
    let device = Device::start(scripts()).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![7; 300_000]).unwrap();
    let (files_before, tasks_before) = (open_files(), tasks());
    {
        let shipment = shipment(Payload::from_file(file.path()).unwrap());
        let wait = Duration::from_secs(20);
        let timeouts = Timeouts { attempt: Some(wait), ..Timeouts::default() };
        let client = Client::new(Config { timeouts, ..Config::default() }).unwrap();
        let (target, sent) = (target(device.address()), AtomicU64::new(0));
        for number in 0_u64..1_000 {
            let reuse = if number % 3 == 0 { Reuse::Close } else { Reuse::Keep };
            let seen = device.seen_count() + 1;
            let push = client.push(&shipment, &target, reuse, &sent);
            // One in eight hangs; those, and a few others, are dropped on the way.
            tokio::select! {
                _ = push => {}
                () = enough(&device, seen) => {}
            }
        }
        assert!(client.pool_stats().open <= 10, "{:?}", client.pool_stats());
    }
    device.until_open(0).await;
    until(|| tasks() == tasks_before, || format!("{} tasks, {tasks_before} before", tasks())).await;
    until(
        || open_files() == files_before,
        || format!("{} files, {files_before} before", open_files()),
    )
    .await;
}

/// Ends a moment after the device has seen so many requests.
async fn enough(device: &Device, seen: usize) {
    device.until_seen(seen).await;
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// What ends by itself may take a moment: a thread that closes, the device's side of a socket.
async fn until(holds: impl Fn() -> bool, say: impl Fn() -> String) {
    for _ in 0..1_000_000 {
        if holds() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("left behind: {}", say());
}
