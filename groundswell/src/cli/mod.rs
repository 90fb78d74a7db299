//! The command line: one file per noun, and the only place that prints.
//!
//! Owns arguments, exit codes and messages. Start with [`Command`].

pub mod audit;
pub mod budget;
pub mod config;
pub mod context;
mod contexts;
pub mod demo;
pub mod device;
pub mod events;
mod examples;
mod follow;
mod hidden;
mod log;
mod out;
mod place;
pub mod push;
pub mod release;
mod remote;
pub mod rollout;
pub mod run;
pub mod serve;
pub mod shell;
pub mod sim;
pub mod state;
mod text;
pub mod token;
pub mod upkeep;
mod who;
pub mod wire;

use std::{io::Write, path::Path, process::ExitCode};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::{
    drive::DriveError,
    engine::takeover::TakeoverError,
    push::PushError,
    store::{StoreError, dir},
};

/// Widest line of a help text: what every terminal shows.
const HELP_WIDTH: usize = 80;

/// Sends software to fleets of devices, in a way that can be proved.
#[derive(Debug, Parser)]
#[command(name = "groundswell", version, max_term_width = HELP_WIDTH)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Update ten terminals of a retail chain before your eyes
    Demo(demo::Args),
    /// Send one release to a fleet, durably
    Push(Box<push::Args>),
    /// The inventory of a state directory: import, list, show, check-in
    Device(device::Args),
    /// Releases, kept with their files: create, list, show
    Release(release::Args),
    /// Rollouts: create, start, pause, advance, watch and the rest
    Rollout(rollout::Args),
    /// Failure domains of which devices are out of order: list, release
    Budget(budget::Args),
    /// Drive the rollouts of a state directory until stopped
    Run(Box<run::Args>),
    /// Drive the rollouts of a state directory, and answer teams, pipelines and devices over HTTP
    Serve(Box<serve::Args>),
    /// Settings of the server: check, show, example
    Config(config::Args),
    /// Who may do what with a server: create, list, revoke
    Token(token::Args),
    /// Who did what: list, verify
    Audit(audit::Args),
    /// Use a server from now on: commands are done by it
    Login(context::Login),
    /// Forget a server, and its token
    Logout(context::Logout),
    /// The servers that are known, and which of them is used: list, use, show, remove
    Context(context::Args),
    /// What happens in the rollouts of a server, while it happens
    Events(events::Args),
    /// A state directory itself: copies of it, and what of its log is kept
    State(upkeep::Args),
    /// Run a simulated fleet on one port, to rehearse against
    Sim(sim::Args),
    /// Print what a shell needs to complete commands
    Completions(shell::Completions),
    /// Write a manual page for every command
    Man(shell::Man),
}

/// The program: reads the command line, does it, and says how it went.
pub fn main() -> ExitCode {
    let mut command = examples::with_examples(Cli::command(), "");
    let parsed = command.try_get_matches_from_mut(std::env::args_os());
    let parsed = parsed.and_then(|given| one_place(&given, &mut command).map(|()| given));
    let parsed = parsed.and_then(|given| Cli::from_arg_matches(&given));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(answer) => return tell_answer(&answer),
    };
    log::start();
    let code = run(cli);
    out::ERR.flush_for_a_while();
    whole(code)
}

/// Refuses a command line that says both where the state is and which server does it. The environment
/// may say where the state is; --server wins over that.
fn one_place(given: &clap::ArgMatches, command: &mut clap::Command) -> Result<(), clap::Error> {
    let mut deepest = given;
    while let Some((_, below)) = deepest.subcommand() {
        deepest = below;
    }
    let is_typed = |name: &str| {
        let is_known = deepest.ids().any(|id| id == name);
        is_known && deepest.value_source(name) == Some(clap::parser::ValueSource::CommandLine)
    };
    if is_typed("state") && is_typed("server") {
        let told = "--state and --server: say one of them";
        return Err(command.error(clap::error::ErrorKind::ArgumentConflict, told));
    }
    Ok(())
}

/// Prints the help, the version, or what is wrong with the command line.
fn tell_answer(answer: &clap::Error) -> ExitCode {
    let printed = answer.print().and_then(|()| std::io::stdout().flush());
    if !answer.use_stderr() {
        out::note(printed);
    }
    whole(ExitCode::from(u8::try_from(answer.exit_code()).unwrap_or(2)))
}

/// The exit code, but that of a failure if not all that was asked for could be printed.
fn whole(code: ExitCode) -> ExitCode {
    let Some(error) = out::failure() else { return code };
    let context = "not all of the output could be written";
    let told = Failure::disk(anyhow::Error::from(error).context(context)).tell();
    if code == ExitCode::SUCCESS { told } else { code }
}

