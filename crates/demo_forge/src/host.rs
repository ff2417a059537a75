//! The host's API without HTTP: users, roles, commits.

use crate::branches::read_branches;
use std::{sync::Arc, time::Duration};

use crate::{
    AccountKind, DemoForge, Error, Role, User,
    access::Actor,
    names::FullName,
    pushes,
    repositories::{self, RepositoryEntry},
    users::{Member, MemberScope},
};

impl DemoForge {
    /// Adds a user without a role, or replaces the user with the same id.
    pub async fn add_user(&self, user: User, kind: AccountKind) -> Result<(), Error> {
        self.shared.put_member(Member { user, kind, reach: MemberScope::ByRole }).await
    }

    pub async fn set_role(&self, full_name: &str, login: &str, role: Role) -> Result<(), Error> {
        let entry = self.entry(full_name).await?;
        let id = self.member(login)?.user.id;
        let mut record = entry.record.lock().await;
        let mut changed = record.clone();
        changed.roles.insert(id, role);
        entry.save(&mut record, changed).await
    }

    /// Commits files to a branch like a push by this user. A new branch starts at the default branch.
    pub async fn commit(
        &self,
        full_name: &str,
        branch: &str,
        login: &str,
        files: &[(&str, &str, bool)],
    ) -> Result<String, Error> {
        let entry = self.entry(full_name).await?;
        let actor = Actor::from_member(&self.member(login)?);
        let git_dir = &entry.git_dir;
        repositories::commit(&self.shared.git, git_dir, (branch, &entry.default_branch), login, files).await?;
        pushes::apply_push(&self.shared, &entry, &actor).await?;
        let branches = read_branches(git_dir).await?;
        branches.get(branch).cloned().ok_or_else(|| Error::RepositoryMissing { full_name: full_name.to_owned() })
    }

    pub fn advance(&self, by: Duration) {
        self.shared.clock.advance(by);
    }

    pub async fn wait_for_deliveries(&self) {
        self.shared.deliveries.wait_idle().await;
    }

    pub async fn entry(&self, full_name: &str) -> Result<Arc<RepositoryEntry>, Error> {
        let FullName { owner, name } = FullName::parse(full_name)?;
        let entry = self.shared.repositories.find(&owner, &name).await;
        entry.ok_or_else(|| Error::RepositoryMissing { full_name: full_name.to_owned() })
    }

    pub(crate) fn member(&self, login: &str) -> Result<Member, Error> {
        self.shared.users.by_login(login).ok_or_else(|| Error::UserMissing { login: login.to_owned() })
    }
}
