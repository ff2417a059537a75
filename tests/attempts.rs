//! One attempt: its claim, its lease, its phases, its events and its end. The test speaks as the runner.

use crate::story::{REVIEW, Setup, Story, TODO, Task, is, told, until};
use futures::future::join_all;
use pullyard_domain::failure::Failure;
use pullyard_domain::id::{FinishId, JobId};
use pullyard_domain::job::{Status, Want};
use pullyard_domain::project::{Limits, Settings};
use pullyard_protocol::attempt::{
    EventsRequest, FinishOutcome, FinishPullRequest, FinishRequest, FinishResult, Phase, StatusRequest,
};
use pullyard_protocol::client::{AttemptClient, Error};
use pullyard_protocol::event::{Event, EventKind};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// Long enough for everything that the sweeper waits for but a job's time limit.
const GRACE: Duration = Duration::from_secs(16);

/// A refusal: HTTP status, code, and whether the result was kept all the same.
fn refusal<T: std::fmt::Debug>(answer: Result<T, Error>) -> (u16, String, Option<bool>) {
    match answer.unwrap_err() {
        Error::Problem(problem) => (problem.status, problem.code, problem.recorded),
        other => panic!("{other}"),
    }
}

fn lease_lost(recorded: bool) -> (u16, String, Option<bool>) {
    (409, "lease_lost".into(), Some(recorded))
}

async fn begin(client: &AttemptClient, phase: Phase) {
    client.status(&StatusRequest { status: phase }).await.unwrap();
}

async fn begin_all(client: &AttemptClient, last: Phase) {
    for phase in [Phase::Preparing, Phase::Executing, Phase::Syncing].into_iter().filter(|phase| *phase <= last) {
        begin(client, phase).await;
    }
}

fn finish_id(id: &str) -> FinishId {
    FinishId::new(id).unwrap()
}

fn failed(id: &str) -> FinishRequest {
    FinishRequest {
        finish_id: finish_id(id),
        outcome: FinishOutcome::Failed,
        failure: Some(Failure::NoChanges {}),
        result: None,
        spent_usd_micros: None,
    }
}

fn completed(id: &str, number: u64) -> FinishRequest {
    FinishRequest {
        finish_id: finish_id(id),
        outcome: FinishOutcome::Completed,
        failure: None,
        result: Some(FinishResult {
            branch: "pullyard/acme/app-1-1".into(),
            head: "a".repeat(40),
            pull_request: FinishPullRequest { number, url: format!("https://forge.test/acme/app/pull/{number}") },
            files: 1,
            insertions: 2,
            deletions: 3,
            replies: None,
        }),
        spent_usd_micros: None,
    }
}

/// A claimed job of the ticket APP-1, and its task.
async fn claimed() -> (Story, JobId, AttemptClient, Value) {
    claimed_under(Settings::default().limits).await
}

async fn claimed_under(limits: Limits) -> (Story, JobId, AttemptClient, Value) {
    let setup = Setup { task: Task::Waiting, ..Setup::default() };
    let settings = Settings { limits, ..setup.settings.clone() };
    let story = Story::with(Setup { settings, ..setup }).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    let task = story.task_of(&job, 1).await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    (story, job, client, task)
}

