//! A project is held, or has used up its day: what asks for a job is refused and written down, and caught up.

use crate::cli::User;
use crate::story::{Setup, Story, TODO, TRIGGER, Task, begin_all, failed, until};
use pullyard_domain::budget::{Budget, Day};
use pullyard_domain::id::derived::ticket_group;
use pullyard_domain::id::{DeliveryId, EventId, JobId};
use pullyard_domain::job::Status;
use pullyard_domain::project::Settings;
use pullyard_domain::wakeup::TicketWakeup;
use pullyard_local::Hints;
use pullyard_protocol::attempt::{FinishRequest, Phase};
use pullyard_protocol::client::Error;
use pullyard_protocol::job::{CancelJob, CreateJob};
use pullyard_protocol::project::HoldProject;
use serde_json::json;
use std::time::Duration;

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
    at_noon(Story::with(Setup { settings, task: Task::Waiting, ..setup }).await)
}

/// It is noon of the next day in UTC: no midnight passes but those that a test waits for.
pub(crate) fn at_noon(story: Story) -> Story {
    let now = story.clock.now();
    story.clock.advance(Day::of(now).end().since(now) + Duration::from_secs(12 * 3_600));
    story
}

/// Waits until this event's entry in the ledger says so, and gives its job.
async fn answered(story: &Story, event: &str, code: &str) -> Option<JobId> {
    let delivery = DeliveryId::of_ticket_event(&story.project, &EventId::new(event).unwrap());
    until("the entry is decided", async || {
        let entry = story.api.delivery(&delivery).await.unwrap();
        if entry.code == code { Ok(entry.job) } else { Err(format!("{entry:?}")) }
    })
    .await
}

