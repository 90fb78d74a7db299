//! The domains that somebody holds a slot in, is down in or waits for, each under a number.

use std::{
    collections::HashMap,
    ops::{Index, IndexMut},
    sync::Arc,
};

use super::state::State;
use crate::budget::Domain;

/// The number of a domain; given to another one once it was forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(u32);

#[derive(Debug, Default)]
pub(super) struct Registry {
    by_name: HashMap<Arc<Domain>, Key>,
    /// By number; what is forgotten is idle, and among the free.
    states: Vec<State>,
    free: Vec<Key>,
}

impl Registry {
    pub(super) fn find(&self, domain: &Domain) -> Option<Key> {
        self.by_name.get(domain).copied()
    }

    pub(super) fn intern(&mut self, domain: &Arc<Domain>) -> Key {
        if let Some(key) = self.find(domain) {
            return key;
        }
        let state = State::new(Arc::clone(domain));
        let key = self.free.pop().unwrap_or(Key(self.states.len() as u32));
        match self.states.get_mut(key.0 as usize) {
            Some(slot) => *slot = state,
            None => self.states.push(state),
        }
        self.by_name.insert(Arc::clone(domain), key);
        key
    }

    /// Forgets a domain, if there is nothing to be remembered of it.
    pub(super) fn forget_idle(&mut self, key: Key) {
        let state = &mut self.states[key.0 as usize];
        if state.is_idle() && self.by_name.remove(&state.domain()).is_some() {
            state.is_open = false;
            self.free.push(key);
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// All of them, by their names.
    pub(super) fn sorted(&self) -> Vec<&State> {
        let mut keys: Vec<(&Arc<Domain>, Key)> =
            self.by_name.iter().map(|(domain, key)| (domain, *key)).collect();
        keys.sort_unstable_by_key(|(domain, _)| *domain);
        keys.into_iter().map(|(_, key)| &self[key]).collect()
    }
}

impl Index<Key> for Registry {
    type Output = State;

    fn index(&self, key: Key) -> &State {
        &self.states[key.0 as usize]
    }
}

impl IndexMut<Key> for Registry {
    fn index_mut(&mut self, key: Key) -> &mut State {
        &mut self.states[key.0 as usize]
    }
}
