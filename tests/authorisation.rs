//! Tests authorisation: every route with every kind of credential.

mod disclosure;
mod names;
mod projects;
mod routes;
mod tokens;

use crate::prelude::*;
use pullyard_domain::run::notice::{DeliveryState, Notice, NoticeData, NoticeEvent};
use pullyard_domain::text::id::{EndpointId, NoticeId};
use pullyard_store::Token;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequiredCredential {
    Nothing,
    AnyToken,
    OwnProjects(Scope),
    Project(Scope),
    Object(Scope),
    AllProjects(Scope),
    Bootstrap,
    Lease,
    Runner,
}

pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) route: &'static str,
    pub(crate) needs: RequiredCredential,
    pub(crate) path: String,
    body: Value,
}

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
    notice: String,
    run: String,
}

pub(crate) struct World {
    pub(crate) story: Story,
    pub(crate) acme: Objects,
    other: Objects,
    /// The id of a token that no call uses.
    token: String,
    number: u64,
    dead_letter: String,
}

impl Objects {
    async fn of(story: &Story, project: &'static str, key: &'static str) -> Self {
        let project_id = ProjectId::new(project).unwrap();
        let mut event = story.event(&format!("e-{key}"), key, crate::story::TRIGGER, 1);
        event.project = project_id;
        let decision = story.api.send_ticket_event(&event).await.unwrap();
        let (job, delivery) = (decision.job.unwrap(), decision.delivery.to_string());
        let bootstrap = task_variable(&story.wait_for_task(&job, 1).await, "PULLYARD_BOOTSTRAP");
        let (assignment, client) = story.claim(&job, "c1").await.unwrap();
        let lease = assignment.lease;
        let artifact =
            crate::artifacts::store_artifact(&client, ArtifactKind::Patch, "changes.patch", b"one").await.to_string();
        let runner_token = story.runner_token(project, Some(&[project]), None).await;
        let runner_name = format!("kite-{project}");
        let runner = story.register_runner(&runner_token, &runner_name, "i1").await.id.to_string();
        let hook = format!("hook-{project}");
        let name = REPOSITORY.split('/').nth(1).unwrap();
        let schedule = json!({ "project": project, "name": name });
        let spec = json!({ "analyse": true, "every": "6h" });
        let (schedule, spec) = (serde_json::from_value(schedule).unwrap(), serde_json::from_value(spec).unwrap());
        story.api.put_schedule(&schedule, &spec).await.unwrap();
        let endpoint = EndpointId::new("ops").unwrap();
        let put = json!({ "kind": "webhook", "url": "http://127.0.0.1:9/" });
        let put = serde_json::from_value(put).unwrap();
        story.api.put_endpoint(&project_of(project), &endpoint, &put).await.unwrap();
        let notice = dead_notice(story, project_of(project), endpoint).await;
        let install = serde_json::from_value(manual_hook(story, project)).unwrap();
        story.api.install_hook(&install).await.unwrap();
        let plan = json!({ "name": "n", "steps": [{ "name": "ask", "approve": "Now?" }] });
        let start = serde_json::from_value(json!({ "project": project, "plan": plan })).unwrap();
        let template = json!({ "project": project, "name": name });
        let put = json!({ "plan": { "name": "n", "started_by": ["hand", "submission"], "steps": [{ "name": "ask", "approve": "Now?" }] } });
        let (template, put) = (serde_json::from_value(template).unwrap(), serde_json::from_value(put).unwrap());
        story.api.put_template(&template, &put).await.unwrap();
        let run = story.api.start_run(&start, None).await.unwrap().id.to_string();
        Self {
            project,
            key,
            job,
            delivery,
            bootstrap,
            lease,
            artifact,
            runner_token,
            runner_name,
            runner,
            hook,
            notice,
            run,
        }
    }
}

fn project_of(project: &str) -> ProjectId {
    ProjectId::new(project).unwrap()
}

/// A notice that did not reach its endpoint.
async fn dead_notice(story: &Story, project: ProjectId, endpoint: EndpointId) -> String {
    let now = story.clock.now();
    let id = NoticeId::for_endpoint(&project, &endpoint, "test", now);
    let data = NoticeData::new(project, "A test.", "Nothing to do.", "https://p.example/".into());
    let mut notice = Notice::to_endpoints(id, NoticeEvent::JobFailed, data, [endpoint], now);
    notice.waiting.clear();
    notice.to.values_mut().for_each(|delivery| delivery.state = DeliveryState::Dead);
    let id = notice.id.to_string();
    assert_eq!(story.store().await.record_notice(&notice.into()).await.unwrap(), Write::Applied);
    id
}

