//! One example per route for the OpenAPI document. All tell the story of ticket APP-1 in project acme.

use pullyard_domain::id::RepositoryName;
use pullyard_domain::project::Settings;
use serde_json::{Value, json};

const PROJECT: &str = "acme";
const REPOSITORY: &str = "acme/app";
const TICKET: &str = "APP-1";
const TITLE: &str = "Greet the user by name";
const DESCRIPTION: &str = "The start page says \"Hello\". Add the name of the user.";
const COMMENT: &str = "Please use the name from the account, not from the cookie.";
const JOB: &str = "job_01kag8abz0q9d5m3t7x1w2e4r6";
const BRANCH: &str = "pullyard/acme/app-1-1";
const HEAD: &str = "9f2c1e7ab04d5c63f8e1b27a90d4c5e6f7a8b9c0";
const PULL_REQUEST: &str = "https://github.com/acme/app/pull/7";
const DELIVERY: &str = "dlv_01kag8abz1c7n2p5v9j3h6s4y8";
const RUNNER: &str = "rnr_01kag7p4c2v8n6h3s9y5b1j0f7";
const INSTANCE: &str = "kite-01kag7p4c2";
const ARTIFACT: &str = "art_01kag8kx5r3d7w1q9m6t2b4z8c";
const SHA256: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
const MESSAGE: &str = "3f6d0d8e-52a1-4c0b-9c7e-1b2a3c4d5e6f";
const FORGE_API: &str = "https://api.github.com";
const SERVER: &str = "https://pullyard.example.com";
const CREATED: &str = "2026-11-20T12:04:01.000Z";
const STARTED: &str = "2026-11-20T12:04:09.000Z";
const ENDED: &str = "2026-11-20T12:11:42.000Z";
const NO_ACTION: &str = "Nothing to do.";
const PROMPT: &str = "Implement ticket APP-1: Greet the user by name.";

pub(crate) struct Example {
    pub(crate) request: Option<Value>,
    pub(crate) response: Value,
}

fn call(request: Value, response: Value) -> Option<Example> {
    Some(Example { request: Some(request), response })
}

fn answer(response: Value) -> Option<Example> {
    Some(Example { request: None, response })
}

