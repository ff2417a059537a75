//! The labels that a job requires of its runner.

use crate::project::{Repository, Settings};
use crate::ticket::event::TicketText;
use std::collections::BTreeSet;

/// Returns the labels of the job's project, repository, ticket and request.
pub fn required_labels(
    settings: &Settings,
    repository: &Repository,
    ticket: Option<&TicketText>,
    requested: &BTreeSet<String>,
) -> BTreeSet<String> {
    let of_ticket = ticket.map(TicketText::runner_labels).unwrap_or_default();
    let sources = [&settings.labels, &repository.labels, &of_ticket, requested];
    sources.into_iter().flatten().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word_set(words: &str) -> BTreeSet<String> {
        words.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn job_requires_the_labels_of_all_its_sources() {
        let settings = Settings { labels: word_set("eu shared"), ..Settings::default() };
        let repository = Repository { labels: word_set("gpu shared"), ..crate::fixtures::repository() };
        let text = TicketText { labels: word_set("runner:arm bug"), ..TicketText::default() };
        let required = |text: Option<&TicketText>, requested: &str| {
            required_labels(&settings, &repository, text, &word_set(requested))
        };
        assert_eq!(required(None, ""), word_set("eu gpu shared"));
        assert_eq!(required(Some(&text), "big"), word_set("arm big eu gpu shared"));
    }
}
