//! Tests `init --stack`, which sets up a deployed stack and may be interrupted and repeated.

use super::account::{Account, error_answer};
use crate::cli::CommandOutput;
use crate::prelude::*;
use pullyard_domain::text::self_check::RefusedCall;

const DOCUMENTS: [&str; 2] = [include_str!("../../README.md"), include_str!("../../infra/README.md")];

async fn stack_without_token() -> (Story, Account) {
    let story = Story::start_with(Setup::default()).await;
    let account = Account::healthy(&story).await;
    let hash = pullyard_store::hash_token(story.local.admin_token());
    story.store().await.revoke_token(&hash).await.unwrap();
    (story, account)
}

async fn stack_without_project() -> (Story, Account) {
    let (story, account) = stack_without_token().await;
    let key = json!({ "pk": { "S": "PROJECT#acme" }, "sk": { "S": "SETTINGS" } });
    story.call_dynamodb("DeleteItem", json!({ "TableName": "pullyard", "Key": key })).await;
    (story, account)
}

async fn run_init(story: &Story, user: &User, more: &[&str]) -> CommandOutput {
    let forge = story.local.forge().api_url();
    let forge = forge.trim_end_matches("/api/v3");
    let named = ["init", "--stack", "py", "--project", "shop", "--id", "gh2", "--forge", forge];
    user.run_with(&[&named[..], more].concat(), &story.forge_token()).await
}

const REPOSITORY: [&str; 4] = ["--repo", "acme/app", "--agent-command", "./agent.sh"];

#[tokio::test(flavor = "multi_thread")]
async fn init_sets_up_a_stack_and_a_repeat_changes_nothing() {
    let (story, account) = stack_without_token().await;
    let user = account.operator();
    let first = run_init(&story, &user, &REPOSITORY).await.assert_exit(0, "Created the first admin token");
    for sentence in [
        "Created the project shop",
        "as gh2, where Pullyard is pullyard-bot",
        "Connected acme/app",
        "infra/image/push --stack py",
    ] {
        assert!(first.err.contains(sentence), "{sentence}: {first:?}");
    }
    for hidden in [&story.forge_token(), "pat_"] {
        assert!(!format!("{}{}", first.out, first.err).contains(hidden), "{first:?}");
    }
    assert_eq!(user.json(&["repos", "list"]).await["repositories"][0]["name"], "acme/app");
    assert_eq!(user.json(&["integrations", "show", "gh2"]).await["auth"]["secret"], "pullyard/user/gh2-token");

    let before = story.store().await.load_first_token().await.unwrap();
    let again = run_init(&story, &user, &REPOSITORY).await.assert_exit(0, "The first admin token exists");
    for sentence in ["The project shop exists", "The integration gh2 exists", "acme/app is connected"] {
        assert!(again.err.contains(sentence), "{sentence}: {again:?}");
    }
    assert_eq!(story.store().await.load_first_token().await.unwrap(), before);
    let json: Value = serde_json::from_str(&run_init(&story, &user, &["--json"]).await.assert_success()).unwrap();
    assert_eq!((&json["context"], &json["steps"][0]["did"]), (&"py".into(), &"existed".into()), "{json}");
}

