//! Tests the pages from a ticket to its pull request: forms, live events, usage, hostile text.

use super::{Answer, Browser};
use crate::prelude::*;

pub(super) const HOSTILE: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'`{{7*7}}</pre></template>";

pub(super) fn assert_harmless(answer: &Answer) {
    for markup in ["<script>", "<img", "onerror=alert(2)>", "<style", " style=", "javascript:", "</template>"] {
        assert!(!answer.contains(markup), "{markup} in {}", answer.body);
    }
    // Only templates write attributes, and they use no handlers.
    let handlers = ["onclick", "onload", "onsubmit", "onfocus", "onerror"];
    for tag in answer.body.split('<').filter_map(|part| part.split('>').next()) {
        // Remove quoted values.
        let names: String = tag.split('"').step_by(2).collect();
        assert!(handlers.iter().all(|handler| !names.contains(&format!(" {handler}="))), "{tag}");
    }
}

/// The agent of an attempt, driven by the test.
pub(super) struct Agent {
    pub(super) client: AttemptClient,
    next: u64,
}

impl Agent {
    pub(super) async fn claim(story: &Story, job: &JobId) -> Self {
        Self { client: story.claim(job, "c1").await.unwrap().1, next: 1 }
    }

    /// Claims the job and reports its phases.
    pub(super) async fn start_executing(story: &Story, job: &JobId) -> Self {
        let agent = Self::claim(story, job).await;
        enter_phases(&agent.client, Phase::Executing).await;
        agent
    }

    pub(super) async fn send_events(&mut self, events: &[Value]) {
        let numbered = events.iter().zip(self.next..).map(|(event, seq)| {
            let mut event = event.clone();
            event["seq"] = json!(seq);
            event["age_ms"] = json!(0);
            event
        });
        let batch = json!({ "first_seq": self.next, "events": numbered.collect::<Vec<_>>() });
        let batch: EventsRequest = serde_json::from_value(batch).unwrap();
        self.client.events(&batch).await.unwrap();
        self.next += events.len() as u64;
    }

    pub(super) async fn finish(&self, finish: Value) {
        self.client.finish(&serde_json::from_value(finish).unwrap()).await.unwrap();
    }
}

pub(super) fn text(text: &str) -> Value {
    json!({ "kind": "text", "text": text })
}

fn usage_event(turns: u32, micros: u64) -> Value {
    json!({ "kind": "usage", "data": { "so_far": true, "turns": turns, "cost_usd_micros": micros } })
}

