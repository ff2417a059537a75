//! `pullyard tickets comment` and `comments`: adds, lists, edits and deletes comments on a ticket.

use crate::client::pages::hint_more;
use crate::client::prelude::*;
use crate::client::prompt::read_text;
use pullyard_domain::text::id::{ProjectId, TicketKey};
use pullyard_protocol::limits;
use pullyard_protocol::ticket::{Comment, CommentPage};

/// Comment on a ticket; the agents of later jobs read it.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard tickets comment DEMO-1 'please use the other library'
  pullyard tickets comment DEMO-1 - < comment.md")]
pub(super) struct AddComment {
    /// Ticket key.
    key: TicketKey,
    /// Text in Markdown; `-` reads it from stdin.
    #[arg(value_name = "TEXT")]
    text: String,
}

/// List, edit and delete a ticket's comments.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard tickets comments list DEMO-1
  pullyard tickets comments delete DEMO-1 3")]
pub(super) struct Comments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List a ticket's comments, newest first.
    #[command(
        after_help = "Examples:\n  pullyard tickets comments list DEMO-1\n  pullyard tickets comments list DEMO-1 --json"
    )]
    List {
        /// Ticket key.
        key: TicketKey,
        /// Continue after the page that printed this cursor.
        #[arg(long, value_name = "CURSOR")]
        after: Option<u32>,
    },
    /// Replace the text of a comment, as its author or an admin.
    #[command(after_help = "Examples:
  pullyard tickets comments edit DEMO-1 3 'use the standard library'
  pullyard tickets comments edit DEMO-1 3 - < comment.md")]
    Edit {
        /// Ticket key.
        key: TicketKey,
        /// Number of the comment.
        number: u32,
        /// Text in Markdown; `-` reads it from stdin.
        #[arg(value_name = "TEXT")]
        text: String,
    },
    /// Delete a comment, as its author or an admin.
    #[command(
        after_help = "Examples:\n  pullyard tickets comments delete DEMO-1 3\n  pullyard tickets comments delete DEMO-1 3 --yes --json"
    )]
    Delete {
        /// Ticket key.
        key: TicketKey,
        /// Number of the comment.
        number: u32,
        /// Skip the confirmation.
        #[arg(long)]
        yes: bool,
    },
}

impl AddComment {
    pub(super) async fn run(self, session: &Session, project: &ProjectId) -> Result<(), CliError> {
        let text = read_text(&self.text, limits::COMMENT)?;
        let request_key = format::new_idempotency_key();
        let comment = session.api.add_comment(project, &self.key, text.trim(), Some(&request_key)).await?;
        session.screen.report(&comment, &format!("Added comment {} to {}", comment.number, self.key))
    }
}

impl Comments {
    pub(super) async fn run(self, session: &Session, project: &ProjectId) -> Result<(), CliError> {
        match self.command {
            Command::List { key, after } => {
                let page = session.api.comments(project, &key, after).await?;
                list(session, &key, &page)?;
                hint_more(&session.screen, &format!("tickets comments list {key}"), page.next);
                Ok(())
            }
            Command::Edit { key, number, text } => {
                let text = read_text(&text, limits::COMMENT)?;
                let comment = session.api.edit_comment(project, &key, number, text.trim()).await?;
                session.screen.report(&comment, &format!("Changed comment {number} of {key}"))
            }
            Command::Delete { key, number, yes } => {
                confirm(&session.screen, yes, &format!("Delete comment {number} of {key}?"))?;
                let deleted = session.api.delete_comment(project, &key, number).await?;
                session.screen.report(&deleted, &format!("Deleted comment {number} of {key}"))
            }
        }
    }
}

fn list(session: &Session, key: &TicketKey, page: &CommentPage) -> Result<(), CliError> {
    let mut table = Table::new([Fixed("NUMBER"), Flexible("AUTHOR"), Fixed("WRITTEN"), Flexible("TEXT")]);
    for comment in &page.comments {
        table.row([
            Cell::text(comment.number),
            Cell::text(&comment.author),
            format::time_cell(comment.created),
            Cell::text(&comment.text),
        ]);
    }
    let empty = format!("No comment yet. Write one with `pullyard tickets comment {key} TEXT`.");
    table.show_answer(&session.screen, page, &empty)
}

pub(super) fn print_comments(session: &Session, newest_first: &[Comment]) -> Result<(), CliError> {
    let screen = &session.screen;
    for Comment { number, author, text, created, edited } in newest_first.iter().rev() {
        let edited = if edited.is_some() { ", edited" } else { "" };
        screen.print_line("")?;
        screen.print_line(&sanitize(&format!("Comment {number} by {author}, {created}{edited}")))?;
        text.lines().try_for_each(|line| screen.print_line(&sanitize(&format!("  {line}"))))?;
    }
    Ok(())
}
