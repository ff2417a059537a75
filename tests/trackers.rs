//! Tests ticket tools as their user sees them: by command, API, page, and from the tool itself.

use crate::cli::body;
use crate::pages::Browser;
use crate::prelude::*;
use axum::routing::post;
use pullyard_outbound::standard_webhooks::{SigningSecret, signed_headers, verify};
use pullyard_testkit::Receiver;
use std::sync::atomic::{AtomicU16, Ordering};

const PAGE: &str = "/setup/tracker?project=acme";

/// A user's own ticket tool, which verifies signatures.
struct Tool {
    url: String,
    secret: Arc<Mutex<Option<SigningSecret>>>,
    tickets: Arc<Mutex<BTreeMap<String, Value>>>,
    /// The status of each answer; 200 to work.
    answer: Arc<AtomicU16>,
}

impl Tool {
    async fn start() -> Self {
        let (secret, answer) = (Arc::<Mutex<Option<SigningSecret>>>::default(), Arc::new(AtomicU16::new(200)));
        let tickets = Arc::<Mutex<BTreeMap<String, Value>>>::default();
        let (known, shown, status) = (secret.clone(), tickets.clone(), answer.clone());
        let receive = async move |headers: HeaderMap, sent: Bytes| {
            let now = Timestamp::from(SystemTime::now()).millis() / 1_000;
            let known = known.lock().unwrap().clone();
            let valid = known.is_none_or(|secret| {
                let headers = headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
                // The clock of a story differs from the machine's.
                !matches!(verify(&[secret], &headers, &sent, now), Err(error) if error.to_string().contains("matches"))
            });
            if !valid {
                return (StatusCode::UNAUTHORIZED, String::new());
            }
            let status = StatusCode::from_u16(status.load(Ordering::Relaxed)).unwrap();
            let message: Value = serde_json::from_slice(&sent).unwrap();
            if !status.is_success() || message["type"] == "test" {
                return (status, String::new());
            }
            let wanted = message["data"].clone();
            let mut tickets = shown.lock().unwrap();
            let key = wanted["ticket"].as_str().unwrap().to_owned();
            // A message without a status may have been the first about the ticket.
            let earlier = tickets.get(&key).map(|ticket| ticket["now"].clone()).filter(|now| !now.is_null());
            let before = earlier.unwrap_or_else(|| wanted["expected_status"].clone());
            let has_moved =
                !wanted["status"].is_null() && before != wanted["expected_status"] && before != wanted["status"];
            let now = if has_moved || wanted["status"].is_null() { before } else { wanted["status"].clone() };
            let mut ticket = wanted;
            ticket["now"] = now.clone();
            tickets.insert(key, ticket);
            let status = if has_moved { StatusCode::CONFLICT } else { StatusCode::OK };
            (status, json!({ "status": now }).to_string())
        };
        let url = format!("{}/hook", serve(Router::new().route("/hook", post(receive))).await);
        Self { url, secret, tickets, answer }
    }

    fn set_answer(&self, status: u16) {
        self.answer.store(status, Ordering::Relaxed);
    }

    fn ticket(&self, key: &str) -> Value {
        self.tickets.lock().unwrap().get(key).cloned().unwrap_or_default()
    }

    fn move_ticket(&self, key: &str, to: &str) {
        self.tickets.lock().unwrap().get_mut(key).unwrap()["now"] = to.into();
    }
}

/// Connects a tool by command and makes it the tool of the project.
async fn connect(story: &Story) -> (Tool, User) {
    let (tool, user) = (Tool::start().await, User::of(story));
    let added = user.json(&["trackers", "add", "own", "--site", &tool.url]).await;
    *tool.secret.lock().unwrap() = Some(added["signing_secret"].as_str().unwrap().parse().unwrap());
    user.ok(&["trackers", "use", "own"]).await;
    (tool, user)
}

