//! An example for every command, below its help.
//!
//! Owns what is typed there; a test holds that each is understood. Start with [`EXAMPLES`].

use clap::Command;

/// The words of a command, and what somebody might type.
const EXAMPLES: [(&str, &str); 61] = [
    ("", "groundswell demo"),
    ("demo", "groundswell demo --speed 3600"),
    ("push", "groundswell push app.bin --version 2.3.0 --devices fleet.csv --dry-run"),
    ("device", "groundswell device import fleet.csv"),
    ("device import", "groundswell device import fleet.csv"),
    ("device list", "groundswell device list --select 'tag.region==west and version<2.2.0'"),
    ("device show", "groundswell device show pos-1"),
    ("device check-in", "groundswell device check-in pos-1 --version 2.3.0"),
    ("device release", "groundswell device release pos-1 --reason 'new disk'"),
    ("release", "groundswell release create pos-app 2.3.0 app.bin"),
    ("release create", "groundswell release create pos-app 2.3.0 app.bin"),
    ("release list", "groundswell release list pos-app"),
    ("release show", "groundswell release show pos-app 2.3.0"),
    ("rollout", "groundswell rollout create spec.toml"),
    ("rollout create", "groundswell rollout create spec.toml --dry-run"),
    ("rollout check", "groundswell rollout check spec.toml"),
    ("rollout start", "groundswell rollout start 1"),
    ("rollout pause", "groundswell rollout pause 1"),
    ("rollout resume", "groundswell rollout resume 1"),
    ("rollout advance", "groundswell rollout advance 1"),
    ("rollout approve", "groundswell rollout approve 1 --wave 2 --reason 'no calls overnight'"),
    ("rollout retry", "groundswell rollout retry 1"),
    ("rollout cancel", "groundswell rollout cancel 1"),
    ("rollout abort", "groundswell rollout abort 1"),
    ("rollout rollback", "groundswell rollout rollback 1 --dry-run"),
    ("rollout list", "groundswell rollout list --output json"),
    ("rollout show", "groundswell rollout show 1"),
    ("rollout watch", "groundswell rollout watch 1"),
    ("rollout why", "groundswell rollout why 1 pos-1"),
    ("rollout explain", "groundswell rollout explain 1 pos-1"),
    ("rollout replay", "groundswell rollout replay 1"),
    ("budget", "groundswell budget list"),
    ("budget list", "groundswell budget list --output json"),
    ("budget release", "groundswell budget release tag.store=0042 pos-7 --reason 'replaced'"),
    ("serve", "groundswell serve --listen 127.0.0.1:8080 --data /var/lib/groundswell"),
    ("config", "groundswell config example"),
    ("config check", "groundswell config check server.toml"),
    ("config show", "groundswell config show --config server.toml"),
    ("config example", "groundswell config example"),
    ("run", "groundswell run --state /var/lib/groundswell"),
    ("token", "groundswell token list"),
    ("token create", "groundswell token create night-shift --role operator --expires-in 90d"),
    ("token list", "groundswell token list --devices"),
    ("token revoke", "groundswell token revoke 5wQb0T1mZk2x"),
    ("audit", "groundswell audit list"),
    ("audit list", "groundswell audit list --action device --who anna"),
    ("audit verify", "groundswell audit verify"),
    ("login", "groundswell login https://updates.example.com --token-file token"),
    ("logout", "groundswell logout"),
    ("context", "groundswell context list"),
    ("context list", "groundswell context list"),
    ("context use", "groundswell context use updates.example.com"),
    ("context show", "groundswell context show"),
    ("context remove", "groundswell context remove updates.example.com"),
    ("events", "groundswell events --follow --rollout 7 --kind wave_opened"),
    ("completions", "groundswell completions bash"),
    ("man", "groundswell man /usr/local/share/man/man1"),
    ("state", "groundswell state backup /backup/monday.db"),
    ("state backup", "groundswell state backup /backup/monday.db"),
    ("state prune", "groundswell state prune --before -90d"),
    ("sim", "groundswell sim --latency 20ms --fault status:503:0.05"),
];

/// A command and all below it with their examples. `words` is how it is typed.
pub(super) fn with_examples(command: Command, words: &str) -> Command {
    let known = EXAMPLES.iter().find(|(of, _)| *of == words);
    let mut command = match known {
        Some((_, example)) => {
            let after = command.get_after_help().map(|after| format!("\n\n{after}"));
            let after = after.unwrap_or_default();
            command.after_help(format!("Example:\n  {example}{after}"))
        }
        None => command,
    };
    let names: Vec<String> =
        command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    for name in names {
        let words = format!("{words} {name}");
        command = command.mut_subcommand(name, |below| with_examples(below, words.trim_start()));
    }
    command
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    /// What a terminal shows beside each other.
    const WIDTH: usize = 80;

    fn look_through(command: &mut Command, words: &str, seen: &mut Vec<String>) {
        let help = command.clone().render_long_help().to_string();
        assert!(help.contains("Example:\n  groundswell"), "{words:?} has no example");
        for help in [help, command.clone().render_help().to_string()] {
            for line in help.lines() {
                assert!(line.chars().count() <= WIDTH, "{words:?} is too wide: {line}");
            }
        }
        seen.push(words.to_owned());
        for below in command.get_subcommands_mut() {
            if below.get_name() != "help" {
                let words = format!("{words} {}", below.get_name());
                look_through(below, words.trim_start(), seen);
            }
        }
    }

    #[test]
    fn every_help_has_an_example_and_fits_a_terminal() {
        let mut command = with_examples(Cli::command(), "");
        command.build();
        let mut seen = vec![];
        look_through(&mut command, "", &mut seen);
        for (words, _) in &EXAMPLES {
            assert!(seen.iter().any(|seen| seen == words), "there is no command {words:?}");
        }
    }

    #[test]
    fn every_example_is_understood() {
        for (words, example) in &EXAMPLES {
            let quoted: Vec<&str> = example.split('\'').collect();
            let mut typed: Vec<&str> = quoted[0].split_whitespace().collect();
            typed.extend(quoted.get(1));
            let parsed = Cli::command().try_get_matches_from(typed);
            assert!(parsed.is_ok(), "{words:?}: {}", parsed.unwrap_err());
            assert!(example.contains(words), "{words:?}: {example}");
        }
    }
}
