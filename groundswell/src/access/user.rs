//! The user whose process this is, for the audit log of a state directory.

/// The user whose process this is: by name, or by number where no name is known.
pub fn this_user() -> String {
    let Some(id) = user_id() else { return "somebody on this machine".to_owned() };
    let known = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_of(id, &known).map_or_else(|| format!("user {id}"), str::to_owned)
}

/// Whom the process belongs to, as the system shows it.
fn user_id() -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").ok().map(|process| process.uid())
}

fn name_of(id: u32, known: &str) -> Option<&str> {
    known.lines().find_map(|line| {
        let mut parts = line.split(':');
        let (name, number) = (parts.next()?, parts.nth(1)?);
        (number.parse() == Ok(id) && !name.is_empty()).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_where_a_name_is_known() {
        let known = "root:x:0:0:root:/root:/bin/sh\n\nbad\nanna:x:1000:1000::/home/anna:/bin/sh\n";
        assert_eq!(name_of(0, known), Some("root"));
        assert_eq!(name_of(1000, known), Some("anna"));
        assert_eq!(name_of(7, known), None);
    }
}
