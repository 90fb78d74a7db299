//! `groundswell login`, `logout` and `context`: which server commands are done by, and who one is to it.

use std::{
    io::{self, BufRead as _, IsTerminal as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, anyhow};
use clap::Subcommand;
use serde::Serialize;

use super::{
    Failure,
    contexts::{Context, ContextsFile, environment},
    follow::EXIT_INTERRUPTED,
    hidden::{self, Typed},
    remote::Remote,
    state::{Output, Print, Told},
    tell_line,
    text::{fields, table, text, when},
};
use crate::{
    api::operator::whoami::WhoAmI,
    client::{Client, Identity, Options},
    clock::Clock,
};

/// The variable that a token may be in.
pub(super) const TOKEN: &str = "GROUNDSWELL_TOKEN";

/// Longest token file: many times what a token is.
const TOKEN_BYTES_MAX: u64 = 4_096;

/// Arguments of `groundswell login`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The token is kept in contexts.toml below $XDG_CONFIG_HOME/groundswell (~/.config if that is not set), \
where only you can read it.

Exit status: 0 done, 2 the server or the token is refused, 3 the server does not answer, 130 stopped \
by Ctrl-C.")]
pub struct Login {
    #[arg(help = "Where the server is, such as https://updates.example.com")]
    url: String,
    /// Read the token from standard input
    #[arg(long, conflicts_with = "token_file")]
    token_stdin: bool,
    #[arg(
        long,
        value_name = "FILE",
        help = "Read the token from this file; if neither is said GROUNDSWELL_TOKEN is taken, or the \
                terminal asked"
    )]
    token_file: Option<PathBuf>,
    /// What to call the server; its host if nothing is said
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Take only certificates of authorities in this file (PEM)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The certificate to show to a server that asks for one (PEM)
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The private key of that certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

/// Arguments of `groundswell logout`.
#[derive(Debug, clap::Args)]
pub struct Logout {
    /// Which one; the one that is used if nothing is said
    name: Option<String>,
}

/// Arguments of `groundswell context`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    print: Print,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the servers that are known
    List,
    /// Use another one from now on
    Use {
        /// Its name
        name: String,
    },
    /// Show the one that is used, or another one
    Show {
        /// Its name
        name: Option<String>,
    },
    /// Forget one, and its token
    Remove {
        /// Its name
        name: String,
    },
}

/// A server without its token.
#[derive(Serialize)]
struct Shown {
    name: String,
    url: String,
    who: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<Identity>,
    is_current: bool,
}

pub(super) fn login(args: &Login) -> ExitCode {
    super::state::ended(try_login(args))
}

pub(super) fn logout(args: &Logout) -> ExitCode {
    super::state::ended(forget(args.name.as_deref()))
}

pub(super) fn run(args: &Args) -> ExitCode {
    super::state::ended(try_run(args))
}

fn try_login(args: &Login) -> Result<u8, Told> {
    let Some(token) = token(args)? else { return Ok(EXIT_INTERRUPTED) };
    let file = |name: &'static str, path: &Option<PathBuf>| {
        let path = path.as_deref().map(std::path::absolute).transpose();
        path.context(name).map_err(Failure::input)
    };
    let ca = file("--ca", &args.ca)?;
    let identity = file("--cert", &args.cert)?.zip(file("--key", &args.key)?);
    let identity = identity.map(|(cert, key)| Identity { cert, key });
    let options = Options { ca: ca.clone(), identity: identity.clone(), ..Options::default() };
    let client = Client::with(&args.url, &token, &options)?;
    let url = client.url().to_owned();
    let name = args.name.clone().unwrap_or_else(|| host(&url).to_owned());
    let remote = Remote::new(client)?;
    let me = remote.wait(remote.client.whoami())?;
    let who = format!("{} ({})", me.name, me.id);
    let file = ContextsFile::of_user()?;
    let mut contexts = file.read()?;
    contexts.contexts.insert(name.clone(), Context { url: url.clone(), token, who, ca, identity });
    contexts.current = Some(name.clone());
    file.write(&contexts)?;
    super::print_line(welcome(&url, &name, &me).trim_end());
    warn(&url, &me);
    Ok(0)
}

/// The token, from where it is said to be, or from whoever sits at the terminal; none if they went away.
fn token(args: &Login) -> Result<Option<String>, Failure> {
    match (&args.token_file, args.token_stdin) {
        (Some(path), _) => return token_of(path).map(Some),
        (None, true) => return first_line(io::stdin().lock(), "standard input").map(Some),
        (None, false) => {}
    }
    if let Some(token) = environment(TOKEN) {
        return Ok(Some(token));
    }
    let none = || {
        let told = "no token: give it by --token-stdin, --token-file FILE or GROUNDSWELL_TOKEN; an \
                    admin makes one with `groundswell token create`";
        Failure::input(anyhow!(told))
    };
    let prompt = format!("token for {} (not shown): ", args.url.trim());
    let asked = hidden::ask(&prompt, TOKEN_BYTES_MAX as usize);
    match asked.context("the terminal cannot be read").map_err(Failure::input)? {
        Some(Typed::Line(token)) if !token.is_empty() => Ok(Some(token)),
        Some(Typed::Interrupted) => Ok(None),
        Some(Typed::Line(_)) | None => Err(none()),
    }
}

