//! A line that is typed at a terminal without being shown.

use std::io::{self, IsTerminal as _, Read as _, Write as _};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

/// What Ctrl-C sends where it is no signal.
const CTRL_C: u8 = 3;

/// What was typed.
pub(super) enum Typed {
    /// A line, without its end.
    Line(String),
    /// Ctrl-C.
    Interrupted,
}

/// A terminal that shows nothing of what is typed; it is as before once this is dropped.
struct Silent {
    stdin: io::Stdin,
    before: Termios,
}

impl Silent {
    fn new() -> io::Result<Self> {
        let stdin = io::stdin();
        let before = tcgetattr(&stdin)?;
        let mut silent = before.clone();
        // Ctrl-C as a signal would end the program with a terminal that shows nothing any more: it
        // ends the line instead.
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        silent.local_modes.insert(LocalModes::ICANON);
        silent.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
        tcsetattr(&stdin, OptionalActions::Flush, &silent)?;
        Ok(Self { stdin, before })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.stdin, OptionalActions::Now, &self.before);
    }
}

/// Asks for a line of at most `bytes_max`; none if standard input is no terminal.
pub(super) fn ask(prompt: &str, bytes_max: usize) -> io::Result<Option<Typed>> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    let silent = Silent::new()?;
    let mut errors = io::stderr();
    let _ = write!(errors, "{prompt}").and_then(|()| errors.flush());
    let line = read(&silent.stdin, bytes_max);
    drop(silent);
    // The end of the line was not shown either.
    let _ = writeln!(errors);
    line.map(Some)
}

fn read(stdin: &io::Stdin, bytes_max: usize) -> io::Result<Typed> {
    let (mut line, mut part) = (vec![], [0; 1_024]);
    loop {
        let read = stdin.lock().read(&mut part)?;
        let part = part.get(..read).unwrap_or_default();
        if part.contains(&CTRL_C) {
            return Ok(Typed::Interrupted);
        }
        line.extend_from_slice(part);
        if read == 0 || line.ends_with(b"\n") || line.len() > bytes_max {
            line.truncate(bytes_max);
            let text = String::from_utf8_lossy(&line);
            return Ok(Typed::Line(text.trim().to_owned()));
        }
    }
}
