//! Tests analyses of open pull requests: command, API, page, and refusals.

use crate::cli::User;
use crate::pages::Browser;
use crate::prelude::*;
use pullyard_domain::project::Repository;
use pullyard_domain::review::output::JobOutput;
use pullyard_protocol::analysis::{AnalysisQuery, RequestAnalysis};

/// Summarises each file; one summary contains an order to the browser.
const SCRIPT: &str = r#"items=""; for file in .pullyard/input/*.md; do
    items="$items{\"number\":$(basename $file .md),\"summary\":\"Adds <b>retries</b>.\",\"next_step\":\"Review it.\",\"risk\":\"high\"},"
  done
  echo '{"kind":"usage","turns":1,"cost_usd_micros":310000}'
  printf '{"v":1,"items":[%s]}' "${items%,}" > .pullyard/output.json"#;

async fn with_pull_requests(titles: &[&str]) -> (Story, User) {
    let story = Story::start_with(Setup::default()).await;
    story.set_agent_command(&["sh", "-c", SCRIPT]).await;
    for (at, title) in titles.iter().enumerate() {
        let branch = format!("feature-{at}");
        let files = [("work.txt", "one\n", false)];
        story.local.forge().commit(REPOSITORY, &branch, "pullyard-bot", &files).await.unwrap();
        let body = json!({ "title": title, "head": branch, "base": "main", "body": "Please." });
        story.call_forge(Method::POST, "/pulls", body).await;
    }
    let user = User::of(&story);
    (story, user)
}

fn query(story: &Story) -> AnalysisQuery {
    AnalysisQuery { project: story.project.clone(), repository: REPOSITORY.parse().unwrap() }
}