pub(crate) fn find_example(operation: &str) -> Option<Example> {
    match operation {
        "tell_ticket_event" => call(
            json!({
                "event_id": "10482", "occurred_at": CREATED, "project": PROJECT, "actor": "ana",
                "previous_status": "Todo",
                "ticket": {
                    "key": TICKET, "title": TITLE, "description": DESCRIPTION, "status": "AI Processing",
                    "labels": ["frontend"], "url": "https://tracker.example.com/APP-1",
                },
            }),
            accepted(),
        ),

        "list_tickets" => answer(json!({ "tickets": [ticket()], "next": null })),
        "create_ticket" => call(
            json!({
                "project": PROJECT, "key": TICKET, "title": TITLE, "description": DESCRIPTION,
                "status": "AI Processing", "labels": ["frontend"],
            }),
            json!({ "ticket": ticket(), "decision": accepted() }),
        ),
        "show_ticket" => answer(ticket()),
        "edit_ticket" => call(json!({ "title": TITLE }), json!({ "ticket": ticket(), "decision": unchanged() })),
        "delete_ticket" => answer(json!({ "project": PROJECT, "key": TICKET })),
        "move_ticket" => call(
            json!({ "status": "AI Processing", "before": "APP-2" }),
            json!({ "ticket": ticket(), "decision": accepted() }),
        ),

        "list_comments" => answer(json!({ "comments": [comment()], "next": null })),
        "add_comment" | "edit_comment" => call(json!({ "text": COMMENT }), comment()),
        "delete_comment" => answer(json!({ "project": PROJECT, "key": TICKET, "number": 1 })),

        "list_jobs" => answer(json!({ "jobs": [completed_job()], "next": null, "looked_back_to": CREATED })),
        "create_job" => {
            call(json!({ "project": PROJECT, "ticket": TICKET, "prompt": "Also greet guests." }), accepted())
        }
        "show_job" => answer(completed_job()),
        "cancel_job" => call(
            json!({ "reason": "The ticket is obsolete." }),
            changed_job(json!({
                "status": "cancelled", "ended": ENDED,
                "cancel": { "by": "ana", "reason": "The ticket is obsolete.", "at": ENDED, "until": null },
            })),
        ),
        "pause_job" => {
            call(json!({}), changed_job(json!({ "status": "paused", "pause": { "by": "ana", "at": ENDED } })))
        }
        "continue_job" => call(json!({}), changed_job(json!({ "status": "ready" }))),
        "answer_job" => {
            call(json!({ "text": "Use the first name." }), changed_job(json!({ "status": "ready", "inputs": 1 })))
        }
        "retry_job" => call(json!({}), accepted()),
        "why" => answer(json!({
            "status": "completed", "sentence": "The job completed with pull request #7: 2 files changed.",
            "help": "Review it.", "code": null,
        })),
        "list_events" => answer(json!({
            "events": [{ "attempt": 1, "at": STARTED, "event": event() }], "cursor": "1.1", "end": false,
        })),
        "list_artifacts" => answer(json!({ "artifacts": [{
            "id": ARTIFACT, "attempt": 1, "kind": "patch", "name": "changes.patch", "size_bytes": 1804, "sha256": SHA256,
            "at": ENDED, "stored": true,
        }] })),
        "list_attempts" => answer(json!({ "job": JOB, "attempts": [{
            "attempt": 1, "runner": RUNNER, "task": null, "started": STARTED, "ended": ENDED, "how": "completed",
            "failure": null, "work": work(), "spent_usd_micros": 410_000,
        }] })),
        "list_checks" => answer(json!({ "job": JOB, "attempts": [{ "attempt": 1, "checks": [check()] }] })),
        "show_context" => answer(json!({
            "job": JOB, "hash": SHA256, "repository": REPOSITORY, "base": "main", "prompt": PROMPT,
        })),

        "list_pulls" => answer(json!({ "pulls": [pull_request()], "next": null })),
        "why_pull" => answer(pull_request()),
        "link_pull" => {
            call(json!({ "project": PROJECT, "repository": REPOSITORY, "number": 7, "ticket": TICKET }), pull_request())
        }
        "unlink_pull" => answer(json!({ "ticket": TICKET })),
        "revise_pull" => call(
            json!({ "project": PROJECT, "repository": REPOSITORY, "number": 7, "message": "Also add a test." }),
            accepted(),
        ),

        "list_deliveries" => answer(json!({ "deliveries": [delivery()], "next": null, "looked_back_to": CREATED })),
        "show_delivery" => answer(delivery()),
        "list_projects" => answer(json!({ "projects": [project(json!({}))], "next": null })),
        "show_project" => answer(project(json!({}))),
        "show_budget" => answer(json!({
            "project": PROJECT, "budget": { "jobs_per_day": 20, "usd_micros_per_day": 50_000_000 },
            "day": "2026-11-20", "jobs": 1, "spent_usd_micros": 410_000, "reserved_usd_micros": 0,
            "until": "2026-11-21T00:00:00.000Z",
        })),
        "list_repositories" => answer(json!({ "repositories": [repository()] })),
        "list_integrations" => answer(json!({ "integrations": [integration(token_auth())], "next": null })),
        "show_integration" => answer(integration(token_auth())),
        "list_ingresses" => answer(json!({ "repositories": [ingress()] })),
        "list_runners" => answer(json!({ "runners": [runner()] })),
        "show_runner" => answer(runner()),
        "own_token" => answer(token(json!({}))),
        "create_sign_in_link" => {
            call(json!({}), json!({ "url": format!("{SERVER}/sign-in?code=…"), "expires_in_secs": 600 }))
        }

        "create_integration" => call(
            json!({ "id": "gh1", "kind": "github", "api_url": FORGE_API, "token_secret": "pullyard/user/github" }),
            integration(token_auth()),
        ),
        "connect_github_app" => call(
            json!({
                "id": "gh1", "api_url": FORGE_API, "app_id": 314_159, "key_secret": "pullyard/user/app-key",
                "webhook_secret": "pullyard/user/app-webhook",
            }),
            integration(app_auth()),
        ),
        "make_github_app" => call(
            json!({ "id": "gh1", "api_url": FORGE_API, "code": "a180b1a3d263c81bc6441d7b990bae27d4c10679" }),
            integration(app_auth()),
        ),
        "remove_integration" => answer(json!({ "id": "gh1", "secrets": ["pullyard/user/github"] })),
        "test_integration" => answer(json!({ "works": true, "sentence": "gh1 accepts our token.", "help": NO_ACTION })),
        "create_project" => call(
            json!({
                "id": PROJECT, "name": "Acme",
                "settings": { "auto_create": true, "default_repository": REPOSITORY },
            }),
            project(json!({})),
        ),
        "delete_project" => answer(json!({ "id": PROJECT, "tickets": 12, "deleted": true })),
        "rename_project" => call(json!({ "name": "Acme" }), project(json!({}))),
        "set_settings" => call(
            json!({ "auto_create": true, "default_repository": REPOSITORY, "revise_on_review": true }),
            project(json!({ "revise_on_review": true })),
        ),
        "rename_column" => call(
            json!({ "from": "In Review", "to": "Review" }),
            json!({
                "moved_tickets": 3, "complete": true, "columns": ["Todo", "AI Processing", "Review", "Done", "Closed"],
            }),
        ),
        "hold_project" => call(
            json!({ "reason": "Release freeze" }),
            project(json!({ "held_by": "ana", "held_reason": "Release freeze" })),
        ),
        "release_project" => call(json!({}), project(json!({}))),
        "add_repository" => call(
            json!({ "integration": "gh1", "name": REPOSITORY, "agent": { "capability": "claude_code" } }),
            repository(),
        ),
        "remove_repository" => answer(json!({ "integration": "gh1", "name": REPOSITORY, "was_default": true })),
        "test_repository" => answer(json!({
            "works": true, "sentence": "No missing permission was found in acme/app.", "help": NO_ACTION,
            "features": [{
                "feature": "push", "verdict": "works", "words": "fetch and push branches", "permissions": ["contents: write"],
            }],
        })),
        "list_hooks" => answer(json!({ "hooks": [hook()], "next": null })),
        "install_hook" => call(
            json!({
                "name": "acme", "integration": "gh1", "project": PROJECT, "repository": REPOSITORY, "base_url": SERVER,
            }),
            hook(),
        ),
        "show_hook" => answer(hook()),
        "remove_hook" => answer(json!({ "name": "acme" })),
        "verify_hook" => answer(json!({ "hook": hook(), "drifts": [{
            "code": "disabled", "sentence": "It is disabled.", "repairable": true,
        }] })),
        "repair_hook" => answer(json!({ "hook": hook(), "drifts": [] })),
        "recover_hook" => call(
            json!({ "since": CREATED }),
            json!({ "repositories": 1, "waiting": 0, "pull_requests": 1, "reviews": 1, "problems": [] }),
        ),
        "set_ingress" => call(json!({ "repository": REPOSITORY, "ingress": "both" }), ingress()),
        "remove_runner" => answer(json!({ "id": RUNNER, "gone": true })),
        "command_runner" => call(json!({ "command": "drain" }), {
            let mut runner = runner();
            runner["drain"] = json!({ "by": "ana", "at": ENDED, "acknowledged": null });
            runner
        }),
        "replay_delivery" => answer(accepted()),
        "list_tokens" => answer(json!({ "tokens": [token(json!({}))], "next": null })),
        "create_token" => call(
            json!({
                "name": "tracker", "kind": "api", "scopes": ["tickets"], "projects": [PROJECT],
                "expires_in_secs": 7_776_000,
            }),
            token(json!({ "token": "pat_Xk4v…", "last_used": null })),
        ),
        "revoke_token" => answer(token(json!({ "state": "revoked", "own": false }))),
        "list_secrets" => answer(json!({ "secrets": [secret()], "next": null })),
        "set_secret" => call(json!({ "value": "github_pat_…" }), secret()),
        "test_secret" => call(
            json!({ "project": PROJECT }),
            json!({
                "works": true, "result": "accepted", "sentence": "The model’s provider accepts the key.",
                "help": "The test is free, so it does not show whether the account has credit.",
            }),
        ),
        "rotate_secret" => call(
            json!({ "value": "github_pat_…", "overlap_secs": 3_600 }),
            json!({ "name": "github", "secret": "pullyard/user/github", "old_until": "2026-11-20T13:04:01.000Z" }),
        ),

        "register_runner" => call(
            json!({
                "name": "kite", "instance": INSTANCE, "capabilities": ["claude_code"], "labels": ["gpu"],
                "version": env!("CARGO_PKG_VERSION"), "slots": 2, "isolation": isolation(),
            }),
            json!({
                "runner": RUNNER, "heartbeat_idle_secs": 30, "heartbeat_busy_secs": 10, "offline_after_secs": 90,
                "poll_ms": 2_000,
            }),
        ),
        "runner_heartbeat" => {
            call(json!({ "instance": INSTANCE, "active": [JOB] }), json!({ "next_secs": 10, "drain": false }))
        }
        "claim_job" => call(
            json!({ "instance": INSTANCE, "claim_id": "claim-1" }),
            json!({ "job": { "job": JOB, "attempt": 1, "bootstrap": "pyb_…" }, "poll_ms": 2_000 }),
        ),
        "start_attempt" => call(json!({ "claim_id": "claim-1", "instance": INSTANCE }), assignment()),
        "set_phase" => {
            call(json!({ "status": "syncing", "inputs": 0 }), json!({ "want": "run", "push_for_secs": 120 }))
        }
        "send_events" => call(
            json!({ "first_seq": 1, "events": [event()], "inputs": 0 }),
            json!({ "next_seq": 2, "want": "run", "inputs": 0, "watched": false, "send_every_ms": 5_000 }),
        ),
        "credentials" => call(
            json!({}),
            json!({
                "forge_token": "ghs_…", "expires_in_secs": 3_600,
                "model": [{ "key": "anthropic_api_key", "value": "sk-ant-…" }],
            }),
        ),
        "reserve_artifact" => call(
            json!({ "kind": "patch", "name": "changes.patch", "size_bytes": 1804, "sha256": SHA256 }),
            json!({
                "id": ARTIFACT, "put_url": "https://artifacts.example.com/…", "headers": { "content-length": "1804" },
            }),
        ),
        "artifact_stored" => call(json!({}), json!({})),
        "list_inputs" => answer(json!({ "inputs": [{ "seq": 1, "by": "ana", "text": "Use the first name." }] })),
        "find_checkpoint" => answer(json!({ "checkpoint": {
            "job": JOB, "attempt": 1, "size_bytes": 48_211, "sha256": SHA256,
            "get_url": "https://artifacts.example.com/…",
        } })),
        "give_back" => call(
            json!({
                "yield_id": "yield-1", "outcome": "asks", "question": "First name or full name?", "inputs": 0,
                "agent": "claude_code", "session": "0b1f6a3e-7c52-4d3a-9a51-2f8c7e6d5b40",
            }),
            json!({ "status": "awaiting_input" }),
        ),
        "finish_attempt" => call(
            json!({
                "finish_id": "finish-1", "outcome": "completed", "spent_usd_micros": 410_000, "work": work(),
                "result": {
                    "branch": BRANCH, "head": HEAD, "files": 2, "insertions": 18, "deletions": 1,
                    "pull_request": { "number": 7, "url": PULL_REQUEST },
                },
            }),
            json!({ "status": "completed" }),
        ),

        "healthz" => answer(json!({ "status": "ok" })),
        "readyz" => answer(json!({ "status": "ok", "table": "ok", "sweeper": "ok" })),
        "metrics" => answer(json!(
            "# HELP pullyard_jobs Jobs that have not ended.\n# TYPE pullyard_jobs gauge\npullyard_jobs{state=\"running\"} 1\n"
        )),
        "openapi" => answer(json!({ "openapi": "3.1.0", "info": { "title": "Pullyard" }, "paths": {} })),
        "version" => answer(json!({
            "version": env!("CARGO_PKG_VERSION"), "commit": "9f2c1e7ab04d", "protocol": 1, "time": CREATED,
        })),
        "sweep" => answer(json!({
            "looked_at": 3, "started": 1, "requeued": 0, "ended": 0, "tickets": 1, "admitted": 0, "pull_requests": 0,
            "looks": 0, "nothing": 1, "failed": 0, "offline": 0, "more": false,
        })),
        "list_breakers" => answer(json!({ "breakers": [{
            "account": "project/acme/claude_code", "code": "limit_reached",
            "sentence": "The model account's limit is used up until 2026-11-20 13:00 UTC.",
            "until": "2026-11-20T13:00:00.000Z", "opened": ENDED, "times": 1,
        }] })),
        "close_breaker" => call(
            json!({ "account": "project/acme/claude_code" }),
            json!({ "account": "project/acme/claude_code", "closed": true }),
        ),
        "list_dead_letters" => answer(json!({ "letters": [dead_letter()], "more": false })),
        "show_dead_letter" => answer(dead_letter()),
        "redrive_dead_letters" | "drop_dead_letters" => {
            call(json!({ "messages": [MESSAGE] }), json!({ "done": [dead_letter()], "not_moved": [] }))
        }
        _ => None,
    }
}

