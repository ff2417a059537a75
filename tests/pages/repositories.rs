//! Tests the setup page of repositories: connections, repositories and webhooks.

use super::{Answer, Browser};
use crate::apps::SHOP;
use crate::apps::github::{self, GitHub};
use crate::prelude::*;
use crate::webhooks::{World, signature};

const LIST: &str = "/setup/repositories?project=acme";
const QUERY: &str = "?project=acme&repository=acme%2Fapp";

#[tokio::test(flavor = "multi_thread")]
async fn repositories_page_shows_state_and_broken_webhook() {
    let world = World::with_hook().await;
    world.story.set_ingress(REPOSITORY, Ingress::Webhook).await;
    let browser = Browser::admin(&world.story).await;
    let page = browser.get(LIST).await;
    page.assert_contains(&[
        REPOSITORY,
        "The local forge, account pullyard-bot",
        "gh1, with 1 repository of acme",
        "Webhook, and polling every 5 minutes",
        "<dd>main</dd>",
        "./agent.sh",
        "No delivery yet",
        "/setup/repositories/webhooks/acme\"",
    ]);
    assert!(!page.contains("Repair webhook"), "{}", page.body);

    let review = world.review(80, "submitted", "changes_requested").to_string().into_bytes();
    let wrong = signature("another secret", &review);
    assert_eq!(world.send_as("acme", "pull_request_review", "g", &wrong, review).await.0, 401);
    let page = browser.get(LIST).await;
    page.assert_contains(&["Webhook failing", "had a wrong signature", "reviews arrive later", "Repair webhook"]);

    let reader = Browser::with(&world.story, &[Scope::Read], Some(&["acme"])).await;
    let page = reader.get(LIST).await;
    assert!(page.contains(REPOSITORY) && page.contains("belong to all projects"), "{}", page.body);
    for hidden in ["gh1, with", "<form method=\"post\" action=\"/setup/repositories", "Test now", "webhooks/acme"] {
        assert!(!page.contains(hidden), "{hidden}: {}", page.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn token_connects_forge_and_is_never_shown() {
    let (story, browser) = Story::with_browser().await;
    let (url, good) = (story.local.forge().api_url(), story.forge_token());
    let connect = async |id: &str, url: &str, token: &str| {
        let form = [("kind", "github"), ("id", id), ("api_url", url), ("token", token)];
        browser.post("/setup/repositories/connect?project=acme", &form).await
    };
    browser
        .get("/setup/repositories/connect?kind=bitbucket&project=acme")
        .await
        .assert_contains(&["https://api.bitbucket.org/2.0", "E-MAIL:API-TOKEN of a user"]);
    browser
        .get("/setup/repositories/connect?kind=github&project=acme")
        .await
        .assert_contains(&["Fine-grained: contents", "Use https://HOST/api/v3 as the REST URL."]);
    let list = browser.get(LIST).await;
    list.assert_contains(&["<strong>GitHub App</strong>", "connect?kind=github&amp;project=acme", "Bitbucket token"]);
    let unknown = browser.get("/setup/repositories/connect?kind=gitlab&project=acme").await;
    assert!(unknown.status == 422 && unknown.contains("does not know this forge"), "{}", unknown.body);
    let form = [("kind", "gitlab"), ("id", "gl1"), ("api_url", &url), ("token", &good)];
    assert_eq!(browser.post("/setup/repositories/connect?project=acme", &form).await.status, 422);

    let hostile = "\"><script>alert(1)</script>";
    for (id, url, token, field, sentence) in [
        (hostile, url.as_str(), good.as_str(), "id", "bad-id"),
        ("gh2", "http://forge.example", &good, "api_url", "Use https; plain http only to 127.0.0.1."),
        ("gh2", &url, "ghp of mine", "token", "The token contains a space."),
        ("gh1", &url, &good, "id", "The connection gh1 already exists"),
    ] {
        let refused = connect(id, url, token).await;
        assert_eq!(refused.status, 422, "{field}");
        assert!(refused.contains(&format!("id=\"bad-{field}\"")) && refused.contains(sentence), "{}", refused.body);
        assert!(!refused.contains(token) && !refused.contains("<script>alert"), "{}", refused.body);
    }
    let refused = connect("gh2", &url, "ghp_unknown").await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert!(refused.contains("The forge refused the request") && refused.contains("value=\"gh2\""), "{}", refused.body);

    let address = "/setup/repositories/connections/gh2?project=acme";
    assert_eq!(connect("gh2", &url, &good).await.redirect(), (303, address));
    let page = browser.get(address).await;
    assert!(page.contains("gh2 accepts our token.") && page.contains("integration-gh2-token"), "{}", page.body);
    assert!(!page.contains(&good));
    let replace = "/setup/repositories/connections/gh2/credential?project=acme";
    assert_eq!(browser.post(replace, &[("value", "two words")]).await.status, 422);
    assert!(browser.get(address).await.contains("gh2 accepts our token."), "a refused value replaced the token");
    assert_eq!(browser.post(replace, &[("value", "ghp_unknown")]).await.redirect(), (303, address));
    let page = browser.get(address).await;
    assert!(page.contains("gh2 failed to") && !page.contains("ghp_unknown"), "{}", page.body);

    let used = browser.post("/setup/repositories/connections/gh1/remove?project=acme", &[("x", "y")]).await;
    assert_eq!(used.status, 409);
    assert!(used.contains("acme/app of acme is connected through gh1."), "{}", used.body);
    let removed = browser.post("/setup/repositories/connections/gh2/remove?project=acme", &[("x", "y")]).await;
    assert_eq!(removed.redirect(), (303, "/setup/repositories?project=acme&removed=gh2"));
    assert!(browser.get(removed.redirect().1).await.contains("gh2 was removed."));
    assert_eq!(browser.get(address).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn private_key_connects_github_app() {
    let story = Story::start_with_waiting_tasks().await;
    let files = [("README.md", "# Shop\n", false), ("agent.sh", WORKING_AGENT, true)];
    story.local.forge().create_repository(SHOP, "main", &files).await.unwrap();
    let github = GitHub::start(&story.local.forge().url(), &story.forge_token()).await;
    let browser = Browser::admin(&story).await;
    let (api_url, app) = (format!("{}/api/v3", github.url()), github::APP.to_string());
    let pem = github.pem().replace('\n', "\r\n");
    let connect = async |app: &str, key: &str| {
        let form = [("id", "app1"), ("api_url", api_url.as_str()), ("app_id", app), ("key", key)];
        browser.post("/setup/repositories/connect-app?project=acme", &form).await
    };
    for (app, key, field) in [("one", pem.as_str(), "app_id"), (&app, "ssh-rsa AAAA", "key")] {
        let refused = connect(app, key).await;
        assert_eq!(refused.status, 422);
        assert!(refused.contains(&format!("id=\"bad-{field}\"")), "{field}: {}", refused.body);
        assert!(!refused.contains(key.trim()), "the key is shown");
    }
    let connected = connect(&app, &pem).await;
    assert_eq!(connected.redirect(), (303, "/setup/repositories/connections/app1?project=acme"), "{}", connected.body);
    let page = browser.get(connected.redirect().1).await;
    assert!(page.contains("app1 accepts our token."), "{}", page.body);
    assert!(page.contains("/github-apps/pullyard-acme/installations/new"), "{}", page.body);

    let install = [("project", "acme"), ("integration", "app1"), ("scope", "app"), ("base_url", "https://p.example")];
    let installed = browser.post("/setup/repositories/install-webhook", &install).await;
    assert_eq!(installed.redirect(), (303, "/setup/repositories/webhooks/app1"), "{}", installed.body);
    assert_eq!(github.hook()["url"], "https://p.example/webhooks/github/app1");
    assert_eq!(github.hook()["secret"].as_str().map(str::len), Some(64));
}

#[tokio::test(flavor = "multi_thread")]
async fn manifest_creates_github_app_by_mouse() {
    let story = Story::start_with_waiting_tasks().await;
    let github = GitHub::start(&story.local.forge().url(), &story.forge_token()).await;
    let browser = Browser::admin(&story).await;
    let form = "/setup/repositories/connect-app?project=acme";
    let policy = async |query: &str| {
        let page = browser.get(&format!("{form}{query}")).await;
        (page.status, page.header("content-security-policy").split("; ").nth(5).unwrap_or_default().to_owned())
    };
    assert_eq!(policy("").await, (200, "form-action 'self' https://github.com".to_owned()));
    for refused in ["&owner=a%22b", "&site=http%3A%2F%2Fgithub.com", "&site=https%3A%2F%2Fa%20b", "&id=A", "&id=gh1"] {
        assert_eq!(policy(refused).await, (422, "form-action 'self'".to_owned()), "{refused}");
    }

    let site = github.url().replace(':', "%3A").replace('/', "%2F");
    let filled = format!("{form}&owner=acme&site={site}&id=app1");
    let page = browser.get(&filled).await;
    assert!(page.header("content-security-policy").contains(&format!("form-action 'self' {};", github.url())));
    let after = |mark: &str, page: &Answer| page.body.split(mark).nth(1).unwrap().split('"').next().unwrap().to_owned();
    let parse_manifest = |page: &Answer| -> Value {
        serde_json::from_str(&after(r#"name="manifest" value=""#, page).replace("&#34;", "\"")).unwrap()
    };
    let manifest = parse_manifest(&page);
    assert_eq!(manifest["hook_attributes"]["active"], false, "GitHub cannot reach this machine");
    assert_eq!(manifest["default_permissions"].get("workflows"), None);
    let ticked = browser.get(&format!("{filled}&workflows=on")).await;
    assert_eq!(parse_manifest(&ticked)["default_permissions"]["workflows"], "write");
    ticked.assert_contains(&["name=\"workflows\" value=\"on\" checked"]);
    let address = format!("method=\"post\" action=\"{}/organizations/acme/settings/apps/new?state=", github.url());
    let back = format!("/setup/repositories/new-app?code={}&state={}", github::CODE, after(&address, &page));
    assert_eq!(manifest["redirect_url"], format!("{}/setup/repositories/new-app", story.local.api_url()));

    // GitHub's redirect arrives without the cookie.
    let hop = Browser::new(&story).ask(Method::GET, &back, &[("sec-fetch-site", "cross-site")], &[]).await;
    assert!(hop.status == 200 && hop.contains("hop=1"), "{}", hop.body);
    let other = Browser::with(&story, &[Scope::Admin], None).await;
    for (browser, address) in [(&other, back.as_str()), (&browser, &back.replace("state=pya_", "state=pya_x"))] {
        let refused = browser.get(address).await;
        assert!(refused.status == 400 && refused.contains("belongs to another sign-in"), "{}", refused.body);
    }
    let connection = "/setup/repositories/connections/app1?project=acme";
    assert_eq!(browser.get(&format!("{back}&hop=1")).await.redirect(), (303, connection));
    let page = browser.get(connection).await;
    page.assert_contains(&["app1 accepts our token.", "/github-apps/pullyard-acme/installations/new"]);
    assert!(!page.contains("PRIVATE"), "{}", page.body);
    let again = browser.get(&back).await;
    assert!(again.status == 422 && again.contains("The connection app1 already exists"), "{}", again.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn repository_is_added_changed_tested_and_removed() {
    let story = Story::start_with_waiting_tasks().await;
    let files = [("README.md", "# Shop\n", false), ("agent.sh", WORKING_AGENT, true)];
    story.local.forge().create_repository(SHOP, "trunk", &files).await.unwrap();
    let browser = Browser::admin(&story).await;
    let add = async |name: &str, more: &[(&str, &str)]| {
        let form = [("project", "acme"), ("integration", "gh1"), ("name", name)];
        browser.post("/setup/repositories/add", &[&form, more].concat()).await
    };
    let hostile = "<script>alert(1)</script>";
    for (name, more, field) in [
        (hostile, &[][..], "name"),
        (SHOP, &[("agent", "command"), ("command", "")], "agent/command"),
        (SHOP, &[("agent", "codex"), ("model", "--x")], "agent/model"),
        (SHOP, &[("setup_from", "own"), ("setup", "npm ci | sh")], "commands/setup"),
        (SHOP, &[("running_jobs", "two")], "running_jobs"),
        (SHOP, &[("running_jobs", "101")], "running_jobs"),
    ] {
        let refused = add(name, more).await;
        assert_eq!(refused.status, 422, "{field}");
        assert!(refused.contains(&format!("id=\"bad-{field}\"")), "{field}: {}", refused.body);
        assert!(!refused.contains(hostile) && refused.contains("name=\"setup\""), "{}", refused.body);
    }
    let unknown = add("acme/none", &[]).await;
    assert!(unknown.status == 422 && unknown.contains("value=\"acme/none\""), "{}", unknown.body);

    let agent = [("agent", "command"), ("command", "sh\r\n./agent.sh"), ("checks_from", "own"), ("checks", "npm test")];
    let tested = "/setup/repositories/test?project=acme&repository=acme%2Fshop&added=1";
    let agent = [&agent[..], &[("running_jobs", " 2 ")]].concat();
    assert_eq!(add(SHOP, &agent).await.redirect(), (303, tested));
    let page = browser.get(tested).await;
    page.assert_contains(&["acme/shop is connected.", "No missing permission was found", "contents: write", "Unknown"]);
    let page = browser.get(LIST).await;
    page.assert_contains(&[
        "acme/shop",
        "<dd>trunk</dd>",
        "sh ./agent.sh",
        "npm test",
        "Polling every minute",
        "at most 2",
    ]);
    browser.get("/setup/repositories/add?project=acme&repository=acme%2Fshop").await.assert_contains(&[
        "Change acme/shop",
        ">sh\n./agent.sh</textarea>",
        "name=\"running_jobs\" value=\"2\"",
    ]);

    let set = [("project", "acme"), ("repository", SHOP), ("ingress", "webhook")];
    let changed = browser.post("/setup/repositories/ingress", &set).await;
    assert!(changed.status == 303 && changed.redirect().1.starts_with(&format!("{LIST}#r-gh1-")), "{}", changed.body);
    let ingresses = story.api.ingresses(&story.project).await.unwrap().repositories;
    assert!(ingresses.iter().any(|ingress| ingress.repository.as_str() == SHOP && ingress.ingress == Ingress::Webhook));
    assert!(browser.get(LIST).await.contains("Polling every 5 minutes; no webhook is installed"));

    browser
        .get("/setup/repositories/remove?project=acme&repository=acme%2Fshop")
        .await
        .assert_contains(&["Remove acme/shop from acme?", "no longer start jobs"]);
    story.create_job("e1", "APP-1", 1).await;
    let busy = browser.post("/setup/repositories/remove", &[("project", "acme"), ("repository", REPOSITORY)]).await;
    assert!(busy.status == 409 && busy.contains("has not ended"), "{}", busy.body);
    let removed = browser.post("/setup/repositories/remove", &[("project", "acme"), ("repository", SHOP)]).await;
    assert_eq!(removed.redirect(), (303, "/setup/repositories?project=acme&removed=acme%2Fshop"));
    assert_eq!(story.api.repositories(&story.project).await.unwrap().repositories.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn first_repository_becomes_the_projects_default() {
    let (story, browser) = Story::with_browser().await;
    let default = async || story.api.project(&story.project).await.unwrap().settings.default_repository;
    let remove = [("project", "acme"), ("repository", REPOSITORY)];
    assert_eq!(browser.post("/setup/repositories/remove", &remove).await.status, 303);
    assert_eq!(default().await, None);
    browser.get(LIST).await.assert_contains(&["No repository yet", "Not used here"]);
    let add = [("project", "acme"), ("integration", "gh1"), ("name", REPOSITORY)];
    assert_eq!(browser.post("/setup/repositories/add", &add).await.status, 303);
    assert_eq!(default().await.unwrap().as_str(), REPOSITORY);
    assert!(browser.get(LIST).await.contains(">Default</span>"));
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_is_installed_repaired_and_removed() {
    let world = World::new().await;
    let story = &world.story;
    let browser = Browser::admin(story).await;
    browser
        .get(&format!("/setup/repositories/install-webhook{QUERY}"))
        .await
        .assert_contains(&["value=\"acme/app\"", story.local.api_url()]);
    let install = async |base_url: &str| {
        let form = [("project", "acme"), ("integration", "gh1"), ("scope", "repository"), ("repository", REPOSITORY)];
        browser.post("/setup/repositories/install-webhook", &[&form[..], &[("base_url", base_url)]].concat()).await
    };
    let refused = install("forge").await;
    assert!(refused.status == 422 && refused.contains("id=\"bad-base_url\""), "{}", refused.body);
    let address = "/setup/repositories/webhooks/acme-app";
    assert_eq!(install(story.local.api_url()).await.redirect(), (303, address));
    browser.get(address).await.assert_contains(&["For acme/app, through gh1", "Verify again"]);

    // The forge has another secret than this one, until the repair.
    assert_eq!(browser.post(&format!("{address}/secret"), &[("value", "typed")]).await.redirect(), (303, address));
    assert_eq!(browser.post(&format!("{address}/secret"), &[("value", "")]).await.status, 422);
    let page = browser.get(address).await;
    assert!(!page.contains("typed"), "{}", page.body);
    assert_eq!(browser.post(&format!("{address}/repair"), &[]).await.redirect(), (303, address));

    let blocked = browser.post("/setup/repositories/remove", &[("project", "acme"), ("repository", REPOSITORY)]).await;
    assert_eq!(blocked.status, 409, "{}", blocked.body);
    assert!(browser.get(&format!("{address}/remove")).await.contains("Remove the webhook acme-app?"));
    let removed = browser.post(&format!("{address}/remove"), &[("keep_at_forge", "on")]).await;
    assert_eq!(removed.redirect(), (303, "/setup/repositories?project=acme&removed=acme-app"));
    assert!(story.api.hook(&HookName::new("acme-app").unwrap()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn repositories_forms_need_admin_of_their_projects() {
    let world = World::with_hook().await;
    let reader = Browser::with(&world.story, &[Scope::Read, Scope::Jobs], None).await;
    let (own, other) = (
        Browser::with(&world.story, &[Scope::Admin], Some(&["acme"])).await,
        Browser::with(&world.story, &[Scope::Admin], Some(&["other"])).await,
    );
    let repository = [("project", "acme"), ("repository", REPOSITORY)];
    let ingress = [&repository[..], &[("ingress", "poll")]].concat();
    let base = "/setup/repositories";
    let token = [("kind", "github"), ("id", "x"), ("api_url", "https://x.example"), ("token", "t")];
    let app = [("id", "x"), ("api_url", "https://x.example"), ("app_id", "1"), ("key", "k")];
    let add = [("project", "acme"), ("integration", "gh1"), ("name", "?")];
    let install = [("project", "acme"), ("scope", "app"), ("integration", "gh1")];
    // Path, form, and the statuses for an admin of this project and of another one.
    for (path, form, ours, theirs) in [
        ("/connect", &token[..], 403, 403),
        ("/connect-app", &app, 403, 403),
        ("/connections/gh1/credential", &[("value", "t")], 403, 403),
        ("/connections/gh1/projects", &[("projects", "acme")], 403, 403),
        ("/connections/gh1/remove", &[("x", "y")], 403, 403),
        ("/add", &add, 422, 403),
        ("/ingress", &ingress, 303, 403),
        ("/install-webhook", &install, 403, 403),
        ("/webhooks/acme/secret", &[("value", "t")], 403, 403),
        ("/webhooks/acme/repair", &[("x", "y")], 200, 404),
        ("/remove", &repository, 409, 403),
        ("/webhooks/acme/remove", &[("keep_at_forge", "on")], 303, 404),
    ] {
        let path = format!("{base}{path}");
        assert_eq!(reader.post(&path, form).await.status, 403, "{path} as reader");
        assert_eq!(other.post(&path, form).await.status, theirs, "{path} as admin of another project");
        let answer = own.post(&path, form).await;
        // The local forge refuses or accepts the repair; either way the admin may send it.
        assert!(answer.status == ours || (ours == 200 && answer.status != 403), "{path}: {}", answer.body);
    }
    for path in
        ["/connect", "/connect-app", "/new-app", "/connections/gh1", "/webhooks/acme", "/test", "/add", "/remove"]
    {
        let path = format!("{base}{path}{QUERY}");
        assert_eq!(reader.get(&path).await.status, 403, "{path}");
    }
    let gh1 = world.story.api.integration(&IntegrationId::new("gh1").unwrap()).await;
    assert!(gh1.is_ok());
}
