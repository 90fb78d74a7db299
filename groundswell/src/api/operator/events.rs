//! What happens: `/api/v1/events`.

use std::time::Duration;

use axum::{
    Extension,
    body::Body,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{
        Api, Caller, Hangup, Problem,
        events::{Event, Filter, Id, Kind, Position, Reader, stream},
        routes::Route,
    },
    rollouts::find,
};
use crate::store::RolloutKey;

/// Who may do what here.
pub(in crate::api) const ROUTES: &[Route] = &[Route::read("/api/v1/events")];

pub(in crate::api) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(events))
}

/// Rollouts that are named at the most; whoever wants more of them wants all.
const ROLLOUTS_MAX: usize = 100;

/// After a while there may be room for another reader.
const FULL_FOR: Duration = Duration::from_secs(5);

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    rollouts: Vec<String>,
    kinds: Vec<Kind>,
    from: From,
}

/// From where on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum From {
    #[default]
    Now,
    Begin,
    After(Id),
}

/// Tells what happens, as Server-Sent Events, for as long as somebody listens.
///
/// The id of the last event, in `Last-Event-ID` or `after`, goes on from there without a gap. The
/// kinds and their fields are in docs/protocol/events.md.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events",
    params(
        ("rollout" = Option<Vec<String>>, Query, description = "Only of these rollouts; may be repeated, 100 times at the most."),
        ("kind" = Option<Vec<String>>, Query, description = "Only of these kinds; may be repeated."),
        ("since" = Option<String>, Query, description = "`now` (as a rule), or `begin` for all that there is."),
        ("after" = Option<String>, Query, description = "Behind the event of this id.", max_length = 64),
        ("Last-Event-ID" = Option<String>, Header, description = "The same; it wins.", max_length = 64),
    ),
    responses(
        (status = 200, body = Event, content_type = "text/event-stream",
         description = "`id`, `event` (the kind) and `data` (this) for each event."),
        (status = "default", body = Problem),
    ),
)]
async fn events(
    api: Api,
    caller: Caller,
    hangup: Option<Extension<Hangup>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = Asked::read(uri.query().unwrap_or_default(), &headers)?;
    let (looked, rollouts) = (caller.clone(), asked.rollouts.clone());
    let feed = api.live().feed().clone();
    let (keys, end) = api
        .look(move |state, _| {
            let mut keys = vec![];
            for given in &rollouts {
                keys.push(find(state, &looked, given)?.key.0);
            }
            feed.find_terms(state)?;
            Ok((keys, state.log_end()?))
        })
        .await?;
    let keys = (!keys.is_empty()).then_some(keys);
    let at = match asked.from {
        From::Now => Position::behind(end),
        From::Begin => Position::default(),
        From::After(id) => {
            check_term(&api, &id)?;
            let position = id.position;
            if position > Position::behind(end) {
                let told = format!("there is no such event yet: the log ends at {end}");
                return Err(Problem::invalid("after", told));
            }
            check_pruned(&api, &caller, keys.clone(), position).await?;
            position
        }
    };
    let filter = Filter::new(keys, &asked.kinds, caller.scope());
    let hangup = hangup.map(|Extension(hangup)| hangup);
    let place = api.live().feed().listen(filter, end, hangup).ok_or_else(|| {
        let told = "as many listen as may; try again later";
        Problem::unavailable("too-many-readers", told, FULL_FOR.as_secs())
    })?;
    let body = Body::from_stream(stream(Reader::new(api.clone(), caller, place, at)));
    let mut response = body.into_response();
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

/// An id of another state names a row that is another one here, or none: what was written instead of it
/// would be left out in silence.
fn check_term(api: &Api, id: &Id) -> Result<(), Problem> {
    if api.live().feed().terms().has(id) {
        return Ok(());
    }
    let told = format!(
        "{id} is of another state than the one that is here, which was put back to an older copy, most \
         likely. Look at the rollouts as they are, and go on from now, or with since=begin"
    );
    Err(Problem::new(StatusCode::GONE, "other-state", told))
}

/// What was pruned behind an id is not left out in silence.
async fn check_pruned(
    api: &Api,
    caller: &Caller,
    keys: Option<Vec<i64>>,
    position: Position,
) -> Result<(), Problem> {
    let scope = caller.scope().cloned();
    let begins = api.look(move |state, _| {
        let mut begins: Option<(RolloutKey, i64)> = None;
        for (rollout, from) in state.pruned_since(position.seq)? {
            let is_asked = keys.as_ref().is_none_or(|keys| keys.contains(&rollout.0));
            if is_asked
                && begins.is_none_or(|(_, last)| last < from)
                && state.sees_rollout(rollout, scope.as_ref())?
            {
                begins = Some((rollout, from));
            }
        }
        Ok(begins)
    });
    let Some((RolloutKey(rollout), from)) = begins.await? else { return Ok(()) };
    let told = format!(
        "what happened behind {position} was pruned in part: the log of rollout {rollout} begins at \
         {from}. Look at the rollouts as they are, and go on after {}, or since=begin",
        Position::behind(from)
    );
    Err(Problem::new(StatusCode::GONE, "pruned", told))
}

/// For whoever makes requests up: the id that a reader would go on behind, if it names one.
#[cfg(any(test, feature = "fuzz"))]
pub(in crate::api) fn asked_after(query: &str, headers: &HeaderMap) -> Result<Option<Id>, Problem> {
    Asked::read(query, headers).map(|asked| match asked.from {
        From::After(id) => Some(id),
        From::Now | From::Begin => None,
    })
}

impl Asked {
    fn read(query: &str, headers: &HeaderMap) -> Result<Self, Problem> {
        let pairs: Vec<(String, String)> = axum::extract::Query::try_from_uri(
            &format!("/?{query}").parse().map_err(|_| Problem::bad_request("a bad query"))?,
        )
        .map_err(|error| Problem::bad_request(error.body_text()))?
        .0;
        let mut asked = Self::default();
        for (name, value) in pairs {
            match &*name {
                "rollout" if asked.rollouts.len() == ROLLOUTS_MAX => {
                    let told = format!("at most {ROLLOUTS_MAX}; leave it out for all of them");
                    return Err(Problem::invalid("rollout", told));
                }
                "rollout" => asked.rollouts.push(value),
                "kind" => asked.kinds.push(Kind::parse(&value).ok_or_else(|| {
                    let words: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
                    Problem::invalid("kind", format!("one of: {}", words.join(", ")))
                })?),
                "since" => {
                    asked.from = match &*value {
                        "now" => From::Now,
                        "begin" => From::Begin,
                        _ => return Err(Problem::invalid("since", "`now` or `begin`")),
                    }
                }
                "after" => asked.from = From::After(position("after", &value)?),
                _ => {
                    let name: String = name.chars().take(64).flat_map(char::escape_debug).collect();
                    return Err(Problem::invalid(name, "there is no such parameter"));
                }
            }
        }
        if let Some(last) = headers.get("last-event-id") {
            let text = last.to_str().unwrap_or_default();
            asked.from = From::After(position("Last-Event-ID", text)?);
        }
        Ok(asked)
    }
}

fn position(field: &str, text: &str) -> Result<Id, Problem> {
    text.parse().map_err(|()| Problem::invalid(field, "the id of an event, such as 17.3"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str, last: Option<&'static str>) -> Result<Asked, Problem> {
        let mut headers = HeaderMap::new();
        if let Some(last) = last {
            headers.insert("last-event-id", HeaderValue::from_static(last));
        }
        Asked::read(query, &headers)
    }

    #[test]
    fn what_is_asked_for_is_read_and_nothing_else_is_taken() {
        let asked = read("rollout=1&rollout=2&kind=wave_opened&kind=gate_ruled&since=begin", None);
        let asked = asked.unwrap();
        assert_eq!(asked.rollouts, ["1", "2"]);
        assert_eq!(asked.kinds, [Kind::WaveOpened, Kind::GateRuled]);
        assert_eq!(asked.from, From::Begin);
        let after =
            |seq, index| From::After(Id { position: Position::new(seq, index), term: None });
        assert_eq!(read("after=17.3", None).unwrap().from, after(17, 3));
        assert_eq!(read("after=17.3&since=now", Some("18.0")).unwrap().from, after(18, 0));
        assert_eq!(read("", None), Ok(Asked::default()));
        for (query, last, field) in [
            ("kind=wave", None, "kind"),
            ("since=yesterday", None, "since"),
            ("after=17", None, "after"),
            ("", Some("x"), "Last-Event-ID"),
            ("rolout=1", None, "rolout"),
            // It may be shown by a terminal.
            ("x%0a%1b[2J=1", None, "x\\n\\u{1b}[2J"),
            (&"rollout=1&".repeat(ROLLOUTS_MAX + 1), None, "rollout"),
        ] {
            assert_eq!(read(query, last).unwrap_err().errors[0].field, field, "{query}");
        }
    }
}