/// Does what the command line says.
pub fn run(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Demo(args) => demo::run(&args),
        Command::Push(args) => push::run(&args),
        Command::Device(args) => device::run(&args),
        Command::Release(args) => release::run(&args),
        Command::Budget(args) => budget::run(&args),
        Command::Rollout(args) => rollout::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Token(args) => token::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Login(args) => context::login(&args),
        Command::Logout(args) => context::logout(&args),
        Command::Context(args) => context::run(&args),
        Command::Events(args) => events::run(&args),
        Command::State(args) => upkeep::run(&args),
        Command::Sim(args) => sim::run(&args),
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&args),
    }
}

/// What went wrong, with its causes, and the exit code that goes with it.
#[derive(Debug)]
struct Failure {
    code: u8,
    error: anyhow::Error,
}

impl Failure {
    /// What was asked for cannot be done as it was asked.
    fn input(error: anyhow::Error) -> Self {
        Self { code: 2, error }
    }

    /// State or disk failed.
    fn disk(error: anyhow::Error) -> Self {
        Self { code: 3, error }
    }

    /// As it is, with the state directory and what to do about it, if its database is what failed.
    fn about_state(self, state: &Path) -> Self {
        let Some(error) = store_error(&self.error) else { return self };
        let context = match state_trouble(error, state) {
            Ok(obstacle) => return Self { error: obstacle, ..self },
            Err(context) => context,
        };
        Self { error: self.error.context(context), ..self }
    }

    fn tell(&self) -> ExitCode {
        // What led to it comes first.
        out::ERR.flush_for_a_while();
        tell_line(&format!("error: {:#}", self.error));
        ExitCode::from(self.code)
    }
}

/// The failure of the database that a push or a driver ended with.
fn store_error(error: &anyhow::Error) -> Option<&StoreError> {
    match error.downcast_ref() {
        Some(PushError::Store(error) | PushError::Takeover(TakeoverError::Store(error))) => {
            return Some(error);
        }
        Some(_) => return None,
        None => {}
    }
    match error.downcast_ref() {
        Some(DriveError::Store(error) | DriveError::Takeover(TakeoverError::Store(error))) => {
            Some(error)
        }
        _ => None,
    }
}

/// What stands in the way of the database of a state directory, or, if nothing can be seen to, where
/// it is and what to do.
fn state_trouble(error: &StoreError, state: &Path) -> Result<anyhow::Error, String> {
    if let StoreError::Disk(_) = error
        && let Some(obstacle) = dir::obstacle(state)
    {
        return Ok(obstacle.into());
    }
    Err(format!("in {} ({})", state.display(), state_hint(error)))
}

/// What to do about a database that cannot be used.
const fn state_hint(error: &StoreError) -> &'static str {
    match error {
        StoreError::Newer { .. } => "use that version, or another --state",
        StoreError::Damaged(_) => "put a copy of it back, or use another --state",
        StoreError::Disk(_) => "make room there and run the same command",
        StoreError::Stale { .. } => "let only one process drive it",
        _ => "run the same command again, or use another --state",
    }
}

/// Prints a line of what was asked for. A reader that went away is no error worth a word.
fn print_line(text: &str) {
    let _ = print(&format!("{text}\n"));
}

/// Prints, and says whether anybody reads it.
fn print(text: &str) -> bool {
    let mut out = std::io::stdout();
    out::note(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Prints over the line that the cursor is in, on a terminal; what is printed next comes over it.
fn print_over(text: &str) {
    print(&format!("\r\x1b[K{text}\r"));
}

/// Says a line to the person, apart from what was asked for.
fn tell_line(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Open files a run needs besides its connections: database, artifact, terminal, look-ups.
const OPEN_FILES_SPARE: u64 = 200;

/// Raises the limit of open files to what a run needs: two connections for each delivery (one
/// may be asking for a version) and the idle ones.
fn raise_open_files(max_in_flight: u32) -> Result<(), Failure> {
    let wanted = 2 * u64::from(max_in_flight) + OPEN_FILES_SPARE;
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) if limit < wanted => Err(Failure::input(anyhow::anyhow!(
            "{max_in_flight} deliveries at once need {wanted} open files, the limit here is {limit}: \
             raise it (ulimit -n {wanted}) or use a lower --max-in-flight"
        ))),
        _ => Ok(()),
    }
}

/// Columns of a terminal that does not say how many it has.
const TERMINAL_WIDTH: usize = 80;

/// Lines of a terminal that does not say how many it has.
const TERMINAL_HEIGHT: usize = 24;

/// How many columns whoever looks at standard output has; none if it is no terminal.
fn terminal_width() -> Option<usize> {
    is_terminal().then(|| terminal_size().0)
}

/// How many columns and lines the terminal has.
fn terminal_size() -> (usize, usize) {
    let size = terminal_size::terminal_size_of(std::io::stdout());
    let (columns, lines) = size.map_or((0, 0), |(columns, lines)| (columns.0, lines.0));
    let or = |size: u16, otherwise| if size == 0 { otherwise } else { usize::from(size) };
    (or(columns, TERMINAL_WIDTH), or(lines, TERMINAL_HEIGHT))
}

/// Whether a person looks at standard output.
fn is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stdout())
}
