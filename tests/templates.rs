//! Tests templates as their user lives them: by command, API, page, schedule, submission and webhook.

use crate::cli::body;
use crate::pages::Browser;
use crate::prelude::*;
use crate::webhooks::{ANN, BRANCH, SECRET, World};
use pullyard_domain::project::Compute;
use pullyard_domain::project::template::{Template, TemplateId};

/// One question, so that a run needs no agent.
pub(crate) const ASK: &str = "name: {param: task}
repository: {param: repo}
started_by: [hand, schedule, submission]
parameters:
  task: {type: text, required: true, about: What to ask}
  repo: {type: repository}
  depth: {type: integer, min: 1, max: 5, default: '2'}
steps:
  - {name: ask, approve: Is it complete?}
";

const FIX_CI: &str = "name: fix
started_by: [webhook]
on: {github: [push, workflow_run.completed.failure]}
parameters:
  repo: {type: repository, required: true}
  head_sha: {type: sha}
steps:
  - {name: ask, approve: Is it complete?}
";

pub(crate) async fn story() -> (Story, User, TempDir) {
    let story = Story::start_with(Setup::default()).await;
    story.update_settings(|settings| settings.compute = Compute::Runners).await;
    let user = User::of(&story);
    (story, user, TempDir::new().unwrap())
}

pub(crate) fn write(folder: &TempDir, plan: &str) -> String {
    let file = folder.path().join("plan.yaml");
    std::fs::write(&file, plan).unwrap();
    file.to_str().unwrap().to_owned()
}

