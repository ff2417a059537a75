//! Tests reviews on the pages: the ledger, a ticket's pull request, the reviews of a revise job.

use super::Browser;
use super::job_pages::{HOSTILE, assert_harmless};
use crate::prelude::*;
use crate::pulls::{link_new_ticket, review_delivery, with_pull_request};
use pullyard_domain::kinds::prompt::Context;
use pullyard_domain::kinds::prompt::review::{FrozenComment, FrozenReview, ReviewContext, ReviewedPullRequest};
use pullyard_domain::project::Repository;
use pullyard_domain::review::report::review_output::Side;

#[tokio::test(flavor = "multi_thread")]
async fn decisions_page_lists_and_filters_decisions() {
    let (story, browser) = Story::with_browser().await;
    let empty = browser.get("/decisions?project=acme").await;
    assert!(empty.status == 200 && empty.contains("No decisions yet") && empty.contains("a review"), "{}", empty.body);

    let held = Reason::HeldWithOthers { pr: format!("{REPOSITORY}#7") };
    let entry = review_delivery(&story, "r1", story.clock.now().minus(Duration::from_secs(3_600)), held.clone(), "bo");
    assert_eq!(story.store().await.record_delivery(&entry).await.unwrap(), Write::Applied);
    let job = story.create_job("e1", "APP-1", 1).await;
    let page = browser.get("/decisions?project=acme").await;
    page.assert_contains(&[
        "Accepted",
        "Queued",
        "bo reviewed",
        "acme/app#7",
        "Webhook",
        "Ticket tool",
        &held.sentence(),
    ]);
    assert!(page.contains(&format!("/jobs/{job}")) && page.contains("/tickets/APP-1?project=acme"), "{}", page.body);
    let only = browser.get("/decisions?project=acme&verdict=held&ticket=&code=&pull_request=acme%2Fapp%237").await;
    assert!(only.contains(&held.sentence()) && !only.contains(&format!("/jobs/{job}")), "{}", only.body);
    assert!(only.contains(">Clear</a>"), "{}", only.body);
    let (ignored, all) = ("Todo does not start jobs", "/decisions?project=acme&#38;verdict=all");
    assert!(!page.contains("Hidden:"), "{}", page.body);
    story.send_ticket_event("e2", "APP-2", TODO, 1).await;
    let page = browser.get("/decisions?project=acme").await;
    assert!(
        page.contains("Hidden: 1 ignored event.") && page.contains(all) && !page.contains(ignored),
        "{}",
        page.body
    );
    for shown in ["verdict=all", "verdict=ignored", "ticket=APP-2", "code=not_trigger_status"] {
        let page = browser.get(&format!("/decisions?project=acme&{shown}")).await;
        assert!(page.contains(ignored) && !page.contains("Hidden:"), "{shown}: {}", page.body);
    }
    browser.get("/decisions?project=acme&verdict=invalid").await.assert_contains(&["No matching decisions", "30 days"]);
    for bad in ["verdict=good", "code=nope", "pull_request=x", "ticket=%20%0a"] {
        let page = browser.get(&format!("/decisions?project=acme&{bad}")).await;
        if bad.starts_with("ticket") {
            assert_eq!(page.status, 200, "an empty filter is refused");
        } else {
            assert_eq!(page.status, 422, "{bad}");
            assert!(page.contains("role=\"alert\""), "{bad}: {}", page.body);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn decision_page_lists_guards_and_replays() {
    let story = Story::start_with_waiting_tasks().await;
    story.update_settings(|settings| settings.auto_create = false).await;
    story.send_ticket_event("e1", "APP-1", TRIGGER, 1).await;
    let browser = Browser::admin(&story).await;
    let list = browser.get("/decisions?project=acme").await;
    let (_, after) = list.body.split_once("href=\"/decisions/dlv_").unwrap();
    let address = format!("/decisions/dlv_{}", &after[..26]);
    let page = browser.get(&address).await;
    for text in
        ["Automatic jobs are on", "8 of 15 guards", "decided here", "Not evaluated.", "It was not known before."]
    {
        assert!(page.contains(text), "{text}: {}", page.body);
    }
    let replay = format!("/setup{address}/replay");
    let watcher = Browser::with(&story, &[pullyard_store::Scope::Read], None).await;
    assert!(!watcher.get(&address).await.contains("/replay"));
    assert_eq!(watcher.post(&replay, &[]).await.status, 403);

    story.update_settings(|settings| settings.auto_create = true).await;
    let answer = browser.post(&replay, &[]).await;
    assert_eq!(answer.redirect(), (303, format!("{address}?project=acme").as_str()), "{}", answer.body);
    let page = browser.get(&address).await;
    page.assert_contains(&["Accepted", "15 of 15 guards", "has its job"]);
    assert_eq!(browser.get("/decisions/dlv_aaaaaaaaaaaaaaaaaaaaaaaaaa").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn ticket_page_shows_reviews_and_requests_a_revision() {
    let (story, number) = with_pull_request().await;
    story.send_ticket_event("e1", "APP-1", TODO, 1).await;
    let browser = Browser::admin(&story).await;
    assert!(!browser.get("/tickets/APP-1?project=acme").await.contains("Reviews of"));
    link_new_ticket(&story, number, "APP-1").await;
    let page = browser.get("/tickets/APP-1?project=acme").await;
    page.assert_contains(&["Reviews of", "No reviews are waiting. A review that requests changes"]);
    let watcher = Browser::with(&story, &[pullyard_store::Scope::Read], None).await;
    assert!(!watcher.get("/tickets/APP-1?project=acme").await.contains("/pulls/revise"));

    let field = |name: &str| {
        let part = page.body.split(&format!("name=\"{name}\" value=\"")).last().unwrap();
        part.split('"').next().unwrap().to_owned()
    };
    let form: Vec<(&str, String)> = ["project", "ticket"]
        .into_iter()
        .map(|name| (name, field(name)))
        .chain([("message", "Say it\r\nin French.".to_owned()), ("form_key", "once-1".to_owned())])
        .collect();
    let send = |form: &[(&'static str, String)]| form.to_vec();
    let sent = send(&form.iter().map(|(name, value)| (*name, value.clone())).collect::<Vec<_>>());
    let sent: Vec<(&str, &str)> = sent.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let response = browser.post("/pulls/revise", &sent).await;
    assert_eq!(response.status, 303, "{}", response.body);
    let job: JobId = response.redirect().1.strip_prefix("/jobs/").unwrap().parse().unwrap();
    assert_eq!(
        browser.post("/pulls/revise", &sent).await.redirect(),
        (303, response.redirect().1),
        "the second click was another request"
    );
    browser.get(response.redirect().1).await.assert_contains(&[&format!("Revise {REPOSITORY}#{number}")]);
    assert!(browser.get("/jobs?project=acme").await.contains(&format!("Revise #{number}")));

    // A second request waits; the ticket's page shows its decision.
    let mut other = sent.clone();
    other.retain(|(name, _)| *name != "form_key");
    let held = browser.post("/pulls/revise", &other).await;
    assert!(held.redirect().1.starts_with("/tickets/APP-1?project=acme&decision=dlv_"), "{}", held.redirect().1);
    let delivery = held.redirect().1.split("decision=").nth(1).unwrap().parse().unwrap();
    let entry = story.api.delivery(&delivery).await.unwrap();
    assert_eq!(entry.code, "held_for_job");
    browser.get(held.redirect().1).await.assert_contains(&[&entry.sentence, &format!("Job {} works on", job.short())]);

    let long = "x".repeat(4_001);
    let mut long_one = other.clone();
    long_one.retain(|(name, _)| *name != "message");
    long_one.push(("message", &long));
    assert_eq!(browser.post("/pulls/revise", &long_one).await.status, 422);

    story.advance_and_sweep(Duration::from_secs(60)).await;
    crate::story::wait_until("the job's page shows the request with its author", async || {
        let page = browser.get(&format!("/jobs/{job}/log")).await;
        if page.contains("Message from <strong>admin</strong>") { Ok(()) } else { Err(page.body) }
    })
    .await;

    let repository = story.api.repositories(&story.project).await.unwrap().repositories.remove(0).id;
    let pk = format!("PR#gh1#{repository}#{number}");
    let item = json!({ "pk": { "S": pk }, "sk": { "S": "REVIEW#broken" } });
    story.call_dynamodb("PutItem", json!({ "TableName": "pullyard", "Item": item })).await;
    let page = browser.get(&format!("/jobs/{job}/log")).await;
    assert!(page.status == 200 && page.contains("in French.") && !page.contains("Message from"), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn ticket_shows_the_state_of_its_pull_request_everywhere() {
    let (story, number) = with_pull_request().await;
    link_new_ticket(&story, number, "APP-1").await;
    story.advance_and_sweep(Duration::from_secs(60)).await;
    story.wait_for_settled_ticket("APP-1").await;
    let (browser, user, store) = (Browser::admin(&story).await, User::of(&story), story.store().await);
    let ticket = store.load_ticket(&story.project, &TicketKey::new("APP-1").unwrap()).await.unwrap().unwrap();
    let id = ticket.shown.pull_request.unwrap().id;
    for state in [PullRequestState::Open, PullRequestState::Closed, PullRequestState::Merged] {
        let linked = store.load_pull_request(&id).await.unwrap().unwrap();
        let changed = PullRequest { state, ..linked };
        assert_eq!(store.update_pull_request(&changed).await.unwrap(), Write::Applied);
        let state_name = state.display_name();
        let link = format!("#{number}<span class=\"unseen\"> {state_name}</span></a>");
        for path in ["/board?project=acme", "/tickets/APP-1?project=acme"] {
            let page = browser.get(path).await;
            assert!(page.contains(&link), "{link} at {path}: {}", page.body);
        }
        assert_eq!(story.ticket("APP-1").await.pull_request_state, Some(state));
        let listed = story.api.tickets(&story.project, None).await.unwrap().tickets;
        assert_eq!(listed[0].pull_request_state, Some(state));
        let output = user.ok(&["tickets", "show", "APP-1"]).await;
        assert!(output.contains(&format!("pull_request_state\t{state_name}\n")), "{output}");
    }
    story.send_ticket_event("e2", "APP-2", TODO, 1).await;
    assert_eq!(story.ticket("APP-2").await.pull_request_state, None);
}

/// The context of a review with two comments and hostile text in every field.
fn hostile_context(number: u64) -> Context {
    let comment = |id, line, original, edited| FrozenComment {
        id,
        thread: id,
        path: format!("src/{HOSTILE}.rs"),
        line,
        original,
        start_line: line.map(|line: u64| line - 2),
        side: Side::Right,
        author: "bo".into(),
        text: format!("Inline {id} {HOSTILE}\u{202e}"),
        edited,
        url: "javascript:alert(1)".into(),
    };
    let pull_request = ReviewedPullRequest {
        number,
        url: "https://forge.test/acme/app/pull/1".into(),
        title: "t".into(),
        branch: "feature".into(),
        base: "main".into(),
        head: "0".repeat(40),
    };
    let review = FrozenReview {
        id: 12,
        author: format!("bo {HOSTILE}"),
        submitted_at: pullyard_domain::text::time::Timestamp::from_millis(1_795_154_400_000),
        url: "https://forge.test/acme/app/pull/1#r12".into(),
        summary: format!("Please rename it. {HOSTILE}"),
        said: Vec::new(),
        comments: vec![comment(1, Some(14), true, false), comment(2, None, false, true)],
    };
    Context {
        kind: JobKind::Revise,
        ticket: None,
        comments: Vec::new(),
        instructions: Some(format!("In French. {HOSTILE}")),
        reviews: None,
        analysis: None,
        base: "main".into(),
        review: Some(ReviewContext { pull_request, reviews: vec![review], cut: None }),
        commands: None,
        egress: Vec::new(),
        author: None,
        labels: Default::default(),
        priority: None,
        step: None,
        repository: Repository {
            project: pullyard_domain::text::id::ProjectId::new("acme").unwrap(),
            integration: pullyard_domain::text::id::IntegrationId::new("gh1").unwrap(),
            id: 1,
            name: RepositoryName::new(REPOSITORY).unwrap(),
            default_branch: "main".into(),
            clone_url: "https://forge.test/acme/app.git".into(),
            agent: Agent { capability: "command".into(), command: vec!["./agent.sh".into()], model: None },
            workflows: false,
            commands: CommandOverrides::default(),
            running_jobs: None,
            labels: Default::default(),
        },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revise_job_page_shows_its_reviews_as_harmless_text() {
    let (story, number) = with_pull_request().await;
    link_new_ticket(&story, number, "APP-1").await;
    let job = story
        .api
        .revise_pull_request(&crate::pulls::revise_request(&story, number, None), None)
        .await
        .unwrap()
        .job
        .unwrap();
    story.wait_for_empty_queues().await;
    let browser = Browser::admin(&story).await;
    let early = browser.get(&format!("/jobs/{job}")).await;
    assert!(early.contains("<div id=\"request\"></div>"), "reviews are shown before admission: {}", early.body);
    let live = format!("/jobs/{job}?after=1.0");
    assert!(!browser.fragment(&live).await.contains("id=\"request\""));
    let store = story.store().await;
    let hash = store.create_context(&job, &hostile_context(number)).await.unwrap();
    // Overwrite the context of a concurrent admission: the page shows the context that the job names.
    crate::story::wait_until("the job has its context", async || {
        let mut stored = store.load_job(&job).await.unwrap().unwrap();
        stored.context.clone_from(&hash);
        match store.update_job(&stored).await.unwrap() {
            Write::Applied => Ok(()),
            Write::Stale => Err("stale".to_owned()),
        }
    })
    .await;
    let page = browser.get(&format!("/jobs/{job}")).await;
    for text in [
        "<h2>Request</h2>",
        "1 review, 2 inline comments",
        "Please rename it.",
        "In French.",
        "Inline 1",
        ":12\u{2013}14",
        "line of the original commit",
        "edited after it was submitted",
        "⟨U+202E⟩",
    ] {
        assert!(page.contains(text), "{text}: {}", page.body);
    }
    assert_eq!(page.body.matches("edited after it was submitted").count(), 1);
    assert_eq!(page.body.matches("line of the original commit").count(), 1);
    assert_harmless(&page);
    // The open page receives the same text with its next request.
    let fragment = browser.fragment(&live).await;
    assert_harmless(&fragment);
    let part = |body: &str| {
        body.split("<div id=\"request\">").nth(1).and_then(|rest| rest.split("</details>").next()).map(str::to_owned)
    };
    assert!(part(&page.body).is_some() && part(&fragment.body) == part(&page.body), "{}", fragment.body);
    // A page that has already shown an event has the reviews.
    assert!(!browser.fragment(&format!("/jobs/{job}?after=1.1")).await.contains("id=\"request\""));
}
