//! What the forge's host may do to it without HTTP: people and their roles, commits of others, time.

use std::{sync::Arc, time::Duration};

use crate::{
    AccountKind, DemoForge, Error, Role, User,
    access::Actor,
    answers,
    names::FullName,
    pulls, pushes,
    repositories::{self, Entry},
    users::{Member, Reach},
};

impl DemoForge {
    /// Somebody who may do in each repository what their role there says; without one it is not there for them.
    ///
    /// Writes: the forge's record. Somebody with the same id is replaced.
    pub async fn add_user(&self, user: User, kind: AccountKind) -> Result<(), Error> {
        self.shared.put_member(Member { user, kind, reach: Reach::ByRole }).await
    }

    /// Says what somebody is in a repository.
    ///
    /// Writes: the repository's record.
    pub async fn set_role(&self, full_name: &str, login: &str, role: Role) -> Result<(), Error> {
        let entry = self.entry(full_name).await?;
        let id = self.member(login)?.user.id;
        let mut record = entry.record.lock().await;
        let mut changed = record.clone();
        changed.roles.insert(id, role);
        entry.replace(&mut record, changed).await
    }

    /// Puts a commit with these files on a branch, as somebody who pushes it, and gives its id.
    ///
    /// A branch that is not there yet starts at the default branch. Pull requests follow, as after any push.
    pub async fn commit(
        &self,
        full_name: &str,
        branch: &str,
        login: &str,
        files: &[(&str, &str, bool)],
    ) -> Result<String, Error> {
        let entry = self.entry(full_name).await?;
        let actor = Actor::of(&self.member(login)?);
        let git_dir = entry.git_dir();
        repositories::commit(&self.shared.git, &git_dir, (branch, &entry.default_branch), login, files).await?;
        pushes::take_up(&self.shared, &entry, &actor).await?;
        let branches = self.shared.git.branches(&git_dir).await?;
        branches.get(branch).cloned().ok_or_else(|| Error::RepositoryMissing { full_name: full_name.to_owned() })
    }

    /// Renames or transfers a repository: from then on the old name leads to it.
    pub async fn rename_repository(&self, full_name: &str, new: &str, login: &str) -> Result<(), Error> {
        let entry = self.entry(full_name).await?;
        let actor = Actor::of(&self.member(login)?);
        self.shared.rename(&entry, &actor, new).await
    }

    /// Lets a pull request be told as one of a fork with this id; its branch stays where it is.
    pub async fn show_as_fork(&self, full_name: &str, number: u64, fork: u64) -> Result<(), Error> {
        let entry = self.entry(full_name).await?;
        let shown = pulls::touch(&self.shared, &entry, number, |pull| {
            pull.fork = Some(fork);
            Ok::<_, Error>(())
        });
        match shown.await? {
            pulls::Touched::Done(..) => Ok(()),
            pulls::Touched::Missing => {
                Err(Error::NotDone { what: "show as a fork's", reason: "there is no such pull request".to_owned() })
            }
        }
    }

    /// Takes a repository away, as its owner.
    pub async fn delete_repository(&self, full_name: &str) -> Result<(), Error> {
        let entry = self.entry(full_name).await?;
        let owner = answers::owner(&self.shared, &entry.owner());
        self.shared.delete(&entry, &owner).await
    }

    /// Puts the forge's clock forward: deliveries are forgotten and tokens expire by it.
    pub fn advance(&self, by: Duration) {
        self.shared.clock.put_forward(by);
    }

    /// Until every hook that was to be called has answered, or has not in time.
    pub async fn deliveries_settled(&self) {
        self.shared.deliveries.settled().await;
    }

    /// The repository of this name.
    pub async fn entry(&self, full_name: &str) -> Result<Arc<Entry>, Error> {
        let FullName { owner, name } = FullName::parse(full_name)?;
        let entry = self.shared.repositories.find(&owner, &name).await;
        entry.ok_or_else(|| Error::RepositoryMissing { full_name: full_name.to_owned() })
    }

    pub(crate) fn member(&self, login: &str) -> Result<Member, Error> {
        self.shared.users.by_login(login).ok_or_else(|| Error::UserMissing { login: login.to_owned() })
    }

    /// Gives the next pull request of a repository this number, so that a demo does not begin at 1.
    ///
    /// Writes: the repository's record. A number that was given out already is never given again:
    /// a lower one changes nothing.
    pub async fn number_pull_requests_from(&self, full_name: &str, next: u64) -> Result<(), Error> {
        let entry = self.entry(full_name).await?;
        let mut record = entry.record.lock().await;
        let mut changed = record.clone();
        changed.next_number = changed.next_number.max(next);
        entry.replace(&mut record, changed).await
    }
}
