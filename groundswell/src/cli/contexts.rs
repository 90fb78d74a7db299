//! Servers that the command line knows, each with its token, and which of them is used: a file of the
//! user that nobody else can read.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use groundswell_core::spelling::nearest;
use serde::{Deserialize, Serialize};

use super::Failure;
use crate::client::{Identity, Options};

/// Longest file that is read: some thousand contexts.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A server, and who one is to it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Context {
    /// Where it is.
    pub(super) url: String,
    /// The token that is shown to it.
    pub(super) token: String,
    /// The name of the token, and its id.
    pub(super) who: String,
    /// Authorities whose certificates are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ca: Option<PathBuf>,
    /// The certificate that is shown to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) identity: Option<Identity>,
}

/// All servers that are known, by the names they were given.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Contexts {
    /// The one that is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) current: Option<String>,
    #[serde(default)]
    pub(super) contexts: BTreeMap<String, Context>,
}

/// Where they are kept.
pub(super) struct ContextsFile(PathBuf);

impl ContextsFile {
    /// That of the user who types, by the XDG rules.
    pub(super) fn of_user() -> Result<Self, Failure> {
        let config = environment("XDG_CONFIG_HOME").map(PathBuf::from);
        let config = config.filter(|path| path.is_absolute());
        let config = config.or_else(|| std::env::home_dir().map(|home| home.join(".config")));
        let told = "nobody knows your home directory: set HOME or XDG_CONFIG_HOME";
        let config = config.ok_or_else(|| Failure::input(anyhow!(told)))?;
        Ok(Self(config.join("groundswell").join("contexts.toml")))
    }

    /// What is known; nothing if there is no file.
    pub(super) fn read(&self) -> Result<Contexts, Failure> {
        let told = || format!("the servers in {} cannot be read", self.0.display());
        let is_too_long =
            fs::metadata(&self.0).is_ok_and(|metadata| metadata.len() > FILE_BYTES_MAX);
        if is_too_long {
            return Err(Failure::input(anyhow!("{}: it is too long", told())));
        }
        match fs::read_to_string(&self.0) {
            Ok(text) => toml::from_str(&text)
                // What it says of a line would show that line, and a token may be in it.
                .map_err(|error| Failure::input(anyhow!("{}: {}", told(), error.message()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Contexts::default()),
            Err(error) => Err(Failure::input(anyhow::Error::from(error).context(told()))),
        }
    }

    /// Keeps it in the place of what was there, readable by the user alone.
    pub(super) fn write(&self, contexts: &Contexts) -> Result<(), Failure> {
        let written = self.try_write(contexts);
        let told = || format!("the servers in {} cannot be kept", self.0.display());
        written.with_context(told).map_err(Failure::disk)
    }

    fn try_write(&self, contexts: &Contexts) -> anyhow::Result<()> {
        let text = toml::to_string(contexts)?;
        let directory = self.0.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let beside = directory.join(format!(".contexts-{}", std::process::id()));
        let written = Self::write_to(&beside, &text).and_then(|()| fs::rename(&beside, &self.0));
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        Ok(written?)
    }

    fn write_to(path: &Path, text: &str) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }
}

impl Context {
    /// How it is talked to.
    pub(super) fn options(&self) -> Options {
        Options { ca: self.ca.clone(), identity: self.identity.clone(), ..Options::default() }
    }
}

impl Contexts {
    /// The one that is used, with its name.
    pub(super) fn current(&self) -> Option<(&str, &Context)> {
        let name = self.current.as_deref()?;
        Some((name, self.contexts.get(name)?))
    }

    /// The one of this name, or of none the one that is used.
    pub(super) fn named(&self, name: Option<&str>) -> Result<(String, &Context), Failure> {
        let input = |told: String| Failure::input(anyhow!(told));
        let Some(name) = name else {
            let none = "no server is used: `groundswell login URL` makes one known, and \
                        `groundswell context use NAME` uses one";
            let (name, context) = self.current().ok_or_else(|| input(none.to_owned()))?;
            return Ok((name.to_owned(), context));
        };
        let known = self.contexts.get(name);
        let unknown = || {
            let meant = nearest(name, self.contexts.keys().map(String::as_str));
            let hint = meant.map_or_else(
                || "`groundswell context list` has all".to_owned(),
                |meant| format!("did you mean `{meant}`?"),
            );
            input(format!("there is no context `{name}`: {hint}"))
        };
        Ok((name.to_owned(), known.ok_or_else(unknown)?))
    }

    /// The one of a server, if its token is known.
    pub(super) fn of_server(&self, url: &str) -> Option<&Context> {
        let same = |one: &str| one.trim_end_matches('/') == url.trim_end_matches('/');
        let current = self.current().map(|(_, context)| context);
        current.into_iter().chain(self.contexts.values()).find(|context| same(&context.url))
    }
}

/// What the environment says, if it says anything. A token is never an argument: everybody on the
/// machine can read those.
pub(super) fn environment(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the command line's edge")]
    let value = std::env::var(name).ok();
    value.filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn context(url: &str) -> Context {
        let (url, token) = (url.to_owned(), "gsw_a.\"b\\".to_owned());
        let identity = Some(Identity { cert: "/a b/c.pem".into(), key: "/k.pem".into() });
        let (who, ca) = ("anna (a)".to_owned(), Some("/a b/ca.pem".into()));
        Context { url, token, who, ca, identity }
    }

    #[test]
    fn what_is_kept_reads_back_and_is_of_the_user_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = ContextsFile(dir.path().join("groundswell").join("contexts.toml"));
        assert!(file.read().is_ok_and(|contexts| contexts == Contexts::default()));
        let mut contexts = Contexts::default();
        for (name, url) in [("prod", "https://a"), ("127.0.0.1:8080", "http://127.0.0.1:8080")] {
            contexts.contexts.insert(name.to_owned(), context(url));
        }
        contexts.current = Some("prod".to_owned());
        for _ in 0..2 {
            file.write(&contexts).unwrap();
            assert!(file.read().is_ok_and(|read| read == contexts));
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&file.0), mode(file.0.parent().unwrap())), (0o600, 0o700));
        }
        assert_eq!(fs::read_dir(file.0.parent().unwrap()).unwrap().count(), 1);
        assert!(contexts.of_server("http://127.0.0.1:8080/").is_some());
        assert!(contexts.of_server("http://127.0.0.1:8081").is_none());
        let told = |name| contexts.named(name).err().map(|error| error.error.to_string());
        assert_eq!(told(None), None);
        assert_eq!(
            told(Some("prdo")).as_deref(),
            Some("there is no context `prdo`: did you mean `prod`?")
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_is_told_without_what_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = ContextsFile(dir.path().join("contexts.toml"));
        fs::write(&file.0, "[contexts.a]\nurl = \"http://a\"\ntoken = gsw_secret").unwrap();
        let told = format!("{:#}", file.read().err().unwrap().error);
        assert!(told.contains("contexts.toml cannot be read: "), "{told}");
        assert!(!told.contains("secret"), "{told}");
    }
}