fn row_ids(answer: &Answer) -> Vec<String> {
    answer.body.split(" id=\"e").skip(1).map(|row| row.split('"').next().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_alone_lead_from_a_ticket_to_its_pull_request() {
    let story = Story::begin_story().await;
    let browser = Browser::admin(&story).await;
    assert!(browser.get("/board").await.contains("No tickets yet"));
    assert!(browser.get("/jobs").await.contains("No jobs yet"));
    let blank = browser.get("/tickets/new?project=acme").await;
    assert!(blank.contains(r#"value="ACME-1""#), "no key is suggested: {}", blank.body);
    assert!(blank.contains(r#"name="form_key" value="page-"#), "the form has no idempotency key: {}", blank.body);

    let form = [("project", "acme"), ("key", "ACME-1"), ("title", "Greet in French"), ("description", "a\r\nb")];
    let response = browser.post("/tickets", &form).await;
    assert_eq!(response.status, 303);
    let board = browser.get(response.redirect().1).await;
    assert!(board.contains("Greet in French") && board.contains(">starts jobs<"), "{}", board.body);
    assert!(!board.contains("No job was started"), "creating a ticket is shown as a refusal: {}", board.body);
    assert_eq!(story.ticket("ACME-1").await.description, "a\nb");

    let again = browser.post("/tickets", &form).await;
    assert_eq!(again.status, 409);
    assert!(again.contains("already exists"), "{}", again.body);
    assert!(again.contains("Greet in French"), "the form's text is lost");

    let pressed = [("project", "acme"), ("key", "ACME-2"), ("title", "Pressed twice"), ("form_key", "page-1")];
    let once = browser.post("/tickets", &pressed).await;
    let twice = browser.post("/tickets", &pressed).await;
    assert_eq!((once.redirect(), once.redirect().0), (twice.redirect(), 303), "{}", twice.body);

    let moved = browser.post("/tickets/ACME-1/move?project=acme", &[("status", TRIGGER)]).await;
    let (_, to) = moved.redirect();
    assert!(to.starts_with("/board?project=acme&decision=dlv_"), "{to}");
    let board = browser.get(to).await;
    assert!(board.contains("ACME-1 moved to AI Processing. Created job "), "{}", board.body);
    let job = story.jobs().await.remove(0).id;
    assert!(board.contains(&format!("/jobs/{job}")));
    assert!(browser.get(to).await.contains("Created job"), "the decision is missing after a reload");

    story.wait_for_end(&job).await;
    story.wait_for_settled_ticket("ACME-1").await;
    let page = browser.get(&format!("/jobs/{job}")).await;
    assert_eq!(browser.get(&format!("/jobs/{}", job.short())).await.redirect(), (303, format!("/jobs/{job}").as_str()));
    assert_eq!(browser.get("/jobs/ZZZZ").await.status, 404);
    page.assert_contains(&[
        "Completed",
        "pull request #1",
        "Greet in French",
        "Executing",
        "Pushing",
        "class=\"diff\"",
    ]);
    assert!(browser.get(&format!("/jobs/{job}/log")).await.contains("data-next=\"0\""));
    let ticket = browser.get("/tickets/ACME-1?project=acme").await;
    ticket.assert_contains(&[REVIEW, "#1<span", &format!("/jobs/{job}")]);
    assert!(browser.get("/jobs").await.contains(&job.short()));
    // The page offers the empty column "Done".
    assert!(ticket.contains(r#"name="status" value="Done""#), "{}", ticket.body);
    assert_eq!(browser.post("/tickets/ACME-1/move?project=acme", &[("status", "Done")]).await.status, 303);
    assert!(
        browser
            .get("/board")
            .await
            .contains(r#"<section class="column" aria-label="Done" data-status="Done" data-accepts>"#)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_move_is_explained_on_the_page_after_it() {
    let (story, browser) = Story::with_browser().await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let back = "/tickets/APP-1?project=acme";
    let out = browser.post("/tickets/APP-1/move?project=acme", &[("status", "Blocked"), ("back", back)]).await;
    assert!(out.redirect().1.starts_with("/tickets/APP-1?project=acme&decision="), "{}", out.redirect().1);
    let page = browser.get(out.redirect().1).await;
    page.assert_contains(&[
        "APP-1 moved to Blocked. Its job continues; cancel it on the job’s page.",
        &format!(r#"<a class="button tiny" href="/jobs/{job}">Open the job</a>"#),
    ]);
    assert!(!page.contains("No job was started"), "{}", page.body);
    let moved = browser.post("/tickets/APP-1/move?project=acme", &[("status", TRIGGER)]).await;
    let board = browser.get(moved.redirect().1).await;
    let expected = "APP-1 moved to AI Processing. No job was started: APP-1 already has an active job";
    assert!(board.contains(expected) && board.contains(&format!("/jobs/{job}")), "{}", board.body);
    for (status, code) in [("", 422), (&"x".repeat(65), 422), ("a\nb", 422)] {
        let refused = browser.post("/tickets/APP-1/move?project=acme", &[("status", status)]).await;
        assert_eq!(refused.status, code, "{status:?}");
    }
    assert_eq!(browser.post("/tickets/NO-1/move?project=acme", &[("status", "x")]).await.status, 404);
}

fn idempotency_key(form: &str) -> &str {
    form.split("name=\"form_key\" value=\"").nth(1).unwrap().split('"').next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_move_is_one_move_and_another_button_is_another() {
    let (story, browser) = Story::with_browser().await;
    for key in ["ACME-1", "ACME-2"] {
        let form = [("project", "acme"), ("key", key), ("title", "Greet in French")];
        assert_eq!(browser.post("/tickets", &form).await.status, 303);
    }
    let board = browser.get("/board?project=acme").await;
    assert!(board.contains(r#"href="/tickets/ACME-1?project=acme&amp;move=1""#), "{}", board.body);
    let put = async |key: &str, status: &str, form_key: &str| {
        let form = [("status", status), ("form_key", form_key)];
        browser.post(&format!("/tickets/{key}/move?project=acme"), &form).await
    };
    let status = async |key: &str| story.ticket(key).await.status;
    let one = put("ACME-1", "Blocked", idempotency_key(&board.body)).await;
    assert_eq!((one.status, status("ACME-1").await.as_str()), (303, "Blocked"), "{}", one.body);
    // The ticket moves elsewhere before the repeated request arrives.
    let back = browser.post("/tickets/ACME-1/move?project=acme", &[("status", TODO)]).await;
    assert_eq!((back.status, status("ACME-1").await.as_str()), (303, TODO), "{}", back.body);
    assert_eq!(put("ACME-1", "Blocked", idempotency_key(&board.body)).await.redirect(), one.redirect());
    assert_eq!(status("ACME-1").await, TODO);
    for (key, to) in [("ACME-1", "Done"), ("ACME-2", "Blocked")] {
        assert_eq!(put(key, to, idempotency_key(&board.body)).await.status, 303);
        assert_eq!(status(key).await, to);
    }
    let page = browser.get("/tickets/ACME-1?project=acme").await;
    let form = page.body.split(r#"action="/tickets/ACME-1/move?project=acme">"#).nth(1).unwrap();
    let form = form.split("</form>").next().unwrap();
    let one = put("ACME-1", "Blocked", idempotency_key(form)).await;
    put("ACME-1", TODO, idempotency_key(form)).await;
    assert_eq!(put("ACME-1", "Blocked", idempotency_key(form)).await.redirect(), one.redirect());
    assert_eq!(status("ACME-1").await, TODO);
}

#[tokio::test(flavor = "multi_thread")]
async fn menu_of_a_card_changes_the_order_of_its_column() {
    let (story, browser) = Story::with_browser().await;
    for (number, status) in [(1, TODO), (2, TODO), (3, "Blocked")] {
        story.send_ticket_event(&format!("e{number}"), &format!("ACME-{number}"), status, number).await;
    }
    let order = async || {
        let board = browser.get("/board?project=acme").await.body;
        board.split("data-key=\"").skip(1).map(|card| card.split('"').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(order().await, ["ACME-1", "ACME-2", "ACME-3"]);
    let menu = async |key: &str, from: &str| {
        let from = [("sec-fetch-site", "same-origin"), ("referer", from)];
        browser.ask(Method::GET, &format!("/tickets/{key}?project=acme&move=1"), &from, &[]).await
    };
    let last = menu("ACME-2", "http://x.example/board?project=acme&q=acme").await;
    assert!(last.contains(r#"<button name="before" value="ACME-1">Move up</button>"#), "{}", last.body);
    assert!(!last.contains("Move down") && !last.contains("Move to top"), "{}", last.body);
    assert!(last.contains(r#"name="back" value="/board?project=acme&#38;q=acme""#), "{}", last.body);
    let first = menu("ACME-1", "http://x.example/jobs").await;
    assert!(first.contains(r#"<button name="before" value="">Move down</button>"#), "{}", first.body);
    assert!(first.contains(r#"name="back" value="/tickets/ACME-1?project=acme""#), "{}", first.body);
    let put =
        async |key: &str, form: &[(&str, &str)]| browser.post(&format!("/tickets/{key}/move?project=acme"), form).await;
    let moved = put("ACME-2", &[("before", "ACME-1"), ("back", "/board?project=acme&q=acme")]).await;
    assert_eq!(moved.redirect(), (303, "/board?project=acme&q=acme"));
    assert_eq!(order().await, ["ACME-2", "ACME-1", "ACME-3"]);
    put("ACME-2", &[("before", "")]).await;
    put("ACME-3", &[("status", TODO), ("before", "ACME-1")]).await;
    assert_eq!(order().await, ["ACME-3", "ACME-1", "ACME-2"]);
    let refused = put("ACME-1", &[("before", "ACME-9")]).await;
    assert_eq!(refused.status, 409);
    assert!(refused.contains("ACME-9 is not in Todo."), "{}", refused.body);
    assert!(story.jobs().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_job_form_creates_one_job() {
    let (story, browser) = Story::with_browser().await;
    let page = browser.get("/jobs/new?project=acme").await;
    let form = [("project", "acme"), ("prompt", "Do it."), ("form_key", idempotency_key(&page.body))];
    let (one, two) = (browser.post("/jobs", &form).await, browser.post("/jobs", &form).await);
    assert_eq!(one.status, 303);
    assert_eq!(one.redirect(), two.redirect());
    assert_eq!(story.jobs().await.len(), 1);

    let empty = browser.post("/jobs", &[("project", "acme"), ("prompt", " "), ("base", "main")]).await;
    assert_eq!(empty.status, 422);
    assert!(empty.contains("give a ticket or a prompt") && empty.contains(r#"value="main""#), "{}", empty.body);
    let job = story.create_job("e1", "APP-1", 1).await;
    let refused = browser.post("/jobs", &[("project", "acme"), ("ticket", "APP-1")]).await;
    assert_eq!(refused.status, 409);
    refused.assert_contains(&["already has an active job", &format!("/jobs/{job}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn fragment_returns_new_events_once_and_says_when_to_stop() {
    let (story, browser) = Story::with_browser().await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let page = browser.get(&format!("/jobs/{job}")).await;
    page.assert_contains(&["No output yet", r#"data-cursor="1.0" data-next="250""#]);

    let mut agent = Agent::start_executing(&story, &job).await;
    agent.send_events(&[text("one"), text("two")]).await;
    let fragment = browser.fragment(&format!("/jobs/{job}?after=1.0")).await;
    assert_eq!(
        (fragment.status, fragment.header("pullyard-cursor"), fragment.header("pullyard-next")),
        (200, "1.2", "250")
    );
    assert_eq!(row_ids(&fragment), ["1.1", "1.2"]);
    assert!(fragment.contains("Executing") && !fragment.contains("<html"), "{}", fragment.body);
    let nothing = browser.fragment(&format!("/jobs/{job}?after=1.2")).await;
    let summary = (nothing.header("pullyard-cursor"), nothing.header("pullyard-next"), row_ids(&nothing).len());
    assert_eq!(summary, ("1.2", "250", 0));
    agent.send_events(&[text("three")]).await;
    let fragment = browser.fragment(&format!("/jobs/{job}?after=1.2")).await;
    assert_eq!(row_ids(&fragment), ["1.3"]);
    assert_eq!(row_ids(&browser.get(&format!("/jobs/{job}")).await), ["1.1", "1.2", "1.3"], "the page lacks events");

    agent.finish(json!({ "finish_id": "f1", "outcome": "cancelled" })).await;
    let last = browser.fragment(&format!("/jobs/{job}?after={}", fragment.header("pullyard-cursor"))).await;
    assert_eq!(last.header("pullyard-next"), "0");
    assert!(last.contains("Cancelled"), "{}", last.body);
    assert!(fragment.contains("Send a message to the agent") && !last.contains("Send a message"), "{}", last.body);
    assert_eq!(browser.fragment(&format!("/jobs/{job}?after=x")).await.status, 400);
    assert_eq!(Browser::new(&story).fragment(&format!("/jobs/{job}?after=1.0")).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn running_job_shows_its_agent_and_isolation() {
    let (story, browser) = Story::with_browser().await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let mut agent = Agent::start_executing(&story, &job).await;
    let begins = |text: &str| json!({ "kind": "phase", "name": "executing", "text": text });
    agent.send_events(&[begins("claude_code 2.1.197, isolation: none <b>")]).await;
    browser
        .get(&format!("/jobs/{job}"))
        .await
        .assert_contains(&["Executing: claude_code 2.1.197, isolation: none &#60;b&#62;<time"]);
    // Older runners send no text with the phase.
    agent.send_events(&[json!({ "kind": "phase", "name": "executing" })]).await;
    let fragment = browser.fragment(&format!("/jobs/{job}?after=1.1")).await;
    assert_eq!(row_ids(&fragment), ["1.2"]);
    assert!(!fragment.contains("Executing:"), "{}", fragment.body);
}

async fn job_with_usage(story: &Story) -> (JobId, Agent) {
    let job = story.create_job("e1", "APP-1", 1).await;
    let mut agent = Agent::start_executing(story, &job).await;
    // Separate batches, because a reader may stop after each of them.
    for batch in [vec![usage_event(1, 40_000), text("one")], vec![usage_event(3, 120_000)], vec![text("two")]] {
        agent.send_events(&batch).await;
    }
    (job, agent)
}

#[tokio::test(flavor = "multi_thread")]
async fn intermediate_usage_is_shown_above_the_log() {
    let (story, browser) = Story::with_browser().await;
    let (job, mut agent) = job_with_usage(&story).await;
    let address = format!("/jobs/{job}");
    let page = browser.get(&address).await;
    assert!(page.contains(">so far $0.12, 3 turns</span>") && !page.contains("$0.04"), "{}", page.body);
    assert_eq!(row_ids(&page), ["1.2", "1.4"]);
    // A fragment contains the usage only if it is new.
    browser
        .fragment(&format!("{address}?after=1.2"))
        .await
        .assert_contains(&["<span id=\"used\">so far $0.12, 3 turns</span>"]);
    let fragment = browser.fragment(&format!("{address}?after=1.3")).await;
    assert!(fragment.contains("two") && !fragment.contains("id=\"used\""), "{}", fragment.body);
    // The final usage of a start is a row; the totals are stored with the attempt.
    agent.send_events(&[json!({ "kind": "usage", "data": { "cost_usd_micros": 130_000, "output_tokens": 7 } })]).await;
    let work = json!({ "agent": "claude_code", "isolation": "none", "starts": 1, "turns": 4, "output_tokens": 7 });
    let took = json!({ "finish_id": "f1", "outcome": "cancelled", "spent_usd_micros": 130_000, "work": work });
    agent.finish(took).await;
    let page = browser.get(&address).await;
    assert!(page.contains("Used $0.13, 7 tokens written") && !page.contains("so far"), "{}", page.body);
    assert_eq!(row_ids(&page), ["1.2", "1.4", "1.5"]);
    // The open page removes the intermediate usage as well.
    let fragment = browser.fragment(&format!("{address}?after=1.2")).await;
    assert!(fragment.contains("<span id=\"used\"></span>") && !fragment.contains("so far"), "{}", fragment.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn tool_call_and_its_result_share_a_row() {
    let (story, browser) = Story::with_browser().await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let mut agent = Agent::claim(&story, &job).await;
    agent
        .send_events(&[
            json!({ "kind": "command", "text": "npm test", "call": "c1" }),
            json!({ "kind": "tool_call", "name": "read", "path": "a.js", "call": "c2" }),
            json!({ "kind": "tool_result", "call": "c2", "text": "answer two" }),
            json!({ "kind": "tool_result", "call": "c1", "text": "\u{1b}[31mFAIL\u{1b}[0m one" }),
            json!({ "kind": "log", "text": "first" }),
            json!({ "kind": "text", "name": "stdout", "text": "second **one**" }),
            json!({ "kind": "tool_result", "call": "c9", "name": "lost", "text": "of nobody" }),
        ])
        .await;
    let page = browser.get(&format!("/jobs/{job}")).await;
    assert_eq!(row_ids(&page), ["1.1", "1.2", "1.6", "1.7"]);
    let part = |id: &str| {
        page.body.split(&format!("id=\"{id}\"")).nth(1).unwrap().split("class=\"ev").next().unwrap().to_owned()
    };
    assert!(part("e1.1").contains("npm test") && part("e1.1").contains(">FAIL one<"), "{}", part("e1.1"));
    assert!(part("e1.2").contains("Read <code>a.js</code>") && part("e1.2").contains("answer two"));
    assert!(part("e1.6").contains("first\nsecond **one**"));
    assert!(part("e1.7").contains("Result of") && part("e1.7").contains("of nobody"));
}

#[tokio::test(flavor = "multi_thread")]
async fn long_output_is_split_into_rows_that_fit() {
    let (story, browser) = Story::with_browser().await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let mut agent = Agent::claim(&story, &job).await;
    let text = |number: u32| format!("number {number:02} {}", "x".repeat(1_000));
    let lines: Vec<_> = (1..=60).map(|number| json!({ "kind": "log", "text": text(number) })).collect();
    agent.send_events(&lines).await;
    let page = browser.get(&format!("/jobs/{job}/log?at=1.1")).await;
    page.assert_contains(&["number 01", "number 20", "number 40", "log?at=1.41#e1.60"]);
    let page = browser.get(&format!("/jobs/{job}/log?at=1.41")).await;
    page.assert_contains(&["number 41", "number 50", "number 60"]);
    // Every line has the name `stdout`.
    agent.send_events(&[json!({ "kind": "text", "name": "stdout", "text": "**done**" })]).await;
    let found = async |text| browser.get(&format!("/jobs/{job}/log?q={text}")).await.contains("#e1.61");
    assert!(found("done").await && !found("stdout").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_job_page_names_the_cause() {
    let (story, browser) = Story::with_browser().await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let path = format!("/jobs/{job}");
    let agent = Agent::claim(&story, &job).await;
    assert!(!browser.get(&path).await.contains("Cause:"));
    agent.finish(json!({ "finish_id": "f1", "outcome": "failed", "failure": { "code": "context_too_long" } })).await;
    for page in [browser.get(&path).await, browser.fragment(&format!("{path}?after=1.0")).await] {
        assert!(page.contains("Cause: the agent.") && !page.contains("pullyard jobs logs"), "{}", page.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_is_escaped_on_every_page() {
    let story = Story::start_with(Setup { task: Task::Waiting, ..Setup::default() }).await;
    let browser = Browser::admin(&story).await;
    let mut event = story.event("e1", "K<b>", TRIGGER, 1);
    let long = "w".repeat(200);
    event.ticket.title = format!("{HOSTILE} \u{202e}{long}");
    event.ticket.description = format!("{HOSTILE}\n\u{202e}turned\u{0007}");
    event.ticket.labels = [HOSTILE.to_owned()].into();
    event.ticket.url = Some("https://x.example/\"><script>alert(1)</script>".into());
    let job = story.api.send_ticket_event(&event).await.unwrap().job.unwrap();
    story.send_ticket_event("e2", "APP-2", "<script>alert(3)</script>", 1).await;
    let mut agent = Agent::claim(&story, &job).await;
    let kinds = [
        "text",
        "tool_call",
        "tool_result",
        "file_edit",
        "command",
        "question",
        "steer",
        "result",
        "log",
        "usage",
        "raw",
    ];
    let hostile_event = |kind: &&str| json!({ "kind": kind, "text": HOSTILE, "name": HOSTILE, "path": HOSTILE, "call": HOSTILE, "data": { HOSTILE: HOSTILE } });
    agent.send_events(&kinds.iter().map(hostile_event).collect::<Vec<_>>()).await;
    let key = super::percent("K<b>");
    let job = format!("/jobs/{job}");
    let ticket = format!("/tickets/{key}?project=acme");
    for path in
        ["/board", "/jobs", &job, &ticket, &format!("/jobs/new?project=acme&ticket={}", super::percent(HOSTILE))]
    {
        let page = browser.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.contains("&#60;script&#62;"), "{path}: {}", page.body);
        assert!(!page.contains("\u{202e}") && !page.contains("\u{7}"), "{path}");
        assert_harmless(&page);
    }
    assert_harmless(&browser.fragment(&format!("{job}?after=1.0")).await);
    assert!(browser.get(&ticket).await.contains("⟨U+202E⟩turned␇"));
    agent
        .finish(
            json!({ "finish_id": "f1", "outcome": "failed", "failure": { "code": "unknown", "last_words": HOSTILE } }),
        )
        .await;
    for path in ["/jobs", &job, "/board"] {
        assert_harmless(&browser.get(path).await);
    }
    assert_harmless(
        &browser.get(&format!("/sign-in?code={}&to=/{}", super::percent(HOSTILE), super::percent(HOSTILE))).await,
    );
    assert_harmless(&browser.get(&format!("/{}", super::percent(HOSTILE))).await);
    assert_harmless(&browser.get(&format!("/tickets/{}?project=acme", super::percent(HOSTILE))).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn ticket_pages_work_with_unusual_keys() {
    let (story, browser) = Story::with_browser().await;
    for (at, key) in ["new", "a/b", "ä ö?&#", "%41", "APP-1"].into_iter().enumerate() {
        story.send_ticket_event(&format!("e{at}"), key, TODO, 1).await;
    }
    let board = browser.get("/board").await.body;
    let links = board.split("class=\"card-title title\" href=\"").skip(1).map(|part| part.split('"').next().unwrap());
    let links = links.map(|link| link.replace("&#38;", "&")).collect::<Vec<_>>();
    assert_eq!(links.len(), 5);
    for link in links {
        let page = browser.get(&link).await;
        assert!(page.status == 200 && page.contains("Jobs</h2>"), "{link}");
        let moved = browser.post(&link.replacen('?', "/move?", 1), &[("status", "Done")]).await;
        assert_eq!(moved.status, 303, "{link}");
    }
}
