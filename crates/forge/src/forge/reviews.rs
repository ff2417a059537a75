//! Pull requests, their reviews, comments and commit statuses on a forge.

use crate::{
    Access, Actor, Comment, CommitStatus, Error, Listed, Page, PullRequest, Reply, Review, ReviewComment, Thread,
};

use super::Forge;

impl Forge {
    pub async fn pull_request(&self, full_name: &str, number: u64) -> Result<PullRequest, Error> {
        match self {
            Self::GitHub(github) => github.pull_request(full_name, number).await,
            Self::Bitbucket(bitbucket) => bitbucket.pull_request(full_name, number).await,
        }
    }

    /// The description of a pull request, empty where it has none. Errors: `NotFound` when there is no such pull
    /// request.
    pub async fn pull_request_text(&self, full_name: &str, number: u64) -> Result<String, Error> {
        match self {
            Self::GitHub(github) => github.pull_request_text(full_name, number).await,
            Self::Bitbucket(bitbucket) => bitbucket.pull_request_text(full_name, number).await,
        }
    }

    /// Not idempotent, and not conditional: no forge compares with the text that was read, so a concurrent edit is lost
    /// (GitHub keeps it in the edit history).
    /// Bitbucket also overwrites title, reviewers, draft and close-branch settings with the values read just before.
    /// Errors: `Forbidden` when the token may not, `Refused` when the text is too long.
    pub async fn edit_pull_request_text(&self, full_name: &str, number: u64, text: &str) -> Result<(), Error> {
        match self {
            Self::GitHub(github) => github.edit_pull_request_text(full_name, number, text).await,
            Self::Bitbucket(bitbucket) => bitbucket.edit_pull_request_text(full_name, number, text).await,
        }
    }

    /// One page of open, closed and merged pull requests, from 1, newest update first. A pull request that changes in between may be on two pages or on none.
    pub async fn pull_requests(&self, full_name: &str, page: u32) -> Result<Page<PullRequest, u32>, Error> {
        match self {
            Self::GitHub(github) => github.pull_requests(full_name, page).await,
            Self::Bitbucket(bitbucket) => bitbucket.pull_requests(full_name, page).await,
        }
    }

    /// Requests reviews, also from accounts that gave one. Does nothing on Bitbucket.
    /// Idempotent: by account. Errors: `Refused` for the author and for accounts without access to the repository.
    pub async fn request_reviewers(&self, full_name: &str, number: u64, logins: &[&str]) -> Result<(), Error> {
        match self {
            Self::GitHub(github) => github.request_reviewers(full_name, number, logins).await,
            // Bitbucket notifies its reviewers of each push. Adding one would replace the whole list by UUID and lose
            // concurrent edits, and display names are not unique.
            Self::Bitbucket(_) => Ok(()),
        }
    }

    /// Reviews now, oldest first, without unknown verdicts.
    /// On Bitbucket they come from the activity: a long one is read from its end, deleted accounts are left out, a
    /// withdrawn or replaced verdict is `Dismissed`, and bodies are empty; use [`review`](Self::review) for the body.
    pub async fn reviews(&self, full_name: &str, number: u64) -> Result<Listed<Review>, Error> {
        match self {
            Self::GitHub(github) => github.reviews(full_name, number).await,
            Self::Bitbucket(bitbucket) => bitbucket.reviews(full_name, number).await,
        }
    }

    /// On Bitbucket the body of a request for changes is the author's unresolved comments since their previous request,
    /// up to this one if another follows, else up to now; ours are left out.
    /// Errors: `NotFound` when it does not exist; on Bitbucket only if the activity is too long to be read completely.
    pub async fn review(&self, full_name: &str, number: u64, review: u64) -> Result<Review, Error> {
        match self {
            Self::GitHub(github) => github.review(full_name, number, review).await,
            Self::Bitbucket(bitbucket) => bitbucket.review(full_name, number, review).await,
        }
    }

