//! Permissions in a repository: the role of a user, or the permissions of an App's token.

use std::{fmt::Debug, sync::Arc};

use crate::{
    repositories::RepositoryEntry,
    role::Role,
    users::{Account, Member, MemberScope},
};

#[derive(Clone, Copy, Debug)]
pub struct Requirement {
    pub role: Role,
    pub permission: &'static str,
    pub level: Level,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Read,
    Write,
    Delete,
}

const fn requirement(role: Role, permission: &'static str, level: Level) -> Requirement {
    Requirement { role, permission, level }
}

impl Requirement {
    pub const METADATA: Self = requirement(Role::Read, "metadata", Level::Read);
    pub const CONTENTS_READ: Self = requirement(Role::Read, "contents", Level::Read);
    pub const CONTENTS_WRITE: Self = requirement(Role::Write, "contents", Level::Write);
    pub const PULLS_READ: Self = requirement(Role::Read, "pull_requests", Level::Read);
    pub const PULLS_WRITE: Self = requirement(Role::Read, "pull_requests", Level::Write);
    pub const PULLS_CHANGE: Self = requirement(Role::Triage, "pull_requests", Level::Write);
    pub const PULLS_OPEN: Self = requirement(Role::Write, "pull_requests", Level::Write);
    pub const ISSUES_READ: Self = requirement(Role::Read, "issues", Level::Read);
    pub const ISSUES_WRITE: Self = requirement(Role::Read, "issues", Level::Write);
    pub const STATUSES_READ: Self = requirement(Role::Read, "statuses", Level::Read);
    pub const STATUSES_WRITE: Self = requirement(Role::Write, "statuses", Level::Write);
    pub const ADMINISTRATION: Self = requirement(Role::Admin, "administration", Level::Write);
    pub const HOOKS_READ: Self = requirement(Role::Admin, "repository_hooks", Level::Read);
    pub const HOOKS_WRITE: Self = requirement(Role::Admin, "repository_hooks", Level::Write);
    pub const HOOKS_DELETE: Self = requirement(Role::Admin, "repository_hooks", Level::Delete);
}

#[derive(Clone, Debug)]
pub struct Actor {
    pub account: Account,
    pub authority: Authority,
}

#[derive(Clone, Debug)]
pub enum Authority {
    Admin,
    ByRole,
    App(Arc<dyn AppPermissions>),
}

pub trait AppPermissions: Debug + Send + Sync {
    fn check(&self, entry: &RepositoryEntry, need: Requirement) -> AccessDecision;

    fn installation(&self) -> u64;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessDecision {
    Yes,
    No,
    /// Answer 404 instead of 403.
    Hidden,
}

impl Actor {
    pub fn from_member(member: &Member) -> Self {
        let authority = match member.reach {
            MemberScope::Everywhere => Authority::Admin,
            MemberScope::ByRole => Authority::ByRole,
        };
        Self { account: member.account(), authority }
    }

    pub async fn check(&self, entry: &RepositoryEntry, need: Requirement) -> AccessDecision {
        match &self.authority {
            Authority::Admin => AccessDecision::Yes,
            Authority::ByRole => {
                let role = entry.record.lock().await.role_of(self.account.id);
                match role {
                    Role::None => AccessDecision::Hidden,
                    role if role >= need.role => AccessDecision::Yes,
                    _ => AccessDecision::No,
                }
            }
            Authority::App(permit) => permit.check(entry, need),
        }
    }
}

pub async fn role_of(entry: &RepositoryEntry, member: &Member) -> Role {
    match member.reach {
        MemberScope::Everywhere => Role::Admin,
        MemberScope::ByRole => entry.record.lock().await.role_of(member.user.id),
    }
}
