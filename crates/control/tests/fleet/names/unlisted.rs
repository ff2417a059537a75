//! A project that left the list of a secret or an integration: it gets nothing, and other projects lose nothing.

use super::*;
use pullyard_control::webhook::{WebhookOutcome, WebhookRequest, receive_webhook};
use pullyard_control::{
    Answer, LocalAction, ModelUrls, act_on_local_pull_request, check_model_key_of_project, load_local_pull_request,
    load_tracker, look_at_ticket, put_template,
};
use pullyard_domain::agent::key_check::ModelKeyTest;
use pullyard_domain::project::hook::{Webhook, WebhookScope};
use pullyard_domain::project::template::TemplateId;
use pullyard_domain::project::tracker::{Tracker, TrackerKind, TrackerSettings};
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::TemplateName;
use pullyard_forge::webhook::Secret;

const HOOK_SECRET: &str = "a secret of the hook";

fn ann() -> serde_json::Value {
    serde_json::json!({ "id": 7, "login": "ann", "type": "User" })
}

/// Delivers an event of Ann in the repository.
async fn deliver(
    it: &Border,
    hook: &Webhook,
    event: &str,
    mut body: serde_json::Value,
) -> Result<WebhookOutcome, Error> {
    let repository = it.world.repository();
    body["repository"] = serde_json::json!({ "id": repository.id, "full_name": repository.name });
    body["sender"] = ann();
    let body = body.to_string().into_bytes();
    let signature = Secret::new(HOOK_SECRET).sign(&body);
    let call = WebhookRequest {
        forge: hook.forge,
        hook: hook.name.as_str(),
        event,
        delivery: None,
        signature: Some(&signature),
        body: &body,
    };
    receive_webhook(&it.world.ctx, &call).await
}

#[tokio::test]
async fn events_reach_projects_on_the_list_when_another_left_it() {
    let it = Border::begin().await;
    let ctx = &it.world.ctx;
    it.world.connect().await;
    let (integration, repository) = (it.world.integration(), it.world.repository());
    let own = pullyard_domain::project::Repository { project: it.other.clone(), ..repository.clone() };
    assert_applied(ctx.store.put_repository(&own, None).await);
    let hook = it.world.hook();
    assert_applied(ctx.store.put_hook(&hook).await);
    set_secret(ctx, SecretKind::Forge, &hook.secret, HOOK_SECRET).await.unwrap();
    let (user, at) = (ann(), "2026-11-20T12:00:00Z");
    let of = serde_json::json!({ "id": repository.id, "full_name": repository.name });
    let send = async |event: &str, body: serde_json::Value| {
        match deliver(&it, &hook, event, body).await {
            Ok(WebhookOutcome::Decided(answer)) => {
                let entry = ctx.store.load_delivery(&answer.delivery).await.unwrap().unwrap();
                (answer.reason.code(), entry.project)
            }
            // The forge does not exist, so its error means that it was called.
            Err(Error::Forge(_)) => ("called", it.world.project.clone()),
            other => panic!("{other:?}"),
        }
    };
    let comment = serde_json::json!({
        "action": "created", "issue": { "number": 7, "pull_request": {} },
        "comment": {
            "id": 1, "body": "/pullyard revise", "user": user, "created_at": at, "updated_at": at,
            "html_url": "https://forge.example/c",
        },
    });
    let review = serde_json::json!({
        "action": "submitted",
        "review": {
            "id": 80, "state": "changes_requested", "body": "Not yet.", "commit_id": "a".repeat(40),
            "submitted_at": at, "html_url": "https://forge.example/r", "author_association": "MEMBER", "user": user,
        },
        "pull_request": {
            "number": 7, "html_url": "https://forge.example/p", "state": "open", "draft": false, "title": "APP-1",
            "merged_at": null, "updated_at": at, "head": { "ref": "x", "sha": "a".repeat(40), "repo": of },
            "base": { "ref": "main" }, "user": { "id": 1, "login": "pullyard-bot", "type": "User" },
        },
    });
    for (list, of_comment, of_review) in [
        (None, "called", "acme"),
        (Some(&["other"][..]), "called", "other"),
        (Some(&[][..]), "repository_not_integrated", "acme"),
    ] {
        set_integration_projects(ctx, &integration.id, list.map(set).as_ref()).await.unwrap();
        assert_eq!(send("issue_comment", comment.clone()).await.0, of_comment, "{list:?}");
        assert_eq!(send("pull_request_review", review.clone()).await.1.as_str(), of_review, "{list:?}");
    }
}