/// The job's container dies, and it is noted.
async fn dies(story: &Story, job: &JobId, task: &Value) {
    story.kill(task).await;
    story.died(job).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_repeatable_and_everybody_elses_is_refused() {
    let (story, job, client, _) = claimed().await;
    let first = story.claim(&job, "c1").await.unwrap().0;
    let again = story.claim(&job, "c1").await.unwrap().0;
    assert_eq!(first, again);
    assert_eq!(refusal(story.claim(&job, "c2").await.map(|_| ())), lease_lost(false));
    // In every phase, too.
    begin_all(&client, Phase::Syncing).await;
    assert_eq!(story.claim(&job, "c1").await.unwrap().0, first);
    assert_eq!(refusal(story.claim(&job, "c2").await.map(|_| ())), lease_lost(false));
    client.finish(&failed("f1")).await.unwrap();
    assert_eq!(refusal(story.claim(&job, "c1").await.map(|_| ())), lease_lost(false));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_claims_with_one_token_exactly_one_wins() {
    let story = Story::waiting().await;
    let job = story.job_for("e1", "APP-1", 1).await;
    story.task_of(&job, 1).await;
    let claims = (0..64).map(|n| format!("c{n}")).collect::<Vec<_>>();
    let answers = join_all(claims.iter().map(|claim| story.claim(&job, claim))).await;
    let mut winner = None;
    for (claim, answer) in claims.iter().zip(answers) {
        match answer {
            Ok(won) => assert!(winner.replace((claim, won)).is_none(), "two have won"),
            lost => assert_eq!(refusal(lost.map(|_| ())), lease_lost(false)),
        }
    }
    let (claim, (assignment, client)) = winner.unwrap();
    let stored = story.stored(&job).await;
    assert_eq!((&stored["attempt"], stored["run"]["claim"].as_str()), (&json!(1), Some(claim.as_str())));
    assert_eq!(story.claim(&job, claim).await.unwrap().0, assignment);
    client.credentials().await.unwrap();
    story.end().await;
}

/// Every way a token can be wrong, none of them the token.
fn spoiled(token: &str) -> Vec<String> {
    let (kind, sealed) = token.split_at(4);
    let (body, mac) = sealed.split_once('.').unwrap();
    let turned = |text: &str| {
        let first = if text.starts_with('A') { "B" } else { "A" };
        format!("{first}{}", &text[1..])
    };
    let other_kind = if kind == "pyb_" { "pyl_" } else { "pyb_" };
    vec![
        String::new(),
        kind.into(),
        body.into(),
        sealed.into(),
        format!("{kind}{body}"),
        format!("{kind}{body}."),
        format!("{kind}.{mac}"),
        format!("{kind}{}.{mac}", turned(body)),
        format!("{kind}{body}.{}", turned(mac)),
        format!("{kind}{body}.{}", &mac[..mac.len() - 2]),
        format!("{kind}{body}.{mac}{mac}"),
        format!("{kind}{}.{mac}", &body[..body.len() - 4]),
        format!("{other_kind}{sealed}"),
        format!("{kind}{}.{mac}", "A".repeat(4_000)),
        token.to_uppercase(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_jobs_own_bootstrap_token_claims_it_and_only_in_time() {
    let story = Story::waiting().await;
    let job = story.job_for("e1", "APP-1", 1).await;
    let other = story.job_for("e2", "APP-2", 1).await;
    let (task, other_task) = (story.task_of(&job, 1).await, story.task_of(&other, 1).await);
    let bootstrap = told(&task, "PULLYARD_BOOTSTRAP");
    let call = async |job: &JobId, attempt: u32, token: Option<&str>| {
        let body = json!({ "claim_id": "c1", "instance": "i1" }).to_string().into_bytes();
        story.raw(Method::POST, &format!("/v1/jobs/{job}/attempts/{attempt}/start"), token, body).await.0
    };
    for token in spoiled(&bootstrap) {
        assert_eq!(call(&job, 1, Some(&token)).await, 401, "{token}");
    }
    assert_eq!(call(&job, 1, None).await, 401);
    assert_eq!(call(&job, 1, Some(story.local.admin_token())).await, 401);
    assert_eq!(call(&job, 1, Some(&told(&other_task, "PULLYARD_BOOTSTRAP"))).await, 401);
    assert_eq!(call(&other, 1, Some(&bootstrap)).await, 401);
    assert_eq!(call(&job, 2, Some(&bootstrap)).await, 401);
    assert_eq!(call(&job, 0, Some(&bootstrap)).await, 401);
    assert_eq!(story.stored(&job).await["status"], "ready");
    assert_eq!(call(&job, 1, Some(&bootstrap)).await, 200);
    story.clock.advance(Duration::from_secs(601));
    assert_eq!(call(&job, 1, Some(&bootstrap)).await, 401, "it has expired");
    assert_eq!(call(&other, 1, Some(&told(&other_task, "PULLYARD_BOOTSTRAP"))).await, 401, "it has expired");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_attempts_own_lease_speaks_for_it() {
    let (story, job, _, task) = claimed().await;
    let lease = story.claim(&job, "c1").await.unwrap().0.lease;
    let other = story.job_for("e2", "APP-2", 1).await;
    let other_lease = story.claim(&other, "c2").await.unwrap().0.lease;
    let bodies = [
        ("status", json!({ "status": "preparing" })),
        ("events", json!({ "first_seq": 1, "events": [] })),
        ("credentials", json!({})),
        ("finish", json!({ "finish_id": "f1", "outcome": "cancelled" })),
    ];
    for (route, body) in &bodies {
        let call = async |job: &JobId, attempt: u32, token: Option<&str>| {
            let path = format!("/v1/jobs/{job}/attempts/{attempt}/{route}");
            story.raw(Method::POST, &path, token, body.to_string().into_bytes()).await.0
        };
        for token in spoiled(&lease) {
            assert_eq!(call(&job, 1, Some(&token)).await, 401, "{route} {token}");
        }
        assert_eq!(call(&job, 1, None).await, 401, "{route}");
        assert_eq!(call(&job, 1, Some(story.local.admin_token())).await, 401, "{route}");
        assert_eq!(call(&job, 1, Some(&told(&task, "PULLYARD_BOOTSTRAP"))).await, 401, "{route}");
        assert_eq!(call(&job, 1, Some(&other_lease)).await, 401, "{route}");
        assert_eq!(call(&other, 1, Some(&lease)).await, 401, "{route}");
        assert_eq!(call(&job, 2, Some(&lease)).await, 401, "{route}");
    }
    // A lease opens nothing but its attempt.
    for path in ["/v1/jobs?project=acme".to_owned(), format!("/v1/jobs/{job}"), "/v1/projects/acme".into()] {
        assert_eq!(story.raw(Method::GET, &path, Some(&lease), Vec::new()).await.0, 401, "{path}");
    }
    assert_eq!(story.stored(&job).await["status"], "claimed");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn phases_go_on_in_their_order_only_and_the_present_one_is_repeatable() {
    let (story, job, client, _) = claimed().await;
    let say = async |phase| client.status(&StatusRequest { status: phase }).await;
    let wrong = || (409, "wrong_status".to_owned(), None);
    let phases = [Phase::Preparing, Phase::Executing, Phase::Syncing];
    let statuses = [Status::Preparing, Status::Executing, Status::Syncing];
    for (at, phase) in phases.into_iter().enumerate() {
        for later in phases.into_iter().skip(at + 1) {
            assert_eq!(refusal(say(later).await), wrong(), "{later:?} before {phase:?}");
        }
        let answers = join_all((0..4).map(|_| say(phase))).await;
        for answer in answers {
            let answer = answer.unwrap();
            assert_eq!(answer.want, Want::Run);
            assert_eq!(answer.push_for_secs.is_some(), phase == Phase::Syncing);
        }
        for earlier in phases.into_iter().take(at) {
            assert_eq!(refusal(say(earlier).await), wrong(), "{earlier:?} after {phase:?}");
        }
        assert_eq!(story.api.job(&job).await.unwrap().status, statuses[at]);
    }
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repeating_syncing_never_extends_the_time_to_push() {
    let (story, _, client, _) = claimed().await;
    begin_all(&client, Phase::Syncing).await;
    let left = async || client.status(&StatusRequest { status: Phase::Syncing }).await.unwrap().push_for_secs.unwrap();
    assert!((100..=120).contains(&left().await));
    story.clock.advance(Duration::from_secs(60));
    assert!((40..=60).contains(&left().await));
    story.clock.advance(Duration::from_secs(61));
    assert_eq!(left().await, 0);
    story.end().await;
}

fn events(first: u64, count: u64, text: &str) -> EventsRequest {
    let event = |seq| Event {
        seq,
        age_ms: 0,
        kind: EventKind::Text,
        text: Some(format!("{text} {seq}")),
        name: None,
        path: None,
        call: None,
        data: None,
    };
    EventsRequest { first_seq: first, events: (first..first + count).map(event).collect() }
}

/// Everything a reader gets, page by page: attempt, number, words.
async fn read(story: &Story, job: &JobId, after: Option<String>) -> (Vec<(u32, u64, String)>, String, bool) {
    let (mut seen, mut after) = (Vec::new(), after);
    loop {
        let page = story.api.events(job, after.as_deref()).await.unwrap();
        let last = page.events.is_empty() || page.end;
        seen.extend(page.events.into_iter().map(|it| (it.attempt, it.event.seq, it.event.text.unwrap_or_default())));
        if last {
            return (seen, page.cursor, page.end);
        }
        after = Some(page.cursor);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_with_a_gap_an_overlap_or_a_wrong_first_number_is_refused() {
    let (story, job, client, _) = claimed().await;
    let gap = EventsRequest { first_seq: 1, events: [events(1, 2, "a").events, events(4, 1, "a").events].concat() };
    let overlap = EventsRequest { first_seq: 1, events: [events(1, 2, "a").events, events(2, 1, "a").events].concat() };
    let shifted = EventsRequest { first_seq: 2, ..events(1, 2, "a") };
    for (wrong, pointer) in [
        (gap, "/events/2/seq"),
        (overlap, "/events/2/seq"),
        (shifted, "/events/0/seq"),
        (events(0, 1, "a"), "/first_seq"),
        (events(1, 1_001, "a"), "/events"),
    ] {
        match client.events(&wrong).await.unwrap_err() {
            Error::Problem(problem) => {
                assert_eq!((problem.status, problem.pointer.as_deref()), (400, Some(pointer)));
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(read(&story, &job, None).await.0, []);
    assert_eq!(client.events(&events(1, 1_000, "a")).await.unwrap().next_seq, 1_001);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_batch_keeps_what_came_first() {
    let (story, job, client, _) = claimed().await;
    assert_eq!(client.events(&events(1, 3, "first")).await.unwrap().next_seq, 4);
    assert_eq!(client.events(&events(1, 3, "second")).await.unwrap().next_seq, 4);
    join_all((0..8).map(|n| {
        let (client, batch) = (&client, events(4, 2, &format!("racer {n}")));
        async move { client.events(&batch).await.unwrap() }
    }))
    .await;
    let (seen, _, _) = read(&story, &job, None).await;
    assert_eq!(seen.iter().map(|it| it.1).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(seen[..3].iter().all(|it| it.2.starts_with("first")));
    // One racer's batch, whole.
    assert_eq!(seen[3].2.strip_suffix(" 4"), seen[4].2.strip_suffix(" 5"));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_gets_every_event_once_and_in_order_whatever_way_it_reads() {
    let (story, job, client, task) = claimed().await;
    let mut expected = Vec::new();
    let mut first = 1;
    // More batches than a page takes.
    for count in (1..=3).cycle().take(45) {
        client.events(&events(first, count, "one")).await.unwrap();
        expected.extend((first..first + count).map(|seq| (1, seq, format!("one {seq}"))));
        first += count;
    }
    let (seen, cursor, end) = read(&story, &job, None).await;
    assert_eq!((seen, end), (expected.clone(), false));
    assert_eq!(read(&story, &job, Some(cursor.clone())).await, (Vec::new(), cursor.clone(), false));

    // A batch that overtakes another is held back until the other is there.
    client.events(&events(first + 2, 2, "one")).await.unwrap();
    assert_eq!(read(&story, &job, Some(cursor.clone())).await.0, []);
    client.events(&events(first, 2, "one")).await.unwrap();
    expected.extend((first..first + 4).map(|seq| (1, seq, format!("one {seq}"))));
    assert_eq!(read(&story, &job, None).await.0, expected);

    // What is missing when the attempt is over never comes.
    client.events(&events(first + 10, 2, "one")).await.unwrap();
    expected.extend((first + 10..first + 12).map(|seq| (1, seq, format!("one {seq}"))));
    dies(&story, &job, &task).await;
    story.pass(GRACE).await;
    story.task_of(&job, 2).await;
    let (_, client) = story.claim(&job, "c2").await.unwrap();
    client.events(&events(1, 4, "two")).await.unwrap();
    expected.extend((1..5).map(|seq| (2, seq, format!("two {seq}"))));
    let (seen, _, end) = read(&story, &job, None).await;
    assert_eq!((&seen, end), (&expected, false));
    // Going on from a cursor of the first attempt.
    let (rest, _, _) = read(&story, &job, Some(cursor)).await;
    assert_eq!(rest, expected[expected.len() - rest.len()..]);
    assert_eq!(rest.len(), 10);

    client.finish(&failed("f1")).await.unwrap();
    let (seen, cursor, end) = read(&story, &job, None).await;
    assert_eq!((seen, end), (expected, true));
    assert_eq!(read(&story, &job, Some(cursor.clone())).await, (Vec::new(), cursor, true));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_overlap_are_never_shown_twice() {
    let (story, job, client, _) = claimed().await;
    client.events(&events(1, 3, "first")).await.unwrap();
    // Against the protocol: numbers 2 and 3 again, in a batch of another first number.
    let _ = client.events(&events(2, 4, "second")).await;
    client.events(&events(6, 1, "third")).await.unwrap();
    client.finish(&failed("f1")).await.unwrap();
    let (seen, _, end) = read(&story, &job, None).await;
    let numbers = seen.iter().map(|it| it.1).collect::<Vec<_>>();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    assert!(seen[..3].iter().all(|it| it.2.starts_with("first")), "{seen:?}");
    assert_eq!((numbers.last(), end), (Some(&6), true));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_stores_nothing_and_tells_the_wish() {
    let (story, job, client, _) = claimed().await;
    client.events(&events(1, 2, "a")).await.unwrap();
    let before = story.stored(&job).await;
    let heard = client.events(&events(3, 0, "")).await.unwrap();
    assert_eq!((heard.next_seq, heard.want), (3, Want::Run));
    assert_eq!(story.stored(&job).await, before);
    assert_eq!(read(&story, &job, None).await.0.len(), 2);
    client.finish(&failed("f1")).await.unwrap();
    assert_eq!(refusal(client.events(&events(3, 0, "")).await), lease_lost(false));
    assert_eq!(refusal(client.events(&events(3, 1, "late")).await), lease_lost(false));
    assert_eq!(read(&story, &job, None).await.0.len(), 2);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_given_only_while_the_attempt_holds_its_job() {
    let (story, job, client, task) = claimed().await;
    let keys: Value = serde_json::from_slice(&std::fs::read(story.folder().join("keys.json")).unwrap()).unwrap();
    assert_eq!(client.credentials().await.unwrap().forge_token, keys["forge_token"].as_str().unwrap());
    dies(&story, &job, &task).await;
    // Still its own, until somebody takes it away.
    client.credentials().await.unwrap();
    story.pass(GRACE).await;
    assert_eq!(refusal(client.credentials().await), lease_lost(false));
    story.task_of(&job, 2).await;
    let (_, second) = story.claim(&job, "c2").await.unwrap();
    assert_eq!(refusal(client.credentials().await), lease_lost(false));
    second.credentials().await.unwrap();
    second.finish(&failed("f1")).await.unwrap();
    assert_eq!(refusal(second.credentials().await), lease_lost(false));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finish_is_repeatable_and_another_one_is_refused() {
    let (story, job, client, _) = claimed().await;
    begin_all(&client, Phase::Syncing).await;
    for _ in 0..3 {
        assert_eq!(client.finish(&completed("f1", 7)).await.unwrap().status, Status::Completed);
    }
    let before = story.stored(&job).await;
    assert_eq!(refusal(client.finish(&failed("f2")).await), lease_lost(false));
    assert_eq!(refusal(client.finish(&completed("f3", 8)).await), lease_lost(true));
    // The id decides, not what is said with it.
    assert_eq!(client.finish(&failed("f1")).await.unwrap().status, Status::Completed);
    assert_eq!(story.stored(&job).await, before);
    let ticket = story.settled("APP-1").await;
    assert_eq!(ticket.pull_request.as_deref(), Some("https://forge.test/acme/app/pull/7"));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_can_complete_only_while_it_pushes_and_fail_at_any_time() {
    let (story, job, client, _) = claimed().await;
    let wrong = || (409, "wrong_status".to_owned(), None);
    assert_eq!(refusal(client.finish(&completed("f1", 7)).await), wrong());
    begin(&client, Phase::Preparing).await;
    assert_eq!(refusal(client.finish(&completed("f1", 7)).await), wrong());
    begin(&client, Phase::Executing).await;
    assert_eq!(refusal(client.finish(&completed("f1", 7)).await), wrong());
    assert_eq!(story.api.job(&job).await.unwrap().status, Status::Executing);
    // The refused finish has not used its id up.
    begin(&client, Phase::Syncing).await;
    assert_eq!(client.finish(&completed("f1", 7)).await.unwrap().status, Status::Completed);
    let other = story.job_for("e2", "APP-2", 1).await;
    let (_, client) = story.claim(&other, "c2").await.unwrap();
    assert_eq!(client.finish(&failed("f1")).await.unwrap().status, Status::Failed);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_and_hostile_last_words_are_cut_before_they_are_kept() {
    let (story, job, client, _) = claimed().await;
    begin_all(&client, Phase::Executing).await;
    let hostile = "\u{1b}[2J\u{7}</script><script>alert(1)</script>\r\nSet-Cookie: a=b\n\u{202e}🧨".repeat(400);
    let failure = Failure::AgentFailed { agent: hostile.clone(), exit: hostile.clone(), last_words: hostile };
    let request = FinishRequest { failure: Some(failure), ..failed("f1") };
    assert_eq!(client.finish(&request).await.unwrap().status, Status::Failed);
    let shown = story.api.job(&job).await.unwrap().failure.unwrap();
    assert_eq!(shown.code, "agent_failed");
    assert!(shown.sentence.chars().count() <= 160, "{}", shown.sentence);
    for text in [shown.sentence.as_str(), &shown.help, shown.facts["last_words"].as_str().unwrap()] {
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert!(text.chars().count() <= 200, "{text:?}");
    }
    let stored = story.stored(&job).await;
    assert!(stored["failure"].to_string().len() < 4_096, "{}", stored["failure"]);
    assert_eq!(story.settled("APP-1").await.badges, ["AI Failed"]);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_can_not_be_one_is_refused_and_the_attempt_goes_on() {
    let (story, job, client, _) = claimed().await;
    begin_all(&client, Phase::Syncing).await;
    let with = |change: &dyn Fn(&mut FinishResult)| {
        let mut request = completed("f1", 7);
        change(request.result.as_mut().unwrap());
        request
    };
    for (request, status) in [
        (FinishRequest { result: None, ..completed("f1", 7) }, 400),
        (FinishRequest { failure: Some(Failure::NoChanges {}), ..completed("f1", 7) }, 400),
        (FinishRequest { failure: None, ..failed("f1") }, 400),
        (with(&|result| result.head = "not hex".into()), 422),
        (with(&|result| result.branch = "a\nb".into()), 422),
        (with(&|result| result.branch = "b".repeat(256)), 422),
        (with(&|result| result.pull_request.url = "javascript:alert(1)".into()), 422),
        (with(&|result| result.pull_request.url = format!("https://x/{}", "y".repeat(500))), 422),
    ] {
        assert_eq!(refusal(client.finish(&request).await).0, status, "{request:?}");
    }
    assert_eq!(story.api.job(&job).await.unwrap().status, Status::Syncing);
    client.finish(&completed("f1", 7)).await.unwrap();
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_moves_in_the_very_write_that_ends_its_job() {
    for (last, finish, status) in [(Phase::Syncing, completed("f1", 7), REVIEW), (Phase::Executing, failed("f1"), TODO)]
    {
        let (story, _, client, _) = claimed().await;
        begin_all(&client, last).await;
        let before = story.item("TICKET#acme#APP-1", "TICKET").await;
        client.finish(&finish).await.unwrap();
        story.quiet().await;
        let after = story.item("TICKET#acme#APP-1", "TICKET").await;
        assert_eq!((&after["status"], &after["active_job"]), (&json!(status), &Value::Null), "{after}");
        assert_eq!(
            after["rev"].as_u64(),
            before["rev"].as_u64().map(|rev| rev + 1),
            "one write, and nothing due: {after}"
        );
        assert!(after.get("wk").is_none() && after["synced_version"] == after["wanted"]["version"], "{after}");
        story.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_32_finishes_with_different_ids_exactly_one_ends_the_job() {
    let (story, job, client, _) = claimed().await;
    begin_all(&client, Phase::Syncing).await;
    let requests =
        (0..32u64).map(|n| if n % 2 == 0 { completed(&format!("f{n}"), 7) } else { failed(&format!("f{n}")) });
    let requests = requests.collect::<Vec<_>>();
    let answers = join_all(requests.iter().map(|request| client.finish(request))).await;
    let won = answers.iter().zip(&requests).filter(|(answer, _)| answer.is_ok()).collect::<Vec<_>>();
    assert_eq!(won.len(), 1);
    let (answer, request) = (won[0].0.as_ref().unwrap(), won[0].1);
    let stored = story.stored(&job).await;
    assert_eq!(stored["ended_by"], json!({ "attempt": 1, "finish": request.finish_id }));
    let ended = story.api.job(&job).await.unwrap();
    assert_eq!(ended.status, answer.status);
    let expected = if request.result.is_some() { Status::Completed } else { Status::Failed };
    assert_eq!(ended.status, expected);
    for lost in answers.into_iter().filter(Result::is_err) {
        let (status, code, _) = refusal(lost);
        assert_eq!((status, code.as_str()), (409, "lease_lost"));
    }
    let ticket = story.settled("APP-1").await;
    assert_eq!(ticket.last_job, Some(job));
    assert_eq!(ticket.badges.is_empty(), expected == Status::Completed);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_ends_a_pushing_attempt_before_its_time_and_anybody_may_after() {
    let limits = Limits { wall_secs: 60, ..Limits::default() };
    let (story, job, client, task) = claimed_under(limits).await;
    begin_all(&client, Phase::Syncing).await;
    dies(&story, &job, &task).await;
    // Dead, overdue, and still nobody else's.
    for _ in 0..2 {
        story.pass(Duration::from_secs(59)).await;
        story.quiet().await;
        assert_eq!(story.api.job(&job).await.unwrap().status, Status::Syncing);
        client.credentials().await.unwrap();
    }
    story.pass(Duration::from_secs(3)).await;
    let ended = story.ended(&job).await;
    assert_eq!(ended.status, Status::Failed);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_pushed_past_its_time_may_still_finish_if_nobody_took_its_job() {
    let (story, job, client, _) = claimed().await;
    begin_all(&client, Phase::Syncing).await;
    story.pass(Duration::from_secs(600)).await;
    assert_eq!(client.finish(&completed("f1", 7)).await.unwrap().status, Status::Completed);
    assert_eq!(story.ended(&job).await.status, Status::Completed);
    story.end().await;
}

/// A finish with a pull request, after the sweeper ended the job.
async fn late_finish() -> (Story, JobId) {
    let (story, job, client, task) = claimed().await;
    begin_all(&client, Phase::Syncing).await;
    dies(&story, &job, &task).await;
    story.pass(Duration::from_secs(121)).await;
    story.ended(&job).await;
    story.settled("APP-1").await;
    let before = story.stored(&job).await;
    for _ in 0..2 {
        assert_eq!(refusal(client.finish(&completed("f1", 7)).await), lease_lost(true));
    }
    assert_eq!(story.stored(&job).await, before);
    assert_eq!(story.api.job(&job).await.unwrap().failure.unwrap().code, "runner_crashed");
    assert_eq!(story.item(&format!("JOB#{job}"), "ATTEMPT#0001").await["late_result"]["number"], 7);
    let pull = story.item(&format!("PR#gh1#{}#7", before["repository"]), "PR").await;
    assert_eq!((&pull["job"], &pull["ticket"]), (&json!(job), &json!("APP-1")));
    (story, job)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_comes_after_its_job_was_taken_is_kept_and_changes_no_job() {
    let (story, _) = late_finish().await;
    let ticket = story.settled("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.badges.as_slice()), (TODO, &["AI Failed".to_owned()][..]));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pull_request_of_a_late_result_is_linked_to_its_ticket_and_gone_on_with() {
    let (story, _) = late_finish().await;
    let ticket = until("the link shows", async || {
        let ticket = story.settled("APP-1").await;
        if ticket.pull_request.is_some() { Ok(ticket) } else { Err(format!("{ticket:?}")) }
    })
    .await;
    assert_eq!(ticket.pull_request.as_deref(), Some("https://forge.test/acme/app/pull/7"));
    assert_eq!((ticket.status.as_str(), ticket.badges.as_slice()), (TODO, &["AI Failed".to_owned()][..]));
    let next = story.job_for("e2", "APP-1", 2).await;
    let (assignment, _) = story.claim(&next, "c2").await.unwrap();
    assert_eq!(assignment.continues.unwrap().number, 7);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_result_does_not_disturb_the_attempt_that_runs_now() {
    let (story, job, client, task) = claimed().await;
    begin(&client, Phase::Preparing).await;
    dies(&story, &job, &task).await;
    story.pass(GRACE).await;
    story.task_of(&job, 2).await;
    let (_, second) = story.claim(&job, "c2").await.unwrap();
    begin_all(&second, Phase::Executing).await;
    let before = story.stored(&job).await;
    assert_eq!(refusal(client.finish(&completed("f1", 7)).await), lease_lost(true));
    assert_eq!(refusal(client.finish(&failed("f2")).await), lease_lost(false));
    assert_eq!(refusal(client.status(&StatusRequest { status: Phase::Executing }).await), lease_lost(false));
    assert_eq!(story.stored(&job).await, before);
    begin(&second, Phase::Syncing).await;
    assert_eq!(second.finish(&completed("f3", 7)).await.unwrap().status, Status::Completed);
    let ticket = story.settled("APP-1").await;
    assert_eq!(ticket.pull_request.as_deref(), Some("https://forge.test/acme/app/pull/7"));
    story.end().await;
}

/// Finishes, the death of the container and sweeps meet; `phase` is where the attempt stands then.
async fn check_race(phase: Phase, wait: Duration, finish: impl Fn(&str) -> FinishRequest) {
    let story = Story::waiting().await;
    let mut all = Vec::new();
    for n in 0..4 {
        let (event, key) = (format!("e{n}"), format!("APP-{n}"));
        let job = story.job_for(&event, &key, 1).await;
        let task = story.task_of(&job, 1).await;
        let (_, client) = story.claim(&job, &format!("c{n}")).await.unwrap();
        begin_all(&client, phase).await;
        dies(&story, &job, &task).await;
        all.push((job, key, client));
    }
    story.clock.advance(wait);
    let sweeps = join_all((0..4).map(|_| async { story.local.sweep().await.unwrap() }));
    let finishes = join_all(all.iter().map(|(_, _, client)| {
        let requests = [finish("f1"), finish("f2")];
        async move { [client.finish(&requests[0]).await, client.finish(&requests[1]).await] }
    }));
    let (_, answers) = tokio::join!(sweeps, finishes);
    for ((job, key, _), [first, second]) in all.iter().zip(answers) {
        let ended = story.ended(job).await;
        let stored = story.stored(job).await;
        assert_eq!(refusal(second).0, 409);
        match first {
            Ok(answer) => {
                assert_eq!(stored["ended_by"], json!({ "attempt": 1, "finish": "f1" }));
                assert_eq!(answer.status, ended.status);
            }
            Err(error) => {
                assert_eq!(error.code(), Some("lease_lost"));
                assert_eq!(stored["ended_by"], json!({ "attempt": 1 }));
                assert_eq!(ended.failure.as_ref().unwrap().code, "runner_crashed");
            }
        }
        let ticket = story.settled(key).await;
        assert_eq!(ticket.last_job.as_ref(), Some(job));
        assert_eq!(ticket.badges.is_empty(), ended.status == Status::Completed);
        assert_eq!(ticket.status == TODO, ended.status == Status::Failed);
    }
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_finish_that_meets_a_death_and_sweeps_makes_one_end() {
    check_race(Phase::Executing, GRACE, failed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completed_finish_that_meets_a_death_and_sweeps_makes_one_end() {
    let number = std::sync::atomic::AtomicU64::new(1);
    let next = || number.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    check_race(Phase::Syncing, Duration::from_secs(121), |id| completed(id, next())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finish_within_the_grace_after_a_death_counts() {
    let (story, job, client, task) = claimed().await;
    begin_all(&client, Phase::Executing).await;
    dies(&story, &job, &task).await;
    story.pass(Duration::from_secs(10)).await;
    story.job_until(&job, is(Status::Executing)).await;
    client.finish(&failed("f1")).await.unwrap();
    assert_eq!(story.ended(&job).await.failure.unwrap().code, "no_changes");
    story.end().await;
}
