//! Tests names that cross the border between projects: each field of a request that can name a secret, an integration,
//! a repository or a ticket tool has a rule, and a limited token names only what lists its project.

mod fields;

use crate::prelude::*;
use fields::{find_name_fields, find_plan_fields};

/// Who decides about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Only tokens for all projects may call the route.
    Operator,
    /// The list of the named thing, for each new name.
    Listed,
    /// The repositories of the project, among which the name is searched.
    OwnRepositories,
    /// A ticket tool or scope that the project does not have yet needs a token for all projects.
    NewTool,
    /// The name of an object of the project itself, or a text without an effect on access.
    NoBorder,
}
use Rule::*;

/// Operation, field, rule. A field that names a secret or an integration of a project must be `Listed`.
const RULES: &[(&str, &str, Rule)] = &[
    ("add_repository", "integration", Listed),
    ("add_repository", "name", Listed),
    ("connect_github_app", "id", Operator),
    ("connect_github_app", "key_secret", Operator),
    ("connect_github_app", "webhook_secret", Operator),
    ("create_integration", "id", Operator),
    ("create_integration", "token_secret", Operator),
    ("create_job", "repository", OwnRepositories),
    ("create_project", "settings.commits.signing_secret", Listed),
    ("create_project", "settings.default_repository", OwnRepositories),
    ("create_project", "settings.model_secrets.anthropic_api_key", Listed),
    ("create_project", "settings.model_secrets.claude_token", Listed),
    ("create_project", "settings.model_secrets.codex_auth", Listed),
    ("create_project", "settings.model_secrets.openai_api_key", Listed),
    ("create_project", "settings.notifications[].secret", Listed),
    ("create_project", "settings.notifications[].url_secret", Listed),
    ("create_project", "settings.tracker.badges.failed", NewTool),
    ("create_project", "settings.tracker.badges.waiting", NewTool),
    ("create_project", "settings.tracker.connection", NewTool),
    ("create_project", "settings.tracker.ingress", NewTool),
    ("create_project", "settings.tracker.scope", NewTool),
    ("create_project", "settings.tracker.statuses[][]", NewTool),
    ("create_ticket", "repository", OwnRepositories),
    ("create_tracker", "id", Operator),
    ("create_tracker", "secret", Operator),
    ("edit_ticket", "repository", OwnRepositories),
    ("finish_attempt", "failure.forge", NoBorder),
    ("finish_attempt", "failure.repo", NoBorder),
    ("install_hook", "integration", Listed),
    ("install_hook", "repository", Listed),
    ("link_pull", "integration", OwnRepositories),
    ("link_pull", "repository", OwnRepositories),
    ("list_analysed_items", "query:repository", OwnRepositories),
    ("put_endpoint", "url_secret", Listed),
    ("raise_pull", "integration", OwnRepositories),
    ("raise_pull", "repository", OwnRepositories),
    ("request_analysis", "repository", OwnRepositories),
    ("resolve_pull", "integration", OwnRepositories),
    ("resolve_pull", "repository", OwnRepositories),
    ("review_pull", "integration", OwnRepositories),
    ("review_pull", "repository", OwnRepositories),
    ("revise_pull", "integration", OwnRepositories),
    ("revise_pull", "repository", OwnRepositories),
    ("set_ingress", "repository", OwnRepositories),
    ("set_settings", "commits.signing_secret", Listed),
    ("set_settings", "default_repository", OwnRepositories),
    ("set_settings", "model_secrets.anthropic_api_key", Listed),
    ("set_settings", "model_secrets.claude_token", Listed),
    ("set_settings", "model_secrets.codex_auth", Listed),
    ("set_settings", "model_secrets.openai_api_key", Listed),
    ("set_settings", "notifications[].secret", Listed),
    ("set_settings", "notifications[].url_secret", Listed),
    ("set_settings", "tracker.badges.failed", NewTool),
    ("set_settings", "tracker.badges.waiting", NewTool),
    ("set_settings", "tracker.connection", NewTool),
    ("set_settings", "tracker.ingress", NewTool),
    ("set_settings", "tracker.scope", NewTool),
    ("set_settings", "tracker.statuses[][]", NewTool),
    ("start_run", "repository", OwnRepositories),
    ("start_template", "repository", OwnRepositories),
    ("tell_ticket_event", "ticket.repository", OwnRepositories),
    ("unlink_pull", "query:integration", OwnRepositories),
    ("unlink_pull", "query:repository", OwnRepositories),
    ("use_tracker", "connection", NewTool),
    ("why_pull", "query:integration", OwnRepositories),
    ("why_pull", "query:repository", OwnRepositories),
    ("plan", "repository", OwnRepositories),
    ("plan", "repository.param", OwnRepositories),
];

#[test]
fn each_field_that_names_something_has_a_rule() {
    let document = pullyard_function_api::document("https://pullyard.example");
    let mut found = find_name_fields(&document);
    found.extend(find_plan_fields(pullyard_domain::project::plan::schema()));
    let listed: BTreeSet<_> = RULES.iter().map(|(id, field, _)| (id.to_string(), field.to_string())).collect();
    assert_eq!(listed.len(), RULES.len(), "a field is listed twice");
    let missing: Vec<_> = found.difference(&listed).collect();
    assert!(missing.is_empty(), "give each field a rule, and its route the check: {missing:?}");
    let gone: Vec<_> = listed.difference(&found).collect();
    assert!(gone.is_empty(), "no request has these fields: {gone:?}");
    let operations = document["paths"].as_object().unwrap().values().flat_map(|methods| methods.as_object().unwrap());
    let of_operators: BTreeSet<_> = operations
        .filter(|(_, it)| it["description"].as_str().is_some_and(|text| text.contains("access all projects")))
        .filter_map(|(_, it)| it["operationId"].as_str())
        .collect();
    for (id, field, rule) in RULES {
        assert_eq!(*rule == Operator, of_operators.contains(id), "{id} {field}");
    }
}

