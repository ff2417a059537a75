//! Shows the request of a revise job: its frozen reviews and the user's message, as text only.

use crate::prelude::*;
use crate::text::block;
use pullyard_control::JobView;
use pullyard_domain::prompt::review::{FrozenComment, FrozenReview, Omitted, Side};

pub(crate) struct ReviseRequest {
    pub(crate) count: String,
    pub(crate) message: Option<SafeText>,
    pub(crate) reviews: Vec<Review>,
    pub(crate) cut: Option<String>,
}

pub(crate) struct Review {
    pub(crate) author: SafeText,
    pub(crate) when: TimeLabel,
    pub(crate) address: Option<String>,
    pub(crate) summary: SafeText,
    pub(crate) comments: Vec<Comment>,
}

pub(crate) struct Comment {
    /// `src/app.rs:12–14`.
    pub(crate) place: SafeText,
    pub(crate) address: Option<String>,
    pub(crate) author: SafeText,
    pub(crate) original: bool,
    pub(crate) before: bool,
    pub(crate) edited: bool,
    pub(crate) text: SafeText,
}

/// Returns `None` for other jobs, and until the reviews were read from the forge.
pub(crate) async fn load_revise_request(ctx: &Context, view: &JobView) -> Result<Option<ReviseRequest>, Fault> {
    let job = &view.job;
    if job.revises.is_none() || job.context.is_empty() {
        return Ok(None);
    }
    let context = ctx.store.load_context(&job.id, &job.context).await?;
    let Some(context) = context else { return Ok(None) };
    let message = context.instructions.as_deref().map(block).filter(|message| !message.is_empty());
    let (reviews, cut) = context.review.map(|review| (review.reviews, review.cut)).unwrap_or_default();
    if message.is_none() && reviews.is_empty() {
        return Ok(None);
    }
    let comments: usize = reviews.iter().map(|review| review.comments.len()).sum();
    Ok(Some(ReviseRequest {
        count: match (reviews.len(), comments) {
            (0, _) => String::new(),
            (reviews, 0) => labels::format_count(reviews, "review"),
            (reviews, comments) => {
                let reviews = labels::format_count(reviews, "review");
                format!("{reviews}, {}", labels::format_count(comments, "inline comment"))
            }
        },
        message,
        reviews: reviews.iter().map(|review| to_review(review, view.now)).collect(),
        cut: cut.filter(|cut| *cut != Omitted::default()).map(|cut| {
            let comments_label = labels::format_count(cut.comments, "comment");
            format!("The request was too long: {comments_label} and {} characters were left out.", cut.characters)
        }),
    }))
}

fn to_review(review: &FrozenReview, now: Timestamp) -> Review {
    Review {
        author: line(&review.author),
        when: labels::format_time(review.submitted_at, now),
        address: http_url(&review.url),
        summary: block(&review.summary),
        comments: review.comments.iter().map(to_comment).collect(),
    }
}

fn to_comment(comment: &FrozenComment) -> Comment {
    let lines = match (comment.start_line, comment.line) {
        (Some(start), Some(end)) if start != end => format!(":{start}\u{2013}{end}"),
        (_, Some(at)) => format!(":{at}"),
        _ => String::new(),
    };
    Comment {
        place: line(&format!("{}{lines}", comment.path)),
        address: http_url(&comment.url),
        author: line(&comment.author),
        original: comment.original && comment.line.is_some(),
        before: comment.side == Side::Left,
        edited: comment.edited,
        text: block(&comment.text),
    }
}
