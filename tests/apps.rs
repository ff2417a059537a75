//! Tests a GitHub App: created on its page, authenticated by its key, one token per attempt and repository.

pub(crate) mod github;
mod hook;

use crate::pages::{Answer, Browser, percent};
use crate::prelude::*;
use github::GitHub;

pub(crate) const SHOP: &str = "acme/shop";

/// A system, a CLI user, and a GitHub with a repository that is not connected yet.
async fn world(task: Task) -> (Story, User, GitHub) {
    let story = Story::start_with(Setup { task, ..Setup::default() }).await;
    let files = [("README.md", "# Shop\n", false), ("agent.sh", WORKING_AGENT, true)];
    story.local.forge().create_repository(SHOP, "main", &files).await.unwrap();
    let github = GitHub::start(&story.local.forge().url(), &story.forge_token()).await;
    let user = User::of(&story);
    (story, user, github)
}

/// Opens the page "Connect a GitHub App" for a GitHub, and follows GitHub's redirect with the code.
pub(crate) async fn create_app(browser: &Browser, site: &str, id: &str, code: &str) -> Answer {
    let form = format!("/setup/repositories/connect-app?project=acme&owner=acme&site={}&id={id}", percent(site));
    let page = browser.get(&form).await;
    let action = format!("action=\"{site}/organizations/acme/settings/apps/new?state=");
    let (_, state) = page.body.split_once(&action).unwrap();
    let state = state.split('"').next().unwrap();
    browser.get(&format!("/setup/repositories/new-app?code={code}&state={state}")).await
}

