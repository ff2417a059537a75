//! Tests tokens and secrets in the CLI.

use crate::prelude::*;
use pullyard_domain::review::removal::MIN_SECRET_AGE;

async fn status_of(story: &Story, token: &str) -> u16 {
    story.request(Method::GET, "/v1/tokens/self", Some(token), Vec::new()).await.0
}

#[tokio::test(flavor = "multi_thread")]
async fn cli_creates_lists_and_revokes_a_token() {
    let (story, user) = Story::with_user().await;
    let new = ["tokens", "create", "--name", "ci", "--kind", "api", "--scope", "read,jobs", "--project", "acme"];
    let output = user.run(&[&new[..], &["--expires", "90d"]].concat()).await;
    assert!(output.err.contains("it is shown only once") && output.err.contains("acme"), "{output:?}");
    let token = output.assert_success();
    let (text, rest) = token.split_at(token.len() - 1);
    assert_eq!((rest, text.len()), ("\n", 68), "stdout is not exactly the token");
    assert!(text.starts_with("pat_") && text[4..].bytes().all(|b| b.is_ascii_hexdigit()), "{text}");
    assert_eq!(status_of(&story, text).await, 200);

    let listed = user.json(&["tokens", "list"]).await;
    let ci = listed["tokens"].as_array().unwrap().iter().find(|token| token["name"] == "ci").unwrap().clone();
    assert_eq!((&ci["prefix"], &ci["state"]), (&json!(text[..8]), &json!("active")));
    assert_eq!(
        (&ci["scopes"], &ci["projects"], &ci["created_by"]),
        (&json!(["read", "jobs"]), &json!(["acme"]), &json!("admin"))
    );
    assert!(!listed.to_string().contains(&text[8..]), "the list contains the whole token");
    let rows = user.ok(&["tokens"]).await;
    assert!(rows.starts_with("ci\t"), "newest first: {rows}");

    user.run(&["tokens", "revoke", "ci"]).await.assert_exit(2, "--yes");
    assert_eq!(status_of(&story, text).await, 200, "the token was revoked without confirmation");
    user.run(&["tokens", "revoke", &text[..8], "--yes"]).await.assert_exit(0, "Revoked token ci");
    assert_eq!(status_of(&story, text).await, 401, "the revoked token is accepted");
    user.ok(&["tokens", "revoke", ci["id"].as_str().unwrap(), "--yes"]).await;
    assert!(user.ok(&["tokens", "list"]).await.contains("\trevoked\t"), "the revoked token is missing from the list");
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_token_requests_create_no_token() {
    let (story, user) = Story::with_user().await;
    let before = user.json(&["tokens", "list"]).await;
    for (arguments, code, message) in [
        (&["--kind", "api"][..], 2, "--scope"),
        (&["--kind", "runner", "--scope", "read"], 2, "scopes: "),
        (&["--kind", "api", "--scope", "read", "--runner", "kite"], 2, "runner: "),
        (&["--kind", "api", "--scope", "root"], 2, "root"),
        (&["--kind", "api", "--scope", "read", "--expires", "soon"], 2, "90d"),
        (&["--kind", "api", "--scope", "read", "--project", "nowhere"], 5, "there is no project nowhere"),
    ] {
        user.run(&[&["tokens", "create", "--name", "t"], arguments].concat()).await.assert_exit(code, message);
    }
    let limited = User::with(&story, &story.create_token(&[Scope::Admin], Some(&["acme"])).await);
    limited.run(&["tokens", "create", "--name", "t", "--kind", "runner"]).await.assert_exit(4, "not_allowed");
    limited.run(&["tokens", "list"]).await.assert_exit(4, "not_allowed");
    user.run(&["tokens", "revoke", "0123456789abcdef", "--yes"]).await.assert_exit(5, "there is no token");
    let secret = format!("pat_{}", "5".repeat(64));
    let ran = user.run(&["tokens", "revoke", &secret, "--yes"]).await.assert_exit(5, "there is no token");
    assert!(!ran.err.contains(&secret), "{ran:?}");
    let names = |list: &serde_json::Value| list["tokens"].as_array().unwrap().len();
    // Only the test's own token was added.
    assert_eq!(names(&user.json(&["tokens", "list"]).await), names(&before) + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_the_token_in_use_prints_a_warning() {
    let story = Story::start_with_waiting_tasks().await;
    let output =
        User::of(&story).run(&["tokens", "create", "--name", "mine", "--kind", "api", "--scope", "admin"]).await;
    let mine = User::with(&story, output.assert_success().trim());
    let status = mine.json(&["status"]).await;
    assert_eq!((&status["token"]["name"], &status["token"]["scopes"]), (&json!("mine"), &json!(["admin"])));
    let facts = mine.ok(&["status"]).await;
    assert!(
        facts.contains("token\tmine\n") && facts.contains("scopes\tadmin\n") && facts.contains("expires\t\n"),
        "{facts}"
    );
    mine.run(&["tokens", "revoke", "mine", "--yes"]).await.assert_exit(0, "the token in use");
    mine.run(&["tokens", "list"]).await.assert_exit(4, "not_signed_in");
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_is_read_from_stdin_and_never_printed() {
    let (_story, user) = Story::with_user().await;
    let set = user.run_with(&["secrets", "set", "github"], "ghp_planted\n").await;
    assert!(!set.err.contains("planted"), "{set:?}");
    let output = set.assert_success();
    assert_eq!(output, "pullyard/user/github\n", "stdout is not exactly the secret's name");
    let listed = user.json(&["secrets", "list"]).await;
    let secrets = listed["secrets"].as_array().unwrap();
    let mut names = secrets.iter().map(|secret| secret["name"].as_str().unwrap()).collect::<Vec<_>>();
    names.sort_unstable();
    assert_eq!(
        names,
        ["demo-forge-person", "demo-forge-token", "github"],
        "the list contains another secret: {listed}"
    );
    assert!(secrets.iter().all(|secret| secret["set_at"].is_string()), "{listed}");
    assert!(!listed.to_string().contains("planted"), "{listed}");
    assert!(user.ok(&["secrets"]).await.lines().any(|line| line.starts_with("github\t")));
    user.run_with(&["secrets", "set", "github"], "").await.assert_exit(2, "use 1 to");
    user.run_with(&["secrets", "set", "../signing-key"], "x").await.assert_exit(2, "letters");
    user.run_with(&["secrets", "set", "big"], &"x".repeat(65_537)).await.assert_exit(2, "65536");
}

#[tokio::test(flavor = "multi_thread")]
async fn unused_secret_is_deleted_and_a_used_one_is_refused() {
    let (story, user) = Story::with_user().await;
    user.run_with(&["secrets", "set", "anthropic", "--for-jobs"], "sk-planted").await.assert_success();
    let key = "model_secrets.anthropic_api_key";
    user.ok(&["settings", "set", &format!("{key}=pullyard/job/anthropic"), "--project", "acme"]).await;
    let listed = user.json(&["secrets", "list"]).await;
    let users_of = |name: &str| {
        let secrets = listed["secrets"].as_array().unwrap();
        secrets.iter().find(|secret| secret["name"] == name).map(|secret| secret["used_by"].clone()).unwrap()
    };
    assert_eq!(users_of("anthropic"), json!([{ "of": "setting", "project": "acme", "setting": key }]));
    let forge = json!([{ "of": "local_forge" }, { "of": "integration", "id": "gh1" }]);
    assert_eq!(users_of("demo-forge-token"), forge);

    let delete = ["secrets", "delete", "anthropic", "--for-jobs", "--yes"];
    let refused = user.run(&delete).await.assert_exit(3, "model_secrets.anthropic_api_key of acme names the secret");
    let remedy = format!("pullyard settings set {key}=null --project acme");
    assert!(refused.err.contains(&remedy), "{}", refused.err);
    user.run(&["secrets", "delete", "demo-forge-token", "--yes"]).await.assert_exit(3, "made by Pullyard");
    let missing = user.run(&["secrets", "delete", "anthropic", "--yes"]).await;
    assert!(missing.assert_exit(5, "pullyard/user/anthropic").err.contains("--for-jobs"));
    let install = ["hooks", "install", "--integration", "gh1", "--repo", REPOSITORY, "--name", "app"];
    user.ok(&[&install[..], &["--base-url", "https://p.example"]].concat()).await;
    let hook = ["secrets", "delete", "hook-app", "--yes"];
    let refused = user.run(&hook).await.assert_exit(3, "the hook app signs with the secret hook-app");
    assert!(refused.err.contains("pullyard hooks delete app"), "{}", refused.err);
    user.ok(&["hooks", "delete", "app", "--yes"]).await;
    user.run(&hook).await.assert_exit(3, "the secret hook-app was set less than five minutes ago");
    story.clock.advance(MIN_SECRET_AGE);
    user.ok(&hook).await;
    user.run(&delete[..4]).await.assert_exit(2, "--yes");

    user.ok(&["settings", "set", &format!("{key}=null"), "--project", "acme"]).await;
    user.ok(&delete).await;
    assert!(!user.ok(&["secrets"]).await.contains("anthropic"), "the secret is still listed");
    user.run(&delete).await.assert_exit(5, "pullyard/job/anthropic");
    user.run_with(&["secrets", "set", "anthropic", "--for-jobs"], "sk-new").await.assert_success();
}
