//! Tests the size of items: usual ones cost one write unit, and the largest ones stay small.

use crate::prelude::*;
use crate::reviews::remember;
use crate::sample;
use crate::world::{World, fence};
use pullyard_domain::job::{DispatchFault, End, LastReport, Replies, RevisedPullRequest, StartRefusal};
use pullyard_domain::review::pull_request::{LastRevision, Note, PullRequestId};
use pullyard_domain::review::{Author, MAX_MESSAGE_CHARS, RevisionRequest};
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::id::{EventId, TicketKey};
use pullyard_domain::ticket::{LastJob, LastOutcome, StatusMove, Target};

/// Computes an item's size like DynamoDB: names and values; about half a byte per digit; a map or a list costs 3 bytes
/// and 1 more per element.
fn size(item: &Item) -> usize {
    fn value(of: &AttributeValue) -> usize {
        match of {
            AttributeValue::S(text) => text.len(),
            AttributeValue::N(digits) => digits.trim_end_matches('0').len().div_ceil(2) + 1,
            AttributeValue::B(bytes) => bytes.as_ref().len(),
            AttributeValue::Bool(_) | AttributeValue::Null(_) => 1,
            AttributeValue::M(map) => 3 + map.iter().map(|(name, of)| name.len() + value(of) + 1).sum::<usize>(),
            AttributeValue::L(list) => 3 + list.iter().map(|of| value(of) + 1).sum::<usize>(),
            other => panic!("unexpected attribute type: {other:?}"),
        }
    }
    item.iter().map(|(name, of)| name.len() + value(of)).sum()
}

/// The sizes of a job and its ticket in every usual state, by state.
async fn usual_sizes(world: &World) -> BTreeMap<String, (usize, usize)> {
    let mut sizes = BTreeMap::new();
    let mut ticket = sample::ticket("APP-17");
    ticket.pull_request = Some(pullyard_domain::review::pull_request::PullRequestLink {
        id: sample::result(230).pull_request(&sample::integration(), 99),
        url: sample::result(230).url,
        branch: "pullyard/acme/app-17-1".into(),
    });
    ticket.shown.pull_request = ticket.pull_request.clone();
    ticket.last_job = Some(LastJob { id: sample::job_id("earlier"), outcome: LastOutcome::Failed });
    world.expect_applied(world.store.update_ticket(&ticket)).await;
    let (mut job, ticket) = sample::plan_ticket_job(&world.ticket("APP-17").await, "one");
    job.retry_of = Some(sample::job_id("earlier"));
    let (job, _) = sample::charge_spending(&job);
    world.expect_applied(world.store.create_job(&ticket_job_trigger(&job, &ticket))).await;
    let mut job = world.job(&job).await;
    let task = sample::claim_by_task(&job, "x").task.unwrap();
    measure(world, &mut sizes, "made").await;
    job = write_and_measure(world, &mut sizes, "started", job.begin_dispatch(at(1)).unwrap()).await;
    let fault = DispatchFault::Capacity { since: at(2) };
    job =
        write_and_measure(world, &mut sizes, "no capacity", job.record_start_fault(1, 1, fault, at(2)).unwrap()).await;
    job = write_and_measure(world, &mut sizes, "started again", job.begin_dispatch(at(9)).unwrap()).await;
    job = write_and_measure(world, &mut sizes, "start named", job.set_task(1, 2, &task).unwrap()).await;
    let claim = sample::claim_by_task(&job, "01k5zq0000000000000000000c");
    job = write_and_measure(world, &mut sizes, "claimed", job.claim(&claim, at(60)).unwrap()).await;
    let job = world.advance_job(&job, JobStatus::Syncing).await;
    measure(world, &mut sizes, "syncing").await;
    let cancel = pullyard_domain::job::Cancel::new("ana", Some("the wrong ticket"), at(100));
    let job = write_and_measure(world, &mut sizes, "to be cancelled", job.cancel(cancel, at(100)).unwrap()).await;
    let finish = sample::finish("01k5zq0000000000000000000f");
    let done = job.finish(&fence(&job), &finish, End::Completed(Some(sample::result(231))), at(900)).unwrap();
    let ending = world.prepare_end_of(&job, done, at(900)).await;
    world.expect_applied(world.store.write_job(&ending.request())).await;
    measure(world, &mut sizes, "completed").await;
    sizes
}

