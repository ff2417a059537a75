//! Who may do what: every route with every kind of credential. In `shown` what the answers say.

mod shown;

use crate::story::{REPOSITORY, Story, told};
use pullyard_domain::agent::Agent;
use pullyard_domain::artifact::Kind;
use pullyard_domain::checks::OwnCommands;
use pullyard_domain::id::{IntegrationId, JobId, ProjectId, RepositoryName};
use pullyard_protocol::project::{AddRepository, CreateProject};
use pullyard_store::{Scope, Token, TokenKind, Write};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// What a route asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    /// An API token, whatever it is for.
    AnyToken,
    /// A scope, for whatever projects; what others have is left out.
    Own(Scope),
    /// A scope, for the project that the call names.
    Project(Scope),
    /// A scope, for the project of the object that the call names: of another one it is not there.
    Object(Scope),
    /// A scope, and every project.
    All(Scope),
    /// The task's token of this very attempt.
    Bootstrap,
    /// The lease of this very attempt.
    Lease,
    /// A runner's token, and the very runner that the call names.
    Runner,
}

pub(crate) struct Route {
    pub(crate) method: Method,
    /// As the router has it.
    pub(crate) route: &'static str,
    pub(crate) needs: Needs,
    pub(crate) path: String,
    body: Value,
}

/// What a project has that a call may name, and who works on it.
pub(crate) struct Objects {
    project: &'static str,
    key: &'static str,
    job: JobId,
    delivery: String,
    bootstrap: String,
    lease: String,
    artifact: String,
    runner_token: String,
    runner_name: String,
    runner: String,
    hook: String,
}

/// What the table is filled with: the same in two projects.
pub(crate) struct World {
    pub(crate) story: Story,
    pub(crate) acme: Objects,
    other: Objects,
    /// The id of a token that nobody shows.
    token: String,
    /// An open pull request.
    number: u64,
    /// A dead letter that nobody can read, so that it stays.
    letter: String,
}

impl Objects {
    async fn of(story: &Story, project: &'static str, key: &'static str) -> Self {
        let project_id = ProjectId::new(project).unwrap();
        let mut event = story.event(&format!("e-{key}"), key, crate::story::TRIGGER, 1);
        event.project = project_id;
        let decision = story.api.ticket_event(&event).await.unwrap();
        let (job, delivery) = (decision.job.unwrap(), decision.delivery.to_string());
        let bootstrap = told(&story.task_of(&job, 1).await, "PULLYARD_BOOTSTRAP");
        let (assignment, client) = story.claim(&job, "c1").await.unwrap();
        let lease = assignment.lease;
        let artifact = crate::artifacts::keep(&client, Kind::Patch, "changes.patch", b"one").await.to_string();
        let runner_token = story.runner_token(project, Some(&[project]), None).await;
        let runner_name = format!("kite-{project}");
        let runner = story.runner(&runner_token, &runner_name, "i1").await.id.to_string();
        let hook = format!("hook-{project}");
        let install = serde_json::from_value(hook_of(story, project)).unwrap();
        story.api.install_hook(&install).await.unwrap();
        Self { project, key, job, delivery, bootstrap, lease, artifact, runner_token, runner_name, runner, hook }
    }
}

/// A hook that somebody makes by hand.
fn hook_of(story: &Story, project: &str) -> Value {
    json!({
        "name": format!("hook-{project}"), "integration": "gh1", "project": project, "repository": REPOSITORY,
        "base_url": story.local.api_url(), "by_hand": true,
    })
}

impl World {
    pub(crate) async fn make() -> Self {
        let story = Story::waiting().await;
        // Ready is what has been swept.
        story.local.sweep().await.unwrap();
        let other = ProjectId::new("other").unwrap();
        let settings = story.api.project(&story.project).await.unwrap().settings;
        story.api.create_project(&CreateProject { id: other.clone(), name: "Other".into(), settings }).await.unwrap();
        let add = AddRepository {
            integration: IntegrationId::new("gh1").unwrap(),
            name: RepositoryName::new(REPOSITORY).unwrap(),
            agent: Agent { capability: "command".into(), command: vec!["./agent.sh".into()], model: None },
            workflows: false,
            commands: OwnCommands::default(),
        };
        story.api.add_repository(&other, &add).await.unwrap();
        let acme = Objects::of(&story, "acme", "APP-1").await;
        let other = Objects::of(&story, "other", "OTH-1").await;
        let new = json!({ "name": "nobody's", "kind": "api", "scopes": ["read"] });
        let token = story.api.create_token(&serde_json::from_value(new).unwrap()).await.unwrap().about.id.to_string();
        let number = crate::pulls::open(&story, "feature").await;
        let letter = crate::dead_letters::bury(&story, "dispatch-dead", "not ours").await;
        Self { story, acme, other, token, number, letter }
    }

