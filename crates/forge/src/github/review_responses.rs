//! GitHub's responses about reviews, reduced to the fields that we read.

use serde::Deserialize;

use crate::{Actor, Lines, Review, ReviewComment, ReviewState, Side, Time};

#[derive(Deserialize)]
pub(crate) struct ReviewResponse {
    id: u64,
    state: String,
    body: Option<String>,
    submitted_at: Option<Time>,
    /// Only in webhooks.
    updated_at: Option<Time>,
    html_url: String,
    user: Option<Actor>,
}

impl ReviewResponse {
    /// `None` for an unknown verdict: GitHub's schema allows any text.
    pub(crate) fn into_review(self) -> Option<Review> {
        Some(Review {
            id: self.id,
            state: ReviewState::parse(&self.state)?,
            body: self.body.unwrap_or_default(),
            parts: Vec::new(),
            submitted_at: self.submitted_at,
            updated_at: self.updated_at,
            url: self.html_url,
            author: self.user,
        })
    }
}

#[derive(Deserialize)]
pub(super) struct ReviewCommentResponse {
    id: u64,
    pull_request_review_id: Option<u64>,
    in_reply_to_id: Option<u64>,
    path: String,
    line: Option<u64>,
    start_line: Option<u64>,
    original_line: Option<u64>,
    original_start_line: Option<u64>,
    side: Option<String>,
    subject_type: Option<String>,
    user: Option<Actor>,
    body: Option<String>,
    created_at: Time,
    updated_at: Time,
    html_url: String,
}

impl ReviewCommentResponse {
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn review(&self) -> Option<u64> {
        self.pull_request_review_id
    }

    pub(super) fn has_position(&self) -> bool {
        self.line.or(self.original_line).is_some() || self.subject_type.as_deref() == Some("file")
    }
}

impl From<ReviewCommentResponse> for ReviewComment {
    fn from(answer: ReviewCommentResponse) -> Self {
        let lines = match (answer.subject_type.as_deref(), answer.line, answer.original_line) {
            (Some("file"), ..) | (_, None, None) => Lines::File,
            (_, Some(end), _) => Lines::Current { start: answer.start_line, end },
            (_, None, Some(end)) => Lines::Original { start: answer.original_start_line, end },
        };
        Self {
            id: answer.id,
            in_reply_to: answer.in_reply_to_id,
            path: answer.path,
            lines,
            side: if answer.side.as_deref() == Some("LEFT") { Side::Left } else { Side::Right },
            author: answer.user,
            body: answer.body.unwrap_or_default(),
            created_at: answer.created_at,
            updated_at: answer.updated_at,
            url: answer.html_url,
        }
    }
}