async fn connect_app(story: &Story, github: &GitHub) {
    let created = create_app(&Browser::admin(story).await, &github.url(), "github", github::CODE).await;
    assert_eq!(created.redirect(), (303, "/setup/repositories/connections/github?project=acme"), "{}", created.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn created_app_mints_one_token_per_attempt_and_repository() {
    let (story, user, github) = world(Task::Runner).await;
    connect_app(&story, &github).await;
    let install = ["hooks", "install", "--app", "--integration", "github", "--name", "github"];
    user.ok(&[&install[..], &["--base-url", "https://p.example"]].concat()).await;
    let hook = &user.json(&["hooks"]).await[0];
    assert_eq!(
        (&hook["name"], &hook["kind"]),
        (&json!("github"), &json!({ "of": "app" })),
        "the App's webhook is not registered"
    );
    assert_eq!(hook["url"], "https://p.example/webhooks/github/github");
    let expected = json!({
        "url": "https://p.example/webhooks/github/github", "content_type": "json", "insecure_ssl": "0",
        "secret": "wh-s3cret",
    });
    assert_eq!(github.hook(), expected);
    let integration = user.json(&["integrations", "show", "github"]).await;
    assert_eq!(
        integration["auth"],
        json!({
            "kind": "app", "app_id": github::APP, "client_id": "Iv23test", "slug": "pullyard-acme",
            "key_secret": format!("pullyard/user/github-app-{}-key", github::APP),
            "webhook_secret": format!("pullyard/user/github-app-{}-webhook", github::APP),
        })
    );
    assert_eq!(integration["account"]["login"], "pullyard-acme[bot]");
    assert!(user.ok(&["integrations", "test", "github"]).await.contains("accepts our token"));

    let add = ["repos", "add", SHOP, "--integration", "github", "--agent-command", "./agent.sh"];
    user.ok(&add).await;
    let table = user.ok(&["repos", "test", SHOP]).await;
    assert!(table.contains("works\tpush\tcontents: write\t") && !table.contains("missing"), "{table}");
    let before = github.token_requests().len();

    let request: CreateJob =
        serde_json::from_value(json!({ "project": "acme", "prompt": "Do it.", "repository": SHOP })).unwrap();
    let job = story.api.create_job(&request, None).await.unwrap().job.unwrap();
    let ended = story.wait_for_end(&job).await;
    assert_eq!(ended.status, JobStatus::Completed, "{ended:?}");
    let minted = github.token_requests().split_off(before);
    let all = user.json(&["repos", "list"]).await;
    let shop = all["repositories"].as_array().unwrap().iter().find(|repository| repository["name"] == SHOP);
    let id = shop.unwrap()["id"].clone();
    for token in &minted {
        let least = json!({ "contents": "write", "pull_requests": "write" });
        assert_eq!(
            token,
            &json!({ "repository_ids": [id], "permissions": least }),
            "the token is wider than one repository"
        );
    }
    assert_eq!(minted.len(), 2, "expected one token to fetch and one to push");
    let calls = github.gate.calls();
    let by = |call: &str| calls.iter().find(|(known, _)| known == call).map(|(_, token)| token.clone());
    let (fetched, pushed) = (by("POST /acme/shop.git/git-upload-pack"), by("POST /acme/shop.git/git-receive-pack"));
    assert!(fetched.is_some() && pushed.is_some() && fetched != pushed);
    // Tokens of the control plane remain, which cannot push.
    crate::story::wait_until("tokens are taken back", async || {
        let valid = github.gate.valid_tokens();
        let left = [&fetched, &pushed].into_iter().flatten().filter(|token| valid.iter().any(|own| own == *token));
        match left.count() {
            0 => Ok(()),
            count => Err(format!("{count} are left")),
        }
    })
    .await;
}

/// Their agent leaves no output, so the jobs that need one fail; their tokens were minted before.
#[tokio::test(flavor = "multi_thread")]
async fn kinds_that_push_nothing_get_narrower_tokens() {
    let (story, user, github) = world(Task::Runner).await;
    connect_app(&story, &github).await;
    user.ok(&["repos", "add", SHOP, "--integration", "github", "--agent-command", "./agent.sh"]).await;
    user.ok(&["jobs", "create", "--repository", SHOP, "-p", "Do it.", "--wait"]).await;
    let reading = ["jobs", "create", "--kind", "read", "--repository", SHOP, "-p", "How often?", "--wait"];
    let reviewing = ["review", &format!("{SHOP}#1"), "--wait"];
    let analysing = ["analyses", "run", "--repo", SHOP, "--watch"];
    for (args, code, expected) in [
        (&reading[..], "output_invalid", json!({ "contents": "read" })),
        (&reviewing[..], "output_invalid", json!({ "contents": "read", "pull_requests": "write" })),
        (&analysing[..], "", json!({ "issues": "read", "pull_requests": "read" })),
    ] {
        if args == analysing {
            // An analysis has no checkout, so no program of the repository.
            user.ok(&["repos", "add", SHOP, "--integration", "github", "--agent-command", "true"]).await;
        }
        let before = github.token_requests().len();
        let exit = user.run(args).await;
        assert_eq!(exit.code, if args == analysing { 0 } else { 6 }, "{exit:?}");
        assert!(exit.err.contains(code), "{exit:?}");
        let minted = github.token_requests().split_off(before);
        let attempts: Vec<&Value> = minted.iter().map(|token| &token["permissions"]).collect();
        assert!(attempts.contains(&&expected), "{args:?}: {attempts:?}");
        assert!(attempts.iter().all(|permissions| permissions["contents"] != "write"), "{args:?}: {attempts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_app_permission_is_reported_and_credentials_refused() {
    let (story, user, github) = world(Task::Waiting).await;
    connect_app(&story, &github).await;
    let add = ["repos", "add", SHOP, "--integration", "github", "--workflows", "--agent-command", "./agent.sh"];
    user.ok(&add).await;
    let ran = user.run(&["repos", "test", SHOP]).await.assert_exit(1, "Jobs can't work in acme/shop.");
    assert!(ran.out.contains("missing\tworkflows\tworkflows: write\t"), "{ran:?}");
    assert!(ran.out.contains("grant the App workflows: write"), "{ran:?}");

    let request: CreateJob =
        serde_json::from_value(json!({ "project": "acme", "prompt": "Do it.", "repository": SHOP })).unwrap();
    let job = story.api.create_job(&request, None).await.unwrap().job.unwrap();
    story.wait_for_task(&job, 1).await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    let before = github.token_requests().len();
    let denied = client.credentials().await.unwrap_err();
    assert_eq!(denied.code(), Some("forge_refused"));
    assert!(denied.to_string().contains("workflows: write on acme/shop"), "{denied}");
    assert_eq!(github.token_requests().len(), before, "a token was requested");

    github.grant("workflows", "write");
    user.ok(&["repos", "test", SHOP]).await;
    let credentials = client.credentials().await.unwrap();
    assert!(credentials.expires_in_secs.is_some_and(|secs| (3_500..=3_600).contains(&secs)), "{credentials:?}");
    assert_eq!(credentials.forge_token.len(), 520);
    assert_ne!(
        client.credentials().await.unwrap().forge_token,
        credentials.forge_token,
        "two calls returned one token"
    );

    github.suspend();
    user.run(&["repos", "test", SHOP]).await.assert_exit(1, "the App's installation is suspended");
    assert_eq!(client.credentials().await.unwrap_err().code(), Some("forge_refused"));
    github.uninstall();
    user.run(&["repos", "test", SHOP]).await.assert_exit(1, "Install the App of github on acme/shop.");
}

#[tokio::test(flavor = "multi_thread")]
async fn token_minted_during_the_attempts_end_is_revoked() {
    let (story, user, github) = world(Task::Waiting).await;
    connect_app(&story, &github).await;
    user.ok(&["repos", "add", SHOP, "--integration", "github", "--agent-command", "./agent.sh"]).await;
    let request: CreateJob =
        serde_json::from_value(json!({ "project": "acme", "prompt": "Do it.", "repository": SHOP })).unwrap();
    let job = story.api.create_job(&request, None).await.unwrap().job.unwrap();
    story.wait_for_task(&job, 1).await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    let live = github.gate.valid_tokens();
    let held = github.hold_minting();
    let (answer, ()) = tokio::join!(client.credentials(), async {
        github.wait_for_minting().await;
        let finish = json!({ "finish_id": "f1", "outcome": "cancelled" });
        client.finish(&serde_json::from_value(finish).unwrap()).await.unwrap();
        drop(held);
    });
    assert_eq!(answer.unwrap_err().code(), Some("lease_lost"));
    assert_eq!(github.gate.valid_tokens(), live, "the token was not revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn app_without_webhook_secret_is_refused_but_its_key_stored() {
    let (story, user, github) = world(Task::Waiting).await;
    github.forget_webhook_secret();
    let refused = create_app(&Browser::admin(&story).await, &github.url(), "github", github::CODE).await;
    assert!(refused.status == 422 && refused.contains("without a webhook secret"), "{}", refused.body);
    user.run(&["integrations", "show", "github"]).await.assert_exit(5, "there is no integration github");

    // Follow the refusal: set a webhook secret, then add the App with its stored key.
    user.run_with(&["secrets", "set", "hook"], "s3cret").await.assert_success();
    let (api, app) = (format!("{}/api/v3", github.url()), github::APP.to_string());
    let key = format!("pullyard/user/github-app-{app}-key");
    let add = ["integrations", "add", "github", "--api-url", &api, "--app-id", &app, "--key-secret", &key];
    let add = [&add[..], &["--webhook-secret", "pullyard/user/hook"]].concat();
    user.ok(&add).await;
    user.ok(&add).await;
    let elsewhere = add.iter().map(|word| if *word == app { "8" } else { word }).collect::<Vec<_>>();
    user.run(&elsewhere).await.assert_exit(1, "the integration github already exists");
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_conversion_codes_and_foreign_app_keys_are_refused() {
    let (story, user, github) = world(Task::Waiting).await;
    let api = format!("{}/api/v3", github.url());
    let ask = async |path: &str, body: Value| {
        let admin = Some(story.local.admin_token());
        let (status, _, body) = story.request(Method::POST, path, admin, body.to_string().into_bytes()).await;
        (status, body["code"].as_str().unwrap_or_default().to_owned(), body["pointer"].clone())
    };
    let browser = Browser::admin(&story).await;
    let (long, invalid) = ("x".repeat(201), "This is not a manifest code.");
    for (code, sentence) in [
        ("", invalid),
        ("a%2Fb", invalid),
        ("..", invalid),
        (long.as_str(), invalid),
        ("old", "The forge refused the request"),
    ] {
        let refused = create_app(&browser, &github.url(), "app", code).await;
        assert!(refused.status == 422 && refused.contains(sentence), "{code}: {}", refused.body);
    }
    user.run_with(&["secrets", "set", "key"], &github.pem()).await.assert_success();
    user.run_with(&["secrets", "set", "junk"], "junk").await.assert_success();
    let connect = |app_id: u64, key: &str, webhook: &str| json!({ "id": "app", "api_url": api, "app_id": app_id, "key_secret": key, "webhook_secret": webhook });
    let (key, junk) = ("pullyard/user/key", "pullyard/user/junk");
    assert_eq!(ask("/v1/github-apps", connect(github::APP, junk, junk)).await.1, "forge_refused");
    assert_eq!(ask("/v1/github-apps", connect(github::APP, key, "pullyard/user/none")).await.1, "secret_missing");
    assert_eq!(
        ask("/v1/github-apps", connect(8, key, junk)).await.1,
        "forge_refused",
        "the key belongs to another App"
    );
    let signing = ask("/v1/github-apps", connect(github::APP, key, "pullyard/signing-key")).await;
    assert_eq!(signing, (422, "invalid".to_owned(), json!("/webhook_secret")));
}
