//! `groundswell release`.

use std::fs;

use super::{Desk, assert_told};

#[test]
fn kept_once_and_never_changed() {
    let desk = Desk::empty();
    let create = ["release", "create", "pos-app", "2.0.0", "pos.bin"];
    assert_told!(desk.told(&create), @"
    exit 0
    --- out
    pos-app 2.0.0: 12 B, sha-256 1c60cd526d240107251066ccc52eb2c65a04083cde6812a001ac368241f6bf98
    ");
    assert_told!(desk.told(&create), @"
    exit 0
    --- out
    pos-app 2.0.0: 12 B, kept before, sha-256 1c60cd526d240107251066ccc52eb2c65a04083cde6812a001ac368241f6bf98
    ");
    desk.keep("pos.bin", "other software");
    assert_told!(desk.told(&create), @"
    exit 2
    --- err
    error: pos-app 2.0.0 is another file already (sha-256 1c60cd526d240107251066ccc52eb2c65a04083cde6812a001ac368241f6bf98, this one has 015cdca4b415b9666eba4d41f278bf611aa331b478b07fc81295f15aa2318258): a release never changes; give this file another version
    ");
    let json = ["release", "create", "pos-app", "2.0.1", "pos.bin", "--output", "json"];
    assert_told!(desk.told(&json), @r#"
    exit 0
    --- out
    {
      "name": "pos-app",
      "version": "2.0.1",
      "artifact": "015cdca4b415b9666eba4d41f278bf611aa331b478b07fc81295f15aa2318258",
      "artifact_bytes": 14,
      "is_new": true
    }
    "#);
    assert_told!(desk.told(&["release", "create", "pos-app", "2.0.2", "none.bin"]), @"
    exit 2
    --- err
    error: none.bin cannot be read: No such file or directory (os error 2)
    ");
    assert_told!(desk.told(&["release", "create", "pos-app", " ", "pos.bin"]), @"
    exit 2
    --- err
    error: the version is empty
    ");
}

#[test]
fn listed_and_shown() {
    let desk = Desk::set();
    assert_told!(desk.told(&["release", "list"]), @"
    exit 0
    --- out
      name     version  size  created               sha-256
      pos-app  2.0.0    12 B  TIME  1c60cd526d240107251066ccc52eb2c65a04083cde6812a001ac368241f6bf98
    ");
    assert_told!(desk.told(&["release", "list", "pos"]), @"
    exit 0
    --- err
    note: there is no release of pos
    ");
    assert_told!(desk.told(&["release", "list", "pos-ap"]), @"
    exit 0
    --- err
    note: there is no release of pos-ap; did you mean `pos-app`?
    ");
    desk.well(&["rollout", "create", "spec.toml"]);
    assert_told!(desk.told(&["release", "show", "pos-app", "2.0.0"]), @"
    exit 0
    --- out
    pos-app 2.0.0
      size      12 B
      sha-256   1c60cd526d240107251066ccc52eb2c65a04083cde6812a001ac368241f6bf98
      created   TIME
      file      groundswell-data/artifacts/1c60cd526d240107251066ccc52eb2c65a04083cde6812a001ac368241f6bf98
      rollouts  1
    ");
    assert_told!(desk.told(&["release", "show", "pos-app", "2.1.0"]), @"
    exit 2
    --- err
    error: there is no release pos-app 2.1.0; there is pos-app 2.0.0
    ");
    fs::remove_dir_all(desk.state().join("artifacts")).unwrap();
    let gone = desk.run(&["release", "show", "pos-app", "2.0.0"]);
    assert!(gone.out.contains("not kept here any more: it cannot be sent"), "{gone:?}");
}

#[test]
fn none_yet() {
    let desk = Desk::empty();
    desk.well(&["device", "import", "devices.json"]);
    assert_told!(desk.told(&["release", "list"]), @"
    exit 0
    --- err
    note: no release yet: `groundswell release create NAME VERSION FILE` makes one
    ");
}
