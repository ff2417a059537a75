//! Writes the comments of tickets.

use crate::item::Item;
use crate::transaction::{Condition, Transaction};
use crate::write::trigger::Request;
use crate::{Error, Store, Write};
use pullyard_domain::ticket::Ticket;
use pullyard_domain::ticket::comment::Comment;

/// A new comment, with its ticket, which counts it.
#[derive(Clone, Debug)]
pub struct CommentCreation<'a> {
    pub ticket: &'a Ticket,
    pub comment: &'a Comment,
    pub request: Option<&'a Request>,
}

impl Store {
    /// Adds a comment. The ticket changes too: its deletion then finds the comment, and a job that is being created is
    /// planned again with it.
    /// Writes: TICKET if `rev` and `seen_at` are those seen; COMMENT if absent; IDEMPOTENCY if absent or expired.
    /// Idempotent: a repeat is `Stale`, and the caller's key shows the comment.
    pub async fn create_comment(&self, creation: &CommentCreation<'_>) -> Result<Write, Error> {
        let CommentCreation { ticket, comment, request } = creation;
        let unchanged = Condition::at_rev_since(ticket.rev, "seen_at", ticket.seen_at);
        Transaction::new("add a comment")
            .revise_over(*ticket, unchanged)?
            .revise(*comment)?
            .put_request(*request, &comment.number.to_string())
            .commit(self)
            .await
    }

    /// Replaces a comment's text.
    /// Writes: COMMENT if `rev` and `created` are those seen, because a new ticket of the same key counts from 1 again.
    /// Idempotent: a repeat is `Stale`, and reading again shows the text.
    pub async fn update_comment(&self, comment: &Comment) -> Result<Write, Error> {
        let unchanged = Condition::at_rev_since(comment.rev, "created", comment.created);
        Transaction::new("change a comment").revise_over(comment, unchanged)?.commit(self).await
    }

    /// Deletes comments of a ticket, at most 100.
    /// Writes: each COMMENT deleted if `rev` and `created` are those seen, or it is gone.
    /// Idempotent: missing items are no error.
    pub async fn delete_comments(&self, comments: &[Comment]) -> Result<Write, Error> {
        let unchanged = |comment: &Comment| Condition::at_rev_or_absent(comment.rev, "created", comment.created);
        let delete = |transaction: Transaction, comment| transaction.delete(Comment::key(comment), unchanged(comment));
        comments.iter().fold(Transaction::new("delete comments"), delete).commit(self).await
    }
}
