//! Who may do what: every route with every kind of credential.

use crate::story::{REPOSITORY, Story, told};
use pullyard_domain::id::JobId;
use pullyard_store::{Scope, Write};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// What a route asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    Nothing,
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
    /// A token of a self-hosted runner.
    Runner,
}

struct Route {
    method: Method,
    /// As the router has it.
    route: &'static str,
    needs: Needs,
    path: String,
    body: Value,
}

/// What the table is filled with.
struct World {
    story: Story,
    job: JobId,
    delivery: String,
    bootstrap: String,
    lease: String,
    other: JobId,
    other_bootstrap: String,
    other_lease: String,
    runner_token: String,
    runner: String,
}

impl World {
    async fn make() -> Self {
        let story = Story::waiting().await;
        let decision = story.tell("e1", "APP-1", crate::story::TRIGGER, 1).await;
        let (job, delivery) = (decision.job.unwrap(), decision.delivery.to_string());
        let other = story.job_for("e2", "APP-2", 1).await;
        let bootstrap = told(&story.task_of(&job, 1).await, "PULLYARD_BOOTSTRAP");
        let other_bootstrap = told(&story.task_of(&other, 1).await, "PULLYARD_BOOTSTRAP");
        let lease = story.claim(&job, "c1").await.unwrap().0.lease;
        let other_lease = story.claim(&other, "c1").await.unwrap().0.lease;
        let runner_token = story.runner_token("t", Some(&["acme"]), None).await;
        let runner = story.runner(&runner_token, "kite", "i1").await.id.to_string();
        Self { story, job, delivery, bootstrap, lease, other, other_bootstrap, other_lease, runner_token, runner }
    }

