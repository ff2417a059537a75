//! The comments of a ticket as its page lists them.

use crate::labels::format_time;
use crate::markdown::{self, Below, SafeHtml};
use crate::prelude::*;
use pullyard_domain::ticket::Ticket;
use pullyard_domain::ticket::comment::Comment;

pub(super) struct Comments {
    /// Oldest first.
    pub(super) rows: Vec<CommentRow>,
    pub(super) older: Option<String>,
    /// Whether newer comments exist that are not on this page.
    pub(super) is_older_page: bool,
    pub(super) address: String,
    pub(super) form_key: String,
    pub(super) typed: String,
    pub(super) fault: Option<Fault>,
}

pub(super) struct CommentRow {
    pub(super) number: u32,
    pub(super) author: SafeText,
    pub(super) initial: char,
    pub(super) created: TimeLabel,
    pub(super) edited: Option<TimeLabel>,
    pub(super) html: SafeHtml,
    pub(super) links: Option<EditLinks>,
    pub(super) form: Option<CommentEdit>,
}

/// Addresses for the author and for admins.
pub(super) struct EditLinks {
    pub(super) open: String,
    pub(super) save: String,
    pub(super) delete: String,
}

pub(super) struct CommentEdit {
    pub(super) text: String,
    pub(super) fault: Option<Fault>,
}

pub(super) async fn load_comments(
    visit: &PageContext,
    ticket: &Ticket,
    address: &str,
    before: Option<u32>,
    open: Option<u32>,
) -> Result<Comments, Fault> {
    let page = control::list_comments_of(&visit.ctx, ticket, before).await?;
    let page_query = before.map(|before| format!("&before={before}")).unwrap_or_default();
    let row = |comment: &Comment| {
        let may_change = visit.visitor.may_run_jobs() && comment.deny_change(&visit.visitor.editor()).is_none();
        let (number, now) = (comment.number, visit.ctx.clock.now());
        CommentRow {
            number,
            author: line(&comment.author),
            initial: comment.author.chars().find(|c| c.is_alphanumeric()).unwrap_or('?'),
            created: format_time(comment.created, now),
            edited: comment.edited.map(|edited| format_time(edited, now)),
            html: markdown::render(&comment.text, Below::Section),
            links: may_change.then(|| EditLinks {
                open: format!("{address}{page_query}&comment={number}#comment-{number}"),
                save: address.replacen('?', &format!("/comments/{number}/edit?"), 1),
                delete: format!("/setup{}", address.replacen('?', &format!("/comments/{number}/delete?"), 1)),
            }),
            form: (may_change && open == Some(number)).then(|| CommentEdit { text: comment.text.clone(), fault: None }),
        }
    };
    Ok(Comments {
        rows: page.comments.iter().rev().map(row).collect(),
        older: page.next.map(|before| format!("{address}&before={before}#comments")),
        is_older_page: before.is_some(),
        address: address.replacen('?', "/comments?", 1),
        form_key: new_form_key(),
        typed: String::new(),
        fault: None,
    })
}