    /// Comments on lines that belong to a review. On Bitbucket: the same author and period as for the review's body.
    pub async fn review_comments(
        &self,
        full_name: &str,
        number: u64,
        review: u64,
    ) -> Result<Listed<ReviewComment>, Error> {
        match self {
            Self::GitHub(github) => github.review_comments(full_name, number, review).await,
            Self::Bitbucket(bitbucket) => bitbucket.review_comments(full_name, number, review).await,
        }
    }

    /// All comments on lines, oldest first; Bitbucket does not say which review each belongs to.
    pub async fn comments(&self, full_name: &str, number: u64) -> Result<Listed<ReviewComment>, Error> {
        match self {
            Self::GitHub(github) => github.comments(full_name, number).await,
            Self::Bitbucket(bitbucket) => bitbucket.comments(full_name, number).await,
        }
    }

    pub async fn threads(&self, full_name: &str, number: u64) -> Result<Listed<Thread>, Error> {
        match self {
            Self::GitHub(github) => github.threads(full_name, number).await,
            Self::Bitbucket(bitbucket) => bitbucket.threads(full_name, number).await,
        }
    }

    /// Not idempotent: after a transient error the reply may exist.
    /// Errors: `NotFound` when the thread is gone; `Refused` when the forge refuses it.
    pub async fn reply(&self, thread: &str, body: &str) -> Result<Reply, Error> {
        match self {
            Self::GitHub(github) => github.reply(thread, body).await,
            Self::Bitbucket(bitbucket) => bitbucket.reply(thread, body).await,
        }
    }

    /// Comments below an issue or pull request, oldest first, without those on lines.
    pub async fn issue_comments(&self, full_name: &str, number: u64) -> Result<Listed<Comment>, Error> {
        match self {
            Self::GitHub(github) => github.issue_comments(full_name, number).await,
            Self::Bitbucket(bitbucket) => bitbucket.issue_comments(full_name, number).await,
        }
    }

    /// Not idempotent: after a transient error the comment may exist.
    pub async fn create_comment(&self, full_name: &str, number: u64, body: &str) -> Result<Comment, Error> {
        match self {
            Self::GitHub(github) => github.create_comment(full_name, number, body).await,
            Self::Bitbucket(bitbucket) => bitbucket.create_comment(full_name, number, body).await,
        }
    }

    /// Idempotent: by the comment. Errors: `NotFound` when it was deleted.
    pub async fn edit_comment(&self, full_name: &str, number: u64, comment: u64, body: &str) -> Result<Comment, Error> {
        match self {
            Self::GitHub(github) => github.edit_comment(full_name, comment, body).await,
            Self::Bitbucket(bitbucket) => bitbucket.edit_comment(full_name, number, comment, body).await,
        }
    }

    /// Idempotent: by commit and context. A description that is too long is cut.
    pub async fn set_status(&self, full_name: &str, sha: &str, status: &CommitStatus) -> Result<(), Error> {
        match self {
            Self::GitHub(github) => github.set_status(full_name, sha, status).await,
            Self::Bitbucket(bitbucket) => bitbucket.set_status(full_name, sha, status).await,
        }
    }

    /// An account's access to the repository. On Bitbucket it must take part in the pull request.
    /// Each call takes at most 3 s and is never retried. GitHub is called by login; Bitbucket by UUID, which the pull
    /// request supplies. Where Bitbucket hides permissions because our token is no administrator's, a reviewer counts
    /// as `Write`, since only writers can add reviewers, and others as `Read`.
    /// Errors: `NotFound` when the repository or the account is missing; on GitHub also when the token may not read
    /// permissions; on Bitbucket also when the account takes no part.
    pub async fn permission(&self, full_name: &str, number: u64, account: &Actor) -> Result<Access, Error> {
        match self {
            Self::GitHub(github) => github.permission(full_name, &account.login).await,
            Self::Bitbucket(bitbucket) => bitbucket.permission(full_name, number, account).await,
        }
    }
}
