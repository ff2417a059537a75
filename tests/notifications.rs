//! Tests notifications as their user sees them: by command, API and page, at a real receiver on 127.0.0.1.

use crate::pages::Browser;
use crate::prelude::*;
use crate::story::wait_until;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use pullyard_domain::text::id::SecretName;
use pullyard_protocol::secret::RotateSecret;
use pullyard_testkit::{Received, Receiver};

const PAGE: &str = "/setup/notifications?project=acme";

/// Jobs wait for runners, of which there are none, until a user cancels them.
async fn notified_story() -> (Story, Receiver) {
    let story = Story::start_with(Setup::default()).await;
    story.update_settings(|settings| settings.compute = Compute::Runners).await;
    (story, Receiver::start().await.unwrap())
}

async fn cancel_new_job(story: &Story) -> JobId {
    let request = json!({ "project": "acme", "prompt": "Do it." });
    let (status, _, decision) = story
        .request(Method::POST, "/v1/jobs", Some(story.local.admin_token()), request.to_string().into_bytes())
        .await;
    assert_eq!(status, 201, "{decision}");
    let job: JobId = serde_json::from_value(decision["job"].clone()).unwrap();
    story.api.cancel_job(&job, &CancelJob::default()).await.unwrap();
    job
}

async fn next_message(receiver: &Receiver) -> Received {
    wait_until("a message arrives", async || receiver.take().pop().ok_or("none".to_owned())).await
}

async fn wait_for_state(story: &Story, state: &str) -> Value {
    wait_until("the notice has its state", async || {
        let notice = body(story, "/v1/notices?project=acme").await["notices"][0].clone();
        if notice["to"]["ci"]["state"] == state { Ok(notice) } else { Err(notice.to_string()) }
    })
    .await
}

fn json_of(message: &Received) -> Value {
    serde_json::from_slice(&message.body).unwrap()
}

/// As a receiver verifies it.
fn is_signed_by(story: &Story, secret: &str, message: &Received) -> bool {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let (id, at) = (message.header("webhook-id"), message.header("webhook-timestamp"));
    let mut code = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    [id.as_bytes(), b".", at.as_bytes(), b".", &message.body].iter().for_each(|part| code.update(part));
    let signature = format!("v1,{}", STANDARD.encode(code.finalize().into_bytes()));
    let age = (story.clock.now().millis() / 1_000).abs_diff(at.parse().unwrap());
    age < 60 && message.header("webhook-signature").split(' ').any(|one| one == signature)
}

