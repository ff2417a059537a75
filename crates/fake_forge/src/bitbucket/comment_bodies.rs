//! Request bodies of comments: on the pull request, on a line, or as a reply.

use serde::Deserialize;

use super::body;
use super::body::Content;
use super::refusal::Refusal;
use pullyard_local_forge::{record::Side, reviews::NewComment};

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
    let text = parse_text(content)?;
    match (parent, inline) {
        (None, None) => Ok(CommentRequest::General(text)),
        (None, Some(inline)) => Ok(CommentRequest::OnLine(parse_inline(inline, text)?)),
        (Some(Parent { id: Some(parent) }), None) => Ok(CommentRequest::Reply { parent, words: text }),
        (Some(Parent { id: None }), None) => Err(Refusal::missing("parent")),
        (Some(_), Some(_)) => Err(Refusal::field("inline", "the local forge leaves an answer where its parent is")),
    }
}

pub(super) fn parse_edited_text(body: &[u8]) -> Result<String, Refusal> {
    parse_text(body::parse::<CommentBody>(body)?.content)
}

fn parse_text(content: Option<Content>) -> Result<String, Refusal> {
    let text = content.and_then(|content| content.raw).ok_or_else(|| Refusal::missing("content"))?;
    if text.trim().is_empty() { Err(Refusal::field("content", "This field may not be blank.")) } else { Ok(text) }
}

fn parse_inline(inline: Inline, body: String) -> Result<NewComment, Refusal> {
    let Inline { path, from, to, start_from, start_to } = inline;
    match (path, from, to) {
        (Some(path), _, Some(line)) => Ok(NewComment { start_line: start_to, ..NewComment::on_line(path, line, body) }),
        (Some(path), Some(line), None) => Ok(NewComment { path, side: Side::Left, start_line: start_from, line, body }),
        _ => Err(Refusal::field("inline", "the local forge takes a comment on a line only")),
    }
}
