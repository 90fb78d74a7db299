//! Tokens: `/api/v1/tokens`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use axum::{
    Json,
    extract::Path,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{
    Api, Caller, Problem,
    body::{JsonBody, Params},
    created::Key,
    page::{Paging, cursor},
    routes::Route,
};
use crate::{
    access::{Kind, Role, Scope, Token, TokenId},
    operate::{NewToken, State as Kept, TokenView},
};

/// Longest life that may be asked for: ten years. A token that never ends is asked for by no number.
const LIFE_SECS_MAX: u64 = 10 * 366 * 24 * 3_600;

/// Who may do what here.
pub(in crate::api) const ROUTES: &[Route] = &[
    Route::administer(Method::GET, "/api/v1/tokens"),
    Route::administer(Method::POST, "/api/v1/tokens"),
    Route::administer(Method::GET, "/api/v1/tokens/{token}"),
    Route::administer(Method::DELETE, "/api/v1/tokens/{token}"),
];

pub(in crate::api) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, revoke))
}

/// Which tokens.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Those of devices, too.
    #[serde(default)]
    #[param(default = false)]
    devices: bool,
}

/// A page of tokens, in the order of their ids.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Tokens {
    /// The tokens.
    pub tokens: Vec<TokenView>,
    /// The cursor of the next page; none if this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Whose token it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// A person's or a pipeline's.
    Operator,
    /// A device's.
    Device,
    /// That of devices which are not known yet.
    Enrollment,
}

/// The token that is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenSpec {
    /// Whose it is, or what for.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// Of which kind it is.
    pub kind: Whose,
    /// What an operator's token may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The devices that an operator's token is limited to: a selector over `id` and `tag.*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 4096)]
    pub scope: Option<String>,
    /// The device whose token it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// How many devices an enrollment token is good for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub uses_max: Option<u64>,
    /// What devices are tagged with that come by an enrollment token.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Keys of tags that these may choose for themselves; none: no others than those.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags_allowed: BTreeSet<String>,
    /// In how many seconds it ends; none: it never does by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 316_224_000)]
    pub expires_in_secs: Option<u64>,
}

impl TokenSpec {
    /// What is asked for.
    fn kind(&self) -> Result<Kind, Problem> {
        self.refuse_what_is_of_others()?;
        let missing = |field: &str| Problem::invalid(field, "is missing");
        Ok(match self.kind {
            Whose::Operator => {
                let scope = self.scope.as_deref().map(Scope::parse).transpose();
                let scope = scope.map_err(|error| Problem::invalid("scope", error.to_string()))?;
                Kind::Operator { role: self.role.ok_or_else(|| missing("role"))?, scope }
            }
            Whose::Device => {
                Kind::Device { device: self.device.clone().ok_or_else(|| missing("device"))? }
            }
            Whose::Enrollment => Kind::Enrollment {
                uses_max: self.uses_max.ok_or_else(|| missing("uses_max"))?,
                tags: self.tags.clone(),
                tags_allowed: self.tags_allowed.clone(),
            },
        })
    }

    fn refuse_what_is_of_others(&self) -> Result<(), Problem> {
        let given = [
            ("role", self.role.is_some(), Whose::Operator),
            ("scope", self.scope.is_some(), Whose::Operator),
            ("device", self.device.is_some(), Whose::Device),
            ("uses_max", self.uses_max.is_some(), Whose::Enrollment),
            ("tags", !self.tags.is_empty(), Whose::Enrollment),
            ("tags_allowed", !self.tags_allowed.is_empty(), Whose::Enrollment),
        ];
        match given.into_iter().find(|(_, is_given, of)| *is_given && *of != self.kind) {
            Some((field, ..)) => Err(Problem::invalid(field, "tokens of this kind have none")),
            None => Ok(()),
        }
    }

    fn life(&self) -> Result<Option<Duration>, Problem> {
        match self.expires_in_secs {
            None => Ok(None),
            Some(secs @ 1..=LIFE_SECS_MAX) => Ok(Some(Duration::from_secs(secs))),
            Some(_) => {
                let told = format!("a number from 1 to {LIFE_SECS_MAX}");
                Err(Problem::invalid("expires_in_secs", told))
            }
        }
    }
}

