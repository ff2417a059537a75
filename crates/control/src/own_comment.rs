//! Posts our comment on an issue or a pull request, or edits the one that is there.

use crate::Error;
use pullyard_domain::project::forge::Integration;
use pullyard_domain::review::published::marker::Marker;
use pullyard_forge::{Actor, Comment, ErrorKind, Forge};

pub(crate) struct OwnComment<'a> {
    pub(crate) integration: &'a Integration,
    pub(crate) repository: &'a str,
    pub(crate) number: u64,
    /// At the end of `body`. It finds the comment if its id is unknown.
    pub(crate) marker: Marker,
    pub(crate) body: String,
    pub(crate) id: Option<u64>,
}

impl OwnComment<'_> {
    /// Returns the comment's id. `None`: the forge refuses it, and would refuse a repeat.
    /// Idempotent: by the marker.
    pub(crate) async fn post(&self, forge: &Forge) -> Result<Option<u64>, Error> {
        let found = match self.id {
            Some(_) => None,
            // If the list cannot be read, a second comment is better than none.
            None => forge.issue_comments(self.repository, self.number).await.ok(),
        };
        let found = found.and_then(|listed| listed.items.into_iter().find(|comment| self.is_same(comment)));
        if let Some(found) = found.as_ref().filter(|found| found.body.trim_end() == self.body.trim_end()) {
            return Ok(Some(found.id));
        }
        let edited = match self.id.or(found.map(|found| found.id)) {
            Some(id) => Some(forge.edit_comment(self.repository, self.number, id, &self.body).await),
            None => None,
        };
        // A comment found by its marker alone may be another author's copy.
        let is_gone = |kind: ErrorKind| kind == ErrorKind::Missing || kind == ErrorKind::Denied && self.id.is_none();
        let posted = match edited {
            Some(edited) if !edited.as_ref().is_err_and(|error| is_gone(error.kind())) => edited,
            _ => forge.create_comment(self.repository, self.number, &self.body).await,
        };
        match posted {
            Ok(comment) => Ok(Some(comment.id)),
            Err(error) if is_refused(&error) => {
                tracing::warn!(repository = self.repository, number = self.number, error = %error, "comment refused");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn is_same(&self, listed: &Comment) -> bool {
        let is_author = |author: &Actor| self.integration.account.may_be_author(author.id);
        listed.author.as_ref().is_some_and(is_author) && Marker::parse(&listed.body).as_ref() == Some(&self.marker)
    }
}

pub(crate) fn is_refused(error: &pullyard_forge::Error) -> bool {
    matches!(error.kind(), ErrorKind::Missing | ErrorKind::Denied | ErrorKind::Refused)
}
