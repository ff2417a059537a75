//! Tests the pages of runners: the list, commands, deletion, and adding a runner.

use super::Browser;
use crate::prelude::*;
use crate::runners::updatable_request;
use pullyard_protocol::client::RunnerClient;

const ADD: &str =
    "/setup/runners/new?name=kite-3&slots=2&labels=gpu%2C%20it%27s%20%24%28x%29&isolation=external&serves=";

async fn start() -> Story {
    let settings = Settings { compute: Compute::Runners, ..Setup::default().settings };
    Story::start_with(Setup { task: Task::Waiting, settings, ..Setup::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn runner_page_drains_resumes_and_deletes_the_runner() {
    let story = start().await;
    let browser = Browser::admin(&story).await;
    assert!(browser.get("/setup/runners").await.contains("No runner yet"));
    let token = story.runner_token("t", None, None).await;
    let kite = story.register_runner(&token, "kite", "i1").await;
    let job = story.create_job("e1", "APP-1", 1).await;
    assert_eq!(kite.claim_job_id("c1").await, Some(job.clone()));
    let list = browser.get("/setup/runners").await;
    for part in ["1 of 1 online, 1 of 2 slots busy", "1/2 slots busy", &format!("/jobs/{job}"), ">command<"] {
        assert!(list.contains(part), "{part}: {}", list.body);
    }
    let address = format!("/setup/runners/{}", kite.id);
    let page = browser.get(&address).await;
    assert!(page.contains("none: agents have all rights of this user"), "{}", page.body);
    for page in ["log", "attempts"] {
        browser
            .get(&format!("/jobs/{job}/{page}"))
            .await
            .assert_contains(&[&format!("<a class=\"link\" href=\"{address}\">kite</a>")]);
    }
    browser.get(&address).await.assert_contains(&["· attempt 1 ·", "Its job is requeued or fails"]);

    let drained = browser.post(&format!("{address}/command"), &[("command", "drain")]).await;
    assert_eq!(drained.redirect(), (303, address.as_str()));
    browser.get(&address).await.assert_contains(&["Draining", "the runner has not confirmed it"]);
    assert_eq!(browser.post(&format!("{address}/command"), &[("command", "resume")]).await.status, 303);
    assert_eq!(story.api.runner("kite").await.unwrap().status, RunnerStatus::Online);
    assert_eq!(browser.post(&format!("{address}/command"), &[("command", "stop")]).await.status, 400);

    browser.get(&address).await.assert_contains(&["Restart kite", "if its check passes; its running job continues."]);
    assert!(!browser.get(&address).await.contains("Update kite"), "its owner allows no updates");
    let restarted = browser.post(&format!("{address}/command"), &[("command", "restart")]).await;
    assert_eq!(restarted.redirect(), (303, address.as_str()));
    browser.get(&address).await.assert_contains(&["Restart, requested by", "not confirmed by the runner yet"]);

    assert!(browser.get(&format!("{address}?delete=1")).await.contains(r#"<details class="menu" open>"#));
    assert_eq!(browser.post(&format!("{address}/delete"), &[("x", "y")]).await.redirect(), (303, "/setup/runners"));
    assert!(browser.get("/setup/runners").await.contains("Its jobs are taken away first."));
    story.advance_and_sweep(Duration::from_secs(1)).await;
    assert_eq!(browser.get(&address).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn older_runner_is_updated_on_its_page() {
    let story = start().await;
    let (browser, token) = (Browser::admin(&story).await, story.runner_token("t", None, None).await);
    let release = env!("CARGO_PKG_VERSION");
    let older = updatable_request("kite", "0.0.9");
    let kite = story.try_register(&token, &older).await.unwrap();
    let address = format!("/setup/runners/{}", kite.id);
    let available = format!("{release} available");
    browser.get("/setup/runners").await.assert_contains(&["0.0.9", &available]);
    browser.get(&address).await.assert_contains(&[&available, "Update to 0.1.0", "It runs no job, so it updates now."]);
    for (version, status) in [("new", 422), (release, 303)] {
        let form = [("command", "update"), ("version", version)];
        assert_eq!(browser.post(&format!("{address}/command"), &form).await.status, status, "{version}");
    }
    let sentence = format!("Update to {release}, requested by");
    browser.get(&address).await.assert_contains(&[&sentence, "not confirmed by the runner yet"]);
    browser.get("/setup/runners").await.assert_contains(&[&sentence]);
}

#[tokio::test(flavor = "multi_thread")]
async fn offline_runner_shows_what_happens_to_its_job() {
    let story = start().await;
    let browser = Browser::admin(&story).await;
    let token = story.runner_token("t", None, None).await;
    let kite = story.register_runner(&token, "kite", "i1").await;
    let job = story.create_job("e1", "APP-1", 1).await;
    assert_eq!(kite.claim_job_id("c1").await, Some(job.clone()));
    kite.report_active(std::slice::from_ref(&job)).await;
    story.clock.advance(Duration::from_secs(91));
    let list = browser.get("/setup/runners").await;
    assert!(list.contains("0 of 1 online") && list.contains("Offline"), "{}", list.body);
    assert!(list.contains("Its job is requeued or fails"), "{}", list.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn runner_pages_hide_other_projects_and_need_admin() {
    let story = start().await;
    let ours = story.register_runner(&story.runner_token("a", Some(&["acme"]), None).await, "kite", "i1").await;
    let all = story.register_runner(&story.runner_token("b", None, None).await, "gull", "i1").await;
    let theirs = story.register_runner(&story.runner_token("c", Some(&["other"]), None).await, "swan", "i1").await;
    let reader = Browser::with(&story, &[Scope::Read], Some(&["acme"])).await;
    let list = reader.get("/setup/runners").await;
    assert!(list.contains("kite") && list.contains("gull") && !list.contains("swan"), "{}", list.body);
    assert!(!list.contains("Add runner") && !list.contains("Actions for"), "{}", list.body);
    assert_eq!(reader.get(&format!("/setup/runners/{}", theirs.id)).await.status, 404);
    let admin = Browser::with(&story, &[Scope::Admin], Some(&["acme"])).await;
    for (browser, runner, status) in
        [(&reader, &ours.id, 403), (&admin, &theirs.id, 404), (&admin, &all.id, 403), (&admin, &ours.id, 303)]
    {
        let address = format!("/setup/runners/{runner}");
        let drained = browser.post(&format!("{address}/command"), &[("command", "drain")]).await;
        assert_eq!(drained.status, status, "{runner}: {}", drained.body);
        let deleted = browser.post(&format!("{address}/delete"), &[("x", "y")]).await;
        assert_eq!(deleted.status, status, "{runner}: {}", deleted.body);
    }
    assert_eq!(admin.get(ADD).await.status, 403);
    assert_eq!(admin.post(ADD, &[("form_key", "one")]).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn add_runner_shows_the_installer_of_a_release() {
    let (story, mut browser) = Story::with_browser().await;
    let ctx = story.function_context("dispatch", "effects.fifo").await;
    let releases = "https://releases.example/pullyard";
    browser.url = crate::story::serve(pullyard_function_pages::setup_router(ctx, None, releases)).await;
    let page = browser.post(ADD, &[("form_key", "one")]).await;
    let install = "curl -fsSL https://releases.example/pullyard/install.sh | sh -s -- --runner &amp;&amp; ";
    let setup = "pullyard-runner setup --yes --api-url";
    page.assert_contains(&["Installs the program", setup, "--name kite-3 --slots 2 --isolation external --labels"]);
    assert!(page.body.replace("&#38;", "&amp;").contains(install), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn add_runner_shows_the_command_once_and_then_the_runner() {
    let story = start().await;
    let browser = Browser::admin(&story).await;
    browser.get("/setup/runners/new").await.assert_contains(&["Continue", "max=\"12\" value=\"3\""]);
    for (query, field) in [("name=a%20b", "name"), ("name=a&slots=13", "slots"), ("name=a&slots=1", "isolation")] {
        let refused = browser.get(&format!("/setup/runners/new?{query}")).await;
        assert!(refused.status == 422 && refused.contains(&format!("The field {field}:")), "{query}: {}", refused.body);
    }
    let ready = browser.get(ADD).await;
    assert!(ready.contains("Create token and show the command") && !ready.contains("rnt_"), "{}", ready.body);
    let page = browser.post(ADD, &[("form_key", "one")]).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.contains("Not connected yet") && page.header("cache-control") == "no-store", "{}", page.body);
    // A shell must not run a label.
    assert!(page.contains("--labels &#39;gpu,it&#39;\\&#39;&#39;s $(x)&#39;"), "{}", page.body);
    let token = page.body.split("PULLYARD_RUNNER_TOKEN=").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    assert!(token.starts_with("rnt_") && page.contains(&format!("--api-url {}", story.local.api_url())));
    let again = browser.post(ADD, &[("form_key", "one")]).await;
    assert!(again.status == 409 && again.contains("shown only once"), "{}", again.body);
    assert!(again.contains("“Revoke” on the Tokens page") && !again.contains("rnt_"), "{}", again.body);
    assert!(!browser.get(ADD).await.contains("rnt_"));

    let client = RunnerClient::new(story.local.api_url(), &token).unwrap();
    assert!(client.register(&crate::runners::register_request("gull", "i1")).await.is_err(), "another name");
    let kite = story.register_runner(&token, "kite-3", "i1").await;
    kite.report_active(&[]).await;
    assert!(browser.get(ADD).await.contains("kite-3 is online and takes jobs."));
    let refusal = browser.post(ADD, &[("form_key", "two")]).await;
    assert!(refusal.status == 409 && refusal.contains("belongs to a runner of another token"), "{}", refusal.body);
}