    /// A token that the table has, whatever no route would make of it.
    async fn stored(&self, text: &str, change: impl FnOnce(&mut Token)) -> String {
        let mut token = pullyard_entry::auth::stored_token(text, "a test's", [Scope::Admin].into(), None);
        change(&mut token);
        assert_eq!(self.story.store().await.put_token(&token).await.unwrap(), Write::Applied);
        format!("Bearer {text}")
    }

    pub(crate) fn routes(&self, of: &Objects) -> Vec<Route> {
        use Needs::{All, Bootstrap, Lease, Nothing, Object, Own, Project, Runner};
        let (get, post) = (Method::GET, Method::POST);
        let connect = json!({
            "id": "gh1", "kind": "github", "api_url": self.story.local.forge().api_url(),
            "token_secret": self.story.local.forge_secret(),
        });
        let new_app = json!({ "id": "gh1", "api_url": self.story.local.forge().api_url(), "code": "c0de" });
        let existing_app = json!({
            "id": "gh1", "api_url": self.story.local.forge().api_url(), "app_id": 7,
            "key_secret": "pullyard/user/key", "webhook_secret": "pullyard/user/webhook",
        });
        let settings = json!({ "auto_create": true, "default_repository": REPOSITORY });
        let create = json!({ "id": of.project, "name": "Acme", "settings": settings });
        let add = json!({
            "integration": "gh1", "name": REPOSITORY, "agent": { "capability": "command", "command": ["./agent.sh"] },
        });
        let mut event = serde_json::to_value(self.story.event("e5", "APP-5", "Blocked", 1)).unwrap();
        event["project"] = json!(of.project);
        let ticket = json!({ "project": of.project, "key": "B-1", "title": "t" });
        let job = json!({ "project": of.project, "prompt": "Do it." });
        let revise = json!({ "project": of.project, "repository": REPOSITORY, "number": self.number });
        let link = json!({ "project": of.project, "repository": REPOSITORY, "number": self.number, "ticket": of.key });
        let start = json!({ "claim_id": "c1", "instance": "instance-c1" });
        let keep = json!({ "kind": "patch", "name": "other.patch", "size_bytes": 1, "sha256": "a".repeat(64) });
        let finish = json!({ "finish_id": "f1", "outcome": "cancelled" });
        let register = json!({
            "name": of.runner_name, "instance": "i1", "capabilities": ["command"], "version": "0.1.0", "slots": 1,
        });
        let heartbeat = json!({ "instance": "i1", "active": [] });
        let claim = json!({ "instance": "i1", "claim_id": "r1" });
        let token = json!({ "name": "t", "kind": "api", "scopes": ["read"] });
        let ingress = json!({ "repository": REPOSITORY, "ingress": "webhook" });
        let close = json!({ "account": format!("project/{}/codex", of.project) });
        let none = || Value::Null;
        let route = |method: &Method, route: &'static str, needs, body| {
            let filled = [
                ("{project}", of.project),
                ("{integration}", "gh1"),
                ("{owner}", REPOSITORY.split('/').next().unwrap()),
                ("{name}", REPOSITORY.split('/').nth(1).unwrap()),
                ("{key}", of.key),
                ("{job}", of.job.as_str()),
                ("{attempt}", "1"),
                ("{artifact}", &of.artifact),
                ("{delivery}", &of.delivery),
                ("{runner}", &of.runner),
                ("{hook}", &of.hook),
                ("{token}", &self.token),
                ("{secret}", "github"),
                ("{message}", &self.letter),
            ];
            let path = filled.iter().fold(route.to_owned(), |path, (name, value)| path.replace(name, value));
            let lists =
                ["/v1/deliveries", "/v1/jobs", "/v1/pulls", "/v1/tickets"].contains(&route) && *method == Method::GET;
            let asks = route.starts_with("/v1/tickets/{key}") || lists;
            let path = if asks { format!("{path}?project={}", of.project) } else { path };
            let which = format!("?project={}&repository={REPOSITORY}&number={}", of.project, self.number);
            let is_one = route == "/v1/pulls/why" || (route == "/v1/pulls/link" && *method == Method::DELETE);
            let path = if is_one { format!("{path}{which}") } else { path };
            Route { method: method.clone(), route, needs, path, body }
        };
        vec![
            route(&get, "/healthz", Nothing, none()),
            route(&get, "/readyz", Nothing, none()),
            route(&get, "/metrics", All(Scope::Read), none()),
            route(&get, "/openapi.json", Nothing, none()),
            route(&get, "/v1/version", Nothing, none()),
            route(&post, "/v1/sweep", All(Scope::Admin), json!({})),
            route(&post, "/v1/sign-in-links", Needs::AnyToken, json!({})),
            route(&get, "/v1/integrations", All(Scope::Read), none()),
            route(&post, "/v1/integrations", All(Scope::Admin), connect),
            route(&get, "/v1/integrations/{integration}", All(Scope::Read), none()),
            route(&post, "/v1/github-apps", All(Scope::Admin), existing_app),
            route(&post, "/v1/github-apps/conversions", All(Scope::Admin), new_app),
            route(&post, "/v1/integrations/{integration}/test", All(Scope::Admin), none()),
            route(&get, "/v1/projects", Own(Scope::Read), none()),
            route(&post, "/v1/projects", Project(Scope::Admin), create),
            route(&get, "/v1/projects/{project}", Project(Scope::Read), none()),
            route(&Method::PUT, "/v1/projects/{project}/settings", Project(Scope::Admin), settings),
            route(&post, "/v1/projects/{project}/hold", Project(Scope::Admin), json!({ "reason": "a freeze" })),
            route(&post, "/v1/projects/{project}/release", Project(Scope::Admin), json!({})),
            route(&get, "/v1/projects/{project}/budget", Project(Scope::Read), none()),
            route(&get, "/v1/projects/{project}/repositories", Project(Scope::Read), none()),
            route(&post, "/v1/projects/{project}/repositories", Project(Scope::Admin), add),
            route(&post, "/v1/projects/{project}/repositories/{owner}/{name}/test", Project(Scope::Admin), none()),
            route(&get, "/v1/projects/{project}/ingress", Project(Scope::Read), none()),
            route(&Method::PUT, "/v1/projects/{project}/ingress", Project(Scope::Admin), ingress),
            route(&get, "/v1/hooks", Own(Scope::Admin), none()),
            route(&post, "/v1/hooks", Project(Scope::Admin), hook_of(&self.story, of.project)),
            route(&get, "/v1/hooks/{hook}", Object(Scope::Admin), none()),
            route(&post, "/v1/hooks/{hook}/verify", Object(Scope::Admin), none()),
            route(&post, "/v1/hooks/{hook}/repair", Object(Scope::Admin), none()),
            route(&post, "/v1/hooks/{hook}/recover", Object(Scope::Admin), json!({})),
            route(&post, "/v1/tickets/events", Project(Scope::Tickets), event),
            route(&post, "/v1/tickets", Project(Scope::Jobs), ticket),
            route(&get, "/v1/tickets", Project(Scope::Read), none()),
            route(&get, "/v1/tickets/{key}", Project(Scope::Read), none()),
            route(&Method::PATCH, "/v1/tickets/{key}", Project(Scope::Jobs), json!({})),
            route(&post, "/v1/tickets/{key}/move", Project(Scope::Jobs), json!({ "status": "Blocked" })),
            route(&get, "/v1/jobs", Project(Scope::Read), none()),
            route(&post, "/v1/jobs", Project(Scope::Jobs), job),
            route(&get, "/v1/jobs/{job}", Object(Scope::Read), none()),
            route(&post, "/v1/jobs/{job}/cancel", Object(Scope::Jobs), json!({})),
            route(&post, "/v1/jobs/{job}/retry", Object(Scope::Jobs), json!({})),
            route(&post, "/v1/jobs/{job}/pause", Object(Scope::Jobs), json!({})),
            route(&post, "/v1/jobs/{job}/continue", Object(Scope::Jobs), json!({})),
            route(&post, "/v1/jobs/{job}/answer", Object(Scope::Jobs), json!({ "text": "Yes." })),
            route(&get, "/v1/jobs/{job}/why", Object(Scope::Read), none()),
            route(&get, "/v1/jobs/{job}/events", Object(Scope::Read), none()),
            route(&get, "/v1/jobs/{job}/artifacts", Object(Scope::Read), none()),
            route(&get, "/v1/jobs/{job}/checks", Object(Scope::Read), none()),
            route(&get, "/v1/jobs/{job}/artifacts/{artifact}", Object(Scope::Read), none()),
            route(&get, "/v1/jobs/{job}/attempts", Object(Scope::Read), none()),
            route(&get, "/v1/jobs/{job}/context", Object(Scope::Read), none()),
            route(&post, "/v1/jobs/{job}/attempts/{attempt}/artifacts", Lease, keep),
            route(&post, "/v1/jobs/{job}/attempts/{attempt}/artifacts/{artifact}/stored", Lease, json!({})),
            route(&post, "/v1/jobs/{job}/attempts/{attempt}/start", Bootstrap, start),
            route(&post, "/v1/jobs/{job}/attempts/{attempt}/status", Lease, json!({ "status": "preparing" })),
            route(&post, "/v1/jobs/{job}/attempts/{attempt}/events", Lease, json!({ "first_seq": 1, "events": [] })),
            route(&post, "/v1/jobs/{job}/attempts/{attempt}/credentials", Lease, json!({})),
            route(&get, "/v1/pulls", Project(Scope::Read), none()),
            route(&get, "/v1/pulls/why", Project(Scope::Read), none()),
            route(&post, "/v1/pulls/revise", Project(Scope::Jobs), revise),
            route(&Method::PUT, "/v1/pulls/link", Project(Scope::Jobs), link),
            route(&Method::DELETE, "/v1/pulls/link", Project(Scope::Jobs), none()),
            route(&get, "/v1/runners", Own(Scope::Read), none()),
            route(&post, "/v1/runners", Runner, register),
            route(&get, "/v1/runners/{runner}", Object(Scope::Read), none()),
            route(&post, "/v1/runners/{runner}/commands", Object(Scope::Admin), json!({ "command": "resume" })),
            route(&post, "/v1/runners/{runner}/heartbeat", Runner, heartbeat),
            route(&post, "/v1/runners/{runner}/claim", Runner, claim),
            route(&get, "/v1/deliveries", Project(Scope::Read), none()),
            route(&get, "/v1/deliveries/{delivery}", Object(Scope::Read), none()),
            route(&post, "/v1/deliveries/{delivery}/replay", Object(Scope::Admin), none()),
            route(&get, "/v1/breakers", Own(Scope::Read), none()),
            route(&post, "/v1/breakers/close", Project(Scope::Admin), close),
            route(&get, "/v1/dlq", All(Scope::Admin), none()),
            route(&get, "/v1/dlq/{message}", All(Scope::Admin), none()),
            route(&post, "/v1/dlq/redrive", All(Scope::Admin), json!({ "messages": [self.letter] })),
            route(&post, "/v1/dlq/drop", All(Scope::Admin), json!({ "messages": ["gone"] })),
            route(&get, "/v1/tokens", All(Scope::Admin), none()),
            route(&post, "/v1/tokens", All(Scope::Admin), token),
            route(&get, "/v1/tokens/self", Needs::AnyToken, none()),
            route(&Method::DELETE, "/v1/tokens/{token}", All(Scope::Admin), none()),
            route(&get, "/v1/secrets", All(Scope::Admin), none()),
            route(&Method::PUT, "/v1/secrets/{secret}", All(Scope::Admin), json!({ "value": "planted" })),
            route(&post, "/v1/secrets/{secret}/rotate", All(Scope::Admin), json!({ "value": "planted" })),
            // The last two, because they end the runner and the attempt.
            route(&Method::DELETE, "/v1/hooks/{hook}", Object(Scope::Admin), none()),
            route(&Method::DELETE, "/v1/runners/{runner}", Object(Scope::Admin), none()),
            route(&get, "/v1/jobs/{job}/attempts/{attempt}/inputs", Lease, none()),
            route(&get, "/v1/jobs/{job}/attempts/{attempt}/checkpoint", Lease, none()),
            route(&post, "/v1/jobs/{job}/attempts/{attempt}/finish", Lease, finish),
            route(
                &post,
                "/v1/jobs/{job}/attempts/{attempt}/yield",
                Lease,
                json!({ "yield_id": "y1", "outcome": "paused" }),
            ),
        ]
    }

    /// A credential that the route lets in.
    pub(crate) fn credential<'a>(&'a self, of: &'a Objects, needs: Needs) -> &'a str {
        match needs {
            Needs::Bootstrap => &of.bootstrap,
            Needs::Lease => &of.lease,
            Needs::Runner => &of.runner_token,
            _ => self.story.local.admin_token(),
        }
    }

    /// A call with this Authorization header; the answer's status and code.
    async fn ask(&self, route: &Route, authorization: Option<&str>) -> (u16, String) {
        let mut headers = vec![("content-type", "application/json"), ("if-match", "\"1\"")];
        headers.extend(authorization.map(|value| ("authorization", value)));
        let body = if route.body.is_null() { Vec::new() } else { route.body.to_string().into_bytes() };
        let (status, headers, body) = self.story.call(route.method.clone(), &route.path, &headers, body).await;
        if status >= 400 {
            assert_eq!(headers["content-type"], "application/problem+json", "{} {body}", route.path);
        }
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    }
}

