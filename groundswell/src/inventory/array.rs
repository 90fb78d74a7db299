//! One JSON array of objects.
//!
//! The array is cut at its commas here, one element in memory at a time, so that each element has
//! its line and a broken one does not hide the others.

use std::io::{self, Read};

use super::{ROW_BYTES_MAX, Reason, input::Input, lines::read_object, rows::Rows};

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
        rows.refuse(first_line, Reason::NoListStart);
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
                rows.refuse(place.0, Reason::NoListEnd);
                return Ok(());
            }
            (_, b"") => rows.refuse(place.0, Reason::EmptyElement),
            (End::Source, element) => {
                read_object(element, place, rows);
                rows.refuse(input.line(), Reason::NoListEnd);
                return Ok(());
            }
            (_, element) => read_object(element, place, rows),
        }
        if matches!(end, End::List) {
            return check_end(input, rows);
        }
    }
}

/// Takes bytes up to the comma or bracket that ends an element. A string ends with its line at the
/// latest, as JSON demands: a missing quote spoils one element and not all that follow.
fn take_element<R: Read>(input: &mut Input<R>, text: &mut Vec<u8>) -> io::Result<End> {
    text.clear();
    let mut depth = 0_u32;
    let mut is_text = false;
    let mut is_escaped = false;
    while let Some(byte) = input.next()? {
        if is_text {
            is_text = (byte != b'"' || is_escaped) && byte != b'\n';
            is_escaped = byte == b'\\' && !is_escaped;
        } else {
            match byte {
                b',' if depth == 0 => return Ok(End::Comma),
                b']' if depth == 0 => return Ok(End::List),
                b'"' => (is_text, is_escaped) = (true, false),
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        // The rest of an element that is too long is skipped, not kept.
        if text.len() <= ROW_BYTES_MAX {
            text.push(byte);
        }
    }
    Ok(End::Source)
}

fn check_end<R: Read>(input: &mut Input<R>, rows: &mut Rows<'_>) -> io::Result<()> {
    if input.skip_blank()?.is_some() {
        rows.refuse(input.line(), Reason::AfterList);
    }
    Ok(())
}