#[tokio::test(flavor = "multi_thread")]
async fn open_pull_requests_are_shown_with_their_summaries() {
    let (story, user) = with_pull_requests(&["Limit retries", "Greet <i>users</i>"]).await;
    let browser = Browser::admin(&story).await;
    browser.get("/analyses?project=acme").await.assert_contains(&[REPOSITORY, "Not analysed yet", ">Analyse<"]);
    let items = format!("/analyses/items?project=acme&repository={}", REPOSITORY.replace('/', "%2F"));
    browser.get(&items).await.assert_contains(&["Not analysed yet"]);
    let none = user.ok(&["analyses", "show", REPOSITORY]).await;
    assert_eq!(none, "");

    let ran = user.run(&["analyses", "run", "--repo", REPOSITORY, "--watch"]).await;
    let sentence = "2 pull requests and 0 issues open: 0 stale, 0 abandoned.";
    assert!(ran.out.ends_with(&format!("{sentence}\n")), "{ran:?}");
    let job = story.jobs().await.remove(0);
    assert_eq!(
        (job.kind, job.status, job.title.as_str()),
        (JobKind::Analysis, JobStatus::Completed, "Open work in acme/app")
    );
    assert_eq!(user.json(&["jobs", "--kind", "analysis"]).await["jobs"][0]["id"], json!(job.id));
    assert_eq!(user.ok(&["jobs", "output", job.id.as_str()]).await, format!("{sentence}\n"));
    let list = user.json(&["analyses"]).await["analyses"][0].clone();
    assert_eq!((&list["repository"], &list["last"]["counts"]["pulls"]), (&json!(REPOSITORY), &json!(2)));
    assert_eq!(list["last"]["spent_usd_micros"], 310_000);

    let all = story.api.analysis_items(&query(&story)).await.unwrap();
    assert_eq!((all.items.len(), all.analysis.last.unwrap().job), (2, job.id.clone()));
    let first = &all.items[0];
    assert_eq!(
        (first.staleness.as_str(), first.item.summary.as_ref().unwrap().text.as_str()),
        ("fresh", "Adds <b>retries</b>.")
    );
    let json = user.json(&["analyses", "show", REPOSITORY]).await;
    assert_eq!((&json["items"][0]["item"]["kind"], &json["items"][0]["staleness"]), (&json!("pulls"), &json!("fresh")));
    let shown = user.ok(&["analyses", "show", REPOSITORY, "--staleness", "fresh", "--sort", "age"]).await;
    assert_eq!((shown.lines().count(), shown.contains("Next: Review it.")), (2, true), "{shown}");
    assert_eq!(user.ok(&["analyses", "show", REPOSITORY, "--what", "issues"]).await, "");
    assert_eq!(user.ok(&["analyses", "show", REPOSITORY, "--staleness", "stale"]).await, "");

    let page = browser.get(&items).await;
    page.assert_contains(&[
        "Limit retries",
        "Adds &#60;b&#62;retries&#60;/b&#62;.",
        "Next: Review it.",
        "high risk",
        "$0.31",
        ">Refresh<",
    ]);
    assert!(!page.contains("<i>users</i>") && !page.contains("<b>retries</b>"), "{}", page.body);
    browser.get(&format!("{items}&staleness=stale")).await.assert_contains(&["None that matches."]);
    browser.get(&format!("/jobs/{}/output", job.id)).await.assert_contains(&["/analyses/items?project=acme"]);

    // Without a change, no agent starts.
    let form = [("project", "acme"), ("repository", REPOSITORY), ("form_key", "page-1")];
    let started = browser.post("/analyses", &form).await;
    let (_, address) = started.redirect();
    let second: JobId = address.trim_start_matches("/jobs/").parse().unwrap();
    assert_eq!(browser.post("/analyses", &form).await.redirect().1, address);
    let ended = story.wait_for_end(&second).await;
    assert_eq!(ended.status, JobStatus::Completed, "{ended:?}");
    let attempts = story.api.attempts(&second).await.unwrap().attempts;
    assert!(attempts.iter().all(|attempt| attempt.work.is_none()), "{attempts:?}");
    let Some(JobOutput::Analysis(report)) = story.api.job_output(&second).await.unwrap().output else { panic!("none") };
    assert!(report.items.iter().all(|item| item.has_current_summary()));
    browser.get("/analyses?project=acme").await.assert_contains(&[sentence, "$0.00", ">Refresh<"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn watched_analyses_are_one_document_with_the_worst_exit_code() {
    let (story, user) = with_pull_requests(&["Limit retries"]).await;
    // It does not exist at the forge, so its job fails.
    let store = story.store().await;
    let connected = store.list_repositories(&story.project).await.unwrap().remove(0);
    let lost = Repository { id: 4_711, name: "acme/gone".parse().unwrap(), ..connected };
    assert_eq!(store.put_repository(&lost, None).await.unwrap(), Write::Applied);
    let ran = user.run(&["analyses", "run", "--json", "--watch"]).await;
    let jobs: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    let states: Vec<_> = jobs.iter().map(|job| job["status"].as_str().unwrap()).collect();
    assert_eq!((states, ran.code), (vec!["completed", "failed"], 6), "{ran:?}");
    story.update_settings(|settings| settings.held_by = Some("ann".into())).await;
    let refused = user.run(&["analyses", "run", "--json", "--watch"]).await;
    assert_eq!((refused.code, refused.out.trim()), (3, "[]"));
}

#[tokio::test(flavor = "multi_thread")]
async fn running_analysis_answers_a_second_request() {
    let story = Story::start_with_waiting_tasks().await;
    story.set_agent_command(&["true"]).await;
    let user = User::of(&story);
    let first = user.ok(&["analyses", "run", "--repo", REPOSITORY]).await;
    let second = user.run(&["analyses", "run"]).await;
    assert_eq!((second.code, second.out.as_str()), (0, first.as_str()), "{second:?}");
    assert!(second.err.contains("analyses this repository"), "{second:?}");
    let shown = user.ok(&["analyses"]).await;
    assert!(shown.contains(first.trim()), "{shown}");
    user.ok(&["jobs", "cancel", first.trim(), "--yes"]).await;
    let retry = user.json(&["jobs", "retry", first.trim()]).await["job"].as_str().unwrap().to_owned();
    assert_eq!(story.api.job(&retry.parse().unwrap()).await.unwrap().kind, JobKind::Analysis);
    user.ok(&["jobs", "cancel", &retry, "--yes"]).await;
    let request =
        RequestAnalysis { project: story.project.clone(), repository: REPOSITORY.parse().unwrap(), what: None };
    let third = story.api.request_analysis(&request, Some("k1")).await.unwrap().job.unwrap();
    user.ok(&["jobs", "cancel", third.as_str(), "--yes"]).await;
    assert_eq!(story.api.request_analysis(&request, Some("k1")).await.unwrap().job, Some(third));
    assert_eq!(story.jobs().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_analysis_says_why() {
    let (story, user) = with_pull_requests(&[]).await;
    user.run(&["analyses", "run", "--repo", "acme/none"]).await.assert_exit(5, "acme/none");
    user.run(&["analyses", "show", "acme/none"]).await.assert_exit(5, "acme/none");
    user.run(&["analyses", "show", REPOSITORY, "--staleness", "old"]).await.assert_exit(2, "fresh, stale, abandoned");
    let what = Some([].into());
    let request = RequestAnalysis { project: story.project.clone(), repository: REPOSITORY.parse().unwrap(), what };
    let fault = story.api.request_analysis(&request, None).await.unwrap_err();
    assert!(fault.to_string().contains("name pulls, issues or both"), "{fault}");
    story.set_agent_command(&["./worker.py"]).await;
    let missing = "an analysis has no checkout, so it cannot run `./worker.py`";
    user.run(&["analyses", "run"]).await.assert_exit(2, missing);
    let request = RequestAnalysis { what: None, ..request };
    let fault = story.api.request_analysis(&request, None).await.unwrap_err();
    assert_eq!((fault.code(), fault.to_string().contains(missing)), (Some("invalid"), true), "{fault}");
    story.set_agent_command(&["sh", "-c", SCRIPT]).await;
    story.update_settings(|settings| settings.held_by = Some("ann".into())).await;
    user.run(&["analyses", "run"]).await.assert_exit(3, "(project_held)");
    let entry = user.json(&["deliveries"]).await["deliveries"][0].clone();
    assert_eq!(entry["code"], "project_held");
    assert!(story.jobs().await.is_empty());
}
