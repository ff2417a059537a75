//! The host's API without HTTP: users and roles, and actions that a host simulates for a user.

use std::{sync::Arc, time::Duration};

use crate::{
    AccountKind, Error, LocalForge, Role, User,
    access::Actor,
    branches::read_branches,
    merge::{self, MergeOutcome},
    names::FullName,
    pulls, pushes,
    record::StatusRecord,
    repositories::{self, RepositoryEntry},
    reviews::{self, NewComment, NewReview, Rejection, Verdict},
    users::{Member, MemberScope},
};

#[derive(Clone, Copy, Debug)]
pub struct LineComment<'a> {
    pub path: &'a str,
    pub line: u64,
    pub body: &'a str,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullSnapshot {
    pub head: String,
    pub open: bool,
    pub merged: bool,
    pub requested_reviewers: Vec<String>,
    pub comments: Vec<(String, String)>,
    pub notes: Vec<(String, String)>,
    pub statuses: Vec<(String, String, String)>,
}

impl LocalForge {
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

    fn member(&self, login: &str) -> Result<Member, Error> {
        self.shared.users.by_login(login).ok_or_else(|| Error::UserMissing { login: login.to_owned() })
    }

    /// Returns the review's id. Errors: `Refused` with the forge's reason.
    pub async fn request_changes(
        &self,
        full_name: &str,
        number: u64,
        login: &str,
        text: &str,
        remarks: &[LineComment<'_>],
    ) -> Result<u64, Error> {
        let entry = self.entry(full_name).await?;
        let actor = Actor::from_member(&self.member(login)?);
        let comments = remarks
            .iter()
            .map(|remark| NewComment::on_line(remark.path.to_owned(), remark.line, remark.body.to_owned()));
        let new = NewReview {
            verdict: Verdict::RequestChanges,
            body: text.to_owned(),
            comments: comments.collect(),
            head: None,
            key: None,
        };
        let reason = match reviews::create_review(&self.shared, &entry, &actor, number, new).await {
            Ok((review, _)) => return Ok(review.id),
            Err(Rejection::Internal(error)) => return Err(error),
            Err(Rejection::Unprocessable(reason)) => reason,
            Err(Rejection::Forbidden(reason)) => reason.to_owned(),
            Err(Rejection::NotFound) => "there is no such pull request".to_owned(),
        };
        Err(Error::Refused { what: "request changes", reason })
    }

    /// Errors: `Refused` with the forge's reason.
    pub async fn merge(&self, full_name: &str, number: u64, login: &str) -> Result<String, Error> {
        let entry = self.entry(full_name).await?;
        let actor = Actor::from_member(&self.member(login)?);
        let refused = |reason: &str| Error::Refused { what: "merge", reason: reason.to_owned() };
        match merge::merge(&self.shared, &entry, &actor, number, None).await? {
            MergeOutcome::Merged { sha } => Ok(sha),
            MergeOutcome::Missing => Err(refused("there is no such pull request")),
            MergeOutcome::NotMergeable(_) => Err(refused("the pull request is not mergeable")),
            MergeOutcome::Moved => Err(refused(merge::MOVED)),
        }
    }

    pub async fn pull_snapshot(&self, full_name: &str, number: u64) -> Result<Option<PullSnapshot>, Error> {
        let entry = self.entry(full_name).await?;
        let Some(pull) = pulls::find(&entry, number).await? else { return Ok(None) };
        let summary = |status: &StatusRecord| {
            (status.context.clone(), status.state.clone(), status.description.clone().unwrap_or_default())
        };
        let statuses = entry.record.lock().await.newest_statuses(&pull.head_sha).into_iter().map(summary).collect();
        let record = pull.record;
        let login = |id: &u64| self.shared.users.by_id(*id).map(|member| member.user.login);
        Ok(Some(PullSnapshot {
            head: pull.head_sha,
            open: record.is_open(),
            merged: record.merged.is_some(),
            requested_reviewers: record.requested.iter().filter_map(login).collect(),
            comments: record.comments.into_iter().map(|comment| (comment.author.login, comment.body)).collect(),
            notes: record.notes.into_iter().map(|note| (note.author.login, note.body)).collect(),
            statuses,
        }))
    }
}
