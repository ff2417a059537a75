//! Tests which job starts next: labels, priorities, overflow to tasks, and the time after which a runner is Offline.

use super::register_request;
use crate::pages::Browser;
use crate::prelude::*;
use pullyard_domain::job::Placement;
use pullyard_protocol::runner::RegisterRequest;

fn labels(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|label| label.to_string()).collect()
}

fn with_labels(name: &str, all: &[&str]) -> RegisterRequest {
    RegisterRequest { labels: labels(all), ..register_request(name, "i1") }
}

impl Story {
    async fn assert_why(&self, job: &JobId, code: &str, parts: &[&str]) {
        let explanation = self.api.explain_job(job).await.unwrap();
        assert_eq!(explanation.code.as_deref(), Some(code), "{}", explanation.sentence);
        let text = format!("{} {}", explanation.sentence, explanation.help);
        assert!(parts.iter().all(|part| text.contains(part)), "{parts:?}: {text}");
    }
}

async fn create_by_command(user: &User, more: &[&str]) -> JobId {
    let output = user.ok(&[&["jobs", "create", "--prompt", "Do it."], more].concat()).await;
    output.lines().next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn job_waits_for_a_runner_with_the_labels_of_all_sources() {
    let story = Story::with_runners().await;
    let (user, token) = (User::of(&story), story.runner_token("t", None, None).await);
    let browser = Browser::admin(&story).await;
    user.ok(&["settings", "set", r#"labels=["eu"]"#]).await;
    user.ok(&["repos", "set", REPOSITORY, "--labels", "gpu,big"]).await;
    assert!(user.ok(&["repos", "list"]).await.contains("big, gpu"));
    let kite = story.try_register(&token, &with_labels("kite", &["big"])).await.unwrap();
    let job = create_by_command(&user, &["--label", "arm"]).await;
    let origin = "has arm, eu, gpu (from the setting, repository, ticket or request)";
    story.assert_why(&job, "no_label", &[origin, "--labels arm,big,eu,gpu`"]).await;
    assert!(user.ok(&["jobs", "show", job.as_str()]).await.contains("arm, big, eu, gpu"));
    assert!(user.ok(&["jobs", "show", job.as_str(), "--json"]).await.contains(r#""labels":["arm","big","eu","gpu"]"#));
    browser.get(&format!("/jobs/{job}")).await.assert_contains(&["<dt>Labels</dt><dd>arm, big, eu, gpu</dd>"]);
    assert!(kite.claim("c1").await.is_none());
    let swan = story.try_register(&token, &with_labels("swan", &["arm", "big", "eu", "gpu"])).await.unwrap();
    assert_eq!(swan.claim_job_id("c1").await, Some(job));
    // A job that reports follows the same rule. Other commands keep the labels, and an empty list removes them.
    let kept = user.ok(&["repos", "set", REPOSITORY, "--check", "npm test", "--json"]).await;
    assert!(kept.contains(r#""labels":["big","gpu"]"#), "{kept}");
    let question = create_by_command(&user, &["--kind", "read"]).await;
    assert!(kite.claim("c2").await.is_none());
    assert_eq!(swan.claim_job_id("c2").await, Some(question));
    swan.try_heartbeat(&[], false, true).await.unwrap();
    user.ok(&["repos", "set", REPOSITORY, "--labels", ""]).await;
    let later = create_by_command(&user, &[]).await;
    story.assert_why(&later, "no_label", &["has eu (from the setting `labels`)"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_with_the_runners_token_get_none_of_pullyard() {
    let story = Story::with_runners().await;
    let (user, token) = (User::of(&story), story.runner_token("t", None, None).await);
    story.try_register(&token, &with_labels("swan", &[])).await.unwrap();
    let before = create_by_command(&user, &[]).await;
    let set = ["repos", "set", REPOSITORY, "--credentials"];
    user.ok(&[&set[..], &["runner"]].concat()).await;
    // New labels do not change the credentials.
    assert!(user.ok(&["repos", "set", REPOSITORY, "--labels", "gpu"]).await.contains("forge-token, gpu"));
    Browser::admin(&story).await.get("/setup/repositories?project=acme").await.assert_contains(&["the runner’s"]);
    let job = create_by_command(&user, &[]).await;
    story.assert_why(&job, "no_label", &["has forge-token, gpu", "--labels forge-token,gpu`"]).await;
    let kite = story.try_register(&token, &with_labels("kite", &["forge-token", "gpu"])).await.unwrap();
    for (claim, expected, forge_token) in [("c1", before, story.forge_token()), ("c2", job, String::new())] {
        let (claimed, client) = story.claim_and_start(&kite, claim, Phase::Preparing).await;
        assert_eq!((claimed, client.credentials().await.unwrap().forge_token), (expected, forge_token));
        client.finish(&failed_finish("f1")).await.unwrap();
    }
    // Tasks have no token, so the job waits for a runner.
    user.ok(&["settings", "set", "compute=fargate"]).await;
    let later = create_by_command(&user, &[]).await;
    assert_eq!(kite.claim_job_id("c3").await, Some(later));
    let by_hand = ["repos", "set", REPOSITORY, "--labels", "forge-token"];
    user.run(&by_hand).await.assert_exit(2, "use `--credentials runner`");
    let setting = r#"labels=["forge-token"]"#;
    user.run(&["settings", "set", setting]).await.assert_exit(2, "--credentials runner");
    let restored = user.ok(&[&set[..], &["pullyard"]].concat()).await;
    assert!(restored.contains("gpu") && !restored.contains("forge-token"), "{restored}");
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_requires_the_labels_of_its_request() {
    let story = Story::with_runners().await;
    let (user, token) = (User::of(&story), story.runner_token("t", None, None).await);
    let job = create_by_command(&user, &["--label", "gpu", "--priority", "high"]).await;
    user.ok(&["jobs", "cancel", job.as_str(), "--yes"]).await;
    let retry = async |of: &JobId| -> JobId {
        user.ok(&["jobs", "retry", of.as_str()]).await.lines().next().unwrap().parse().unwrap()
    };
    // Tasks have no labels, but the retry repeats a request that was accepted.
    user.ok(&["settings", "set", "compute=fargate"]).await;
    let on_task = retry(&job).await;
    user.ok(&["jobs", "cancel", on_task.as_str(), "--yes"]).await;
    story.wait_for_end(&on_task).await;
    user.ok(&["settings", "set", "compute=runners"]).await;
    let retry = retry(&on_task).await;
    assert!(user.ok(&["jobs", "show", retry.as_str(), "--json"]).await.contains(r#""priority":"high""#));
    let kite = story.try_register(&token, &with_labels("kite", &[])).await.unwrap();
    assert!(kite.claim("c1").await.is_none());
    let swan = story.try_register(&token, &with_labels("swan", &["gpu"])).await.unwrap();
    assert_eq!(swan.claim_job_id("c1").await, Some(retry));
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_that_no_job_may_require_are_refused() {
    let story = Story::with_runners().await;
    let user = User::of(&story);
    let many = |n: usize| (0..n).map(|at| format!("l{at}")).collect::<Vec<_>>();
    let setting = |n| format!("labels={}", serde_json::to_string(&many(n)).unwrap());
    user.run(&["settings", "set", &setting(11)]).await.assert_exit(2, "ticket and request; these are 11");
    user.ok(&["settings", "set", &setting(9)]).await;
    user.run(&["repos", "set", REPOSITORY, "--labels", "a b"]).await.assert_exit(2, "`a b` is no label");
    user.run(&["repos", "set", REPOSITORY, "--labels", "a,b"]).await.assert_exit(2, "these are 11");
    user.ok(&["repos", "set", REPOSITORY, "--labels", "a"]).await;
    let create = ["jobs", "create", "--prompt", "Do it.", "--label", "gpu"];
    user.run(&create).await.assert_exit(2, "these are 11: a, gpu, l0");
    let mut event = story.event("e1", "APP-1", TRIGGER, 1);
    event.ticket.labels = labels(&["runner:gpu"]);
    let refused = story.api.send_ticket_event(&event).await.unwrap();
    assert_eq!((refused.code.as_str(), refused.job), ("unusable_labels", None), "{}", refused.sentence);
    user.ok(&["settings", "set", "labels=[]"]).await;
    assert_eq!(story.api.send_ticket_event(&event).await.unwrap().verdict, Verdict::Accepted);
    user.ok(&["settings", "set", "compute=fargate"]).await;
    user.run(&create).await.assert_exit(2, "tasks have no labels: `pullyard settings set compute=runners`");
}

#[tokio::test(flavor = "multi_thread")]
async fn job_of_high_priority_is_claimed_before_older_ones() {
    let (story, kite) = Story::with_one_runner().await;
    let (user, browser) = (User::of(&story), Browser::admin(&story).await);
    let low = create_by_command(&user, &["--priority", "low"]).await;
    let plain = create_by_command(&user, &[]).await;
    let mut event = story.event("e1", "APP-1", TRIGGER, 1);
    event.ticket.labels = labels(&["priority:high"]);
    let by_label = story.api.send_ticket_event(&event).await.unwrap().job.unwrap();
    story.clock.advance(Duration::from_secs(1));
    let form = [("project", "acme"), ("prompt", "Do it."), ("priority", "high"), ("labels", "")];
    let created = browser.post("/jobs", &form).await;
    let by_page: JobId = created.redirect().1.strip_prefix("/jobs/").unwrap().parse().unwrap();
    assert!(user.ok(&["jobs", "show", by_page.as_str()]).await.contains("high"));
    browser.get(&format!("/jobs/{by_page}")).await.assert_contains(&["<dt>Priority</dt><dd>High</dd>"]);
    assert!(!browser.get(&format!("/jobs/{plain}")).await.contains("<dt>Priority</dt>"));
    assert_eq!(kite.claim_job_id("c1").await, Some(by_label.clone()));
    assert_eq!(kite.claim_job_id("c2").await, Some(by_page));
    // A retry has the priority of the job that it retries.
    user.ok(&["jobs", "cancel", low.as_str(), "--yes"]).await;
    let retry = user.ok(&["jobs", "retry", low.as_str()]).await;
    let retry: JobId = retry.lines().next().unwrap().parse().unwrap();
    assert!(user.ok(&["jobs", "show", retry.as_str(), "--json"]).await.contains(r#""priority":"low""#));
    let wren = story.register_runner("rnt_t", "wren", "i1").await;
    assert_eq!((wren.claim_job_id("c1").await, wren.claim_job_id("c2").await), (Some(plain), Some(retry)));
}

#[tokio::test(flavor = "multi_thread")]
async fn unclaimed_job_overflows_to_a_task_unless_it_has_labels() {
    let story = Story::with_runners().await;
    let user = User::of(&story);
    user.run(&["settings", "set", "overflow_after_secs=30s"]).await.assert_exit(2, "use 60 to 3600 seconds");
    user.ok(&["settings", "set", "compute=runners_then_fargate", "overflow_after_secs=5min"]).await;
    let token = story.runner_token("t", None, None).await;
    let swan = story.try_register(&token, &with_labels("swan", &["gpu"])).await.unwrap();
    story.advance_and_sweep(Duration::from_secs(100)).await;
    let job = create_by_command(&user, &[]).await;
    let labelled = create_by_command(&user, &["--label", "gpu"]).await;
    let time = story.api.job(&job).await.unwrap().created.plus(Duration::from_secs(300)).to_string();
    let time = format!(" ago. After {} UTC a task runs it.", time[..16].replace('T', " "));
    let parts = ["No runner of acme is online; the last heartbeat was ", &time, "pullyard runner start"];
    story.assert_why(&job, "overflow_soon", &parts).await;
    story.advance_and_sweep(Duration::from_secs(270)).await;
    assert_eq!(story.api.job(&job).await.unwrap().place, Placement::Runners);
    story.assert_why(&job, "overflow_soon", &parts).await;
    story.assert_why(&labelled, "no_online_runner", &[]).await;
    story.advance_and_sweep(Duration::from_secs(90)).await;
    assert_eq!(story.api.job(&job).await.unwrap().place, Placement::Fargate);
    story.wait_for_task(&job, 1).await;
    let parts = [" ago. No task can run the job: it requires gpu.", "--labels=gpu`"];
    story.assert_why(&labelled, "overflow_impossible", &parts).await;
    swan.report_active(&[]).await;
    assert_eq!(swan.claim_job_id("c1").await, Some(labelled));
    assert_eq!(swan.claim_job_id("c2").await, None, "the other job does not return");
}

#[tokio::test(flavor = "multi_thread")]
async fn runner_is_offline_after_the_time_that_it_states() {
    let story = Story::with_runners().await;
    let (user, browser) = (User::of(&story), Browser::admin(&story).await);
    let token = story.runner_token("t", None, None).await;
    for secs in [89, 3_601] {
        let request = RegisterRequest { offline_after_secs: Some(secs), ..register_request("kite", "i1") };
        assert_eq!(story.try_register(&token, &request).await.err().unwrap().code(), Some("invalid"), "{secs}");
    }
    let request = RegisterRequest { offline_after_secs: Some(600), ..register_request("kite", "i1") };
    let kite = story.try_register(&token, &request).await.unwrap();
    assert!(user.ok(&["runners", "show", "kite"]).await.contains("600 s"));
    browser.get(&format!("/setup/runners/{}", kite.id)).await.assert_contains(&["600 s without a heartbeat"]);
    story.local.sweep().await.unwrap();
    story.create_job("e1", "APP-1", 1).await;
    let (job, _) = story.claim_and_start(&kite, "c1", Phase::Executing).await;
    kite.heartbeat(&[&job]).await;
    // Runner and attempt are silent, as on a laptop that sleeps.
    story.pass_in_steps(590).await;
    story.assert_runner_status("kite", RunnerStatus::Online).await;
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Executing);
    let second = story.try_register(&token, &register_request("kite", "i2")).await.err().unwrap();
    assert!(second.to_string().contains("the name is free in "), "{second}");
    story.pass_in_steps(20).await;
    story.assert_runner_status("kite", RunnerStatus::Offline).await;
    assert_eq!(story.wait_for_end(&job).await.failure.unwrap().code, "runner_offline");
}
