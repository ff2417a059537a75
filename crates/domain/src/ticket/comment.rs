//! Comments of users on a ticket.

use crate::text::denial::Denial;
use crate::text::id::{ProjectId, TicketKey};
use crate::text::time::Timestamp;
use crate::ticket::Ticket;
use serde::{Deserialize, Serialize};

/// The most comments that a ticket can get, deleted ones included.
pub const MAX_COMMENTS: u32 = 500;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    pub project: ProjectId,
    pub ticket: TicketKey,
    /// Counts from 1. The number of a deleted comment is not used again.
    pub number: u32,
    /// The id of the author's token, because names are not unique.
    pub author_id: String,
    pub author: String,
    pub text: String,
    pub created: Timestamp,
    pub edited: Option<Timestamp>,
    pub rev: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Editor {
    Admin,
    Token(String),
}

impl Comment {
    pub fn deny_change(&self, editor: &Editor) -> Option<Denial> {
        let may_change = match editor {
            Editor::Admin => true,
            Editor::Token(id) => *id == self.author_id,
        };
        (!may_change).then(|| Denial::CommentOfOther { n: self.number.into(), author: self.author.clone() })
    }

    /// The comment with another text; `None` if it has that text already.
    pub fn edit(&self, text: &str, now: Timestamp) -> Option<Self> {
        (self.text != text).then(|| Self { text: text.to_owned(), edited: Some(now), ..self.clone() })
    }
}

impl Ticket {
    pub fn add_comment(&self) -> Result<(Self, u32), Denial> {
        let number = self.last_comment.unwrap_or(0) + 1;
        if number > MAX_COMMENTS {
            return Err(Denial::TooManyComments { ticket: self.key.clone(), n: MAX_COMMENTS.into() });
        }
        Ok((Self { last_comment: Some(number), ..self.clone() }, number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{key, project};

    fn comment() -> Comment {
        Comment {
            project: project().id,
            ticket: key(),
            number: 3,
            author_id: "t1".into(),
            author: "ana".into(),
            text: "Use tabs.".into(),
            created: Timestamp::from_millis(1),
            edited: None,
            rev: 1,
        }
    }

    #[test]
    fn only_author_and_admins_may_change_a_comment() {
        let code = |editor: Editor| comment().deny_change(&editor).map(|denial| denial.code());
        assert_eq!(code(Editor::Admin), None);
        assert_eq!(code(Editor::Token("t1".into())), None);
        assert_eq!(code(Editor::Token("t2".into())), Some("comment_of_other"));
    }

    #[test]
    fn edit_with_the_same_text_changes_nothing() {
        let now = Timestamp::from_millis(9);
        assert_eq!(comment().edit("Use tabs.", now), None);
        let edited = comment().edit("Use spaces.", now).unwrap();
        assert_eq!(
            (edited.text.as_str(), edited.edited, edited.created),
            ("Use spaces.", Some(now), comment().created)
        );
    }

    #[test]
    fn ticket_refuses_more_than_500_comments() {
        let ticket = Ticket::new(project().id, key(), "Todo".into(), Timestamp::default(), None);
        assert_eq!(ticket.add_comment().map(|(ticket, number)| (ticket.last_comment, number)), Ok((Some(1), 1)));
        let last = Ticket { last_comment: Some(MAX_COMMENTS - 1), ..ticket };
        let (full, number) = last.add_comment().unwrap();
        assert_eq!(number, MAX_COMMENTS);
        assert_eq!(full.add_comment().map_err(|denial| denial.code()), Err("too_many_comments"));
    }
}
