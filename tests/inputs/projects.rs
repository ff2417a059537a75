//! Tests invalid projects, settings, integrations and repositories.

use super::{check, story_without_hints};
use crate::prelude::*;

#[tokio::test(flavor = "multi_thread")]
async fn refused_entry_is_recorded_and_accepted_after_a_repair() {
    let story = story_without_hints().await;
    let mut stranger = story.event("e1", "APP-1", TRIGGER, 1);
    stranger.project = ProjectId::new("nobody").unwrap();
    let decision = story.api.send_ticket_event(&stranger).await.unwrap();
    assert_eq!((decision.code.as_str(), decision.job), ("unknown_project", None));
    assert_eq!(story.ledger("nobody").await[0]["code"], "unknown_project");

    let mut elsewhere = story.event("e2", "APP-2", TRIGGER, 1);
    elsewhere.ticket.repository = Some(RepositoryName::new("acme/other").unwrap());
    let decision = story.api.send_ticket_event(&elsewhere).await.unwrap();
    assert_eq!(decision.code, "repository_not_integrated");
    assert_eq!(decision.sentence, "acme/other is not connected to acme.");

    story.update_settings(|settings| settings.default_repository = None).await;
    assert_eq!(story.send_ticket_event("e3", "APP-3", TRIGGER, 1).await.code, "ticket_without_repository");
    story.update_settings(|settings| settings.held_by = Some("ana".into())).await;
    let held = story.send_ticket_event("e4", "APP-4", TRIGGER, 1).await;
    assert_eq!((held.code.as_str(), held.sentence.as_str()), ("project_held", "ana put acme on hold."));

    // Once the cause is repaired, the same events are decided again.
    story
        .update_settings(|settings| {
            settings.held_by = None;
            settings.default_repository = Some(RepositoryName::new(REPOSITORY).unwrap());
        })
        .await;
    for (event, key) in [("e3", "APP-3"), ("e4", "APP-4")] {
        let again = story.send_ticket_event(event, key, TRIGGER, 1).await;
        assert_eq!(again.code, "accepted", "{key}: {}", again.sentence);
        assert_eq!(story.api.delivery(&again.delivery).await.unwrap().code, "accepted");
    }
    assert_eq!(story.ledger("acme").await.len(), 3);
    assert_eq!(story.jobs().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_settings_are_refused_with_their_pointer() {
    let story = story_without_hints().await;
    let path = "/v1/projects/acme/settings";
    let bearer = format!("Bearer {}", story.local.admin_token());
    let set = async |revision: Option<&str>, settings: Value| {
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(revision.map(|revision| ("if-match", revision)));
        story.request_with_headers(Method::PUT, path, &headers, settings.to_string().into_bytes()).await
    };
    for (settings, pointer) in [
        (json!({ "statuses": { "todo": TRIGGER } }), "/statuses/todo"),
        (json!({ "statuses": { "completion": TRIGGER } }), "/statuses/completion"),
        (json!({ "statuses": { "trigger": "" } }), "/statuses/trigger"),
        (json!({ "statuses": { "trigger": "Todo" } }), "/statuses/todo"),
        (json!({ "limits": { "wall_secs": 59 } }), "/limits/wall_secs"),
        (json!({ "limits": { "wall_secs": 86_401 } }), "/limits/wall_secs"),
        (json!({ "limits": { "stall_secs": 9 } }), "/limits/stall_secs"),
        (json!({ "limits": { "requeues": 11 } }), "/limits/requeues"),
        (json!({ "agent": "magic" }), "/agent"),
        (json!({ "agent": "command" }), "/agent"),
        (json!({ "model": "opus" }), "/model"),
        (json!({ "agent": "codex", "model": "--help" }), "/model"),
    ] {
        let answer = set(Some("\"1\""), settings.clone()).await;
        check(&settings.to_string(), &answer, 422, "invalid", Some(pointer));
        let new = json!({ "id": "other", "name": "Other", "settings": settings }).to_string();
        let answer = story.call_as_admin(Method::POST, "/v1/projects", new).await;
        check("a new project", &answer, 422, "invalid", None);
    }
    let odd = set(Some("\"1\""), json!({ "limits": { "wall_sec": 60 } })).await;
    check("an unknown setting", &odd, 400, "body_unreadable", Some("/limits/wall_sec"));
    let negative = set(Some("\"1\""), json!({ "limits": { "requeues": -1 } })).await;
    check("a negative number", &negative, 400, "body_unreadable", Some("/limits/requeues"));
    for revision in [None, Some(""), Some("\"x\""), Some("*"), Some("\"-1\"")] {
        check("no revision", &set(revision, json!({})).await, 428, "revision_missing", None);
    }
    for stale in ["\"0\"", "\"7\"", "7"] {
        check("stale", &set(Some(stale), json!({})).await, 412, "changed_meanwhile", None);
    }
    let (status, _, project) = set(Some("\"1\""), json!({ "auto_create": true })).await;
    assert_eq!((status, &project["revision"]), (200, &json!(2)), "{project}");
    check("twice", &set(Some("\"1\""), json!({})).await, 412, "changed_meanwhile", None);

    for name in ["".to_owned(), "x".repeat(201), "a\u{0}".into()] {
        let new = json!({ "id": "other", "name": name }).to_string();
        check(
            "a name",
            &story.call_as_admin(Method::POST, "/v1/projects", new).await,
            400,
            "body_unreadable",
            Some("/name"),
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_integrations_and_repositories_are_refused() {
    let story = story_without_hints().await;
    let connect = json!({ "id": "gh2", "kind": "github", "api_url": story.local.forge().api_url(), "token_secret": "pullyard/user/none" });
    let changed = |name: &str, value: &str| {
        let mut connect = connect.clone();
        connect[name] = value.into();
        connect.to_string()
    };
    let ask = async |body: String| story.call_as_admin(Method::POST, "/v1/integrations", body).await;
    check("no secret", &ask(connect.to_string()).await, 422, "secret_missing", None);
    let others = ask(changed("token_secret", "production/database")).await;
    check("not people's", &others, 422, "invalid", Some("/token_secret"));
    check("plain http", &ask(changed("api_url", "http://forge.example")).await, 422, "invalid", Some("/api_url"));
    check("no address", &ask(changed("api_url", "ftp://x")).await, 422, "invalid", Some("/api_url"));
    check("a query", &ask(changed("api_url", "https://x/v3?a=1")).await, 422, "invalid", Some("/api_url"));
    let mut away = connect.clone();
    (away["token_secret"], away["api_url"]) = (story.local.forge_secret().into(), "http://127.0.0.1:1/api/v3".into());
    let (status, _, problem) = ask(away.to_string()).await;
    assert_eq!((status, &problem["code"]), (503, &json!("unavailable")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("failed to reach 127.0.0.1:1: "), "{problem}");
    check("no forge", &ask(changed("kind", "gitlab")).await, 400, "body_unreadable", None);
    let mut taken = connect.clone();
    (taken["id"], taken["token_secret"]) = ("gh1".into(), story.local.forge_secret().into());
    taken["api_url"] = format!("{}/", story.local.forge().api_url()).into();
    let (status, _, again) = ask(taken.to_string()).await;
    assert_eq!(status, 201, "the repeated request is refused: {again}");

    let add = |integration: &str, name: &str, capability: &str, command: &[&str]| AddRepository {
        integration: IntegrationId::new(integration).unwrap(),
        name: RepositoryName::new(name).unwrap(),
        agent: Agent {
            capability: capability.into(),
            command: command.iter().map(|word| word.to_string()).collect(),
            model: None,
        },
        workflows: false,
        commands: CommandOverrides::default(),
        running_jobs: None,
        labels: None,
    };
    for (request, status, code, pointer) in [
        (add("gh9", REPOSITORY, "command", &["x"]), 404, "not_found", None),
        (add("gh1", "acme/none", "command", &["x"]), 422, "forge_refused", None),
        (add("gh1", REPOSITORY, "magic", &["x"]), 422, "invalid", Some("/agent/capability")),
        (add("gh1", REPOSITORY, "command", &[]), 422, "invalid", Some("/agent/command")),
        (add("gh1", REPOSITORY, "command", &["", "x"]), 422, "invalid", Some("/agent/command")),
    ] {
        let body = serde_json::to_vec(&request).unwrap();
        let answer = story.call_as_admin(Method::POST, "/v1/projects/acme/repositories", body).await;
        check(&format!("{request:?}"), &answer, status, code, pointer);
    }
    let mut inherits = add("gh1", REPOSITORY, "project", &[]);
    inherits.agent.model = Some("opus".into());
    let body = serde_json::to_vec(&inherits).unwrap();
    let answer = story.call_as_admin(Method::POST, "/v1/projects/acme/repositories", body).await;
    check("a model without its agent", &answer, 422, "invalid", Some("/agent/model"));
    let body = serde_json::to_vec(&add("gh1", REPOSITORY, "command", &["x"])).unwrap();
    let answer = story.call_as_admin(Method::POST, "/v1/projects/nobody/repositories", body).await;
    check("no project", &answer, 404, "not_found", None);
}

#[tokio::test(flavor = "multi_thread")]
async fn taken_names_are_refused_and_repeats_are_accepted() {
    let story = story_without_hints().await;
    let project = story.api.project(&story.project).await.unwrap();
    let mut other_settings = project.settings.clone();
    other_settings.auto_create = !other_settings.auto_create;
    for (name, settings, status) in [
        (project.name.as_str(), &project.settings, 201),
        ("Quite another", &project.settings, 409),
        (project.name.as_str(), &other_settings, 409),
    ] {
        let new = json!({ "id": "acme", "name": name, "settings": settings }).to_string();
        let (actual_status, _, response) = story.call_as_admin(Method::POST, "/v1/projects", new).await;
        assert_eq!((actual_status, status == 201 || response["code"] == "taken"), (status, true), "{name}: {response}");
    }
    assert_eq!(story.api.project(&story.project).await.unwrap(), project);

    let token = json!({ "value": story.forge_token() }).to_string();
    assert_eq!(story.call_as_admin(Method::PUT, "/v1/secrets/spare", token).await.0, 200);
    let connect = async |id: &str, secret: &str| {
        let api_url = story.local.forge().api_url();
        let new = json!({ "id": id, "kind": "github", "api_url": api_url, "token_secret": secret }).to_string();
        story.call_as_admin(Method::POST, "/v1/integrations", new).await
    };
    check("another secret", &connect("gh1", "pullyard/user/spare").await, 409, "taken", None);
    assert_eq!(connect("gh2", "pullyard/user/spare").await.0, 201);
    let agent = json!({ "capability": "command", "command": ["./agent.sh"] });
    let add = json!({ "integration": "gh2", "name": REPOSITORY, "agent": agent }).to_string();
    let answer = story.call_as_admin(Method::POST, "/v1/projects/acme/repositories", add).await;
    check("a repository of that name", &answer, 409, "taken", None);
}
