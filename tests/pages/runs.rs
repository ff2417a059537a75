//! Tests the pages of runs: a start, a question, a failure and its resume, hostile text, and the jobs of steps.

use super::job_pages::{HOSTILE, assert_harmless};
use super::{Answer, Browser};
use crate::prelude::*;
use crate::story::wait_until;
use pullyard_domain::text::id::RunId;

/// Approves as a reviewer, changes nothing as a fixer, and otherwise writes a line.
const AGENT: &str = r#"#!/bin/sh
prompt=$(cat)
case "$prompt" in
*'End with one of these outcomes'*) printf '{"v":1,"outcome":"approved","text":"No fault."}' > .pullyard/output.json;;
*Repair*) ;;
*) echo right >> work.txt;;
esac
"#;

async fn begin(agent: &'static str) -> (Story, Browser) {
    let story = Story::start_with(Setup { agent, ..Setup::default() }).await;
    User::of(&story).ok(&["settings", "set", "command_policy=unrestricted"]).await;
    let browser = Browser::admin(&story).await;
    (story, browser)
}

/// Starts the run of a plan. Returns the address of its page.
async fn start(story: &Story, plan: Value) -> String {
    let start = serde_json::from_value(json!({ "project": "acme", "plan": plan })).unwrap();
    format!("/runs/{}", story.api.start_run(&start, None).await.unwrap().id)
}

