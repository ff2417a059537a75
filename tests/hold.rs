//! Tests projects that are held or out of budget: entries wait and start later, once.

use crate::prelude::*;
use pullyard_domain::project::budget::{Budget, Day};
use pullyard_protocol::client::Error;
use pullyard_protocol::project::HoldProject;

const DOLLAR: u64 = 1_000_000;

fn freeze() -> HoldProject {
    HoldProject { reason: "a freeze".into() }
}

fn jobs(most: u32) -> Budget {
    Budget { jobs_per_day: Some(most), ..Budget::default() }
}

async fn with_budget(budget: Budget) -> Story {
    let setup = Setup::default();
    let settings = Settings { budget, ..setup.settings };
    at_noon(Story::start_with(Setup { settings, task: Task::Waiting, ..setup }).await)
}

/// Advances to noon UTC of the next day, so that no test crosses midnight unintentionally.
pub(crate) fn at_noon(story: Story) -> Story {
    let now = story.clock.now();
    story.clock.advance(Day::containing(now).end().since(now) + Duration::from_secs(12 * 3_600));
    story
}

async fn wait_for_decision(story: &Story, event: &str, code: &str) -> Option<JobId> {
    let delivery = DeliveryId::for_ticket_event(&story.project, &EventId::new(event).unwrap());
    wait_until("the entry is decided", async || {
        let entry = story.api.delivery(&delivery).await.unwrap();
        if entry.code == code { Ok(entry.job) } else { Err(format!("{entry:?}")) }
    })
    .await
}

