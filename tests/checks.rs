//! Tests a project's setup and check commands, from their settings to the pull request.

use crate::pages::Browser;
use crate::prelude::*;

const REPAIRING_AGENT: &str = "#!/bin/sh\nif grep -q 'checks failed'; then echo right > work.txt; else echo wrong > work.txt; fi\n\
                     echo '{\"kind\":\"result\",\"text\":\"All is done.\"}'\n";

async fn story_with_repairing_agent() -> (Story, User) {
    let story = Story::start_with(Setup { agent: REPAIRING_AGENT, ..Setup::default() }).await;
    let user = User::of(&story);
    (story, user)
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_are_set_by_cli_and_shown_in_every_view() {
    let (story, user) = story_with_repairing_agent().await;
    let set = ["settings", "set", "command_policy=unrestricted", "checks.repair=true"];
    user.ok(&set).await;
    user.ok(&["settings", "set", r#"checks.commands=["grep right work.txt","echo '<b>'"]"#]).await;
    let job = story.create_job("e1", "APP-1", 1).await;
    assert_eq!(story.wait_for_end(&job).await.status, JobStatus::Completed);

    let document = user.json(&["jobs", "checks", job.as_str()]).await;
    let attempts = body(&story, &format!("/v1/jobs/{job}/attempts")).await;
    let recorded = json!([{ "attempt": 1, "checks": attempts["attempts"][0]["work"]["checks"] }]);
    assert_eq!(document, json!({ "job": job, "attempts": recorded }));
    let checks = document["attempts"][0]["checks"].as_array().unwrap();
    let ends: Vec<_> = checks.iter().map(|check| (&check["command"], &check["round"], &check["outcome"])).collect();
    let (right, echo) = (json!("grep right work.txt"), json!("echo '<b>'"));
    let (passed, failed) = (json!("passed"), json!("failed"));
    let (first, second) = (json!(0), json!(1));
    let expected =
        [(&right, &first, &failed), (&echo, &first, &passed), (&right, &second, &passed), (&echo, &second, &passed)];
    assert_eq!(ends, expected);
    let table = user.ok(&["jobs", "checks", job.as_str()]).await;
    assert!(table.lines().next().unwrap().starts_with("grep right work.txt\tfailed\texit code 1\t"), "{table}");
    assert_eq!(table.lines().count(), 4, "{table}");
    let output = user.ok(&["jobs", "checks", job.as_str(), "--output", "check-1-again.txt"]).await;
    assert_eq!(output, "right\n");
    let absent = user.run(&["jobs", "checks", job.as_str(), "--attempt", "2"]).await;
    absent.assert_exit(5, "has no attempt 2; it has attempt 1 only");

    let page = Browser::admin(&story).await.get(&format!("/jobs/{job}/attempts")).await;
    assert!(page.contains("&#60;b&#62;") && !page.contains("<b>right"), "{}", page.body);
    assert!(
        page.contains("Failed with exit code 1 in 0:00") && page.contains("Passed in 0:00, run again"),
        "{}",
        page.body
    );
    let pulls = story.pull_requests().await;
    let text = pulls[0]["body"].as_str().unwrap();
    assert!(text.contains("| Check | `grep right work.txt` passed in") && text.contains("All is done."), "{text}");
    assert_eq!(pulls[0]["draft"], json!(false));

    let stranger = story.create_token(&[Scope::Read], Some(&["other"])).await;
    User::with(&story, &stranger).run(&["jobs", "checks", job.as_str()]).await.assert_exit(5, "there is no job");
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_project_command_is_refused_when_set() {
    let (_story, user) = Story::with_user().await;
    let set = async |change: &str| user.run(&["settings", "set", change]).await;
    set(r#"checks.commands=["npm test | tee x"]"#).await.assert_exit(2, "`|` is a pipe");
    set(r#"setup.commands=["curl x"]"#).await.assert_exit(2, "curl is not on the list of allowed programs");
    set("checks.limit_secs=0").await.assert_exit(2, "use 1 to 21600 seconds");
    set(r#"checks.commands=["npm test"]"#).await.assert_success();
    let refused = user.run(&["repos", "set", REPOSITORY, "--check", "npm test; rm x"]).await;
    refused.assert_exit(2, "`;` is a command separator");
    let before = user.json(&["repos", "list"]).await;
    let commands = |repositories: &Value| repositories["repositories"][0]["commands"].clone();
    assert_eq!(commands(&before), json!({}));

    let named = ["repos", "set", REPOSITORY, "--check", "make test", "--check", "make lint", "--no-setup"];
    user.ok(&named).await;
    let set = user.json(&["repos", "list"]).await;
    assert_eq!(commands(&set), json!({ "setup": [], "checks": ["make test", "make lint"] }));
    assert_eq!(set["repositories"][0]["agent"], before["repositories"][0]["agent"], "the agent changed");
    user.ok(&["repos", "set", REPOSITORY, "--setup", "npm ci"]).await;
    let set = user.json(&["repos", "list"]).await;
    assert_eq!(commands(&set), json!({ "setup": ["npm ci"], "checks": ["make test", "make lint"] }));
    user.ok(&["repos", "set", REPOSITORY, "--project-commands"]).await;
    assert_eq!(user.json(&["repos", "list"]).await, before);
    user.run(&["repos", "set", "acme/none", "--no-checks"]).await.assert_exit(5, "acme/none is not connected");
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_check_fails_the_job_and_a_retry_uses_new_settings() {
    let (story, user) = story_with_repairing_agent().await;
    user.ok(&["settings", "set", r#"checks.commands=["bash no-such-file.sh"]"#]).await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let ended = story.wait_for_end(&job).await;
    assert_eq!(ended.failure.unwrap().code, "checks_failed");
    let ticket = story.wait_for_settled_ticket("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.badges.as_slice()), (crate::story::TODO, &["AI Failed".to_owned()][..]));
    let output = user.run(&["why", job.as_str()]).await;
    assert!(output.out.contains("Check `bash no-such-file.sh` failed with exit code 127"), "{output:?}");
    assert!(story.pull_requests().await.is_empty());

    user.ok(&["settings", "set", r#"checks.commands=["git diff --check"]"#]).await;
    let again = user.json(&["jobs", "retry", job.as_str()]).await;
    let again = serde_json::from_value(again["job"].clone()).unwrap_or_else(|_| panic!("{again}"));
    assert_eq!(story.wait_for_end(&again).await.status, JobStatus::Completed);
}
