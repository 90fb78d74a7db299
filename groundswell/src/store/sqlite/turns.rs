//! Whose turn it is to write, among the handles of one process.
//!
//! `SQLite` lets one write at a time, and has the others look again and again until one of them
//! happens to find it free: with many there is no order, and whoever has bad luck for seconds is told
//! that the database is busy. So handles of one process come in order here before they ask for it,
//! and a driver's before all others: what it does must not wait for how much others write.

use std::{
    collections::{HashMap, VecDeque},
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
};

use parking_lot::Mutex;

/// The turns of every database that this process has open.
static OPEN: LazyLock<Mutex<HashMap<PathBuf, Weak<Turns>>>> = LazyLock::new(Mutex::default);

/// Who writes to one database, and who waits.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    is_taken: bool,
    drivers: VecDeque<Arc<Waiter>>,
    others: VecDeque<Arc<Waiter>>,
}

#[derive(Debug)]
struct Waiter {
    thread: Thread,
    is_next: AtomicBool,
}

/// Somebody's turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn(Arc<Turns>);

impl Turns {
    /// Those of the database at a path that exists.
    pub(super) fn of(path: &Path) -> Arc<Self> {
        // Where a name cannot be followed, the handle is in nobody's way but by SQLite's own means.
        let Ok(path) = path.canonicalize() else { return Arc::default() };
        let mut open = OPEN.lock();
        if let Some(turns) = open.get(&path).and_then(Weak::upgrade) {
            return turns;
        }
        open.retain(|_, turns| turns.strong_count() > 0);
        let turns = Arc::<Self>::default();
        open.insert(path, Arc::downgrade(&turns));
        turns
    }

    /// Waits until it is this thread's turn: drivers first, and each in the order in which they came.
    pub(super) fn take(self: &Arc<Self>, is_driver: bool) -> Turn {
        let mut queue = self.0.lock();
        if !queue.is_taken {
            queue.is_taken = true;
            return Turn(Arc::clone(self));
        }
        let waiter =
            Arc::new(Waiter { thread: thread::current(), is_next: AtomicBool::new(false) });
        let line = if is_driver { &mut queue.drivers } else { &mut queue.others };
        line.push_back(Arc::clone(&waiter));
        drop(queue);
        while !waiter.is_next.load(Ordering::Acquire) {
            thread::park();
        }
        Turn(Arc::clone(self))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut queue = self.0.0.lock();
        let next = queue.drivers.pop_front().or_else(|| queue.others.pop_front());
        match next {
            // It stays taken, by the one that is woken: nobody comes in between.
            Some(next) => {
                next.is_next.store(true, Ordering::Release);
                next.thread.unpark();
            }
            None => queue.is_taken = false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{SqliteStore, Store as _};

    fn waiting(turns: &Turns) -> usize {
        let queue = turns.0.lock();
        queue.drivers.len() + queue.others.len()
    }

    #[test]
    fn drivers_go_first_and_each_in_the_order_in_which_they_came() {
        let turns = Arc::<Turns>::default();
        let told = Arc::new(Mutex::new(vec![]));
        let first = turns.take(false);
        let come = [("a", false), ("b", false), ("driver", true), ("c", false), ("second", true)];
        let threads: Vec<_> = come
            .into_iter()
            .enumerate()
            .map(|(at, (name, is_driver))| {
                let (own, told) = (Arc::clone(&turns), Arc::clone(&told));
                let thread = thread::spawn(move || {
                    let _turn = own.take(is_driver);
                    told.lock().push(name);
                });
                while waiting(&turns) <= at {
                    thread::yield_now();
                }
                thread
            })
            .collect();
        drop(first);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(*told.lock(), ["driver", "second", "a", "b", "c"]);
        assert!(!turns.0.lock().is_taken);
    }

    #[test]
    fn one_that_panics_ends_its_turn() {
        let turns = Arc::<Turns>::default();
        let own = Arc::clone(&turns);
        let died = thread::spawn(move || {
            let _turn = own.take(true);
            panic!("as a bug would");
        });
        assert!(died.join().is_err());
        drop(turns.take(false));
    }

    #[test]
    fn a_database_has_one_order_by_whatever_name_it_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        std::fs::write(&path, "").unwrap();
        let turns = Turns::of(&path);
        let other = dir.path().join(".").join("state.db");
        assert!(Arc::ptr_eq(&turns, &Turns::of(&other)));
        drop(turns);
        assert_eq!(Turns::of(&path).0.lock().others.len(), 0);
    }

    #[test]
    fn the_handle_of_a_driver_writes_before_others_that_came_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let mut driver = SqliteStore::open(&path).unwrap();
        driver.raise_epoch().unwrap();
        let turns = Arc::clone(&driver.turns);
        let told = Arc::new(Mutex::new(vec![]));
        let write = |mut store: SqliteStore, name: &'static str, come: usize| {
            let told = Arc::clone(&told);
            let thread = thread::spawn(move || {
                store
                    .within(|_| {
                        told.lock().push(name);
                        Ok(())
                    })
                    .unwrap();
            });
            while waiting(&turns) < come {
                thread::yield_now();
            }
            thread
        };
        let others = [SqliteStore::open(&path).unwrap(), SqliteStore::open(&path).unwrap()];
        let held = turns.take(false);
        let mut threads = vec![];
        for (at, store) in others.into_iter().enumerate() {
            threads.push(write(store, "other", at + 1));
        }
        threads.push(write(driver, "driver", 3));
        drop(held);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(*told.lock(), ["driver", "other", "other"]);
    }
}
