//! All that is wrong with a document.

use std::{cell::RefCell, fmt};

use crate::rollout::SpecError;

/// Most faults that are kept, a screen or two; whoever made more of them corrects these first.
pub const FAULTS_MAX: usize = 50;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where, such as `waves[2].min_success` (the first is 1); empty for the document as a whole.
    pub path: String,
    /// What is wrong, and what to write.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.path.is_empty() { "" } else { ": " };
        write!(f, "{}{separator}{}", self.path, self.what)
    }
}

/// Why a document was refused. Shown with one fault per line, apart from selectors, whose place is
/// shown in lines of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentError {
    faults: Vec<Fault>,
    more: usize,
}

impl DocumentError {
    /// What is wrong, at most [`FAULTS_MAX`]; at least one.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// How many faults there are beyond these.
    pub const fn more(&self) -> usize {
        self.more
    }
}

impl std::error::Error for DocumentError {}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{fault}")?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

/// Faults as they are found.
#[derive(Debug, Default)]
pub(super) struct Faults(RefCell<(Vec<Fault>, usize)>);

impl Faults {
    pub(super) fn push(&self, path: impl Into<String>, what: impl Into<String>) {
        let (faults, more) = &mut *self.0.borrow_mut();
        if faults.len() < FAULTS_MAX {
            faults.push(Fault { path: path.into(), what: what.into() });
        } else {
            *more += 1;
        }
    }

    /// Whether anything is wrong with one of these fields, or within it.
    pub(super) fn is_any_in(&self, fields: &[&str]) -> bool {
        let (faults, more) = &*self.0.borrow();
        let is_in = |fault: &Fault| {
            let name = fault.path.split(['.', '[']).next().unwrap_or_default();
            fields.contains(&name)
        };
        *more > 0 || faults.iter().any(is_in)
    }

    pub(super) fn push_spec(&self, error: &SpecError) {
        match error {
            SpecError::Range { field, value, max } => self.push(
                format!("limits.{field}"),
                format!("must be a whole number from 1 to {max}, not {value}"),
            ),
            SpecError::VerifyTimeout(_) => {
                self.push("timeouts.verifying", "must be from 1ms to 7d");
            }
            SpecError::Wave { wave, field, why } => {
                self.push(format!("waves[{wave}].{field}"), *why);
            }
            SpecError::TooManyWaves(count) => {
                let most = crate::rollout::WAVES_LIMIT;
                self.push("waves", format!("there are {count}, the most is {most}"));
            }
            SpecError::Gate { gate, field, why } => {
                self.push(format!("gates[{gate}].{field}"), why.as_str());
            }
            SpecError::TooManyGates(count) => {
                let most = crate::gate::external::GATES_MAX;
                self.push("gates", format!("there are {count}, the most is {most}"));
            }
            SpecError::Health { field, why } => {
                self.push(format!("health.{field}"), why.as_str());
            }
            SpecError::Budget { budget, field, why } => {
                self.push(format!("budgets[{budget}].{field}"), why.as_str());
            }
            SpecError::TooManyBudgets(count) => {
                let most = crate::budget::BUDGETS_MAX;
                self.push("budgets", format!("there are {count}, the most is {most}"));
            }
        }
    }

    /// The value if nothing is wrong with it.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, DocumentError> {
        let (faults, more) = self.0.into_inner();
        match value {
            Some(value) if faults.is_empty() => Ok(value),
            _ => Err(DocumentError { faults, more }),
        }
    }
}
