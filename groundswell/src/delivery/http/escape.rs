//! Text from devices, made safe to store and to print.

use std::fmt::Write;

/// Renders bytes so that a terminal, a log line or a table can show them: printable characters
/// stay, everything else (control and formatting characters, invalid UTF-8, the backslash) is
/// written as `\n`, `\x1b` or `\u{202e}`. At most `max` bytes of output, cut between characters.
pub(super) fn escape(bytes: &[u8], max: usize) -> String {
    let mut escaped = String::with_capacity(bytes.len().min(max));
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if !push(&mut escaped, max, |out| escape_char(out, c)) {
                return escaped;
            }
        }
        for byte in chunk.invalid() {
            if !push(&mut escaped, max, |out| write!(out, "\\x{byte:02x}")) {
                return escaped;
            }
        }
    }
    escaped
}

/// Whether it still fitted.
fn push(
    escaped: &mut String,
    max: usize,
    write: impl FnOnce(&mut String) -> std::fmt::Result,
) -> bool {
    let before = escaped.len();
    if write(escaped).is_err() || escaped.len() > max {
        escaped.truncate(before);
        return false;
    }
    true
}

fn escape_char(out: &mut String, c: char) -> std::fmt::Result {
    match c {
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        '\\' => out.write_str("\\\\"),
        '\0'..='\x1f' | '\x7f' => write!(out, "\\x{:02x}", u32::from(c)),
        _ if is_unprintable(c) => write!(out, "\\u{{{:x}}}", u32::from(c)),
        _ => out.write_char(c),
    }
}

/// Beyond ASCII: C1 controls, and the characters that are invisible or reorder what stands around
/// them (Unicode's format characters and separators).
pub(super) fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{600}'..='\u{605}'
                | '\u{61c}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_a_terminal_unseen() {
        for (bytes, escaped) in [
            (&b"out of space"[..], "out of space"),
            (b"a\r\n\tb\\", "a\\r\\n\\tb\\\\"),
            (b"\x1b[2J\x07\x7f", "\\x1b[2J\\x07\\x7f"),
            (b"a\xff\xc3", "a\\xff\\xc3"),
            ("K\u{f6}ln \u{202e}gpj.exe \u{9b}".as_bytes(), "K\u{f6}ln \\u{202e}gpj.exe \\u{9b}"),
        ] {
            assert_eq!(escape(bytes, 1_024), escaped);
        }
    }

    #[test]
    fn cut_between_characters() {
        assert_eq!(escape(b"ab\x1bcd", 5), "ab");
        assert_eq!(escape("a\u{f6}\u{f6}".as_bytes(), 4), "a\u{f6}");
        assert_eq!(escape(&[0xff; 2_000], 1_024).len(), 1_024);
    }
}