/// The next minute's round of the sweeper.
async fn a_minute_later(story: &Story) {
    story.clock.advance(Duration::from_secs(61));
    story.api.sweep().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_while_a_project_was_held_is_made_once_when_it_is_released() {
    let story = Story::waiting().await;
    let held = story.api.hold(&story.project, &freeze()).await.unwrap();
    assert_eq!(held.settings.held_reason.as_deref(), Some("a freeze"));
    // Again, with other words: the first stays.
    let again = story.api.hold(&story.project, &HoldProject { reason: "another".into() }).await.unwrap();
    assert_eq!(again, held);

    let refused = story.tell("e1", "APP-1", TRIGGER, 1).await;
    assert_eq!((refused.code.as_str(), refused.job), ("project_held", None));
    let person = CreateJob {
        project: story.project.clone(),
        ticket: Some("APP-1".parse().unwrap()),
        prompt: None,
        repository: None,
        base: None,
        agent: None,
        model: None,
    };
    let Err(Error::Problem(problem)) = story.api.create_job(&person, None).await else { panic!("a job was made") };
    assert_eq!(problem.code, "project_held");
    // Told again, swept again, and again: it waits.
    assert_eq!(story.tell("e1", "APP-1", TRIGGER, 1).await.code, "project_held");
    a_minute_later(&story).await;
    let ticket = story.ticket("APP-1").await;
    assert_eq!(ticket.waits.unwrap().sentence, "acme is held by admin.");
    assert!(story.jobs().await.is_empty() && !ticket.synced);

    assert_eq!(story.api.release(&story.project).await.unwrap().settings.held_by, None);
    let job = answered(&story, "e1", "accepted").await.unwrap();
    assert_eq!(story.ticket("APP-1").await.active_job.as_ref(), Some(&job));
    // Only the first event told what it is about.
    let prompt = story.claim(&job, "c1").await.unwrap().0.prompt;
    assert!(prompt.contains("APP-1: About APP-1\n\nDo it."), "{prompt}");
    // Released again, told again, swept again: it was taken up once.
    story.api.release(&story.project).await.unwrap();
    assert_eq!(story.tell("e1", "APP-1", TRIGGER, 1).await.code, "repeat");
    a_minute_later(&story).await;
    assert_eq!(story.jobs().await.len(), 1);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_whose_ticket_was_moved_away_meanwhile_makes_no_job() {
    let story = Story::waiting().await;
    story.api.hold(&story.project, &freeze()).await.unwrap();
    story.tell("e1", "APP-1", TRIGGER, 1).await;
    story.tell("e2", "APP-2", TRIGGER, 1).await;
    story.tell("e3", "APP-1", TODO, 2).await;
    // This one is moved away and comes back: its newest entry counts.
    story.tell("e4", "APP-2", TODO, 2).await;
    story.tell("e5", "APP-2", TRIGGER, 3).await;
    // Nothing waits of it any more, before the release already.
    let left = story.settled("APP-1").await;
    assert_eq!((left.status.as_str(), left.waits), (TODO, None));
    story.api.release(&story.project).await.unwrap();
    answered(&story, "e5", "accepted").await.unwrap();
    answered(&story, "e1", "project_held").await;
    answered(&story, "e2", "project_held").await;
    assert_eq!(story.jobs().await.len(), 1);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_wakes_the_oldest_that_the_day_has_room_for_each_in_the_turn_of_its_ticket() {
    let setup = Setup::default();
    let settings = Settings { budget: jobs(2), ..setup.settings };
    let story = at_noon(Story::with(Setup { settings, task: Task::Waiting, hints: Hints::AreLost, ..setup }).await);
    story.api.hold(&story.project, &freeze()).await.unwrap();
    for (event, key, minute) in [("e3", "APP-3", 3), ("e1", "APP-1", 1), ("e2", "APP-2", 2)] {
        assert_eq!(story.tell(event, key, TRIGGER, minute).await.code, "project_held");
    }
    story.api.release(&story.project).await.unwrap();
    let asked = json!({
        "QueueUrl": story.queue("lost.fifo").await, "MaxNumberOfMessages": 10, "MessageSystemAttributeNames": ["All"],
    });
    let mut woken = Vec::new();
    loop {
        let answer = story.local.aws().sqs().call("ReceiveMessage", &asked).await.unwrap();
        let Some(messages) = answer["Messages"].as_array().filter(|messages| !messages.is_empty()) else { break };
        for message in messages {
            let wakeup: TicketWakeup = serde_json::from_str(message["Body"].as_str().unwrap()).unwrap();
            let group = message["Attributes"]["MessageGroupId"].as_str().unwrap();
            assert_eq!(group, ticket_group(&wakeup.project, &wakeup.ticket));
            woken.push(wakeup.ticket.to_string());
        }
    }
    woken.sort();
    assert_eq!(woken, ["APP-1", "APP-2"]);
    story.end().await;
}

/// The release was written, and everything after it was lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_release_whose_wake_ups_were_lost_is_found_by_the_sweeper() {
    let story = Story::waiting().await;
    story.api.hold(&story.project, &freeze()).await.unwrap();
    story.tell("e1", "APP-1", TRIGGER, 1).await;
    // Past the API, which would send them.
    story.settings(|settings| *settings = settings.clone().released()).await;
    a_minute_later(&story).await;
    answered(&story, "e1", "accepted").await.unwrap();
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_during_a_job_that_ends_while_the_project_is_held_waits_for_the_release() {
    let story = Story::waiting().await;
    let job = story.job_for("e1", "APP-1", 1).await;
    let attempt = story.claim(&job, "c1").await.unwrap().1;
    story.tell("e2", "APP-1", TODO, 2).await;
    assert_eq!(story.tell("e3", "APP-1", TRIGGER, 3).await.code, "job_active");
    story.api.hold(&story.project, &freeze()).await.unwrap();
    attempt.finish(&failed("f1")).await.unwrap();
    answered(&story, "e3", "project_held").await;
    story.api.release(&story.project).await.unwrap();
    let next = answered(&story, "e3", "accepted").await.unwrap();
    assert_ne!(next, job);
    assert_eq!(story.ticket("APP-1").await.active_job, Some(next));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_days_jobs_are_made_and_the_rest_waits_for_the_next_day_oldest_first() {
    let story = with_budget(jobs(1)).await;
    let first = story.job_for("e1", "APP-1", 1).await;
    for (event, key, minute) in [("e3", "APP-3", 3), ("e2", "APP-2", 2)] {
        let refused = story.tell(event, key, TRIGGER, minute).await;
        assert_eq!(
            (refused.code.as_str(), refused.sentence.as_str()),
            ("budget_exhausted", "acme has used 1 of 1 job for today.")
        );
    }
    let used = story.api.budget(&story.project).await.unwrap();
    assert_eq!((used.jobs, used.reserved_usd_micros), (1, 5 * DOLLAR));
    a_minute_later(&story).await;
    assert_eq!(story.jobs().await.len(), 1);

    story.clock.advance(Duration::from_secs(24 * 3_600));
    story.api.sweep().await.unwrap();
    let second = answered(&story, "e2", "accepted").await.unwrap();
    answered(&story, "e3", "budget_exhausted").await;
    assert_ne!(first, second);
    // A higher limit takes up what waits at once.
    let project = story.api.project(&story.project).await.unwrap();
    let settings = Settings { budget: jobs(9), ..project.settings };
    story.api.set_settings(&story.project, &settings, project.revision).await.unwrap();
    answered(&story, "e3", "accepted").await.unwrap();
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dollars_that_were_not_spent_come_back_once_and_let_the_next_in() {
    let five = Budget { usd_micros_per_day: Some(8 * DOLLAR), usd_micros_per_job: 5 * DOLLAR, ..Budget::default() };
    let story = with_budget(five).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    let refused = story.tell("e2", "APP-2", TRIGGER, 1).await;
    assert_eq!(refused.sentence, "acme has used $0.00 and reserved $5.00 of $8.00 for today.");
    let attempt = story.claim(&job, "c1").await.unwrap().1;
    begin_all(&attempt, Phase::Executing).await;
    let finish = FinishRequest { spent_usd_micros: Some(2 * DOLLAR), ..failed("f1") };
    for _ in 0..2 {
        attempt.finish(&finish).await.unwrap();
    }
    let used = story.api.budget(&story.project).await.unwrap();
    assert_eq!((used.jobs, used.spent_usd_micros, used.reserved_usd_micros), (1, 2 * DOLLAR, 0));
    a_minute_later(&story).await;
    let next = answered(&story, "e2", "accepted").await.unwrap();
    // One that is cancelled before an agent worked gives all of it back, its place too.
    story.api.cancel_job(&next, &CancelJob::default()).await.unwrap();
    assert_eq!(story.api.job(&next).await.unwrap().status, Status::Cancelled);
    let used = story.api.budget(&story.project).await.unwrap();
    assert_eq!((used.jobs, used.spent_usd_micros, used.reserved_usd_micros), (1, 2 * DOLLAR, 0));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_request_and_a_retry_obey_the_budget() {
    let story = with_budget(jobs(1)).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    let attempt = story.claim(&job, "c1").await.unwrap().1;
    begin_all(&attempt, Phase::Executing).await;
    attempt.finish(&failed("f1")).await.unwrap();
    let Err(Error::Problem(problem)) = story.api.retry_job(&job, None).await else { panic!("a job was made") };
    assert_eq!(problem.code, "budget_exhausted");
    story.end().await;
}

/// Many tickets at once for the last jobs of the day: each gets its own true answer, and none too many.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_gets_what_the_day_has_and_not_one_job_more() {
    let setup = Setup::default();
    let settings = Settings { budget: jobs(7), ..setup.settings };
    let story = at_noon(Story::with(Setup { settings, task: Task::Waiting, hints: Hints::AreLost, ..setup }).await);
    let (names, mut told_each) =
        ((0..24).map(|number| (format!("e{number}"), format!("APP-{number}"))).collect::<Vec<_>>(), Vec::new());
    for told in futures_of(&story, &names).await {
        told_each.push(told);
    }
    let count = |code: &str| told_each.iter().filter(|told| *told == code).count();
    assert_eq!((count("accepted"), count("budget_exhausted")), (7, 17), "{told_each:?}");
    assert_eq!(story.jobs().await.len(), 7);
    story.end().await;
}

async fn futures_of(story: &Story, names: &[(String, String)]) -> Vec<String> {
    let tasks: Vec<_> = names
        .iter()
        .map(|(event, key)| {
            let (api, event) = (story.api.clone(), story.event(event, key, TRIGGER, 1));
            tokio::spawn(async move { api.ticket_event(&event).await.unwrap().code })
        })
        .collect();
    let mut codes = Vec::new();
    for task in tasks {
        codes.push(task.await.unwrap());
    }
    codes
}

/// Nobody's wake-ups arrive but the sweeper's own: what was moved away meanwhile is still dropped, and what was not is still made.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_single_wake_up_a_release_is_caught_up_all_the_same() {
    let sweep_every = Duration::from_secs(1);
    let setup = Setup { task: Task::Waiting, hints: Hints::AreLost, sweep_every, ..Setup::default() };
    let story = Story::with(setup).await;
    story.api.hold(&story.project, &freeze()).await.unwrap();
    story.tell("e1", "APP-1", TRIGGER, 1).await;
    story.tell("e2", "APP-2", TRIGGER, 1).await;
    story.tell("e3", "APP-1", TODO, 2).await;
    story.api.release(&story.project).await.unwrap();
    story.clock.advance(Duration::from_secs(61));
    answered(&story, "e2", "accepted").await.unwrap();
    assert_eq!(story.settled("APP-1").await.status, TODO);
    assert_eq!(story.jobs().await.len(), 1);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_held_released_and_given_a_budget_on_the_command_line() {
    let story = Story::waiting().await;
    let user = User::of(&story);
    let held = user.run(&["hold", "--all", "--reason", "a freeze."]).await.done();
    assert_eq!(held, "acme is held by admin: a freeze.\n");
    story.tell("e1", "APP-1", TRIGGER, 1).await;
    let why = user.run(&["why", "APP-1"]).await;
    assert_eq!(why.out, "APP-1 waits: acme is held by admin.\n");
    assert!(why.err.contains("pullyard release"), "{why:?}");
    for command in [&["status"][..], &["projects", "show"]] {
        let shown = user.run(command).await.done();
        assert!(shown.contains("admin: a freeze"), "{shown}");
    }
    user.run(&["budgets", "set", "--jobs-per-day", "20", "--usd-per-day", "50", "--usd-per-job", "2.50"]).await.done();
    let shown = user.json(&["budgets", "list"]).await;
    let budget = &shown["budget"];
    assert_eq!((&budget["jobs_per_day"], &budget["usd_micros_per_day"]), (&20.into(), &50_000_000.into()));
    assert_eq!(budget["usd_micros_per_job"], 2_500_000);
    // What is not named stays.
    user.run(&["budgets", "set", "--usd-per-day", "none"]).await.done();
    let shown = user.run(&["projects", "show"]).await.done();
    assert!(shown.contains("20 jobs a day"), "{shown}");
    user.run(&["budgets", "set"]).await.ended(2, "required");
    user.run(&["budgets", "set", "--usd-per-day", "1"]).await.ended(2, "less than one job reserves");
    assert_eq!(user.run(&["release"]).await.done(), "acme is released.\n");
    answered(&story, "e1", "accepted").await.unwrap();
    story.end().await;
}
