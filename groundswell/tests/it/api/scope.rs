//! A token of one region, beside another region that has everything: what it is told by every route
//! there is, and what it can do to what is not its own.

use std::{net::TcpListener, time::Duration};

use groundswell::{
    access::{Kind, Right, Role},
    api::routes::{self, Needs, Route},
    clock::Clock,
    operate::State,
    sim::{Fleet, Options},
    store::dir,
};
use parking_lot::Mutex;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::support::{Served, json};

/// Rollouts of the other region have numbers that stand nowhere else.
const FIRST_HIDDEN: i64 = 77_000_001;

/// What is in no answer to the west: ids and tags of devices, numbers and releases of rollouts, and
/// what somebody wrote about these.
const HIDDEN: &[&str] = &["east", "nomad", "7700000", "menu", "hush", "plotkey"];

/// What is there, and not for the west. The last of each is not there at all.
const HIDDEN_DEVICES: &[&str] = &["east-1", "nomad-1", "none-1"];
const HIDDEN_ROLLOUTS: &[&str] = &["77000001", "77000002", "77000004", "99999999"];

/// What is for the west, and what is like something that is not.
const SEEN_DEVICES: &[&str] = &["west-1", "west-2", "west-3", "west-9", "easx-1", "noma-2"];
const SEEN_ROLLOUTS: &[&str] = &["1", "2", "3", "4", "7700", "7"];

struct World {
    served: Served,
    west: String,
    /// Whoever is sent to there never answers.
    hang: Mutex<Option<TcpListener>>,
    _fleets: [Fleet; 2],
    /// Of the other region.
    token: String,
    /// What was told or done that should not have been; all of it is of interest at once.
    wrong: Mutex<Vec<String>>,
}

async fn post(served: &Served, token: &str, path: &str, body: &Value) -> Response {
    served.ask_as(token, Method::POST, path).json(body).send().await.unwrap()
}

