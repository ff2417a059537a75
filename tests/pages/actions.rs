//! Tests the actions on a job's page and on the board.

use super::Browser;
use crate::prelude::*;

#[tokio::test(flavor = "multi_thread")]
async fn job_page_cancels_and_retries_the_job() {
    let (story, job) = Story::with_job().await;
    let browser = Browser::admin(&story).await;
    let address = format!("/jobs/{job}");
    let page = browser.get(&address).await;
    assert!(page.contains("Cancel this job") && !page.contains(">Retry</button>"), "{}", page.body);
    let answer = browser.post(&format!("{address}/cancel"), &[]).await;
    assert_eq!(answer.redirect(), (303, address.as_str()));
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Cancelled);

    let page = browser.get(&address).await;
    assert!(page.contains("Cancelled by") && page.contains(">Retry</button>"), "{}", page.body);
    assert!(!page.contains("Cancel this job"), "{}", page.body);
    let twice = [("form_key", "form-1")];
    let first = browser.post(&format!("{address}/retry"), &twice).await;
    let second = browser.post(&format!("{address}/retry"), &twice).await;
    assert_eq!(first.redirect(), second.redirect(), "the second click created another job");
    assert_eq!(first.status, 303);
    assert_ne!(first.redirect().1, address);
    // Another form is another request, but the ticket has an active job.
    let third = browser.post(&format!("{address}/retry"), &[("form_key", "form-2")]).await;
    assert_eq!(third.status, 409, "{}", third.body);
    assert!(third.contains("already has an active job"), "{}", third.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn job_page_pauses_continues_and_answers_the_job() {
    let (story, job) = Story::with_job().await;
    let browser = Browser::admin(&story).await;
    let reader = Browser::with(&story, &[Scope::Read], None).await;
    let address = format!("/jobs/{job}");
    let status = async || story.api.job(&job).await.unwrap().status;
    // The pause makes the claim of the starting task invalid.
    story.wait_for_task(&job, 1).await;
    assert_eq!(browser.post(&format!("{address}/pause"), &[]).await.redirect(), (303, address.as_str()));
    assert_eq!(status().await, JobStatus::Paused);
    assert!(
        browser.get(&address).await.contains(">Continue</button>")
            && !reader.get(&address).await.contains(">Continue</button>")
    );
    assert_eq!(browser.post(&format!("{address}/continue"), &[]).await.redirect(), (303, address.as_str()));
    assert_eq!(status().await, JobStatus::Ready);
    browser.get(&address).await.assert_contains(&[r#"id="tick" data-secs=""#]);

    story.wait_for_task(&job, 2).await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    enter_phases(&client, Phase::Executing).await;
    let question = yield_request(Some("Which **list** of <b>?"), 0);
    let works = browser.get(&address).await;
    works.assert_contains(&["Send a message to the agent", "at its next step or its next start"]);
    assert!(!reader.get(&address).await.contains("Send a message"));
    assert!(works.contains(r#"id="speak" data-kind="say executing""#), "{}", works.body);
    client.yield_job(&question).await.unwrap();
    // The open page receives the answer form, and the question links to it.
    let live = browser.fragment(&format!("{address}?after=1.0")).await;
    assert!(live.contains(r#"id="speak" data-kind="answer""#) && live.contains("Your answer"), "{}", live.body);
    let link = format!(r##"<a class="button primary" href="{address}#text">Answer</a>"##);
    assert!(live.contains(&link), "{}", live.body);
    let asks = browser.get(&address).await;
    asks.assert_contains(&["Which <strong>list</strong> of &lt;b&gt;?", "Your answer", &link]);
    assert!(!asks.contains("id=\"tick\""), "the time of a suspended job goes on: {}", asks.body);
    let other = reader.get(&address).await;
    assert!(!other.contains("Your answer") && !other.contains(">Answer</a>"), "{}", other.body);
    assert_eq!(browser.post(&format!("{address}/answer"), &[("text", " ")]).await.status, 422);
    let twice = [("text", "The empty one."), ("form_key", "form-1")];
    for _ in 0..2 {
        assert_eq!(browser.post(&format!("{address}/answer"), &twice).await.redirect(), (303, address.as_str()));
    }
    assert_eq!(status().await, JobStatus::Ready);
    story.wait_for_task(&job, 3).await;
    let (assignment, _) = story.claim(&job, "c2").await.unwrap();
    let inputs = assignment.resume.unwrap().inputs;
    assert_eq!(inputs.iter().map(|input| input.text.as_str()).collect::<Vec<_>>(), ["The empty one."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_answer_is_shown_again_with_its_text() {
    let (story, browser) = Story::with_browser().await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let address = format!("/jobs/{job}");
    let long = "é".repeat(10_001);
    let refused = browser.post(&format!("{address}/answer"), &[("text", long.as_str())]).await;
    assert!(refused.status == 422 && refused.contains(&format!("readonly>{long}</textarea>")), "{}", refused.status);
    assert_eq!(browser.post(&format!("{address}/cancel"), &[]).await.status, 303);
    let late = browser.post(&format!("{address}/answer"), &[("text", "Use <b>tabs</b>.")]).await;
    assert_eq!(late.status, 409, "{}", late.body);
    late.assert_contains(&["Your text", "readonly>Use &#60;b&#62;tabs&#60;/b&#62;.</textarea>"]);
    for path in ["/nope", "/tickets/NO-1?project=acme", "/jobs?project=nobody"] {
        let missing = browser.get(path).await;
        assert_eq!(missing.status, 404, "{path}");
        assert!(missing.contains("Check the address") && !missing.contains("Your text"), "{path}: {}", missing.body);
    }
}

#[tokio::test]
async fn job_buttons_are_named_like_their_commands() {
    let pages = [
        include_str!("../../functions/pages/templates/job_actions.html"),
        include_str!("../../functions/pages/templates/job_speak.html"),
    ]
    .concat();
    let user = User::new();
    let mut buttons = 0;
    for button in pages.split("<button").skip(1) {
        let label = button.split_once('>').unwrap().1.split('<').next().unwrap();
        let command = label.split(' ').next().unwrap().to_lowercase();
        user.ok(&["jobs", &command, "--help"]).await;
        buttons += 1;
    }
    assert_eq!(buttons, 6, "expected continue, pause, cancel, retry, answer and send");
}

#[tokio::test(flavor = "multi_thread")]
async fn board_holds_and_releases_a_project() {
    let (story, browser) = Story::with_browser().await;
    let reader = Browser::with(&story, &[Scope::Read, Scope::Jobs], None).await;
    assert!(browser.get("/board").await.contains("Hold acme") && !reader.get("/board").await.contains("Hold acme"));
    let form = [("project", "acme"), ("reason", "a <b>freeze</b>")];
    assert_eq!(reader.post("/hold", &form).await.status, 403);
    assert_eq!(browser.post("/hold", &form).await.redirect(), (303, "/board?project=acme"));
    story.send_ticket_event("e1", "APP-1", TRIGGER, 1).await;
    let page = reader.get("/board").await;
    assert!(page.contains("acme is held by") && page.contains("a &#60;b&#62;freeze&#60;/b&#62;"), "{}", page.body);
    assert!(page.contains("put acme on hold"), "the card does not show why it waits: {}", page.body);
    assert!(!page.contains("Release"), "{}", page.body);
    assert_eq!(browser.post("/release", &[("project", "acme")]).await.redirect(), (303, "/board?project=acme"));
    assert!(!reader.get("/board").await.contains("acme is held by"));
    assert_eq!(browser.post("/hold", &[("project", "acme"), ("reason", " ")]).await.status, 400);
}