async fn write_and_measure(world: &World, sizes: &mut BTreeMap<String, (usize, usize)>, name: &str, job: Job) -> Job {
    world.expect_applied(world.store.update_job(&job)).await;
    measure(world, sizes, name).await;
    world.job(&job).await
}

async fn measure(world: &World, sizes: &mut BTreeMap<String, (usize, usize)>, name: &str) {
    let (job, ticket) = (world.item("JOB#", "JOB").await, world.item("TICKET#", "TICKET").await);
    sizes.insert(name.into(), (size(&job), size(&ticket)));
}

#[tokio::test]
async fn usual_jobs_and_tickets_cost_one_write_unit() {
    let world = World::new().await;
    let sizes = usual_sizes(&world).await;
    println!("JOB and TICKET: {sizes:?}");
    for (state, (job, ticket)) in sizes {
        assert!(job <= 1_024, "JOB {state}: {job} bytes");
        assert!(ticket <= 1_024, "TICKET {state}: {ticket} bytes");
    }
}

fn wide_text(characters: usize) -> String {
    "\u{1f980}".repeat(characters)
}

fn largest_job() -> Job {
    let slug = "p".repeat(40);
    let failure = || {
        let (agent, exit, last_words) = (wide_text(500), wide_text(500), wide_text(500));
        Failure::AgentFailed { agent, exit, last_words }
    };
    let mut job = sample::job("one");
    job.project = ProjectId::new(slug.clone()).unwrap();
    job.integration = IntegrationId::new(slug).unwrap();
    job.ticket = Some(TicketKey::new(wide_text(64)).unwrap());
    job.branch = "b".repeat(120);
    // A job that revises a pull request never continues another one.
    let (number, branch) = (u64::MAX, "b".repeat(244));
    let review = Some(pullyard_domain::text::id::ReviewId::new(u64::MAX.to_string()).unwrap());
    job.revises = Some(RevisedPullRequest { number, branch, head: "f".repeat(64), review });
    job.repository = u64::MAX;
    let refused = DispatchFault::Refused { reason: wide_text(500), refusal: StartRefusal::Passing };
    job.rev = 1;
    let job = job.begin_dispatch(at(0)).unwrap().record_start_fault(1, 1, refused, at(0)).unwrap();
    let fault = job.dispatch.fault.clone();
    let mut job = job.claim(&sample::claim_by_task(&job, &"c".repeat(64)), at(0)).unwrap();
    // The claim clears the fault of the start; here it stays, next to the task's name.
    job.dispatch.task = job.run.as_ref().and_then(|run| run.task.clone());
    let task = job.dispatch.task.clone().unwrap();
    let job = job.record_container_stop(&task, failure(), at(0)).unwrap();
    let finish = sample::finish(&"f".repeat(64));
    let result = pullyard_domain::job::JobResult {
        branch: "b".repeat(244),
        url: format!("https://{}", "u".repeat(200)),
        replies: Some(Replies { answered: u32::MAX, failed: u32::MAX }),
        ..sample::result(u64::MAX)
    };
    let mut job = job.finish(&fence(&job), &finish, End::Failed(failure(), Some(result)), at(0)).unwrap();
    job.dispatch.fault = fault;
    // `cancel` stays empty: a failure and a result are larger and exclude it.
    job.retry_of = Some(job.id.clone());
    job.rev = 0;
    job
}

