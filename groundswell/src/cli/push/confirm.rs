//! The question before many devices are sent to.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal, Read, Write},
};

use anyhow::Context as _;

/// Asks the person at the terminal; yes if there is no terminal at all, as for a timer or a pipe
/// of scripts.
pub(super) fn confirm(question: &str) -> anyhow::Result<bool> {
    let Some(mut person) = Person::find() else { return Ok(true) };
    write!(person.tells, "{question} [y/N] ")
        .and_then(|()| person.tells.flush())
        .context("nobody can be asked; --yes sends without asking")?;
    let mut answer = String::new();
    person.says.read_line(&mut answer).context("no answer could be read")?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Longest answer that is read: a line, not a file that somebody pasted.
const ANSWER_BYTES_MAX: u64 = 1_024;

struct Person {
    says: Box<dyn BufRead>,
    tells: Box<dyn Write>,
}

impl Person {
    /// Standard input may hold the list of devices, so it is the terminal itself that is asked.
    /// Where none of the three streams is one, nobody is there to see the question.
    fn find() -> Option<Self> {
        let is_stdin = io::stdin().is_terminal();
        let is_stderr = io::stderr().is_terminal();
        if !is_stdin && !is_stderr && !io::stdout().is_terminal() {
            return None;
        }
        let terminal = File::options().read(true).write(true).open("/dev/tty");
        match terminal.and_then(|file| Ok((file.try_clone()?, file))) {
            Ok((says, tells)) => Some(Self {
                says: Box::new(BufReader::new(says.take(ANSWER_BYTES_MAX))),
                tells: Box::new(tells),
            }),
            // A terminal that is not this session's: its two ends will do.
            Err(_) if is_stdin && is_stderr => Some(Self {
                says: Box::new(io::stdin().lock().take(ANSWER_BYTES_MAX)),
                tells: Box::new(io::stderr()),
            }),
            Err(_) => None,
        }
    }
}
