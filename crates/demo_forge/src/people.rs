//! Actions of users on a pull request, for a host that simulates them.

use crate::{
    DemoForge, Error,
    access::Actor,
    merging::{self, Merging, Method, Wish},
    pulls,
    record::{PullState, Side, StatusRecord},
    reviews::{self, At, NewComment, NewReview, Verdict},
};

#[derive(Clone, Copy, Debug)]
pub struct Remark<'a> {
    pub path: &'a str,
    pub line: u64,
    pub words: &'a str,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    pub head: String,
    pub open: bool,
    pub merged: bool,
    pub requested: Vec<String>,
    pub comments: Vec<(String, String)>,
    pub notes: Vec<(String, String)>,
    pub statuses: Vec<(String, String, String)>,
}

impl DemoForge {
    /// Returns the review's id. Errors: `NotDone` with the forge's reason.
    pub async fn request_changes(
        &self,
        full_name: &str,
        number: u64,
        login: &str,
        words: &str,
        remarks: &[Remark<'_>],
    ) -> Result<u64, Error> {
        let entry = self.entry(full_name).await?;
        let actor = Actor::of(&self.member(login)?);
        let comments = remarks.iter().map(|remark| NewComment {
            path: remark.path.to_owned(),
            body: remark.words.to_owned(),
            at: At::Line(Side::Right, remark.line),
            start_line: None,
        });
        let new = NewReview {
            verdict: Some(Verdict::RequestChanges),
            body: words.to_owned(),
            commit: None,
            comments: comments.collect(),
        };
        match reviews::give(&self.shared, &entry, &actor, number, new).await {
            Ok((review, _)) => Ok(review.id),
            Err(objection) => Err(not_done("request changes", objection)),
        }
    }

    /// Errors: `NotDone` with the forge's reason.
    pub async fn reword_review(
        &self,
        full_name: &str,
        number: u64,
        review: u64,
        login: &str,
        words: &str,
    ) -> Result<(), Error> {
        let entry = self.entry(full_name).await?;
        let actor = Actor::of(&self.member(login)?);
        let edited = reviews::edit(&self.shared, &entry, &actor, (number, review), words.to_owned()).await;
        edited.map(drop).map_err(|objection| not_done("edit a review", objection))
    }

    /// Errors: `NotDone` with the forge's reason.
    pub async fn merge(&self, full_name: &str, number: u64, login: &str) -> Result<String, Error> {
        let entry = self.entry(full_name).await?;
        let actor = Actor::of(&self.member(login)?);
        let wish = Wish { method: Method::Merge, title: None, message: None, sha: None };
        let refused = |reason: &str| Error::NotDone { what: "merge", reason: reason.to_owned() };
        match merging::merge(&self.shared, &entry, &actor, number, wish).await? {
            Merging::Done { sha } => Ok(sha),
            Merging::Missing => Err(refused("there is no such pull request")),
            Merging::NotMergeable(reason) | Merging::Moved(reason) => Err(refused(reason)),
        }
    }

    pub async fn look(&self, full_name: &str, number: u64) -> Result<Option<Look>, Error> {
        let entry = self.entry(full_name).await?;
        let Some(pull) = pulls::find(&self.shared, &entry, number).await? else { return Ok(None) };
        let said = |status: &StatusRecord| {
            (status.context.clone(), status.state.clone(), status.description.clone().unwrap_or_default())
        };
        let statuses = entry.record.lock().await.newest_statuses(&pull.head_sha).into_iter().map(said).collect();
        let record = pull.record;
        let login = |id: &u64| self.shared.users.by_id(*id).map(|member| member.user.login);
        Ok(Some(Look {
            head: pull.head_sha,
            open: record.state == PullState::Open,
            merged: record.merged.is_some(),
            requested: record.requested.iter().filter_map(login).collect(),
            comments: record.comments.into_iter().map(|comment| (comment.author.login, comment.body)).collect(),
            notes: record.notes.into_iter().map(|note| (note.author.login, note.body)).collect(),
            statuses,
        }))
    }
}

fn not_done(what: &'static str, objection: reviews::Objection) -> Error {
    let reason = match objection {
        reviews::Objection::Broken(error) => return error,
        reviews::Objection::Unprocessable(reason) => reason,
        reviews::Objection::Forbidden(reason) => reason.to_owned(),
        reviews::Objection::NotFound => "there is no such pull request".to_owned(),
    };
    Error::NotDone { what, reason }
}