#[tokio::test(flavor = "multi_thread")]
async fn own_tool_shows_the_pull_request_of_a_completed_job() {
    let story = Story::begin_story().await;
    let (tool, user) = connect(&story).await;
    let job = story.create_job("e1", "APP-17", 1).await;
    story.wait_for_end(&job).await;
    let ticket = story.wait_for_settled_ticket("APP-17").await;
    assert_eq!((ticket.status.as_str(), ticket.tracker.as_ref().map(|tool| tool.as_str())), (REVIEW, Some("own")));
    let shown = tool.ticket("APP-17");
    assert_eq!(
        (&shown["now"], &shown["expected_status"], &shown["badge"]),
        (&json!(REVIEW), &json!(TRIGGER), &Value::Null)
    );
    assert_eq!(shown["pull_request"]["url"].as_str(), ticket.pull_request.as_deref());
    assert_eq!(shown["job"], job.as_str());
    assert!(user.ok(&["tickets", "show", "APP-17"]).await.contains("ticket_tool\town\n"));
    assert_eq!(user.json(&["trackers", "show", "own"]).await["problem"], Value::Null);
    assert!(user.run(&["tickets", "sync", "APP-17"]).await.err.contains("own shows the state of APP-17."));
    let listed = user.ok(&["trackers"]).await;
    assert!(listed.starts_with("own\tWorks\thttp://127.0.0.1"), "{listed}");
    user.run(&["trackers", "delete", "own", "--yes"]).await.assert_exit(3, "uses the ticket tool own");
    let secret = user.json(&["trackers", "show", "own"]).await["secret"].as_str().unwrap().to_owned();
    let name = secret.rsplit('/').next().unwrap();
    user.run(&["secrets", "delete", name, "--yes"]).await.assert_exit(3, "ticket tool own uses the secret");
    user.ok(&["trackers", "use", "--none"]).await;
    assert!(user.run(&["trackers", "delete", "own", "--yes"]).await.err.contains("Disconnected own"));
    user.run(&["trackers", "show", "own"]).await.assert_exit(5, "there is no ticket tool own");
}

