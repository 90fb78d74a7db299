//! Colors, where a person looks.

/// Whether there are colors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    pub(super) is_plain: bool,
}

impl Paint {
    pub(super) fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(super) fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// A line feed at the end stays outside.
    fn paint(self, code: &str, text: &str) -> String {
        if self.is_plain || text.is_empty() {
            return text.to_owned();
        }
        let line = text.trim_end_matches('\n');
        format!("\x1b[{code}m{line}\x1b[0m{}", &text[line.len()..])
    }
}
