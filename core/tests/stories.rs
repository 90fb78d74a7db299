//! What an operator does and reads, from beginning to end.
//!
//! Every file in `tests/scripts` tells a story: a world and a spec, then what happens, and after
//! `---` the whole transcript. `BLESS=1` (`make bless`) takes what is now said as the golden text;
//! read it like an operator before it is committed. A new bug is a new script.

mod stories {
    pub(crate) mod book;
    pub(crate) mod domains;
    pub(crate) mod driver;
    pub(crate) mod kept;
    pub(crate) mod random;
    pub(crate) mod script;
    mod size;
    pub(crate) mod world;
}

use std::{fs, path::Path};

use stories::{book::ZONES, kept, script::Script, world::World};

#[test]
fn every_story_is_told_as_it_was() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 25, "{} stories", paths.len());
    let is_blessed = std::env::var_os("BLESS").is_some();
    let mut changed = vec![];
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let (script, golden) = text.split_once("---\n").unwrap_or((&text, ""));
        let told = tell(&name, script, is_blessed);
        if told == golden {
            continue;
        }
        if is_blessed {
            fs::write(&path, format!("{}\n\n---\n{told}", script.trim_end())).unwrap();
        } else {
            changed.push(format!("== {name}\n{}", difference(golden, &told)));
        }
    }
    assert!(changed.is_empty(), "BLESS=1 accepts what is now said:\n{}", changed.join("\n"));
}

fn tell(name: &str, text: &str, is_blessed: bool) -> String {
    let script = Script::parse(text).unwrap_or_else(|why| panic!("{name}: {why}"));
    let mut world = World::new(&script).unwrap_or_else(|why| panic!("{name}: {why}"));
    for line in &script.steps {
        world.step(line).unwrap_or_else(|why| panic!("{name}: {line}: {why}"));
    }
    world.hold_log().unwrap_or_else(|why| panic!("{name}: its log: {why}"));
    for cut in 0..world.book.entries.len() {
        world.hold_cut(cut).unwrap_or_else(|why| panic!("{name}: its log: {why}"));
    }
    kept::hold(name, &world.book.entries, ZONES, is_blessed);
    world.explain(&script.explained).unwrap_or_else(|why| panic!("{name}: {why}"));
    world.told
}

/// The first line that differs, with its neighbors.
fn difference(golden: &str, told: &str) -> String {
    let at = golden.lines().zip(told.lines()).take_while(|(was, is)| was == is).count();
    let show = |text: &str| -> String {
        let lines = text.lines().skip(at.saturating_sub(2)).take(6);
        lines.flat_map(|line| ["    ", line, "\n"]).collect()
    };
    format!("  from line {}, was:\n{}  is:\n{}", at + 1, show(golden), show(told))
}
