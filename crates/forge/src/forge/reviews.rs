//! What a forge is asked about pull requests, their reviews, and who wrote them.

use crate::{
    Access, Actor, Comment, CommitStatus, Error, Listed, Page, PullRequest, Reply, Review, ReviewComment, Thread,
};

use super::Forge;

impl Forge {
    /// The pull request of this number, whatever became of it.
    ///
    /// Errors: `NotFound` when there is none.
    pub async fn pull_request(&self, full_name: &str, number: u64) -> Result<PullRequest, Error> {
        match self {
            Self::GitHub(github) => github.pull_request(full_name, number).await,
            Self::Bitbucket(bitbucket) => bitbucket.pull_request(full_name, number).await,
        }
    }

    /// The text of a pull request as it is now; empty where it has none.
    ///
    /// Errors: `NotFound` when there is no such pull request.
    pub async fn pull_request_text(&self, full_name: &str, number: u64) -> Result<String, Error> {
        match self {
            Self::GitHub(github) => github.pull_request_text(full_name, number).await,
            Self::Bitbucket(bitbucket) => bitbucket.pull_request_text(full_name, number).await,
        }
    }

    /// Replaces the text of a pull request, once: after a transient error it may be replaced or not.
    ///
    /// No forge does so only where it is still what was read: what somebody writes between the two is gone from the
    /// page, though GitHub keeps it among the text's earlier versions. On Bitbucket the same is so of title,
    /// reviewers, whether it is a draft and whether its branch is closed, which are read for it and written again.
    /// Errors: `Forbidden` when the token may not, `Refused` when it is too long.
    pub async fn edit_pull_request_text(&self, full_name: &str, number: u64, text: &str) -> Result<(), Error> {
        match self {
            Self::GitHub(github) => github.edit_pull_request_text(full_name, number, text).await,
            Self::Bitbucket(bitbucket) => bitbucket.edit_pull_request_text(full_name, number, text).await,
        }
    }

    /// One page of the open pull requests, from 1, what changed last first.
    ///
    /// One that changes meanwhile may be on two pages, or, having come to an earlier page, on none.
    pub async fn open_pull_requests(&self, full_name: &str, page: u32) -> Result<Page<PullRequest, u32>, Error> {
        match self {
            Self::GitHub(github) => github.open_pull_requests(full_name, page).await,
            Self::Bitbucket(bitbucket) => bitbucket.open_pull_requests(full_name, page).await,
        }
    }

    /// Asks these accounts for a review, again if they gave one. On Bitbucket nothing is asked.
    ///
    /// Idempotent: who was asked is asked.
    /// Errors: `Refused` for the author and for who may not see the repository.
    pub async fn request_reviewers(&self, full_name: &str, number: u64, logins: &[&str]) -> Result<(), Error> {
        match self {
            Self::GitHub(github) => github.request_reviewers(full_name, number, logins).await,
            // Nobody is asked again there: a reviewer stays on the list and is told of each push. Who is not on it could
            // be put there by UUID alone, and by writing the whole list over whatever others make of it meanwhile; a
            // name that several may have is no ground for that.
            Self::Bitbucket(_) => Ok(()),
        }
    }

    /// The reviews of a pull request, oldest first, as they are now.
    ///
    /// Those with a verdict that we don't know are left out. On Bitbucket they are what was said in the activity, of
    /// which a long one is read from its end, so that the oldest are left out, as are those of accounts that were
    /// deleted. One that was withdrawn, or that gave way to the same account's opposite, is dismissed there; and what
    /// one says is read by [`review`](Self::review) alone: here its body is empty.
    pub async fn reviews(&self, full_name: &str, number: u64) -> Result<Listed<Review>, Error> {
        match self {
            Self::GitHub(github) => github.reviews(full_name, number).await,
            Self::Bitbucket(bitbucket) => bitbucket.reviews(full_name, number).await,
        }
    }

    /// One review, as it is now.
    ///
    /// On Bitbucket the body of one that asks for changes is what its author wrote below the pull request since they
    /// asked before, up to now or, where they asked once more, up to this one. What was settled is left out, and so is
    /// what is ours.
    /// Errors: `NotFound` when it was deleted while pending, or never was; on Bitbucket also when it is in the activity
    /// no more, or further back than that is read.
    pub async fn review(&self, full_name: &str, number: u64, review: u64) -> Result<Review, Error> {
        match self {
            Self::GitHub(github) => github.review(full_name, number, review).await,
            Self::Bitbucket(bitbucket) => bitbucket.review(full_name, number, review).await,
        }
    }

