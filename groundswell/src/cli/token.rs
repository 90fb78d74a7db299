//! `groundswell token`: who may do what with a server on a state directory.

use std::{process::ExitCode, time::Duration};

use clap::Subcommand;
use groundswell_core::time::Time;

use super::{
    Failure,
    place::Place,
    state::{self, Told},
    text::{fields, table, text, when, whole},
};
use crate::{
    access::{Kind, Role, Scope, TokenId},
    client::TokenWanted,
    clock::Clock,
    operate::{NewToken, State, TokenView},
    units::parse_duration,
};

/// Arguments of `groundswell token`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    on: state::On,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a token; its secret is printed once and kept nowhere
    Create(Box<Create>),
    /// List tokens; never their secrets
    List {
        /// Those of devices, too
        #[arg(long)]
        devices: bool,
        /// How many at the most
        #[arg(long, value_name = "N", default_value_t = 1_000,
              value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
        /// Begin behind this id: the next page
        #[arg(long, value_name = "ID")]
        after: Option<String>,
    },
    /// Revoke a token: it is no good from now on
    Revoke {
        /// Its id, as `token list` shows it
        token: String,
    },
}

#[derive(Debug, clap::Args)]
struct Create {
    /// Whose it is, or what for
    name: String,

    /// For a person or a pipeline: what it may
    #[arg(long, value_name = "ROLE", required_unless_present_any = ["device", "enroll"],
          conflicts_with_all = ["device", "enroll"], value_parser = role)]
    role: Option<Role>,

    /// Only the devices this selects, over id and tag.*, such as tag.region==west
    #[arg(long, value_name = "EXPR", requires = "role", value_parser = scope)]
    scope: Option<Scope>,

    /// For this device, which checks in by it
    #[arg(long, value_name = "ID", conflicts_with = "enroll")]
    device: Option<String>,

    /// For so many devices that are not known yet
    #[arg(long, value_name = "N")]
    enroll: Option<u64>,

    /// What these are tagged with (may be repeated)
    #[arg(long = "tag", value_name = "KEY=VALUE", requires = "enroll", value_parser = tag)]
    tags: Vec<(String, String)>,

    /// A tag that these may choose for themselves (may be repeated)
    #[arg(long = "allow-tag", value_name = "KEY", requires = "enroll")]
    tags_allowed: Vec<String>,

    /// How long it is good for, such as 90d; without end if it is not said
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    expires_in: Option<Duration>,
}

fn role(text: &str) -> Result<Role, String> {
    let words = Role::ALL.map(Role::as_str).join(", ");
    let found = Role::ALL.into_iter().find(|role| role.as_str() == text);
    found.ok_or_else(|| format!("one of {words}"))
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).map_err(|error| error.to_string())
}