fn accepted() -> Value {
    json!({
        "delivery": DELIVERY, "verdict": "accepted", "code": "accepted", "sentence": "Created job E4R6.",
        "help": NO_ACTION, "job": JOB,
    })
}

fn unchanged() -> Value {
    json!({
        "delivery": DELIVERY, "verdict": "refused", "code": "status_unchanged",
        "sentence": "APP-1 was already in AI Processing; only entering it starts a job.",
        "help": "Move it out and in again, or `pullyard jobs create --ticket APP-1`.",
    })
}

fn ticket() -> Value {
    json!({
        "project": PROJECT, "key": TICKET, "title": TITLE, "description": DESCRIPTION, "status": "AI Processing",
        "labels": ["frontend"], "url": null, "repository": REPOSITORY, "synced": true, "badges": [],
        "active_job": JOB, "last_job": null, "pull_request": null, "pull_request_state": null, "waits": null,
    })
}

fn changed_job(fields: Value) -> Value {
    let job = json!({
        "id": JOB, "project": PROJECT, "kind": "implement", "status": "executing", "title": TITLE, "ticket": TICKET,
        "repository": REPOSITORY, "place": "runners", "attempt": 1, "branch": BRANCH, "created": CREATED,
        "started": STARTED, "ended": null, "inputs": 0, "heard": 0, "failure": null, "waits": null, "result": null,
    });
    merge(job, fields)
}

