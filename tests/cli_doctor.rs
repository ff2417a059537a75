//! Tests CLI diagnostics: doctor findings, help in errors, integration tests of tokens.

use crate::prelude::*;
use crate::webhooks::{ANN, ANNS_TOKEN, World};

async fn doctor_findings(user: &User, check: &str) -> Vec<(String, String)> {
    let ran = user.run(&["doctor", "--json"]).await;
    let findings: Vec<Value> = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    let wrong = findings.iter().any(|finding| finding["verdict"] == "wrong");
    assert_eq!(ran.code, i32::from(wrong), "{ran:?}");
    let of_kind = findings.iter().filter(|finding| finding["check"] == check);
    let verdict_and_text = |finding: &Value| {
        let text = ["sentence", "help"].map(|part| finding[part].as_str().unwrap_or_default().to_owned()).join(" ");
        (finding["verdict"].as_str().unwrap_or_default().to_owned(), text)
    };
    of_kind.map(verdict_and_text).collect()
}

#[track_caller]
fn check(looks: &[(String, String)], verdict: &str, expected: &str) {
    let [(actual, text)] = looks else { panic!("not one look: {looks:?}") };
    assert!(actual == verdict && text.contains(expected), "{verdict} {expected}: {looks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_reports_a_project_without_runners() {
    let (story, user) = Story::with_user().await;
    assert_eq!(doctor_findings(&user, "runners").await, [], "runners are checked on Fargate");
    check(&doctor_findings(&user, "hook").await, "good", "No repository needs a webhook.");
    story.update_settings(|settings| settings.compute = Compute::Runners).await;
    let start = format!("pullyard runner start --api-url {}", story.local.api_url());
    check(&doctor_findings(&user, "runners").await, "wrong", &start);
    let token = story.runner_token("t", None, None).await;
    story.register_runner(&token, "kite-2", "i1").await;
    check(&doctor_findings(&user, "runners").await, "good", "1 runner claims jobs of acme.");
    check(&doctor_findings(&user, "isolation").await, "warning", "Agents on the runner kite-2 have all rights");
    user.ok(&["runners", "drain", "kite-2"]).await;
    check(&doctor_findings(&user, "runners").await, "wrong", "`pullyard runners resume kite-2`");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_warns_of_a_wrong_webhook_that_no_job_needs() {
    let world = World::with_hook().await;
    let user = User::of(&world.story);
    user.ok(&["repos", "ingress", REPOSITORY, "poll"]).await;
    check(&doctor_findings(&user, "hook").await, "warning", "`pullyard hooks delete acme`");
    user.ok(&["repos", "ingress", REPOSITORY, "webhook"]).await;
    check(&doctor_findings(&user, "hook").await, "wrong", "`pullyard hooks repair acme`");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_warns_of_a_budget_that_is_used_up() {
    let (story, user) = Story::with_user().await;
    story.update_settings(|settings| settings.budget.jobs_per_day = Some(1)).await;
    assert_eq!(doctor_findings(&user, "budget").await, []);
    story.create_job("e1", "APP-1", 1).await;
    check(&doctor_findings(&user, "budget").await, "warning", "acme has used 1 of 1 job for today.");
    let operations = crate::pages::Browser::admin(&story).await.get("/setup/operations").await;
    operations.assert_contains(&["acme has used 1 of 1 job for today."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_warns_of_a_token_that_expires_soon() {
    let (story, user) = Story::with_user().await;
    check(&doctor_findings(&user, "token").await, "good", "does not expire");
    let create_token = async |length: &str| {
        let new = ["tokens", "create", "--name", "ci", "--kind", "api", "--scope", "admin", "--expires", length];
        user.ok(&new).await.trim_end().to_owned()
    };
    check(
        &doctor_findings(&User::with(&story, &create_token("3d").await), "token").await,
        "warning",
        "ci is valid, but expires in",
    );
    check(&doctor_findings(&User::with(&story, &create_token("30d").await), "token").await, "good", "expires in");
    let unknown = format!("pat_{}", "0".repeat(64));
    check(&doctor_findings(&User::with(&story, &unknown), "token").await, "wrong", "The credential is missing, wrong");
}

#[tokio::test(flavor = "multi_thread")]
async fn status_works_without_a_project() {
    let story = Story::start_with(Setup::default()).await;
    let user = User::of(&story);
    user.ok(&["projects", "create", "other"]).await;
    let ran = user.run(&["status"]).await.assert_exit(0, "--project");
    assert!(ran.out.contains("token\tadmin\n") && ran.out.contains("project\t\n"), "{ran:?}");
    assert_eq!(user.json(&["status"]).await["project"], Value::Null);
    user.run(&["status", "--project", "nope"]).await.assert_exit(5, "there is no project nope");
}

#[tokio::test(flavor = "multi_thread")]
async fn help_for_a_failed_job_names_its_retry_command() {
    let story = Story::begin_story().await;
    let user = User::of(&story);
    story.set_agent_command(&["sh", "-c", "exit 3"]).await;
    let job = story.create_job("e1", "APP-1", 1).await;
    story.wait_for_end(&job).await;
    let command = format!("`pullyard jobs retry {}`", job.short());
    let failed = format!("Job {}, the newest ended one of acme, failed: ", job.short());
    check(&doctor_findings(&user, "job").await, "warning", &failed);
    for arguments in [&["why", job.as_str()][..], &["why", "APP-1"], &["jobs", "show", job.as_str()]] {
        user.run(arguments).await.assert_exit(0, &command);
    }
    user.run(&["jobs", "watch", job.as_str()]).await.assert_exit(6, &command);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_server_url_and_short_secret_name_are_explained() {
    let story = Story::start_with_waiting_tasks().await;
    let mut user = User::of(&story);
    let add = ["integrations", "add", "gh9", "--api-url", "https://api.example.org", "--token-secret"];
    user.run(&[&add[..], &["github"]].concat()).await.assert_exit(2, "--token-secret pullyard/user/github");
    user.run_with(&["secrets", "set", "github"], "t").await.assert_success();
    let limited = story.create_token(&[Scope::Read], Some(&["acme"])).await;
    User::with(&story, &limited).run(&["secrets", "list"]).await.assert_exit(4, "not_allowed");
    user.set_env("PULLYARD_URL", &story.local.forge().url());
    let no_server = doctor_findings(&user, "server").await;
    check(&no_server, "wrong", &format!("The server at {} returned 404 Not Found", story.local.forge().url()));
    let ran = user.run(&["status", "--json"]).await.assert_exit(1, "check that this is the URL of a Pullyard server");
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["code"], json!("gateway"));
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_and_test_report_a_changed_or_refused_forge_token() {
    let (story, user) = Story::with_user().await;
    user.run_with(&["secrets", "set", "spare"], &story.forge_token()).await.assert_success();
    let forge = story.local.forge().api_url();
    let add = ["integrations", "add", "spare", "--api-url", &forge, "--token-secret", "pullyard/user/spare"];
    user.ok(&add).await;
    assert!(user.ok(&["integrations", "test", "spare"]).await.contains("spare accepts our token."));
    check(&doctor_findings(&user, "forge").await[1..], "good", "spare accepts our token.");

    let ann = pullyard_local::User { login: "ann".into(), id: ANN, token: ANNS_TOKEN.into() };
    story.local.forge().add_user(ann, pullyard_local::AccountKind::User).await.unwrap();
    user.run_with(&["secrets", "set", "spare"], ANNS_TOKEN).await.assert_success();
    let another = user
        .run(&["integrations", "test", "spare"])
        .await
        .assert_exit(1, "belongs to ann, not to the account that was connected");
    assert!(another.err.contains("a token of the first account in its secret"), "{another:?}");

    user.run_with(&["secrets", "set", "spare"], "ghp_taken-back").await.assert_success();
    let refused = user.run(&["integrations", "test", "spare"]).await.assert_exit(1, "error: spare failed to");
    assert!(
        refused.err.contains("`pullyard secrets set spare`") && !refused.err.contains("ghp_taken-back"),
        "{refused:?}"
    );
    check(&doctor_findings(&user, "forge").await[1..], "wrong", "spare failed to");
    check(&doctor_findings(&user, "forge").await[1..], "wrong", "`pullyard secrets set spare`");
    let store = story.store().await;
    let spare = store.load_integration(&IntegrationId::new("spare").unwrap()).await.unwrap().unwrap();
    let id = IntegrationId::new("down").unwrap();
    let down = pullyard_domain::project::forge::Integration { id, api_url: "http://127.0.0.1:1".into(), ..spare };
    assert_eq!(store.put_integration(&down).await.unwrap(), pullyard_store::Write::Applied);
    let unreachable = doctor_findings(&user, "forge").await;
    assert!(
        unreachable.iter().any(|(_, text)| text.contains("down failed to reach 127.0.0.1:1: ")
            && text.ends_with("Check that the forge is up and that the server’s network reaches it, then test again.")),
        "{unreachable:?}"
    );
    user.ok(&["integrations", "delete", "down", "--yes"]).await;
    let listed = user.ok(&["integrations"]).await;
    assert_eq!(listed.lines().map(|line| line.split('\t').next().unwrap()).collect::<Vec<_>>(), ["gh1", "spare"]);
    user.run(&["integrations", "test", "nobody"]).await.assert_exit(5, "there is no integration nobody");
}
