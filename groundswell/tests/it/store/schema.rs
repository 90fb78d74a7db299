//! The file: who wrote it, and whether it is a database at all.

use std::{fs, os::unix::fs::symlink, path::Path};

use groundswell::{
    core::ids::Epoch,
    store::{SqliteStore, Store, StoreError, Which},
};

use super::rollout_of;

#[test]
fn epochs_rise_and_survive() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    assert_eq!(SqliteStore::open(&path).unwrap().raise_epoch().unwrap(), Epoch(1));
    assert_eq!(SqliteStore::open(&path).unwrap().raise_epoch().unwrap(), Epoch(2));
}

#[test]
fn a_newer_schema_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    drop(SqliteStore::open(&path).unwrap());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let refused = SqliteStore::open(&path).unwrap_err();
    assert!(matches!(refused, StoreError::Newer { found: 99, .. }), "{refused}");
}

#[test]
fn what_is_no_database_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    std::fs::write(&path, vec![b'x'; 9_000]).unwrap();
    let refused = SqliteStore::open(&path).unwrap_err();
    assert!(matches!(refused, StoreError::Damaged(_)), "{refused}");
}

#[test]
fn whoever_only_looks_sees_what_was_written_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    assert!(SqliteStore::open_to_read(&path).unwrap().is_none());
    let mut store = SqliteStore::open(&path).unwrap();
    let key = rollout_of(&mut store, 3);
    let mut reader = SqliteStore::open_to_read(&path).unwrap().unwrap();
    assert_eq!(reader.count(key, 1).unwrap().queued, 3);
    assert!(reader.raise_epoch().is_err());
    drop(store);
    assert_eq!(reader.count(key, 1).unwrap().queued, 3);
}

fn names(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn whoever_looks_before_somebody_writes_sees_it_whole_and_leaves_no_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let key = rollout_of(&mut SqliteStore::open(&path).unwrap(), 3);
    let modified = || fs::metadata(&path).unwrap().modified().unwrap();
    let written_at = modified();
    let reader = SqliteStore::open_to_read(&path).unwrap().unwrap();
    assert_eq!(reader.count(key, 1).unwrap().queued, 3);
    drop(reader);
    assert_eq!((names(dir.path()), modified()), (vec!["state.db".to_owned()], written_at));

    let reader = SqliteStore::open_to_read(&path).unwrap().unwrap();
    let other = SqliteStore::open_to_read(&path).unwrap().unwrap();
    assert_eq!(reader.count(key, 1).unwrap().queued, 3);
    let mut writer = SqliteStore::open(&path).unwrap();
    let later = rollout_of(&mut writer, 2_000);
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    assert_eq!(reader.count(later, 1).unwrap().queued, 2_000);

    let copy = dir.path().join("copy");
    reader.copy_to(&copy).unwrap();
    let copy = SqliteStore::open_to_read(&copy).unwrap().unwrap();
    assert_eq!(copy.count(later, 1).unwrap().queued, 2_000);
    drop((raw, writer, copy, reader, other));
    assert_eq!(names(dir.path()), ["copy", "state.db"]);
}

#[test]
fn what_is_read_at_once_is_of_one_moment() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let key = rollout_of(&mut SqliteStore::open(&path).unwrap(), 3);
    let reader = SqliteStore::open_to_read(&path).unwrap().unwrap();
    let mut writer = SqliteStore::open(&path).unwrap();
    let mut looks = 0;
    reader
        .at_once(&mut |store| {
            for _ in 0..3 {
                looks += 1;
                assert_eq!(store.rollouts(Which::All)?.len(), 1);
                store.at_once(&mut |store| {
                    assert_eq!(store.count(key, 1)?.queued, 3);
                    Ok(())
                })?;
                rollout_of(&mut writer, 10 + looks);
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(reader.rollouts(Which::All).unwrap().len(), 4);
}

#[test]
fn where_no_files_can_be_made_it_is_read_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let key = rollout_of(&mut SqliteStore::open(&path).unwrap(), 3);
    // In the way of everybody, also of those who may write everywhere.
    symlink(dir.path().join("nowhere/shm"), dir.path().join("state.db-shm")).unwrap();
    let reader = SqliteStore::open_to_read(&path).unwrap().unwrap();
    assert_eq!(reader.count(key, 1).unwrap().queued, 3);
    reader.copy_to(&dir.path().join("copy")).unwrap();
}

#[test]
fn only_what_another_connection_wrote_changes_the_foreign_version() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let mut store = SqliteStore::open(&path).unwrap();
    let before = store.foreign_version().unwrap();
    let key = rollout_of(&mut store, 3);
    store.raise_epoch().unwrap();
    assert_eq!(store.foreign_version().unwrap(), before, "its own writes are nobody else's");

    let mut other = SqliteStore::open(&path).unwrap();
    assert_eq!(other.count(key, 1).unwrap().queued, 3);
    assert_eq!(store.foreign_version().unwrap(), before, "the other one has only read");
    rollout_of(&mut other, 2);
    let after = store.foreign_version().unwrap();
    assert_ne!(after, before);
    store.raise_epoch().unwrap();
    assert_eq!(store.foreign_version().unwrap(), after);
}
