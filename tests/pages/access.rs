//! Tests access to the pages for every kind of user, and forms of other sites.

use super::{Browser, FRAGMENT};
use crate::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequiredPermission {
    Nothing,
    /// To read; items of other projects are left out.
    Read,
    Project,
    Object,
    Administer,
    Work,
    /// To work on this object; objects of other projects are not found.
    WorkOn,
}

struct Route {
    method: Method,
    route: &'static str,
    needs: RequiredPermission,
    path: String,
    form: Vec<(&'static str, &'static str)>,
}

fn routes(job: &JobId, run: &str, artifact: &str, repository: u64) -> Vec<Route> {
    use RequiredPermission::{Administer, Nothing, Object, Project, Read, Work, WorkOn};
    let (get, post) = (Method::GET, Method::POST);
    let delivery = DeliveryId::for_ticket_event(&ProjectId::new("acme").unwrap(), &EventId::new("e1").unwrap());
    let route = |method: &Method, route: &'static str, needs, query: &str, form: &[(&'static str, &'static str)]| {
        let path = route.replace("{key}", "APP-1").replace("{job}", job.as_str()).replace("{run}", run);
        let path = path.replace("{name}", "ui.css");
        let path = path.replace("{comment}", "1").replace("{integration}", "gh1").replace("{number}", "1");
        let path = path.replace("{repository}", &repository.to_string());
        let path = path.replace("{artifact}", artifact).replace("{delivery}", delivery.as_str());
        Route { method: method.clone(), route, needs, path: format!("{path}{query}"), form: form.to_vec() }
    };
    let acme = "?project=acme";
    vec![
        route(&get, "/", Read, "", &[]),
        route(&get, "/board", Project, acme, &[]),
        route(&post, "/hold", Administer, "", &[("project", "acme"), ("reason", "a freeze")]),
        route(&post, "/release", Administer, "", &[("project", "acme")]),
        route(&post, "/tickets", Work, "", &[("project", "acme"), ("key", "NEW-1"), ("title", "t")]),
        route(&get, "/tickets/new", Work, acme, &[]),
        route(&get, "/tickets/{key}", Project, acme, &[]),
        route(&post, "/tickets/{key}/move", Work, acme, &[("status", "Blocked")]),
        route(&post, "/tickets/{key}/edit", Work, acme, &[("title", "t")]),
        route(&post, "/tickets/{key}/raise", Work, acme, &[("usd", "1")]),
        route(&post, "/tickets/{key}/comments", Work, acme, &[("text", "Use tabs.")]),
        route(&post, "/tickets/{key}/comments/{comment}/edit", Work, acme, &[("text", "Use spaces.")]),
        route(&get, "/jobs", Project, acme, &[]),
        route(
            &post,
            "/jobs/bulk",
            Work,
            "",
            &[("project", "acme"), ("action", "retry"), ("job", "job_absent"), ("form_key", "three")],
        ),
        route(&post, "/jobs", Work, "", &[("project", "acme"), ("prompt", "Do it."), ("form_key", "one")]),
        route(&get, "/jobs/new", Work, acme, &[]),
        route(&get, "/jobs/{job}", Object, "", &[]),
        route(&get, "/jobs/{job}/log", Object, "", &[]),
        route(&get, "/jobs/{job}/changes", Object, "", &[]),
        route(&get, "/jobs/{job}/output", Object, "", &[]),
        route(&get, "/jobs/{job}/attempts", Object, "", &[]),
        route(&get, "/jobs/{job}/artifacts", Object, "", &[]),
        route(&get, "/jobs/{job}/artifacts/{artifact}", Object, "", &[]),
        route(&post, "/jobs/{job}/pause", WorkOn, "", &[("x", "y")]),
        route(&post, "/jobs/{job}/continue", WorkOn, "", &[("x", "y")]),
        route(&post, "/jobs/{job}/answer", WorkOn, "", &[("text", "Yes.")]),
        route(&post, "/jobs/{job}/retry", WorkOn, "", &[("form_key", "two")]),
        route(&post, "/jobs/{job}/cancel", WorkOn, "", &[("x", "y")]),
        route(&get, "/runs", Project, acme, &[]),
        route(&post, "/runs", Work, "", &[("project", "acme"), ("prompt", "Do it."), ("form_key", "four")]),
        route(&get, "/runs/{run}", Object, "", &[]),
        route(&get, "/runs/{run}/waterfall", Object, "", &[]),
        route(&get, "/runs/{run}/checks", Object, "", &[]),
        route(&post, "/runs/{run}/answer", WorkOn, "", &[("step", "ask"), ("approve", "true")]),
        route(&post, "/runs/{run}/resume", WorkOn, "", &[("cost_usd", "")]),
        route(&post, "/runs/{run}/cancel", WorkOn, "", &[("x", "y")]),
        route(&get, "/pulls", Project, acme, &[]),
        route(&post, "/pulls/review", Work, "", &[("project", "acme"), ("pull_request", "acme/app#1")]),
        route(&post, "/pulls/revise", Work, "", &[("project", "acme"), ("ticket", "APP-1")]),
        route(&get, "/pulls/{integration}/{repository}/{number}", Object, "", &[]),
        route(
            &post,
            "/pulls/{integration}/{repository}/{number}/review",
            WorkOn,
            "",
            &[("verdict", "comment"), ("summary", "Hi.")],
        ),
        route(&post, "/pulls/{integration}/{repository}/{number}/state", WorkOn, "", &[("state", "closed")]),
        route(&post, "/pulls/{integration}/{repository}/{number}/raise", WorkOn, "", &[("usd", "1")]),
        route(&get, "/analyses", Project, acme, &[]),
        route(&post, "/analyses", Work, "", &[("project", "acme"), ("repository", REPOSITORY)]),
        route(&get, "/analyses/items", Project, "?project=acme&repository=acme/app", &[]),
        route(&get, "/runs/templates", Project, acme, &[]),
        route(&post, "/runs/templates", Work, "", &[("project", "acme"), ("template", "ask")]),
        route(&get, "/decisions", Project, acme, &[]),
        route(&get, "/decisions/{delivery}", Object, "", &[]),
        route(&get, "/search", Project, "?project=acme&q=app-1", &[]),
        route(&post, "/theme", Nothing, "", &[("theme", "dark")]),
        route(&get, "/sign-in", Nothing, "", &[]),
        route(&post, "/sign-in", Nothing, "", &[("token", "x")]),
        route(&post, "/sign-out", Nothing, "", &[("x", "y")]),
        route(&get, "/assets/{name}", Nothing, "", &[]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_requires_exactly_its_permission() {
    let (story, job) = Story::with_job().await;
    // Without a checkout, a program of the repository is refused.
    story.set_agent_command(&["true"]).await;
    assert_eq!(crate::pulls::open_pull(&story, "feature").await, 1);
    crate::pulls::link_new_ticket(&story, 1, "APP-2").await;
    let template = serde_json::from_value(json!({ "project": "acme", "name": "ask" })).unwrap();
    let plan = json!({ "plan": { "name": "n", "steps": [{ "name": "ask", "approve": "Now?" }] } });
    story.api.put_template(&template, &serde_json::from_value(plan).unwrap()).await.unwrap();
    let repository = story.local.forge().repository(REPOSITORY).await.unwrap().id;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    let artifact = crate::artifacts::store_artifact(&client, ArtifactKind::Patch, "changes.patch", b"one").await;
    let plan = json!({ "name": "n", "steps": [{ "name": "ask", "approve": "Now?" }] });
    let start = serde_json::from_value(json!({ "project": "acme", "plan": plan })).unwrap();
    let run = story.api.start_run(&start, None).await.unwrap().id.to_string();
    let nobody = Browser::new(&story);
    let mut visitors = Vec::new();
    for scopes in
        [&[][..], &[Scope::Tickets], &[Scope::Read], &[Scope::Read, Scope::Jobs], &[Scope::Jobs], &[Scope::Admin]]
    {
        for projects in [None, Some(&["acme"][..]), Some(&["other"][..]), Some(&[][..])] {
            visitors.push((scopes, projects, Browser::with(&story, scopes, projects).await));
        }
    }
    for Route { method, path, needs, form, .. } in routes(&job, &run, artifact.as_str(), repository) {
        let headers = [("sec-fetch-site", "same-origin")];
        if needs != RequiredPermission::Nothing {
            let answer = nobody.ask(method.clone(), &path, &headers, &form).await;
            assert_eq!(answer.status, 303, "{method} {path} without a session");
            assert!(answer.redirect().1.starts_with("/sign-in"), "{}", answer.redirect().1);
        }
        for (scopes, projects, browser) in &visitors {
            let answer = browser.ask(method.clone(), &path, &headers, &form).await;
            let has = |scope| scopes.contains(&scope) || scopes.contains(&Scope::Admin);
            let ours = projects.is_none_or(|projects| projects.contains(&"acme"));
            let let_in = &[200, 302, 303, 409];
            let expected: &[u16] = match needs {
                RequiredPermission::Nothing => continue,
                _ if !has(Scope::Read) => &[403],
                RequiredPermission::Read => {
                    if ours {
                        let_in
                    } else {
                        &[303]
                    }
                }
                RequiredPermission::Work | RequiredPermission::WorkOn if !has(Scope::Jobs) => &[403],
                RequiredPermission::Administer if !has(Scope::Admin) => &[403],
                RequiredPermission::Administer | RequiredPermission::Work | RequiredPermission::Project if !ours => {
                    &[403]
                }
                RequiredPermission::Object | RequiredPermission::WorkOn if !ours => &[404],
                _ => let_in,
            };
            assert!(
                expected.contains(&answer.status),
                "{method} {path} as {scopes:?} of {projects:?}: {}",
                answer.status
            );
            if answer.status == 403 {
                assert!(answer.contains("may not"), "{}", answer.body);
            }
        }
    }
}

#[test]
fn page_table_matches_the_router() {
    let job = JobId::new(format!("job_{}", "a".repeat(26))).unwrap();
    let tabled = routes(&job, "", "", 1)
        .iter()
        .map(|route| format!("{} {}", route.method, route.route))
        .collect::<BTreeSet<_>>();
    let source = include_str!("../../functions/pages/src/lib.rs");
    let mut routed = BTreeSet::new();
    for call in source.split(".route(\"").skip(1) {
        let (path, handlers) = call.split_once('"').unwrap();
        let handlers = handlers.split("\n").next().unwrap();
        for method in ["get", "post", "put", "patch", "delete"] {
            if handlers.contains(&format!(" {method}(")) || handlers.contains(&format!(").{method}(")) {
                routed.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    assert_eq!(tabled, routed);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_hide_jobs_and_decisions_of_another_project() {
    let (story, job) = Story::with_job().await;
    let absent = format!("job_{}", "a".repeat(26));
    let browser = Browser::with(&story, &[Scope::Read, Scope::Jobs], Some(&["other"])).await;
    let (foreign, missing) =
        (browser.get(&format!("/jobs/{job}")).await, browser.get(&format!("/jobs/{absent}")).await);
    assert_eq!((foreign.status, missing.status), (404, 404));
    assert_eq!(foreign.body.replace(job.as_str(), "JOB"), missing.body.replace(&absent, "JOB"));
    assert_eq!(browser.fragment(&format!("/jobs/{job}?after=1.0")).await.status, 404);
    let board = browser.get("/board").await;
    assert_eq!(board.redirect(), (303, "/setup/start"));
    let start = browser.get("/setup/start").await;
    assert!(start.status == 200 && !start.contains("acme"), "{}", start.body);
    // A link to another project's decision does not show its text either.
    let delivery = &story.api.deliveries(&story.project, None).await.unwrap().deliveries[0];
    let own = Browser::admin(&story).await;
    assert!(own.get(&format!("/board?project=acme&decision={}", delivery.id)).await.contains(&delivery.sentence));
    assert_eq!(browser.get(&format!("/board?project=acme&decision={}", delivery.id)).await.status, 403);
    let other =
        CreateProject { id: ProjectId::new("other").unwrap(), name: "Other".into(), settings: Settings::default() };
    story.api.create_project(&other).await.unwrap();
    let board = browser.get(&format!("/board?project=other&decision={}", delivery.id)).await;
    assert_eq!(board.status, 200);
    assert!(!board.contains(&delivery.sentence) && !board.contains(job.as_str()), "{}", board.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn cross_site_form_is_refused() {
    let story = Story::start_with_waiting_tasks().await;
    story.send_ticket_event("e1", "APP-1", "Todo", 1).await;
    let browser = Browser::admin(&story).await;
    let form = [("status", TRIGGER)];
    let host = story.local.api_url().trim_start_matches("http://").to_owned();
    let same = format!("http://{host}");
    for headers in [
        &[][..],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-site", "cross-site"), ("origin", same.as_str())],
        &[("origin", "null")],
        &[("origin", "https://evil.example")],
        &[("origin", "")],
        &[("origin", "http://127.0.0.1:1")],
    ] {
        for path in [
            "/tickets/APP-1/move?project=acme",
            "/sign-out",
            "/sign-in",
            "/jobs",
            "/tickets",
            "/pulls/review",
            "/pulls/revise",
            "/analyses",
            "/runs",
            "/runs/run_1/cancel",
            "/runs/run_1/resume",
            "/runs/run_1/answer",
            "/pulls/gh1/1/1/state",
        ] {
            let answer = browser.ask(Method::POST, path, headers, &form).await;
            assert_eq!(answer.status, 403, "{path} {headers:?}");
            assert!(answer.headers.get("set-cookie").is_none());
        }
    }
    assert!(story.jobs().await.is_empty());
    assert_eq!(story.ticket("APP-1").await.status, "Todo");
    // Older browsers send only the origin.
    let path = "/tickets/APP-1/move?project=acme";
    let answer = browser.ask(Method::POST, path, &[("origin", &same)], &form).await;
    assert_eq!(answer.status, 303);
    assert_eq!(story.jobs().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn reader_sees_no_buttons_and_cannot_act() {
    let story = Story::start_with_waiting_tasks().await;
    story.send_ticket_event("e1", "APP-1", "Todo", 1).await;
    let browser = Browser::with(&story, &[Scope::Read], None).await;
    for path in ["/board", "/jobs", "/pulls", "/runs", "/tickets/APP-1?project=acme"] {
        let page = browser.get(path).await;
        assert_eq!(page.status, 200);
        // Without the status of moves the script disables dragging.
        for button in
            ["Move to", "id=\"moved\"", "New ticket", "Edit", "Delete", "Create job", "Start run", "Add comment"]
        {
            assert!(!page.contains(button), "{path} has {button}");
        }
    }
    let moved = browser.post("/tickets/APP-1/move?project=acme", &[("status", TRIGGER)]).await;
    assert_eq!(moved.status, 403);
    assert!(moved.contains("may not create jobs or move tickets"), "{}", moved.body);
    assert_eq!(browser.post("/tickets", &[("project", "acme"), ("title", "t")]).await.status, 403);
    for form in ["/tickets/APP-1/comments", "/tickets/APP-1/comments/1/edit", "/setup/tickets/APP-1/comments/1/delete"]
    {
        assert_eq!(browser.post(&format!("{form}?project=acme"), &[("text", "t")]).await.status, 403, "{form}");
    }
    for form in ["/tickets/APP-1/edit?project=acme", "/setup/tickets/APP-1/delete?project=acme"] {
        assert_eq!(browser.post(form, &[("title", "t")]).await.status, 403, "{form}");
    }
    assert_eq!(story.ticket("APP-1").await.status, "Todo");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_response_has_strict_security_headers() {
    let (story, job) = Story::with_job().await;
    let browser = Browser::admin(&story).await;
    let board = browser.get("/board").await.body;
    let assets = board.split('"').filter(|part| part.starts_with("/assets/")).collect::<BTreeSet<_>>();
    assert_eq!(assets.len(), 4, "{assets:?}");
    let job = format!("/jobs/{job}");
    let pages =
        ["/", "/board", "/jobs", "/jobs/new", "/tickets/new", "/tickets/APP-1", "/sign-in?code=x", "/nope", &job];
    for path in pages.into_iter().chain(assets.iter().copied()) {
        for (headers, cookie) in [(&[][..], true), (&[FRAGMENT], true), (&[("sec-fetch-site", "cross-site")], false)] {
            let mut browser = Browser::new(&story);
            browser.cookie = if cookie { Browser::admin(&story).await.cookie } else { None };
            let answer = browser.ask(Method::GET, path, headers, &[]).await;
            assert!(answer.status < 500, "{path}");
            let policy = answer.header("content-security-policy");
            assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{path}: {policy}");
            assert!(!policy.contains("unsafe"), "{policy}");
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
            assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
            let expected = if assets.contains(path) { "public, max-age=31536000, immutable" } else { "no-store" };
            assert_eq!(answer.header("cache-control"), expected, "{path}");
        }
    }
    let missing = browser.get("/assets/ui.0000000000000000.css").await;
    assert_eq!(missing.status, 404);
    assert_eq!(browser.get("/nope").await.status, 404);
    assert_eq!(browser.ask(Method::PUT, "/jobs", &[("sec-fetch-site", "same-origin")], &[]).await.status, 405);
    let (status, _, problem) =
        story.request(Method::GET, "/v1/nope", Some(story.local.admin_token()), Vec::new()).await;
    assert_eq!(
        (status, &problem["code"]),
        (404, &Value::from("not_found")),
        "the API's answer is not a problem document"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn page_view_records_the_use_of_its_token() {
    let story = Story::start_with_waiting_tasks().await;
    let browser = Browser::with(&story, &[Scope::Read], None).await;
    let used = async || {
        let tokens = story.api.tokens(None).await.unwrap().tokens;
        tokens.into_iter().find(|token| token.name == "a test's").unwrap().last_used
    };
    let before = used().await;
    // A use is recorded at most once a minute, and only the page uses this token.
    story.advance_and_sweep(Duration::from_secs(61)).await;
    assert_eq!(used().await, before);
    browser.get("/board").await;
    crate::story::wait_until("the use is noted", async || {
        let now = used().await;
        if now > before { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
}
