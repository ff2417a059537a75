//! Tokens: their scopes and kinds, validation of new ones, and expiry.
//! The random text and its hash are made elsewhere, because this crate has no random numbers.

use crate::agent::runner::validate_name;
use crate::text::id::ProjectId;
use crate::text::is_line;
use crate::text::setting_fault::{SettingFault, fault};
use crate::text::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// The permitted uses of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Read everything.
    Read,
    /// Send ticket events.
    Tickets,
    /// Create jobs and move tickets on the board.
    Jobs,
    /// Everything.
    Admin,
}

/// The kind of client that presents a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// Users and programs: `pat_`, with scopes.
    #[default]
    Api,
    /// Self-hosted runners: `rnt_`, without scopes. It registers, sends heartbeats and claims.
    Runner,
}

impl TokenKind {
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Api => "pat_",
            Self::Runner => "rnt_",
        }
    }
}

/// Number of characters of a token that are shown later: its prefix and four more.
pub const VISIBLE_CHARS: usize = 8;

/// Precision of a token's last use. Further uses within this time are not written.
pub const LAST_USE_PRECISION: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewToken {
    pub name: String,
    pub kind: TokenKind,
    pub scopes: BTreeSet<Scope>,
    /// The permitted projects; `None` means all.
    pub projects: Option<BTreeSet<ProjectId>>,
    /// The only runner that may use the token; `None` means any.
    pub runner: Option<String>,
    /// `None` means until it is revoked.
    pub expires_in: Option<Duration>,
}

impl NewToken {
    /// Refuses tokens without any use, and rights that their kind does not have.
    pub fn validate(&self) -> Result<(), SettingFault> {
        if !is_line(&self.name, 100) {
            return fault("/name", "use 1 to 100 printable characters");
        }
        if self.kind == TokenKind::Api && self.scopes.is_empty() {
            return fault("/scopes", "name at least one of read, tickets, jobs, admin");
        }
        if self.kind == TokenKind::Runner && !self.scopes.is_empty() {
            return fault("/scopes", "a runner token has no scopes");
        }
        if self.kind == TokenKind::Api && self.runner.is_some() {
            return fault("/runner", "only a runner token can name a runner");
        }
        if self.runner.as_deref().is_some_and(|name| validate_name(name).is_err()) {
            return fault("/runner", "use 1 to 64 letters, digits, dashes, underscores and dots");
        }
        if !self.projects.as_ref().is_none_or(|projects| (1..=50).contains(&projects.len())) {
            return fault("/projects", "name 1 to 50 projects, or leave it out for all");
        }
        let secs = self.expires_in.map(|length| length.as_secs());
        if !secs.is_none_or(|secs| (60..=10 * 366 * 86_400).contains(&secs)) {
            return fault("/expires_in_secs", "use 60 seconds to 10 years, or leave it out");
        }
        Ok(())
    }
}

pub fn is_valid(revoked: bool, expires_at: Option<Timestamp>, now: Timestamp) -> bool {
    !revoked && expires_at.is_none_or(|at| now < at)
}

pub fn should_record_use(last_used: Option<Timestamp>, now: Timestamp) -> bool {
    last_used.is_none_or(|at| now.since(at) >= LAST_USE_PRECISION)
}

#[cfg(test)]
mod tests;