fn completed_job() -> Value {
    changed_job(json!({
        "status": "completed", "ended": ENDED,
        "result": {
            "branch": BRANCH, "head": HEAD, "number": 7, "url": PULL_REQUEST, "files": 2, "insertions": 18,
            "deletions": 1,
        },
    }))
}

fn merge(mut object: Value, fields: Value) -> Value {
    if let (Value::Object(object), Value::Object(fields)) = (&mut object, fields) {
        object.extend(fields);
    }
    object
}

fn event() -> Value {
    json!({ "seq": 1, "age_ms": 120, "kind": "tool_call", "name": "Edit", "path": "src/start.ts", "call": "call-1" })
}

fn check() -> Value {
    json!({ "command": "npm test", "round": 0, "outcome": "passed", "exit_code": 0, "took_ms": 8_210 })
}

fn work() -> Value {
    json!({
        "agent": "claude_code", "isolation": "bubblewrap", "isolation_check": "18 of 18 attacks stopped; limits: per process",
        "refused_hosts": ["evil.example"], "starts": 1, "turns": 14, "input_tokens": 182_400,
        "cached_input_tokens": 161_000, "output_tokens": 6_120, "checks": [check()], "commit": HEAD,
    })
}

fn pull_request() -> Value {
    json!({
        "project": PROJECT, "integration": "gh1", "repository": REPOSITORY, "number": 7, "label": "acme/app#7",
        "url": PULL_REQUEST, "branch": BRANCH, "state": "open", "ticket": TICKET, "job": JOB, "revised": null,
        "held_until": null, "help": NO_ACTION,
        "sentence": "No reviews are waiting. A review that requests changes on acme/app#7 starts a job.",
    })
}

