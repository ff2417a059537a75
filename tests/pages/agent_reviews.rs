//! Tests reviews by agents on the pages: the list of pull requests, its form, a pull request's page, the tab Output.

use super::Browser;
use super::job_pages::{Agent, HOSTILE, assert_harmless};
use crate::prelude::*;
use crate::pulls::{link_new_ticket, open_pull};

const HEAD: &str = "9f3c2e19f3c2e19f3c2e19f3c2e19f3c2e19f3c2";

async fn with_pull() -> (Story, Browser, u64, String) {
    let (story, browser) = Story::with_browser().await;
    let number = open_pull(&story, "feature").await;
    let repository = story.local.forge().repository(REPOSITORY).await.unwrap().id;
    (story, browser, number, format!("/pulls/gh1/{repository}/{number}"))
}

/// The address of the job that this form starts.
async fn request(browser: &Browser, name: &str, more: &[(&str, &str)]) -> String {
    let form = [&[("project", "acme"), ("pull_request", name)], more].concat();
    let answer = browser.post("/pulls/review", &form).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    answer.redirect().1.to_owned()
}

fn id_of(address: &str) -> JobId {
    address.strip_prefix("/jobs/").unwrap().parse().unwrap()
}

/// Posts a review with a finding of low and one of high severity, of hostile text.
async fn finish(story: &Story, browser: &Browser, address: &str, head: &str) {
    let agent = Agent::start_executing(story, &id_of(address)).await;
    agent.client.status(&StatusRequest { status: Phase::Syncing, inputs: None, waits_for: None }).await.unwrap();
    let page = browser.get(address).await;
    page.assert_contains(&["</svg>Posting</span>", "<b>Posting</b>", "The runner is posting the review"]);
    assert!(!page.contains("Pushing") && !page.contains("pushing"), "{}", page.body);
    let finding = |severity: &str, line: u64| {
        json!({
            "path": format!("src/{HOSTILE}.rs"), "line": line, "severity": severity, "category": "bug",
            "title": format!("The {severity} one {HOSTILE}"), "body": format!("**Because** {HOSTILE}"),
            "suggestion": format!("let a = 1; {HOSTILE}"),
        })
    };
    let findings = [finding("low", 7), finding("high", 41)];
    let review = json!({ "summary": format!("Two *problems*. {HOSTILE}"), "findings": findings });
    let earlier = json!([{
        "url": "https://forge.test/r", "path": format!("src/{HOSTILE}.rs"), "line": 3, "severity": "medium",
        "verdict": "open", "text": format!("Still. {HOSTILE}"),
    }]);
    let places = ["in_text", "inline"];
    let output = json!({
        "kind": "review", "head": head, "base": "main", "review": review, "places": places, "earlier": earlier,
    });
    agent
        .finish(json!({ "finish_id": "f1", "outcome": "completed", "output": output, "spent_usd_micros": 1_120_000 }))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resolve_is_requested_and_has_output_and_changes() {
    let (story, browser, number, page) = with_pull().await;
    let job = request(&browser, &format!("#{number}"), &[("resolve", "1"), ("message", "Add tests.")]).await;
    assert_eq!(story.api.job(&id_of(&job)).await.unwrap().kind, JobKind::Resolve);
    browser.get(&page).await.assert_contains(&["reviews it now"]);
    let log = browser.get(&format!("{job}/log")).await;
    log.assert_contains(&[&format!("href=\"{job}/output\""), &format!("href=\"{job}/changes\""), &page]);
}

#[tokio::test(flavor = "multi_thread")]
async fn requested_review_is_shown_on_every_page() {
    let (story, browser, number, page) = with_pull().await;
    let label = format!("{REPOSITORY}#{number}");
    let empty = browser.get("/pulls?project=acme").await;
    empty.assert_contains(&["No pull requests yet", "Review one with the form above", "href=\"/pulls?project=acme\""]);
    assert_eq!(browser.get(&page).await.status, 404);

    let job =
        request(&browser, &format!("#{number}"), &[("form_key", "once"), ("message", "Look at\r\nthe loop.")]).await;
    let again = request(&browser, &label, &[("form_key", "once")]).await;
    assert_eq!(again, job, "the second click was another request");
    let running = browser.post("/pulls/review", &[("project", "acme"), ("pull_request", &label)]).await;
    assert_eq!(running.status, 409);
    running.assert_contains(&[&format!("reviews {label}."), &format!("href=\"{job}\">Open job")]);
    let short = id_of(&job).short();
    browser.get("/pulls?project=acme").await.assert_contains(&[
        &format!("<a class=\"title\" href=\"{page}\">{label}</a>"),
        &format!("href=\"{job}\">Job {short} runs</a>"),
        &format!("Job {short} reviews {label}: "),
    ]);
    browser.get("/decisions?project=acme").await.assert_contains(&["admin requested a review of"]);
    let early = browser.get(&page).await;
    early.assert_contains(&[&format!("href=\"{job}\">Job {short} reviews it now"), "<h1>feature</h1>"]);
    assert!(!early.contains("action=\"/pulls/review\""), "{}", early.body);

    finish(&story, &browser, &job, HEAD).await;
    let sentence = "Posted 1 finding inline and 1 in the text";
    let shown = browser.get(&page).await;
    let url = format!("{}/{REPOSITORY}/pull/{number}", story.local.forge().url());
    shown.assert_contains(&[
        &format!("href=\"{job}/output\">{sentence}"),
        "1 job, $1.12",
        &HEAD[..12],
        ">Open</span>",
        &format!("href=\"{url}\""),
        "name=\"full\" value=\"1\">Full review</button>",
        "name=\"resolve\" value=\"1\">Resolve</button>",
    ]);
    browser.get("/pulls?project=acme").await.assert_contains(&[sentence, "1 job, $1.12"]);
    let jobs = browser.get("/jobs?project=acme").await;
    assert!(jobs.contains(&format!("Review #{number}: feature")) && !jobs.contains("Revise #"), "{}", jobs.body);

    browser.get(&format!("{job}/log")).await.assert_contains(&[
        &format!("<a href=\"{page}\" rel=\"noreferrer nofollow\">Review {label}</a>"),
        &format!("<dt>Reviews</dt><dd><a class=\"link\" href=\"{page}\""),
    ]);
    let output = browser.get(&format!("{job}/output")).await;
    assert_harmless(&output);
    output.assert_contains(&[
        sentence,
        "Two <em>problems</em>.",
        "<strong>Because</strong>",
        ">inline</span>",
        ">in the text</span>",
        ".rs:41</code>",
        "<pre tabindex=\"0\" role=\"group\" aria-label=\"Suggestion\">let a = 1;",
        &format!("href=\"{page}\">{label}</a></span>"),
        &format!("Reviewed {}, the whole change.", &HEAD[..10]),
        "<span class=\"pill\">open</span> <span class=\"tag\">medium</span>",
        ".rs:3</code>",
    ]);
    assert!(output.body.find("The high one") < output.body.find("The low one"), "{}", output.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn reviewed_commit_is_reviewed_again_on_request() {
    let (story, browser, number, page) = with_pull().await;
    link_new_ticket(&story, number, "APP-1").await;
    let label = format!("{REPOSITORY}#{number}");
    let first = request(&browser, &label, &[]).await;
    let head = story.call_forge(Method::GET, &format!("/pulls/{number}"), Value::Null).await;
    finish(&story, &browser, &first, head["head"]["sha"].as_str().unwrap()).await;
    let linked = browser.get(&page).await;
    linked.assert_contains(&["/tickets/APP-1?project=acme", "action=\"/pulls/revise\"", ">Revise</button>"]);
    story.advance_and_sweep(Duration::from_secs(60)).await;
    story.wait_for_settled_ticket("APP-1").await;
    let link = format!("href=\"{page}\">Reviews by agents</a>");
    browser.get("/tickets/APP-1?project=acme").await.assert_contains(&[&link]);
    browser.get("/pulls?project=acme").await.assert_contains(&["Last review by an agent: Posted 1", ">APP-1</a>"]);

    let form = [("project", "acme"), ("pull_request", label.as_str()), ("integration", "gh1")];
    let refused = browser.post("/pulls/review", &form).await;
    assert_eq!(refused.status, 409);
    refused.assert_contains(&[
        "was reviewed at its head",
        "name=\"full\" value=\"1\">Review everything again</button>",
        &format!("name=\"pull_request\" value=\"{label}\""),
        &format!("href=\"{first}\">Open job"),
        // A refused form cannot be fetched again.
        "id=\"list\" data-refresh=\"0\"",
    ]);
    let full = request(&browser, &label, &[("full", "1")]).await;
    assert_ne!(full, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_request_names_the_reason_and_keeps_the_text() {
    let (story, browser, number, _) = with_pull().await;
    let closed = open_pull(&story, "closed").await;
    story.call_forge(Method::PATCH, &format!("/pulls/{closed}"), json!({ "state": "closed" })).await;
    let long = "x".repeat(4_001);
    let good = format!("#{number}");
    for (name, message, status, sentence) in [
        ("acme/app/7", "Kept.", 422, "“acme/app/7” is not a pull request.<p class=\"muted\">Write its address"),
        (HOSTILE, "Kept.", 422, "is not a pull request."),
        ("acme/none#7", "Kept.", 422, "acme/none is not connected to the project acme."),
        ("https://github.com/acme/app/pull/7", "Kept.", 422, "acme/app on github.com is not connected"),
        ("acme/app#99", "Kept.", 404, "There is no pull request acme/app#99."),
        (&format!("ACME/app#{closed}"), "Kept.", 409, &format!("acme/app#{closed} is closed.")),
        (&good, &long, 422, "4000 characters"),
    ] {
        let form = [("project", "acme"), ("pull_request", name), ("message", message)];
        let answer = browser.post("/pulls/review", &form).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
        answer.assert_contains(&["role=\"alert\"", sentence, &format!(">{message}</textarea>")]);
        assert!(!answer.contains("Review everything again"), "{}", answer.body);
        assert_harmless(&answer);
    }
    story.update_settings(|settings| settings.default_repository = None).await;
    let answer = browser.post("/pulls/review", &[("project", "acme"), ("pull_request", &good)]).await;
    assert_eq!(answer.status, 422);
    answer.assert_contains(&["has no default repository", "Write OWNER/NAME#7."]);
    assert!(story.jobs().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn watcher_sees_reviews_and_requests_none() {
    let (story, browser, number, page) = with_pull().await;
    let label = format!("{REPOSITORY}#{number}");
    let form = [("project", "acme"), ("pull_request", label.as_str())];
    let watcher = Browser::with(&story, &[Scope::Read], None).await;
    let empty = watcher.get("/pulls?project=acme").await;
    empty.assert_contains(&["Open pull requests appear here"]);
    request(&browser, &label, &[]).await;
    for path in ["/pulls?project=acme", &page] {
        let shown = watcher.get(path).await;
        assert!(shown.status == 200 && shown.contains("Job "), "{}", shown.body);
        assert!(!shown.contains("action=\"/pulls/review\""), "{}", shown.body);
    }
    assert_eq!(watcher.post("/pulls/review", &form).await.status, 403);
    let other = Browser::with(&story, &[Scope::Read, Scope::Jobs], Some(&["other"])).await;
    assert_eq!(other.get(&page).await.status, 404);
    assert_eq!(other.get("/pulls?project=acme").await.status, 403);
    assert_eq!(other.post("/pulls/review", &form).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn review_refused_by_a_limit_offers_a_raise() {
    let (story, browser, number, page) = with_pull().await;
    story.update_settings(|settings| settings.limits.ticket_jobs = Some(1)).await;
    let name = format!("#{number}");
    let job = request(&browser, &name, &[]).await;
    finish(&story, &browser, &job, HEAD).await;
    let again = [("project", "acme"), ("pull_request", name.as_str()), ("full", "1")];
    assert_eq!(browser.post("/pulls/review", &again).await.status, 409);
    let form = format!("action=\"{page}/raise\"");
    browser.get(&page).await.assert_contains(&["The last request was refused.", "1 of 1 job", &form]);
    let raised = browser.post(&format!("{page}/raise"), &[("jobs", "5")]).await;
    assert_eq!(raised.redirect(), (303, page.as_str()));
    request(&browser, &name, &[("full", "1")]).await;
}
