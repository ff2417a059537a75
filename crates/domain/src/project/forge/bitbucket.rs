//! Bitbucket Cloud.

use super::marker_syntax::LINK_DEFINITION;
use super::{ForgeSpec, HookSpec, PollSpec, TokenTexts};
use crate::project::hook::Ingress;
use std::time::Duration;

pub(super) static SPEC: ForgeSpec = ForgeSpec {
    site_url: "https://bitbucket.org/",
    api_url: "https://api.bitbucket.org/2.0",
    own_servers: &[],
    pull_request_path: "pull-requests",
    one_request_per_user: true,
    hides_accounts: true,
    permission_per_pull_request: true,
    renders_html: false,
    suggestion_blocks: false,
    review_names_commit: false,
    // Bitbucket closed its issue tracker in August 2026.
    has_issues: false,
    // Bitbucket does not document a limit for comments; its server product accepts 32,768.
    review_text_chars: 30_000,
    marker: LINK_DEFINITION,
    hook: HookSpec {
        events: &[
            "pullrequest:changes_request_created",
            "pullrequest:changes_request_removed",
            "pullrequest:comment_created",
            "pullrequest:created",
            "pullrequest:fulfilled",
            "pullrequest:push",
            "pullrequest:rejected",
            "repo:deleted",
            "repo:transfer",
            "repo:updated",
        ],
        start_events: &[],
        event_header: "x-event-key",
        delivery_header: "x-request-uuid",
        signature_header: "x-hub-signature",
        event_header_has_action: true,
        max_secret_chars: 128,
        has_apps: false,
        lists_deliveries: false,
        form: || format!("the triggers {}", SPEC.hook.events.join(", ")),
    },
    polling: PollSpec {
        // Bitbucket allows 1,000 requests an hour, and a poll sends several for each open pull request.
        interval: Duration::from_secs(300),
        // Bitbucket does not list a pull request when a reviewer requests changes.
        full_comparison: Duration::ZERO,
        // Each costs five calls.
        max_compared: 10,
    },
    first_ingress: Ingress::Poll,
    token: TokenTexts {
        choice: "Bitbucket by token",
        needs: "Needs an access token of Bitbucket Cloud",
        description: "An access token of a workspace, project or repository",
        prompt: "an access token, or E-MAIL:API-TOKEN of Pullyard's account,",
        hint: "An access token, or E-MAIL:API-TOKEN of a user.",
        first_hint: "A repository or workspace access token, or E-MAIL:API-TOKEN. Scopes: repository and pull request, \
                     read and write.",
        permissions: "Read and write repositories and pull requests; webhooks to install them.",
        example: "workspace/shop",
    },
};
