//! Where the values of headers come from: read anew for each question, and kept nowhere.

use std::{
    fs,
    io::Read as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use groundswell_core::gate::external::SecretSource;

/// Longest value of a header.
const SECRET_BYTES_MAX: u64 = 8 * 1024;

/// Whether the values for one check are being read. A file may hang, as one of a network does, and
/// nothing can end a thread that reads it: so no other is begun before, or each question would leave
/// one behind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading(Arc<AtomicBool>);

/// One read that is under way, until this is dropped.
#[derive(Debug)]
pub(super) struct Pending(Arc<AtomicBool>);

impl Reading {
    /// Begins one; none while another is under way.
    pub(super) fn begin(&self) -> Option<Pending> {
        let was_pending = self.0.swap(true, Ordering::AcqRel);
        (!was_pending).then(|| Pending(Arc::clone(&self.0)))
    }

    /// Whether one is under way.
    pub(crate) fn is_pending(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

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
            // To open a pipe that nobody writes to waits for somebody who does.
            if !fs::metadata(path).ok()?.is_file() {
                return None;
            }
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
    fn a_pipe_is_no_file_and_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe").to_str().unwrap().to_owned();
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        let (tell, told) = std::sync::mpsc::channel();
        let reader = std::thread::spawn({
            let path = path.clone();
            move || tell.send(read(&SecretSource::File(path)))
        });
        let said = told.recv_timeout(std::time::Duration::from_secs(20));
        // Whoever waits for a writer has one now, and ends.
        drop(fs::OpenOptions::new().read(true).write(true).open(&path));
        reader.join().unwrap().unwrap();
        assert_eq!(said.unwrap(), None);
    }

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
        assert_eq!(read(&SecretSource::File(dir.path().to_str().unwrap().to_owned())), None);
        assert_eq!(read(&SecretSource::Env("NOBODY_SETS_THIS_ONE".to_owned())), None);
    }
}