#[tokio::test(flavor = "multi_thread")]
async fn init_protects_the_table_once_unless_the_stack_is_temporary() {
    let (story, account) = stack_without_token().await;
    let user = account.operator();
    let described = |protected: bool| json!({ "Table": { "DeletionProtectionEnabled": protected } }).to_string();
    account.set_answer("DescribeTable", &described(false));
    account
        .set_answer("UpdateTable", &json!({ "TableDescription": { "DeletionProtectionEnabled": true } }).to_string());
    // An older template protects the table.
    run_init(&story, &user, &["--no-forge"]).await.assert_success();
    account.add_output("DeletionProtection", "false");
    run_init(&story, &user, &["--no-forge"]).await.assert_success();
    assert!(!account.calls().contains(&"UpdateTable".into()), "{:?}", account.calls());

    account.set_output("DeletionProtection", "true");
    run_init(&story, &user, &["--no-forge"]).await.assert_exit(0, "Protected the table pullyard from deletion");
    account.set_answer("DescribeTable", &described(true));
    account.set_response("UpdateTable", error_answer("ValidationException", "a protected table is not written"));
    run_init(&story, &user, &["--no-forge"]).await.assert_exit(0, "The table pullyard is protected from deletion");
    account.set_answer("DescribeTable", &described(false));
    account.set_response("UpdateTable", error_answer("AccessDeniedException", "no"));
    let refused = run_init(&story, &user, &["--no-forge"]).await.assert_exit(4, "can still be deleted by mistake");
    for report in ["The 8 roles allow all", "then check everything: pullyard doctor --stack py"] {
        assert!(refused.err.contains(report), "the report is incomplete: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn init_ends_with_the_check_of_the_roles() {
    let (story, account) = stack_without_token().await;
    let user = account.operator();
    run_init(&story, &user, &["--no-forge"]).await.assert_exit(0, "The 8 roles allow all 240 calls");
    let denied =
        RefusedCall { action: "dynamodb:PutItem".into(), on: "JOB# in a transaction".into(), reason: "no".into() };
    account.set_role_report("api", &[denied]);
    let denied = run_init(&story, &user, &["--no-forge"]).await;
    let denied = denied.assert_exit(1, "The function api is denied dynamodb:PutItem on JOB# in a transaction");
    assert!(denied.err.contains("then check everything"), "the report is incomplete: {denied:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_concurrent_operators_makes_the_first_token() {
    let (story, account) = stack_without_token().await;
    let users = [account.operator(), account.operator()];
    let (one, other) =
        tokio::join!(run_init(&story, &users[0], &["--no-forge"]), run_init(&story, &users[1], &["--no-forge"]));
    let mut codes = [one.code, other.code];
    codes.sort_unstable();
    assert_eq!(codes, [0, 3], "{one:?} {other:?}");
    let refused = if one.code == 3 { one } else { other };
    refused.assert_exit(3, "py already has an admin token, admin (pat_");
}

#[tokio::test(flavor = "multi_thread")]
async fn existing_admin_token_is_not_replaced_without_the_flag() {
    let story = Story::start_with(Setup::default()).await;
    let account = Account::healthy(&story).await;
    let user = account.operator();
    run_init(&story, &user, &["--no-forge"]).await.assert_exit(3, "--new-admin-token");
    assert_eq!(user.json(&["contexts"]).await, Value::Array(Vec::new()));
    assert_eq!(story.store().await.load_first_token().await.unwrap(), None);
    run_init(&story, &user, &["--no-forge", "--new-admin-token"]).await.assert_exit(0, "Created the first admin token");
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_init_continues_with_the_saved_token() {
    let (story, account) = stack_without_token().await;
    let user = account.operator();
    account.set_output("TableName", "not-there");
    run_init(&story, &user, &["--no-forge"]).await.assert_exit(1, "failed to");
    assert_eq!(user.json(&["contexts"]).await[0]["name"], "py", "the token stays: the write may have succeeded");
    account.set_output("TableName", "pullyard");
    run_init(&story, &user, &["--no-forge"]).await.assert_exit(0, "Created the first admin token");
    user.ok(&["projects", "list"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_first_token_revokes_the_previous_one() {
    let (story, account) = stack_without_token().await;
    let (lost, user) = (account.operator(), account.operator());
    run_init(&story, &lost, &["--no-forge"]).await.assert_success();
    run_init(&story, &user, &["--no-forge"]).await.assert_exit(3, "already has an admin token");
    run_init(&story, &user, &["--no-forge", "--new-admin-token"]).await.assert_success();
    user.ok(&["projects", "list"]).await;
    lost.run(&["projects", "list"]).await.assert_exit(4, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_stack_is_reported_before_any_other_call() {
    let (story, account) = stack_without_token().await;
    let user = account.operator();
    let error_body =
        "<R><Error><Code>ValidationError</Code><Message>Stack with id py does not exist</Message></Error></R>"
            .to_owned();
    account.set_response("DescribeStacks", (400, error_body));
    run_init(&story, &user, &[]).await.assert_exit(5, "find the stack py in us-east-1");
    assert_eq!(account.calls(), ["DescribeStacks"]);
    user.run(&["init"]).await.assert_exit(2, "pullyard init --stack NAME");
}

#[tokio::test(flavor = "multi_thread")]
async fn documented_init_command_sets_up_a_new_stack() {
    for document in DOCUMENTS {
        let (story, account) = stack_without_project().await;
        let line = document.lines().find(|line| line.starts_with("pullyard init --stack pullyard")).unwrap();
        let typed = line.split('#').next().unwrap().split_whitespace().skip(1);
        // Use this test's stack and forge, and leave out the repository, which is connected already.
        let typed = typed.take_while(|word| *word != "--repo");
        let typed: Vec<&str> = typed.map(|word| if word == "pullyard" { "py" } else { word }).collect();
        let forge = story.local.forge().api_url();
        let forge = ["--id", "gh2", "--forge", forge.trim_end_matches("/api/v3")];
        let ran = account.operator().run_with(&[&typed[..], &forge[..]].concat(), &story.forge_token()).await;
        let ran = ran.assert_exit(0, "Created the project acme");
        assert!(ran.err.contains("as gh2, where Pullyard is pullyard-bot"), "{line}: {ran:?}");
        story.local.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn first_project_is_prompted_for_on_a_terminal() {
    let (story, account) = stack_without_project().await;
    let user = account.operator();
    let bare = ["init", "--stack", "py", "--no-forge"];
    user.run(&bare).await.assert_exit(2, "run it again with --project ID");
    let mut terminal = user.at_terminal(&bare);
    terminal.wait_for_text("the name of the first project, such as acme: ").await;
    terminal.write("shop\n");
    let (code, _) = terminal.wait().await;
    assert_eq!(code, Some(0), "{}", terminal.text());
    assert_eq!(user.json(&["projects", "list"]).await["projects"][0]["id"], "shop");
    story.local.shutdown().await;
}
