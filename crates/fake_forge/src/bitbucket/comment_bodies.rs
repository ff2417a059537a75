//! Request bodies of comments: on the pull request, on a line, or as a reply.

use serde::Deserialize;

use super::body;
use super::body::Content;
use super::refusal::Refusal;
use pullyard_local_forge::reviews::NewComment;

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
    to: Option<u64>,
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
    match (inline.path, inline.to) {
        (Some(path), Some(line)) => Ok(NewComment { path, line, body }),
        _ => Err(Refusal::field("inline", "the local forge takes a comment on a line of the new file only")),
    }
}
