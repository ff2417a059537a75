//! GitHub and GitHub Enterprise Server.

use super::marker_syntax::HTML_COMMENT;
use super::{ForgeSpec, HookSpec, OwnServer, PollSpec, TokenTexts};
use crate::project::hook::Ingress;
use std::time::Duration;

pub(super) static SPEC: ForgeSpec = ForgeSpec {
    site_url: "https://github.com/",
    api_url: "https://api.github.com",
    own_servers: &[OwnServer { name: "GitHub Enterprise Server", api_url: "https://HOST/api/v3" }],
    pull_request_path: "pull",
    one_request_per_user: false,
    hides_accounts: false,
    permission_per_pull_request: false,
    renders_html: true,
    suggestion_blocks: true,
    review_names_commit: true,
    has_issues: true,
    // It accepts 65,536.
    review_text_chars: 60_000,
    marker: HTML_COMMENT,
    hook: HookSpec {
        events: &["issue_comment", "issues", "pull_request", "pull_request_review", "repository"],
        start_events: &["pull_request", "push", "workflow_run"],
        event_header: "x-github-event",
        delivery_header: "x-github-delivery",
        signature_header: "x-hub-signature-256",
        event_header_has_action: false,
        max_secret_chars: usize::MAX,
        has_apps: true,
        lists_deliveries: true,
        form: || {
            "application/json, the events issue comments, issues, pull requests, pull request reviews and repositories"
                .into()
        },
    },
    polling: PollSpec {
        interval: Duration::from_secs(60),
        // GitHub does not document that a review moves a pull request up in the list of changes.
        full_comparison: Duration::from_secs(3_600),
        // Each costs three calls.
        max_compared: 20,
    },
    first_ingress: Ingress::Webhook,
    token: TokenTexts {
        choice: "GitHub by token",
        needs: "Needs a token of an account for Pullyard",
        description: "A personal access token of one account",
        prompt: "the token of Pullyard's account",
        hint: "A token that may read and write contents and pull requests.",
        first_hint: "Of a separate account, not a person’s. Permissions: contents and pull requests, read and write.",
        permissions: "Fine-grained: contents, pull requests, issues and commit statuses with write access; webhooks to \
                      install them. Classic: the scope repo.",
        example: "acme/shop",
    },
};
