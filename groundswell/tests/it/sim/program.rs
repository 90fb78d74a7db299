//! `groundswell sim` as a program: its lines, its report, its refusals.

use std::{
    io,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Command, Stdio},
};

use groundswell::sim::Report;

use super::{HOST, TO_TWO, post};

fn groundswell(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_groundswell"));
    command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn the_program_writes_its_report_when_it_is_told_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let file = path.to_str().unwrap();
    let args = ["sim", "--listen", "127.0.0.1:0", "--fault", "flaky:1", "--report", file];
    let mut program = groundswell(&args).spawn().unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let address = first.strip_prefix("simulated fleet listening on ").unwrap();
    for _ in 0..2 {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(post(TO_TWO, "abc").as_bytes()).unwrap();
        io::read_to_string(stream).unwrap();
    }
    let pid = program.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(program.wait().unwrap().success());
    insta::assert_snapshot!(lines.next().unwrap().unwrap(), @"devices 1, requests 2, updates 2 (2 complete, 0 cut, 1 refused, 0 repeated), 6 B, connections 2, faults 1 (flaky 1)");
    let report: Report = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(report.devices[HOST].version, "2.0.0");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

fn refusal(args: &[&str]) -> String {
    let output = groundswell(args).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn bad_input_is_refused_with_the_reason() {
    insta::assert_snapshot!(refusal(&["sim", "--fault", "explode"]), @"
    error: invalid value 'explode' for '--fault <KIND[:RATE]>': there is no fault `explode`; there are status:N, flaky:N, hang, reset, slow, truncated, malformed, endless, wrong-version, bricks, twice and sickens, each with a rate if wanted, as in hang:0.1

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(refusal(&["sim", "--latency", "5"]), @"
    error: invalid value '5' for '--latency <TIME>': `5` has no unit that is known; write for example 500ms, 1.5s, 2m or 1h

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(refusal(&["sim", "--report", "/no/such/place/report.json"]), @"error: there is no directory /no/such/place for --report; create it first");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = taken.local_addr().unwrap();
    let text = refusal(&["sim", "--listen", &address.to_string()]);
    insta::assert_snapshot!(text.replace(&address.to_string(), "ADDRESS"), @"error: cannot listen on ADDRESS; choose another with --listen: Address already in use (os error 98)");
}
