//! Summaries and refusal codes of all routes, for the OpenAPI document. A test compares the table with the router.

use pullyard_entry::openapi::RouteDoc;

const GUARDS: (u16, &str) =
    (409, "job_active, project_held, budget_exhausted, ticket_without_repository, repository_not_integrated");

const REVIEW_GUARDS: (u16, &str) =
    (409, "pull_request_closed, no_linked_ticket, ticket_inactive, job_active, project_held, budget_exhausted");

/// The tags of the routes with their descriptions, in the order of the document.
pub(crate) const AUDIENCES: [(&str, &str); 5] = [
    ("Ticket tools", "For a tracker such as Jira: it sends each change of a ticket and receives the decision."),
    ("Users and programs", "For people, scripts and `pullyard`: tickets, jobs, pull requests and decisions."),
    ("Administrators", "For tokens with the scope `admin`: projects, forges, webhooks, runners, tokens and secrets."),
    ("Runners", "For the runner program: registration, heartbeats, claims, and the calls of an attempt."),
    ("Operations", "For the operator: health, metrics, sweeps, dead letters and paused model accounts."),
];

macro_rules! said {
    ($($audience:literal { $($method:ident $route:literal $id:ident = $summary:literal $([$($refusal:expr),*])?;)* })*) => {
        pub(crate) const SUMMARIES: &[RouteDoc] = &[$($(RouteDoc {
            method: stringify!($method),
            route: $route,
            id: stringify!($id),
            tag: $audience,
            summary: $summary,
            refusals: &[$($($refusal),*)?],
        },)*)*];
    };
}

