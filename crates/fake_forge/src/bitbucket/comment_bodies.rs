//! Request bodies of comments: on the pull request, on a line, or as a reply.

use serde::Deserialize;

use super::{
    body::{self, Content},
    refusal::Refusal,
};
use pullyard_demo_forge::{
    record::Side,
    reviews::{CommentPosition, NewComment},
};

#[derive(Deserialize)]
struct CommentBody {
    content: Option<Content>,
    parent: Option<Parent>,
    inline: Option<Inline>,
}

#[derive(Deserialize)]
struct Parent {
    id: Option<u64>,
}

#[derive(Deserialize)]
struct Inline {
    path: Option<String>,
    from: Option<u64>,
    to: Option<u64>,
    start_from: Option<u64>,
    start_to: Option<u64>,
}

pub(super) enum CommentRequest {
    General(String),
    OnLine(NewComment),
    Reply { parent: u64, words: String },
}

pub(super) fn parse_new_comment(body: &[u8]) -> Result<CommentRequest, Refusal> {
    let CommentBody { content, parent, inline } = body::parse(body)?;
    let words = parse_text(content)?;
    match (parent, inline) {
        (None, None) => Ok(CommentRequest::General(words)),
        (None, Some(inline)) => Ok(CommentRequest::OnLine(parse_inline(inline, words)?)),
        (Some(Parent { id: Some(parent) }), None) => Ok(CommentRequest::Reply { parent, words }),
        (Some(Parent { id: None }), None) => Err(Refusal::missing("parent")),
        (Some(_), Some(_)) => Err(Refusal::field("inline", "the demo forge leaves an answer where its parent is")),
    }
}

pub(super) fn parse_edited_text(body: &[u8]) -> Result<String, Refusal> {
    parse_text(body::parse::<CommentBody>(body)?.content)
}

fn parse_text(content: Option<Content>) -> Result<String, Refusal> {
    let words = content.and_then(|content| content.raw).ok_or_else(|| Refusal::missing("content"))?;
    if words.trim().is_empty() { Err(Refusal::field("content", "This field may not be blank.")) } else { Ok(words) }
}

/// `to` is a line of the new file, `from` of the old one.
fn parse_inline(inline: Inline, body: String) -> Result<NewComment, Refusal> {
    let Inline { path, from, to, start_from, start_to } = inline;
    let path = path.ok_or_else(|| Refusal::missing("inline"))?;
    let (at, start_line) = match (to, from) {
        (Some(to), None) => (CommentPosition::Line(Side::Right, to), start_to),
        (None, Some(from)) => (CommentPosition::Line(Side::Left, from), start_from),
        (Some(_), Some(_)) | (None, None) => {
            return Err(Refusal::field("inline", "the demo forge takes a comment on a line of one side only"));
        }
    };
    Ok(NewComment { path, body, position: at, start_line })
}
