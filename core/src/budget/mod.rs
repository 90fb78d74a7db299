//! How many devices of one failure domain (a store, a pair, a region) may be out of order at once.
//!
//! Owns what a budget is and how it is written, the slots of every domain and who waits for them,
//! and what is said of budgets by which a rollout could never go. Knows no database and no rollout:
//! rollouts, devices and candidates are what its caller makes of them. Types to read first:
//! [`Budget`], [`Domain`], [`Domains`].

mod domain;
mod domains;
mod fate;
mod full;
mod limit;
mod unmeetable;

#[cfg(test)]
mod tests;

pub(crate) use self::limit::repeated;
pub use self::{
    domain::{Domain, DomainError, Per, PerError},
    domains::{
        Admission, Candidate, Domains, Fullness, Place, Released, Standing, Waiting, WaitingAt, Why,
    },
    fate::Fate,
    full::{Full, NAMED_MAX},
    limit::{BUDGETS_MAX, Budget, Limit, budget_faults},
    unmeetable::{DomainCount, Problem, unmeetable},
};
