//! Issues of GitHub, with a label for each status.

use super::TrackerSpec;
use crate::text::id::RepositoryName;

pub(super) const SPEC: TrackerSpec =
    TrackerSpec { label: "GitHub Issues", ledger_phrase: "Event of", is_external: true };

/// `api_url`: the API of GitHub, or of a server of your own.
pub(super) fn new_issue_url(api_url: &str, repository: &RepositoryName) -> String {
    let server = api_url.trim_end_matches("/api/v3").replace("https://api.github.com", "https://github.com");
    format!("{server}/{repository}/issues/new")
}