fn delivery() -> Value {
    json!({
        "id": DELIVERY, "project": PROJECT, "source": "ticket_tool", "event": "10482", "ticket": TICKET, "at": CREATED,
        "repeats": 0, "verdict": "accepted", "code": "accepted", "sentence": "Created job E4R6.", "help": NO_ACTION,
        "job": JOB,
        "facts": {
            "v": 1, "decided_at": CREATED, "occurred_at": CREATED, "actor": "ana", "status": "AI Processing",
            "previous_status": "Todo", "status_before": "Todo", "seen": ["2026-11-20T11:58:00.000Z", "10481"],
            "active_job": null, "trigger": "AI Processing", "auto_create": true, "held_by": null,
            "repository": REPOSITORY,
        },
    })
}

fn project(settings: Value) -> Value {
    let default_repository = RepositoryName::new(REPOSITORY).ok();
    let all = Settings { auto_create: true, default_repository, ..Settings::default() };
    let settings = merge(serde_json::to_value(all).unwrap_or_default(), settings);
    json!({ "id": PROJECT, "name": "Acme", "settings": settings, "revision": 1 })
}

fn repository() -> Value {
    json!({
        "integration": "gh1", "id": 1_296_269, "name": REPOSITORY, "clone_url": "https://github.com/acme/app.git",
        "default_branch": "main", "agent": { "capability": "claude_code", "command": [] },
    })
}