fn manual_hook(story: &Story, project: &str) -> Value {
    json!({
        "name": format!("hook-{project}"), "integration": "gh1", "project": project, "repository": REPOSITORY,
        "base_url": story.local.api_url(), "by_hand": true,
    })
}

impl World {
    pub(crate) async fn new() -> Self {
        let story = Story::start_with_waiting_tasks().await;
        // `/readyz` succeeds only after a sweep.
        story.local.sweep().await.unwrap();
        let other = ProjectId::new("other").unwrap();
        let key = SetSecret { value: "planted".into(), kind: SecretKind::Job };
        let key = story.api.set_secret(&SecretName::new("claude").unwrap(), &key).await.unwrap().secret;
        story.update_settings(|settings| settings.model_secrets.claude_token = Some(key)).await;
        let settings = story.api.project(&story.project).await.unwrap().settings;
        story.api.create_project(&CreateProject { id: other.clone(), name: "Other".into(), settings }).await.unwrap();
        let add = AddRepository::new(
            IntegrationId::new("gh1").unwrap(),
            RepositoryName::new(REPOSITORY).unwrap(),
            Agent { capability: "command".into(), command: vec!["./agent.sh".into()], model: None },
        );
        story.api.add_repository(&other, &add).await.unwrap();
        let acme = Objects::of(&story, "acme", "APP-1").await;
        let other = Objects::of(&story, "other", "OTH-1").await;
        let new = json!({ "name": "nobody's", "kind": "api", "scopes": ["read"] });
        let token = story.api.create_token(&serde_json::from_value(new).unwrap()).await.unwrap().about.id.to_string();
        let number = crate::pulls::open_pull(&story, "feature").await;
        let letter = crate::dead_letters::send_message(&story, "dispatch-dead", "not ours").await;
        Self { story, acme, other, token, number, dead_letter: letter }
    }

    async fn store_token(&self, text: &str, change: impl FnOnce(&mut Token)) -> String {
        let mut token = pullyard_store::to_stored_token(text, "a test's", [Scope::Admin].into(), None);
        change(&mut token);
        assert_eq!(self.story.store().await.put_token(&token).await.unwrap(), Write::Applied);
        format!("Bearer {text}")
    }

    pub(crate) fn credential<'a>(&'a self, of: &'a Objects, needs: RequiredCredential) -> &'a str {
        match needs {
            RequiredCredential::Bootstrap => &of.bootstrap,
            RequiredCredential::Lease => &of.lease,
            RequiredCredential::Runner => &of.runner_token,
            _ => self.story.local.admin_token(),
        }
    }

    async fn call(&self, route: &Route, authorization: Option<&str>) -> (u16, String) {
        let mut headers = vec![("content-type", "application/json"), ("if-match", "\"1\"")];
        headers.extend(authorization.map(|value| ("authorization", value)));
        let body = if route.body.is_null() { Vec::new() } else { route.body.to_string().into_bytes() };
        let (status, headers, body) =
            self.story.request_with_headers(route.method.clone(), &route.path, &headers, body).await;
        if status >= 400 {
            assert_eq!(headers["content-type"], "application/problem+json", "{} {body}", route.path);
        }
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    }
}