#[tokio::test(flavor = "multi_thread")]
async fn end_of_a_job_reaches_a_webhook_added_by_command() {
    let (story, receiver) = notified_story().await;
    let user = User::of(&story);
    assert!(user.run(&["notifications"]).await.err.contains("No endpoint yet."));
    let added = user.run(&["notifications", "add", "ci", "--webhook", receiver.url()]).await;
    assert!(
        added.err.contains("not shown again") && added.err.contains("`pullyard notifications test ci`"),
        "{added:?}"
    );
    let secret = added.assert_success().trim().to_owned();
    assert!(secret.starts_with("whsec_"), "{secret}");
    let tested = user.ok(&["notifications", "test", "ci"]).await;
    assert!(tested.starts_with("Delivered in ") && tested.ends_with(" s: it answered 200 OK\n"), "{tested}");
    let message = next_message(&receiver).await;
    assert!(is_signed_by(&story, &secret, &message) && json_of(&message)["type"] == "test", "{message:?}");

    let job = cancel_new_job(&story).await;
    let message = next_message(&receiver).await;
    assert!(is_signed_by(&story, &secret, &message), "{message:?}");
    let sent = json_of(&message);
    assert_eq!((&sent["type"], &sent["data"]["job"]), (&json!("job.cancelled"), &json!(job)));
    assert_eq!(sent["data"]["url"], format!("{}/jobs/{job}", story.local.api_url()));
    assert!(!message.body.windows(6).any(|part| part == b"Do it."), "no prompt: {sent}");
    let notice = wait_for_state(&story, "sent").await;
    assert_eq!(notice["id"], message.header("webhook-id"));
    let log = user.ok(&["notifications", "log"]).await;
    assert!(log.contains("job.cancelled\tci\tsent: it answered 200 OK"), "{log}");
    let listed = user.ok(&["notifications", "list"]).await;
    assert!(listed.starts_with("ci\twebhook\tActive\t20") && listed.contains("\tall but job.completed"), "{listed}");
    assert_eq!(user.json(&["notifications", "list"]).await, body(&story, "/v1/projects/acme/notifications").await);

    // A changed endpoint keeps its secret, which nothing shows again.
    let changed =
        user.run(&["notifications", "add", "ci", "--webhook", receiver.url(), "--event", "job.completed"]).await;
    assert!(!changed.assert_success().contains("whsec_"));
    cancel_new_job(&story).await;
    assert!(user.ok(&["notifications", "list"]).await.contains("\tjob.completed"));
    let refused = ["secrets", "delete", "notify.acme.ci", "--yes"];
    user.run(&refused).await.assert_exit(3, "the endpoint ci of acme uses the secret notify.acme.ci");
    user.run(&["notifications", "delete", "ci"]).await.assert_exit(2, "--yes");
    let deleted = user.run(&["notifications", "delete", "ci", "--yes"]).await;
    assert!(deleted.err.contains("its secrets remain: pullyard/user/notify.acme.ci"), "{deleted:?}");
    user.run(&["notifications", "test", "ci"]).await.assert_exit(5, "there is no endpoint ci");
    story.wait_for_empty_queues().await;
    assert_eq!(receiver.take().len(), 0, "the other job was not its event");
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_message_is_repeated_then_sent_again_by_a_user() {
    let (story, receiver) = notified_story().await;
    let user = User::of(&story);
    let secret = user.ok(&["notifications", "add", "ci", "--webhook", receiver.url()]).await.trim().to_owned();
    receiver.answer(StatusCode::BAD_GATEWAY, &[]);
    user.run(&["notifications", "test", "ci"]).await.assert_exit(1, "it answered 502 Bad Gateway");
    next_message(&receiver).await;
    cancel_new_job(&story).await;
    let first = next_message(&receiver).await;
    let log = wait_until("the failure is recorded", async || {
        let log = user.ok(&["notifications", "log"]).await;
        if log.contains("; failures: 1") { Ok(log) } else { Err(log) }
    })
    .await;
    assert!(log.contains("it answered 502 Bad Gateway"), "{log}");
    // The secret is rotated in between: both values sign.
    let new = format!("whsec_{}", STANDARD.encode([7; 32]));
    let rotate = RotateSecret { value: new.clone(), overlap_secs: 3_600 };
    story.api.rotate_secret(&SecretName::new("notify.acme.ci").unwrap(), &rotate).await.unwrap();
    story.advance_and_sweep(Duration::from_secs(6)).await;
    let second = next_message(&receiver).await;
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    assert!(is_signed_by(&story, &secret, &second), "{second:?}");
    receiver.answer(StatusCode::GONE, &[]);
    story.advance_and_sweep(Duration::from_secs(331)).await;
    next_message(&receiver).await;
    let notice = wait_for_state(&story, "dead").await;
    let failed = user.ok(&["notifications", "log", "--failed"]).await;
    assert!(failed.contains("dead: it answered 410 Gone; failures: 3"), "{failed}");
    assert!(user.ok(&["notifications", "list"]).await.contains("Disabled"));
    receiver.answer(StatusCode::OK, &[]);
    user.ok(&["notifications", "enable", "ci"]).await;
    let id = notice["id"].as_str().unwrap();
    assert!(user.run(&["notifications", "redeliver", id]).await.err.contains("is sent again"));
    let third = next_message(&receiver).await;
    assert_eq!(third.header("webhook-id"), id);
    assert!(is_signed_by(&story, &new, &third), "{third:?}");
    wait_for_state(&story, "sent").await;
    user.run(&["notifications", "redeliver", id]).await.assert_exit(2, "it reached all of its endpoints");
}

#[tokio::test(flavor = "multi_thread")]
async fn faulty_endpoints_are_refused_with_their_field() {
    let (story, _) = notified_story().await;
    let user = User::of(&story);
    let add = ["notifications", "add", "x"];
    for (arguments, text) in [
        (&[][..], "--webhook"),
        (&["--slack", "--webhook", "https://hooks.slack.com/services/x"], "cannot be used with"),
        (&["--slack"], "--url-secret"),
        (&["--webhook", "https://a.example", "--url-secret", "pullyard/user/u"], "cannot be used with"),
        (&["--webhook", "https://a.example", "--event", "job.exploded"], "job.failed"),
        (&["--webhook", "https://10.0.0.1/x"], "url: the address is in a private, local or reserved network"),
        (&["--webhook", "http://hooks.acme.example/x"], "url: the address cannot be used: it must begin with https://"),
        (&["--slack", "--url-secret", "elsewhere/u"], "url_secret: use a secret that was set through Pullyard"),
    ] {
        user.run(&[&add[..], arguments].concat()).await.assert_exit(2, text);
    }
    let token = story.local.admin_token();
    let put = async |body: Value| {
        let path = "/v1/projects/acme/notifications/x";
        let (status, _, problem) = story.request(Method::PUT, path, Some(token), body.to_string().into_bytes()).await;
        (status, problem["pointer"].clone())
    };
    let url = "https://hooks.acme.example/x";
    assert_eq!(put(json!({ "kind": "fax", "url": url })).await, (400, json!("/kind")));
    assert_eq!(put(json!({ "kind": "webhook", "urls": url })).await, (400, json!("/urls")));
    assert_eq!(put(json!({ "kind": "webhook" })).await, (422, json!("/notifications")));
    assert_eq!(put(json!({ "kind": "webhook", "url": url, "events": ["test"] })).await, (422, json!("/notifications")));
    assert_eq!(body(&story, "/v1/projects/acme/notifications").await, json!({ "endpoints": [] }));
    user.run(&["notifications", "redeliver", &format!("msg_{}", "a".repeat(26))]).await.assert_exit(5, "no notice");
}

#[tokio::test(flavor = "multi_thread")]
async fn slack_endpoint_is_added_tested_and_deleted_on_its_page() {
    let (story, receiver) = notified_story().await;
    let browser = Browser::admin(&story).await;
    browser.get(PAGE).await.assert_contains(&["No endpoint yet", "href=\"/setup/notifications?project=acme\""]);
    let post = async |fields: &[(&str, &str)]| {
        browser.post("/setup/notifications", &[&[("project", "acme"), ("id", "ops")], fields].concat()).await
    };
    let save = |url| [("action", "save"), ("kind", "slack"), ("url", url), ("event", "job.cancelled")];
    let wrong = post(&save("https://10.0.0.1/x")).await;
    assert_eq!(wrong.status, 422);
    wrong.assert_contains(&["private, local or reserved network"]);
    let saved = post(&save(receiver.url())).await;
    saved.assert_contains(&["ops is stored.", "job.cancelled", "Slack", "never"]);
    assert!(!saved.contains(receiver.url()), "the URL is a secret: {}", saved.body);
    post(&[("action", "test")]).await.assert_contains(&["ops accepted the test: it answered 200 OK."]);
    let text = json_of(&next_message(&receiver).await)["text"].to_string();
    assert!(text.contains("*A test* acme: This is a test of Pullyard."), "{text}");

    receiver.answer(StatusCode::NOT_FOUND, &[]);
    let job = cancel_new_job(&story).await;
    next_message(&receiver).await;
    wait_until("the page shows the lost notice", async || {
        let page = browser.get(PAGE).await;
        if page.contains("Not delivered") && page.contains("Disabled") { Ok(()) } else { Err(page.body) }
    })
    .await;
    browser.get(PAGE).await.assert_contains(&["admin cancelled the job.", "ops: dead: it answered 404"]);
    receiver.answer(StatusCode::OK, &[]);
    assert_eq!(post(&[("action", "enable")]).await.redirect(), (303, PAGE));
    let notice = body(&story, "/v1/notices?project=acme&failed=true").await["notices"][0]["id"].clone();
    let again = [("project", "acme"), ("id", notice.as_str().unwrap()), ("action", "redeliver")];
    assert_eq!(browser.post("/setup/notifications", &again).await.redirect(), (303, PAGE));
    let text = json_of(&next_message(&receiver).await)["text"].to_string();
    assert!(text.contains(&format!("*A job was cancelled* {}: admin cancelled the job.", job.short())), "{text}");
    assert_eq!(post(&[("action", "delete")]).await.status, 303);
    browser.get(PAGE).await.assert_contains(&["No endpoint yet"]);
    assert_eq!(post(&[("action", "delete")]).await.status, 404);

    // A webhook's signing secret is shown once.
    let webhook = [("action", "save"), ("kind", "webhook"), ("url", receiver.url()), ("event", "job.failed")];
    assert!(post(&webhook).await.contains("whsec_"));
    assert!(!browser.get(PAGE).await.contains("whsec_"));
    let reader = Browser::with(&story, &[Scope::Read, Scope::Jobs], None).await;
    let page = reader.get(PAGE).await;
    assert!(page.status == 200 && !page.contains("Save endpoint") && !page.contains("Send test"), "{}", page.body);
    let fields = [("project", "acme"), ("id", "x"), ("action", "test")];
    assert_eq!(reader.post("/setup/notifications", &fields).await.status, 403);
    let other = Browser::with(&story, &[Scope::Admin], Some(&["other"])).await;
    assert_eq!(other.get(PAGE).await.status, 403);
    assert_eq!(other.post("/setup/notifications", &fields).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn schedule_that_failures_pause_is_reported_once() {
    let (story, receiver) = notified_story().await;
    let user = User::of(&story);
    user.ok(&["notifications", "add", "ci", "--webhook", receiver.url()]).await;
    user.ok(&["schedules", "put", "often", "--analyse", "--every", "5m"]).await;
    user.ok(&["schedules", "resume", "often"]).await;
    user.ok(&["hold", "--reason", "a freeze."]).await;
    for _ in 0..5 {
        story.wait_for_empty_queues().await;
        assert_eq!(receiver.take().len(), 0);
        story.advance_and_sweep(Duration::from_secs(300)).await;
    }
    wait_for_state(&story, "sent").await;
    story.wait_for_empty_queues().await;
    let mut messages = receiver.take();
    assert_eq!(messages.len(), 1);
    let sent = json_of(&messages.remove(0));
    let sentence = "The schedule often was paused after 5 failures in a row.";
    assert_eq!((&sent["type"], &sent["data"]["sentence"]), (&json!("schedule.paused"), &json!(sentence)));
    assert_eq!(sent["data"]["url"], format!("{}/setup/schedules?project=acme", story.local.api_url()));
    assert_eq!(sent["data"]["schedule"], "often");
    assert!(user.ok(&["notifications", "log"]).await.contains("schedule.paused\tci\tsent"));
    // Its advice.
    let help = sent["data"]["help"].as_str().unwrap();
    for command in ["show", "resume"] {
        assert!(help.contains(&format!("`pullyard schedules {command} often --project acme`")), "{help}");
    }
    let shown = user.ok(&["schedules", "show", "often"]).await;
    assert!(shown.contains("result\tPaused after 5 failures in a row: "), "{shown}");
    user.ok(&["schedules", "resume", "often"]).await;
    story.advance_and_sweep(Duration::from_secs(300)).await;
    story.wait_for_empty_queues().await;
    assert_eq!(receiver.take().len(), 0, "one failure after it is no news");
}

/// On AWS the pages function cancels the job, so its role must allow the notice.
#[tokio::test(flavor = "multi_thread")]
async fn job_cancelled_on_its_page_is_reported() {
    let (story, receiver) = notified_story().await;
    User::of(&story).ok(&["notifications", "add", "ci", "--webhook", receiver.url()]).await;
    let request = json!({ "project": "acme", "prompt": "Do it." });
    let token = Some(story.local.admin_token());
    let (.., decision) = story.request(Method::POST, "/v1/jobs", token, request.to_string().into_bytes()).await;
    let browser = Browser::admin(&story).await;
    let path = format!("/jobs/{}/cancel", decision["job"].as_str().unwrap());
    assert_eq!(browser.post(&path, &[]).await.status, 303);
    assert_eq!(json_of(&next_message(&receiver).await)["type"], "job.cancelled");
}
