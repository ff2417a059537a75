//! What people do on a pull request, for a host that plays them, and what they then see there.

use crate::{
    DemoForge, Error,
    access::Actor,
    merging::{self, Merging, Method, Wish},
    pulls,
    record::{PullState, Side, StatusRecord},
    reviews::{self, At, NewComment, NewReview, Verdict},
};

/// A remark on a line, as the newest commit has it.
#[derive(Clone, Copy, Debug)]
pub struct Remark<'a> {
    pub path: &'a str,
    pub line: u64,
    pub words: &'a str,
}

/// What somebody sees who looks at a pull request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The commit at its head.
    pub head: String,
    pub open: bool,
    pub merged: bool,
    pub requested: Vec<String>,
    /// Every comment on a line, oldest first: its author and its words.
    pub comments: Vec<(String, String)>,
    /// Every comment on the whole.
    pub notes: Vec<(String, String)>,
    /// The newest status of each name beside the head: name, state, description.
    pub statuses: Vec<(String, String, String)>,
}

impl DemoForge {
    /// Somebody requests changes, with remarks on lines. Gives the review's id.
    ///
    /// Errors: `NotDone` with the forge's own words when it won't.
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

    /// Somebody changes the summary of their own review.
    ///
    /// Errors: `NotDone` with the forge's own words when it won't.
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

    /// Somebody merges a pull request.
    ///
    /// Errors: `NotDone` with the forge's own words when it won't.
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

    /// Looks at a pull request. None: there is none of that number.
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