    /// The comments on lines that came with a review, as they are now. On Bitbucket they are those of the same author and
    /// the same time as its body.
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

    /// Every comment on a line of a pull request, whichever review it came with, oldest first. On Bitbucket it is not
    /// told which that is.
    pub async fn comments(&self, full_name: &str, number: u64) -> Result<Listed<ReviewComment>, Error> {
        match self {
            Self::GitHub(github) => github.comments(full_name, number).await,
            Self::Bitbucket(bitbucket) => bitbucket.comments(full_name, number).await,
        }
    }

    /// The threads of a pull request with their comments' ids.
    pub async fn threads(&self, full_name: &str, number: u64) -> Result<Listed<Thread>, Error> {
        match self {
            Self::GitHub(github) => github.threads(full_name, number).await,
            Self::Bitbucket(bitbucket) => bitbucket.threads(full_name, number).await,
        }
    }

    /// Writes into a thread, once: after a transient error it may be there or not.
    ///
    /// Errors: `NotFound` when the thread is gone; `Refused` when the forge won't.
    pub async fn reply(&self, thread: &str, body: &str) -> Result<Reply, Error> {
        match self {
            Self::GitHub(github) => github.reply(thread, body).await,
            Self::Bitbucket(bitbucket) => bitbucket.reply(thread, body).await,
        }
    }

    /// The conversation of an issue or pull request, oldest first; comments on lines are not in it.
    pub async fn issue_comments(&self, full_name: &str, number: u64) -> Result<Listed<Comment>, Error> {
        match self {
            Self::GitHub(github) => github.issue_comments(full_name, number).await,
            Self::Bitbucket(bitbucket) => bitbucket.issue_comments(full_name, number).await,
        }
    }

    /// Writes below an issue or pull request, once: after a transient error it may be there or not.
    pub async fn create_comment(&self, full_name: &str, number: u64, body: &str) -> Result<Comment, Error> {
        match self {
            Self::GitHub(github) => github.create_comment(full_name, number, body).await,
            Self::Bitbucket(bitbucket) => bitbucket.create_comment(full_name, number, body).await,
        }
    }

    /// Replaces the text of a comment of ours below the issue or pull request of this number.
    ///
    /// Idempotent: by the comment.
    /// Errors: `NotFound` when it was deleted.
    pub async fn edit_comment(&self, full_name: &str, number: u64, comment: u64, body: &str) -> Result<Comment, Error> {
        match self {
            Self::GitHub(github) => github.edit_comment(full_name, comment, body).await,
            Self::Bitbucket(bitbucket) => bitbucket.edit_comment(full_name, number, comment, body).await,
        }
    }

    /// Says something about a commit. A later status of the same context replaces it.
    ///
    /// Idempotent: by commit and context. A description that is too long is cut.
    pub async fn set_status(&self, full_name: &str, sha: &str, status: &CommitStatus) -> Result<(), Error> {
        match self {
            Self::GitHub(github) => github.set_status(full_name, sha, status).await,
            Self::Bitbucket(bitbucket) => bitbucket.set_status(full_name, sha, status).await,
        }
    }

    /// What an account may do in a repository. It has to do with the pull request of this number.
    ///
    /// GitHub is asked once, by the account's name; Bitbucket first who takes part in the pull request, then about the
    /// account by its UUID. Each call is of at most 3 s and never repeated: whoever asks has little time. Where
    /// Bitbucket tells our token nothing, as that administers no repository, whoever was asked to review the pull
    /// request counts as somebody who may write, since nobody else puts people on that list; others may read.
    /// Errors: `NotFound` when the repository or the account is not there, or, on GitHub, the token may not ask; on
    /// Bitbucket also when the account takes no part in the pull request.
    pub async fn permission(&self, full_name: &str, number: u64, account: &Actor) -> Result<Access, Error> {
        match self {
            Self::GitHub(github) => github.permission(full_name, &account.login).await,
            Self::Bitbucket(bitbucket) => bitbucket.permission(full_name, number, account).await,
        }
    }
}
