//! Two drivers of one directory, which its lock would have kept apart.

use groundswell::{
    Driver,
    drive::DriveError,
    store::{SqliteStore, Store, StoreError, dir},
};

#[tokio::test]
async fn a_driver_that_another_one_took_over_from_notices_and_ends() {
    let state = tempfile::tempdir().unwrap();
    let mut driver = Driver::new(state.path());
    let begun = driver.begun();
    let running = tokio::spawn(driver.run());
    begun.await.unwrap();
    // As if the lock were on a file system that has none.
    let mut other = SqliteStore::open(&dir::database(state.path())).unwrap();
    let epoch = other.raise_epoch().unwrap();
    match running.await.unwrap() {
        Err(DriveError::Store(StoreError::Stale { own, current })) => {
            assert_eq!((own.0 + 1, current), (epoch.0, epoch));
        }
        ended => panic!("{ended:?}"),
    }
}
