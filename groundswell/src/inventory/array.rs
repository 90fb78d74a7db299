//! One JSON array of objects.
//!
//! The array is cut at its commas here, one element in memory at a time, so that each element has
//! its line and a broken one does not hide the others.

use std::io::{self, Read};

use super::{
    Reason,
    input::{Input, keep},
    lines::read_object,
    rows::Rows,
};

/// What ended an element.
#[derive(Clone, Copy)]
enum End {
    Comma,
    List,
    Source,
}

pub(super) fn read<R: Read>(input: &mut Input<R>, rows: &mut Rows<'_>) -> io::Result<()> {
    let first_line = input.line();
    if input.next()? != Some(b'[') {
        rows.refuse_list(first_line, Reason::NoListStart);
        return Ok(());
    }
    if input.skip_blank()? == Some(b']') {
        input.next()?;
        return check_end(input, rows);
    }
    let mut text = vec![];
    loop {
        input.skip_blank()?;
        let place = (input.line(), input.column());
        if rows.is_full(place.0) {
            return Ok(());
        }
        let end = take_element(input, &mut text)?;
        match (end, text.trim_ascii()) {
            (End::Source, b"") => {
                rows.refuse_list(place.0, Reason::NoListEnd);
                return Ok(());
            }
            (_, b"") => rows.refuse(place.0, Reason::EmptyElement),
            (End::Source, _) => {
                read_object(&text, place, rows);
                rows.refuse_list(input.line(), Reason::NoListEnd);
                return Ok(());
            }
            _ => read_object(&text, place, rows),
        }
        if matches!(end, End::List) {
            return check_end(input, rows);
        }
    }
}

/// Takes bytes up to the comma or bracket that ends an element.
fn take_element<R: Read>(input: &mut Input<R>, text: &mut Vec<u8>) -> io::Result<End> {
    text.clear();
    let mut scan = Scan::default();
    loop {
        let chunk = input.chunk()?;
        if chunk.is_empty() {
            return Ok(End::Source);
        }
        let end = chunk.iter().enumerate().find_map(|(at, byte)| Some((at, scan.step(*byte)?)));
        let count = end.map_or(chunk.len(), |(at, _)| at);
        keep(text, &chunk[..count]);
        input.consume(count + usize::from(end.is_some()));
        if let Some((_, end)) = end {
            return Ok(end);
        }
    }
}

/// Where in an element we are.
#[derive(Default)]
struct Scan {
    depth: u32,
    is_text: bool,
    is_escaped: bool,
}

impl Scan {
    /// Sees one byte; tells whether it ends the element. A text ends with its line at the latest,
    /// as JSON demands: a missing quote spoils one element and not all that follow.
    #[inline]
    fn step(&mut self, byte: u8) -> Option<End> {
        if self.is_text {
            self.is_text = (byte != b'"' || self.is_escaped) && byte != b'\n';
            self.is_escaped = byte == b'\\' && !self.is_escaped;
            return None;
        }
        match byte {
            b',' if self.depth == 0 => return Some(End::Comma),
            b']' if self.depth == 0 => return Some(End::List),
            b'"' => (self.is_text, self.is_escaped) = (true, false),
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        None
    }
}

fn check_end<R: Read>(input: &mut Input<R>, rows: &mut Rows<'_>) -> io::Result<()> {
    if input.skip_blank()?.is_some() {
        rows.refuse_list(input.line(), Reason::AfterList);
    }
    Ok(())
}
