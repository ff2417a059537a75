//! Actions of users on a pull request, for a host that simulates them.

use crate::{
    DemoForge, Error,
    access::Actor,
    merge::{self, MergeOutcome},
    pulls,
    record::{PullState, StatusRecord},
    reviews::{self, NewComment, NewReview, Verdict},
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

impl DemoForge {
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
        let comments = remarks.iter().map(|remark| NewComment {
            path: remark.path.to_owned(),
            line: remark.line,
            body: remark.body.to_owned(),
        });
        let new = NewReview { verdict: Verdict::RequestChanges, body: text.to_owned(), comments: comments.collect() };
        match reviews::create_review(&self.shared, &entry, &actor, number, new).await {
            Ok((review, _)) => Ok(review.id),
            Err(objection) => Err(to_refused_error("request changes", objection)),
        }
    }

    /// Errors: `Refused` with the forge's reason.
    pub async fn merge(&self, full_name: &str, number: u64, login: &str) -> Result<String, Error> {
        let entry = self.entry(full_name).await?;
        let actor = Actor::from_member(&self.member(login)?);
        let refused = |reason: &str| Error::Refused { what: "merge", reason: reason.to_owned() };
        match merge::merge(&self.shared, &entry, &actor, number, None).await? {
            MergeOutcome::Merged { sha } => Ok(sha),
            MergeOutcome::Missing => Err(refused("there is no such pull request")),
            MergeOutcome::NotMergeable(obstacle) => Err(refused(obstacle.message())),
            MergeOutcome::Moved(reason) => Err(refused(reason)),
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
            open: record.state == PullState::Open,
            merged: record.merged.is_some(),
            requested_reviewers: record.requested.iter().filter_map(login).collect(),
            comments: record.comments.into_iter().map(|comment| (comment.author.login, comment.body)).collect(),
            notes: record.notes.into_iter().map(|note| (note.author.login, note.body)).collect(),
            statuses,
        }))
    }
}

fn to_refused_error(action: &'static str, objection: reviews::Rejection) -> Error {
    let reason = match objection {
        reviews::Rejection::Internal(error) => return error,
        reviews::Rejection::Unprocessable(reason) => reason,
        reviews::Rejection::Forbidden(reason) => reason.to_owned(),
        reviews::Rejection::NotFound => "there is no such pull request".to_owned(),
    };
    Error::Refused { what: action, reason }
}
