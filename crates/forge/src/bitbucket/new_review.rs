//! Creates a review, which Bitbucket does not have, from comments and a verdict.

use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::{Bitbucket, comments::comment_body, unsupported::unsupported};
use crate::{Actor, Error, Listing, NewLineComment, NewReview, Side, Verdict};

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
        if new.verdict != Verdict::Comment {
            return unsupported("give a verdict");
        }
        let address = self.comments_url(full_name, number)?;
        let subject = format!("pull request {number} of {full_name}");
        for comment in &new.comments {
            self.client.post::<IgnoredAny>(address.clone(), &subject, &line_comment_body(comment)).await?;
        }
        if !new.body.trim().is_empty() {
            self.client.post::<IgnoredAny>(address, &subject, &comment_body(&new.body)).await?;
        }
        Ok(())
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
