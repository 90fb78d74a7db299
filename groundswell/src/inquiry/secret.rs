//! Where the values of headers come from: read anew for each question, and kept nowhere.

use std::{fs, io::Read as _};

use groundswell_core::gate::external::SecretSource;

/// Longest value of a header.
const SECRET_BYTES_MAX: u64 = 8 * 1024;

/// The value; none if there is none that is text.
pub(super) fn read(source: &SecretSource) -> Option<String> {
    let value = match source {
        SecretSource::Env(name) => {
            #[expect(
                clippy::disallowed_methods,
                reason = "a spec names the variable, and no other is read"
            )]
            let value = std::env::var(name);
            value.ok()?
        }
        SecretSource::File(path) => {
            let mut bytes = vec![];
            let file = fs::File::open(path).ok()?;
            file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes).ok()?;
            (bytes.len() as u64 <= SECRET_BYTES_MAX).then(|| String::from_utf8(bytes).ok())??
        }
    };
    let value = value.trim_end();
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_and_what_is_no_value_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = |bytes: &[u8]| {
            let path = dir.path().join("token");
            fs::write(&path, bytes).unwrap();
            read(&SecretSource::File(path.to_str().unwrap().to_owned()))
        };
        assert_eq!(file(b"Bearer abc\n").as_deref(), Some("Bearer abc"));
        assert_eq!(file(b"\n"), None);
        assert_eq!(file(b"a\xff"), None);
        assert_eq!(file(&[b'a'; 8 * 1024 + 1]), None);
        assert_eq!(read(&SecretSource::File("/nowhere/at/all".to_owned())), None);
        assert_eq!(read(&SecretSource::Env("NOBODY_SETS_THIS_ONE".to_owned())), None);
    }
}
