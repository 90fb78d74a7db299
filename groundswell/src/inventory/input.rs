//! A source of bytes that knows the line it is on.

use std::io::{self, ErrorKind, Read};

use super::ROW_BYTES_MAX;

const BUFFER_BYTES: usize = 64 * 1024;

pub(super) struct Input<R> {
    source: R,
    buffer: Box<[u8]>,
    at: usize,
    filled: usize,
    line: u64,
    column: u64,
}

impl<R: Read> Input<R> {
    pub(super) fn new(source: R) -> Self {
        let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        Self { source, buffer, at: 0, filled: 0, line: 1, column: 0 }
    }

    /// The line of the next byte, counted from 1.
    pub(super) const fn line(&self) -> u64 {
        self.line
    }

    /// How many bytes of that line were taken.
    pub(super) const fn column(&self) -> u64 {
        self.column
    }

    #[inline]
    pub(super) fn peek(&mut self) -> io::Result<Option<u8>> {
        if self.at == self.filled {
            self.at = 0;
            self.filled = 0;
            self.fill()?;
        }
        Ok(self.buffer.get(self.at).copied().filter(|_| self.at < self.filled))
    }

    /// Takes the next byte.
    #[inline]
    pub(super) fn next(&mut self) -> io::Result<Option<u8>> {
        let byte = self.peek()?;
        if let Some(byte) = byte {
            self.at += 1;
            self.column += 1;
            if byte == b'\n' {
                self.line += 1;
                self.column = 0;
            }
        }
        Ok(byte)
    }

    /// What lies ready to be taken; empty at the end of the source.
    pub(super) fn chunk(&mut self) -> io::Result<&[u8]> {
        self.peek()?;
        Ok(&self.buffer[self.at..self.filled])
    }

    /// Takes so many bytes of the chunk.
    pub(super) fn consume(&mut self, count: usize) {
        let taken = &self.buffer[self.at..self.at + count];
        let lines = taken.iter().map(|byte| usize::from(*byte == b'\n')).sum::<usize>();
        match taken.iter().rposition(|byte| *byte == b'\n').filter(|_| lines > 0) {
            Some(last) => self.column = (count - last - 1) as u64,
            None => self.column += count as u64,
        }
        self.line += lines as u64;
        self.at += count;
    }

    /// Reads once more; leaves everything as it was at the end of the source.
    fn fill(&mut self) -> io::Result<usize> {
        loop {
            match self.source.read(&mut self.buffer[self.filled..]) {
                Ok(count) => {
                    self.filled += count;
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Skips a byte order mark; true if it is one of UTF-16. Only at the very start.
    pub(super) fn skip_mark(&mut self) -> io::Result<bool> {
        while self.filled < 3 && self.fill()? > 0 {}
        match self.buffer.get(..self.filled).unwrap_or_default() {
            [0xef, 0xbb, 0xbf, ..] => self.at = 3,
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Ok(true),
            _ => {}
        }
        Ok(false)
    }

    /// Skips blanks and line ends; tells what comes then.
    pub(super) fn skip_blank(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.peek()? {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.next()?,
                other => return Ok(other),
            };
        }
    }

    /// Skips line ends; whether anything comes then.
    pub(super) fn skip_line_ends(&mut self) -> io::Result<bool> {
        while let Some(b'\r' | b'\n') = self.peek()? {
            self.next()?;
        }
        Ok(self.peek()?.is_some())
    }

    /// Takes the rest of the line and its end, and appends it to `text` as [`keep`] does.
    pub(super) fn take_line(&mut self, text: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let chunk = self.chunk()?;
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let count = end.map_or(chunk.len(), |end| end + 1);
            keep(text, &chunk[..count]);
            self.consume(count);
            if end.is_some() || count == 0 {
                return Ok(());
            }
        }
    }
}

/// Appends a piece of a row, but of a row that is too long only as much as shows that it is.
pub(super) fn keep(text: &mut Vec<u8>, piece: &[u8]) {
    let room = (ROW_BYTES_MAX + 1).saturating_sub(text.len());
    text.extend_from_slice(&piece[..piece.len().min(room)]);
}
