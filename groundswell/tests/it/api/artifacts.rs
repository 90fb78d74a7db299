//! `/api/v1/artifacts`: sent in parts and whole, cut off, killed, read back.

use std::{
    fs::{self, File},
    io::Write as _,
    net::TcpStream,
    path::Path,
    time::{Duration, SystemTime},
};

use groundswell::{
    access::Role,
    api::{Api, Limits, Live, UPLOAD_KEPT},
    clock::Clock,
    operate::Borders,
    store::{AccessStore as _, SqliteStore},
    telemetry::Telemetry,
};
use groundswell_core::release::Digest;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::{
    served_process::Program,
    support::{Served, json, problem},
};
use crate::{disk::SmallDisk, program::pause};

const BYTES: &str = "application/octet-stream";

/// Bytes that no two places have in common by chance.
fn bytes(length: usize) -> Vec<u8> {
    (0..length as u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .take(length)
        .collect()
}

fn digest(bytes: &[u8]) -> String {
    Digest(Sha256::digest(bytes).into()).to_string()
}

async fn begin(served: &Served, digest: &str, bytes: usize) -> Response {
    let body = json!({ "digest": digest, "bytes": bytes });
    served.ask(Method::POST, "/api/v1/artifacts").json(&body).send().await.unwrap()
}

/// Opens an upload, and says where parts of it go.
async fn begun(served: &Served, digest: &str, bytes: usize) -> String {
    let opened = json(begin(served, digest, bytes).await, StatusCode::CREATED).await;
    assert_eq!(opened["offset"], 0);
    format!("/api/v1/artifacts/uploads/{}", opened["upload"].as_str().unwrap())
}

async fn add(served: &Served, at: &str, offset: usize, part: &[u8]) -> Response {
    let patch = served.ask(Method::PATCH, at).header("upload-offset", offset);
    patch.header("content-type", BYTES).body(part.to_vec()).send().await.unwrap()
}

async fn put(served: &Served, digest: &str, all: &[u8]) -> Response {
    let put = served.ask(Method::PUT, &format!("/api/v1/artifacts/{digest}"));
    put.header("content-type", BYTES).body(all.to_vec()).send().await.unwrap()
}

fn live() -> Live {
    Live::new(Telemetry::default(), CancellationToken::new())
}

fn offset(answer: &Response) -> u64 {
    answer.headers()["upload-offset"].to_str().unwrap().parse().unwrap()
}

/// What the audit log says was done, in order, besides the first token.
fn audited(data: &Path) -> Vec<String> {
    let store = SqliteStore::open_to_read(&data.join("state.db")).unwrap().unwrap();
    let mut actions = vec![];
    let mut each = |entry: groundswell::access::Entry| {
        let body: Value = serde_json::from_str(&entry.body).unwrap();
        actions.push(body["action"].as_str().unwrap().to_owned());
        true
    };
    store.for_each_audited(0, &mut each).unwrap();
    assert_eq!(actions.remove(0), "token.create");
    actions
}

fn files(data: &Path) -> Vec<String> {
    let names = fs::read_dir(data.join("artifacts")).unwrap();
    names.map(|at| at.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn whoever_has_a_scope_removes_no_artifact() {
    let served = Served::start().await;
    let all = bytes(1_000);
    let name = digest(&all);
    let at = format!("/api/v1/artifacts/{name}");
    let west = served.token(Role::Operator, Some("tag.region==west"));
    let put = served.ask_as(&west, Method::PUT, &at).header("content-type", BYTES);
    let put = put.body(all.clone()).send().await.unwrap();
    assert_eq!(put.status(), StatusCode::CREATED, "it may send one");
    let removed = served.ask_as(&west, Method::DELETE, &at).send().await.unwrap();
    assert_eq!(problem(removed, StatusCode::FORBIDDEN).await.0, "forbidden");
    let operator = served.token(Role::Operator, None);
    let removed = served.ask_as(&operator, Method::DELETE, &at).send().await.unwrap();
    assert_eq!(removed.status(), StatusCode::NO_CONTENT);
    served.stop().await;
}

#[tokio::test]
async fn an_artifact_comes_in_parts_and_is_read_back_whole() {
    let served = Served::start().await;
    let all = bytes(3_000_000);
    let name = digest(&all);
    let at = begun(&served, &name, all.len()).await;
    for (from, to) in [(0, 1_000_000), (1_000_000, 1_000_001), (1_000_001, 2_500_000)] {
        let added = add(&served, &at, from, &all[from..to]).await;
        assert_eq!(offset(&added), to as u64);
        assert_eq!(json(added, StatusCode::OK).await["offset"], to);
    }
    let head = served.ask(Method::HEAD, &at).send().await.unwrap();
    assert_eq!((head.status(), offset(&head)), (StatusCode::OK, 2_500_000));
    let (kind, _) = problem(add(&served, &at, 0, b"x").await, StatusCode::CONFLICT).await;
    assert_eq!(kind, "wrong-offset");
    let added = add(&served, &at, 2_600_000, b"x").await;
    assert_eq!(offset(&added), 2_500_000, "it says where to go on");
    problem(added, StatusCode::CONFLICT).await;
    let too_much = add(&served, &at, 2_500_000, &all[2_499_999..]).await;
    problem(too_much, StatusCode::UNPROCESSABLE_ENTITY).await;
    let kept = add(&served, &at, 2_500_000, &all[2_500_000..]).await;
    assert_eq!(kept.headers()["location"], format!("/api/v1/artifacts/{name}"));
    let kept = json(kept, StatusCode::CREATED).await;
    assert_eq!(kept, json!({ "digest": name, "bytes": all.len(), "releases": [] }));

    problem(served.ask(Method::GET, &at).send().await.unwrap(), StatusCode::NOT_FOUND).await;
    assert_eq!(json(begin(&served, &name, all.len()).await, StatusCode::OK).await, kept);
    let path = format!("/api/v1/artifacts/{name}");
    let read = served.ask(Method::GET, &path).send().await.unwrap();
    assert_eq!(read.headers()["content-length"], "3000000");
    assert_eq!(read.headers()["etag"], format!("\"{name}\""));
    assert!(read.bytes().await.unwrap() == all);
    assert_eq!(audited(&served.data()), ["artifact.upload", "artifact.create"]);
    assert_eq!(files(&served.data()), [name]);
    served.stop().await;
}

#[tokio::test]
async fn wrong_bytes_are_refused_and_nothing_of_them_stays() {
    let served = Served::start().await;
    let all = bytes(100_000);
    let name = digest(b"something else");
    let at = begun(&served, &name, all.len()).await;
    json(add(&served, &at, 0, &all[..50_000]).await, StatusCode::OK).await;
    let refused = add(&served, &at, 50_000, &all[50_000..]).await;
    let (kind, told) = problem(refused, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!((&*kind, &told["errors"][0]["field"]), ("digest-differs", &json!("digest")));
    assert!(told["detail"].as_str().unwrap().contains(&digest(&all)), "{told}");
    problem(served.ask(Method::GET, &at).send().await.unwrap(), StatusCode::NOT_FOUND).await;
    let refused = put(&served, &name, &all).await;
    assert_eq!(problem(refused, StatusCode::UNPROCESSABLE_ENTITY).await.0, "digest-differs");
    assert_eq!(files(&served.data()), Vec::<String>::new());
    assert_eq!(audited(&served.data()), ["artifact.upload", "artifact.refuse"]);

    let bad =
        served.ask(Method::POST, "/api/v1/artifacts").json(&json!({"digest": "x", "bytes": 1}));
    problem(bad.send().await.unwrap(), StatusCode::UNPROCESSABLE_ENTITY).await;
    let put = served.ask(Method::PUT, &format!("/api/v1/artifacts/{name}")).body("text");
    problem(put.send().await.unwrap(), StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    for id in ["nobody", "..%2fstate", "a%00b"] {
        let path = format!("/api/v1/artifacts/uploads/{id}");
        problem(add(&served, &path, 0, b"x").await, StatusCode::NOT_FOUND).await;
    }
    served.stop().await;
}

#[tokio::test]
async fn two_may_upload_the_same_and_a_key_opens_one() {
    let served = Served::start().await;
    let all = bytes(200_000);
    let name = digest(&all);
    let [one, two] =
        [begun(&served, &name, all.len()).await, begun(&served, &name, all.len()).await];
    assert_ne!(one, two);
    let keyed = |key: &str| {
        let body = json!({ "digest": name, "bytes": all.len() });
        served
            .ask(Method::POST, "/api/v1/artifacts")
            .json(&body)
            .header("idempotency-key", key)
            .send()
    };
    let opened = json(keyed("build-17").await.unwrap(), StatusCode::CREATED).await;
    let third = format!("/api/v1/artifacts/uploads/{}", opened["upload"].as_str().unwrap());
    json(add(&served, &third, 0, &all[..7]).await, StatusCode::OK).await;
    let again = json(keyed("build-17").await.unwrap(), StatusCode::CREATED).await;
    assert_eq!((&again["upload"], &again["offset"]), (&opened["upload"], &json!(7)));

    let other = served.token(Role::Admin, None);
    let spied = served.ask_as(&other, Method::GET, &one).send().await.unwrap();
    problem(spied, StatusCode::NOT_FOUND).await;
    for at in [&one, &two] {
        json(add(&served, at, 0, &all[..100_000]).await, StatusCode::OK).await;
    }
    for at in [&one, &two] {
        json(add(&served, at, 100_000, &all[100_000..]).await, StatusCode::CREATED).await;
    }
    json(keyed("build-17").await.unwrap(), StatusCode::OK).await;
    let gone = served.ask(Method::DELETE, &third).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    problem(served.ask(Method::DELETE, &third).send().await.unwrap(), StatusCode::NOT_FOUND).await;
    assert_eq!(json(put(&served, &name, &all).await, StatusCode::OK).await["digest"], name);
    assert_eq!(files(&served.data()), [name]);
    served.stop().await;
}

#[tokio::test]
async fn uploads_are_bounded_in_number_and_length() {
    let limits = Limits { uploads_max: 2, artifact_bytes_max: 1_000, ..Limits::default() };
    let change = |setup| groundswell::server::Setup { limits, ..setup };
    let served = Served::start_with(change).await;
    let all = bytes(1_001);
    let name = digest(&all);
    let (_, told) =
        problem(begin(&served, &name, 1_001).await, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(told["errors"][0]["field"], "bytes");
    let (kind, _) = problem(put(&served, &name, &all).await, StatusCode::PAYLOAD_TOO_LARGE).await;
    assert_eq!(kind, "too-large");
    // Without a length it is noticed on the way.
    let parts = futures_util::stream::iter([Ok::<_, std::io::Error>(all.clone())]);
    let stream = served.ask(Method::PUT, &format!("/api/v1/artifacts/{name}"));
    let stream = stream.header("content-type", BYTES).body(reqwest::Body::wrap_stream(parts));
    problem(stream.send().await.unwrap(), StatusCode::PAYLOAD_TOO_LARGE).await;
    let first = begun(&served, &name, 1_000).await;
    begun(&served, &name, 1_000).await;
    let refused = begin(&served, &name, 1_000).await;
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(problem(refused, StatusCode::TOO_MANY_REQUESTS).await.0, "too-many-uploads");
    served.ask(Method::DELETE, &first).send().await.unwrap();
    begun(&served, &name, 1_000).await;
    assert_eq!(files(&served.data()), Vec::<String>::new());
    served.stop().await;
}

#[tokio::test]
async fn a_range_is_sent_as_it_is_asked_for() {
    let served = Served::start().await;
    let all = bytes(1_000_000);
    let name = digest(&all);
    json(put(&served, &name, &all).await, StatusCode::CREATED).await;
    let path = format!("/api/v1/artifacts/{name}");
    let (tag, other) = (format!("\"{name}\""), "\"other\"");
    let get = |range: &str, if_range: Option<&str>| {
        let request = served.ask(Method::GET, &path).header("range", range);
        match if_range {
            Some(seen) => request.header("if-range", seen).send(),
            None => request.send(),
        }
    };
    for (range, if_range, from, to) in [
        ("bytes=0-0", None, 0, 1),
        ("bytes=999999-", None, 999_999, 1_000_000),
        ("bytes=500000-", Some(&*tag), 500_000, 1_000_000),
        ("bytes=-10", None, 999_990, 1_000_000),
        ("bytes=300000-2000000", None, 300_000, 1_000_000),
    ] {
        let part = get(range, if_range).await.unwrap();
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT, "{range}");
        let told = format!("bytes {from}-{}/1000000", to - 1);
        assert_eq!(part.headers()["content-range"], told);
        assert_eq!(part.headers()["content-length"], (to - from).to_string());
        assert!(part.bytes().await.unwrap() == all[from..to], "{range}");
    }
    for (range, if_range) in
        [("bytes=0-1,5-6", None), ("lines=1-2", None), ("bytes=5-", Some(other))]
    {
        let whole = get(range, if_range).await.unwrap();
        assert_eq!(whole.status(), StatusCode::OK, "{range}");
        assert!(whole.bytes().await.unwrap() == all, "{range}");
    }
    let none = get("bytes=1000000-", None).await.unwrap();
    assert_eq!(none.headers()["content-range"], "bytes */1000000");
    problem(none, StatusCode::RANGE_NOT_SATISFIABLE).await;
    let known = served.ask(Method::GET, &path).header("if-none-match", &tag).send().await.unwrap();
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
    let head = served.ask(Method::HEAD, &path).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], "1000000");

    let nothing = digest(b"");
    let at = begun(&served, &nothing, 0).await;
    json(add(&served, &at, 0, b"").await, StatusCode::CREATED).await;
    let empty = served.ask(Method::GET, &format!("/api/v1/artifacts/{nothing}"));
    assert_eq!(empty.send().await.unwrap().bytes().await.unwrap().len(), 0);
    served.stop().await;
}

#[tokio::test]
async fn what_a_release_is_made_of_stays() {
    let served = Served::start().await;
    let mut names = vec![];
    for text in ["one", "two", "three"] {
        let name = digest(text.as_bytes());
        json(put(&served, &name, text.as_bytes()).await, StatusCode::CREATED).await;
        names.push(name);
    }
    let release = json!({ "name": "pos", "version": "2.0.0", "artifact": names[0] });
    let made = served.ask(Method::POST, "/api/v1/releases").json(&release).send().await.unwrap();
    json(made, StatusCode::CREATED).await;
    let (mut listed, mut path) = (vec![], "/api/v1/artifacts?limit=2".to_owned());
    loop {
        let page = served.get(&path).await;
        listed.extend(page["artifacts"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/artifacts?limit=2&cursor={next}");
    }
    let used = json!([{ "name": "pos", "version": "2.0.0" }]);
    let mut wanted: Vec<Value> = ["one", "two", "three"]
        .map(|text| {
            let releases = if text == "one" { used.clone() } else { json!([]) };
            json!({ "digest": digest(text.as_bytes()), "bytes": text.len(), "releases": releases })
        })
        .to_vec();
    wanted.sort_by_key(|artifact| artifact["digest"].as_str().unwrap().to_owned());
    assert_eq!(listed, wanted);

    let delete =
        |name: &str| served.ask(Method::DELETE, &format!("/api/v1/artifacts/{name}")).send();
    let (kind, told) = problem(delete(&names[0]).await.unwrap(), StatusCode::CONFLICT).await;
    assert_eq!(kind, "in-use");
    assert!(told["detail"].as_str().unwrap().contains("the release pos 2.0.0"), "{told}");
    assert_eq!(delete(&names[1]).await.unwrap().status(), StatusCode::NO_CONTENT);
    problem(delete(&names[1]).await.unwrap(), StatusCode::NOT_FOUND).await;
    let viewer = served.token(Role::Viewer, None);
    let path = format!("/api/v1/artifacts/{}", names[2]);
    let refused = served.ask_as(&viewer, Method::DELETE, &path).send().await.unwrap();
    problem(refused, StatusCode::FORBIDDEN).await;
    let done = audited(&served.data());
    let wanted = ["artifact.create"; 3].into_iter().chain(["release.create", "artifact.remove"]);
    assert_eq!(done, wanted.collect::<Vec<_>>());
    served.stop().await;
}

#[tokio::test]
async fn an_upload_that_nobody_goes_on_with_is_removed_after_a_day() {
    let served = Served::start().await;
    let all = bytes(1_000);
    let name = digest(&all);
    let [old, young] = [begun(&served, &name, 1_000).await, begun(&served, &name, 1_000).await];
    for at in [&old, &young] {
        json(add(&served, at, 0, &all[..10]).await, StatusCode::OK).await;
    }
    let id = old.rsplit('/').next().unwrap();
    let artifacts = served.data().join("artifacts");
    let file = File::options().write(true).open(artifacts.join(format!(".upload-{id}"))).unwrap();
    let now = Duration::from_millis(Clock::System.now().as_millis().unsigned_abs());
    let now = SystemTime::UNIX_EPOCH + now;
    let long_ago = now - UPLOAD_KEPT - Duration::from_secs(1);
    file.set_modified(long_ago).unwrap();
    fs::write(artifacts.join(".upload-nobody"), "x").unwrap();
    // A process that was killed in the middle of a PUT, and one that is at it.
    for (name, at) in [(".put-1.partial", long_ago), (".put-2.partial", now)] {
        File::create(artifacts.join(name)).unwrap().set_modified(at).unwrap();
    }
    let (limits, borders, live) = (Limits::default(), Borders::default(), live());
    let api = Api::new(served.data(), Clock::System, limits, borders, live);
    assert_eq!(api.tidy_uploads().await.unwrap(), 1);
    problem(served.ask(Method::GET, &old).send().await.unwrap(), StatusCode::NOT_FOUND).await;
    json(add(&served, &young, 10, &all[10..]).await, StatusCode::CREATED).await;
    let mut left = files(&served.data());
    left.sort();
    assert_eq!(left, [".put-2.partial", &name]);
    assert!(audited(&served.data()).contains(&"artifact.abandon".to_owned()));
    served.stop().await;
}

/// Sends the head of a PATCH that promises all the rest, and only a part of the body.
fn cut_off(program: &Program, at: &str, offset: usize, promised: usize, part: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(&program.address).unwrap();
    let head = format!(
        "PATCH {at} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: {BYTES}\r\n\
         Upload-Offset: {offset}\r\nContent-Length: {promised}\r\n\r\n",
        program.admin
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(part).unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_an_upload_it_goes_on_from_there() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let all = bytes(8 << 20);
    let name = digest(&all);
    let open = |program: &Program| {
        let body = json!({ "digest": name, "bytes": all.len() });
        let open = program.ask(Method::POST, "/api/v1/artifacts").json(&body);
        open.header("idempotency-key", "build-17").send()
    };
    let mut program = Program::start(&data, None);
    let opened = json(open(&program).await.unwrap(), StatusCode::CREATED).await;
    let at = format!("/api/v1/artifacts/uploads/{}", opened["upload"].as_str().unwrap());
    let mut arrived = 0;
    for kill in 1..=3 {
        let upto = (arrived + (2 << 20)).min(all.len());
        let rest = all.len() - arrived;
        let stream = cut_off(&program, &at, arrived, rest, &all[arrived..upto]);
        loop {
            let shown = program.ask(Method::GET, &at).send().await.unwrap();
            if offset(&shown) > arrived as u64 {
                break;
            }
            pause();
        }
        let admin = program.admin.clone();
        program.kill();
        drop(stream);
        program = Program::start(&data, Some(&admin));
        let again = json(open(&program).await.unwrap(), StatusCode::CREATED).await;
        assert_eq!(again["upload"], opened["upload"]);
        let now = usize::try_from(again["offset"].as_u64().unwrap()).unwrap();
        assert!(now > arrived && now <= upto, "{arrived} before kill {kill}, {now} after");
        arrived = now;
    }
    let patch = program.ask(Method::PATCH, &at).header("upload-offset", arrived);
    let patch = patch.header("content-type", BYTES).body(all[arrived..].to_vec());
    json(patch.send().await.unwrap(), StatusCode::CREATED).await;
    let read = program.ask(Method::GET, &format!("/api/v1/artifacts/{name}")).send().await.unwrap();
    assert!(read.bytes().await.unwrap() == all);
    assert_eq!(files(&data), [name]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_off_keeps_what_came() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let program = Program::start(&data, None);
    let all = bytes(1 << 20);
    let body = json!({ "digest": digest(&all), "bytes": all.len() });
    let open = program.ask(Method::POST, "/api/v1/artifacts").json(&body).send().await.unwrap();
    let opened = json(open, StatusCode::CREATED).await;
    let at = format!("/api/v1/artifacts/uploads/{}", opened["upload"].as_str().unwrap());
    drop(cut_off(&program, &at, 0, all.len(), &all[..1_000]));
    let add = |from: usize| {
        let patch = program.ask(Method::PATCH, &at).header("upload-offset", from);
        patch.header("content-type", BYTES).body(all[from..].to_vec()).send()
    };
    let mut from = 0;
    loop {
        let added = add(from).await.unwrap();
        match added.status() {
            StatusCode::CREATED => break,
            // The one before has not noticed yet that nobody is there, or wrote something.
            StatusCode::CONFLICT => {
                let shown = program.ask(Method::GET, &at).send().await.unwrap();
                from = usize::try_from(offset(&shown)).unwrap();
            }
            other => panic!("{other}"),
        }
        pause();
    }
}

/// Without a bound, one of the three would show as 64 MiB.
#[tokio::test(flavor = "multi_thread")]
async fn memory_does_not_grow_with_what_goes_through() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::start(&dir.path().join("data"), None);
    let all = bytes(64 << 20);
    let small = &all[..2 << 20];
    let put = |bytes: &[u8]| {
        let put = program.ask(Method::PUT, &format!("/api/v1/artifacts/{}", digest(bytes)));
        put.header("content-type", BYTES).body(bytes.to_vec()).send()
    };
    let get = |name: &str| program.ask(Method::GET, &format!("/api/v1/artifacts/{name}")).send();
    json(put(small).await.unwrap(), StatusCode::CREATED).await;
    assert!(get(&digest(small)).await.unwrap().bytes().await.unwrap() == *small);
    let before = program.peak_kib();

    json(put(&all).await.unwrap(), StatusCode::CREATED).await;
    let after_put = program.peak_kib();
    let mut read = get(&digest(&all)).await.unwrap();
    let mut length = 0;
    while let Some(chunk) = read.chunk().await.unwrap() {
        length += chunk.len();
    }
    assert_eq!(length, all.len());
    let after_get = program.peak_kib();
    let other = &all[1..];
    let body = json!({ "digest": digest(other), "bytes": other.len() });
    let open = program.ask(Method::POST, "/api/v1/artifacts").json(&body).send().await.unwrap();
    let opened = json(open, StatusCode::CREATED).await;
    let at = format!("/api/v1/artifacts/uploads/{}", opened["upload"].as_str().unwrap());
    for (from, to, status) in
        [(0, 40 << 20, StatusCode::OK), (40 << 20, other.len(), StatusCode::CREATED)]
    {
        let patch = program.ask(Method::PATCH, &at).header("upload-offset", from as u64);
        let patch = patch.header("content-type", BYTES).body(other[from..to].to_vec());
        json(patch.send().await.unwrap(), status).await;
    }
    let after_patch = program.peak_kib();
    let grown = after_patch - before;
    assert!(
        grown < (all.len() as u64 >> 10) / 4,
        "{before} KiB before, {after_put} after PUT, {after_get} after GET, {after_patch} after PATCH"
    );
}

#[tokio::test]
async fn a_full_disk_keeps_what_came_and_room_lets_it_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let Some(disk) = SmallDisk::mount(&data.join("artifacts"), 8) else { return };
    let program = Program::start(&data, None);
    let all = bytes(4 << 20);
    let name = digest(&all);
    let body = json!({ "digest": name, "bytes": all.len() });
    let open = program.ask(Method::POST, "/api/v1/artifacts").json(&body).send().await.unwrap();
    let opened = json(open, StatusCode::CREATED).await;
    let at = format!("/api/v1/artifacts/uploads/{}", opened["upload"].as_str().unwrap());
    let add = |from: usize, to: usize| {
        let patch = program.ask(Method::PATCH, &at).header("upload-offset", from);
        patch.header("content-type", BYTES).body(all[from..to].to_vec()).send()
    };
    json(add(0, 1 << 20).await.unwrap(), StatusCode::OK).await;
    disk.fill();
    let refused = add(1 << 20, (1 << 20) + 600_000).await.unwrap();
    let kept = offset(&refused);
    let (kind, _) = problem(refused, StatusCode::INSUFFICIENT_STORAGE).await;
    assert_eq!(kind, "disk-full");
    assert!(kept >= 1 << 20, "{kept}");
    let whole = program.ask(Method::PUT, &format!("/api/v1/artifacts/{name}"));
    let whole = whole.header("content-type", BYTES).body(all[..500_000].to_vec());
    problem(whole.send().await.unwrap(), StatusCode::INSUFFICIENT_STORAGE).await;
    disk.make_room();
    let kept = usize::try_from(kept).unwrap();
    json(add(kept, all.len()).await.unwrap(), StatusCode::CREATED).await;
    let read = program.ask(Method::GET, &format!("/api/v1/artifacts/{name}")).send().await.unwrap();
    assert!(read.bytes().await.unwrap() == all);
}
