//! Calls for pull requests, reviews, comments and commit statuses.

use pullyard_domain::review::pull_request::MergeMethod;

use crate::{
    Access, Actor, Comment, CommitStatus, Error, Listing, NewReview, NewState, OpenItem, Page, PullRequest,
    PullRequestDetails, Review, ReviewComment, Thread,
};

use super::Forge;

impl Forge {
    pub async fn pull_request(&self, full_name: &str, number: u64) -> Result<PullRequest, Error> {
        dispatch!(self, pull_request(full_name, number))
    }

    /// Returns the description, or an empty text. Errors: `NotFound` for a missing pull request.
    pub async fn pull_request_text(&self, full_name: &str, number: u64) -> Result<String, Error> {
        dispatch!(self, pull_request_text(full_name, number))
    }

    /// Not idempotent and not conditional: a concurrent edit is lost, though GitHub retains it in the edit history.
    /// Bitbucket also overwrites title, reviewers, draft and close-branch settings with values read just before.
    /// Errors: `Forbidden` without permission, `Refused` for a text that is too long.
    pub async fn edit_pull_request_text(&self, full_name: &str, number: u64, text: &str) -> Result<(), Error> {
        dispatch!(self, edit_pull_request_text(full_name, number, text))
    }

    pub async fn pull_request_details(&self, full_name: &str, number: u64) -> Result<PullRequestDetails, Error> {
        dispatch!(self, pull_request_details(full_name, number))
    }

    /// Returns git's patch from the merge base to the head. Errors: `Refused` for a change that is too large.
    pub async fn diff(&self, full_name: &str, number: u64) -> Result<String, Error> {
        dispatch!(self, diff(full_name, number))
    }

    /// Idempotent at the local forge: by the key. Elsewhere a review, or on Bitbucket a part of it, may exist after any
    /// error: read `review_posts` before a repeat.
    /// Errors: `Refused` with the forge's reason, also for an older head. GitHub refuses the whole review for one comment
    /// on a line that the diff does not show, and does not name it: repeat without comments. Bitbucket posts the comments
    /// before the refused one.
    pub async fn create_review(&self, full_name: &str, number: u64, new: &NewReview) -> Result<(), Error> {
        dispatch!(self, create_review(full_name, number, new))
    }

    /// Merges if `head` is still the newest commit; Bitbucket accepts one that is pushed during the call. Without
    /// `method`, the forge's default.
    /// Not idempotent: a repeat is refused; read the state before. Errors: `Refused` with the forge's reason.
    pub async fn merge(
        &self,
        full_name: &str,
        number: u64,
        head: &str,
        method: Option<MergeMethod>,
    ) -> Result<(), Error> {
        dispatch!(self, merge(full_name, number, head, method))
    }

    /// Idempotent. Errors: `Refused` with the forge's reason.
    pub async fn set_state(&self, full_name: &str, number: u64, state: NewState) -> Result<(), Error> {
        dispatch!(self, set_state(full_name, number, state))
    }

    /// Returns a page, starting at 1, of pull requests in any state, most recently updated first.
    /// A pull request updated between two calls may be on both pages or on none.
    pub async fn pull_requests(&self, full_name: &str, page: u32) -> Result<Page<PullRequest, u32>, Error> {
        dispatch!(self, pull_requests(full_name, page))
    }

    /// Lists open pull requests, most recently updated first, at most ten pages.
    pub async fn open_pulls(&self, full_name: &str) -> Result<Listing<OpenItem>, Error> {
        dispatch!(self, open_pulls(full_name))
    }

    /// Like `open_pulls`, for issues. Errors: `Unsupported` on Bitbucket.
    pub async fn open_issues(&self, full_name: &str) -> Result<Listing<OpenItem>, Error> {
        dispatch!(self, open_issues(full_name))
    }