fn token_auth() -> Value {
    json!({ "kind": "token", "secret": "pullyard/user/github" })
}

fn app_auth() -> Value {
    json!({
        "kind": "app", "app_id": 314_159, "slug": "pullyard-acme", "key_secret": "pullyard/user/app-key",
        "webhook_secret": "pullyard/user/app-webhook",
    })
}

fn integration(auth: Value) -> Value {
    json!({
        "id": "gh1", "kind": "github", "api_url": FORGE_API, "auth": auth,
        "account": { "id": 583_231, "login": "acme-pullyard" },
    })
}

fn comment() -> Value {
    json!({ "number": 1, "author": "ana", "text": COMMENT, "created": CREATED, "edited": null })
}

fn ingress() -> Value {
    json!({ "repository": REPOSITORY, "ingress": "both", "seen_until": CREATED, "gone_at": null, "problem": null })
}

fn hook() -> Value {
    json!({
        "name": "acme", "integration": "gh1", "forge": "github", "project": PROJECT,
        "kind": { "of": "repository", "id": 1_296_269, "name": REPOSITORY }, "secret": "hook-acme",
        "url": format!("{SERVER}/webhooks/github/acme"), "forge_id": 12_345_678, "verified_at": CREATED, "refused_at": null,
        "refused": 0, "old_secret_until": null,
    })
}

fn isolation() -> Value {
    json!({ "level": "bubblewrap", "result": "18 of 18 attacks stopped; limits: per process" })
}

fn runner() -> Value {
    json!({
        "id": RUNNER, "name": "kite", "status": "online", "slots": 2, "busy": 1, "isolation": isolation(),
        "jobs": [{ "job": JOB, "project": PROJECT, "attempt": 1, "since": STARTED }], "capabilities": ["claude_code"],
        "labels": ["gpu"], "version": env!("CARGO_PKG_VERSION"), "projects": [PROJECT], "instance": INSTANCE,
        "heard": STARTED, "drain": null,
    })
}

fn token(fields: Value) -> Value {
    let token = json!({
        "id": "5891b5b522d5df08", "name": "tracker", "kind": "api", "prefix": "pat_Xk4v", "scopes": ["tickets"],
        "projects": [PROJECT], "runner": null, "created": CREATED, "created_by": "ana", "last_used": ENDED,
        "expires_at": "2027-02-18T12:04:01.000Z", "state": "active",
    });
    merge(token, fields)
}

fn secret() -> Value {
    json!({ "name": "github", "kind": "forge", "secret": "pullyard/user/github", "set_at": CREATED })
}

fn assignment() -> Value {
    json!({
        "job": JOB, "attempt": 1, "lease": "pyl_…", "kind": "implement",
        "ticket": { "key": TICKET, "title": TITLE, "url": null },
        "repository": {
            "forge": "github", "api_url": FORGE_API, "name": REPOSITORY,
            "clone_url": "https://github.com/acme/app.git",
        },
        "base": "main", "branch": BRANCH, "continues": null, "prompt": PROMPT,
        "agent": { "capability": "claude_code", "command": [] },
        "pull_request": { "title": "APP-1: Greet the user by name", "body": "Implements APP-1." },
        "limits": { "wall_secs": 3_600, "stall_secs": 600 }, "heartbeat_secs": 10,
    })
}

fn dead_letter() -> Value {
    json!({
        "id": MESSAGE, "queue": "dispatch", "sent_at": CREATED, "received": 6, "about": "job", "name": JOB,
        "project": null, "sentence": "Starts or stops a task for job E4R6.",
        "help": "Redrive it to do the work now, or drop it: the sweeper does the same work from the table.",
        "advice": "either", "body": format!(r#"{{"job":"{JOB}"}}"#),
    })
}
