//! What somebody may do to a repository: a person by role, an App's token by its permissions.
//! How a request is turned into a caller is not here: that is `rest::caller` and `smart_http`.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    record::RepositoryRecord,
    repositories::Entry,
    users::{Account, Member, Reach},
};

/// What somebody is in a repository; each role may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Not a collaborator: a private repository is not there for them.
    None,
    /// May look, review and comment.
    Read,
    /// May set labels and ask for reviews, too.
    Triage,
    /// May push and merge, too.
    Write,
    /// May change settings that destroy nothing, too.
    Maintain,
    /// May do everything.
    Admin,
}

impl Role {
    /// GitHub's `role_name`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Triage => "triage",
            Self::Write => "write",
            Self::Maintain => "maintain",
            Self::Admin => "admin",
        }
    }

    /// GitHub's older `permission`, which knows four words only.
    pub(crate) fn permission(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read | Self::Triage => "read",
            Self::Write | Self::Maintain => "write",
            Self::Admin => "admin",
        }
    }
}

/// What a call asks of its caller: a person's role, and an App's permission with its level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    pub(crate) role: Role,
    pub(crate) permission: &'static str,
    pub(crate) level: Level,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Read,
    Write,
    /// On Bitbucket, where some of it has a scope of its own.
    Delete,
}

const fn need(role: Role, permission: &'static str, level: Level) -> Need {
    Need { role, permission, level }
}

impl Need {
    pub(crate) const METADATA: Self = need(Role::Read, "metadata", Level::Read);
    pub(crate) const CONTENTS_READ: Self = need(Role::Read, "contents", Level::Read);
    pub(crate) const CONTENTS_WRITE: Self = need(Role::Write, "contents", Level::Write);
    pub(crate) const PULLS_READ: Self = need(Role::Read, "pull_requests", Level::Read);
    /// Reviewing and commenting, which a reader may.
    pub(crate) const PULLS_WRITE: Self = need(Role::Read, "pull_requests", Level::Write);
    /// Opening, closing and naming reviewers.
    pub(crate) const PULLS_CHANGE: Self = need(Role::Triage, "pull_requests", Level::Write);
    pub(crate) const PULLS_OPEN: Self = need(Role::Write, "pull_requests", Level::Write);
    pub(crate) const ISSUES_READ: Self = need(Role::Read, "issues", Level::Read);
    pub(crate) const ISSUES_WRITE: Self = need(Role::Read, "issues", Level::Write);
    pub(crate) const LABELS: Self = need(Role::Triage, "issues", Level::Write);
    pub(crate) const STATUSES_READ: Self = need(Role::Read, "statuses", Level::Read);
    pub(crate) const STATUSES_WRITE: Self = need(Role::Write, "statuses", Level::Write);
    pub(crate) const HOOKS_READ: Self = need(Role::Admin, "repository_hooks", Level::Read);
    pub(crate) const HOOKS_WRITE: Self = need(Role::Admin, "repository_hooks", Level::Write);
    pub(crate) const HOOKS_DELETE: Self = need(Role::Admin, "repository_hooks", Level::Delete);
    pub(crate) const ADMINISTRATION: Self = need(Role::Admin, "administration", Level::Write);
}

/// What an App's token reaches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grant {
    pub(crate) installation: u64,
    /// Whose repositories it was installed for.
    pub(crate) owner: String,
    /// `None` is every repository of the owner.
    pub(crate) repositories: Option<Vec<u64>>,
    pub(crate) permissions: BTreeMap<String, String>,
}

/// Who does something, with what they may.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    pub(crate) account: Account,
    pub(crate) may: May,
}

#[derive(Clone, Debug)]
pub(crate) enum May {
    Everything,
    ByRole,
    Granted(Arc<Grant>),
}

/// What came of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowed {
    Yes,
    /// It is there, but not for this.
    No,
    /// They must not even learn that it is there.
    Hidden,
}

impl Actor {
    pub(crate) fn of(member: &Member) -> Self {
        let may = match member.reach {
            Reach::Everywhere => May::Everything,
            Reach::ByRole => May::ByRole,
        };
        Self { account: member.account(), may }
    }

    pub(crate) async fn may(&self, entry: &Entry, need: Need) -> Allowed {
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
            May::Granted(grant) => {
                if !grant.owner.eq_ignore_ascii_case(&entry.owner())
                    || grant.repositories.as_ref().is_some_and(|ids| !ids.contains(&entry.id))
                {
                    return Allowed::Hidden;
                }
                if grant.allows(need.permission, need.level) { Allowed::Yes } else { Allowed::No }
            }
        }
    }
}

impl Grant {
    pub(crate) fn allows(&self, permission: &str, level: Level) -> bool {
        // Whatever an App was granted, it may read what a repository is.
        if permission == "metadata" {
            return level == Level::Read;
        }
        match self.permissions.get(permission).map(String::as_str) {
            Some("write" | "admin") => true,
            Some("read") => level == Level::Read,
            _ => false,
        }
    }
}

impl RepositoryRecord {
    pub(crate) fn role_of(&self, id: u64) -> Role {
        self.roles.get(&id).copied().unwrap_or(Role::None)
    }
}

/// The role of an account, as the collaborators' list has it.
pub(crate) async fn role_of(entry: &Entry, member: &Member) -> Role {
    match member.reach {
        Reach::Everywhere => Role::Admin,
        Reach::ByRole => entry.record.lock().await.role_of(member.user.id),
    }
}
