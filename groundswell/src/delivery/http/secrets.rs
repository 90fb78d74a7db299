//! Secrets that come back: a device may echo the headers it was sent.
//!
//! Owns how they are found in what a device says, before any of that is kept or shown. Start with
//! [`Secrets::blank`].

use http::{HeaderMap, HeaderValue};

/// Shorter values are no secrets, and blanking them would make every text unreadable.
const SECRET_BYTES_MIN: usize = 4;

/// How a scheme of RFC 9110 section 11.4 and what it precedes are told apart.
const SCHEMES: [&str; 2] = ["bearer ", "basic "];

/// The values that are marked sensitive among the headers that are sent to one device.
#[derive(Clone, Copy)]
pub(super) struct Secrets<'a> {
    pub(super) common: &'a HeaderMap,
    pub(super) own: Option<&'a HeaderMap>,
}

impl<'a> Secrets<'a> {
    /// Overwrites each of them in `text` with asterisks, also one that `text` ends within.
    pub(super) fn blank(self, text: &mut [u8]) {
        if text.len() < SECRET_BYTES_MIN {
            return;
        }
        for secret in self.values() {
            blank_one(text, secret);
            if let Some(bare) = without_scheme(secret) {
                blank_one(text, bare);
            }
        }
    }

    fn values(self) -> impl Iterator<Item = &'a [u8]> {
        let own = self.own.into_iter().flat_map(HeaderMap::values);
        let all = self.common.values().chain(own);
        all.filter(|value| value.is_sensitive()).map(HeaderValue::as_bytes)
    }
}

fn without_scheme(secret: &[u8]) -> Option<&[u8]> {
    SCHEMES.iter().find_map(|scheme| {
        let (start, rest) = secret.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme.as_bytes()).then(|| rest.trim_ascii_start())
    })
}

fn blank_one(text: &mut [u8], secret: &[u8]) {
    if secret.len() < SECRET_BYTES_MIN {
        return;
    }
    let mut at = 0;
    while let Some(rest) = text.get_mut(at..).filter(|rest| rest.len() >= SECRET_BYTES_MIN) {
        // At the end of what was kept, the start of a secret is as telling as all of it.
        let len = secret.len().min(rest.len());
        if rest[..len] == secret[..len] {
            rest[..len].fill(b'*');
            at += len;
        } else {
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_secret_is_blanked_wherever_it_stands() {
        let sensitive = |text: &'static str| {
            let mut value = HeaderValue::from_static(text);
            value.set_sensitive(true);
            value
        };
        let mut common = HeaderMap::new();
        common.insert("authorization", sensitive("Bearer s3cr3t"));
        common.insert("x-short", sensitive("abc"));
        common.insert("user-agent", HeaderValue::from_static("groundswell"));
        let own = [("x-api-key".parse().unwrap(), sensitive("p3rd3vice"))].into_iter().collect();
        let secrets = Secrets { common: &common, own: Some(&own) };
        for (text, blank) in [
            ("Bearer s3cr3t", "*************"),
            ("token=s3cr3t&s3cr3t", "token=******&******"),
            ("bearer s3cr3ts3cr3t.", "bearer ************."),
            ("p3rd3vice, abc, groundswell", "*********, abc, groundswell"),
            ("cut in p3rd3v", "cut in ******"),
            ("cut in s3cr", "cut in ****"),
            ("cut in s3c", "cut in s3c"),
            ("s3c", "s3c"),
            ("Beare", "*****"),
            ("", ""),
        ] {
            let mut bytes = text.as_bytes().to_vec();
            secrets.blank(&mut bytes);
            assert_eq!(String::from_utf8(bytes).unwrap(), blank, "{text}");
        }
    }
}