/// What may be answered to who is not refused: the same call again meets what it made before.
fn is_let_in(status: u16) -> bool {
    matches!(status, 200 | 201 | 202 | 409 | 412)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_lets_in_whom_it_should_and_nobody_else() {
    let world = World::make().await;
    let story = &world.story;
    let scopes = [Scope::Read, Scope::Tickets, Scope::Jobs, Scope::Admin];
    let mut tokens = Vec::new();
    for scope in scopes {
        for projects in [None, Some(&["acme"][..]), Some(&["other"][..]), Some(&[][..])] {
            tokens.push((scope, projects, format!("Bearer {}", story.token(&[scope], projects).await)));
        }
    }
    let none = format!("Bearer {}", story.token(&[], None).await);
    let now = story.clock.now();
    let made = async |kind: &str, body: Value| {
        let body = json!({ "name": "t", "kind": kind })
            .as_object()
            .unwrap()
            .clone()
            .into_iter()
            .chain(body.as_object().unwrap().clone())
            .collect::<serde_json::Map<_, _>>();
        story.api.create_token(&serde_json::from_value(body.into()).unwrap()).await.unwrap()
    };
    let revoked = made("api", json!({ "scopes": ["admin"] })).await;
    story.api.revoke_token(&revoked.about.id).await.unwrap();
    let runner = made("runner", json!({})).await.token;
    let admin = story.local.admin_token();
    let nobody = [
        None,
        Some(String::new()),
        Some("Bearer".into()),
        Some("Bearer ".into()),
        Some("Bearer garbage".into()),
        Some("Bearer pat_".into()),
        Some(format!("Bearer pat_{}", "0".repeat(64))),
        Some(format!("Bearer {}", admin.replace("pat_", "pyl_"))),
        Some(format!("Bearer {}", &admin[..admin.len() - 1])),
        Some(format!("Bearer {admin} ")),
        Some(format!("Bearer {admin}0")),
        Some(format!("Basic {admin}")),
        Some(admin.to_owned()),
        Some(format!("Bearer {}", "x".repeat(5_000))),
        Some(world.stored("pat_expired", |token| token.expires_at = Some(now)).await),
        Some(world.stored("pat_taken-back", |token| token.revoked = true).await),
        Some(format!("Bearer {}", revoked.token)),
        // Kind and prefix must agree, whatever the table says.
        Some(world.stored("pat_of-a-runner", |token| token.kind = TokenKind::Runner).await),
        Some(world.stored("rnt_of-a-person", |_| {}).await),
        Some(
            world
                .stored("rnt_expired", |token| {
                    (token.kind, token.expires_at) = (TokenKind::Runner, Some(now));
                })
                .await,
        ),
        Some(format!("Bearer {}", runner.replace("rnt_", "pat_"))),
    ];
    let runner = format!("Bearer {runner}");
    let mut asked = 0;
    let both = [(&world.acme, &world.other), (&world.other, &world.acme)];
    for (of, foreign, route) in
        both.iter().flat_map(|(of, foreign)| world.routes(of).into_iter().map(move |route| (*of, *foreign, route)))
    {
        let (bootstrap, lease) = (format!("Bearer {}", of.bootstrap), format!("Bearer {}", of.lease));
        let strangers = [
            format!("Bearer {}", foreign.bootstrap),
            format!("Bearer {}", foreign.lease),
            format!("Bearer {}", of.lease.replace("pyl_", "pyb_")),
            format!("Bearer {}", of.bootstrap.replace("pyb_", "pyl_")),
        ];
        let what = |who: &str| format!("{} {} as {who}", route.method, route.path);
        for who in nobody.iter().cloned().chain(strangers.map(Some)) {
            // A trailing space is no part of a header's value.
            let admin_after_all = who.as_deref().is_some_and(|who| who.trim_end() == format!("Bearer {admin}"));
            let (status, code) = world.ask(&route, who.as_deref()).await;
            match route.needs {
                Needs::Nothing => assert_eq!(status, 200, "{}", what("nobody")),
                _ if admin_after_all => continue,
                _ => assert_eq!((status, code.as_str()), (401, "not_signed_in"), "{}", what(&format!("{who:?}"))),
            }
            asked += 1;
        }
        for (credential, is_bootstrap) in [(&bootstrap, true), (&lease, false)] {
            let (status, code) = match route.needs {
                // Tried last: it would end the attempt that the others need.
                Needs::Lease if !is_bootstrap => continue,
                _ => world.ask(&route, Some(credential)).await,
            };
            match route.needs {
                Needs::Nothing => assert_eq!(status, 200),
                Needs::Bootstrap if is_bootstrap => assert_eq!(status, 200, "{}: {code}", what("its task")),
                _ => assert_eq!((status, code.as_str()), (401, "not_signed_in"), "{}", what("a task")),
            }
            asked += 1;
        }
        for (scope, projects, token) in &tokens {
            let (status, code) = world.ask(&route, Some(token)).await;
            let who = what(&format!("{scope:?} of {projects:?}"));
            let has = |needed: Scope| *scope == needed || *scope == Scope::Admin;
            let ours = projects.is_none_or(|projects| projects.contains(&of.project));
            let expected = match route.needs {
                Needs::Nothing | Needs::AnyToken => None,
                Needs::Bootstrap | Needs::Lease | Needs::Runner => Some((401, "not_signed_in")),
                Needs::Own(needed) | Needs::Project(needed) | Needs::Object(needed) | Needs::All(needed)
                    if !has(needed) =>
                {
                    Some((403, "not_allowed"))
                }
                Needs::All(_) if projects.is_some() => Some((403, "not_allowed")),
                Needs::Project(_) if !ours => Some((403, "not_allowed")),
                Needs::Object(_) if !ours => Some((404, "not_found")),
                _ => None,
            };
            match expected {
                Some(expected) => assert_eq!((status, code.as_str()), expected, "{who}"),
                // Whoever came before has removed it.
                None if route.method == Method::DELETE && code == "not_found" => {}
                None => assert!(is_let_in(status), "{who}: {status} {code}"),
            }
            asked += 1;
        }
        let (status, _) = world.ask(&route, Some(&none)).await;
        let as_it_should = match route.needs {
            Needs::Nothing | Needs::AnyToken => is_let_in(status),
            Needs::Bootstrap | Needs::Lease | Needs::Runner => status == 401,
            _ => status == 403,
        };
        assert!(as_it_should, "{}: {status}", what("a token without scopes"));
        // A runner, a runner of another project, and a runner token that no runner has shown yet.
        let runners =
            [(true, format!("Bearer {}", of.runner_token)), (false, format!("Bearer {}", foreign.runner_token))];
        for (own, token) in runners.into_iter().chain([(false, runner.clone())]) {
            let (status, code) = world.ask(&route, Some(&token)).await;
            match route.needs {
                Needs::Nothing => assert_eq!(status, 200),
                Needs::Runner if own => assert_eq!(status, 200, "{}: {code}", what("its runner")),
                Needs::Runner => assert!(matches!(status, 404 | 409), "{}: {status} {code}", what("another runner")),
                _ => assert_eq!((status, code.as_str()), (401, "not_signed_in"), "{}", what("a runner")),
            }
            asked += 1;
        }
        if route.needs == Needs::Lease {
            let (status, code) = world.ask(&route, Some(&lease)).await;
            // After the finish there is nothing left to give back, and that is said to its own runner alone.
            let expected = if route.path.ends_with("/yield") { (409, "lease_lost") } else { (200, code.as_str()) };
            assert_eq!((status, code.as_str()), expected, "{}", what("its runner"));
        }
    }
    println!("{asked} calls");
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_routes_is_the_routers_own() {
    let world = World::make().await;
    let tabled = world
        .routes(&world.acme)
        .into_iter()
        .map(|route| format!("{} {}", route.method.as_str().to_lowercase(), route.route))
        .collect::<BTreeSet<_>>();
    let source = concat!(include_str!("../functions/api/src/lib.rs"), include_str!("../functions/tickets/src/lib.rs"));
    let mut routed = BTreeSet::new();
    for call in source.split("route(\"").skip(1) {
        let (path, handlers) = call.split_once('"').unwrap();
        let handlers = handlers.split(".with_state").next().unwrap().split(';').next().unwrap();
        for method in ["get", "post", "put", "patch", "delete"] {
            let named = |start: &str| handlers.contains(&format!("{start}{method}("));
            if named(" ") || named(").") {
                routed.insert(format!("{method} {path}"));
            }
        }
    }
    assert_eq!(tabled, routed);
    let document = pullyard_function_api::document();
    assert_eq!(tabled, crate::description::operations(&document).map(|(name, _)| name).collect(), "as described");
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_another_project_is_as_if_it_were_not_there() {
    let world = World::make().await;
    let story = &world.story;
    let token = story.token(&[Scope::Read, Scope::Jobs], Some(&["other"])).await;
    let absent = format!("job_{}", "a".repeat(26));
    let ask = async |path: &str| story.raw(Method::GET, path, Some(&token), Vec::new()).await;
    for tail in ["", "/why", "/events"] {
        let (there, _, said) = ask(&format!("/v1/jobs/{}{tail}", world.acme.job)).await;
        let (gone, _, silence) = ask(&format!("/v1/jobs/{absent}{tail}")).await;
        assert_eq!((there, gone), (404, 404));
        let same = |body: &Value, job: &str| body.to_string().replace(job, "JOB");
        assert_eq!(same(&said, world.acme.job.as_str()), same(&silence, &absent), "nothing tells them apart");
    }
    let (status, _, said) = ask(&format!("/v1/deliveries/{}", world.acme.delivery)).await;
    assert_eq!((status, &said["code"]), (404, &json!("not_found")));
    for (token, count) in [(token.as_str(), 1), (story.local.admin_token(), 2)] {
        let (status, _, page) = story.raw(Method::GET, "/v1/projects", Some(token), Vec::new()).await;
        assert_eq!((status, page["projects"].as_array().unwrap().len()), (200, count), "{page}");
    }
    // A call that names a foreign project is not recorded there.
    let tool = story.token(&[Scope::Tickets], Some(&["other"])).await;
    for body in [r#"{"project":"acme"}"#.to_owned(), json!(story.event("e9", "APP-9", "Todo", 1)).to_string()] {
        let before = story.api.deliveries(&story.project, None, None).await.unwrap().deliveries.len();
        let (status, ..) = story.raw(Method::POST, "/v1/tickets/events", Some(&tool), body.into()).await;
        assert!(status == 400 || status == 403, "{status}");
        assert_eq!(story.api.deliveries(&story.project, None, None).await.unwrap().deliveries.len(), before);
    }
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_one_project_commands_no_runner_that_others_have_too() {
    let world = World::make().await;
    let story = &world.story;
    let admin = story.token(&[Scope::Admin], Some(&["acme"])).await;
    for (name, projects) in [("of-all", None), ("of-two", Some(&["acme", "other"][..]))] {
        let token = story.runner_token(name, projects, None).await;
        let path = format!("/v1/runners/{}", story.runner(&token, name, "i1").await.id);
        let drain = json!({ "command": "drain" }).to_string().into_bytes();
        let (drained, ..) = story.raw(Method::POST, &format!("{path}/commands"), Some(&admin), drain).await;
        let (removed, ..) = story.raw(Method::DELETE, &path, Some(&admin), Vec::new()).await;
        assert_eq!((drained, removed), (403, 403), "{name}");
        let (status, _, runner) = story.raw(Method::GET, &path, Some(story.local.admin_token()), Vec::new()).await;
        assert_eq!((status, &runner["drain"]), (200, &Value::Null), "{name}");
    }
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_is_made_for_ones_own_projects_alone() {
    let world = World::make().await;
    let story = &world.story;
    let admin = story.token(&[Scope::Admin], Some(&["other"])).await;
    for (change, expected) in [
        (json!({}), 201),
        (json!({ "name": "hook-acme" }), 409),
        (json!({ "others": ["acme"] }), 403),
        (json!({ "name": "app", "repository": null, "app": true }), 403),
        (json!({ "name": "all", "repository": null, "organisation": "acme" }), 403),
        // What tells of all projects is not to be had beside what one may have.
        (json!({ "app": true }), 422),
        (json!({ "organisation": "acme" }), 422),
    ] {
        let mut body = hook_of(story, "other");
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (status, _, said) = story.raw(Method::POST, "/v1/hooks", Some(&admin), body.to_string().into()).await;
        assert_eq!(status, expected, "{change}: {said}");
    }
    let (_, _, hook) = story.raw(Method::GET, "/v1/hooks/hook-acme", Some(story.local.admin_token()), Vec::new()).await;
    assert_eq!(hook["project"], "acme");
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_of_two_projects_is_not_there_for_who_has_one_of_them() {
    let world = World::make().await;
    let story = &world.story;
    let mut wanted = hook_of(story, "other");
    wanted["name"] = json!("shared");
    wanted["others"] = json!(["acme"]);
    story.api.install_hook(&serde_json::from_value(wanted.clone()).unwrap()).await.unwrap();
    let ask = async |token: &str, method: Method, path: &str, body: &Value| {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let (status, _, said) = story.raw(method, path, Some(token), body).await;
        (status, said)
    };
    let of_both = story.token(&[Scope::Admin], Some(&["acme", "other"])).await;
    for project in ["acme", "other"] {
        let token = story.token(&[Scope::Admin], Some(&[project])).await;
        for (method, tail, body) in [
            (Method::GET, "", Value::Null),
            (Method::POST, "/verify", Value::Null),
            (Method::POST, "/repair", Value::Null),
            (Method::POST, "/recover", json!({})),
            (Method::DELETE, "", Value::Null),
        ] {
            let (status, said) = ask(&token, method.clone(), &format!("/v1/hooks/shared{tail}"), &body).await;
            assert_eq!((status, &said["code"]), (404, &json!("not_found")), "{method} {tail} of {project}");
        }
        let (_, listed) = ask(&token, Method::GET, "/v1/hooks", &Value::Null).await;
        let names: Vec<_> = listed["hooks"].as_array().unwrap().iter().map(|hook| hook["name"].clone()).collect();
        assert_eq!(names, [json!(format!("hook-{project}"))]);
        // Nor is its name theirs to make another one of.
        let mut own = hook_of(story, project);
        own["name"] = json!("shared");
        assert_eq!(ask(&token, Method::POST, "/v1/hooks", &own).await.0, 409, "{project}");
    }
    let (status, shared) = ask(&of_both, Method::GET, "/v1/hooks/shared", &Value::Null).await;
    assert_eq!((status, &shared["project"], &shared["others"]), (200, &json!("other"), &json!(["acme"])), "{shared}");
    assert_eq!(ask(&of_both, Method::POST, "/v1/hooks", &wanted).await.0, 201, "whoever has both may mend it");
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expired_or_was_revoked_stops_at_once() {
    let story = Story::waiting().await;
    let store = story.store().await;
    let ask = async |token: &str| {
        let (status, _, body) = story.raw(Method::GET, "/v1/projects/acme", Some(token), Vec::new()).await;
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    };
    let mut expiring = pullyard_entry::auth::stored_token("pat_expiring", "t", [Scope::Read].into(), None);
    expiring.expires_at = Some(story.clock.now().plus(Duration::from_secs(600)));
    assert_eq!(store.put_token(&expiring).await.unwrap(), Write::Applied);
    assert_eq!(ask("pat_expiring").await.0, 200);
    story.clock.advance(Duration::from_secs(601));
    assert_eq!(ask("pat_expiring").await, (401, "not_signed_in".into()));

    let token = story.token(&[Scope::Read], None).await;
    assert_eq!(ask(&token).await.0, 200);
    let id = pullyard_domain::id::TokenId::of_hash(&pullyard_entry::auth::hash_of(&token));
    story.api.revoke_token(&id).await.unwrap();
    assert_eq!(ask(&token).await, (401, "not_signed_in".into()));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tasks_token_dies_with_its_time_and_a_lease_with_its_attempt() {
    let story = Story::waiting().await;
    let job = story.job_for("e1", "APP-1", 1).await;
    let bootstrap = told(&story.task_of(&job, 1).await, "PULLYARD_BOOTSTRAP");
    let (assignment, client) = story.claim(&job, "c1").await.unwrap();
    // Another process with the same token does not get the lease.
    let start = async |claim: &str| {
        let body = json!({ "claim_id": claim, "instance": "i" }).to_string().into_bytes();
        let path = format!("/v1/jobs/{job}/attempts/1/start");
        let (status, _, body) = story.raw(Method::POST, &path, Some(&bootstrap), body).await;
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(start("c2").await, (409, "lease_lost".into()));
    assert_eq!(start("c1").await.0, 200, "the same claim is a repeat");
    let finish = json!({ "finish_id": "f1", "outcome": "cancelled" });
    client.finish(&serde_json::from_value(finish).unwrap()).await.unwrap();
    for what in ["credentials", "events", "status"] {
        let body = match what {
            "credentials" => json!({}),
            "events" => json!({ "first_seq": 1, "events": [] }),
            _ => json!({ "status": "executing" }),
        };
        let path = format!("/v1/jobs/{job}/attempts/1/{what}");
        let body = body.to_string().into_bytes();
        let (status, _, said) = story.raw(Method::POST, &path, Some(&assignment.lease), body).await;
        assert_eq!((status, &said["code"]), (409, &json!("lease_lost")), "{what}: {said}");
    }
    story.clock.advance(Duration::from_secs(30 * 24 * 3_600));
    assert_eq!(start("c1").await, (401, "not_signed_in".into()));
    story.end().await;
}
