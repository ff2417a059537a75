//! Creates a review, which Bitbucket does not have, from comments and a verdict.

use reqwest::Method;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::{Bitbucket, comments::comment_body, participants, unsupported::unsupported};
use crate::{Actor, Error, Listing, NewLineComment, NewReview, Side, Verdict, http_client::RetryPolicy};

fn line_comment_body(comment: &NewLineComment) -> Value {
    let NewLineComment { path, side, start_line, line, body } = comment;
    let (end, start) = match side {
        Side::Left => ("from", "start_from"),
        Side::Right => ("to", "start_to"),
    };
    let mut request = comment_body(body);
    request["inline"] = json!({ "path": path, end: line });
    if let Some(first) = start_line {
        request["inline"][start] = json!(first);
    }
    request
}

impl Bitbucket {
    /// Sends one request for each comment, and the text last, so that a visible text means that all comments exist.
    /// Source: `POST /repositories/{workspace}/{repo_slug}/pullrequests/{pull_request_id}/comments`.
    pub async fn create_review(&self, full_name: &str, number: u64, new: &NewReview) -> Result<(), Error> {
        if new.verdict == Verdict::Approve {
            return unsupported("approve");
        }
        let address = self.comments_url(full_name, number)?;
        let subject = format!("pull request {number} of {full_name}");
        for comment in &new.comments {
            self.client.post::<IgnoredAny>(address.clone(), &subject, &line_comment_body(comment)).await?;
        }
        if new.verdict == Verdict::RequestChanges {
            self.request_changes(full_name, number, &subject).await?;
        }
        if !new.body.trim().is_empty() {
            self.client.post::<IgnoredAny>(address, &subject, &comment_body(&new.body)).await?;
        }
        Ok(())
    }

    /// Idempotent: reads the verdict first, because Bitbucket refuses a second request by the same account.
    /// Source: `POST /repositories/{workspace}/{repo_slug}/pullrequests/{pull_request_id}/request-changes`.
    async fn request_changes(&self, full_name: &str, number: u64, subject: &str) -> Result<(), Error> {
        let account = self.account().await?.id;
        let participants = self.get_participants(full_name, number, subject, RetryPolicy::Retry).await?;
        if participants.verdict_of(account) == Some(participants::Verdict::ChangesRequested) {
            return Ok(());
        }
        let address = self.url(full_name, &["pullrequests", &number.to_string(), "request-changes"])?;
        self.client.send_ignoring_response(Method::POST, address, subject, RetryPolicy::Once).await
    }

    /// The comments on the whole pull request, which contain the text of each review.
    pub(crate) async fn review_texts(
        &self,
        full_name: &str,
        number: u64,
    ) -> Result<Listing<(Option<Actor>, String)>, Error> {
        let comments = self.issue_comments(full_name, number).await?;
        Ok(comments.filter_map(|comment| Some((comment.author, comment.body))))
    }
}