    fn routes(&self) -> Vec<Route> {
        use Needs::{All, Bootstrap, Lease, Nothing, Object, Own, Project, Runner};
        let (get, post) = (Method::GET, Method::POST);
        let connect = json!({
            "id": "gh1", "kind": "github", "api_url": self.story.local.forge().api_url(),
            "token_secret": self.story.local.forge_secret(),
        });
        let settings = json!({ "auto_create": true, "default_repository": REPOSITORY });
        let create = json!({ "id": "acme", "name": "Acme", "settings": settings });
        let add = json!({
            "integration": "gh1", "name": REPOSITORY, "agent": { "capability": "command", "command": ["./agent.sh"] },
        });
        let event = serde_json::to_value(self.story.event("e5", "APP-5", "Blocked", 1)).unwrap();
        let ticket = json!({ "project": "acme", "key": "B-1", "title": "t" });
        let job = json!({ "project": "acme", "prompt": "Do it." });
        let start = json!({ "claim_id": "c1", "instance": "instance-c1" });
        let finish = json!({ "finish_id": "f1", "outcome": "cancelled" });
        let register = json!({
            "name": "kite", "instance": "i1", "capabilities": ["command"], "version": "0.1.0", "slots": 1,
        });
        let heartbeat = json!({ "instance": "i1", "active": [] });
        let claim = json!({ "instance": "i1", "claim_id": "r1" });
        let none = || Value::Null;
        let route = |method: &Method, route: &'static str, needs, body| {
            let filled = [
                ("{project}", "acme"),
                ("{integration}", "gh1"),
                ("{key}", "APP-1"),
                ("{job}", self.job.as_str()),
                ("{attempt}", "1"),
                ("{delivery}", &self.delivery),
                ("{runner}", &self.runner),
            ];
            let path = filled.iter().fold(route.to_owned(), |path, (name, value)| path.replace(name, value));
            let lists = ["/v1/deliveries", "/v1/jobs", "/v1/tickets"].contains(&route) && *method == Method::GET;
            let asks = route.starts_with("/v1/tickets/{key}") || lists;
            let path = if asks { format!("{path}?project=acme") } else { path };
            Route { method: method.clone(), route, needs, path, body }
        };
        vec![
            route(&get, "/healthz", Nothing, none()),
            route(&get, "/v1/version", Nothing, none()),
            route(&post, "/v1/sweep", All(Scope::Admin), json!({})),
            route(&post, "/v1/integrations", All(Scope::Admin), connect),
            route(&get, "/v1/integrations", All(Scope::Read), none()),
            route(&get, "/v1/integrations/{integration}", All(Scope::Read), none()),
            route(&post, "/v1/integrations/{integration}/test", All(Scope::Admin), none()),
            route(&get, "/v1/projects", Own(Scope::Read), none()),
            route(&post, "/v1/projects", Project(Scope::Admin), create),
            route(&get, "/v1/projects/{project}", Project(Scope::Read), none()),
            route(&Method::PUT, "/v1/projects/{project}/settings", Project(Scope::Admin), settings),
            route(&get, "/v1/projects/{project}/repositories", Project(Scope::Read), none()),
            route(&post, "/v1/projects/{project}/repositories", Project(Scope::Admin), add),
            route(&post, "/v1/tickets/events", Project(Scope::Tickets), event),
            route(&post, "/v1/tickets", Project(Scope::Jobs), ticket),
            route(&get, "/v1/tickets", Project(Scope::Read), none()),
            route(&get, "/v1/tickets/{key}", Project(Scope::Read), none()),
            route(&Method::PATCH, "/v1/tickets/{key}", Project(Scope::Jobs), json!({})),
            route(&post, "/v1/tickets/{key}/move", Project(Scope::Jobs), json!({ "status": "Blocked" })),
            route(&get, "/v1/jobs", Project(Scope::Read), none()),
            route(&post, "/v1/jobs", Project(Scope::Jobs), job),
            route(&get, "/v1/jobs/{job}", Object(Scope::Read), none()),
            route(&get, "/v1/jobs/{job}/why", Object(Scope::Read), none()),
            route(&get, "/v1/jobs/{job}/events", Object(Scope::Read), none()),
            route(&post, "/v1/jobs/{job}/attempts/{attempt}/start", Bootstrap, start),
            route(&post, "/v1/jobs/{job}/attempts/{attempt}/status", Lease, json!({ "status": "preparing" })),
            route(&post, "/v1/jobs/{job}/attempts/{attempt}/events", Lease, json!({ "first_seq": 1, "events": [] })),
            route(&post, "/v1/jobs/{job}/attempts/{attempt}/credentials", Lease, json!({})),
            route(&get, "/v1/runners", Own(Scope::Read), none()),
            route(&post, "/v1/runners", Runner, register),
            route(&get, "/v1/runners/{runner}", Object(Scope::Read), none()),
            route(&post, "/v1/runners/{runner}/commands", Object(Scope::Admin), json!({ "command": "resume" })),
            route(&post, "/v1/runners/{runner}/heartbeat", Runner, heartbeat),
            route(&post, "/v1/runners/{runner}/claim", Runner, claim),
            route(&get, "/v1/deliveries", Project(Scope::Read), none()),
            route(&get, "/v1/deliveries/{delivery}", Object(Scope::Read), none()),
            // The last two, because they end the runner and the attempt.
            route(&Method::DELETE, "/v1/runners/{runner}", Object(Scope::Admin), none()),
            route(&post, "/v1/jobs/{job}/attempts/{attempt}/finish", Lease, finish),
        ]
    }

    /// A call with this Authorization header; the answer's status and code.
    async fn ask(&self, route: &Route, authorization: Option<&str>) -> (u16, String) {
        if route.method == Method::DELETE {
            // Whoever was let in before has removed it; token and name make the same one again.
            self.story.runner(&self.runner_token, "kite", "i1").await;
        }
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
    matches!(status, 200 | 201 | 409 | 412)
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
        Some(format!("Bearer {}", world.other_bootstrap)),
        Some(format!("Bearer {}", world.other_lease)),
        Some(format!("Bearer {}", world.lease.replace("pyl_", "pyb_"))),
        Some(format!("Bearer {}", world.bootstrap.replace("pyb_", "pyl_"))),
    ];
    let (bootstrap, lease) = (format!("Bearer {}", world.bootstrap), format!("Bearer {}", world.lease));
    let runner = format!("Bearer {}", world.runner_token);
    let mut asked = 0;
    for route in world.routes() {
        let what = |who: &str| format!("{} {} as {who}", route.method, route.path);
        for who in &nobody {
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
            let of = |needed: Scope| *scope == needed || *scope == Scope::Admin;
            let ours = projects.is_none_or(|projects| projects.contains(&"acme"));
            let expected = match route.needs {
                Needs::Nothing => None,
                Needs::Bootstrap | Needs::Lease | Needs::Runner => Some((401, "not_signed_in")),
                Needs::Own(needed) | Needs::Project(needed) | Needs::Object(needed) | Needs::All(needed)
                    if !of(needed) =>
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
                None => assert!(is_let_in(status), "{who}: {status} {code}"),
            }
            asked += 1;
        }
        let (status, _) = world.ask(&route, Some(&none)).await;
        let expected = match route.needs {
            Needs::Nothing => 200,
            Needs::Bootstrap | Needs::Lease | Needs::Runner => 401,
            _ => 403,
        };
        assert_eq!(status, expected, "{}", what("a token without scopes"));
        let (status, code) = world.ask(&route, Some(&runner)).await;
        match route.needs {
            Needs::Nothing | Needs::Runner => assert_eq!(status, 200, "{}: {code}", what("a runner")),
            _ => assert_eq!((status, code.as_str()), (401, "not_signed_in"), "{}", what("a runner")),
        }
        if route.needs == Needs::Lease {
            let (status, code) = world.ask(&route, Some(&lease)).await;
            assert_eq!(status, 200, "{}: {code}", what("its runner"));
        }
    }
    println!("{asked} calls");
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_routes_is_the_routers_own() {
    let world = World::make().await;
    let tabled = world
        .routes()
        .into_iter()
        .map(|route| format!("{} {}", route.method.as_str().to_lowercase(), route.route))
        .collect::<BTreeSet<_>>();
    let source = concat!(include_str!("../functions/api/src/lib.rs"), include_str!("../functions/tickets/src/lib.rs"));
    let mut routed = BTreeSet::new();
    for call in source.split(".route(\"").skip(1) {
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
        let (there, _, said) = ask(&format!("/v1/jobs/{}{tail}", world.job)).await;
        let (gone, _, silence) = ask(&format!("/v1/jobs/{absent}{tail}")).await;
        assert_eq!((there, gone), (404, 404));
        let same = |body: &Value, job: &str| body.to_string().replace(job, "JOB");
        assert_eq!(same(&said, world.job.as_str()), same(&silence, &absent), "nothing tells them apart");
    }
    let (status, _, said) = ask(&format!("/v1/deliveries/{}", world.delivery)).await;
    assert_eq!((status, &said["code"]), (404, &json!("not_found")));
    for (token, count) in [(token.as_str(), 0), (story.local.admin_token(), 1)] {
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
    assert!(!world.other.as_str().is_empty());
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
    let key =
        json!({ "pk": { "S": format!("TOKEN#{}", pullyard_entry::auth::hash_of(&token)) }, "sk": { "S": "TOKEN" } });
    let revoke = json!({
        "TableName": "pullyard", "Key": key, "UpdateExpression": "SET revoked = :yes",
        "ConditionExpression": "attribute_exists(pk)", "ExpressionAttributeValues": { ":yes": { "BOOL": true } },
    });
    story.dynamodb("UpdateItem", revoke).await;
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
