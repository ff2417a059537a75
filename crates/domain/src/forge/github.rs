//! GitHub and GitHub Enterprise Server.

use super::marker::HTML_COMMENT;
use super::{ForgeSpec, HookSpec, PollSpec};
use std::time::Duration;

pub(super) static SPEC: ForgeSpec = ForgeSpec {
    api_url: "https://api.github.com",
    one_request_per_user: false,
    hides_accounts: false,
    permission_per_pull_request: false,
    renders_html: true,
    marker: HTML_COMMENT,
    hook: HookSpec {
        events: &["issue_comment", "pull_request", "pull_request_review", "repository"],
        event_header: "x-github-event",
        delivery_header: "x-github-delivery",
        signature_header: "x-hub-signature-256",
        event_header_has_action: false,
        max_secret_chars: usize::MAX,
        has_apps: true,
        lists_deliveries: true,
    },
    polling: PollSpec {
        interval: Duration::from_secs(60),
        // GitHub does not document that a review moves a pull request up in the list of changes.
        full_comparison: Duration::from_secs(3_600),
        // Each costs three calls.
        max_compared: 20,
    },
};