async fn wait_for(browser: &Browser, address: &str, text: &str) -> Answer {
    wait_until("the page of the run has the text", async || {
        let page = browser.get(address).await;
        if page.contains(text) { Ok(page) } else { Err(format!("{text}: {}", page.body)) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn form_starts_a_run_that_the_page_shows_until_its_resume() {
    let (story, browser) = begin(AGENT).await;
    let empty = browser.get("/runs").await;
    empty.assert_contains(&["No run yet", "pullyard run -f plan.yaml", ">Start run<"]);
    let blank = browser.post("/runs", &[("project", "acme"), ("prompt", " "), ("checks", "make check")]).await;
    assert_eq!(blank.status, 422);
    blank.assert_contains(&["write what to do", ">make check<"]);
    let refused = browser.post("/runs", &[("project", "acme"), ("prompt", "a"), ("repository", "acme/none")]).await;
    assert_eq!(refused.status, 422);
    refused.assert_contains(&["acme/none is not connected to acme"]);
    let form = [("project", "acme"), ("prompt", "Write a line.\r\nBe brief."), ("checks", "grep wrong work.txt\r\n")];
    let form = [&form[..], &[("form_key", "page-1")]].concat();
    let started = browser.post("/runs", &form).await;
    let (status, address) = started.redirect();
    assert!(status == 303 && address.starts_with("/runs/run_"), "{status} {address} {}", started.body);
    assert_eq!(browser.post("/runs", &form).await.redirect().1, address, "the second click started another run");

    let failed = wait_for(&browser, address, "Failed or cancelled steps: main.").await;
    failed.assert_contains(&[
        "1/1 steps ended.",
        "<code>grep wrong work.txt</code>",
        ">Resume</button>",
        r#"data-refresh="0""#,
    ]);
    assert!(!failed.contains("Cancel this run") && !failed.contains("jobs retry"), "{}", failed.body);
    let reader = Browser::with(&story, &[Scope::Read], None).await.get(address).await;
    assert!(reader.contains("Failed or cancelled steps") && !reader.contains("Resume</button>"), "{}", reader.body);
    browser.get("/runs").await.assert_contains(&[&format!(r#"href="{address}">Write a line.</a>"#), ">1/1<"]);
    browser.get(&format!("{address}/waterfall")).await.assert_contains(&[r#"class="f-bad""#, ">main</a>"]);
    let job = &story.jobs().await[0];
    let checks = browser.get(&format!("{address}/checks")).await;
    checks.assert_contains(&["<code>grep wrong work.txt</code>", "Failed with exit code 1 in "]);
    checks.assert_contains(&[&format!(r#"href="/jobs/{}/log?at=1.1""#, job.id)]);
    assert_eq!(job.step.as_deref(), Some("main"));
    let page = browser.get(&format!("/jobs/{}", job.id)).await;
    let short = address[address.len() - 4..].to_uppercase();
    page.assert_contains(&[&format!(r#"href="{address}">Open its run</a>"#), "step main"]);
    assert!(!page.contains(">Retry<") && !page.contains("jobs retry"), "{}", page.body);
    let shown = User::of(&story).run(&["jobs", "show", job.id.as_str()]).await;
    assert!(
        shown.out.contains("\nstep\tmain\n") && shown.err.contains(&format!("pullyard runs resume {short}")),
        "{shown:?}"
    );

    let resumed = browser.post(&format!("{address}/resume"), &[("cost_usd", "")]).await;
    assert_eq!(resumed.redirect(), (303, address));
    wait_for(&browser, address, "Failed or cancelled steps: main.").await;
    let waterfall = browser.get(&format!("{address}/waterfall")).await;
    let count = |markup: &str| waterfall.body.matches(markup).count();
    assert_eq!((count(">main</a>"), count(r#"class="f-bad""#)), (2, 2), "a row for each job: {}", waterfall.body);
    for job in story.jobs().await {
        waterfall.assert_contains(&[&format!(r#"href="/jobs/{}""#, job.id)]);
    }
    let refused = browser.post(&format!("{address}/resume"), &[("cost_usd", "5")]).await;
    assert_eq!(refused.status, 409);
    refused.assert_contains(&["has no cost limit"]);

    let store = story.store().await;
    let id: RunId = address.trim_start_matches("/runs/").parse().unwrap();
    let mut run = store.load_run(&id).await.unwrap().unwrap();
    assert_eq!(run.steps[0].jobs, 2);
    run.steps[0].jobs = 11;
    assert_eq!(store.update_run(&run).await.unwrap(), Write::Applied);
    let waterfall = browser.get(&format!("{address}/waterfall")).await;
    assert_eq!(waterfall.body.matches(">main</a>").count(), 1, "without the oldest: {}", waterfall.body);
    let all = format!("The ten newest jobs of each step; <code>pullyard runs trace {short}</code> shows all.");
    waterfall.assert_contains(&[&all]);
    let (user, trace) = (User::of(&story), ["runs", "trace", "@last"]);
    let with_lost = user.run(&trace).await;
    assert_eq!(with_lost.err.matches(" are missing: There is no job ").count(), 9, "{with_lost:?}");
    assert_eq!(with_lost.assert_success().lines().count(), 3, "the step and two attempts");
    let key = json!({ "pk": { "S": format!("JOB#{}", job.id) }, "sk": { "S": "JOB" } });
    let broken = json!({ "TableName": "pullyard", "Key": key, "UpdateExpression": "REMOVE #status",
        "ExpressionAttributeNames": { "#status": "status" } });
    story.call_dynamodb("UpdateItem", broken).await;
    let with_broken = user.run(&trace).await;
    assert_eq!(with_broken.err.matches(" are missing: ").count(), 10, "{with_broken:?}");
    assert_eq!(with_broken.assert_success().lines().count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn page_asks_the_question_and_shows_the_steps_to_the_end() {
    let (story, browser) = begin(AGENT).await;
    let plan = json!({ "name": "release", "limits": { "cost_usd": 20 }, "defaults": { "limits": { "cost_usd": 5 } }, "steps": [
        { "name": "ask", "approve": "Is it complete?" }, { "name": "write", "needs": ["ask"], "prompt": "Write.", "checks": ["test -f work.txt"] },
        { "name": "review", "role": "reviewer", "needs": ["write"], "prompt": "Name each fault." },
        { "name": "fix", "role": "fixer", "needs": ["review"], "prompt": "Repair." },
        { "name": "never", "needs": ["review"], "when": { "review": "changes_requested" }, "prompt": "Write.", "sandbox": "read_only" },
    ] });
    let address = start(&story, plan).await;
    let asked = wait_for(&browser, &address, "Is it complete?").await;
    asked.assert_contains(&[
        "Needs answer",
        "write waits for ask.",
        ">Approve<",
        "Cancel this run",
        r#"data-refresh="2000""#,
    ]);
    assert_eq!(asked.body.matches("stroke-dasharray").count(), 4, "an arrow to each waiting step: {}", asked.body);
    let places = [(8, 44), (232, 44), (456, 44), (680, 8), (680, 80)];
    let places = places.map(|(x, y)| format!(r#"<g transform="translate({x} {y})"><rect width="188""#));
    asked.assert_contains(
        &[&[r#"<svg width="876" height="142">"#], &places.each_ref().map(String::as_str)[..]].concat(),
    );
    let reader = Browser::with(&story, &[Scope::Read], None).await;
    let page = reader.get(&address).await;
    assert!(page.contains("Is it complete?"), "{}", page.body);
    assert!(!page.contains("Approve") && !page.contains("Cancel this run"), "{}", page.body);
    let link = format!(r#"<a class="title" href="{address}">release</a>"#);
    browser.get("/").await.assert_contains(&["Needs you", &link, "Waits for approval: ask.", ">Answer<"]);
    let other = Browser::with(&story, &[Scope::Read], None).await.get("/").await;
    other.assert_contains(&[&link, ">View run<"]);
    browser.get(&format!("{address}/checks")).await.assert_contains(&["<code>test -f work.txt</code>", "Not run"]);
    let answer = [("step", "write"), ("approve", "true")];
    assert_eq!(browser.post(&format!("{address}/answer"), &answer).await.status, 409);
    let answer = [("step", "ask"), ("approve", "true")];
    assert_eq!(browser.post(&format!("{address}/answer"), &answer).await.redirect(), (303, address.as_str()));

    let page = wait_for(&browser, &address, "5/5 steps ended.").await;
    browser.get(&format!("{address}/checks")).await.assert_contains(&["<code>test -f work.txt</code>", "Passed in "]);
    assert!(!browser.get("/").await.contains("Waits for approval"), "the question is answered");
    page.assert_contains(&["Completed", "Pull request #1", "approved", "Skipped", "has another outcome"]);
    page.assert_contains(&[" approved ask. &#34;Is it complete?&#34;</p>"]);
    let review = story.jobs().await.into_iter().find(|job| job.step.as_deref() == Some("review")).unwrap();
    page.assert_contains(&[&format!(r#"<a href="/jobs/{}" aria-label="review: Done">"#, review.id)]);
    let fix = story.jobs().await.into_iter().find(|job| job.step.as_deref() == Some("fix")).unwrap();
    let page = browser.get(&format!("/jobs/{}", fix.id)).await;
    page.assert_contains(&["Nothing to change, which the step allows.", "No changes"]);
    assert!(!page.contains("jobs retry") && !page.contains("note bad"), "{}", page.body);
    let trace = User::of(&story).ok(&["runs", "trace", "@last"]).await;
    assert!(trace.contains("\tcompleted\tfix\tjob_") && !trace.contains("\tfailed\t"), "{trace}");
}

#[tokio::test(flavor = "multi_thread")]
async fn run_is_cancelled_on_its_page() {
    let (story, browser) = begin(AGENT).await;
    let plan = json!({ "name": "release", "steps": [{ "name": "ask", "approve": "Is it complete?" }] });
    let address = start(&story, plan).await;
    wait_for(&browser, &address, "Cancel this run").await;
    assert_eq!(browser.post(&format!("{address}/cancel"), &[]).await.redirect(), (303, address.as_str()));
    let page = wait_for(&browser, &address, ">Resume</button>").await;
    page.assert_contains(&["Cancelled"]);
    assert!(!page.contains("Cancel this run") && !page.contains(">Approve<"), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_in_a_run_stays_text() {
    let story = Story::start_with_waiting_tasks().await;
    let browser = Browser::admin(&story).await;
    let ask = json!({ "name": "ask", "approve": format!("{HOSTILE}\n{HOSTILE}") });
    let plan = json!({ "name": "n", "parameters": { "task": { "type": "text", "default": HOSTILE } }, "steps": [ask] });
    let address = start(&story, plan).await;
    let page = wait_for(&browser, &address, "&#60;script&#62;alert(1)").await;
    for page in [&page, &browser.get(&format!("{address}/waterfall")).await, &browser.get("/runs").await] {
        page.assert_contains(&["&#60;script&#62;alert(1)"]);
        assert_harmless(page);
    }
    let hostile = [("project", "acme"), ("prompt", " "), ("checks", HOSTILE), ("repository", "")];
    assert_harmless(&browser.post("/runs", &hostile).await);
}
