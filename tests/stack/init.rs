//! Tests `init --stack`, which sets up a deployed stack and may be interrupted and repeated.

use super::account::Account;
use crate::cli::{Ran, User};
use crate::story::{Setup, Story};
use serde_json::{Value, json};

const PAPERS: [&str; 2] = [include_str!("../../README.md"), include_str!("../../infra/README.md")];

async fn fresh() -> (Story, Account) {
    let story = Story::with(Setup::default()).await;
    let account = Account::healthy(&story).await;
    let hash = pullyard_entry::auth::hash_of(story.local.admin_token());
    story.store().await.revoke_token(&hash).await.unwrap();
    (story, account)
}

async fn without_a_project() -> (Story, Account) {
    let (story, account) = fresh().await;
    let key = json!({ "pk": { "S": "PROJECT#acme" }, "sk": { "S": "SETTINGS" } });
    story.dynamodb("DeleteItem", json!({ "TableName": "pullyard", "Key": key })).await;
    (story, account)
}

async fn init(story: &Story, user: &User, more: &[&str]) -> Ran {
    let forge = story.local.forge().api_url();
    let forge = forge.trim_end_matches("/api/v3");
    let named = ["init", "--stack", "py", "--project", "shop", "--id", "gh2", "--forge", forge];
    user.run_with(&[&named[..], more].concat(), &story.forge_token()).await
}

const REPOSITORY: [&str; 4] = ["--repo", "acme/app", "--agent-command", "./agent.sh"];

#[tokio::test(flavor = "multi_thread")]
async fn init_sets_up_a_stack_and_a_repeat_changes_nothing() {
    let (story, account) = fresh().await;
    let user = account.operator();
    let first = init(&story, &user, &REPOSITORY).await.ended(0, "Created the first admin token");
    for said in [
        "Created the project shop",
        "as gh2, where Pullyard is pullyard-bot",
        "Connected acme/app",
        "infra/image/push --stack py",
    ] {
        assert!(first.err.contains(said), "{said}: {first:?}");
    }
    for hidden in [&story.forge_token(), "pat_"] {
        assert!(!format!("{}{}", first.out, first.err).contains(hidden), "{first:?}");
    }
    assert_eq!(user.json(&["repos", "list"]).await["repositories"][0]["name"], "acme/app");
    assert_eq!(user.json(&["integrations", "show", "gh2"]).await["auth"]["secret"], "pullyard/user/gh2-token");

    let before = story.store().await.first_token().await.unwrap();
    let again = init(&story, &user, &REPOSITORY).await.ended(0, "The first admin token exists");
    for said in ["The project shop exists", "The integration gh2 exists", "acme/app is connected"] {
        assert!(again.err.contains(said), "{said}: {again:?}");
    }
    assert_eq!(story.store().await.first_token().await.unwrap(), before);
    let json: Value = serde_json::from_str(&init(&story, &user, &["--json"]).await.done()).unwrap();
    assert_eq!((&json["context"], &json["steps"][0]["did"]), (&"py".into(), &"existed".into()), "{json}");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_concurrent_operators_makes_the_first_token() {
    let (story, account) = fresh().await;
    let users = [account.operator(), account.operator()];
    let (one, other) = tokio::join!(init(&story, &users[0], &["--no-forge"]), init(&story, &users[1], &["--no-forge"]));
    let mut codes = [one.code, other.code];
    codes.sort_unstable();
    assert_eq!(codes, [0, 3], "{one:?} {other:?}");
    let refused = if one.code == 3 { one } else { other };
    refused.ended(3, "py already has an admin token, admin (pat_");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn existing_admin_token_is_not_replaced_without_the_flag() {
    let story = Story::with(Setup::default()).await;
    let account = Account::healthy(&story).await;
    let user = account.operator();
    init(&story, &user, &["--no-forge"]).await.ended(3, "--new-admin-token");
    assert_eq!(user.json(&["contexts"]).await, Value::Array(Vec::new()));
    assert_eq!(story.store().await.first_token().await.unwrap(), None);
    init(&story, &user, &["--no-forge", "--new-admin-token"]).await.ended(0, "Created the first admin token");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_init_continues_with_the_saved_token() {
    let (story, account) = fresh().await;
    let user = account.operator();
    account.output("TableName", "not-there");
    init(&story, &user, &["--no-forge"]).await.ended(1, "failed to");
    assert_eq!(user.json(&["contexts"]).await[0]["name"], "py", "the token stays: the write may have succeeded");
    account.output("TableName", "pullyard");
    init(&story, &user, &["--no-forge"]).await.ended(0, "Created the first admin token");
    user.run(&["projects", "list"]).await.done();
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_first_token_revokes_the_previous_one() {
    let (story, account) = fresh().await;
    let (lost, user) = (account.operator(), account.operator());
    init(&story, &lost, &["--no-forge"]).await.done();
    init(&story, &user, &["--no-forge"]).await.ended(3, "already has an admin token");
    init(&story, &user, &["--no-forge", "--new-admin-token"]).await.done();
    user.run(&["projects", "list"]).await.done();
    lost.run(&["projects", "list"]).await.ended(4, "");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_stack_is_reported_before_any_other_call() {
    let (story, account) = fresh().await;
    let user = account.operator();
    let gone = "<R><Error><Code>ValidationError</Code><Message>Stack with id py does not exist</Message></Error></R>"
        .to_owned();
    account.replies("DescribeStacks", (400, gone));
    init(&story, &user, &[]).await.ended(5, "find the stack py in us-east-1");
    assert_eq!(account.calls(), ["DescribeStacks"]);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documented_init_command_sets_up_a_new_stack() {
    for paper in PAPERS {
        let (story, account) = without_a_project().await;
        let line = paper.lines().find(|line| line.starts_with("pullyard init --stack pullyard")).unwrap();
        let typed = line.split('#').next().unwrap().split_whitespace().skip(1);
        // Use this test's stack and forge, and leave out the repository, which is connected already.
        let typed = typed.take_while(|word| *word != "--repo");
        let typed: Vec<&str> = typed.map(|word| if word == "pullyard" { "py" } else { word }).collect();
        let forge = story.local.forge().api_url();
        let forge = ["--id", "gh2", "--forge", forge.trim_end_matches("/api/v3")];
        let ran = account.operator().run_with(&[&typed[..], &forge[..]].concat(), &story.forge_token()).await;
        let ran = ran.ended(0, "Created the project acme");
        assert!(ran.err.contains("as gh2, where Pullyard is pullyard-bot"), "{line}: {ran:?}");
        story.local.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn first_project_is_prompted_for_on_a_terminal() {
    let (story, account) = without_a_project().await;
    let user = account.operator();
    let bare = ["init", "--stack", "py", "--no-forge"];
    user.run(&bare).await.ended(2, "run it again with --project ID");
    let mut terminal = user.at_terminal(&bare);
    terminal.shows("the name of the first project, such as acme: ").await;
    terminal.types("shop\n");
    let (code, _) = terminal.ends().await;
    assert_eq!(code, Some(0), "{}", terminal.all());
    assert_eq!(user.json(&["projects", "list"]).await["projects"][0]["id"], "shop");
    story.local.shutdown().await;
}
