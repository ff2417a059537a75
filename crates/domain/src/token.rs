//! Tokens: what one may be used for, which ones may be made, and when one is good.
//!
//! Making a token's random text and hashing it are not here: no random numbers in this crate.

use crate::id::ProjectId;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// What a token may be used for.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Looking at everything.
    Read,
    /// Telling ticket events.
    Tickets,
    /// Making jobs, moving tickets on the board.
    Jobs,
    /// Everything.
    Admin,
}

/// Who shows a token.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// People and programs: `pat_`, with scopes.
    #[default]
    Api,
    /// Self-hosted runners: `rnt_`, without scopes; it registers, is heard, and claims.
    Runner,
}

impl TokenKind {
    /// What a token of this kind begins with.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Api => "pat_",
            Self::Runner => "rnt_",
        }
    }
}

/// How many characters of a token are shown afterwards: its prefix and four more.
pub const SHOWN: usize = 8;

/// How exactly a token's last use is known; each use within it is one write less.
pub const USE_NOTED_EVERY: Duration = Duration::from_secs(60);

/// A token that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewToken {
    /// Its name for people.
    pub name: String,
    /// Who is going to show it.
    pub kind: TokenKind,
    /// What it may be used for.
    pub scopes: BTreeSet<Scope>,
    /// For which projects; none means all.
    pub projects: Option<BTreeSet<ProjectId>>,
    /// The only runner that may show it; none means any.
    pub runner: Option<String>,
    /// How long it works; none means until it is revoked.
    pub expires_in: Option<Duration>,
}

/// What is wrong with a token that is asked for: its JSON pointer and the fault in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFault {
    /// Where.
    pub pointer: &'static str,
    /// What.
    pub fault: &'static str,
}

impl NewToken {
    /// Refuses tokens that could do nothing, and rights that their kind does not have.
    pub fn check(&self) -> Result<(), TokenFault> {
        let fault = |pointer, fault| Err(TokenFault { pointer, fault });
        let named = |name: &str, most: usize| {
            !name.trim().is_empty() && name.chars().count() <= most && !name.chars().any(char::is_control)
        };
        if !named(&self.name, 100) {
            return fault("/name", "use 1 to 100 printable characters");
        }
        if self.kind == TokenKind::Api && self.scopes.is_empty() {
            return fault("/scopes", "name at least one of read, tickets, jobs, admin");
        }
        if self.kind == TokenKind::Runner && !self.scopes.is_empty() {
            return fault("/scopes", "a runner's token has none");
        }
        if self.kind == TokenKind::Api && self.runner.is_some() {
            return fault("/runner", "only a runner's token is for a runner");
        }
        let callable = |name: &str| {
            (1..=64).contains(&name.len())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        };
        if !self.runner.as_deref().is_none_or(callable) {
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

/// Whether a token with this end still works.
pub fn is_good(revoked: bool, expires_at: Option<Timestamp>, now: Timestamp) -> bool {
    !revoked && expires_at.is_none_or(|at| now < at)
}

/// Whether this use of a token is to be written down.
pub fn is_use_worth_noting(last_used: Option<Timestamp>, now: Timestamp) -> bool {
    last_used.is_none_or(|at| now.since(at) >= USE_NOTED_EVERY)
}

#[cfg(test)]
mod tests;