fn tag(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub(super) fn run(args: &Args) -> ExitCode {
    args.on.end(try_run(args))
}

fn try_run(Args { verb, on }: &Args) -> Result<u8, Told> {
    let now = Clock::System.now();
    match verb {
        Verb::Create(create) => make(on, create, now)?,
        Verb::List { devices, limit, after } => {
            let (limit, after) = (*limit as usize, after.as_deref());
            let (tokens, next) = match on.place()? {
                Place::Dir(dir) => dir.look()?.token_page(after, limit, *devices, None)?,
                Place::Server(remote) => {
                    let all = remote.wait(remote.client.tokens(*devices))?.into_iter();
                    let mut page: Vec<TokenView> =
                        all.filter(|token| after.is_none_or(|after| *token.id > *after)).collect();
                    let is_more = page.len() > limit;
                    page.truncate(limit);
                    let next = page.last().filter(|_| is_more).map(|last| last.id.clone());
                    (page, next)
                }
            };
            let note = tokens.is_empty().then(|| {
                "no token yet: the first start of `groundswell serve` makes one, and \
                 `groundswell token create` others"
                    .to_owned()
            });
            on.show_list(&tokens, note, || list(&tokens, next.as_deref(), now))?;
        }
        Verb::Revoke { token } => {
            let (is_new, view) = match on.place()? {
                Place::Dir(dir) => {
                    let mut state = dir.change("token.revoke", format!("token {token}"), now)?;
                    let id = TokenId(token.clone());
                    let is_new = state.revoke_token(&id, now)?;
                    (is_new, state.token(&id)?.as_ref().map(TokenView::of))
                }
                Place::Server(remote) => {
                    let before = remote.wait(remote.client.token(token))?;
                    let view = remote.wait(remote.client.revoke_token(token))?;
                    (before.revoked_at.is_none(), Some(view))
                }
            };
            on.show(&view, || {
                let was = if is_new { "revoked" } else { "revoked before" };
                format!("{token}: {was}")
            })?;
        }
    }
    Ok(0)
}

fn make(on: &state::On, create: &Create, now: Time) -> Result<(), Told> {
    let Create { name, role, scope, device, enroll, tags, tags_allowed, expires_in } = create;
    let kind = match (role, device, enroll) {
        (Some(role), ..) => Kind::Operator { role: *role, scope: scope.clone() },
        (None, Some(device), _) => Kind::Device { device: device.clone() },
        (None, None, Some(uses_max)) => Kind::Enrollment {
            uses_max: *uses_max,
            tags: tags.iter().cloned().collect(),
            tags_allowed: tags_allowed.iter().cloned().collect(),
        },
        (None, None, None) => {
            return Err(Failure::input(anyhow::anyhow!("say --role, --device or --enroll")).into());
        }
    };
    let made = match on.place()? {
        Place::Dir(dir) => {
            let expires_at = expires_in.map(|life| now + life);
            let (token, secret) = State::mint_token(name, kind, expires_at, now)?;
            let mut state = dir.change("token.create", format!("token {}", token.id), now)?;
            state.allowed_kind(token.kind.clone(), None)?;
            state.put_token(&token)?;
            NewToken { token: TokenView::of(&token), secret: secret.reveal() }
        }
        Place::Server(remote) => {
            let expires_in_secs = expires_in.map(|life| life.as_secs());
            let wanted = TokenWanted { name: name.clone(), kind, expires_in_secs };
            remote.wait(remote.client.create_token(&wanted))?
        }
    };
    on.show(&made, || told(&made, now))?;
    Ok(())
}

fn told(NewToken { token, secret }: &NewToken, now: Time) -> String {
    let shown = fields([
        ("name", Some(token.name.clone())),
        ("may", Some(may(&token.kind))),
        ("expires", Some(expires(token, now))),
    ]);
    format!("{}\n{shown}\n{secret}\nThis is shown once, and kept nowhere.", token.id)
}

fn may(kind: &Kind) -> String {
    match kind {
        Kind::Operator { role, scope: None } => role.to_string(),
        Kind::Operator { role, scope: Some(scope) } => format!("{role} of {scope}"),
        Kind::Device { device } => format!("device {device}"),
        Kind::Enrollment { uses_max, tags, tags_allowed } => {
            let allowed: Vec<&str> = tags_allowed.iter().map(String::as_str).collect();
            let allowed = match allowed.as_slice() {
                [] => String::new(),
                keys => format!(", free to choose {}", keys.join(", ")),
            };
            let tags: Vec<String> =
                tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let tagged = if tags.is_empty() { "" } else { " tagged " };
            format!("enroll {uses_max}{tagged}{}{allowed}", tags.join(", "))
        }
    }
}

fn expires(token: &TokenView, now: Time) -> String {
    token.expires_at.map_or_else(|| "never".to_owned(), |at| when(at, now))
}

fn list(tokens: &[TokenView], next: Option<&str>, now: Time) -> String {
    let columns =
        [text("id"), text("name"), text("may"), whole("expires"), whole("last used"), text("")];
    let row = |token: &TokenView| {
        let state = match (token.revoked_at, token.expires_at) {
            (Some(_), _) => "revoked".to_owned(),
            (None, Some(at)) if at <= now => "expired".to_owned(),
            (None, _) if token.uses > 0 => format!("{} enrolled", token.uses),
            (None, _) => String::new(),
        };
        vec![
            token.id.clone(),
            token.name.clone(),
            may(&token.kind),
            expires(token, now),
            token.last_used_at.map_or_else(|| "-".to_owned(), |at| when(at, now)),
            state,
        ]
    };
    let mut lines = table(&columns, &tokens.iter().map(row).collect::<Vec<_>>());
    if let Some(next) = next {
        lines.push_str("there are more: --after ");
        lines.push_str(next);
    }
    lines
}
