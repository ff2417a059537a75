//! Summaries and refusal codes of all routes, for the OpenAPI document. A test compares the table with the router.

use pullyard_entry::openapi::Said;

const GUARDS: (u16, &str) =
    (409, "job_active, project_held, budget_exhausted, ticket_without_repository, repository_not_integrated");

const REVIEW_GUARDS: (u16, &str) =
    (409, "pull_request_closed, no_linked_ticket, ticket_inactive, job_active, project_held, budget_exhausted");

macro_rules! said {
    ($($tag:ident { $($method:ident $route:literal $id:ident = $summary:literal $([$($refusal:expr),*])?;)* })*) => {
        pub(crate) const SAID: &[Said] = &[$($(Said {
            method: stringify!($method),
            route: $route,
            id: stringify!($id),
            tag: stringify!($tag),
            summary: $summary,
            refusals: &[$($($refusal),*)?],
        },)*)*];
    };
}

said! {
    system {
        get "/healthz" healthz = "The process answers.";
        get "/readyz" readyz = "Whether the table can be read and the sweeper goes round."
            [(503, "not_ready")];
        get "/metrics" metrics = "What the deployment is doing, for Prometheus: the sweeper's last snapshot.";
        get "/openapi.json" openapi = "This description.";
        get "/v1/version" version = "The release, its commit, the protocol it speaks, and its clock.";
        post "/v1/sweep" sweep = "One round of the sweeper, now.";
        post "/v1/sign-in-links" create_sign_in_link = "A link that signs one browser in, once.";
    }
    integrations {
        get "/v1/integrations" list_integrations = "The connected forges, by id.";
        post "/v1/integrations" create_integration = "Connects a forge, after asking it who the token belongs to."
            [(409, "taken"), (422, "invalid, forge_refused, secret_missing")];
        post "/v1/github-apps" connect_github_app = "Connects a GitHub App that is there, after asking whether the key is its own."
            [(409, "taken"), (422, "invalid, forge_refused, secret_missing")];
        post "/v1/github-apps/conversions" make_github_app = "Makes a GitHub App of a manifest's code, and connects it."
            [(409, "taken, secret_refused"), (422, "invalid, forge_refused")];
        get "/v1/integrations/{integration}" show_integration = "A connected forge.";
        delete "/v1/integrations/{integration}" remove_integration = "Disconnects a forge; there, and of its secrets, nothing changes."
            [(409, "repository_of_integration, hook_of_integration, job_at_integration")];
        post "/v1/integrations/{integration}/test" test_integration = "What the forge says of our token now."
            [(422, "secret_missing")];
    }
    projects {
        get "/v1/projects" list_projects = "The projects that the caller may touch, by id.";
        post "/v1/projects" create_project = "Makes a project." [(409, "taken"), (422, "invalid")];
        get "/v1/projects/{project}" show_project = "A project.";
        put "/v1/projects/{project}/settings" set_settings = "Replaces the settings, over the revision that was seen."
            [(412, "changed_meanwhile"), (422, "invalid")];
        post "/v1/projects/{project}/hold" hold_project = "Holds a project: nothing new starts until it is released."
            [(422, "invalid")];
        post "/v1/projects/{project}/release" release_project = "Releases a project; what was refused meanwhile is caught up.";
        get "/v1/projects/{project}/budget" show_budget = "What a project may use up on each day, and what it has used up today.";
        get "/v1/projects/{project}/repositories" list_repositories = "A project's repositories.";
        post "/v1/projects/{project}/repositories" add_repository = "Connects a repository, after asking its forge for it."
            [(409, "taken"), (422, "invalid, forge_refused, secret_missing")];
        delete "/v1/projects/{project}/repositories/{owner}/{name}" remove_repository = "Takes a repository out of its project; at its forge nothing changes."
            [(409, "job_in_repository, pull_request_open, hook_of_repository")];
        post "/v1/projects/{project}/repositories/{owner}/{name}/test" test_repository = "Which features work in a repository."
            [(422, "secret_missing")];
    }
    hooks {
        get "/v1/hooks" list_hooks = "Our webhooks, by name; those of other projects are left out.";
        post "/v1/hooks" install_hook = "Makes a webhook here and at its forge, or mends the one that is there."
            [(404, "not_found"), (409, "taken"), (422, "invalid, forge_refused, secret_missing")];
        get "/v1/hooks/{hook}" show_hook = "A webhook.";
        delete "/v1/hooks/{hook}" remove_hook = "Forgets a webhook, at its forge too."
            [(422, "forge_refused, secret_missing")];
        post "/v1/hooks/{hook}/verify" verify_hook = "In which ways a webhook is not what it should be.";
        post "/v1/hooks/{hook}/repair" repair_hook = "Has the forge's webhook be what it should be."
            [(422, "invalid, forge_refused, secret_missing")];
        post "/v1/hooks/{hook}/recover" recover_hook = "Looks for what a webhook should have told, now.";
        get "/v1/projects/{project}/ingress" list_ingresses = "How what happens in each repository is heard of.";
        put "/v1/projects/{project}/ingress" set_ingress = "Sets how what happens in a repository is heard of."
            [(404, "not_found")];
    }
    tickets {
        post "/v1/tickets/events" tell_ticket_event = "A ticket tool tells what happened; the answer is the decision.";
        get "/v1/tickets" list_tickets = "A project's tickets, by key." [(404, "not_found")];
        post "/v1/tickets" create_ticket = "Writes a ticket on the built-in board."
            [(404, "not_found"), (409, "taken"), (422, "idempotency_key_reused")];
        get "/v1/tickets/{key}" show_ticket = "A ticket.";
        patch "/v1/tickets/{key}" edit_ticket = "Changes a ticket's text; never starts a job."
            [(422, "idempotency_key_reused")];
        post "/v1/tickets/{key}/move" move_ticket = "Puts a ticket in another column, which may start a job."
            [(422, "idempotency_key_reused")];
    }
    jobs {
        get "/v1/jobs" list_jobs = "A project's jobs that are asked for, newest first.";
        post "/v1/jobs" create_job = "Makes a job for a ticket, from a prompt, or both."
            [(404, "not_found"), GUARDS, (422, "invalid, idempotency_key_reused")];
        get "/v1/jobs/{job}" show_job = "A job.";
        post "/v1/jobs/{job}/cancel" cancel_job = "Cancels a job; its runner may have to stop it first."
            [(409, "too_late")];
        post "/v1/jobs/{job}/pause" pause_job = "Pauses a job; its runner may have to stop first."
            [(409, "too_late, not_pausable, is_cancelled")];
        post "/v1/jobs/{job}/continue" continue_job = "Continues a paused job."
            [(409, "too_late, asks, is_cancelled")];
        post "/v1/jobs/{job}/answer" answer_job = "Says something to a job's agent: the answer to its question, for one."
            [(409, "too_late, is_cancelled, too_many_inputs"), (422, "idempotency_key_reused")];
        post "/v1/jobs/{job}/retry" retry_job = "Makes a job that does the work of an ended one again."
            [(409, "not_over, not_failed, job_active, project_held, budget_exhausted, ticket_without_repository, repository_not_integrated"), (422, "invalid, idempotency_key_reused")];
        get "/v1/jobs/{job}/why" why = "One plain sentence on why a job is where it is.";
        get "/v1/jobs/{job}/events" list_events = "What the agent did, oldest first.";
        get "/v1/jobs/{job}/artifacts" list_artifacts = "What a job's attempts left behind.";
        get "/v1/jobs/{job}/artifacts/{artifact}" show_artifact = "The way to something that an attempt left behind."
            [(404, "not_found, artifact_missing")];
        get "/v1/jobs/{job}/attempts" list_attempts = "How a job's attempts went: agent, model, session, tokens, cost.";
        get "/v1/jobs/{job}/checks" list_checks = "What came of the checks on a job's work, attempt by attempt.";
        get "/v1/jobs/{job}/context" show_context = "What a job's agent is told, as it was frozen.";
    }
    pulls {
        get "/v1/pulls" list_pulls = "The open pull requests that a project's tickets are linked to.";
        get "/v1/pulls/why" why_pull = "One plain sentence on what is so with a pull request's reviews."
            [(404, "not_found")];
        put "/v1/pulls/link" link_pull = "Links a pull request to a ticket, so that its reviews start jobs."
            [(404, "not_found"), (409, "linked_elsewhere"), (422, "invalid, forge_refused, secret_missing")];
        delete "/v1/pulls/link" unlink_pull = "Takes the link of a pull request away: its reviews start nothing any more."
            [(404, "not_found")];
        post "/v1/pulls/revise" revise_pull = "Makes a job that revises a pull request as a person asks."
            [(404, "not_found"), REVIEW_GUARDS, (422, "invalid, forge_refused, secret_missing")];
    }
    attempts {
        post "/v1/jobs/{job}/attempts/{attempt}/start" start_attempt = "Claims the attempt and tells what to do."
            [(404, "not_found"), (409, "lease_lost, wrong_status, unwanted")];
        post "/v1/jobs/{job}/attempts/{attempt}/status" set_phase = "The next phase begins."
            [(404, "not_found"), (409, "lease_lost, wrong_status, unwanted")];
        post "/v1/jobs/{job}/attempts/{attempt}/events" send_events = "A batch of events; an empty one is a heartbeat."
            [(404, "not_found"), (409, "lease_lost")];
        post "/v1/jobs/{job}/attempts/{attempt}/credentials" credentials = "The secrets of the attempt."
            [(404, "not_found"), (409, "lease_lost"), (422, "secret_missing, forge_refused, model_secret_missing, signing_secret_missing")];
        post "/v1/jobs/{job}/attempts/{attempt}/artifacts" reserve_artifact = "A place for something that the attempt keeps."
            [(404, "not_found"), (409, "lease_lost"),
            (422, "artifact_too_large, artifacts_too_large, too_many_artifacts, artifact_differs")];
        post "/v1/jobs/{job}/attempts/{attempt}/artifacts/{artifact}/stored" artifact_stored = "It is in its place."
            [(404, "not_found, artifact_missing"), (409, "lease_lost")];
        get "/v1/jobs/{job}/attempts/{attempt}/inputs" list_inputs = "What people said to the agent, oldest first."
            [(404, "not_found"), (409, "lease_lost")];
        get "/v1/jobs/{job}/attempts/{attempt}/checkpoint" find_checkpoint = "What an earlier attempt left to go on from."
            [(404, "not_found"), (409, "lease_lost")];
        post "/v1/jobs/{job}/attempts/{attempt}/yield" give_back = "The runner gives the job back before its work is done."
            [(404, "not_found"), (409, "lease_lost, wrong_status"), (422, "invalid")];
        post "/v1/jobs/{job}/attempts/{attempt}/finish" finish_attempt = "The attempt has ended."
            [(404, "not_found"), (409, "lease_lost, wrong_status"), (422, "invalid")];
    }
    runners {
        get "/v1/runners" list_runners = "Every runner that the caller may see, by name.";
        post "/v1/runners" register_runner = "Introduces a runner, or a new process of one."
            [(403, "not_allowed"), (409, "runner_live, name_taken, runner_replaced, runner_deleting"), (422, "invalid")];
        get "/v1/runners/{runner}" show_runner = "A runner, by its id or name.";
        delete "/v1/runners/{runner}" remove_runner = "Removes a runner; its jobs may have to be taken away first.";
        post "/v1/runners/{runner}/commands" command_runner = "Asks a runner to drain or to go on."
            [(409, "runner_deleting")];
        post "/v1/runners/{runner}/heartbeat" runner_heartbeat = "The runner lives, and says what it runs."
            [(409, "runner_replaced, runner_deleting")];
        post "/v1/runners/{runner}/claim" claim_job = "The runner asks for a job." [(409, "runner_replaced, runner_deleting")];
    }
    ledger {
        get "/v1/deliveries" list_deliveries = "A project's ledger, newest first: all of it, or what is asked for.";
        get "/v1/deliveries/{delivery}" show_delivery = "One entry of the ledger.";
        post "/v1/deliveries/{delivery}/replay" replay_delivery = "Decides a delivery again, from what its forge says now."
            [(422, "invalid, forge_refused, secret_missing")];
    }
    breakers {
        get "/v1/breakers" list_breakers = "Models' accounts that are left alone for a while; those of others are left out.";
        post "/v1/breakers/close" close_breaker = "Lets everybody ask a model's account again.";
    }
    dead_letters {
        get "/v1/dlq" list_dead_letters = "Messages that failed too often.";
        get "/v1/dlq/{message}" show_dead_letter = "One of them; one that somebody else looks at is not found for half a minute.";
        post "/v1/dlq/redrive" redrive_dead_letters = "Sends messages back to the queues that they failed in; a death of a task is noted."
            [(422, "invalid")];
        post "/v1/dlq/drop" drop_dead_letters = "Deletes messages for good." [(422, "invalid")];
    }
    tokens {
        get "/v1/tokens" list_tokens = "All tokens, newest first.";
        post "/v1/tokens" create_token = "Makes a token and shows it, this once."
            [(404, "not_found"), (409, "token_shown"), (422, "invalid, idempotency_key_reused")];
        get "/v1/tokens/self" own_token = "The token that is shown for this very call.";
        delete "/v1/tokens/{token}" revoke_token = "Revokes a token, from this moment on.";
    }
    secrets {
        get "/v1/secrets" list_secrets = "The secrets that people set, without their values.";
        put "/v1/secrets/{secret}" set_secret = "Sets a secret, whether or not it was set before."
            [(409, "secret_refused"), (422, "invalid")];
        post "/v1/secrets/{secret}/rotate" rotate_secret = "Another value; the one it had counts beside it for a while."
            [(409, "secret_refused"), (422, "invalid, secret_missing")];
    }
}