said! {
    "Ticket tools" {
        post "/v1/tickets/events" tell_ticket_event = "Receive an event of a ticket tool; returns the decision.";
    }
    "Users and programs" {
        get "/v1/tickets" list_tickets = "List a project's tickets by key." [(404, "not_found")];
        post "/v1/tickets" create_ticket = "Create a ticket on the built-in board."
            [(404, "not_found"), (409, "taken"), (422, "idempotency_key_reused")];
        get "/v1/tickets/{key}" show_ticket = "Get a ticket.";
        patch "/v1/tickets/{key}" edit_ticket = "Change a ticket's text; never starts a job."
            [(422, "idempotency_key_reused")];
        delete "/v1/tickets/{key}" delete_ticket = "Delete a ticket; its jobs and decisions stay."
            [(409, "job_of_ticket, pull_request_open")];
        post "/v1/tickets/{key}/move" move_ticket = "Move a ticket to another column, which may start a job."
            [(422, "idempotency_key_reused")];
        get "/v1/tickets/{key}/comments" list_comments = "List a ticket's comments, newest first.";
        post "/v1/tickets/{key}/comments" add_comment = "Comment on a ticket; the agents of later jobs read it."
            [(409, "too_many_comments"), (422, "idempotency_key_reused")];
        patch "/v1/tickets/{key}/comments/{comment}" edit_comment = "Replace the text of a comment, as its author or an admin."
            [(409, "comment_of_other")];
        delete "/v1/tickets/{key}/comments/{comment}" delete_comment = "Delete a comment, as its author or an admin."
            [(409, "comment_of_other")];
        get "/v1/jobs" list_jobs = "List a project's jobs that match the filters, newest first.";
        post "/v1/jobs" create_job = "Create a job for a ticket, from a prompt, or both."
            [(404, "not_found"), GUARDS, (422, "invalid, idempotency_key_reused")];
        get "/v1/jobs/{job}" show_job = "Get a job.";
        post "/v1/jobs/{job}/cancel" cancel_job = "Cancel a job; if it is running, its runner stops first."
            [(409, "too_late")];
        post "/v1/jobs/{job}/pause" pause_job = "Pause a job; if it is running, its runner stops first."
            [(409, "too_late, not_pausable, is_cancelled")];
        post "/v1/jobs/{job}/continue" continue_job = "Continue a paused job."
            [(409, "too_late, asks, is_cancelled")];
        post "/v1/jobs/{job}/answer" answer_job = "Send a message to a job's agent, such as the answer to its question."
            [(409, "too_late, is_cancelled, too_many_inputs"), (422, "idempotency_key_reused")];
        post "/v1/jobs/{job}/retry" retry_job = "Create a new job for the work of a failed or cancelled one."
            [(409, "not_over, not_failed, job_active, project_held, budget_exhausted, ticket_without_repository, repository_not_integrated"), (422, "invalid, idempotency_key_reused")];
        get "/v1/jobs/{job}/why" why = "Explain the state of a job in one sentence.";
        get "/v1/jobs/{job}/events" list_events = "List the events of a job, oldest first.";
        get "/v1/jobs/{job}/artifacts" list_artifacts = "List the artifacts of a job's attempts.";
        get "/v1/jobs/{job}/artifacts/{artifact}" show_artifact = "Redirect to the content of an artifact."
            [(404, "not_found, artifact_missing")];
        get "/v1/jobs/{job}/attempts" list_attempts = "List a job's attempts with agent, model, session, tokens and cost.";
        get "/v1/jobs/{job}/checks" list_checks = "List the results of a job's checks by attempt.";
        get "/v1/jobs/{job}/context" show_context = "Get the exact context that the agent of a job receives.";
        get "/v1/pulls" list_pulls = "List open pull requests that are linked to a project's tickets.";
        get "/v1/pulls/why" why_pull = "Explain the state of a pull request's reviews in one sentence."
            [(404, "not_found")];
        put "/v1/pulls/link" link_pull = "Link a pull request to a ticket; its reviews then start jobs."
            [(404, "not_found"), (409, "linked_elsewhere"), (422, "invalid, forge_refused, secret_missing")];
        delete "/v1/pulls/link" unlink_pull = "Unlink a pull request; its reviews no longer start jobs."
            [(404, "not_found")];
        post "/v1/pulls/revise" revise_pull = "Create a job that revises a pull request as requested."
            [(404, "not_found"), REVIEW_GUARDS, (422, "invalid, forge_refused, secret_missing")];
        get "/v1/deliveries" list_deliveries = "List a project's ledger entries that match the filters, newest first.";
        get "/v1/deliveries/{delivery}" show_delivery = "Get one ledger entry.";
        get "/v1/projects" list_projects = "List the projects that the caller may access, by id.";
        get "/v1/projects/{project}" show_project = "Get a project.";
        get "/v1/projects/{project}/budget" show_budget = "Get a project's daily budget and today's usage.";
        get "/v1/projects/{project}/repositories" list_repositories = "List a project's repositories.";
        get "/v1/integrations" list_integrations = "List the connected forges by id.";
        get "/v1/integrations/{integration}" show_integration = "Get a connected forge.";
        get "/v1/projects/{project}/ingress" list_ingresses = "List how Pullyard learns of events in each repository.";
        get "/v1/runners" list_runners = "List the runners that the caller may see, by name.";
        get "/v1/runners/{runner}" show_runner = "Get a runner by id or name.";
        get "/v1/tokens/self" own_token = "Get the token of this request.";
        post "/v1/sign-in-links" create_sign_in_link = "Create a link that signs one browser in, once.";
    }
    "Administrators" {
        post "/v1/integrations" create_integration = "Connect a forge; verifies the token's account first."
            [(409, "taken"), (422, "invalid, forge_refused, secret_missing")];
        post "/v1/github-apps" connect_github_app = "Connect an existing GitHub App; verifies its key first."
            [(409, "taken"), (422, "invalid, forge_refused, secret_missing")];
        post "/v1/github-apps/conversions" make_github_app = "Create a GitHub App from the code of a manifest, and connect it."
            [(409, "taken, secret_refused"), (422, "invalid, forge_refused")];
        delete "/v1/integrations/{integration}" remove_integration = "Disconnect a forge; the forge and the secrets do not change."
            [(409, "repository_of_integration, hook_of_integration, job_at_integration")];
        post "/v1/integrations/{integration}/test" test_integration = "Test the token of a forge."
            [(422, "secret_missing")];
        post "/v1/projects" create_project = "Create a project." [(409, "taken"), (422, "invalid")];
        patch "/v1/projects/{project}" rename_project = "Change a project's display name." [(422, "invalid")];
        delete "/v1/projects/{project}" delete_project = "Delete a project with its tickets; repeat until `deleted` is true."
            [(409, "repositories_of_project, hook_of_project, job_of_project")];
        put "/v1/projects/{project}/settings" set_settings = "Replace the settings of the given revision."
            [(412, "changed_meanwhile"), (422, "invalid")];
        post "/v1/projects/{project}/columns/rename" rename_column = "Rename a column of the board; its tickets follow, and no job starts."
            [(422, "invalid")];
        post "/v1/projects/{project}/hold" hold_project = "Put a project on hold: no new jobs start until its release."
            [(422, "invalid")];
        post "/v1/projects/{project}/release" release_project = "Release a project; ticket entries that waited are processed.";
        post "/v1/projects/{project}/repositories" add_repository = "Connect a repository; looks it up at its forge first."
            [(409, "taken"), (422, "invalid, forge_refused, secret_missing")];
        delete "/v1/projects/{project}/repositories/{owner}/{name}" remove_repository = "Remove a repository from its project; the forge does not change."
            [(409, "job_in_repository, pull_request_open, hook_of_repository")];
        post "/v1/projects/{project}/repositories/{owner}/{name}/test" test_repository = "Test which features work in a repository."
            [(422, "secret_missing")];
        get "/v1/hooks" list_hooks = "List webhooks by name; those of other projects are omitted.";
        post "/v1/hooks" install_hook = "Create a webhook here and at its forge, or repair an existing one."
            [(404, "not_found"), (409, "taken"), (422, "invalid, forge_refused, secret_missing")];
        get "/v1/hooks/{hook}" show_hook = "Get a webhook.";
        delete "/v1/hooks/{hook}" remove_hook = "Delete a webhook, also at its forge."
            [(422, "forge_refused, secret_missing")];
        post "/v1/hooks/{hook}/verify" verify_hook = "Compare a webhook with its expected configuration.";
        post "/v1/hooks/{hook}/repair" repair_hook = "Repair a webhook's configuration at the forge."
            [(422, "invalid, forge_refused, secret_missing")];
        post "/v1/hooks/{hook}/recover" recover_hook = "Fetch events that a webhook did not deliver.";
        put "/v1/projects/{project}/ingress" set_ingress = "Set how Pullyard learns of events in a repository."
            [(404, "not_found")];
        delete "/v1/runners/{runner}" remove_runner = "Remove a runner; its jobs are requeued or fail first.";
        post "/v1/runners/{runner}/commands" command_runner = "Request that a runner drains or resumes."
            [(409, "runner_deleting")];
        post "/v1/deliveries/{delivery}/replay" replay_delivery = "Decide a delivery again, from the forge's current data."
            [(422, "invalid, forge_refused, secret_missing")];
        get "/v1/tokens" list_tokens = "List all tokens, newest first.";
        post "/v1/tokens" create_token = "Create a token; its value is shown only once."
            [(404, "not_found"), (409, "token_shown"), (422, "invalid, idempotency_key_reused")];
        delete "/v1/tokens/{token}" revoke_token = "Revoke a token, effective immediately.";
        get "/v1/secrets" list_secrets = "List the secrets that people set, without values.";
        put "/v1/secrets/{secret}" set_secret = "Create or replace a secret."
            [(409, "secret_refused"), (422, "invalid")];
        post "/v1/secrets/{secret}/rotate" rotate_secret = "Replace a secret; the old value stays valid for a while."
            [(409, "secret_refused"), (422, "invalid, secret_missing")];
        post "/v1/secrets/{secret}/test" test_secret = "Test a project's model key with its provider."
            [(404, "not_found"), (422, "secret_missing")];
    }
    "Runners" {
        post "/v1/runners" register_runner = "Register a runner, or a new process of one."
            [(403, "not_allowed"), (409, "runner_live, name_taken, runner_replaced, runner_deleting"), (422, "invalid")];
        post "/v1/runners/{runner}/heartbeat" runner_heartbeat = "Send a runner's heartbeat with its active jobs."
            [(409, "runner_replaced, runner_deleting")];
        post "/v1/runners/{runner}/claim" claim_job = "Claim a job for a runner." [(409, "runner_replaced, runner_deleting")];
        post "/v1/jobs/{job}/attempts/{attempt}/start" start_attempt = "Claim the attempt; returns its assignment."
            [(404, "not_found"), (409, "lease_lost, wrong_status, unwanted")];
        post "/v1/jobs/{job}/attempts/{attempt}/status" set_phase = "Report the next phase of the attempt."
            [(404, "not_found"), (409, "lease_lost, wrong_status, unwanted")];
        post "/v1/jobs/{job}/attempts/{attempt}/events" send_events = "Send a batch of events; an empty batch is a heartbeat."
            [(404, "not_found"), (409, "lease_lost")];
        post "/v1/jobs/{job}/attempts/{attempt}/credentials" credentials = "Get the secrets of the attempt."
            [(404, "not_found"), (409, "lease_lost"), (422, "secret_missing, forge_refused, model_secret_missing, signing_secret_missing")];
        post "/v1/jobs/{job}/attempts/{attempt}/artifacts" reserve_artifact = "Reserve the upload of an artifact."
            [(404, "not_found"), (409, "lease_lost"),
            (422, "artifact_too_large, artifacts_too_large, too_many_artifacts, artifact_differs")];
        post "/v1/jobs/{job}/attempts/{attempt}/artifacts/{artifact}/stored" artifact_stored = "Report that an artifact is uploaded."
            [(404, "not_found, artifact_missing"), (409, "lease_lost")];
        get "/v1/jobs/{job}/attempts/{attempt}/inputs" list_inputs = "List people's messages to the agent, oldest first."
            [(404, "not_found"), (409, "lease_lost")];
        get "/v1/jobs/{job}/attempts/{attempt}/checkpoint" find_checkpoint = "Find the checkpoint of an earlier attempt."
            [(404, "not_found"), (409, "lease_lost")];
        post "/v1/jobs/{job}/attempts/{attempt}/yield" give_back = "Suspend the attempt before its work is done."
            [(404, "not_found"), (409, "lease_lost, wrong_status"), (422, "invalid")];
        post "/v1/jobs/{job}/attempts/{attempt}/finish" finish_attempt = "Finish the attempt."
            [(404, "not_found"), (409, "lease_lost, wrong_status"), (422, "invalid")];
    }
    "Operations" {
        get "/healthz" healthz = "Check that the process responds.";
        get "/readyz" readyz = "Check that the table is readable and the sweeper runs."
            [(503, "not_ready")];
        get "/metrics" metrics = "Metrics for Prometheus, from the last snapshot of the sweeper.";
        get "/openapi.json" openapi = "This API description.";
        get "/v1/version" version = "Release, commit, protocol version and clock of the server.";
        post "/v1/sweep" sweep = "Run one round of the sweeper now.";
        get "/v1/breakers" list_breakers = "List paused model accounts; those of other projects are omitted.";
        post "/v1/breakers/close" close_breaker = "Resume a paused model account.";
        get "/v1/dlq" list_dead_letters = "List dead letters.";
        get "/v1/dlq/{message}" show_dead_letter = "Get one dead letter; for 30 s after another read it may return 404.";
        post "/v1/dlq/redrive" redrive_dead_letters = "Return dead letters to their queues; records the stop of a task."
            [(422, "invalid")];
        post "/v1/dlq/drop" drop_dead_letters = "Delete dead letters permanently." [(422, "invalid")];
    }
}
