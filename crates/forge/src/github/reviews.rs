//! Creates and reads reviews with their comments on lines.

use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::{
    GitHub,
    client::RetryPolicy,
    responses::{ReviewCommentResponse, ReviewResponse},
};
use crate::{Actor, Error, Listing, NewLineComment, NewReview, Review, ReviewComment};

fn line_comment_body(comment: &NewLineComment) -> Value {
    let NewLineComment { path, side, start_line, line, body } = comment;
    let mut request = json!({ "path": path, "body": body, "line": line, "side": side });
    if let Some(start) = start_line {
        request["start_line"] = json!(start);
        request["start_side"] = json!(side);
    }
    request
}

impl GitHub {
    /// Source: `GET /repos/{owner}/{repo}/pulls/{pull_number}/reviews`.
    pub async fn reviews(&self, full_name: &str, number: u64) -> Result<Listing<Review>, Error> {
        let address = self.url(full_name, &["pulls", &number.to_string(), "reviews"])?;
        let subject = format!("the reviews of pull request {number} of {full_name}");
        let answers: Listing<ReviewResponse> = self.client.list(address, &subject).await?;
        Ok(answers.filter_map(ReviewResponse::into_review))
    }

    /// Source: `POST /repos/{owner}/{repo}/pulls/{pull_number}/reviews`.
    pub async fn create_review(&self, full_name: &str, number: u64, new: &NewReview) -> Result<(), Error> {
        let address = self.url(full_name, &["pulls", &number.to_string(), "reviews"])?;
        let subject = format!("pull request {number} of {full_name}");
        let NewReview { head, verdict, body, comments, key } = new;
        let comments: Vec<Value> = comments.iter().map(line_comment_body).collect();
        let body = json!({ "commit_id": head, "event": verdict, "body": body, "comments": comments });
        self.client.with_key(key)?.post::<IgnoredAny>(address, &subject, &body).await?;
        Ok(())
    }

    /// The text of each review.
    pub(crate) async fn review_texts(
        &self,
        full_name: &str,
        number: u64,
    ) -> Result<Listing<(Option<Actor>, String)>, Error> {
        Ok(self.reviews(full_name, number).await?.filter_map(|review| Some((review.author, review.body))))
    }

    /// Source: `GET /repos/{owner}/{repo}/pulls/{pull_number}/reviews/{review_id}`.
    pub async fn review(&self, full_name: &str, number: u64, review: u64) -> Result<Review, Error> {
        let (number, review) = (number.to_string(), review.to_string());
        let address = self.url(full_name, &["pulls", &number, "reviews", &review])?;
        let subject = format!("review {review} of pull request {number} of {full_name}");
        let answer: ReviewResponse = self.client.get(address, &subject, RetryPolicy::Retry).await?;
        answer
            .into_review()
            .ok_or_else(|| Error::Unexpected { status: 200, message: "the review has an unknown verdict".to_owned() })
    }

    /// Source: `GET /repos/{owner}/{repo}/pulls/{pull_number}/reviews/{review_id}/comments`.
    pub async fn review_comments(
        &self,
        full_name: &str,
        number: u64,
        review: u64,
    ) -> Result<Listing<ReviewComment>, Error> {
        let (number_text, review_text) = (number.to_string(), review.to_string());
        let address = self.url(full_name, &["pulls", &number_text, "reviews", &review_text, "comments"])?;
        let subject = format!("the comments of review {review} of pull request {number} of {full_name}");
        let mut answers: Listing<ReviewCommentResponse> = self.client.list(address, &subject).await?;
        // Line fields are optional in this list. Read missing ones from the pull request's list of comments.
        if answers.items.iter().any(|answer| !answer.has_position()) {
            let mut with_position = self.list_comments(full_name, number).await?.items;
            with_position.retain(|answer| answer.pull_request_review_id == Some(review) && answer.has_position());
            for answer in &mut answers.items {
                if let Some(at) = with_position.iter().position(|other| other.id == answer.id) {
                    *answer = with_position.swap_remove(at);
                }
            }
        }
        Ok(answers.filter_map(|answer| Some(answer.into())))
    }

    /// Source: `GET /repos/{owner}/{repo}/pulls/{pull_number}/comments`.
    pub async fn comments(&self, full_name: &str, number: u64) -> Result<Listing<ReviewComment>, Error> {
        Ok(self.list_comments(full_name, number).await?.filter_map(|answer| Some(answer.into())))
    }

    async fn list_comments(&self, full_name: &str, number: u64) -> Result<Listing<ReviewCommentResponse>, Error> {
        let address = self.url(full_name, &["pulls", &number.to_string(), "comments"])?;
        let subject = format!("the comments on lines of pull request {number} of {full_name}");
        self.client.list(address, &subject).await
    }
}
