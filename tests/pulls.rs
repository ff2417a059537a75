//! Tests pull requests, revisions, links and the ledger through the public API.

use crate::prelude::*;
use pullyard_domain::review::delivery::{Delivery, ReviewSubject, Source};
use pullyard_protocol::delivery::{DeliveryPage, DeliveryQuery};
use pullyard_protocol::pull_request::{LinkPullRequest, PullRequestQuery, RevisePullRequest};

const HOUR: Duration = Duration::from_secs(3_600);

/// A system with an open pull request of one commit. Hints are lost, so a revise job stays unchanged until a sweep.
pub(crate) async fn with_pull_request() -> (Story, u64) {
    let story = Story::start_with(Setup { task: Task::Waiting, hints: HintDelivery::Drop, ..Setup::default() }).await;
    story.update_settings(|settings| settings.revise_on_review = true).await;
    let number = open_pull(&story, "feature").await;
    (story, number)
}

pub(crate) async fn open_pull(story: &Story, branch: &str) -> u64 {
    let author = ["-c", "user.name=ana", "-c", "user.email=ana@example.test"];
    let commit = [&author[..], &["commit-tree", "main^{tree}", "-p", "main", "-m", branch]].concat();
    let commit = story.git(&commit).await;
    story.git(&["update-ref", &format!("refs/heads/{branch}"), &commit]).await;
    let body = json!({ "title": branch, "head": branch, "base": "main", "body": "" });
    story.call_forge(Method::POST, "/pulls", body).await["number"].as_u64().unwrap()
}

fn repository() -> RepositoryName {
    RepositoryName::new(REPOSITORY).unwrap()
}

pub(crate) async fn link_new_ticket(story: &Story, number: u64, key: &str) {
    story.send_ticket_event(&format!("told-{key}"), key, TODO, 1).await;
    story.api.link_pull_request(&link_request(story, number, key)).await.unwrap();
}

fn link_request(story: &Story, number: u64, key: &str) -> LinkPullRequest {
    let ticket = TicketKey::new(key).unwrap();
    LinkPullRequest { project: story.project.clone(), repository: repository(), number, integration: None, ticket }
}

fn pull_query(story: &Story, number: u64) -> PullRequestQuery {
    PullRequestQuery { project: story.project.clone(), repository: repository(), number, integration: None }
}

pub(crate) fn revise_request(story: &Story, number: u64, message: Option<&str>) -> RevisePullRequest {
    let message = message.map(str::to_owned);
    RevisePullRequest { project: story.project.clone(), repository: repository(), number, integration: None, message }
}

