//! Tests the times in the facts of deliveries.

use crate::prelude::*;
use crate::pulls::review_delivery;
use pullyard_domain::project::budget::{Budget, DailyUsage, Day};
use pullyard_domain::review::guard::{ReviewFacts, ReviewSettings, StoredResult, TicketFacts};
use pullyard_domain::review::pull_request::LastRevision;
use pullyard_domain::review::{Permission, RequestedAction};
use pullyard_domain::ticket::LastOutcome;
use pullyard_domain::ticket::facts::RecordedFacts;

/// Whether a number is as large as the milliseconds of a time since 2001.
fn contains_millis(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_u64().is_some_and(|number| number > 1_000_000_000_000),
        Value::Array(all) => all.iter().any(contains_millis),
        Value::Object(fields) => fields.values().any(contains_millis),
        _ => false,
    }
}

fn job() -> JobId {
    JobId::new(format!("job_{}", "a".repeat(26))).unwrap()
}

fn daily_usage(at: Timestamp) -> DailyUsage {
    DailyUsage { day: Day::containing(at), jobs: 1, taken_usd_micros: 2, spent_usd_micros: 1 }
}

/// Facts with all fields, so that a new field with a time fails the test.
fn ticket_facts(at: Timestamp) -> RecordedFacts {
    RecordedFacts {
        decided_at: at,
        occurred_at: at,
        actor: Some("ana".into()),
        status: TODO.into(),
        previous_status: Some(TODO.into()),
        status_before: Some(TODO.into()),
        seen: Some((at, EventId::new("e0").ok())),
        active_job: Some(job()),
        trigger: Some(TODO.into()),
        auto_create: Some(true),
        held_by: Some("bo".into()),
        repository: RepositoryName::new(REPOSITORY).ok(),
        today: Some(daily_usage(at)),
        spending: None,
    }
}

fn review_facts(story: &Story, at: Timestamp) -> ReviewFacts {
    let revision = |earlier| LastRevision { at, job: job(), earlier };
    ReviewFacts {
        now: at,
        asks: RequestedAction::Revision { message: Some("Again.".into()) },
        author: "bo".into(),
        own: false,
        first: Some(("accepted".into(), Some(job()))),
        stored: Some(StoredResult::Started { job: job() }),
        project: story.project.clone(),
        settings: Some(ReviewSettings {
            revise_on_review: true,
            coalesce: true,
            held_by: Some("bo".into()),
            budget: Budget::default(),
        }),
        integration: IntegrationId::new("gh1").unwrap(),
        repository: RepositoryName::new(REPOSITORY).unwrap(),
        connected: true,
        number: 7,
        state: PullRequestState::Open,
        permission: Some(Permission::Write),
        ticket: Some(TicketFacts {
            key: TicketKey::new("APP-9").unwrap(),
            closed: false,
            active_job: Some(job()),
            last_outcome: Some(LastOutcome::Completed),
            defers: true,
            deferred: 1,
        }),
        revised: Some(revision(Some(Box::new(revision(None))))),
        today: daily_usage(at),
        spending: None,
        agent_review: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_in_facts_of_deliveries_are_rfc_3339() {
    let story = Story::start_with_waiting_tasks().await;
    let (store, now) = (story.store().await, story.clock.now());
    let (of_ticket, of_review) = (ticket_facts(now), review_facts(&story, now));

    let mut decided = review_delivery(&story, "r1", now, Reason::OwnReview {}, "bo");
    decided.facts = Some(of_ticket.clone());
    let mut reviewed = review_delivery(&story, "r2", now, Reason::OwnReview {}, "bo");
    reviewed.review.as_mut().unwrap().facts = Some(Box::new(of_review.clone()));
    for entry in [&decided, &reviewed] {
        assert_eq!(store.record_delivery(entry).await.unwrap(), Write::Applied);
        assert_eq!(store.load_delivery(&entry.id).await.unwrap().as_ref(), Some(entry));
    }

    let facts = story.api.delivery(&decided.id).await.unwrap().facts;
    assert_eq!(
        (facts["decided_at"].as_str(), facts["seen"][0].as_str()),
        (Some(&*now.to_string()), Some(&*now.to_string()))
    );
    assert!(!contains_millis(&facts), "{facts}");
    assert_eq!(serde_json::from_value::<RecordedFacts>(facts).unwrap(), of_ticket);

    let facts = story.api.delivery(&reviewed.id).await.unwrap().facts;
    assert_eq!(facts["revised"]["earlier"]["at"], now.to_string());
    assert!(!contains_millis(&facts), "{facts}");
    assert_eq!(serde_json::from_value::<ReviewFacts>(facts).unwrap(), of_review);
    assert!(contains_millis(&serde_json::to_value(&of_review).unwrap()), "the stored form has no number");
}
