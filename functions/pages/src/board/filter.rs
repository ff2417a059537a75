//! The board's search and filters.

use crate::text;
use pullyard_control::TicketView;
use pullyard_domain::text::id::RepositoryName;
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Filter {
    /// Words that must all occur in key, title or labels.
    pub(crate) q: String,
    pub(crate) repository: String,
    pub(crate) label: String,
}

impl Filter {
    pub(crate) fn is_empty(&self) -> bool {
        self.to_query().is_empty()
    }

    pub(super) fn matches(&self, view: &TicketView, repository: Option<&RepositoryName>) -> bool {
        let labels = &view.text.labels;
        let mut text = format!("{} {}", view.ticket.key, view.text.title).to_lowercase();
        labels.iter().for_each(|label| text.push_str(&format!(" {}", label.to_lowercase())));
        self.q.to_lowercase().split_whitespace().all(|word| text.contains(word))
            && (self.label.is_empty() || labels.contains(&self.label))
            && (self.repository.is_empty()
                || repository.is_some_and(|name| name.as_str().eq_ignore_ascii_case(&self.repository)))
    }

    pub(super) fn to_query(&self) -> String {
        text::format_query(&[("q", &self.q), ("repository", &self.repository), ("label", &self.label)])
    }
}