pub(crate) async fn runs(story: &Story) -> Vec<Value> {
    body(story, "/v1/runs?project=acme").await["runs"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn template_is_stored_run_changed_and_deleted_by_command() {
    let (story, user, folder) = story().await;
    assert!(user.run(&["templates"]).await.err.contains("No template."));
    let file = write(&folder, ASK);
    let stored = user.run(&["templates", "put", "ask", "-f", &file]).await;
    assert!(stored.err.contains("Stored ask.") && stored.err.contains("`pullyard templates run ask`"), "{stored:?}");
    let listed = user.ok(&["templates"]).await;
    assert!(listed.starts_with("ask\thand, schedule, submission\tdepth, repo, task\t"), "{listed}");
    let shown = user.ok(&["templates", "show", "ask"]).await;
    assert!(
        shown.contains("depth (integer, default 2)") && shown.contains("task (text, required): What to ask"),
        "{shown}"
    );
    assert_eq!(user.json(&["templates", "show", "ask"]).await, body(&story, "/v1/templates/acme/ask").await);

    let run = user.ok(&["templates", "run", "ask", "--param", "task=Is\nit?", "--param", "repo=acme/app"]).await;
    let run = body(&story, &format!("/v1/runs/{}", run.trim())).await;
    assert_eq!(run["repository"], "acme/app");
    let again = ["run", "--template", "ask", "--param", "task=T", "--run-id", "one"];
    assert_eq!(user.ok(&again).await, user.ok(&again).await, "a repeat");
    assert_eq!(runs(&story).await.len(), 2);
    for (param, text) in [
        ("depth=9", "--param depth: use a whole number from 1 to 5"),
        ("repo=acme/other", "--param repo: acme/other is not connected to acme"),
        ("other=x", "--param other: the plan has no such parameter"),
    ] {
        user.run(&["templates", "run", "ask", "--param", "task=T", "--param", param]).await.assert_exit(2, text);
    }
    let missing = user.run(&["templates", "run", "ask"]).await;
    let missing = missing.assert_exit(2, "--param task: the plan requires this parameter");
    assert!(missing.err.contains("the request has 1 fault") && missing.err.contains("templates show"), "{missing:?}");
    user.run(&["templates", "run", "none"]).await.assert_exit(5, "there is no template none");

    // The repeat returns its run, although the template has changed.
    user.ok(&["templates", "put", "ask", "-f", &file, "--started-by", "hand"]).await;
    assert_eq!(body(&story, "/v1/templates/acme/ask").await["started_by"], json!(["hand"]));
    assert!(user.ok(&again).await.starts_with("run_"));
    let faulty = write(&folder, &ASK.replace("repo: {type: repository}", "repo: {type: text}"));
    user.run(&["templates", "put", "ask", "-f", &faulty]).await.assert_exit(2, "plan.yaml:2:14  /repository/param");
    let wide = ASK.replace("approve: Is it complete?", "prompt: Work., limits: {wall: 2h}");
    let wide = write(&folder, &wide.replace("repository: {param: repo}\n", ""));
    user.run(&["templates", "put", "ask", "-f", &wide])
        .await
        .assert_exit(2, "/steps/0/limits/wall  the project's limit");
    user.run(&["templates", "delete", "ask"]).await.assert_exit(2, "--yes");
    assert!(user.run(&["templates", "delete", "ask", "--yes"]).await.err.contains("Deleted ask"));
    user.run(&["templates", "show", "ask"]).await.assert_exit(5, "there is no template ask");
    assert_eq!(runs(&story).await.len(), 2, "its runs continue");
}

#[tokio::test(flavor = "multi_thread")]
async fn start_of_a_template_shows_faults_at_its_steps() {
    let (story, user, folder) = story().await;
    let plan = "name: wide
started_by: [hand]
defaults: {limits: {cost_usd: 3}}
steps:
  - {name: a, prompt: A.}
  - {name: b, needs: [a], prompt: B.}
";
    user.ok(&["templates", "put", "wide", "-f", &write(&folder, plan)]).await;
    story.update_settings(|settings| settings.limits.cost_usd_micros = Some(2_000_000)).await;
    let ran = user.run(&["run", "--template", "wide", "--repository", REPOSITORY]).await;
    let ran = ran.assert_exit(2, "/steps/0/limits/cost_usd  the project's limit is $2.00\n");
    assert!(ran.err.contains("/steps/1/limits/cost_usd  ") && !ran.err.contains("--cost-usd"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn repository_of_a_start_fills_its_parameter() {
    let (story, user, folder) = story().await;
    let plan = ASK.replace("{param: task}", "{param: repo}");
    let plan = plan.replace("{type: repository}", "{type: repository, required: true}");
    user.ok(&["templates", "put", "ask", "-f", &write(&folder, &plan)]).await;
    let put = ["schedules", "put", "weekly", "--template", "ask", "--every", "30m", "--param", "task=T"];
    user.run(&put).await.assert_exit(2, "/repo: the plan requires this parameter");
    let each = [&put[..], &["--each-repository"]].concat();
    user.run(&[&each[..], &["--param", "repo=acme/app"]].concat()).await.assert_exit(2, "/repo: each start sets it");
    user.ok(&each).await;
    user.ok(&["schedules", "run", "weekly"]).await;
    let start = |repository| ["templates", "run", "ask", "--param", "task=T", "--repository", repository];
    user.ok(&start("acme/app")).await;
    user.run(&start("acme/other")).await.assert_exit(2, "--repository: acme/other is not connected to acme");
    let both = [&start("acme/app")[..], &["--param", "repo=acme/shop"]].concat();
    user.run(&both).await.assert_exit(2, "--param repo: the run's repository is acme/app");
    let found = runs(&story).await;
    let names: Vec<_> = found.iter().map(|run| run["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["acme/app"; 2], "the name is that of the parameter");
}

#[tokio::test(flavor = "multi_thread")]
async fn submission_repeated_fifty_times_is_one_run() {
    let (story, user, folder) = story().await;
    user.ok(&["templates", "put", "ask", "-f", &write(&folder, ASK)]).await;
    let send = ["submissions", "send", "ask", "--id", "alert-17", "--param", "task=T"];
    let first = user.ok(&send).await;
    assert!(first.starts_with("run_"), "{first}");
    let token = story.local.admin_token();
    let submission = json!({ "id": "alert-17", "project": "acme", "template": "ask", "params": { "task": "T" } });
    for _ in 0..49 {
        let bytes = submission.to_string().into_bytes();
        let (status, _, run) = story.request(Method::POST, "/v1/submissions", Some(token), bytes).await;
        assert_eq!((status, &run["id"]), (200, &json!(first.trim())));
    }
    assert_eq!(runs(&story).await.len(), 1);
    let doubled = submission.to_string().replace("\"task\"", "\"task\":\"S\",\"task\"").into_bytes();
    let (status, _, problem) = story.request(Method::POST, "/v1/submissions", Some(token), doubled).await;
    assert_eq!((status, &problem["pointer"]), (400, &json!("/params/task")), "{problem}");
    let other = ["submissions", "send", "ask", "--id", "alert-17", "--param", "task=Other"];
    user.run(&other).await.assert_exit(2, "other content");
    let faulty = ["submissions", "send", "ask", "--id", "alert-18", "--param", "depth=0"];
    user.run(&faulty).await.assert_exit(2, "--param depth: use a whole number");
    user.ok(&["templates", "put", "hand", "-f", &write(&folder, ASK), "--started-by", "hand"]).await;
    user.run(&["submissions", "send", "hand", "--id", "x"]).await.assert_exit(2, "is not started by submission");
    user.run(&["submissions", "send", "none", "--id", "y"]).await.assert_exit(2, "there is no template none");
    let ledger = body(&story, "/v1/deliveries?project=acme").await;
    let entry = |event: &str| {
        let all = ledger["deliveries"].as_array().unwrap();
        let found: Vec<_> = all.iter().filter(|delivery| delivery["event"] == event).collect();
        assert_eq!(found.len(), 1, "{ledger:#}");
        (found[0]["code"].as_str().unwrap().to_owned(), found[0]["sentence"].as_str().unwrap().to_owned())
    };
    assert_eq!(entry("alert-17").0, "run_started");
    let (code, sentence) = entry("alert-18");
    assert!(code == "body_unreadable" && sentence.contains("`/params/depth`"), "{code} {sentence}");
    let (code, sentence) = entry("x");
    let fault = "/template: hand is not started by submission";
    assert!(code == "template_refused" && sentence.contains(fault), "{ledger:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_with_a_doubled_key_is_refused() {
    let (story, ..) = story().await;
    let plan = r#"{"name":"a","steps":[{"name":"ask","approve":"One?","approve":"Two?"}]}"#;
    for (method, path, body) in [
        (Method::PUT, "/v1/templates/acme/ask", format!(r#"{{"plan":{plan}}}"#)),
        (Method::POST, "/v1/runs", format!(r#"{{"project":"acme","plan":{plan}}}"#)),
    ] {
        let bytes = body.into_bytes();
        let (status, _, problem) = story.request(method, path, Some(story.local.admin_token()), bytes).await;
        assert_eq!((status, &problem["pointer"]), (400, &json!("/plan/steps/0/approve")), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn schedule_starts_a_run_and_skips_while_it_is_open() {
    let (story, user, folder) = story().await;
    let put = ["schedules", "put", "weekly", "--template", "ask", "--every", "30m", "--param", "task=T"];
    user.run(&put).await.assert_exit(2, "template: there is no template ask");
    user.ok(&["templates", "put", "ask", "-f", &write(&folder, ASK)]).await;
    user.run(&put[..7]).await.assert_exit(2, "params: /task: the plan requires this parameter");
    assert!(user.ok(&put).await.contains("when\task: every 30m, UTC\n"));
    user.ok(&["schedules", "resume", "weekly"]).await;
    let half_hour = Duration::from_secs(30 * 60);
    // Only these may start the run, all at once.
    story.clock.advance(half_hour);
    let (sweep, due) = (|| story.local.sweep(), || user.run(&["schedules", "run-due"]));
    let (one, two, first, second, third) = tokio::join!(sweep(), sweep(), due(), due(), due());
    assert_eq!((one, two), (Ok(()), Ok(())));
    for ran in [first, second, third] {
        ran.assert_success();
    }
    let found = runs(&story).await;
    assert_eq!((found.len(), &found[0]["by"]), (1, &json!("schedule weekly")));
    let last = async || body(&story, "/v1/schedules/acme/weekly").await["last"].as_str().unwrap().to_owned();
    assert_eq!(last().await, "Runs started: 1, still running: 0.");
    story.advance_and_sweep(half_hour).await;
    assert_eq!(last().await, "Runs started: 0, still running: 1.");
    let codes = async || {
        let all = body(&story, "/v1/deliveries?project=acme").await;
        all["deliveries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["code"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(codes().await, ["schedule_busy", "run_started"]);
    user.ok(&["runs", "cancel", "@last", "--yes"]).await;
    let deleted = user.run(&["templates", "delete", "ask", "--yes"]).await;
    assert!(deleted.err.contains("delete them too: schedule weekly."), "{deleted:?}");
    user.ok(&put).await;
    for _ in 0..5 {
        story.advance_and_sweep(half_hour).await;
    }
    let paused =
        "Paused after 5 failures in a row: The template ask starts no run: /template: there is no template ask.";
    assert_eq!(last().await, paused);
    assert_eq!(runs(&story).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn schedule_starts_one_run_in_each_repository() {
    let (story, user, folder) = story().await;
    let files = [("README.md", "# Shop\n", false)];
    story.local.forge().create_repository("acme/shop", "main", &files).await.unwrap();
    user.ok(&["repos", "add", "acme/shop", "--integration", "gh1", "--agent-command", "./agent.sh"]).await;
    user.ok(&["templates", "put", "ask", "-f", &write(&folder, &ASK.replace("repository: {param: repo}\n", ""))]).await;
    let put = ["schedules", "put", "weekly", "--template", "ask", "--each-repository", "--every", "30m"];
    user.ok(&[&put[..], &["--param", "task=T"]].concat()).await;
    let shown = user.ok(&["schedules", "run", "weekly"]).await;
    assert!(shown.contains("starts\ttemplate ask in each repository\nparameter\ttask=T\nwhen\t"), "{shown}");
    let mut found = BTreeSet::new();
    for run in runs(&story).await {
        let run = body(&story, &format!("/v1/runs/{}", run["id"].as_str().unwrap())).await;
        assert!(found.insert(run["repository"].as_str().unwrap().to_owned()), "{run}");
    }
    assert_eq!(found.iter().collect::<Vec<_>>(), ["acme/app", "acme/shop"]);
    let schedule = body(&story, "/v1/schedules/acme/weekly").await;
    assert_eq!(schedule["last"], "Runs started: 2, still running: 0.");
    user.ok(&["schedules", "run", "weekly"]).await;
    assert_eq!(runs(&story).await.len(), 2, "they are open");
}

#[tokio::test(flavor = "multi_thread")]
async fn delivery_of_a_named_event_starts_one_run() {
    let world = World::new().await;
    let (user, folder) = (User::of(&world.story), TempDir::new().unwrap());
    let base_url = world.story.local.api_url().to_owned();
    let install =
        ["hooks", "install", "--integration", "gh1", "--base-url", &base_url, "--repo", REPOSITORY, "--template"];
    user.run(&[&install[..], &["fix-ci"]].concat()).await.assert_exit(2, "there is no template fix-ci");
    user.ok(&[
        "templates",
        "put",
        "hand",
        "-f",
        &write(&folder, &ASK.replace("[hand, schedule, submission]", "[hand]")),
    ])
    .await;
    user.run(&[&install[..], &["hand"]].concat()).await.assert_exit(2, "hand is not started by webhook");
    user.ok(&["templates", "put", "fix-ci", "-f", &write(&folder, FIX_CI)]).await;
    let installed = user.ok(&[&install[..], &["fix-ci"]].concat()).await;
    assert!(installed.starts_with("fix-ci\t"), "{installed}");
    user.ok(&["hooks", "verify", "fix-ci"]).await;
    let secret = user.json(&["hooks", "list"]).await[0]["secret"].as_str().unwrap().to_owned();
    let value = SetSecret { value: SECRET.into(), kind: SecretKind::Forge };
    world.story.api.set_secret(&secret.parse().unwrap(), &value).await.unwrap();

    let ann = json!({ "id": ANN, "login": "ann", "type": "User" });
    let repository = json!({ "id": world.repository, "full_name": REPOSITORY, "name": "app" });
    let push = |branch: &str, sender: &Value| {
        json!({ "ref": format!("refs/heads/{branch}"), "before": "a".repeat(40), "after": "b".repeat(40),
            "repository": repository, "sender": sender })
    };
    let send = async |event: &str, body: &Value| {
        let (status, decision) = world.send("fix-ci", event, body).await;
        assert_eq!(status, 200, "{decision}");
        decision["code"].as_str().unwrap().to_owned()
    };
    let of_ann = push("main", &ann);
    assert_eq!(send("push", &of_ann).await, "run_started");
    let fewer = write(&folder, &FIX_CI.replace("  head_sha: {type: sha}\n", ""));
    user.ok(&["templates", "put", "fix-ci", "-f", &fewer]).await;
    assert_eq!(send("push", &of_ann).await, "run_started");
    assert_eq!(runs(&world.story).await.len(), 1, "a redelivery");
    let plan = json!({ "action": "completed", "repository": repository, "sender": ann,
        "workflow_run": { "conclusion": "success", "head_branch": "main", "head_repository": repository,
            "head_sha": "c".repeat(40) } });
    assert_eq!(send("workflow_run", &plan).await, "event_ignored");
    let mut failed = plan.clone();
    failed["workflow_run"]["conclusion"] = json!("failure");
    assert_eq!(send("workflow_run", &failed).await, "run_started");
    let ben = world.add_reader().await;
    assert_eq!(send("push", &push("main", &ben)).await, "author_not_permitted");
    assert_eq!(send("push", &push(BRANCH, &ann)).await, "echo");
    let bot = json!({ "id": (1_u64 << 53) + 7, "login": "pullyard-bot", "type": "Bot" });
    assert_eq!(send("push", &push("main", &bot)).await, "echo");
    let user_of_token = json!({ "id": (1_u64 << 53) + 7, "login": "pullyard-bot", "type": "User" });
    assert_eq!(send("push", &push("main", &user_of_token)).await, "template_refused");
    assert_eq!(send("push", &push(BRANCH, &user_of_token)).await, "echo", "its own branch is no refusal");
    let unknown = json!({ "id": ANN + 9, "login": "gone", "type": "User" });
    assert_eq!(send("push", &push("main", &unknown)).await, "author_not_permitted");
    assert_eq!(send("workflow_run.completed.failure", &plan).await, "event_ignored", "the header is not signed");
    let mut foreign = push("main", &ann);
    foreign["repository"]["id"] = json!(world.repository + 1);
    assert_eq!(send("push", &foreign).await, "repository_not_integrated");
    let (status, decision) = world.send("fix-ci", "push", &failed).await;
    assert_eq!((status, &decision["code"]), (400, &json!("body_unreadable")), "another event's shape");
    assert_eq!(runs(&world.story).await.len(), 2);
    let shown = body(&world.story, "/v1/hooks/fix-ci").await;
    assert_eq!(shown["template"], "fix-ci");
    let deleted = user.run(&["templates", "delete", "fix-ci", "--yes"]).await;
    assert!(deleted.err.contains("Deleted fix-ci. Without it these start nothing; delete them too: hook fix-ci."));
    let repaired = user.run(&["hooks", "repair", "fix-ci"]).await.assert_exit(3, "");
    assert!(repaired.out.contains("No webhook starts its template fix-ci"), "{repaired:?}");
    assert!(!repaired.err.contains("hooks repair"), "the same answer for ever: {repaired:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_of_another_version_says_why_it_starts_nothing() {
    let (story, user, folder) = story().await;
    user.ok(&["templates", "put", "ask", "-f", &write(&folder, ASK)]).await;
    let put = ["schedules", "put", "weekly", "--template", "ask", "--every", "30m", "--param", "task=T"];
    user.ok(&put).await;
    let id = TemplateId { project: story.project.clone(), name: "ask".parse().unwrap() };
    let store = story.store().await;
    let stored = store.load_template(&id).await.unwrap().unwrap();
    let plan = json!({ "name": "n", "newer": 1, "steps": [{ "name": "a", "prompt": "Work." }] }).to_string();
    assert_eq!(store.put_template(&Template { plan, ..stored }).await.unwrap(), Write::Applied);
    assert_eq!(body(&story, "/v1/templates/acme/ask").await["started_by"], json!([]));
    let page = Browser::admin(&story).await.get("/runs/templates?project=acme").await;
    page.assert_contains(&["This version refuses it: "]);
    assert!(!page.body.contains("Start a run"), "{}", page.body);
    user.run(&["schedules", "run", "weekly"]).await;
    let schedule = body(&story, "/v1/schedules/acme/weekly").await;
    assert!(schedule["last"].as_str().unwrap().contains("/template: "), "{schedule}");
    let changed = [&put[..7], &["--param", "task=Other"]].concat();
    user.run(&changed).await.assert_exit(2, "template: this version refuses it: ");
}

#[tokio::test(flavor = "multi_thread")]
async fn first_template_is_added_and_started_on_the_page() {
    let (story, _, _) = story().await;
    let browser = Browser::admin(&story).await;
    const PAGE: &str = "/runs/templates?project=acme";
    browser.get(PAGE).await.assert_contains(&["No template yet", "Add the contributor template"]);
    let added = browser.post("/runs/templates", &[("project", "acme")]).await;
    assert_eq!(added.redirect(), (303, PAGE));
    browser.get(PAGE).await.assert_contains(&["contributor", "name=\"param-task\"", "Start a run"]);
    let of = [("project", "acme"), ("template", "contributor"), ("form_key", "page-1")];
    let missing = browser.post("/runs/templates", &of).await;
    assert_eq!(missing.status, 422);
    missing.assert_contains(&["Correct the marked values.", ">The plan requires this parameter.</p>"]);
    let with_task = [&of[..], &[("param-task", "Retry on 503 ")]].concat();
    let started = browser.post("/runs/templates", &with_task).await;
    let run = runs(&story).await[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(started.redirect(), (303, format!("/runs/{run}").as_str()));
    assert_eq!(browser.post("/runs/templates", &with_task).await.redirect(), started.redirect());
    assert_eq!(runs(&story).await.len(), 1, "a repeated click");
    let trimmed = [&of[..], &[("param-task", "Retry on 503")]].concat();
    assert_ne!(browser.post("/runs/templates", &trimmed).await.status, 303, "the space belongs to the value");
}

#[tokio::test(flavor = "multi_thread")]
async fn form_of_a_template_has_a_field_for_each_type() {
    let (story, user, folder) = story().await;
    let more =
        "  kind: {type: choice, of: [fast, slow], default: slow}\n  dry: {type: boolean}\n  link: {type: url}\nsteps:";
    user.ok(&["templates", "put", "ask", "-f", &write(&folder, &ASK.replace("steps:", more))]).await;
    let browser = Browser::admin(&story).await;
    browser.get("/runs/templates?project=acme").await.assert_contains(&[
        r#"name="param-depth" value="2" type="number" min="1" max="5" required"#,
        "From 1 to 5.",
        r#"list="project_repositories" placeholder="owner/name""#,
        &format!(r#"<datalist id="project_repositories"><option value="{REPOSITORY}"></datalist>"#),
        r#"name="param-link" value="" type="url" autocomplete"#,
        r#"name="param-kind" required><option value="fast">fast</option><option value="slow" selected>slow</option>"#,
        r#"name="param-dry"><option value=""></option><option value="true">true</option>"#,
        r#"name="param-task" rows="3" required"#,
        "What to ask",
        "Steps: ask. Stored by ",
    ]);
    let post = async |repository: &str, depth: &str, kind: &str, link: &str| {
        let values = [("param-depth", depth), ("param-kind", kind), ("param-link", link), ("param-dry", "")];
        let of = [("project", "acme"), ("template", "ask"), ("param-task", "T\r\nU"), ("param-repo", repository)];
        browser.post("/runs/templates", &[&of[..], &values].concat()).await
    };
    let unconnected = post("acme/gone", "3", "fast", "https://a.example/1").await;
    unconnected.assert_contains(&[
        r#"name="param-repo" value="acme/gone""#,
        r#"id="bad-ask-repo">acme/gone is not connected to acme: <code>"#,
    ]);
    let refused = post(REPOSITORY, "9", "<b>odd", "ftp://a").await;
    assert_eq!(refused.status, 422);
    refused.assert_contains(&[
        "Correct the marked values.",
        r#"id="bad-ask-depth">Use a whole number from 1 to 5.<"#,
        r#"id="bad-ask-kind">Use fast or slow.<"#,
        r#"aria-invalid="true" aria-describedby="bad-ask-link""#,
        r#"aria-describedby="bad-ask-kind"><option value=""></option><option value="fast">fast</option>"#,
        r#"name="param-depth" value="9""#,
        r#"value="ftp://a""#,
    ]);
    assert_eq!(post(REPOSITORY, "3", "fast", "https://a.example/1").await.status, 303);
    let id = runs(&story).await[0]["id"].as_str().unwrap().to_owned();
    let run = body(&story, &format!("/v1/runs/{id}?plan=true")).await;
    assert_eq!((&run["name"], &run["repository"]), (&json!("T"), &json!(REPOSITORY)));
    assert_eq!(run["params"]["task"], "T\nU", "as by the API");
}