async fn sweep_next_minute(story: &Story) {
    story.clock.advance(Duration::from_secs(61));
    story.local.sweep().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn held_entry_starts_one_job_after_the_release() {
    let story = Story::start_with_waiting_tasks().await;
    let held = story.api.hold_project(&story.project, &freeze()).await.unwrap();
    assert_eq!(held.settings.held_reason.as_deref(), Some("a freeze"));
    // A second hold keeps the first reason.
    let again = story.api.hold_project(&story.project, &HoldProject { reason: "another".into() }).await.unwrap();
    assert_eq!(again, held);

    let refused = story.send_ticket_event("e1", "APP-1", TRIGGER, 1).await;
    assert_eq!((refused.code.as_str(), refused.job), ("project_held", None));
    let person = CreateJob {
        kind: JobKind::Implement,
        project: story.project.clone(),
        ticket: Some("APP-1".parse().unwrap()),
        prompt: None,
        repository: None,
        base: None,
        agent: None,
        model: None,
        labels: Default::default(),
        priority: None,
    };
    let Err(Error::Problem(problem)) = story.api.create_job(&person, None).await else { panic!("a job was made") };
    assert_eq!(problem.code, "project_held");
    // The entry waits through repeats and sweeps.
    assert_eq!(story.send_ticket_event("e1", "APP-1", TRIGGER, 1).await.code, "project_held");
    sweep_next_minute(&story).await;
    let ticket = story.ticket("APP-1").await;
    assert_eq!(ticket.waits.unwrap().sentence, "admin put acme on hold.");
    assert!(story.jobs().await.is_empty() && !ticket.synced);

    assert_eq!(story.api.release_project(&story.project).await.unwrap().settings.held_by, None);
    let job = wait_for_decision(&story, "e1", "accepted").await.unwrap();
    assert_eq!(story.ticket("APP-1").await.active_job.as_ref(), Some(&job));
    // The prompt contains the ticket's text, which only the first event carried.
    let prompt = story.claim(&job, "c1").await.unwrap().0.prompt;
    assert!(prompt.contains("APP-1: About APP-1\n\nDo it."), "{prompt}");
    // A repeated release, event or sweep starts no other job.
    story.api.release_project(&story.project).await.unwrap();
    assert_eq!(story.send_ticket_event("e1", "APP-1", TRIGGER, 1).await.code, "repeat");
    sweep_next_minute(&story).await;
    assert_eq!(story.jobs().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_over_the_daily_budget_wait_oldest_first() {
    let story = with_budget(jobs(1)).await;
    let first = story.create_job("e1", "APP-1", 1).await;
    for (event, key, minute) in [("e3", "APP-3", 3), ("e2", "APP-2", 2)] {
        let refused = story.send_ticket_event(event, key, TRIGGER, minute).await;
        assert_eq!(
            (refused.code.as_str(), refused.sentence.as_str()),
            ("budget_exhausted", "acme has used 1 of 1 job for today.")
        );
    }
    let used = story.api.budget(&story.project).await.unwrap();
    assert_eq!((used.jobs, used.reserved_usd_micros), (1, 5 * DOLLAR));
    sweep_next_minute(&story).await;
    assert_eq!(story.jobs().await.len(), 1);

    story.clock.advance(Duration::from_secs(24 * 3_600));
    story.local.sweep().await.unwrap();
    let second = wait_for_decision(&story, "e2", "accepted").await.unwrap();
    wait_for_decision(&story, "e3", "budget_exhausted").await;
    assert_ne!(first, second);
    // A higher limit starts waiting entries at once.
    let project = story.api.project(&story.project).await.unwrap();
    let settings = Settings { budget: jobs(9), ..project.settings };
    story.api.set_settings(&story.project, &settings, project.revision).await.unwrap();
    wait_for_decision(&story, "e3", "accepted").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn unspent_reservation_is_returned_once() {
    let five = Budget { usd_micros_per_day: Some(8 * DOLLAR), usd_micros_per_job: 5 * DOLLAR, ..Budget::default() };
    let story = with_budget(five).await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let refused = story.send_ticket_event("e2", "APP-2", TRIGGER, 1).await;
    assert_eq!(refused.sentence, "acme has used $0.00 and reserved $5.00 of $8.00 for today.");
    let attempt = story.claim(&job, "c1").await.unwrap().1;
    enter_phases(&attempt, Phase::Executing).await;
    let finish = FinishRequest { spent_usd_micros: Some(2 * DOLLAR), ..failed_finish("f1") };
    for _ in 0..2 {
        attempt.finish(&finish).await.unwrap();
    }
    let used = story.api.budget(&story.project).await.unwrap();
    assert_eq!((used.jobs, used.spent_usd_micros, used.reserved_usd_micros), (1, 2 * DOLLAR, 0));
    sweep_next_minute(&story).await;
    let next = wait_for_decision(&story, "e2", "accepted").await.unwrap();
    // A job that is cancelled before its agent started returns its reservation and its place.
    story.api.cancel_job(&next, &CancelJob::default()).await.unwrap();
    assert_eq!(story.api.job(&next).await.unwrap().status, JobStatus::Cancelled);
    let used = story.api.budget(&story.project).await.unwrap();
    assert_eq!((used.jobs, used.spent_usd_micros, used.reserved_usd_micros), (1, 2 * DOLLAR, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn release_without_any_wake_up_is_completed_by_sweeps() {
    let sweep_every = Duration::from_secs(1);
    let setup = Setup { task: Task::Waiting, hints: HintDelivery::Drop, sweep_every, ..Setup::default() };
    let story = Story::start_with(setup).await;
    story.api.hold_project(&story.project, &freeze()).await.unwrap();
    story.send_ticket_event("e1", "APP-1", TRIGGER, 1).await;
    story.send_ticket_event("e2", "APP-2", TRIGGER, 1).await;
    story.send_ticket_event("e3", "APP-1", TODO, 2).await;
    story.api.release_project(&story.project).await.unwrap();
    story.clock.advance(Duration::from_secs(61));
    wait_for_decision(&story, "e2", "accepted").await.unwrap();
    assert_eq!(story.wait_for_settled_ticket("APP-1").await.status, TODO);
    assert_eq!(story.jobs().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn cli_holds_and_releases_a_project_and_sets_its_budget() {
    let (story, user) = Story::with_user().await;
    let held = user.ok(&["hold", "--all", "--reason", "a freeze."]).await;
    assert_eq!(held, "acme is on hold (admin: a freeze).\n");
    story.send_ticket_event("e1", "APP-1", TRIGGER, 1).await;
    let output = user.run(&["why", "APP-1"]).await;
    assert_eq!(output.out, "APP-1 waits: admin put acme on hold.\n");
    assert!(output.err.contains("pullyard release"), "{output:?}");
    for command in [&["status"][..], &["projects", "show"]] {
        let details = user.ok(command).await;
        assert!(details.contains("admin: a freeze"), "{details}");
    }
    user.ok(&["budgets", "set", "--jobs-per-day", "20", "--usd-per-day", "50", "--usd-per-job", "2.50"]).await;
    let document = user.json(&["budgets", "list"]).await;
    let budget = &document["budget"];
    assert_eq!((&budget["jobs_per_day"], &budget["usd_micros_per_day"]), (&20.into(), &50_000_000.into()));
    assert_eq!(budget["usd_micros_per_job"], 2_500_000);
    assert!(user.ok(&["budgets", "list"]).await.contains("50.00"));
    // Other limits stay unchanged.
    user.ok(&["budgets", "set", "--usd-per-day", "none"]).await;
    let settings = user.ok(&["projects", "show"]).await;
    assert!(settings.contains("20 jobs a day"), "{settings}");
    user.run(&["budgets", "set"]).await.assert_exit(2, "required");
    user.run(&["budgets", "set", "--usd-per-day", "1"]).await.assert_exit(2, "less than the reservation of one job");
    assert_eq!(user.ok(&["release"]).await, "Released acme.\n");
    wait_for_decision(&story, "e1", "accepted").await.unwrap();
}