#[tokio::test(flavor = "multi_thread")]
async fn tool_that_is_away_delays_no_job() {
    let story = Story::start_with_waiting_tasks().await;
    let (tool, user) = connect(&story).await;
    tool.set_answer(500);
    let job = story.create_job("e1", "APP-17", 1).await;
    user.ok(&["jobs", "cancel", job.as_str(), "--yes"]).await;
    let note = wait_until("the write fails", async || {
        let ticket = story.ticket("APP-17").await;
        ticket.sync_note.clone().ok_or_else(|| format!("{ticket:?}"))
    })
    .await;
    assert!(note.starts_with("own does not show this since 20"), "{note}");
    assert!(note.ends_with("Z: the tool cannot be reached: status 500."), "{note}");
    assert_eq!(story.ticket("APP-17").await.status, TRIGGER, "the board shows what the tool shows");
    let why = user.ok(&["why", "APP-17"]).await;
    assert!(why.contains(&note), "{why}");
    let browser = Browser::admin(&story).await;
    browser.get("/board?project=acme").await.assert_contains(&["own does not show this since"]);
    browser.get("/tickets/APP-17?project=acme").await.assert_contains(&["In the tool", "own does not show this since"]);
    browser.get(PAGE).await.assert_contains(&["Fails", "status 500", "The tickets of this project are in own"]);

    // A user moves the ticket in the tool, and again into the trigger status.
    story.send_ticket_event("e2", "APP-17", TODO, 2).await;
    let second = story.create_job("e3", "APP-17", 3).await;
    assert_ne!(second, job);
    user.ok(&["jobs", "cancel", second.as_str(), "--yes"]).await;
    tool.set_answer(200);
    user.ok(&["tickets", "sync", "APP-17"]).await;
    story.wait_for_settled_ticket("APP-17").await;
    assert_eq!((&tool.ticket("APP-17")["now"], story.ticket("APP-17").await.sync_note), (&json!(TODO), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn tool_that_refuses_the_credential_rests() {
    let story = Story::start_with_waiting_tasks().await;
    let (tool, user) = connect(&story).await;
    let receiver = Receiver::start().await.unwrap();
    user.ok(&["notifications", "add", "ci", "--webhook", receiver.url()]).await;
    tool.set_answer(401);
    let job = story.create_job("e1", "APP-17", 1).await;
    user.ok(&["jobs", "cancel", job.as_str(), "--yes"]).await;
    wait_until("the tool refuses", async || {
        let shown = user.json(&["trackers", "show", "own"]).await;
        if shown["rest_until"].is_string() { Ok(()) } else { Err(shown.to_string()) }
    })
    .await;
    let refused = user.run(&["trackers", "test", "own"]).await;
    assert!(refused.out.contains("the tool refused the credential (401)"), "{refused:?}");
    let note = story.ticket("APP-17").await.sync_note.unwrap();
    assert!(note.contains("; it is not called before 20"), "{note}");
    wait_until("the project is notified", async || {
        let log = user.ok(&["notifications", "log"]).await;
        if log.contains("tool.refused\tci\tsent") { Ok(()) } else { Err(log) }
    })
    .await;
    tool.set_answer(200);
    story.advance_and_sweep(Duration::from_secs(601)).await;
    story.wait_for_settled_ticket("APP-17").await;
    assert_eq!(tool.ticket("APP-17")["now"], TODO);
    assert!(user.ok(&["trackers", "test", "own"]).await.contains("state\tWorks\n"));
    // The tool worked since the last refusal, which was on another day.
    story.clock.advance(Duration::from_secs(86_400));
    tool.set_answer(403);
    user.ok(&["tickets", "move", "APP-17", REVIEW]).await;
    wait_until("the project is notified again", async || {
        let log = user.ok(&["notifications", "log"]).await;
        if log.matches("tool.refused\tci\tsent").count() == 2 { Ok(()) } else { Err(log) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_reports_of_a_withdrawn_move_start_no_job() {
    let story = Story::start_with_waiting_tasks().await;
    let (tool, user) = connect(&story).await;
    story.send_ticket_event("e1", "APP-17", TODO, 1).await;
    user.ok(&["tickets", "move", "APP-17", REVIEW]).await;
    story.wait_for_settled_ticket("APP-17").await;
    assert_eq!(story.send_ticket_event("e2", "APP-17", REVIEW, 2).await.code, "not_trigger_status");
    tool.set_answer(500);
    user.ok(&["tickets", "move", "APP-17", TRIGGER]).await;
    wait_until("the write fails", async || {
        let note = story.ticket("APP-17").await.sync_note;
        note.clone().filter(|note| note.contains("does not show")).ok_or(format!("{note:?}"))
    })
    .await;
    // The tool has made the move, and its answer was lost.
    tool.move_ticket("APP-17", TRIGGER);
    tool.set_answer(200);
    user.ok(&["tickets", "move", "APP-17", REVIEW]).await;
    story.wait_for_settled_ticket("APP-17").await;
    assert_eq!(tool.ticket("APP-17")["now"], REVIEW);
    assert_eq!(story.send_ticket_event("e3", "APP-17", TRIGGER, 3).await.code, "echo");
    assert_eq!(story.send_ticket_event("e4", "APP-17", REVIEW, 4).await.code, "not_trigger_status");
    assert!(story.jobs().await.is_empty());
    assert_eq!(story.send_ticket_event("e5", "APP-17", TRIGGER, 5).await.code, "accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn board_move_starts_a_job_after_the_tool_confirms_it() {
    let story = Story::start_with_waiting_tasks().await;
    let (tool, user) = connect(&story).await;
    story.send_ticket_event("e1", "APP-17", TODO, 1).await;
    tool.set_answer(500);
    let moved = user.ok(&["tickets", "move", "APP-17", TRIGGER]).await;
    assert!(moved.contains("Moving to AI Processing in own."), "{moved}");
    wait_until("the write fails", async || {
        let note = story.ticket("APP-17").await.sync_note;
        note.clone().filter(|note| note.contains("does not show")).ok_or(format!("{note:?}"))
    })
    .await;
    assert!(story.jobs().await.is_empty());
    tool.set_answer(200);
    user.ok(&["tickets", "sync", "APP-17"]).await;
    let job = wait_until("the move starts a job", async || story.jobs().await.pop().ok_or("none".to_owned())).await;
    assert_eq!(tool.ticket("APP-17")["now"], TRIGGER);
    // The tool reports the move, too.
    let echo = story.send_ticket_event("e2", "APP-17", TRIGGER, 2).await;
    assert_eq!(echo.code, "echo");
    assert_eq!(story.jobs().await.len(), 1);

    // A move in the tool wins over the end of the job, and starts no job by itself.
    tool.move_ticket("APP-17", REVIEW);
    user.ok(&["jobs", "cancel", job.id.as_str(), "--yes"]).await;
    let ticket = story.wait_for_settled_ticket("APP-17").await;
    assert_eq!((ticket.status.as_str(), &tool.ticket("APP-17")["now"]), (REVIEW, &json!(REVIEW)));
    assert_eq!(story.jobs().await.len(), 1);

    // A retry enters the trigger status in the tool.
    let retried = user.json(&["jobs", "retry", job.id.as_str()]).await;
    assert!(retried["job"].is_string(), "{retried}");
    wait_until("the tool shows the retry", async || {
        let now = tool.ticket("APP-17")["now"].clone();
        if now == TRIGGER { Ok(()) } else { Err(now.to_string()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tool_sends_signed_events() {
    let story = Story::start_with_waiting_tasks().await;
    let (tool, user) = connect(&story).await;
    let secret = tool.secret.lock().unwrap().clone().unwrap();
    let event = serde_json::to_vec(&story.event("e1", "APP-17", TRIGGER, 1)).unwrap();
    let now = story.clock.now().millis() / 1_000;
    let send = async |name: &str, secret: &SigningSecret, at: i64, sent: &[u8]| {
        let headers = signed_headers(std::slice::from_ref(secret), "msg_1", at, sent);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        let path = format!("/webhooks/http/{name}");
        let (status, _, answer) = story.request_with_headers(Method::POST, &path, &headers, sent.to_vec()).await;
        (status, answer["code"].as_str().unwrap_or_default().to_owned(), answer)
    };
    let (status, code, answer) = send("own", &secret, now, &event).await;
    assert_eq!((status, code.as_str()), (200, "accepted"), "{answer}");
    assert_eq!(send("own", &secret, now, &event).await.1, "repeat");
    assert_eq!(send("own", &SigningSecret::generate(), now, &event).await.0, 401);
    assert_eq!(send("own", &secret, now - 301, &event).await.0, 401);
    assert_eq!(send("other", &secret, now, &event).await.0, 404);
    for (unreadable, project) in [(&b"{}"[..], "unreadable"), (br#"{"project":"acme"}"#, "acme")] {
        assert_eq!(send("own", &secret, now, unreadable).await.0, 400);
        let entries = body(&story, &format!("/v1/deliveries?project={project}")).await;
        assert_eq!(entries["deliveries"][0]["code"], "body_unreadable", "{project}: {entries}");
    }
    assert_eq!(story.request(Method::POST, "/webhooks/http/own", None, event.clone()).await.0, 401);
    // The previous secret stays valid for a while.
    let next = SigningSecret::generate();
    let name = user.json(&["trackers", "show", "own"]).await["secret"].as_str().unwrap().to_owned();
    let name = name.rsplit('/').next().unwrap();
    user.run_with(&["secrets", "rotate", name], &next.expose()).await.assert_success();
    story.clock.advance(Duration::from_secs(61));
    let now = now + 61;
    assert_eq!(send("own", &secret, now, &event).await.1, "repeat");
    assert_eq!(send("own", &next, now, &event).await.1, "repeat");
    for known in [secret, next.clone()] {
        *tool.secret.lock().unwrap() = Some(known);
        assert!(user.ok(&["trackers", "test", "own"]).await.contains("state\tWorks\n"), "signed with both");
    }
    user.ok(&["trackers", "use", "--none"]).await;
    let (status, _, answer) = send("own", &next, now, &event).await;
    assert_eq!(status, 404, "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("does not use the ticket tool own"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn known_ticket_joins_the_tool_with_its_next_event() {
    let story = Story::start_with_waiting_tasks().await;
    let job = story.create_job("e1", "APP-17", 1).await;
    let (tool, user) = connect(&story).await;
    let edited = story.send_ticket_event("e2", "APP-17", TRIGGER, 2).await;
    assert_eq!(edited.code, "status_unchanged");
    assert_eq!(story.ticket("APP-17").await.tracker.as_ref().map(|tool| tool.as_str()), Some("own"));
    user.ok(&["jobs", "cancel", job.as_str(), "--yes"]).await;
    assert_eq!(story.wait_for_settled_ticket("APP-17").await.status, TODO);
    assert_eq!(tool.ticket("APP-17")["now"], TODO);
}

#[tokio::test(flavor = "multi_thread")]
async fn requested_move_is_decided_when_the_project_leaves_the_tool() {
    let story = Story::start_with_waiting_tasks().await;
    let (tool, user) = connect(&story).await;
    story.send_ticket_event("e1", "APP-17", TODO, 1).await;
    tool.set_answer(500);
    user.ok(&["tickets", "move", "APP-17", REVIEW]).await;
    wait_until("the write fails", async || {
        let note = story.ticket("APP-17").await.sync_note;
        note.clone().filter(|note| note.contains("does not show")).ok_or(format!("{note:?}"))
    })
    .await;
    user.ok(&["trackers", "use", "--none"]).await;
    let ticket = story.wait_for_settled_ticket("APP-17").await;
    assert_eq!((ticket.status.as_str(), ticket.sync_note), (REVIEW, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn ticket_tool_is_connected_used_and_deleted_on_its_page() {
    let story = Story::start_with_waiting_tasks().await;
    let (tool, browser) = (Tool::start().await, Browser::admin(&story).await);
    browser.get(PAGE).await.assert_contains(&[
        "No ticket tool",
        "uses the built-in board",
        "href=\"/setup/tracker?project=acme\"",
    ]);
    let send = async |fields: &[(&str, &str)]| {
        browser.post("/setup/tracker", &[&[("project", "acme"), ("id", "own")], fields].concat()).await
    };
    let wrong = send(&[("url", "http://tickets.acme.example/"), ("action", "add")]).await;
    assert_eq!(wrong.status, 422);
    wrong.assert_contains(&["it must begin with https://", "value=\"http://tickets.acme.example/\""]);
    let added = send(&[("url", &tool.url), ("action", "add")]).await;
    added.assert_contains(&["own connected", "whsec_", "/webhooks/http/own"]);
    let page = browser.get(PAGE).await;
    page.assert_contains(&["Not called yet", &tool.url]);
    assert!(!page.contains("whsec_"), "the secret is shown once");
    assert_eq!(send(&[("action", "test")]).await.redirect(), (303, PAGE));
    browser.get(PAGE).await.assert_contains(&["Works"]);
    assert_eq!(send(&[("action", "use")]).await.status, 303);
    browser.get(PAGE).await.assert_contains(&["The tickets of this project are in own", "Use the built-in board"]);
    assert_eq!(send(&[("action", "delete")]).await.status, 409);
    assert_eq!(send(&[("action", "board")]).await.status, 303);
    send(&[("action", "delete")])
        .await
        .assert_contains(&["Deleted its secret pullyard/user/tracker-own-", "No ticket tool"]);

    let reader = Browser::with(&story, &[Scope::Read], None).await;
    let page = reader.get(PAGE).await;
    assert!(page.status == 200 && !page.contains("Connect tool"), "{}", page.body);
    let fields = [("project", "acme"), ("id", "own"), ("url", tool.url.as_str()), ("action", "add")];
    assert_eq!(reader.post("/setup/tracker", &fields).await.status, 403);
    let of_project = Browser::with(&story, &[Scope::Read, Scope::Admin], Some(&["acme"])).await;
    assert_eq!(of_project.post("/setup/tracker", &fields).await.status, 403, "connections belong to all projects");
}

#[tokio::test(flavor = "multi_thread")]
async fn faulty_tools_are_refused_with_their_field() {
    let story = Story::start_with_waiting_tasks().await;
    let (tool, user) = connect(&story).await;
    user.run(&["trackers", "add", "own", "--site", &tool.url]).await.assert_exit(1, "own already exists");
    for url in ["ftp://tickets.acme.example", "https://10.0.0.1/", "https://ana:pw@tickets.acme.example/"] {
        user.run(&["trackers", "add", "other", "--site", url]).await.assert_exit(2, "url: ");
    }
    let foreign = ["trackers", "add", "other", "--site", &tool.url, "--token-secret", "other/secret"];
    user.run(&foreign).await.assert_exit(2, "secret: use a secret that was set through Pullyard");
    user.run(&["trackers", "use", "other"]).await.assert_exit(5, "there is no ticket tool other");
    user.run(&["trackers", "use", "own", "--todo", TRIGGER]).await.assert_exit(2, "restart forever");
    user.run(&["trackers", "use"]).await.assert_exit(2, "<ID>");
    let chosen = user.json(&["trackers", "use", "own", "--todo", "Backlog", "--merged", "Shipped"]).await;
    assert_eq!(chosen["project"]["settings"]["statuses"]["todo"], "Backlog");
    let columns = chosen["project"]["settings"]["statuses"]["columns"].to_string();
    assert!(columns.contains("Backlog") && columns.contains("Shipped"), "{columns}");
    assert_eq!(body(&story, "/v1/trackers").await["trackers"][0]["id"], "own");
    let check = ["trackers", "check", "http://127.0.0.1:9/"];
    user.run_with(&check, "whsec_short").await.assert_exit(2, "whsec_");
    let unreachable = user.run_with(&check, &SigningSecret::generate().expose()).await;
    unreachable.assert_exit(1, "");
}