/// Lists tokens in the order of their ids; never their secrets.
#[utoipa::path(
    get, path = "/api/v1/tokens", tag = "tokens", params(Which, Paging),
    responses((status = 200, body = Tokens), (status = "default", body = Problem)),
)]
async fn list(
    api: Api,
    caller: Caller,
    Params(Which { devices }): Params<Which>,
    Params(paging): Params<Paging>,
) -> Result<Json<Tokens>, Problem> {
    let (limit, after) = (paging.limit()?, paging.after()?);
    let page = api
        .look(move |state, _| state.token_page(after.as_deref(), limit, devices, caller.scope()));
    let (tokens, next) = page.await?;
    Ok(Json(Tokens { tokens, next: next.as_deref().map(cursor) }))
}

/// Makes a token. Its secret is in this answer, and nowhere else from then on.
#[utoipa::path(
    post, path = "/api/v1/tokens", tag = "tokens", request_body = TokenSpec,
    params(("Idempotency-Key" = Option<String>, Header, max_length = 255)),
    responses((status = 201, body = NewToken), (status = "default", body = Problem)),
)]
async fn create(
    api: Api,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(spec): JsonBody<TokenSpec>,
) -> Result<Response, Problem> {
    let key = Key::of(&headers, "token.create", &spec)?;
    if let Some(known) = api.created(&caller, key.as_ref())? {
        return Err(Problem::conflict(
            "shown-before",
            format!(
                "the token {known} was made under this Idempotency-Key, and its secret is shown \
                 once: revoke it and make another one if the answer was lost"
            ),
        ));
    }
    let (asked, expires_in) = (spec.kind()?, spec.life()?);
    let scope = caller.scope().cloned();
    let kind = api.glance(move |state, _| state.allowed_kind(asked, scope.as_ref()))?;
    let now = api.now();
    let expires_at = expires_in.map(|life| now + life);
    let (token, secret) = Kept::mint_token(&spec.name, kind, expires_at, now)?;
    let view = TokenView::of(&token);
    let id = view.id.clone();
    let change = caller.change(now, "token.create", format!("token {id}"));
    let change = change.between(None, serde_json::to_value(&view).ok());
    let created = key.map(|key| key.by(&caller, id.clone(), now));
    api.change(change, created, move |state, _| state.put_token(&token)).await?;
    let at = format!("/api/v1/tokens/{id}");
    let made = NewToken { token: view, secret: secret.reveal() };
    Ok((StatusCode::CREATED, [(header::LOCATION, at)], Json(made)).into_response())
}

/// Shows a token; never its secret.
#[utoipa::path(
    get, path = "/api/v1/tokens/{token}", tag = "tokens", params(("token" = String, Path)),
    responses((status = 200, body = TokenView), (status = "default", body = Problem)),
)]
async fn show(
    api: Api,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<TokenView>, Problem> {
    Ok(Json(TokenView::of(&find(&api, &caller, &id)?)))
}

/// Revokes a token: it is no good from the next request on. One that was revoked stays so.
#[utoipa::path(
    delete, path = "/api/v1/tokens/{token}", tag = "tokens", params(("token" = String, Path)),
    responses((status = 200, body = TokenView), (status = "default", body = Problem)),
)]
async fn revoke(
    api: Api,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<TokenView>, Problem> {
    let token = find(&api, &caller, &id)?;
    let change = caller.change(api.now(), "token.revoke", format!("token {id}"));
    let change = change.between(serde_json::to_value(TokenView::of(&token)).ok(), None);
    let revoked = token.id.clone();
    api.change(change, None, move |state, now| state.revoke_token(&revoked, now)).await?;
    Ok(Json(TokenView::of(&find(&api, &caller, &id)?)))
}

/// The token of this id, if the caller may know of it.
fn find(api: &Api, caller: &Caller, id: &str) -> Result<Token, Problem> {
    let known = TokenId(id.to_owned());
    let found = api.glance(|state, _| {
        let Some(token) = state.token(&known)? else { return Ok(None) };
        Ok(state.is_token_seen(&token, caller.scope())?.then_some(token))
    });
    found?.ok_or_else(|| Problem::not_found(format!("there is no token `{id}`")))
}