#[tokio::test(flavor = "multi_thread")]
async fn requested_revision_starts_a_job_and_later_requests_wait() {
    let (story, number) = with_pull_request().await;
    link_new_ticket(&story, number, "APP-1").await;
    let label = format!("{REPOSITORY}#{number}");
    let open = story.api.explain_pull_request(&pull_query(&story, number)).await.unwrap();
    assert_eq!((open.label.as_str(), open.ticket.as_ref().unwrap().as_str()), (label.as_str(), "APP-1"));
    assert!(open.sentence.starts_with("No reviews are waiting"), "{}", open.sentence);

    let request = revise_request(&story, number, Some("Say it in French, too."));
    let decision = story.api.revise_pull_request(&request, Some("k1")).await.unwrap();
    assert_eq!(decision.verdict, Verdict::Accepted, "{decision:?}");
    let id = decision.job.clone().unwrap();
    let job = story.api.job(&id).await.unwrap();
    let revised = job.pull_request.unwrap();
    assert_eq!((job.kind, revised.number, revised.label.as_str()), (JobKind::Revise, number, label.as_str()));
    assert_eq!((revised.url.as_str(), job.title.as_str()), (open.url.as_str(), "About APP-1"));
    assert_eq!(story.ticket("APP-1").await.active_job.as_ref(), Some(&id));
    // The idempotency key identifies the request, even with another message.
    let again = story.api.revise_pull_request(&revise_request(&story, number, None), Some("k1")).await.unwrap();
    assert_eq!(
        (again.verdict, again.job.as_ref(), again.delivery.clone()),
        (Verdict::Duplicate, Some(&id), decision.delivery.clone())
    );
    assert_eq!(story.jobs().await.len(), 1);

    let entry = story.api.delivery(&decision.delivery).await.unwrap();
    assert_eq!((entry.sentence, entry.source), (decision.sentence, Source::Person));
    let subject = entry.review.unwrap();
    assert_eq!((subject.pull_request, subject.url, subject.author.as_str()), (label.clone(), open.url, "admin"));
    assert_eq!(entry.facts["number"], number, "the stored facts lack the number");

    // Another request waits for this job; its status is 202 and not a refusal.
    let body = serde_json::to_vec(&revise_request(&story, number, Some("And in German."))).unwrap();
    let admin = story.local.admin_token();
    let (status, _, held) = story.request(Method::POST, "/v1/pulls/revise", Some(admin), body).await;
    assert_eq!((status, &held["verdict"], &held["code"]), (202, &json!("held"), &json!("held_for_job")), "{held}");
    let explanation = story.api.explain_pull_request(&pull_query(&story, number)).await.unwrap();
    assert_eq!((explanation.job.as_ref(), explanation.held_until.is_some()), (Some(&id), true));
    assert!(
        explanation.sentence.starts_with(&format!("Job {} works on {label}: ", id.short())),
        "{}",
        explanation.sentence
    );
    let pulls = story.api.pulls(&story.project, None).await.unwrap();
    assert_eq!((pulls.pulls.len(), pulls.next), (1, None));
    assert_eq!(pulls.pulls[0].revised, explanation.revised);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_revision_returns_a_problem_with_its_sentence() {
    let (story, number) = with_pull_request().await;
    let label = format!("{REPOSITORY}#{number}");
    let (status, code, sentence) =
        problem_of(story.api.revise_pull_request(&revise_request(&story, number, None), None).await);
    let unlinked = format!("{label} is not linked to an active ticket.");
    assert_eq!((status, code.as_str(), sentence.as_str()), (409, "no_linked_ticket", unlinked.as_str()));
    assert_eq!(story.api.explain_pull_request(&pull_query(&story, number)).await.unwrap().sentence, unlinked);
    let query = DeliveryQuery { pull_request: Some(label), ..DeliveryQuery::default() };
    let ledger = story.api.list_deliveries_matching(&story.project, &query).await.unwrap().deliveries;
    assert_eq!((ledger.len(), ledger[0].sentence.as_str()), (1, unlinked.as_str()));

    link_new_ticket(&story, number, "APP-1").await;
    story.update_settings(|settings| settings.held_by = Some("ann".into())).await;
    assert_eq!(
        problem_of(story.api.revise_pull_request(&revise_request(&story, number, None), None).await).1,
        "project_held"
    );
    story.update_settings(|settings| settings.held_by = None).await;
    story.call_forge(Method::PATCH, &format!("/pulls/{number}"), json!({ "state": "closed" })).await;
    assert_eq!(
        problem_of(story.api.revise_pull_request(&revise_request(&story, number, None), None).await).1,
        "pull_request_closed"
    );
    let missing = problem_of(story.api.revise_pull_request(&revise_request(&story, 99, None), None).await);
    assert_eq!((missing.0, missing.2), (404, format!("There is no pull request {REPOSITORY}#99.")));
    assert!(story.jobs().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_request_is_linked_to_one_ticket_until_unlinked() {
    let (story, number) = with_pull_request().await;
    link_new_ticket(&story, number, "APP-1").await;
    story.send_ticket_event("e2", "APP-2", TODO, 1).await;
    let again = story.api.link_pull_request(&link_request(&story, number, "APP-1")).await.unwrap();
    assert_eq!(again.ticket.unwrap().as_str(), "APP-1");
    let (status, code, sentence) =
        problem_of(story.api.link_pull_request(&link_request(&story, number, "APP-2")).await);
    assert_eq!((status, code.as_str()), (409, "linked_elsewhere"));
    assert_eq!(sentence, format!("{REPOSITORY}#{number} is already linked to APP-1."));
    assert_eq!(problem_of(story.api.link_pull_request(&link_request(&story, number, "NO-1")).await).0, 404);
    story.advance_and_sweep(Duration::from_secs(60)).await;
    assert_eq!(story.wait_for_settled_ticket("APP-1").await.pull_request, Some(again.url));

    let response = story.api.unlink_pull_request(&pull_query(&story, number)).await.unwrap();
    assert_eq!(response.ticket.unwrap().as_str(), "APP-1");
    assert_eq!(story.api.unlink_pull_request(&pull_query(&story, number)).await.unwrap().ticket, None);
    assert!(story.api.pulls(&story.project, None).await.unwrap().pulls.is_empty());
    story.api.link_pull_request(&link_request(&story, number, "APP-2")).await.unwrap();
    story.advance_and_sweep(Duration::from_secs(60)).await;
    assert_eq!(story.wait_for_settled_ticket("APP-1").await.pull_request, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn link_of_another_project_is_neither_shown_nor_removed() {
    let (story, number) = with_pull_request().await;
    link_new_ticket(&story, number, "SECRET-1").await;
    let other = pullyard_domain::text::id::ProjectId::new("other").unwrap();
    let create = CreateProject { id: other.clone(), name: "Other".into(), settings: Settings::default() };
    story.api.create_project(&create).await.unwrap();
    let mut request = link_request(&story, number, "OTH-1");
    request.project = other;
    assert_eq!(
        problem_of(story.api.link_pull_request(&request).await).0,
        404,
        "a pull request of an unconnected repository was linked"
    );
    let add =
        json!({ "integration": "gh1", "name": REPOSITORY, "agent": { "capability": "command", "command": ["a"] } });
    story.api.add_repository(&request.project, &serde_json::from_value(add).unwrap()).await.unwrap();
    let mut event = story.event("o1", "OTH-1", TODO, 1);
    event.project = request.project.clone();
    story.api.send_ticket_event(&event).await.unwrap();
    let (status, code, sentence) = problem_of(story.api.link_pull_request(&request).await);
    assert_eq!((status, code.as_str()), (409, "linked_elsewhere"));
    assert!(sentence.contains("a ticket of another project") && !sentence.contains("SECRET"), "{sentence}");
    let from_there = PullRequestQuery { project: request.project.clone(), ..pull_query(&story, number) };
    assert_eq!(story.api.unlink_pull_request(&from_there).await.unwrap().ticket, None);
    let still = story.api.explain_pull_request(&pull_query(&story, number)).await.unwrap();
    assert_eq!(still.ticket.unwrap().as_str(), "SECRET-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_pull_request_parameters_are_refused_with_a_pointer() {
    let story = Story::start_with_waiting_tasks().await;
    let admin = story.local.admin_token();
    let body = |number: Value, message: Value| {
        json!({ "project": "acme", "repository": REPOSITORY, "number": number, "message": message }).to_string()
    };
    for (body, status, pointer) in [
        (body(json!(0), json!("x")), 400, "/number"),
        (body(json!(u64::MAX), json!("x")), 400, "/number"),
        (body(json!(-1), json!("x")), 400, "/number"),
        (body(json!(1), json!("")), 400, "/message"),
        (body(json!(1), json!(" \n")), 400, "/message"),
        (body(json!(1), json!("x".repeat(4_001))), 400, "/message"),
    ] {
        let (got, _, problem) = story.request(Method::POST, "/v1/pulls/revise", Some(admin), body.into_bytes()).await;
        assert_eq!((got, &problem["pointer"]), (status, &json!(pointer)), "{problem}");
    }
    let which = format!("project=acme&repository={REPOSITORY}");
    for path in [
        format!("/v1/pulls/why?{which}&number=0"),
        format!("/v1/pulls/why?{which}&number=x"),
        format!("/v1/pulls/why?{which}"),
        format!("/v1/pulls/why?{which}&number=1&colour=red"),
        "/v1/pulls?project=acme&after=x".into(),
        "/v1/deliveries?project=acme&verdict=good".into(),
        "/v1/deliveries?project=acme&code=no_such".into(),
        "/v1/deliveries?project=acme&pull_request=x".into(),
        "/v1/deliveries?project=acme&limit=0".into(),
        "/v1/deliveries?project=acme&limit=51".into(),
        "/v1/deliveries?project=acme&since=today".into(),
    ] {
        let (status, _, problem) = story.request(Method::GET, &path, Some(admin), Vec::new()).await;
        assert_eq!((status, &problem["code"]), (400, &json!("bad_parameter")), "{path}: {problem}");
    }
}

pub(crate) fn review_delivery(story: &Story, review: &str, at: Timestamp, reason: Reason, author: &str) -> Delivery {
    let pull_request = PullRequestId { integration: IntegrationId::new("gh1").unwrap(), repository: 1, number: 7 };
    let review = ReviewId::new(review).unwrap();
    let id = DeliveryId::for_review(&story.project, &pull_request, &review);
    Delivery {
        ticket: TicketKey::new("APP-9").ok(),
        review: Some(ReviewSubject {
            pull_request,
            label: format!("{REPOSITORY}#7"),
            url: "https://forge.test/acme/app/pull/7".into(),
            review: Some(review),
            author: author.into(),
            facts: None,
        }),
        ..Delivery::new(id, story.project.clone(), Source::Webhook, EventId::new("d1").unwrap(), at, reason)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_filtered_and_paged_across_days() {
    let story = Story::start_with(Setup { task: Task::Waiting, ..Setup::default() }).await;
    let (store, now) = (story.store().await, story.clock.now());
    let pr = || format!("{REPOSITORY}#7");
    let deliveries = [
        ("r1", 1, Reason::HeldWithOthers { pr: pr() }),
        ("r2", 30, Reason::PullRequestClosed { pr: pr(), state: "closed".into() }),
        ("r3", 31, Reason::OwnReview {}),
        ("r4", 200, Reason::NoLinkedTicket { pr: pr() }),
    ];
    for (review, hours, reason) in deliveries {
        let entry = review_delivery(&story, review, now.minus(HOUR * hours), reason, "bo");
        assert_eq!(store.record_delivery(&entry).await.unwrap(), Write::Applied);
    }
    let quiet = story.send_ticket_event("e1", "APP-1", TODO, 1).await;
    let ask = async |query: &DeliveryQuery| story.api.list_deliveries_matching(&story.project, query).await.unwrap();
    let codes = |page: &DeliveryPage| page.deliveries.iter().map(|entry| entry.code.clone()).collect::<Vec<_>>();
    let all = DeliveryQuery::default();
    let full_page = ask(&all).await;
    let in_order = ["not_trigger_status", "held_with_others", "pull_request_closed", "own_review", "no_linked_ticket"];
    assert_eq!((codes(&full_page), &full_page.next), (in_order.map(str::to_owned).to_vec(), &None));
    assert_eq!(full_page.deliveries[0].sentence, quiet.sentence);

    // Pages of one entry return every entry once, across days, without an empty last page.
    let (mut paged_codes, mut query) = (Vec::new(), DeliveryQuery { limit: Some(1), ..all.clone() });
    loop {
        let page = ask(&query).await;
        assert_eq!(page.deliveries.len(), 1);
        paged_codes.extend(codes(&page));
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(paged_codes, in_order);

    for (query, found) in [
        (DeliveryQuery { verdicts: vec![Verdict::Refused, Verdict::Held], ..all.clone() }, &[1, 2, 4][..]),
        (DeliveryQuery { codes: vec!["own_review".into()], ..all.clone() }, &[3]),
        (DeliveryQuery { ticket: TicketKey::new("APP-1").ok(), ..all.clone() }, &[0]),
        (DeliveryQuery { pull_request: Some("ACME/app#7".into()), ..all.clone() }, &[1, 2, 3, 4]),
        (DeliveryQuery { pull_request: Some("https://x.test/acme/app/pull/8".into()), ..all.clone() }, &[]),
        (DeliveryQuery { since: Some(now.minus(HOUR * 30)), ..all.clone() }, &[0, 1, 2]),
        (DeliveryQuery { until: Some(now.minus(HOUR * 30)), ..all.clone() }, &[3, 4]),
        (DeliveryQuery { since: Some(now.minus(HOUR * 31)), until: Some(now.minus(HOUR * 30)), ..all.clone() }, &[3]),
        (DeliveryQuery { verdicts: vec![Verdict::Refused], limit: Some(1), ..all.clone() }, &[2]),
    ] {
        let expected = found.iter().map(|at: &usize| in_order[*at].to_owned()).collect::<Vec<_>>();
        assert_eq!(codes(&ask(&query).await), expected, "{query:?}");
    }
    let entry = &ask(&DeliveryQuery { codes: vec!["held_with_others".into()], ..all }).await.deliveries[0];
    let subject = entry.review.as_ref().unwrap();
    assert_eq!((subject.author.as_str(), subject.review.as_ref().unwrap().as_str()), ("bo", "r1"));
}
