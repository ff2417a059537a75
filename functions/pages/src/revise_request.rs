//! Shows the request of a revise job: its frozen reviews and the user's message, as text only.

use crate::prelude::*;
use crate::text::block;
use pullyard_control::JobView;
use pullyard_domain::kinds::prompt::contains_paragraphs;
use pullyard_domain::kinds::prompt::review::{FrozenComment, FrozenReview, Omitted};
use pullyard_domain::review::report::review_output::Side;
use std::collections::BTreeSet;

pub(crate) struct ReviseRequest {
    pub(crate) count: String,
    pub(crate) message: Option<SafeText>,
    /// The author of the message, while the request is stored.
    pub(crate) message_by: Option<SafeText>,
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
    let message_by = match (&context.instructions, job.reviewed_pull_request()) {
        // Best effort: a review that cannot be read must not hide the request.
        (Some(instructions), Some(id)) => {
            ctx.store.list_reviews(&id).await.ok().and_then(|all| list_authors(&all, instructions))
        }
        _ => None,
    };
    let (reviews, cut) = context.review.map(|review| (review.reviews, review.cut)).unwrap_or_default();
    if message.is_none() && reviews.is_empty() {
        return Ok(None);
    }
    let of = job.revises.as_ref().map(|of| job.pull_request_id(of.number));
    let address = |url: &str| of.as_ref().and_then(|id| labels::pull_request_address(ctx, id, url));
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
        message_by,
        reviews: reviews.iter().map(|review| to_review(review, view.now, &address)).collect(),
        cut: cut.filter(|cut| *cut != Omitted::default()).map(|cut| {
            let comments_label = labels::format_count(cut.comments, "comment");
            format!("The request was too long: {comments_label} and {} characters were left out.", cut.characters)
        }),
    }))
}

/// A retry has the messages of an earlier job, so the text decides and not the job.
fn list_authors(requests: &[pullyard_domain::review::Review], instructions: &str) -> Option<SafeText> {
    let message = |request: &pullyard_domain::review::Review| request.request.as_ref()?.message.clone();
    let messages = requests.iter().filter_map(|request| Some((request.author.login.as_str(), message(request)?)));
    let authors = select_authors(messages, instructions);
    (!authors.is_empty()).then(|| line(&Vec::from_iter(authors).join(", ")))
}

fn select_authors<'a>(messages: impl Iterator<Item = (&'a str, String)>, instructions: &str) -> BTreeSet<&'a str> {
    let is_part = |message: &str| !message.is_empty() && contains_paragraphs(instructions, message);
    messages.filter(|(_, message)| is_part(message)).map(|(author, _)| author).collect()
}

fn to_review(review: &FrozenReview, now: Timestamp, address: &impl Fn(&str) -> Option<String>) -> Review {
    Review {
        author: line(&review.author),
        when: labels::format_time(review.submitted_at, now),
        address: address(&review.url),
        summary: block(&review.summary),
        comments: review.comments.iter().map(|comment| to_comment(comment, address)).collect(),
    }
}

fn to_comment(comment: &FrozenComment, address: &impl Fn(&str) -> Option<String>) -> Comment {
    let lines = match (comment.start_line, comment.line) {
        (Some(start), Some(end)) if start != end => format!(":{start}\u{2013}{end}"),
        (_, Some(at)) => format!(":{at}"),
        _ => String::new(),
    };
    Comment {
        place: line(&format!("{}{lines}", comment.path)),
        address: address(&comment.url),
        author: line(&comment.author),
        original: comment.original && comment.line.is_some(),
        before: comment.side == Side::Left,
        edited: comment.edited,
        text: block(&comment.text),
    }
}
