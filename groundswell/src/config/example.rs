//! The settings as documentation: a file to begin with, and a page.

use std::fmt::Write as _;

use super::setting::{Kind, SETTINGS, Setting};

/// A file with every setting, each commented out, with what it does.
pub fn example() -> String {
    let mut text = String::from(
        "# Settings of `groundswell serve`. What is commented out is the default, or an example \
         where\n# there is none. The environment and flags go before what stands here.\n",
    );
    let mut table = "";
    for setting in SETTINGS {
        let (within, name) = setting.key.split_once('.').unwrap_or(("", setting.key));
        if within != table {
            table = within;
            let _ = write!(text, "\n[{table}]\n");
        }
        text.push('\n');
        for line in wrapped(setting.does, 96) {
            let _ = writeln!(text, "# {line}");
        }
        let _ = writeln!(text, "#{name} = {}", written(setting));
    }
    text
}

/// The value that an example has, as TOML.
fn written(setting: &Setting) -> String {
    let value = setting.default.unwrap_or(setting.example);
    match setting.kind {
        Kind::Switch | Kind::Number(..) | Kind::Networks | Kind::Secrets | Kind::Headers => {
            value.to_owned()
        }
        _ if value.starts_with('"') => value.to_owned(),
        _ => format!("{value:?}"),
    }
}

/// What `docs/server-config.md` says.
pub fn page() -> String {
    let mut text = String::from(HEAD);
    text.push_str(
        "| setting | default | flag | variable | what it does |\n|---|---|---|---|---|\n",
    );
    for setting in SETTINGS {
        let default = match setting.default {
            Some(_) => format!("`{}`", written(setting)),
            None => String::new(),
        };
        let flag = setting.flag.map_or_else(String::new, |flag| format!("`{flag}`"));
        let (key, variable) = (setting.key, setting.variable());
        let does = setting.does;
        let form = setting.kind.form().replace('|', "\\|");
        let _ = writeln!(
            text,
            "| `{key}` | {default} | {flag} | `{variable}` | {does} Write {form}. |"
        );
    }
    let _ = write!(text, "\n## A file to begin with\n\n```toml\n{}```\n", example());
    text
}

const HEAD: &str = "\
# Settings of the server

`groundswell serve` is set up by one file (`--config FILE` or `GROUNDSWELL_CONFIG`), the environment
and flags. Flags go before the environment, that goes before the file, that before the defaults. A
list, and the headers, are taken from one of them as a whole.

- `groundswell config check [FILE]` says all that is wrong, and reads what the settings name.
- `groundswell config show` prints what holds and where each value comes from; secrets are masked.
- `groundswell config example` prints the file at the end of this page.

A path in the file that is relative begins beside the file. In a variable, networks and secrets stand
with commas between them, and headers one in a line. Secrets need not stand in the file: a header's
value may be `env:NAME` or `file:PATH`.

## Which devices and gates are connected to

Whoever may write devices and rollouts down tells the server where to connect. It never connects to
link-local addresses, metadata services of clouds, unspecified, multicast, broadcast and reserved
addresses, loopback, and the addresses of its own machine, however they are written (as IPv6 with an
IPv4 address in it, too), unless `networks.allow` names them. A metadata service has to be named by its
very address. This is judged when a device or a rollout is written down, when a name was looked up,
and of the connection that was made. A device that is refused has failed, and is not tried again; a
gate that is refused says nothing, and the rollout waits.

## Settings

";

/// A text in lines of at most so many characters.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
