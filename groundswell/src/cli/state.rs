//! What all commands on a state directory share: which one, how to print, how a refusal is told.

use std::{path::PathBuf, process::ExitCode};

use clap::ValueEnum;
use groundswell_core::{document::DocumentError, time::Time};
use serde::Serialize;

use super::{Failure, print_line, state_trouble, tell_line, who};
use crate::{
    engine::takeover::TakeoverError,
    operate::{OperateError, State},
    spec_file::SpecFileError,
    store::dir,
};

/// Which state directory, and how to print.
#[derive(Debug, clap::Args)]
pub struct On {
    /// Where the state is kept
    #[arg(
        long,
        value_name = "DIR",
        default_value = dir::DEFAULT,
        env = "GROUNDSWELL_STATE",
        global = true
    )]
    pub state: PathBuf,

    /// What to print: text for people, or JSON (times in milliseconds since 1970)
    #[arg(long, value_enum, default_value_t = Output::Text, global = true)]
    pub output: Output,
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl On {
    /// Opens the state directory to change it, if it is there. What is done with it is in its audit
    /// log, by the user of this machine.
    pub(super) fn change(
        &self,
        action: &str,
        subject: String,
        now: Time,
    ) -> Result<State, OperateError> {
        let mut state = State::open_existing(&self.state)?;
        who::attribute(&mut state, action, subject, now);
        Ok(state)
    }

    /// The same, and makes the directory if it is not there.
    pub(super) fn begin(
        &self,
        action: &str,
        subject: String,
        now: Time,
    ) -> Result<State, OperateError> {
        let mut state = State::open(&self.state)?;
        who::attribute(&mut state, action, subject, now);
        Ok(state)
    }

    /// Prints what was asked for: as JSON, or in words.
    pub(super) fn show<T: Serialize>(
        &self,
        value: &T,
        words: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        let text = match self.output {
            Output::Text => words(),
            Output::Json => {
                serde_json::to_string_pretty(value).map_err(|error| Failure::disk(error.into()))?
            }
        };
        print_line(text.trim_end());
        Ok(())
    }

    /// Prints a list; of one that is empty a note says so, apart from what was asked for.
    pub(super) fn show_list<T: Serialize>(
        &self,
        value: &T,
        note: Option<String>,
        words: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        let Some(note) = note else { return self.show(value, words) };
        if self.output == Output::Json {
            self.show(value, String::new)?;
        }
        tell_line(&format!("note: {note}"));
        Ok(())
    }

    /// The exit code, once a failure is told.
    pub(super) fn end(&self, done: Result<u8, Told>) -> ExitCode {
        match done {
            Ok(code) => ExitCode::from(code),
            Err(Told::Operate(error)) => self.failure(*error).tell(),
            Err(Told::Failure(failure)) => failure.tell(),
        }
    }

    fn failure(&self, error: OperateError) -> Failure {
        let is_of_state = error.is_of_state();
        let error = match error {
            OperateError::Store(error) | OperateError::Takeover(TakeoverError::Store(error)) => {
                state_trouble(&error, &self.state)
                    .unwrap_or_else(|context| anyhow::Error::from(error).context(context))
            }
            OperateError::ImportCut { kept, of, error } => {
                let cause = state_trouble(&error, &self.state)
                    .unwrap_or_else(|context| anyhow::Error::from(error).context(context));
                cause.context(format!(
                    "{kept} of {of} devices are kept, and the same import goes on from there"
                ))
            }
            OperateError::Spec(SpecFileError::Document(path, error)) => {
                faults(&path.display().to_string(), &error)
            }
            OperateError::Document(error) => faults("the spec", &error),
            error => error.into(),
        };
        if is_of_state { Failure::disk(error) } else { Failure::input(error) }
    }

    /// A command that goes on from what was done here, as it is to be typed.
    pub(super) fn command(&self, words: &str) -> String {
        dir::command(&self.state, words)
    }
}

/// All that is wrong with a spec, each fault on lines of its own.
fn faults(name: &str, error: &DocumentError) -> anyhow::Error {
    let count = error.faults().len() + error.more();
    let mistakes = if count == 1 { "1 mistake".to_owned() } else { format!("{count} mistakes") };
    let lines = error.to_string().replace('\n', "\n  ");
    anyhow::anyhow!("{name}: {mistakes}\n  {lines}")
}

/// Why a command ended early.
pub(super) enum Told {
    /// It was refused.
    Operate(Box<OperateError>),
    /// Anything else.
    Failure(Failure),
}

impl From<OperateError> for Told {
    fn from(error: OperateError) -> Self {
        Self::Operate(Box::new(error))
    }
}

impl From<Failure> for Told {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}