/// Whether the status is no refusal of the caller. A repeated call may conflict with the first.
fn is_accepted(status: u16) -> bool {
    matches!(status, 200 | 201 | 202 | 409 | 412)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_accepts_exactly_its_credentials() {
    let world = World::new().await;
    let story = &world.story;
    let scopes = [Scope::Read, Scope::Tickets, Scope::Jobs, Scope::Admin];
    let mut tokens = Vec::new();
    for scope in scopes {
        for projects in [None, Some(&["acme"][..]), Some(&["other"][..]), Some(&[][..])] {
            tokens.push((scope, projects, format!("Bearer {}", story.create_token(&[scope], projects).await)));
        }
    }
    let none = format!("Bearer {}", story.create_token(&[], None).await);
    let now = story.clock.now();
    let create_token = async |new: Value| story.api.create_token(&serde_json::from_value(new).unwrap()).await.unwrap();
    let revoked = create_token(json!({ "name": "t", "kind": "api", "scopes": ["admin"] })).await;
    story.api.revoke_token(&revoked.about.id).await.unwrap();
    let runner = create_token(json!({ "name": "t", "kind": "runner" })).await.token;
    let admin = story.local.admin_token();
    let nobody = [
        None,
        Some("Bearer garbage".into()),
        Some(format!("Bearer {}", revoked.token)),
        Some(String::new()),
        Some("Bearer".into()),
        Some("Bearer ".into()),
        Some("Bearer pat_".into()),
        Some(format!("Bearer pat_{}", "0".repeat(64))),
        Some(format!("Bearer {}", admin.replace("pat_", "pyl_"))),
        Some(format!("Bearer {}", &admin[..admin.len() - 1])),
        Some(format!("Bearer {admin} ")),
        Some(format!("Bearer {admin}0")),
        Some(format!("Basic {admin}")),
        Some(admin.to_owned()),
        Some(format!("Bearer {}", "x".repeat(5_000))),
        Some(world.store_token("pat_expired", |token| token.expires_at = Some(now)).await),
        Some(world.store_token("pat_taken-back", |token| token.revoked = true).await),
        // A token's kind must match its prefix.
        Some(world.store_token("pat_of-a-runner", |token| token.kind = TokenKind::Runner).await),
        Some(world.store_token("rnt_of-a-person", |_| {}).await),
        Some(
            world
                .store_token("rnt_expired", |token| {
                    (token.kind, token.expires_at) = (TokenKind::Runner, Some(now));
                })
                .await,
        ),
        Some(format!("Bearer {}", runner.replace("rnt_", "pat_"))),
    ];
    let runner = format!("Bearer {runner}");
    let mut calls = 0;
    let (of, foreign) = (&world.acme, &world.other);
    let mut kinds = Vec::new();
    for route in world.routes(of) {
        let (bootstrap, lease) = (format!("Bearer {}", of.bootstrap), format!("Bearer {}", of.lease));
        let strangers = [
            format!("Bearer {}", foreign.bootstrap),
            format!("Bearer {}", foreign.lease),
            format!("Bearer {}", of.lease.replace("pyl_", "pyb_")),
            format!("Bearer {}", of.bootstrap.replace("pyb_", "pyl_")),
        ];
        let describe = |caller: &str| format!("{} {} as {caller}", route.method, route.path);
        // All routes of a kind read the token in one place, so one of them meets every malformed token.
        let nobody = if kinds.contains(&route.needs) { &nobody[..3] } else { &nobody[..] };
        kinds.push(route.needs);
        for header in nobody.iter().cloned().chain(strangers.map(Some)) {
            // HTTP trims trailing spaces of a header value.
            let admin_after_all = header.as_deref().is_some_and(|value| value.trim_end() == format!("Bearer {admin}"));
            let (status, code) = world.call(&route, header.as_deref()).await;
            match route.needs {
                RequiredCredential::Nothing => assert_eq!(status, 200, "{}", describe("nobody")),
                _ if admin_after_all => continue,
                _ => {
                    assert_eq!((status, code.as_str()), (401, "not_signed_in"), "{}", describe(&format!("{header:?}")))
                }
            }
            calls += 1;
        }
        for (credential, is_bootstrap) in [(&bootstrap, true), (&lease, false)] {
            let (status, code) = match route.needs {
                // The lease is tried last: a finish would end the attempt.
                RequiredCredential::Lease if !is_bootstrap => continue,
                _ => world.call(&route, Some(credential)).await,
            };
            match route.needs {
                RequiredCredential::Nothing => assert_eq!(status, 200),
                RequiredCredential::Bootstrap if is_bootstrap => {
                    assert_eq!(status, 200, "{}: {code}", describe("its task"))
                }
                _ => assert_eq!((status, code.as_str()), (401, "not_signed_in"), "{}", describe("a task")),
            }
            calls += 1;
        }
        for (scope, projects, token) in &tokens {
            let (status, code) = world.call(&route, Some(token)).await;
            let caller = describe(&format!("{scope:?} of {projects:?}"));
            let has = |needed: Scope| *scope == needed || *scope == Scope::Admin;
            let ours = projects.is_none_or(|projects| projects.contains(&of.project));
            let expected = match route.needs {
                RequiredCredential::Nothing | RequiredCredential::AnyToken => None,
                RequiredCredential::Bootstrap | RequiredCredential::Lease | RequiredCredential::Runner => {
                    Some((401, "not_signed_in"))
                }
                RequiredCredential::OwnProjects(needed)
                | RequiredCredential::Project(needed)
                | RequiredCredential::Object(needed)
                | RequiredCredential::AllProjects(needed)
                    if !has(needed) =>
                {
                    Some((403, "not_allowed"))
                }
                RequiredCredential::AllProjects(_) if projects.is_some() => Some((403, "not_allowed")),
                RequiredCredential::Project(_) if !ours => Some((403, "not_allowed")),
                RequiredCredential::Object(_) if !ours => Some((404, "not_found")),
                _ => None,
            };
            match expected {
                Some(expected) => assert_eq!((status, code.as_str()), expected, "{caller}"),
                // An earlier call has deleted the object.
                None if route.method == Method::DELETE && code == "not_found" => {}
                // A use case refused the body, after the credential was accepted.
                None if code == "invalid" => {}
                None => assert!(is_accepted(status), "{caller}: {status} {code}"),
            }
            calls += 1;
        }
        let (status, _) = world.call(&route, Some(&none)).await;
        let as_it_should = match route.needs {
            RequiredCredential::Nothing | RequiredCredential::AnyToken => is_accepted(status),
            RequiredCredential::Bootstrap | RequiredCredential::Lease | RequiredCredential::Runner => status == 401,
            _ => status == 403,
        };
        assert!(as_it_should, "{}: {status}", describe("a token without scopes"));
        // A runner, a runner of another project, and a runner token without a registered runner.
        let runners =
            [(true, format!("Bearer {}", of.runner_token)), (false, format!("Bearer {}", foreign.runner_token))];
        for (own, token) in runners.into_iter().chain([(false, runner.clone())]) {
            let (status, code) = world.call(&route, Some(&token)).await;
            match route.needs {
                RequiredCredential::Nothing | RequiredCredential::AnyToken => assert_eq!(status, 200),
                RequiredCredential::Runner if own => assert_eq!(status, 200, "{}: {code}", describe("its runner")),
                RequiredCredential::Runner => {
                    assert!(matches!(status, 404 | 409), "{}: {status} {code}", describe("another runner"))
                }
                _ => assert_eq!((status, code.as_str()), (401, "not_signed_in"), "{}", describe("a runner")),
            }
            calls += 1;
        }
        if route.needs == RequiredCredential::Lease {
            let (status, code) = world.call(&route, Some(&lease)).await;
            // After the finish a yield is refused, but its own lease is still recognized.
            let expected = if route.path.ends_with("/yield") { (409, "lease_lost") } else { (200, code.as_str()) };
            assert_eq!((status, code.as_str()), expected, "{}", describe("its runner"));
        }
    }
    println!("{calls} calls");
}

/// The caller is authenticated before the path is parsed.
#[tokio::test(flavor = "multi_thread")]
async fn malformed_ids_get_401_without_a_credential() {
    let world = World::new().await;
    let mut calls = 0;
    for mut route in world.routes(&world.acme).into_iter().filter(|route| route.needs != RequiredCredential::Nothing) {
        let with_ids = |id: &str| {
            let parts = route.route.split('/').map(|part| if part.starts_with('{') { id } else { part });
            parts.collect::<Vec<_>>().join("/")
        };
        // Neither an id nor a number.
        for path in ["~", "-1"].map(with_ids) {
            route.path = path;
            for header in [None, Some("Bearer garbage")] {
                let (status, code) = world.call(&route, header).await;
                let caller = format!("{} {} as {header:?}", route.method, route.path);
                assert_eq!((status, code.as_str()), (401, "not_signed_in"), "{caller}");
                calls += 1;
            }
        }
    }
    assert!(calls > 100, "{calls} calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn route_table_matches_the_router_and_the_openapi_document() {
    let world = World::new().await;
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
    let document = pullyard_function_api::document("https://pullyard.example.com");
    assert_eq!(
        tabled,
        crate::openapi::operations(&document).map(|(name, _)| name).collect(),
        "the OpenAPI document differs"
    );
}
