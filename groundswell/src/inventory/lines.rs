//! One JSON object per line.

use std::io::{self, Read};

use super::{ROW_BYTES_MAX, Reason, cell::Cell, input::Input, rows::Rows};

pub(super) fn read<R: Read>(input: &mut Input<R>, rows: &mut Rows<'_>) -> io::Result<()> {
    let mut text = vec![];
    while input.skip_blank()?.is_some() {
        let (line, column) = (input.line(), input.column());
        if rows.is_full(line) {
            return Ok(());
        }
        text.clear();
        input.take_line(&mut text)?;
        read_object(&text, (line, column), rows);
    }
    Ok(())
}

/// Reads one JSON object that starts at this line and after that many bytes of it.
pub(super) fn read_object(text: &[u8], (line, column): (u64, u64), rows: &mut Rows<'_>) {
    if text.len() > ROW_BYTES_MAX {
        return rows.refuse(line, Reason::RowTooLong);
    }
    let text = match str::from_utf8(text.trim_ascii_end()) {
        Ok(text) => text,
        Err(error) => return rows.refuse(line, Reason::NotUtf8(error.valid_up_to() + 1)),
    };
    match serde_json::from_str(text) {
        Ok(Cell::Map(members)) => {
            rows.begin(line);
            for (name, value) in &members {
                rows.set(&name.0, value);
            }
            rows.end();
        }
        Ok(other) => rows.refuse(line, Reason::NotObject(other.kind())),
        Err(error) => {
            let before = if error.line() <= 1 { column } else { 0 };
            let message = error.to_string();
            let what = match message.split_once(" at line ") {
                _ if error.is_eof() => "the object is not complete".to_owned(),
                Some((what, _)) => what.to_owned(),
                None => message,
            };
            let place = line + (error.line() as u64).saturating_sub(1);
            rows.refuse(place, Reason::NotJson { what, column: before + error.column() as u64 });
        }
    }
}
