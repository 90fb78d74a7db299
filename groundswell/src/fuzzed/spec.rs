//! Rollout specs: what is read is spelled, and read again, as the same; what is refused has a place.

use std::path::Path;

use groundswell_core::{
    document::{Document, DocumentError, FAULTS_MAX, FIELDS, Tree, spelled},
    gate::baseline::Earlier,
    release::{Digest, Release},
    rollout::Spec,
};

use super::NOW;
use crate::spec_file::{self, SPEC_BYTES_MAX, SpecFileError};

/// Longest message of one fault, in bytes: a screen.
const FAULT_BYTES_MAX: usize = 2_000;

/// Results of earlier rollouts, enough for a baseline.
const EARLIER: Earlier = Earlier { failures: 9, results: 1_000 };

/// Holds bytes against what is promised of rollout specs, in both notations.
///
/// # Panics
/// If that is broken.
pub fn spec(given: &[u8]) {
    let Ok(text) = str::from_utf8(given) else { return };
    if text.len() as u64 > SPEC_BYTES_MAX {
        return;
    }
    match read("spec.toml", text) {
        Ok(Some(spec)) => written(&spec),
        Ok(None) => {}
        Err(SpecFileError::Syntax { line, column, message, .. }) => {
            let text = text.strip_prefix('\u{feff}').unwrap_or(text);
            // A place behind the last line is the end of the text.
            let lines: Vec<&str> = text.split('\n').collect();
            assert!((1..=lines.len()).contains(&line), "line {line} of {}", lines.len());
            let bytes = lines[line - 1].len();
            assert!((1..=bytes + 1).contains(&column), "column {column} of {bytes}");
            assert!(!message.is_empty() && message.len() <= FAULT_BYTES_MAX, "{message}");
        }
        Err(SpecFileError::Document(_, error)) => refused(&error, text),
        Err(error) => panic!("{error}"),
    }
}

/// The spec in a text; none if the document is sound but makes none.
fn read(name: &str, text: &str) -> Result<Option<Spec>, SpecFileError> {
    let document = spec_file::parse(Path::new(name), text, NOW)?;
    let spec = into_spec(document);
    if let Err(error) = &spec {
        refused(error, text);
    }
    Ok(spec.ok())
}

fn into_spec(document: Document) -> Result<Spec, DocumentError> {
    let release = Release {
        name: document.release.name.clone(),
        version: document.release.version.clone(),
        artifact: Digest([7; 32]),
        artifact_bytes: 1,
    };
    document.into_spec(release, EARLIER)
}

/// A spec, spelled as a tree and in each notation, is the same.
fn written(spec: &Spec) {
    let tree = spelled(spec);
    let again = Document::read(&tree).and_then(into_spec);
    assert_eq!(again.as_ref(), Ok(spec), "spelled as {tree:?}");
    let notations =
        [("a.json", serde_json::to_string(&tree).ok()), ("a.toml", toml::to_string(&tree).ok())];
    for (name, text) in notations {
        let text = text.unwrap_or_else(|| panic!("no {name} of {tree:?}"));
        match read(name, &text) {
            Ok(again) => assert_eq!(again.as_ref(), Some(spec), "written as {text}"),
            Err(error) => panic!("{error}: {:?}\n{text}", std::error::Error::source(&error)),
        }
    }
}

/// Every fault names a field that is there, or one that there could be.
fn refused(error: &DocumentError, text: &str) {
    let faults = error.faults();
    assert!((1..=FAULTS_MAX).contains(&faults.len()), "{} faults", faults.len());
    assert!(error.more() == 0 || faults.len() == FAULTS_MAX, "{} more", error.more());
    let names = names(text);
    for fault in faults {
        let first = fault.path.split(['.', '[']).next().unwrap_or_default();
        let is_known = FIELDS.iter().any(|(_, fields)| fields.contains(&first));
        // Names that were written are echoed short.
        let is_there = names.iter().any(|name| {
            let name = name.split(['.', '[']).next().unwrap_or_default();
            name == first || (first.len() >= 8 && !name.is_empty())
        });
        assert!(first.is_empty() || is_known || is_there, "{:?} of {names:?}", fault.path);
        assert!(!fault.what.is_empty() && fault.what.len() <= FAULT_BYTES_MAX, "{fault}");
        assert!(fault.path.len() <= FAULT_BYTES_MAX, "{fault}");
        let is_shown = |c: char| !c.is_control() || c == '\n';
        assert!(fault.to_string().chars().all(is_shown), "{:?}", fault.to_string());
    }
}

/// What the outermost fields of a document are called.
fn names(text: &str) -> Vec<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let tree: Option<Tree> = serde_json::from_str(text).ok().or_else(|| toml::from_str(text).ok());
    match tree {
        Some(Tree::Table(fields)) => fields.into_keys().collect(),
        _ => vec![],
    }
}
