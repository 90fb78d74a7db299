//! What the holder of a token may do.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What an operator's token is for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees everything but tokens and the audit log.
    Viewer,
    /// Sees, and changes devices, artifacts, releases and rollouts; approves nothing.
    Operator,
    /// Sees, and approves what a gate asks an approval for; changes nothing else.
    Approver,
    /// May do everything.
    Admin,
}

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// Looks.
    Read,
    /// Changes devices, artifacts, releases, rollouts or budgets.
    Operate,
    /// Approves what a gate asks for.
    Approve,
    /// Tokens, the audit log, the system.
    Administer,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Approver, Self::Admin];

    /// Whether whoever has this role may do that.
    pub const fn may(self, right: Right) -> bool {
        match (self, right) {
            (Self::Admin, _) | (_, Right::Read) => true,
            (Self::Operator, right) => matches!(right, Right::Operate),
            (Self::Approver, right) => matches!(right, Right::Approve),
            (Self::Viewer, _) => false,
        }
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Right {
    /// The roles that have it, in words.
    pub fn who(self) -> String {
        let roles: Vec<&str> =
            Role::ALL.into_iter().filter(|role| role.may(self)).map(Role::as_str).collect();
        roles.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_and_every_right() {
        let may = |role: Role| {
            let rights = [Right::Read, Right::Operate, Right::Approve, Right::Administer];
            rights.map(|right| role.may(right))
        };
        assert_eq!(may(Role::Viewer), [true, false, false, false]);
        assert_eq!(may(Role::Operator), [true, true, false, false]);
        assert_eq!(may(Role::Approver), [true, false, true, false]);
        assert_eq!(may(Role::Admin), [true; 4]);
        assert_eq!(Right::Approve.who(), "approver, admin");
    }
}