/// Asks until it is so.
async fn until(served: &Served, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..1_500 {
        let found = served.get(path).await;
        if is_so(&found) {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{path} is not so: {}", served.get(path).await);
}

fn counts(number: i64, of: &Value, failed: u64, delivering: u64) -> bool {
    let counts = &of["counts"];
    assert_eq!(of["number"], number);
    counts["failed"] == failed && counts["delivering"] == delivering
}

async fn create(served: &Served, token: &str, document: Value) -> i64 {
    let made = post(served, token, "/api/v1/rollouts", &document).await;
    json(made, StatusCode::CREATED).await["number"].as_i64().unwrap()
}

async fn act(served: &Served, token: &str, number: i64, verb: &str) -> Value {
    let path = format!("/api/v1/rollouts/{number}/{verb}");
    json(post(served, token, &path, &json!({})).await, StatusCode::OK).await
}

fn immediate(release: &str, select: &str) -> Value {
    json!({"release": release, "strategy": "immediate", "select": select})
}

impl World {
    async fn new() -> Self {
        let served = Served::start().await;
        let refusing = vec!["status:400:1".parse().unwrap()];
        let refusing = Fleet::start(Options { faults: refusing, ..Options::default() }).unwrap();
        let good = Fleet::start(Options::default()).unwrap();
        let hang = TcpListener::bind("127.0.0.1:0").unwrap();
        let ports = [
            refusing.local_addr().port(),
            good.local_addr().port(),
            hang.local_addr().unwrap().port(),
        ];
        let (refuses, updates, hangs) = (0, 1, 2);
        let west = served.token(Role::Admin, Some("tag.region==west"));
        let all: &[(&str, usize, &str)] = &[
            ("west-1", refuses, "acme"),
            ("west-2", updates, "acme"),
            ("west-3", hangs, "bolt"),
            ("west-9", updates, "cola"),
            ("nomad-1", updates, "dart"),
            ("nomad-2", refuses, "dart"),
            ("nomad-3", hangs, "dart"),
            ("east-1", refuses, "acme"),
            ("east-2", refuses, "acme"),
            ("east-3", hangs, "bolt"),
            ("east-9", updates, "cola"),
        ];
        for (place, (id, does, vendor)) in all.iter().enumerate() {
            let host = if *does == hangs {
                "127.0.0.1".to_owned()
            } else {
                format!("127.71.0.{}", place + 1)
            };
            let region = if id.starts_with("east") { "east" } else { "west" };
            let mut tags = json!({"region": region, "vendor": vendor, "chain": "c1"});
            if region == "east" {
                tags["plotkey"] = json!("1");
            }
            let spec = json!({"address": format!("http://{host}:{}", ports[*does]), "tags": tags});
            let put = served.ask(Method::PUT, &format!("/api/v1/devices/{id}")).json(&spec);
            json(put.send().await.unwrap(), StatusCode::CREATED).await;
        }
        let file = served.data().join("update.bin");
        std::fs::write(&file, b"the bytes of an update").unwrap();
        let mut state = State::open(&served.data()).unwrap();
        let now = Clock::System.now();
        for (name, version) in
            [("pos", "1.0.0"), ("pos", "2.0.0"), ("menu", "1.0.0"), ("menu", "9.9.9")]
        {
            state.create_release(name, version, &file, now).unwrap();
        }
        for id in ["west-9", "east-9"] {
            state.check_in(id, Some("1.0.0"), now).unwrap();
        }
        let east = Kind::Enrollment {
            uses_max: 3,
            tags: [("region".to_owned(), "east".to_owned())].into(),
            tags_allowed: ["plotkey".to_owned()].into(),
        };
        served.token_of(Kind::Device { device: "east-1".to_owned() }, None);
        served.token(Role::Viewer, Some("tag.region==east"));
        let token = served.token_of(east, None);
        let token = token[4..].split_once('.').unwrap().0.to_owned();
        Self {
            served,
            west,
            hang: Mutex::new(Some(hang)),
            _fleets: [refusing, good],
            token,
            wrong: Mutex::default(),
        }
    }

    /// Rollouts of every kind on both sides: ended, rolled back, with devices that failed, that are
    /// under way, and that wait for domains and devices of the other side.
    async fn fill(&self) {
        let Self { served, west, .. } = self;
        let admin = &served.admin;
        let mut first = immediate("pos 2.0.0", "id==west-1 or id==west-2 or id==west-3");
        first["budgets"] = json!([
            {"per": "tag.vendor", "max": 1}, {"per": "tag.chain", "max_percent": 60},
        ]);
        assert_eq!(create(served, west, first).await, 1);
        assert_eq!(create(served, west, immediate("pos 2.0.0", "tag.vendor==dart")).await, 2);
        assert_eq!(create(served, west, immediate("pos 2.0.0", "id==west-9")).await, 3);
        self.roll_back(west, 3).await;
        self.number_from(FIRST_HIDDEN);
        let east = immediate("menu 9.9.9", "tag.region==east and id!=east-9");
        assert_eq!(create(served, admin, east).await, FIRST_HIDDEN);
        let over_all = immediate("menu 9.9.9", "id==west-1 or id==west-3");
        assert_eq!(create(served, admin, over_all).await, FIRST_HIDDEN + 1);
        let ninth = immediate("menu 9.9.9", "tag.region==east and id==east-9");
        assert_eq!(create(served, admin, ninth).await, FIRST_HIDDEN + 2);
        self.roll_back(admin, FIRST_HIDDEN + 2).await;
        for (number, failed) in [(FIRST_HIDDEN, 2), (FIRST_HIDDEN + 1, 1)] {
            act(served, admin, number, "start").await;
            let path = format!("/api/v1/rollouts/{number}");
            until(served, &path, |of| counts(number, of, failed, 1)).await;
        }
        self.release("tag.vendor=acme", "west-1", "hush: it stands beside east-1").await;
        act(served, west, 1, "start").await;
        act(served, west, 2, "start").await;
        until(served, "/api/v1/rollouts/2", |of| counts(2, of, 1, 1)).await;
        self.release("tag.chain=c1", "nomad-2", "a spare one").await;
        let waits = |of: &Value, what: &str| {
            of["waiting_on"]
                .as_array()
                .unwrap()
                .iter()
                .any(|reason| !reason["reason"][what].is_null())
        };
        let both = |of: &Value| waits(of, "domain") && waits(of, "busy");
        until(served, "/api/v1/rollouts/1/waiting-on", both).await;
        self.sicken("nomad-1");
    }

    async fn roll_back(&self, token: &str, number: i64) {
        act(&self.served, token, number, "start").await;
        let path = format!("/api/v1/rollouts/{number}");
        until(&self.served, &path, |of| of["state"] == "completed").await;
        let body = json!({"extent": "draft"});
        let back = post(&self.served, token, &format!("{path}/rollback"), &body).await;
        assert_eq!(json(back, StatusCode::OK).await["by"][0]["number"], number + 1);
    }

    async fn release(&self, domain: &str, device: &str, reason: &str) {
        let body = json!({"domain": domain, "device": device, "reason": reason});
        let path = "/api/v1/budgets/release";
        json(post(&self.served, &self.served.admin, path, &body).await, StatusCode::OK).await;
    }

    fn database(&self) -> rusqlite::Connection {
        let database = rusqlite::Connection::open(dir::database(&self.served.data())).unwrap();
        database.busy_timeout(Duration::from_secs(20)).unwrap();
        database
    }

    fn number_from(&self, first: i64) {
        let sql = "UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'rollout'";
        assert_eq!(self.database().execute(sql, [first - 1]).unwrap(), 1);
    }

    /// Has a device be found not to be well after its update, by the second rollout.
    fn sicken(&self, id: &str) {
        let database = self.database();
        let sql = "INSERT INTO regressed (assignment, cohort, at, text) \
                   SELECT a.id, a.cohort, a.changed_at, 'it smokes' FROM assignment a \
                   JOIN device d ON d.key = a.device WHERE a.rollout = 2 AND d.id = ?1";
        assert_eq!(database.execute(sql, [id]).unwrap(), 1);
        let sql = "UPDATE cohort SET counts = json_set(counts, '$.regressed', 1) WHERE rollout = 2";
        assert_eq!(database.execute(sql, []).unwrap(), 1);
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> (StatusCode, String) {
        let request = self.served.ask_as(&self.west, method, path);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status(), format!("{:?}", answer.headers()));
        (status, format!("{headers}\n{}", answer.text().await.unwrap()))
    }

    fn check(&self, is_right: bool, told: impl FnOnce() -> String) {
        if !is_right {
            self.wrong.lock().push(told());
        }
    }

    fn check_hides(&self, path: &str, text: &str) {
        for word in HIDDEN {
            let is_free = *word == "menu" && is_of_everybody(path);
            let is_right = is_free || !text.contains(word);
            self.check(is_right, || format!("{path} tells of `{word}`: {text}"));
        }
    }

    /// The paths of a route, filled with these; none if it takes something else.
    fn filled(&self, path: &str, devices: &[&str], rollouts: &[&str]) -> Vec<String> {
        let mut paths = vec![path.replace("{key}", "region")];
        let ids: Vec<&str> = match path {
            _ if path.contains("/tokens/") => vec![&self.token, "none"],
            _ if path.contains("/uploads/") => vec![],
            _ => devices.to_vec(),
        };
        for (part, values) in [("{rollout}", rollouts), ("{id}", &ids)] {
            if path.contains(part) {
                let with = |path: &String| {
                    values.iter().map(|is| path.replace(part, is)).collect::<Vec<_>>()
                };
                paths = paths.iter().flat_map(with).collect();
            }
        }
        let release = |path: &String| {
            path.replace("{name}", "menu")
                .replace("{version}", "9.9.9")
                .replace("{digest}", &"0".repeat(64))
        };
        paths.iter().map(release).collect()
    }
}

/// Releases and artifacts are everybody's.
fn is_of_everybody(path: &str) -> bool {
    path.starts_with("/api/v1/releases") || path.starts_with("/api/v1/artifacts")
}

fn for_operators() -> impl Iterator<Item = &'static Route> {
    routes::all().filter(|route| matches!(route.needs, Needs::Right(_) | Needs::DeviceOr(_)))
}

async fn every_answer_hides_it(world: &World) {
    let reads = for_operators().filter(|route| route.method == Method::GET);
    for route in reads.filter(|route| !route.path.ends_with("/events")) {
        for path in world.filled(route.path, SEEN_DEVICES, SEEN_ROLLOUTS) {
            if !path.contains("/tokens/") {
                world.check_hides(&path, &world.ask(Method::GET, &path, None).await.1);
            }
        }
    }
    world.check_hides(
        "tokens",
        &world.ask(Method::GET, "/api/v1/tokens?devices=true", None).await.1,
    );
    let mut document = immediate("pos 2.0.0", "tag.vendor==acme");
    document["budgets"] = json!([{"per": "tag.plotkex", "max": 1}]);
    let selector = json!({"select": "tag.plotkex==1"});
    let asking = routes::all()
        .filter(|route| route.method == Method::POST && route.needs == Needs::Right(Right::Read));
    for path in asking.map(|route| route.path).chain(["/api/v1/rollouts"]) {
        for body in [&document, &selector] {
            world.check_hides(path, &world.ask(Method::POST, path, Some(body)).await.1);
        }
    }
    let busy = world.ask(Method::DELETE, "/api/v1/devices/west-3", None).await;
    assert_eq!(busy.0, StatusCode::CONFLICT);
    world.check_hides("the device that is busy", &busy.1);
}

/// What is not for the west is as what is not there: the same words, and nothing done.
async fn nothing_hidden_is_there(world: &World) {
    let before = world.served.get("/api/v1/audit?limit=1").await;
    for route in for_operators() {
        let (is_write, path) = (route.method != Method::GET, route.path);
        if is_of_everybody(path) || !(path.contains("{id}") || path.contains("{rollout}")) {
            continue;
        }
        let body = match path {
            _ if !is_write => None,
            _ if path.ends_with("/tags/{key}") => Some(json!({"value": "west"})),
            "/api/v1/devices/{id}/release" => Some(json!({"reason": "a test"})),
            _ => Some(json!({})),
        };
        let devices =
            if path.contains("{rollout}") { &HIDDEN_DEVICES[2..] } else { HIDDEN_DEVICES };
        let mut paths = world.filled(path, devices, HIDDEN_ROLLOUTS);
        if path.contains("{rollout}") && path.contains("{id}") {
            paths.extend(world.filled(path, HIDDEN_DEVICES, &["1", "2"]));
        }
        let mut told: Vec<String> = vec![];
        for filled in paths {
            // What is written at a place where nothing is is new.
            if route.method == Method::PUT && filled.ends_with("none-1") {
                continue;
            }
            let (status, text) = world.ask(route.method.clone(), &filled, body.as_ref()).await;
            let (_, text) = text.split_once('\n').unwrap();
            let told_of: Value = serde_json::from_str(text).unwrap_or_default();
            let is_hidden = status == StatusCode::NOT_FOUND;
            world.check(is_hidden, || format!("{} {filled}: {status} {text}", route.method));
            let mut detail = told_of["detail"].as_str().unwrap_or_default().to_owned();
            for name in
                HIDDEN_DEVICES.iter().chain(HIDDEN_ROLLOUTS).chain(&[&*world.token, "`none`"])
            {
                detail = detail.replace(name, "X").replace("`X`", "X");
            }
            world.check_hides(&filled, &detail);
            told.push(detail);
        }
        let rollouts: Vec<_> = told.iter().filter(|text| text.contains("rollout")).collect();
        let others: Vec<_> = told.iter().filter(|text| !text.contains("rollout")).collect();
        for alike in [rollouts, others] {
            let is_alike = alike.windows(2).all(|two| two[0] == two[1]);
            world.check(is_alike, || format!("{path}: {alike:?}"));
        }
    }
    let release = json!({"domain": "tag.vendor=acme", "device": "east-1", "reason": "x"});
    let (status, told) = world.ask(Method::POST, "/api/v1/budgets/release", Some(&release)).await;
    world.check(status == StatusCode::NOT_FOUND, || format!("the slot of east-1: {told}"));
    let token = json!({"name": "x", "kind": "device", "device": "east-1"});
    let (status, told) = world.ask(Method::POST, "/api/v1/tokens", Some(&token)).await;
    world.check(status == StatusCode::NOT_FOUND, || format!("a token for east-1: {told}"));
    let after = world.served.get("/api/v1/audit?limit=1").await;
    world.check(after == before, || format!("something was done: {after}"));
    let device = world.served.get("/api/v1/devices/east-1").await;
    assert_eq!(device["tags"]["region"], "east");
}

/// All that is told to a listener until nothing comes for a while.
async fn heard(mut answer: Response, last: &str) -> String {
    let (mut text, mut is_last) = (String::new(), false);
    loop {
        let quiet = Duration::from_secs(if is_last { 1 } else { 20 });
        match tokio::time::timeout(quiet, answer.chunk()).await {
            Ok(Ok(Some(bytes))) => text.push_str(std::str::from_utf8(&bytes).unwrap()),
            Err(_) if is_last => return text,
            other => panic!("{other:?} before `{last}`: {text}"),
        }
        is_last |= text.contains(last);
    }
}

async fn move_away(world: &World) {
    for id in ["nomad-1", "nomad-2", "nomad-3"] {
        let put = world.served.ask(Method::PUT, &format!("/api/v1/devices/{id}/tags/region"));
        json(put.json(&json!({"value": "east"})).send().await.unwrap(), StatusCode::OK).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_one_region_neither_sees_nor_touches_another() {
    let world = World::new().await;
    world.fill().await;
    let World { served, west, .. } = &world;
    let own = served.ask_as(west, Method::GET, "/api/v1/rollouts/2").send().await.unwrap();
    let own = json(own, StatusCode::OK).await;
    assert_eq!(own["failures"][0]["device"], "nomad-2", "as long as it is its own");
    assert_eq!(own["regressed"][0]["device"], "nomad-1");
    let told = world.ask(Method::GET, "/api/v1/rollouts/2/explain", None).await.1;
    assert!(told.contains("(nomad-2)") && told.contains("the slot of nomad-2"), "{told}");
    let waits = world.ask(Method::GET, "/api/v1/rollouts/1/waiting-on", None).await.1;
    let is_told = waits.contains("domain_elsewhere") && waits.contains("busy_elsewhere");
    world.check(is_told, || waits.clone());
    let busy = world.ask(Method::GET, "/api/v1/devices/west-3/why", None).await.1;
    world.check(busy.contains("busy_elsewhere"), || busy.clone());

    let budgets = world.ask(Method::GET, "/api/v1/budgets", None).await.1;
    let budgets: Value = serde_json::from_str(budgets.split_once('\n').unwrap().1).unwrap();
    let mut domains = budgets["domains"].as_array().unwrap().iter();
    let chain = domains.find(|domain| domain["domain"] == "tag.chain=c1").unwrap();
    // A share of it would say how many devices it has.
    let is_told = chain["limits"] == json!([]) && chain["devices"] == 7;
    world.check(is_told, || chain.to_string());

    move_away(&world).await;
    every_answer_hides_it(&world).await;
    nothing_hidden_is_there(&world).await;
    let listen = |path: &str| served.ask_as(west, Method::GET, path).send();
    let whole = listen("/api/v1/events?since=begin").await.unwrap();
    world.check_hides("events", &heard(whole, "\"act\":\"start\"").await);
    let live = listen("/api/v1/events").await.unwrap();

    for verb in ["retry", "resume", "advance", "approve", "start", "rollback"] {
        let path = format!("/api/v1/rollouts/2/{verb}");
        let (status, told) = world.ask(Method::POST, &path, Some(&json!({}))).await;
        let is_refused = status == StatusCode::CONFLICT && told.contains("has-others");
        world.check(is_refused, || format!("{verb}: {status} {told}"));
    }
    // What it began it may stop, and is told of nobody by that.
    let paused = act(served, west, 2, "pause").await;
    let is_told = paused["open"] == 1 && paused["open_devices"] == json!([]);
    world.check(is_told, || paused.to_string());
    // Who was sent to is heard of: by whoever may.
    world.hang.lock().take();
    let path = "/api/v1/rollouts/2/assignments?state=delivering";
    until(served, path, |page| page["assignments"] == json!([])).await;
    act(served, west, 1, "cancel").await;
    world.check_hides("live events", &heard(live, "\"act\":\"cancel\"").await);
    let wrong = std::mem::take(&mut *world.wrong.lock());
    assert!(wrong.is_empty(), "{} answers:\n{}", wrong.len(), wrong.join("\n\n"));
    world.served.stop().await;
}
