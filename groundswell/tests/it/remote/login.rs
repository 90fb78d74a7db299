//! Which server is used, and who one is to it.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    process::Stdio,
};

use super::Serving;
use crate::{
    operate::{Desk, groundswell},
    program::Ran,
    support::pki::{Authority, Identity},
};

/// Logs in by what is given to standard input.
fn login(desk: &Desk, url: &str, token: &str, more: &[&str]) -> Ran {
    let args = [&["login", url, "--token-stdin"], more].concat();
    let mut command = groundswell(desk.path(), &args);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = piped.spawn().unwrap();
    writeln!(process.stdin.take().unwrap(), "{token}").unwrap();
    Ran::from(process.wait_with_output().unwrap())
}

#[test]
fn who_is_logged_in_does_everything_by_the_server_until_told_otherwise() {
    let (near, far) = (Desk::empty(), Desk::drafted());
    let serving = Serving::of(&far);
    let host = serving.url.strip_prefix("http://").unwrap();
    let plain = |ran: &Ran| ran.told().replace(host, "HOST").replace(&id(&serving), "TOKEN_ID");
    let ran = login(&near, &serving.url, &serving.token, &["--name", "prod"]);
    insta::assert_snapshot!(plain(&ran), @r"
    exit 0
    --- out
    logged in: commands are done by prod from now on
      server  http://HOST
      token   first admin (TOKEN_ID)
      may     admin
    ");
    let kept = near.path().join("groundswell").join("contexts.toml");
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(fs::read_to_string(&kept).unwrap().contains(&serving.token));

    // The draft is there, and there is no state here.
    assert!(near.well(&["rollout", "list"]).out.contains("pos-app 2.0.0"));
    assert!(!near.state().exists());
    let list = plain(&near.run(&["context", "list"]));
    let list: Vec<String> =
        list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let (heads, row) = ("name server token used", "prod http://HOST first admin (TOKEN_ID) yes");
    assert_eq!(list, ["exit 0", "--- out", heads, row]);
    for args in [
        &["context", "show"][..],
        &["context", "list", "--output", "json"],
        &["context", "show", "prod", "--output", "json"],
        &["rollout", "show", "1"],
    ] {
        let ran = near.well(args);
        assert!(!format!("{ran:?}").contains(&serving.token), "{args:?}");
    }
    // A directory that is named wins, and one in the environment as well.
    let ran = near.run(&["rollout", "list", "--state", "elsewhere"]);
    assert!(ran.err.contains("there is no state in elsewhere"), "{ran:?}");
    let mut command = groundswell(near.path(), &["rollout", "list"]);
    let ran = Ran::from(command.env("GROUNDSWELL_STATE", "there").output().unwrap());
    assert!(ran.err.contains("there is no state in there"), "{ran:?}");
    let mut command = serving.command(&near, &["rollout", "list"]);
    let ran = Ran::from(command.env("GROUNDSWELL_STATE", "there").output().unwrap());
    assert!(ran.out.contains("pos-app 2.0.0"), "{ran:?}");
    let ran = serving.run(&near, &["rollout", "list", "--state", "elsewhere"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("--state and --server: say one of them"), "{ran:?}");
    // What is of the machine is not done by the server.
    let ran = near.run(&["state", "backup", "copy.db"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("a state is copied by its machine, and not by http://"), "{ran:?}");

    let ran = near.run(&["context", "use", "prdo"]);
    assert_eq!(ran.err, "error: there is no context `prdo`: did you mean `prod`?\n");
    near.well(&["context", "use", "prod"]);
    insta::assert_snapshot!(plain(&near.run(&["logout"])), @r"
    exit 0
    --- out
    prod is forgotten here; the token of first admin (TOKEN_ID) stays good until it is revoked
    ");
    assert!(!fs::read_to_string(&kept).unwrap().contains(&serving.token));
    let ran = near.run(&["rollout", "list"]);
    assert!(ran.err.contains("there is no state in groundswell-data"), "{ran:?}");
    assert_eq!(near.run(&["context", "list"]).out, "");
}

fn id(serving: &Serving) -> String {
    serving.token.strip_prefix("gsw_").unwrap().split('.').next().unwrap().to_owned()
}

#[test]
fn a_token_that_is_refused_is_not_kept_and_never_told() {
    let (near, far) = (Desk::empty(), Desk::set());
    let serving = Serving::of(&far);
    let (most, last) = serving.token.split_at(serving.token.len() - 1);
    let wrong = format!("{most}{}", if last == "A" { "B" } else { "A" });
    for token in [&*wrong, "nonsense", "two words"] {
        let ran = login(&near, &serving.url, token, &[]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(!format!("{ran:?}").contains(token), "{ran:?}");
    }
    let ran = login(&near, &serving.url, &wrong, &[]);
    assert_eq!(
        ran.err,
        "error: the token is not known here; `groundswell login URL` takes another one\n"
    );
    assert!(!near.path().join("groundswell").exists());
    let ran = near.run(&["login", &serving.url]);
    assert!(ran.err.starts_with("error: no token: give it by --token-stdin"), "{ran:?}");
    let ran = near.run(&["rollout", "list", "--server", &serving.url]);
    assert!(ran.err.contains("no token for http://"), "{ran:?}");
    // By a file, as a pipeline has it.
    near.keep("token", &format!("{}\n", serving.token));
    let args = ["rollout", "list", "--server", &serving.url, "--token-file", "token"];
    assert_eq!(near.run(&args).code, Some(0));
}

/// Logs in at a terminal, at which this is typed; says what it came to, and what the terminal showed.
fn typed(desk: &Desk, url: &str, keys: &str) -> (Ran, String) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let own = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&own).unwrap();
    unlockpt(&own).unwrap();
    let name = ptsname(&own, vec![]).unwrap().into_string().unwrap();
    let terminal = fs::OpenOptions::new().read(true).write(true).open(name).unwrap();
    let mut own = fs::File::from(own);
    let mut command = groundswell(desk.path(), &["login", url]);
    let command = command.stdin(terminal.try_clone().unwrap()).stdout(Stdio::piped());
    let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut err = process.stderr.take().unwrap();
    let mut told = vec![];
    while !told.ends_with(b"(not shown): ") {
        let mut byte = [0];
        err.read_exact(&mut byte).unwrap();
        told.extend(byte);
    }
    own.write_all(keys.as_bytes()).unwrap();
    err.read_to_end(&mut told).unwrap();
    let mut ran = Ran::from(process.wait_with_output().unwrap());
    ran.err = String::from_utf8(told).unwrap();
    // It is as before: what is typed now is shown.
    own.write_all(b"end\n").unwrap();
    let mut shown = vec![];
    while !shown.ends_with(b"end\r\n") {
        let mut byte = [0];
        own.read_exact(&mut byte).unwrap();
        shown.extend(byte);
    }
    drop(terminal);
    (ran, String::from_utf8(shown).unwrap())
}

#[test]
fn whoever_sits_at_a_terminal_is_asked_and_nothing_typed_is_shown() {
    let (near, far) = (Desk::empty(), Desk::set());
    let serving = Serving::of(&far);
    let (ran, shown) = typed(&near, &serving.url, &format!("{}\n", serving.token));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("logged in"), "{ran:?}");
    assert_eq!(shown, "end\r\n");
    assert!(!format!("{ran:?}").contains(&serving.token));
    near.well(&["logout"]);
    let (ran, shown) = typed(&near, &serving.url, "gsw_a\x03");
    assert_eq!((ran.code, &*shown), (Some(130), "end\r\n"), "{ran:?}");
    let (ran, _) = typed(&near, &serving.url, "\n");
    assert!(ran.err.contains("error: no token: give it by --token-stdin"), "{ran:?}");
}

#[test]
fn what_a_token_may_not_is_told_with_who_may() {
    let (near, far) = (Desk::drafted(), Desk::drafted());
    let serving = Serving::of(&far);
    let viewer = {
        use groundswell::{
            access::{Kind, Role, Scope},
            clock::Clock,
            operate::State,
        };
        let mut state = State::open(&far.state()).unwrap();
        let scope = Some(Scope::parse("tag.region==north").unwrap());
        let kind = Kind::Operator { role: Role::Viewer, scope };
        let (_, secret) = state.create_token("eyes", kind, None, Clock::System.now()).unwrap();
        secret.reveal()
    };
    let ran = login(&near, &serving.url, &viewer, &[]);
    assert!(ran.out.contains("may     viewer of tag.region==north\n"), "{ran:?}");
    let ran = near.run(&["rollout", "start", "1"]);
    assert_eq!(ran.code, Some(2));
    assert_eq!(ran.err, "error: the token is of viewer; this takes one of: operator, admin\n");
}

#[test]
fn a_server_that_is_not_there_is_told_with_what_to_do() {
    let near = Desk::empty();
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ran = login(&near, &format!("http://{gone}"), "gsw_a.b", &[]);
    assert_eq!(ran.code, Some(3));
    let told = ran.err.replace(&gone.to_string(), "HOST");
    assert_eq!(
        told,
        "error: cannot reach http://HOST: Connection refused (os error 111); is `groundswell serve` \
         running there?\n"
    );
    let ran = login(&near, "updates.example.com", "gsw_a.b", &[]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("write https://HOST"), "{ran:?}");
}

#[test]
fn a_certificate_is_shown_to_a_server_that_asks_for_one() {
    let (near, far) = (Desk::empty(), Desk::drafted());
    let (servers, clients) = (Authority::new(), Authority::new());
    let keep = |desk: &Desk, name: &str, identity: &Identity| {
        desk.keep(&format!("{name}.crt"), &identity.certificate_pem);
        desk.keep(&format!("{name}.key"), &identity.key_pem);
    };
    let pem = |authority: &Authority| String::from_utf8(authority.pem()).unwrap();
    keep(&far, "server", &servers.issue(&["127.0.0.1"]));
    keep(&near, "own", &clients.issue(&["pipeline"]));
    keep(&near, "other", &servers.issue(&["pipeline"]));
    far.keep("clients.pem", &pem(&clients));
    near.keep("servers.pem", &pem(&servers));
    let tls = ["--tls-cert", "server.crt", "--tls-key", "server.key"];
    let serving = Serving::with(&far, &[&tls[..], &["--client-ca", "clients.pem"]].concat());

    let ran = login(&near, &serving.url, &serving.token, &["--ca", "servers.pem"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.err.contains("name yours by --cert FILE --key FILE"), "{ran:?}");
    let other = ["--ca", "servers.pem", "--cert", "other.crt", "--key", "other.key"];
    let ran = login(&near, &serving.url, &serving.token, &other);
    assert!(ran.err.contains("does not take the certificate that --cert names"), "{ran:?}");
    let gone = ["--ca", "servers.pem", "--cert", "gone.crt", "--key", "own.key"];
    let ran = login(&near, &serving.url, &serving.token, &gone);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("gone.crt cannot be used: "), "{ran:?}");

    // For one command, and once for all.
    let own = ["--ca", "servers.pem", "--cert", "own.crt", "--key", "own.key"];
    let ran = serving.run(&near, &[&["rollout", "list"], &own[..]].concat());
    assert!(ran.out.contains("pos-app 2.0.0"), "{ran:?}");
    let ran = login(&near, &serving.url, &serving.token, &own);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(near.well(&["rollout", "list"]).out.contains("pos-app 2.0.0"));
    assert!(near.well(&["context", "show"]).out.contains("own.crt"));
}

#[test]
fn who_takes_tls_for_plain_http_or_the_other_way_round_is_told() {
    let (near, far) = (Desk::empty(), Desk::set());
    let servers = Authority::new();
    let identity = servers.issue(&["127.0.0.1"]);
    far.keep("server.crt", &identity.certificate_pem);
    far.keep("server.key", &identity.key_pem);
    let secured = ["--tls-cert", "server.crt", "--tls-key", "server.key"];
    let there = Desk::set();
    let (plain, other) = (Serving::of(&there), Serving::with(&far, &secured));
    let https = plain.url.replace("http:", "https:");
    let ran = login(&near, &https, "gsw_a.b", &[]);
    assert!(ran.err.contains("speaks plain HTTP, without TLS: is it http://"), "{ran:?}");
    let http = other.url.replace("https:", "http:");
    let ran = login(&near, &http, "gsw_a.b", &[]);
    assert!(ran.err.contains("speaks no plain HTTP: is it https://"), "{ran:?}");
}

#[test]
fn shells_and_man_know_every_command() {
    let desk = Desk::empty();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let out = desk.well(&["completions", shell]).out;
        assert!(out.contains("rollback") && out.contains("token-stdin"), "{shell}");
    }
    desk.well(&["man", "pages/man1"]);
    let page = |name: &str| fs::read_to_string(desk.path().join("pages/man1").join(name)).unwrap();
    assert!(page("groundswell.1").contains("login"));
    assert!(page("groundswell-rollout-rollback.1").contains("groundswell rollout rollback 1"));
}
