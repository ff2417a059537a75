//! Permissions in a repository: the role of a user, or the permissions of an App's token.

use std::{fmt::Debug, sync::Arc};

use crate::{
    repositories::Entry,
    role::Role,
    users::{Account, Member, Reach},
};

#[derive(Clone, Copy, Debug)]
pub struct Need {
    pub role: Role,
    pub permission: &'static str,
    pub level: Level,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Read,
    Write,
    /// A separate scope on Bitbucket.
    Delete,
}

const fn need(role: Role, permission: &'static str, level: Level) -> Need {
    Need { role, permission, level }
}

impl Need {
    pub const METADATA: Self = need(Role::Read, "metadata", Level::Read);
    pub const CONTENTS_READ: Self = need(Role::Read, "contents", Level::Read);
    pub const CONTENTS_WRITE: Self = need(Role::Write, "contents", Level::Write);
    pub const PULLS_READ: Self = need(Role::Read, "pull_requests", Level::Read);
    pub const PULLS_WRITE: Self = need(Role::Read, "pull_requests", Level::Write);
    pub const PULLS_CHANGE: Self = need(Role::Triage, "pull_requests", Level::Write);
    pub const PULLS_OPEN: Self = need(Role::Write, "pull_requests", Level::Write);
    pub const ISSUES_READ: Self = need(Role::Read, "issues", Level::Read);
    pub const ISSUES_WRITE: Self = need(Role::Read, "issues", Level::Write);
    pub const LABELS: Self = need(Role::Triage, "issues", Level::Write);
    pub const STATUSES_READ: Self = need(Role::Read, "statuses", Level::Read);
    pub const STATUSES_WRITE: Self = need(Role::Write, "statuses", Level::Write);
    pub const HOOKS_READ: Self = need(Role::Admin, "repository_hooks", Level::Read);
    pub const HOOKS_WRITE: Self = need(Role::Admin, "repository_hooks", Level::Write);
    pub const HOOKS_DELETE: Self = need(Role::Admin, "repository_hooks", Level::Delete);
    pub const ADMINISTRATION: Self = need(Role::Admin, "administration", Level::Write);
}

#[derive(Clone, Debug)]
pub struct Actor {
    pub account: Account,
    pub may: May,
}

#[derive(Clone, Debug)]
pub enum May {
    Everything,
    ByRole,
    Granted(Arc<dyn Permit>),
}

pub trait Permit: Debug + Send + Sync {
    fn may(&self, entry: &Entry, need: Need) -> Allowed;

    fn installation(&self) -> u64;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    Yes,
    No,
    /// Answer 404 instead of 403.
    Hidden,
}

impl Actor {
    pub fn of(member: &Member) -> Self {
        let may = match member.reach {
            Reach::Everywhere => May::Everything,
            Reach::ByRole => May::ByRole,
        };
        Self { account: member.account(), may }
    }

    pub async fn may(&self, entry: &Entry, need: Need) -> Allowed {
        match &self.may {
            May::Everything => Allowed::Yes,
            May::ByRole => {
                let role = entry.record.lock().await.role_of(self.account.id);
                match role {
                    Role::None => Allowed::Hidden,
                    role if role >= need.role => Allowed::Yes,
                    _ => Allowed::No,
                }
            }
            May::Granted(permit) => permit.may(entry, need),
        }
    }
}

pub async fn role_of(entry: &Entry, member: &Member) -> Role {
    match member.reach {
        Reach::Everywhere => Role::Admin,
        Reach::ByRole => entry.record.lock().await.role_of(member.user.id),
    }
}
