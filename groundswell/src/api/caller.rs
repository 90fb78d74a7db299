//! Who calls, as far as it was found out before a handler runs.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use axum::extract::FromRequestParts;
use groundswell_core::{device::Device, selector::Selector, time::Time};
use http::{StatusCode, request::Parts};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Api, Problem};
use crate::access::{Change, Kind, Right, Role, Scope, Token, TokenId};

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source(pub IpAddr);

impl Source {
    /// As what it counts: an IPv6 source has a network of addresses to choose from.
    pub(crate) fn network(self) -> IpAddr {
        match self.0.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
        }
    }
}

/// How the connection of a request is ended by whoever answers it: one that carries several requests
/// may take other answers than the one that stalls.
#[derive(Clone, Debug)]
pub struct Hangup {
    /// To be canceled.
    pub told: CancellationToken,
    /// How long an answer may not be taken.
    pub stall_max: Duration,
}

/// How a request is named in the log and in problems.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(pub(crate) String);

/// Who calls.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The token that was shown, which was good.
    pub token: Arc<Token>,
    /// From where.
    pub source: IpAddr,
    /// By which request.
    pub request: String,
}

impl Caller {
    /// Which token.
    pub fn id(&self) -> &TokenId {
        &self.token.id
    }

    /// The role; none for a device or an enrollment.
    pub fn role(&self) -> Option<Role> {
        match &self.token.kind {
            Kind::Operator { role, .. } => Some(*role),
            Kind::Device { .. } | Kind::Enrollment { .. } => None,
        }
    }

    /// The devices that the caller is limited to; none: all of them.
    pub fn scope(&self) -> Option<&Scope> {
        match &self.token.kind {
            Kind::Operator { scope, .. } => scope.as_ref(),
            Kind::Device { .. } | Kind::Enrollment { .. } => None,
        }
    }

    /// Whether the caller may do that, by its role.
    ///
    /// # Errors
    /// A [`Problem`] with status 403 that says who may.
    pub fn require(&self, right: Right) -> Result<(), Problem> {
        if self.role().is_some_and(|role| role.may(right)) {
            return Ok(());
        }
        let own = self.role().map_or_else(|| "no operator".to_owned(), |role| role.to_string());
        let told = format!("the token is of {own}; this takes one of: {}", right.who());
        Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", told))
    }

    /// Whether the caller may see a device.
    pub fn sees(&self, device: &Device) -> bool {
        self.scope().is_none_or(|scope| scope.contains(device))
    }

    /// What `select` chooses of the devices that the caller may see.
    pub fn narrow(&self, select: Option<Selector>) -> Option<Selector> {
        match self.scope() {
            Some(scope) => Some(scope.narrow(select)),
            None => select,
        }
    }

    /// A change by this caller, for the audit log.
    pub fn change(&self, at: Time, action: &str, subject: String) -> Change {
        Change {
            at,
            who: format!("{} ({})", self.token.name, self.token.id),
            from: self.source.to_string(),
            action: action.to_owned(),
            subject,
            before: None,
            after: None,
            request: Some(self.request.clone()),
        }
    }
}

impl Api {
    /// Judges the caller's token again, for whatever takes longer than a moment: it may have been
    /// revoked, or have expired, since the request began.
    ///
    /// # Errors
    /// A [`Problem`] with status 401.
    pub(crate) fn judge_again(&self, caller: &Caller) -> Result<(), Problem> {
        let refused = |told: String| Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", told);
        let known = self.glance(|state, _| state.token(caller.id()))?;
        let token = known.ok_or_else(|| refused("the token is not known any more".to_owned()))?;
        token.check(self.now()).map_err(|error| refused(error.to_string()))
    }
}

impl Change {
    /// With what it was before, and what it is to be.
    #[must_use]
    pub fn between(self, before: Option<Value>, after: Option<Value>) -> Self {
        Self { before, after, ..self }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // The guard put it there, or let nobody through.
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::internal)
    }
}

impl Default for Source {
    fn default() -> Self {
        Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_counts_as_one_source() {
        let network = |text: &str| Source(text.parse().unwrap()).network();
        assert_eq!(network("2001:db8::1"), network("2001:db8::2"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::2"));
        assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1"));
    }
}
