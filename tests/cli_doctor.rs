//! Tests CLI diagnostics: doctor findings, help in errors, integration tests of tokens.

use crate::cli::User;
use crate::story::{Setup, Story};
use crate::webhooks::{ANN, ANNS_TOKEN};
use pullyard_domain::project::Compute;
use pullyard_store::Scope;
use serde_json::{Value, json};

/// Runs doctor; returns verdict and text of each finding of one kind.
async fn looks(user: &User, check: &str) -> Vec<(String, String)> {
    let ran = user.run(&["doctor", "--json"]).await;
    let findings: Vec<Value> = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    let wrong = findings.iter().any(|finding| finding["verdict"] == "wrong");
    assert_eq!(ran.code, i32::from(wrong), "{ran:?}");
    let of_kind = findings.iter().filter(|finding| finding["check"] == check);
    let words = |finding: &Value| {
        let said = ["sentence", "help"].map(|part| finding[part].as_str().unwrap_or_default().to_owned()).join(" ");
        (finding["verdict"].as_str().unwrap_or_default().to_owned(), said)
    };
    of_kind.map(words).collect()
}

#[track_caller]
fn check(looks: &[(String, String)], verdict: &str, said: &str) {
    let [(is, words)] = looks else { panic!("not one look: {looks:?}") };
    assert!(is == verdict && words.contains(said), "{verdict} {said}: {looks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_reports_a_project_without_runners() {
    let story = Story::waiting().await;
    let user = User::of(&story);
    assert_eq!(looks(&user, "runners").await, [], "runners are checked on Fargate");
    story.settings(|settings| settings.compute = Compute::Runners).await;
    let start = format!("pullyard runner start --api-url {}", story.local.api_url());
    check(&looks(&user, "runners").await, "wrong", &start);
    let token = story.runner_token("t", None, None).await;
    story.runner(&token, "kite-2", "i1").await;
    check(&looks(&user, "runners").await, "good", "1 runner claims jobs of acme.");
    user.run(&["runners", "drain", "kite-2"]).await.done();
    check(&looks(&user, "runners").await, "wrong", "`pullyard runners resume kite-2`");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_warns_of_a_token_that_expires_soon() {
    let story = Story::waiting().await;
    let user = User::of(&story);
    check(&looks(&user, "token").await, "good", "does not expire");
    let made = async |length: &str| {
        let new = ["tokens", "create", "--name", "ci", "--kind", "api", "--scope", "admin", "--expires", length];
        user.run(&new).await.done().trim_end().to_owned()
    };
    check(&looks(&User::with(&story, &made("3d").await), "token").await, "warning", "ci is valid, but expires in");
    check(&looks(&User::with(&story, &made("30d").await), "token").await, "good", "expires in");
    let unknown = format!("pat_{}", "0".repeat(64));
    check(&looks(&User::with(&story, &unknown), "token").await, "wrong", "The credential is missing, wrong");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_works_without_a_project() {
    let story = Story::with(Setup::default()).await;
    let user = User::of(&story);
    user.run(&["projects", "create", "other"]).await.done();
    let ran = user.run(&["status"]).await.ended(0, "--project");
    assert!(ran.out.contains("token\tadmin\n") && ran.out.contains("project\t\n"), "{ran:?}");
    assert_eq!(user.json(&["status"]).await["project"], Value::Null);
    user.run(&["status", "--project", "nope"]).await.ended(5, "there is no project nope");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn help_for_a_failed_job_names_its_retry_command() {
    let story = Story::begin().await;
    let user = User::of(&story);
    story.agent(&["sh", "-c", "exit 3"]).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    story.ended(&job).await;
    let command = format!("`pullyard jobs retry {}`", job.short());
    for said in [&["why", job.as_str()][..], &["why", "APP-1"], &["jobs", "show", job.as_str()]] {
        user.run(said).await.ended(0, &command);
    }
    user.run(&["jobs", "watch", job.as_str()]).await.ended(6, &command);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_server_url_and_short_secret_name_are_explained() {
    let story = Story::waiting().await;
    let mut user = User::of(&story);
    let add = ["integrations", "add", "gh9", "--api-url", "https://api.example.org", "--token-secret"];
    user.run(&[&add[..], &["github"]].concat()).await.ended(2, "--token-secret pullyard/user/github");
    user.run_with(&["secrets", "set", "github"], "t").await.done();
    let limited = story.token(&[Scope::Read], Some(&["acme"])).await;
    User::with(&story, &limited).run(&["secrets", "list"]).await.ended(4, "not_allowed");
    user.tell("PULLYARD_URL", &story.local.forge().url());
    let ran = user.run(&["status", "--json"]).await.ended(1, "check that this is the URL of a Pullyard server");
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["code"], json!("gateway"));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_and_test_report_a_changed_or_refused_forge_token() {
    let story = Story::waiting().await;
    let user = User::of(&story);
    user.run_with(&["secrets", "set", "spare"], &story.forge_token()).await.done();
    let forge = story.local.forge().api_url();
    let add = ["integrations", "add", "spare", "--api-url", &forge, "--token-secret", "pullyard/user/spare"];
    user.run(&add).await.done();
    assert!(user.run(&["integrations", "test", "spare"]).await.done().contains("spare accepts our token."));
    check(&looks(&user, "forge").await[1..], "good", "spare accepts our token.");

    let ann = pullyard_local::User { login: "ann".into(), id: ANN, token: ANNS_TOKEN.into() };
    story.local.forge().add_user(ann, pullyard_local::AccountKind::User).await.unwrap();
    user.run_with(&["secrets", "set", "spare"], ANNS_TOKEN).await.done();
    let another = user
        .run(&["integrations", "test", "spare"])
        .await
        .ended(1, "belongs to ann, not to the account that was connected");
    assert!(another.err.contains("a token of the first account in its secret"), "{another:?}");

    user.run_with(&["secrets", "set", "spare"], "ghp_taken-back").await.done();
    let refused = user.run(&["integrations", "test", "spare"]).await.ended(1, "error: spare failed to");
    assert!(refused.err.contains("renew the token") && !refused.err.contains("ghp_taken-back"), "{refused:?}");
    check(&looks(&user, "forge").await[1..], "wrong", "spare failed to");
    let listed = user.run(&["integrations"]).await.done();
    assert_eq!(listed.lines().map(|line| line.split('\t').next().unwrap()).collect::<Vec<_>>(), ["gh1", "spare"]);
    user.run(&["integrations", "test", "nobody"]).await.ended(5, "there is no integration nobody");
    story.end().await;
}