fn welcome(url: &str, name: &str, me: &WhoAmI) -> String {
    let scope = me.scope.as_ref().map(|scope| format!(" of {scope}")).unwrap_or_default();
    let shown = fields([
        ("server", Some(url.to_owned())),
        ("token", Some(format!("{} ({})", me.name, me.id))),
        ("may", Some(format!("{}{scope}", me.role))),
        ("expires", me.expires_at.map(|at| when(at, Clock::System.now()))),
    ]);
    format!("logged in: commands are done by {name} from now on\n{shown}")
}

/// What whoever logs in has to know.
fn warn(url: &str, me: &WhoAmI) {
    let own = env!("CARGO_PKG_VERSION");
    if me.version != own {
        tell_line(&format!(
            "note: the server is of version {}, this program of {own}; some commands may not work",
            me.version
        ));
    }
    let is_here = ["localhost", "127.", "[::1]"].iter().any(|here| host(url).starts_with(here));
    if url.starts_with("http://") && !is_here {
        tell_line("note: without TLS everybody on the way there can read the token");
    }
}

/// The host of an address, and its port if it says one.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

fn try_run(Args { verb, print }: &Args) -> Result<u8, Told> {
    let file = ContextsFile::of_user()?;
    let contexts = file.read()?;
    let shown = |name: &str, context: &Context| Shown {
        name: name.to_owned(),
        url: context.url.clone(),
        who: context.who.clone(),
        ca: context.ca.clone(),
        identity: context.identity.clone(),
        is_current: contexts.current.as_deref() == Some(name),
    };
    match verb {
        Verb::List => {
            let all = contexts.contexts.iter().map(|(name, context)| shown(name, context));
            let all: Vec<Shown> = all.collect();
            let note = all
                .is_empty()
                .then(|| "no server is known: `groundswell login URL` makes one known".to_owned());
            print.show_list(&all, note, || list(&all))?;
        }
        Verb::Use { name } => {
            let (name, _) = contexts.named(Some(name))?;
            let mut contexts = contexts.clone();
            contexts.current = Some(name.clone());
            file.write(&contexts)?;
            let (_, context) = contexts.named(Some(&name))?;
            let used = Shown { is_current: true, ..shown(&name, context) };
            print.show(&used, || format!("commands are done by {name} from now on"))?;
        }
        Verb::Show { name } => {
            let (name, context) = contexts.named(name.as_deref())?;
            let one = shown(&name, context);
            print.show(&one, || show(&one))?;
        }
        Verb::Remove { name } => return forget(Some(name)),
    }
    Ok(0)
}

fn list(all: &[Shown]) -> String {
    let columns = [text("name"), text("server"), text("token"), text("used")];
    let row = |one: &Shown| {
        let used = if one.is_current { "yes" } else { "" };
        vec![one.name.clone(), one.url.clone(), one.who.clone(), used.to_owned()]
    };
    table(&columns, &all.iter().map(row).collect::<Vec<_>>())
}

fn show(one: &Shown) -> String {
    let shown = fields([
        ("server", Some(one.url.clone())),
        ("token", Some(one.who.clone())),
        ("authorities", one.ca.as_ref().map(|path| path.display().to_string())),
        ("certificate", one.identity.as_ref().map(|own| own.cert.display().to_string())),
        ("used", Some(if one.is_current { "yes" } else { "no" }.to_owned())),
    ]);
    format!("{}\n{shown}", one.name)
}

fn forget(name: Option<&str>) -> Result<u8, Told> {
    let file = ContextsFile::of_user()?;
    let mut contexts = file.read()?;
    let (name, context) = contexts.named(name)?;
    let who = context.who.clone();
    contexts.contexts.remove(&name);
    if contexts.current.as_ref() == Some(&name) {
        contexts.current = None;
    }
    file.write(&contexts)?;
    super::print_line(&format!(
        "{name} is forgotten here; the token of {who} stays good until it is revoked"
    ));
    Ok(0)
}

/// The token in a file.
pub(super) fn token_of(path: &Path) -> Result<String, Failure> {
    let name = path.display().to_string();
    let file = std::fs::File::open(path).with_context(|| format!("{name} cannot be read"));
    first_line(io::BufReader::new(file.map_err(Failure::input)?), &name)
}

fn first_line(from: impl io::BufRead, name: &str) -> Result<String, Failure> {
    let mut line = String::new();
    let read = io::Read::take(from, TOKEN_BYTES_MAX).read_line(&mut line);
    read.with_context(|| format!("{name} cannot be read")).map_err(Failure::input)?;
    let token = line.trim();
    if token.is_empty() {
        return Err(Failure::input(anyhow!("{name} has no token in its first line")));
    }
    Ok(token.to_owned())
}

/// Says on a terminal which server is used, where nobody typed it.
pub(super) fn tell_used(name: &str, url: &str, output: Output) {
    if output == Output::Text && io::stdout().is_terminal() {
        tell_line(&format!("by {name} ({url})"));
    }
}
