//! What all commands share that look at a fleet or change it: where, how to print, how a refusal is told.

use std::{
    cell::OnceCell,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::ValueEnum;
use groundswell_core::document::DocumentError;
use serde::Serialize;

use super::{
    Failure, context,
    contexts::{Context, ContextsFile, environment},
    place::{Dir, Place},
    print_line,
    remote::{self, Remote},
    state_trouble, tell_line,
};
use crate::{
    client::{Client, ClientError, Identity, Options},
    engine::takeover::TakeoverError,
    operate::OperateError,
    spec_file::SpecFileError,
    store::dir,
};

/// Where a command is done, and how to print.
#[derive(Debug, clap::Args)]
pub struct On {
    /// Where it is done.
    #[command(flatten)]
    pub at: At,
    /// How to print.
    #[command(flatten)]
    pub print: Print,
}

/// A state directory, or a server.
#[derive(Debug, Default, clap::Args)]
pub struct At {
    /// Where the state is kept, if no server is used; groundswell-data if nothing is said
    #[arg(long, value_name = "DIR", env = "GROUNDSWELL_STATE", global = true)]
    pub state: Option<PathBuf>,

    /// The server that does it, whatever state directory or context there is
    #[arg(long, value_name = "URL", global = true)]
    pub server: Option<String>,

    /// Where the token for the server is.
    #[arg(
        long,
        value_name = "FILE",
        global = true,
        help = "Where the token for --server is, if not in GROUNDSWELL_TOKEN"
    )]
    pub token_file: Option<PathBuf>,

    /// Take only certificates of authorities in this file (PEM) for --server
    #[arg(long, value_name = "FILE", global = true)]
    pub ca: Option<PathBuf>,

    /// The certificate to show to a --server that asks for one (PEM)
    #[arg(long, value_name = "FILE", global = true, requires = "key")]
    pub cert: Option<PathBuf>,

    /// The private key of that certificate (PEM)
    #[arg(long, value_name = "FILE", global = true, requires = "cert")]
    pub key: Option<PathBuf>,

    /// What it is called, once that is known.
    #[arg(skip)]
    pub(super) named: OnceCell<String>,
}

/// How to print.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Print {
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

impl Print {
    /// Prints what was asked for: as JSON, or in words.
    pub(super) fn show<T: Serialize>(
        self,
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
        self,
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
}

impl At {
    /// Where a command is done: by the server that was typed, in the directory that was typed, by the
    /// server that is used as a rule, or in the directory that is used where there is none.
    pub(super) fn place(&self, print: Print) -> Result<Place, Told> {
        if let Some(url) = &self.server {
            let client = self.client(url)?;
            let _ = self.named.set(client.url().to_owned());
            return Ok(Place::Server(Remote::new(client)?));
        }
        if let Some(state) = &self.state {
            return Ok(Place::Dir(Dir(state.clone())));
        }
        let contexts = ContextsFile::of_user()?.read()?;
        let Some((name, context)) = contexts.current() else {
            return Ok(Place::Dir(Dir(dir::DEFAULT.into())));
        };
        let client = Client::with(&context.url, &context.token, &context.options())?;
        context::tell_used(name, client.url(), print.output);
        let _ = self.named.set(client.url().to_owned());
        Ok(Place::Server(Remote::new(client)?))
    }

    /// What needs a directory: `what` says why no server does it.
    pub(super) fn dir(&self, print: Print, what: &str) -> Result<Dir, Told> {
        match self.place(print)? {
            Place::Dir(dir) => Ok(dir),
            Place::Server(remote) => Err(Failure::input(anyhow::anyhow!(
                "{what}, and not by {}: type it on the machine where the state is, with --state DIR",
                remote.client.url()
            ))
            .into()),
        }
    }

    /// What only a server has.
    pub(super) fn server(&self, print: Print, what: &str) -> Result<Remote, Told> {
        match self.place(print)? {
            Place::Server(remote) => Ok(remote),
            Place::Dir(_) => Err(Failure::input(anyhow::anyhow!(
                "{what}: name it by --server URL, or by `groundswell login URL` once for all"
            ))
            .into()),
        }
    }

