//! The host's API without HTTP: users, roles, commits, time.

use std::{sync::Arc, time::Duration};

use crate::{
    AccountKind, DemoForge, Error, Role, User,
    access::Actor,
    names::FullName,
    pulls, pushes, render,
    repositories::{self, RepositoryEntry},
    transfers,
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
        let git_dir = entry.git_dir();
        repositories::commit(&self.shared.git, &git_dir, (branch, &entry.default_branch), login, files).await?;
        pushes::apply_push(&self.shared, &entry, &actor).await?;
        let branches = self.shared.git.branches(&git_dir).await?;
        branches.get(branch).cloned().ok_or_else(|| Error::RepositoryMissing { full_name: full_name.to_owned() })
    }

    pub async fn rename_repository(&self, full_name: &str, new: &str, login: &str) -> Result<(), Error> {
        let entry = self.entry(full_name).await?;
        let actor = Actor::from_member(&self.member(login)?);
        transfers::rename(&self.shared, &entry, &actor, new).await
    }

    pub async fn set_head_fork(&self, full_name: &str, number: u64, fork: u64) -> Result<(), Error> {
        let entry = self.entry(full_name).await?;
        let update = pulls::update_record(&self.shared, &entry, number, |pull| {
            pull.fork = Some(fork);
            Ok::<_, Error>(())
        });
        match update.await? {
            pulls::UpdateOutcome::Updated(..) => Ok(()),
            pulls::UpdateOutcome::Missing => {
                Err(Error::Refused { what: "show as a fork's", reason: "there is no such pull request".to_owned() })
            }
        }
    }

    pub async fn delete_repository(&self, full_name: &str) -> Result<(), Error> {
        let entry = self.entry(full_name).await?;
        let owner = render::owner(&self.shared, &entry.owner());
        transfers::delete(&self.shared, &entry, &owner).await
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

    /// Raises the number of the next pull request; never lowers it.
    pub async fn set_next_number(&self, full_name: &str, next: u64) -> Result<(), Error> {
        let entry = self.entry(full_name).await?;
        let mut record = entry.record.lock().await;
        let mut changed = record.clone();
        changed.next_number = changed.next_number.max(next);
        entry.save(&mut record, changed).await
    }
}
