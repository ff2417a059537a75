//! Finds the reviews that our account posted, by their markers.

use std::collections::BTreeSet;

use pullyard_domain::{
    forge::{Account, marker::Marker},
    id::JobId,
    report::finding_marker::FindingMarker,
};

use super::Forge;
use crate::{Actor, Error, ReviewComment};

/// What our account posted in a pull request. A copied marker has no effect, because another account wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnReviews {
    /// Comments about findings, also in resolved threads, oldest first.
    pub findings: Vec<(ReviewComment, FindingMarker)>,
    /// The jobs whose review is complete.
    pub jobs: BTreeSet<JobId>,
    /// The conversation is too long to be read completely: its newest entries are missing.
    pub truncated: bool,
}

impl Forge {
    /// Reads at most 1,000 comments and 1,000 reviews. An account that is unknown may be any author.
    /// Errors: `NotFound` for a missing pull request.
    pub async fn own_reviews(&self, full_name: &str, number: u64, account: &Account) -> Result<OwnReviews, Error> {
        let comments = self.comments(full_name, number).await?;
        let texts = dispatch!(self, review_texts(full_name, number))?;
        let is_own = |author: Option<&Actor>| author.is_some_and(|author| account.may_be_author(author.id));
        let to_finding = |comment: ReviewComment| match Marker::parse(&comment.body)? {
            Marker::Finding(marker) if is_own(comment.author.as_ref()) => Some((comment, marker)),
            _ => None,
        };
        let to_job = |(author, text): (Option<Actor>, String)| match Marker::parse(&text)? {
            Marker::Job(job) if is_own(author.as_ref()) => Some(job),
            _ => None,
        };
        Ok(OwnReviews {
            findings: comments.items.into_iter().filter_map(to_finding).collect(),
            jobs: texts.items.into_iter().filter_map(to_job).collect(),
            truncated: comments.truncated || texts.truncated,
        })
    }
}
