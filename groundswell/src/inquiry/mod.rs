//! Asking the servers that stand behind the external gates of a rollout.
//!
//! Owns one question: its headers, its request, and what is read of its answer. Decides nothing:
//! what an answer says is [`Check::judge`]'s. An answer is hostile input: its size, its time and
//! its text are bounded, and redirects are not followed. Start with [`ask`].

mod read;
mod secret;

use std::fmt::Write as _;

pub(crate) use self::secret::Reading;
use groundswell_core::{
    gate::external::{Answer, Check, Question, SecretSource},
    outcome::Fault,
};
use http::{HeaderMap, HeaderValue, header::ACCEPT};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    clock::Clock,
    delivery::http::{Client, check_header},
};

/// Asks once, within the time-out of the check whatever happens. `reading` is that of the check.
pub(crate) async fn ask(
    client: &Client,
    clock: &Clock,
    check: &Check,
    reading: &Reading,
) -> Answer {
    let asked = ask_patiently(client, check, reading);
    tokio::select! {
        biased;
        answer = asked => answer,
        () = clock.sleep(check.timeout, "check") => Answer::Silent(Fault::AttemptTimeout),
    }
}

async fn ask_patiently(client: &Client, check: &Check, reading: &Reading) -> Answer {
    let headers = match headers(check, reading).await {
        Ok(headers) => headers,
        Err(name) => return Answer::NoSecret(name),
    };
    let (url, status, target) = match &check.question {
        Question::Http { url, status, .. } => (url, *status, url.target().to_owned()),
        Question::Prometheus { url, query, .. } => {
            let mut target = url.target().trim_end_matches('/').to_owned();
            let query = utf8_percent_encode(query, NON_ALPHANUMERIC);
            let _ = write!(target, "/api/v1/query?query={query}");
            (url, 200, target)
        }
    };
    match client.get(url.server(), &target, &headers, status, check.timeout).await {
        Err(fault) => Answer::Silent(fault),
        Ok((is, _)) if is != status => Answer::Status(is),
        Ok((is, body)) => match &check.question {
            Question::Http { wanted: None, .. } => Answer::Status(is),
            Question::Http { wanted: Some(wanted), .. } => {
                answer(is, read::value_at(&body, &wanted.pointer))
            }
            Question::Prometheus { .. } => answer(is, read::result_of_query(&body)),
        },
    }
}

fn answer(
    status: u16,
    read: Result<groundswell_core::gate::external::Value, read::Unread>,
) -> Answer {
    match read {
        Ok(value) => Answer::Value(status, value),
        Err(why) => Answer::Unreadable(status, why),
    }
}

/// The headers of a check with their values; or the name of one that has none here, or whose file
/// has been read since an earlier question and does not come to its end.
async fn headers(check: &Check, reading: &Reading) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    if check.headers.is_empty() {
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.1"));
        return Ok(headers);
    }
    let sources = check.headers.clone();
    let Some(pending) = reading.begin() else {
        let is_file = |source: &SecretSource| matches!(source, SecretSource::File(_));
        let of_file = sources.into_iter().find(|(_, source)| is_file(source));
        return Err(of_file.map(|(name, _)| name).unwrap_or_default());
    };
    // A file may hang, as one of a network does.
    let read = tokio::task::spawn_blocking(move || {
        let _pending = pending;
        let read = sources.into_iter().map(|(name, source)| match secret::read(&source) {
            Some(value) => Ok((name, value)),
            None => Err(name),
        });
        read.collect::<Result<Vec<_>, String>>()
    });
    let read = read.await.map_err(|_| String::new())??;
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.1"));
    for (name, value) in read {
        let (header, value) = check_header(&name, &value).map_err(|_| name)?;
        headers.insert(header, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn while_a_file_hangs_it_is_not_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "abc").unwrap();
        let url = "http://127.0.0.1:9/".parse().unwrap();
        let check = Check {
            question: Question::Http { url, status: 200, wanted: None },
            headers: [
                ("X-Env".to_owned(), SecretSource::Env("PATH".to_owned())),
                ("X-File".to_owned(), SecretSource::File(path.to_str().unwrap().to_owned())),
            ]
            .into(),
            timeout: std::time::Duration::from_secs(1),
            every: std::time::Duration::from_secs(1),
            stops: false,
        };
        let reading = Reading::default();
        assert_eq!(headers(&check, &reading).await.unwrap()["x-file"], "abc");
        let pending = reading.begin().unwrap();
        assert!(reading.is_pending());
        assert_eq!(headers(&check, &reading).await.unwrap_err(), "X-File");
        drop(pending);
        assert_eq!(headers(&check, &reading).await.unwrap()["x-file"], "abc");
    }
}