#[tokio::test]
async fn key_of_another_project_is_not_tested() {
    let it = Border::begin().await;
    let ctx = &it.world.ctx;
    let urls = ModelUrls::from_variables(|_| Some("http://127.0.0.1:9".into()));
    set_secret(ctx, SecretKind::Job, &name("key"), "a key").await.unwrap();
    let anthropic = ModelKey::AnthropicApiKey;
    it.set(it.operator(), |settings| *settings.model_secrets.secret_mut(anthropic) = Some(KEY.into())).await.unwrap();
    for (list, works) in [(None, true), (Some(&["acme"][..]), false), (Some(&["other"][..]), true)] {
        it.list(SecretKind::Job, "key", list).await;
        let answer = check_model_key_of_project(ctx, &urls, &it.load().await, &name("key")).await;
        match works {
            true => assert_eq!(answer.unwrap(), ModelKeyTest::Unreachable, "its provider was called"),
            false => assert_eq!(refused(answer), secret(KEY)),
        }
    }
}

#[tokio::test]
async fn tool_works_for_others_when_one_project_left_the_list() {
    let it = Border::begin().await;
    let ctx = &it.world.ctx;
    it.world.connect().await;
    let integration = it.world.integration();
    let (id, url) = (integration.id.clone(), "http://127.0.0.1:9".to_owned());
    let tracker = Tracker::new(id, TrackerKind::Issues, url, String::new(), ctx.clock.now());
    assert_applied(ctx.store.put_tracker(&tracker).await);
    let tool = TrackerSettings::new(TrackerKind::Issues, integration.id.clone());
    it.world.set_settings(Settings { compute: Compute::Runners, tracker: Some(tool), ..Settings::default() }).await;
    let key = TicketKey::new(format!("{}#7", it.world.repository().name)).unwrap();
    set_integration_projects(ctx, &integration.id, Some(&it.limited)).await.unwrap();
    look_at_ticket(ctx, &it.world.project, &key).await.unwrap();
    assert_eq!(load_tracker(ctx, &integration.id).await.unwrap().problem, None);
    set_integration_projects(ctx, &integration.id, None).await.unwrap();
    look_at_ticket(ctx, &it.world.project, &key).await.unwrap();
    assert!(load_tracker(ctx, &integration.id).await.unwrap().problem.is_some(), "the forge was called");
}

#[tokio::test]
async fn template_of_a_project_that_left_the_list_does_not_start() {
    let it = Border::begin().await;
    let ctx = &it.world.ctx;
    it.world.connect().await;
    let (id, repository) = (it.world.integration().id, it.world.repository());
    let plan = serde_json::json!({
        "name": "fix", "started_by": ["webhook"], "on": { "github": ["push"] },
        "steps": [{ "name": "fix", "role": "implementer", "prompt": "Do the task." }],
    });
    let template = TemplateId { project: it.world.project.clone(), name: TemplateName::new("fix").unwrap() };
    put_template(ctx, &template, &plan, "ana").await.unwrap();
    let kind = WebhookScope::Repository { name: repository.name.clone(), id: repository.id };
    let hook = Webhook { kind, template: Some(template.name), ..it.world.hook() };
    assert_applied(ctx.store.put_hook(&hook).await);
    set_secret(ctx, SecretKind::Forge, &hook.secret, HOOK_SECRET).await.unwrap();
    let push = serde_json::json!({ "ref": "refs/heads/main", "before": "a", "after": "b" });
    set_integration_projects(ctx, &id, Some(&it.limited)).await.unwrap();
    match deliver(&it, &hook, "push", push.clone()).await {
        Ok(WebhookOutcome::Decided(Answer { reason: reason @ Reason::TemplateRefused { .. }, .. })) => {
            assert!(reason.sentence().contains("does not list the project acme"), "{}", reason.sentence());
        }
        other => panic!("{other:?}"),
    }
    set_integration_projects(ctx, &id, None).await.unwrap();
    let answer = deliver(&it, &hook, "push", push).await;
    assert!(matches!(answer, Err(Error::Forge(_))), "the forge does not exist: {answer:?}");
}

#[tokio::test]
async fn deleted_secret_ends_no_job_as_unknown() {
    let it = Border::begin().await;
    let ctx = &it.world.ctx;
    let fence = it.claim_signing_job().await;
    ctx.secrets.delete(KEY).await.unwrap();
    match issue_credentials(ctx, &fence).await {
        Err(Error::NoSigningSecret { name, fault }) => assert_eq!((name.as_str(), fault), (KEY, SecretFault::Missing)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn page_of_an_unlisted_project_shows_and_merges_nothing() {
    let it = Border::begin().await;
    let ctx = &it.world.ctx;
    it.world.connect().await;
    let (id, repository) = (it.world.integration().id, it.world.repository());
    let show = async || load_local_pull_request(ctx, &repository, 7).await;
    let merge = async || act_on_local_pull_request(ctx, &repository, 7, LocalAction::Merge { head: "a".into() }).await;
    set_integration_projects(ctx, &id, Some(&it.limited)).await.unwrap();
    assert_eq!(refused(show().await), Named::Integration(id.clone()));
    assert_eq!(refused(merge().await), Named::Integration(id.clone()));
    set_integration_projects(ctx, &id, None).await.unwrap();
    // The person has no token in this world.
    assert!(matches!(show().await, Err(Error::Cloud(_))));
    assert!(matches!(merge().await, Err(Error::Cloud(_))));
}