    /// Requests reviews, also from accounts that already reviewed. Does nothing on Bitbucket.
    /// Idempotent: by account. Errors: `Refused` for the author and for accounts without access.
    pub async fn request_reviewers(&self, full_name: &str, number: u64, logins: &[&str]) -> Result<(), Error> {
        dispatch!(self, request_reviewers(full_name, number, logins))
    }

    /// Lists reviews, oldest first, without unknown verdicts.
    /// On Bitbucket a long activity is cut at its oldest entries, and deleted accounts are omitted. Withdrawn or
    /// replaced verdicts are `Dismissed`. Bodies are empty; call `review` for the body.
    pub async fn reviews(&self, full_name: &str, number: u64) -> Result<Listing<Review>, Error> {
        dispatch!(self, reviews(full_name, number))
    }

    /// On Bitbucket the body contains the author's unresolved comments between the previous and this request, without
    /// ours. For the latest request, it contains all comments up to now.
    /// Errors: `NotFound`; on Bitbucket only if the activity is too long to be read completely.
    pub async fn review(&self, full_name: &str, number: u64, review: u64) -> Result<Review, Error> {
        dispatch!(self, review(full_name, number, review))
    }

    /// Comments on lines in a review. Bitbucket: by the same author and period as the review's body.
    pub async fn review_comments(
        &self,
        full_name: &str,
        number: u64,
        review: u64,
    ) -> Result<Listing<ReviewComment>, Error> {
        dispatch!(self, review_comments(full_name, number, review))
    }

    /// All comments on lines, oldest first; Bitbucket does not return their reviews.
    pub async fn comments(&self, full_name: &str, number: u64) -> Result<Listing<ReviewComment>, Error> {
        dispatch!(self, comments(full_name, number))
    }

    pub async fn threads(&self, full_name: &str, number: u64) -> Result<Listing<Thread>, Error> {
        dispatch!(self, threads(full_name, number))
    }

    /// Not idempotent: after a transient error it may exist. Errors: `NotFound` for a missing thread; `Refused`.
    pub async fn reply(&self, thread: &str, body: &str) -> Result<(), Error> {
        dispatch!(self, reply(thread, body))
    }

    /// Comments on an issue or a whole pull request, oldest first, without those on lines.
    pub async fn issue_comments(&self, full_name: &str, number: u64) -> Result<Listing<Comment>, Error> {
        dispatch!(self, issue_comments(full_name, number))
    }

    /// Not idempotent: after a transient error the comment may exist.
    pub async fn create_comment(&self, full_name: &str, number: u64, body: &str) -> Result<Comment, Error> {
        dispatch!(self, create_comment(full_name, number, body))
    }

    /// Idempotent at the local forge: by the key.
    pub async fn create_comment_once(&self, full_name: &str, number: u64, body: &str, key: &str) -> Result<(), Error> {
        dispatch!(self, create_comment_once(full_name, number, body, key))
    }

    /// Idempotent: by comment. Errors: `NotFound` for a deleted comment.
    pub async fn edit_comment(&self, full_name: &str, number: u64, comment: u64, body: &str) -> Result<Comment, Error> {
        dispatch!(self, edit_comment(full_name, number, comment, body))
    }

    /// Idempotent: by commit and context. Truncates a long description.
    pub async fn set_status(&self, full_name: &str, sha: &str, status: &CommitStatus) -> Result<(), Error> {
        dispatch!(self, set_status(full_name, sha, status))
    }

    /// Reads an account's access to the repository. A missing account has none. On Bitbucket neither has an account
    /// that does not participate in the pull request.
    /// Each call takes at most 3 s and is never retried. GitHub identifies the account by login, Bitbucket by UUID.
    /// Bitbucket shows permissions to administrators only. Else reviewers count as `Write`: only writers add them.
    /// Errors: `NotFound` for a missing repository, on GitHub also if the token may not read permissions.
    pub async fn permission(&self, full_name: &str, number: u64, account: &Actor) -> Result<Access, Error> {
        dispatch!(self, permission(full_name, number, account))
    }
}