/// Two projects, of which only the first has the repository, and a token that is limited to the second.
struct Border {
    story: Story,
    token: String,
}

impl Border {
    async fn begin() -> Self {
        let story = Story::start_with_waiting_tasks().await;
        let (id, settings) = (ProjectId::new("other").unwrap(), Settings::default());
        story.api.create_project(&CreateProject { id, name: "Other".into(), settings }).await.unwrap();
        let slack = json!({ "kind": "slack", "url": "http://127.0.0.1:9/slack" });
        let (endpoint, put) = ("ops".parse().unwrap(), serde_json::from_value(slack).unwrap());
        story.api.put_endpoint(&story.project, &endpoint, &put).await.unwrap();
        let set = SetSecret { value: "planted".into(), kind: SecretKind::Job };
        story.api.set_secret(&SecretName::new("key").unwrap(), &set).await.unwrap();
        let token = story.create_token(&[Scope::Admin], Some(&["other"])).await;
        Self { story, token }
    }

    async fn call(&self, token: &str, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let (bearer, rev) = (format!("Bearer {token}"), self.revision().await);
        let headers = [("content-type", "application/json"), ("authorization", &bearer), ("if-match", &rev)];
        let (status, _, answer) =
            self.story.request_with_headers(method, path, &headers, body.to_string().into_bytes()).await;
        (status, answer)
    }

    async fn revision(&self) -> String {
        let other = ProjectId::new("other").unwrap();
        format!("\"{}\"", self.story.api.project(&other).await.unwrap().revision)
    }

    async fn list(&self, path: &str, body: Value) {
        let admin = self.story.local.admin_token().to_owned();
        assert_eq!(self.call(&admin, Method::PUT, path, &body).await.0, 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limited_token_names_nothing_of_another_project() {
    let it = Border::begin().await;
    let settings = "/v1/projects/other/settings";
    let endpoint = json!({ "id": "x", "kind": "slack", "url_secret": "pullyard/user/notify.acme.ops" });
    let signing = json!({
        "id": "x", "kind": "webhook", "url": "http://127.0.0.1:9/", "secret": "pullyard/user/notify.acme.ops",
    });
    let add = json!({
        "integration": "gh1", "name": REPOSITORY, "agent": { "capability": "command", "command": ["./agent.sh"] },
    });
    let hook = json!({
        "name": "hook-other", "integration": "gh1", "project": "other", "repository": REPOSITORY,
        "base_url": it.story.local.api_url(), "by_hand": true,
    });
    let put = json!({ "kind": "slack", "url_secret": "pullyard/user/notify.acme.ops" });
    let calls = [
        (Method::POST, "/v1/projects/other/repositories", add),
        (Method::POST, "/v1/hooks", hook),
        (Method::PUT, settings, json!({ "model_secrets": { "anthropic_api_key": "pullyard/job/key" } })),
        (Method::PUT, settings, json!({ "commits": { "signing_secret": "pullyard/job/key" } })),
        (Method::PUT, settings, json!({ "notifications": [endpoint] })),
        (Method::PUT, settings, json!({ "notifications": [signing] })),
        (Method::PUT, "/v1/projects/other/notifications/x", put),
    ];
    for (method, path, body) in &calls {
        let (status, problem) = it.call(&it.token, method.clone(), path, body).await;
        assert_eq!((status, &problem["code"]), (403, &json!("not_listed")), "{path} {body}: {problem}");
        assert!(problem["help"].as_str().unwrap().contains(" allow "), "{problem}");
    }
    for path in ["/v1/integrations/gh1/projects", "/v1/secrets/key/projects"] {
        let (status, problem) = it.call(&it.token, Method::PUT, path, &json!({ "projects": ["other"] })).await;
        assert_eq!((status, &problem["code"]), (403, &json!("not_allowed")), "{path}");
    }
    let both = json!(["acme", "other"]);
    it.list("/v1/integrations/gh1/projects", json!({ "projects": both })).await;
    it.list("/v1/secrets/key/projects", json!({ "kind": "job", "projects": both })).await;
    it.list("/v1/secrets/notify.acme.ops/projects", json!({ "projects": both })).await;
    for (method, path, body) in &calls {
        let (status, answer) = it.call(&it.token, method.clone(), path, body).await;
        assert!(matches!(status, 200 | 201), "{path} {body}: {status} {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn list_is_shown_and_changed_by_commands() {
    let (story, user) = Story::with_user().await;
    user.run_with(&["secrets", "set", "key", "--for-jobs", "--projects", "acme"], "planted").await.assert_success();
    let listed = user.ok(&["secrets", "list", "--json"]).await;
    assert!(listed.contains("\"acme\""), "{listed}");
    user.ok(&["secrets", "allow", "key", "--for-jobs", "--no-list"]).await;
    user.run(&["secrets", "allow", "key", "--projects", "none"]).await.assert_exit(5, "there is no project none");
    user.ok(&["integrations", "allow", "gh1", "--projects", "acme"]).await;
    let shown = user.ok(&["integrations", "show", "gh1", "--json"]).await;
    assert!(shown.contains("\"projects\""), "{shown}");
    user.ok(&["integrations", "allow", "gh1", "--no-list"]).await;
    assert_eq!(story.api.integration(&IntegrationId::new("gh1").unwrap()).await.unwrap().projects, None);
}
