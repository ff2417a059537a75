//! Tests schedules as their user sees them: by command, API and page.

use crate::cli::body;
use crate::pages::Browser;
use crate::prelude::*;
use pullyard_domain::project::Compute;

const NIGHTLY: &[&str] = &["schedules", "put", "nightly", "--analyse", "--window", "02:00-02:59", "--cooldown", "20h"];
const PAGE: &str = "/setup/schedules?project=acme";

/// Analyses wait for runners, of which there are none.
async fn story_with_waiting_jobs() -> Story {
    let story = Story::start_with(Setup::default()).await;
    // Without a checkout, a program of the repository is refused.
    story.set_agent_command(&["true"]).await;
    story.update_settings(|settings| settings.compute = Compute::Runners).await;
    story
}

async fn analyses(story: &Story) -> usize {
    let jobs = body(story, "/v1/jobs?project=acme").await;
    jobs["jobs"].as_array().unwrap().iter().filter(|job| job["kind"] == "analysis").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn schedule_is_created_resumed_run_and_deleted_by_command() {
    let story = story_with_waiting_jobs().await;
    let user = User::of(&story);
    assert!(user.run(&["schedules"]).await.err.contains("No schedule."));
    let created = user.run(&[NIGHTLY, &["--zone", "Europe/Berlin"]].concat()).await;
    assert!(created.err.contains("`pullyard schedules resume nightly`"), "{created:?}");
    let shown = created.assert_success();
    assert!(shown.contains("state\tPaused\nstarts\tanalyses in each repository\n"), "{shown}");
    assert!(shown.contains("when\t02:00-02:59, cooldown 20h, Europe/Berlin\n"), "{shown}");
    assert_eq!(shown.matches("next\t").count(), 5, "{shown}");

    // A paused schedule starts nothing by itself.
    story.advance_and_sweep(Duration::from_secs(86_400)).await;
    assert_eq!(analyses(&story).await, 0);
    assert!(user.ok(&["schedules", "resume", "nightly"]).await.contains("state\tActive\n"));
    let listed = user.ok(&["schedules"]).await;
    assert!(listed.starts_with("nightly\tActive\t"), "{listed}");
    assert_eq!(user.json(&["schedules", "list"]).await, body(&story, "/v1/schedules/acme").await);
    assert_eq!(user.json(&["schedules", "show", "nightly"]).await, body(&story, "/v1/schedules/acme/nightly").await);

    assert!(user.run(&["schedules", "run-due"]).await.err.contains("No schedule is due."));
    let ran = user.ok(&["schedules", "run", "nightly"]).await;
    assert!(ran.contains("result\tAnalyses started: 1, still running: 0.\n"), "{ran}");
    assert_eq!(analyses(&story).await, 1);
    let busy = user.ok(&["schedules", "run", "nightly"]).await;
    assert!(busy.contains("result\tAnalyses started: 0, still running: 1.\n"), "{busy}");
    assert!(user.ok(&["schedules", "pause", "nightly"]).await.contains("state\tPaused\n"));
    user.run(&["schedules", "delete", "nightly"]).await.assert_exit(2, "--yes");
    assert!(user.run(&["schedules", "delete", "nightly", "--yes"]).await.err.contains("Deleted nightly"));
    user.run(&["schedules", "show", "nightly"]).await.assert_exit(5, "there is no schedule nightly");
    assert_eq!(analyses(&story).await, 1, "its job remains");
}

#[tokio::test(flavor = "multi_thread")]
async fn due_schedule_starts_within_the_next_sweep() {
    let story = story_with_waiting_jobs().await;
    let user = User::of(&story);
    user.ok(&["schedules", "put", "often", "--analyse", "--every", "30m"]).await;
    user.ok(&["schedules", "resume", "often"]).await;
    story.advance_and_sweep(Duration::from_secs(29 * 60)).await;
    assert_eq!(analyses(&story).await, 0);
    story.advance_and_sweep(Duration::from_secs(60)).await;
    story.local.sweep().await.unwrap();
    assert_eq!(analyses(&story).await, 1);
    let shown = user.json(&["schedules", "show", "often"]).await;
    assert_eq!(shown["last"], "Analyses started: 1, still running: 0.");
    // Before the next sweep, a user may start the due schedules.
    story.clock.advance(Duration::from_secs(30 * 60));
    let ran = user.json(&["schedules", "run-due"]).await;
    assert_eq!(ran["schedules"][0]["last"], "Analyses started: 0, still running: 1.");
}

#[tokio::test(flavor = "multi_thread")]
async fn faulty_schedules_are_refused_with_their_field() {
    let story = story_with_waiting_jobs().await;
    let user = User::of(&story);
    let put = ["schedules", "put", "x", "--analyse"];
    for (arguments, text) in [
        (&["--every", "4m"][..], "every: use 5m to 31d"),
        (&["--cron", "0 25 * * *"], "cron: use five fields"),
        (&["--cron", "0 3 30 2 *"], "cron: use a time that occurs"),
        (&["--window", "2-3", "--cooldown", "20h"], "window: use first and last minute"),
        (&["--window", "02:00-02:59", "--cooldown", "40d"], "cooldown: use 5m to 31d"),
        (&["--every", "6h", "--zone", "Berlin"], "zone: use a zone of the IANA database"),
    ] {
        user.run(&[&put[..], arguments].concat()).await.assert_exit(2, text);
    }
    for (arguments, text) in [
        (&[][..], "--every"),
        (&["--every", "6h", "--cron", "0 3 * * *"], "cannot be used with"),
        (&["--window", "02:00-02:59"], "--cooldown"),
        (&["--every", "6h", "--cooldown", "20h"], "every: set exactly one of"),
    ] {
        user.run(&[&put[..], arguments].concat()).await.assert_exit(2, text);
    }
    user.run(&["schedules", "put", "x", "--every", "6h"]).await.assert_exit(2, "--analyse");
    let token = story.local.admin_token();
    let send = async |method, path: &str, body: Value| {
        let (status, _, problem) = story.request(method, path, Some(token), body.to_string().into_bytes()).await;
        (status, problem["pointer"].clone())
    };
    let unknown = json!({ "analyse": true, "every": "6h", "zoen": "UTC" });
    assert_eq!(send(Method::PUT, "/v1/schedules/acme/x", unknown).await, (400, json!("/zoen")));
    assert_eq!(send(Method::PUT, "/v1/schedules/acme/x", json!({ "every": "6h" })).await, (422, json!("/analyse")));
    assert_eq!(send(Method::POST, "/v1/schedules/acme/x/resume", json!({})).await.0, 404);
    // A project may have any name.
    assert_eq!(send(Method::GET, "/v1/schedules/run-due", json!({})).await.0, 404);
    assert_eq!(send(Method::POST, "/v1/schedules/acme/x/explode", json!({})).await.0, 404);
    assert_eq!(body(&story, "/v1/schedules/acme").await, json!({ "schedules": [] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn schedule_is_created_resumed_run_and_deleted_on_its_page() {
    let story = story_with_waiting_jobs().await;
    let browser = Browser::admin(&story).await;
    browser.get(PAGE).await.assert_contains(&["No schedule yet", "href=\"/setup/schedules?project=acme\""]);
    let post = async |fields: &[(&str, &str)]| {
        browser.post("/setup/schedules", &[&[("project", "acme"), ("name", "nightly")], fields].concat()).await
    };
    let wrong = post(&[("every", "6h"), ("cron", "0 3 * * *")]).await;
    assert_eq!(wrong.status, 422);
    wrong.assert_contains(&["set exactly one of every, cron, and window with cooldown", "value=\"0 3 * * *\""]);
    let saved = post(&[("every", ""), ("window", "02:00-02:59"), ("cooldown", "20h"), ("zone", "Asia/Tokyo")]).await;
    assert_eq!(saved.redirect(), (303, PAGE));
    browser.get(PAGE).await.assert_contains(&["Paused", "02:00-02:59, cooldown 20h, Asia/Tokyo", "If it were resumed"]);
    assert_eq!(post(&[("command", "resume")]).await.status, 303);
    browser.get(PAGE).await.assert_contains(&["Active", "never"]);
    assert_eq!(post(&[("command", "run")]).await.status, 303);
    browser.get(PAGE).await.assert_contains(&["Analyses started: 1, still running: 0."]);
    assert_eq!(analyses(&story).await, 1);
    assert_eq!(post(&[("command", "pause")]).await.status, 303);
    browser.get(PAGE).await.assert_contains(&["Paused", "Run now", "/setup/schedules?project=acme&name=nightly#new"]);
    let filled = browser.get(&format!("{PAGE}&name=nightly")).await;
    filled.assert_contains(&["value=\"nightly\"", "value=\"02:00-02:59\"", "value=\"20h\"", "value=\"Asia/Tokyo\""]);
    let asked = post(&[("delete", "ask")]).await;
    asked.assert_contains(&["Delete the schedule nightly?", "name=\"delete\" value=\"confirmed\""]);
    browser.get(PAGE).await.assert_contains(&["nightly"]);
    assert_eq!(post(&[("delete", "confirmed")]).await.status, 303);
    browser.get(PAGE).await.assert_contains(&["No schedule yet"]);
    assert_eq!(post(&[("delete", "confirmed")]).await.status, 404);

    let reader = Browser::with(&story, &[Scope::Read], None).await;
    let page = reader.get(PAGE).await;
    assert!(page.status == 200 && !page.contains("Save schedule"), "{}", page.body);
    let fields = [("project", "acme"), ("name", "x"), ("every", "6h")];
    assert_eq!(reader.post("/setup/schedules", &fields).await.status, 403);
    let other = Browser::with(&story, &[Scope::Read, Scope::Jobs], Some(&["other"])).await;
    assert_eq!(other.get(PAGE).await.status, 403);
    assert_eq!(other.post("/setup/schedules", &fields).await.status, 403);
}