    fn client(&self, url: &str) -> Result<Client, Told> {
        let contexts = ContextsFile::of_user()?.read()?;
        let known = contexts.of_server(url);
        let given = match &self.token_file {
            Some(path) => Some(context::token_of(path)?),
            None => environment(context::TOKEN),
        };
        let token = given.or_else(|| known.map(|known| known.token.clone()));
        let token = token.ok_or_else(|| {
            Failure::input(anyhow::anyhow!(
                "no token for {url}: set GROUNDSWELL_TOKEN, name a file with --token-file, or \
                 `groundswell login {url}` once for all"
            ))
        })?;
        let known = known.map(Context::options).unwrap_or_default();
        let ca = self.ca.clone().or(known.ca);
        let given = self.cert.clone().zip(self.key.clone());
        let identity = given.map(|(cert, key)| Identity { cert, key }).or(known.identity);
        Ok(Client::with(url, &token, &Options { ca, identity, ..Options::default() })?)
    }

    fn path(&self) -> &Path {
        self.state.as_deref().unwrap_or(Path::new(dir::DEFAULT))
    }
}

impl On {
    /// Where it is done.
    pub(super) fn place(&self) -> Result<Place, Told> {
        self.at.place(self.print)
    }

    /// What the place is called.
    pub(super) fn named(&self) -> String {
        self.at.named.get().cloned().unwrap_or_else(|| self.at.path().display().to_string())
    }

    /// The state directory, if no server does it.
    pub(super) fn directory(&self) -> Option<&Path> {
        self.at.named.get().is_none().then(|| self.at.path())
    }

    /// What is printed.
    pub(super) const fn output(&self) -> Output {
        self.print.output
    }

    /// As [`Print::show`].
    pub(super) fn show<T: Serialize>(
        &self,
        value: &T,
        words: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        self.print.show(value, words)
    }

    /// As [`Print::show_list`].
    pub(super) fn show_list<T: Serialize>(
        &self,
        value: &T,
        note: Option<String>,
        words: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        self.print.show_list(value, note, words)
    }

    /// The exit code, once a failure is told.
    pub(super) fn end(&self, done: Result<u8, Told>) -> ExitCode {
        end(self.at.path(), done)
    }

    /// A command that goes on from what was done here, as it is to be typed.
    pub(super) fn command(&self, words: &str) -> String {
        let At { server, token_file, ca, cert, key, .. } = &self.at;
        let Some(server) = server else { return dir::command(self.at.path(), words) };
        let file = |name: &str, file: &Option<PathBuf>| {
            file.as_ref().map(|path| format!(" {name} {}", path.display())).unwrap_or_default()
        };
        let (token, ca) = (file("--token-file", token_file), file("--ca", ca));
        let (cert, key) = (file("--cert", cert), file("--key", key));
        format!("`groundswell {words} --server {server}{token}{ca}{cert}{key}`")
    }
}

/// The exit code of a command that needs no state, once a failure is told.
pub(super) fn ended(done: Result<u8, Told>) -> ExitCode {
    end(Path::new(dir::DEFAULT), done)
}

fn end(state: &Path, done: Result<u8, Told>) -> ExitCode {
    match done {
        Ok(code) => ExitCode::from(code),
        Err(Told::Operate(error)) => failure(state, *error).tell(),
        Err(Told::Client(error)) => remote::failure(*error).tell(),
        Err(Told::Failure(failure)) => failure.tell(),
    }
}

fn failure(state: &Path, error: OperateError) -> Failure {
    let is_of_state = error.is_of_state();
    let error = match error {
        OperateError::Store(error) | OperateError::Takeover(TakeoverError::Store(error)) => {
            state_trouble(&error, state)
                .unwrap_or_else(|context| anyhow::Error::from(error).context(context))
        }
        OperateError::ImportCut { kept, of, error } => {
            let cause = state_trouble(&error, state)
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
    /// A server refused it, or could not be asked.
    Client(Box<ClientError>),
    /// Anything else.
    Failure(Failure),
}

impl From<OperateError> for Told {
    fn from(error: OperateError) -> Self {
        Self::Operate(Box::new(error))
    }
}

impl From<ClientError> for Told {
    fn from(error: ClientError) -> Self {
        Self::Client(Box::new(error))
    }
}

impl From<Failure> for Told {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}
