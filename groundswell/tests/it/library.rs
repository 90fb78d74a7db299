//! The example of a program that uses the library, as it is built and run.

use std::{path::Path, process::Command};

use groundswell::sim::{Fleet, Options};

#[tokio::test(flavor = "multi_thread")]
async fn the_example_pushes() {
    let fleet = Fleet::start(Options::default()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pos.bin");
    std::fs::write(&file, b"new software").unwrap();
    let port = fleet.local_addr().port();
    let devices = dir.path().join("devices.csv");
    let rows = format!("id,address\na,http://127.50.0.1:{port}\nb,http://127.50.0.2:{port}\n");
    std::fs::write(&devices, rows).unwrap();
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "groundswell", "--example", "library"])
        .status()
        .unwrap();
    assert!(built.success(), "the example does not compile");
    let program = Path::new(env!("CARGO_BIN_EXE_groundswell")).with_file_name("examples/library");
    let output = tokio::task::spawn_blocking(move || {
        Command::new(program)
            .arg(file)
            .arg("2.0.0")
            .arg(devices)
            .arg(dir.path().join("state"))
            .output()
            .unwrap()
    });
    let output = output.await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.ends_with("2 of 2 devices have it\n"), "{said}{complaint}");
    assert_eq!(fleet.summary().receptions.complete, 2);
}