#[tokio::test]
async fn largest_job_and_ticket_stay_below_8_kib() {
    let world = World::new().await;
    let job = largest_job();
    assert!(matches!(&job.ended_by, Some(LastReport { finish: Some(_), .. })));
    world.expect_applied(world.store.create_job(&job_trigger(&job))).await;

    let link = pullyard_domain::review::pull_request::PullRequestLink {
        id: sample::result(u64::MAX).pull_request(&job.integration, u64::MAX),
        url: format!("https://{}", "u".repeat(200)),
        branch: "b".repeat(244),
    };
    let entry = pullyard_domain::ticket::Entry { at: at(0), event: EventId::new(wide_text(128)).unwrap() };
    let mut ticket = Ticket {
        project: job.project.clone(),
        key: TicketKey::new(wide_text(64)).unwrap(),
        status: wide_text(64),
        seen_event: Some(entry.event.clone()),
        written: Some(wide_text(64)),
        last_entry: Some(entry.clone()),
        again: Some(entry),
        active_job: Some(job.id.clone()),
        found_in: Some(wide_text(64)),
        last_job: Some(LastJob { id: job.id.clone(), outcome: LastOutcome::Completed }),
        not_before: Some(at(0)),
        ..sample::ticket("APP-1")
    };
    let to = StatusMove { to: Target::Completion, expected: wide_text(64) };
    ticket.request_state(Some(to), Some(Badge::AiFailed), Some(link.clone()));
    ticket.shown.badge = Some(Badge::AiFailed);
    ticket.shown.pull_request = Some(link);
    world.expect_applied(world.store.update_ticket(&ticket)).await;

    let (job, ticket) = (size(&world.item("JOB#", "JOB").await), size(&world.item("TICKET#", "TICKET").await));
    println!("largest JOB {job} bytes, largest TICKET {ticket} bytes");
    assert!(job <= 8 * 1_024, "{job}");
    assert!(ticket <= 8 * 1_024, "{ticket}");
}

#[tokio::test]
async fn largest_pull_request_review_and_ticket_stay_small() {
    let world = World::new().await;
    let slug = "p".repeat(40);
    let id =
        |number| PullRequestId { integration: IntegrationId::new(slug.clone()).unwrap(), repository: u64::MAX, number };
    let name = RepositoryName::new(format!("{}/{}", "o".repeat(39), "r".repeat(60))).unwrap();
    let author = "a".repeat(500);
    let reason = Reason::AuthorNotPermitted { author, repo: name.clone() }.clipped();
    let job = sample::job_id("one");
    let before = LastRevision::start(&job, at(0), None);
    let mut pull_request = PullRequest {
        url: format!("https://{}", "u".repeat(200)),
        branch: "b".repeat(244),
        head: "f".repeat(64),
        repository_name: Some(name),
        updated_at: Some(at(0)),
        revised: Some(LastRevision::start(&job, at(1), Some(before))),
        comment: Some(u64::MAX),
        not_before: Some(at(0)),
        job: Some(job),
        ..PullRequest::new(
            id(u64::MAX),
            ProjectId::new(slug.clone()).unwrap(),
            Some(TicketKey::new(wide_text(64)).unwrap()),
            None,
        )
    };
    pull_request.set_note(Note::Decision { reason: reason.clone() });
    world.expect_applied(world.store.update_pull_request(&pull_request)).await;

    let mut ticket = sample::ticket(&wide_text(64));
    ticket.project = pull_request.project.clone();
    for number in 0..pullyard_domain::ticket::MAX_DEFERRED as u64 {
        ticket = ticket.defer_review(&id(u64::MAX - number), at(0)).unwrap();
    }
    world.expect_applied(world.store.update_ticket(&ticket)).await;

    let review = Review {
        pull_request: id(u64::MAX),
        id: review_id(&"r".repeat(64)),
        project: pull_request.project.clone(),
        ticket: ticket.key.clone(),
        author: Author { id: u64::MAX, login: "a".repeat(48), bot: false },
        request: Some(RevisionRequest { message: Some(wide_text(MAX_MESSAGE_CHARS)) }),
        ..review("r1", ReviewState::Refused { reason, at: at(0) })
    };
    world.expect_applied(remember(&world.store, &review, &held_entry("r1"))).await;
    let pr = size(&world.item("PR#", "PR").await);
    let (ticket, review) = (size(&world.item("TICKET#", "TICKET").await), size(&world.item("PR#", "REVIEW#").await));
    println!("largest PR {pr} bytes, REVIEW {review}, TICKET that waits for ten {ticket}");
    assert!(pr <= 4 * 1_024, "{pr}");
    assert!(ticket <= 4 * 1_024, "{ticket}");
    // The user's message takes 16 KiB of these.
    assert!(review <= 20 * 1_024, "{review}");
}
