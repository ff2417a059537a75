//! Tests 64 concurrent writers of reviews, of one kind or of two kinds.

use crate::races::{RACERS, race, winner};
use crate::reviews::{self, Revising, absorbed, held, id, refused, remember, review, review_id, waits, waits_for};
use crate::sample::{self, at};
use crate::world::{Ending, World};
use pullyard_domain::job::{Cancel, DesiredState, Job};
use pullyard_domain::outcome::{pull_request_after_revision, ticket_after_job};
use pullyard_domain::pull_request::{PullRequest, PullRequestState};
use pullyard_domain::review::{Review, ReviewState, covered_reviews};
use pullyard_store::Write;
use std::sync::Arc;

async fn linked() -> Arc<World> {
    Arc::new(World::with_linked().await)
}

/// All items of the end of an unclaimed revise job.
async fn giving_up(world: &World, job: &Job) -> Ending {
    let before = world.job(job).await;
    let ended = before.fail(before.context_failure(1), at(300)).unwrap();
    Ending {
        attempt: None,
        ticket: Some(ticket_after_job(&ended, &world.ticket("APP-1").await)),
        pull_request: Some(pull_request_after_revision(&ended, &world.pull_request().await)),
        returned: ended.refund(),
        before,
        job: ended,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_deliveries_of_one_review_create_one_job() {
    let world = linked().await;
    let revising = Arc::new(Revising::of(&world, "r1").await);
    let answers = race(&world, |world, _| {
        let revising = Arc::clone(&revising);
        async move { revising.direct(&world.store).await }
    })
    .await;
    winner(&answers);
    assert_eq!(world.ticket("APP-1").await.active_job.as_ref(), Some(&revising.job.id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_reviews_creates_the_job_of_a_free_ticket() {
    let world = linked().await;
    let mut each = Vec::new();
    for number in 0..RACERS {
        each.push(Arc::new(Revising::of(&world, &format!("r{number}")).await));
    }
    let answers = race(&world, |world, number| {
        let revising = Arc::clone(&each[number]);
        async move { revising.direct(&world.store).await }
    })
    .await;
    let won = &each[winner(&answers)];
    assert_eq!(world.ticket("APP-1").await.active_job.as_ref(), Some(&won.job.id));
    assert_eq!(world.store.reviews(&id()).await.unwrap(), vec![won.review.clone()]);
    world.whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_reviews_during_a_job_are_all_remembered() {
    let (world, job) = World::with_busy().await;
    let world = Arc::new(world);
    let before = world.ticket("APP-1").await;
    let answers = race(&world, |world, number| {
        let job = job.clone();
        async move {
            let name = format!("n{number}");
            world.store.wait_for_job(&waits_for(&waits(&name), &held(&name), &job)).await
        }
    })
    .await;
    assert!(answers.iter().all(|answer| *answer == Write::Applied));
    let reviews = world.store.reviews(&id()).await.unwrap();
    let waiting = reviews.iter().filter(|review| review.state == ReviewState::Deferred {}).count();
    assert_eq!((reviews.len(), waiting), (RACERS + 1, RACERS));
    let after = world.ticket("APP-1").await;
    assert_eq!(after.deferred.len(), 1);
    world.check_raised(after.rev - before.rev, RACERS as u64);
    world.whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn review_is_remembered_once_by_many_callers() {
    let world = linked().await;
    let marked = world.ticket("APP-1").await.schedule_review(&id(), at(500));
    let answers = race(&world, |world, _| {
        let marked = marked.clone();
        async move { world.store.remember_review(&waits("r1"), &held("r1"), &marked).await }
    })
    .await;
    winner(&answers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn job_end_and_racing_reviews_never_miss_each_other() {
    let (world, job) = World::with_busy().await;
    let job = world.store.job(&job).await.unwrap().unwrap();
    let ending = Arc::new(giving_up(&world, &job).await);
    let world = Arc::new(world);
    let answers = race(&world, |world, number| {
        let (ending, job) = (Arc::clone(&ending), job.id.clone());
        async move {
            let name = format!("n{number}");
            match number {
                0 => world.store.end(&ending.ended()).await,
                _ => world.store.wait_for_job(&waits_for(&waits(&name), &held(&name), &job)).await,
            }
        }
    })
    .await;
    let (ended, marks) = (answers[0], answers[1..].iter().filter(|answer| **answer == Write::Applied).count());
    let after = world.ticket("APP-1").await;
    match ended {
        // No racer marked a ticket without an active job, and the end had read no mark.
        Write::Applied => assert_eq!((marks, after.active_job, after.deferred.len()), (0, None, 0)),
        Write::Stale => assert_eq!((marks, after.active_job, after.deferred.len()), (RACERS - 1, Some(job.id), 1)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redelivered_review_during_an_end_waits_with_its_mark() {
    let (world, job) = World::with_busy().await;
    world.applies(world.store.take_review(&review("n1", refused()), None)).await;
    let job = world.store.job(&job).await.unwrap().unwrap();
    let ending = Arc::new(giving_up(&world, &job).await);
    let world = Arc::new(world);
    let answers = race(&world, |world, number| {
        let (ending, job) = (Arc::clone(&ending), job.id.clone());
        async move {
            let (anew, entry) = (Review { version: 1, ..waits("n1") }, held("n1"));
            match number {
                0 => world.store.end(&ending.ended()).await,
                _ => world.store.wait_for_job(&waits_for(&anew, &entry, &job)).await,
            }
        }
    })
    .await;
    let waiting = answers[1..].iter().filter(|answer| **answer == Write::Applied).count();
    let (after, state) = (world.ticket("APP-1").await, world.state("n1").await);
    match answers[0] {
        Write::Applied => assert_eq!((waiting, after.deferred.len(), state), (0, 0, refused())),
        // The end had not read the mark, so it is decided again.
        Write::Stale => assert_eq!((waiting, after.deferred.len(), state), (1, 1, ReviewState::Deferred {})),
    }
    world.whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn review_absorbed_during_a_start_is_covered_by_that_job() {
    for _ in 0..3 {
        let world = linked().await;
        world.remembers(&["r1", "r2"]).await;
        let revising = Arc::new(Revising::of(&world, "r2").await);
        let answers = race(&world, |world, number| {
            let revising = Arc::clone(&revising);
            async move {
                match number % 2 {
                    0 => revising.settled(&world.store).await,
                    _ => world.store.absorb_reviews(&id(), &review_id("r2"), &[review_id("r1")]).await,
                }
            }
        })
        .await;
        let won = |odd: usize| {
            answers.iter().enumerate().filter(|(at, answer)| at % 2 == odd && **answer == Write::Applied).count()
        };
        let all = world.store.reviews(&id()).await.unwrap();
        let covers = covered_reviews(&revising.job.id, &all).len();
        assert_eq!((won(0), covers), (1, 1 + won(1)), "{all:?}");
        let state = if won(1) == 1 { absorbed("r2") } else { ReviewState::Deferred {} };
        assert_eq!(world.state("r1").await, state);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn absorbing_and_refusing_the_newest_exclude_each_other() {
    let world = linked().await;
    world.remembers(&["r1", "r2"]).await;
    let answers = race(&world, |world, number| async move {
        match number % 2 {
            0 => world.store.refuse_review(&waits("r2"), &refused()).await,
            _ => world.store.absorb_reviews(&id(), &review_id("r2"), &[review_id("r1")]).await,
        }
    })
    .await;
    let states = (world.state("r1").await, world.state("r2").await);
    let first = answers.iter().filter(|answer| **answer == Write::Applied).count();
    assert_eq!(first, 1, "one of the two writes makes the other stale");
    let waits = ReviewState::Deferred {};
    assert!(states == (waits.clone(), refused()) || states == (absorbed("r2"), waits), "{states:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stale_settle_never_removes_the_mark() {
    let world = linked().await;
    let seen = world.ticket("APP-1").await.schedule_review(&id(), at(0));
    world.applies(world.store.update_ticket(&seen)).await;
    let seen = world.ticket("APP-1").await;
    let answers = race(&world, |world, number| {
        let seen = seen.clone();
        async move {
            match number % 2 {
                0 => world.store.update_ticket(&seen.clear_deferred(&id())).await,
                _ => world.store.update_ticket(&seen.schedule_review(&id(), at(0))).await,
            }
        }
    })
    .await;
    let marked = winner(&answers) % 2 == 1;
    assert_eq!(world.ticket("APP-1").await.has_deferred(&id()), marked, "only the winner changed the mark");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn unknown_review_is_taken_or_remembered_once() {
    let (world, job) = World::with_busy().await;
    let world = Arc::new(world);
    let answers = race(&world, |world, number| {
        let started = review("n1", ReviewState::Started { job: job.clone() });
        async move {
            match number % 2 {
                0 => world.store.take_review(&started, None).await,
                _ => remember(&world.store, &waits("n1"), &held("n1")).await,
            }
        }
    })
    .await;
    let expected = [ReviewState::Started { job }, ReviewState::Deferred {}];
    assert_eq!(world.state("n1").await, expected[winner(&answers) % 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn absorbed_review_is_refused_or_covered_with_its_newest() {
    let world = linked().await;
    world.remembers(&["r1", "r2"]).await;
    world.applies(world.store.absorb_reviews(&id(), &review_id("r2"), &[review_id("r1")])).await;
    let read = async |name: &str| world.store.review(&id(), &review_id(name)).await.unwrap().unwrap();
    let (older, newest) = (read("r1").await, read("r2").await);
    // The version of the stored review: absorbing has raised it.
    let revising = Revising::of(&world, "r2").await;
    let revising = Arc::new(Revising { review: Review { version: newest.version, ..revising.review }, ..revising });
    let answers = race(&world, |world, number| {
        let (older, newest, revising) = (older.clone(), newest.clone(), Arc::clone(&revising));
        async move {
            match number % 2 {
                0 => revising.settled(&world.store).await,
                _ => world.store.refuse_with(&newest, &[&older], &refused()).await,
            }
        }
    })
    .await;
    let won = |odd: usize| answers.iter().skip(odd).step_by(2).filter(|answer| **answer == Write::Applied).count();
    assert_eq!(won(0), 1, "the newest review got its job");
    let all = world.store.reviews(&id()).await.unwrap();
    match world.state("r1").await {
        state if state == refused() => assert_eq!((won(1), covered_reviews(&revising.job.id, &all).len()), (1, 1)),
        state => assert_eq!((state, won(1), covered_reviews(&revising.job.id, &all).len()), (absorbed("r2"), 0, 2)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn edit_mark_is_never_overwritten() {
    let world = linked().await;
    world.remembers(&["r1"]).await;
    let revising = Arc::new(Revising::of(&world, "r1").await);
    let answers = race(&world, |world, number| {
        let revising = Arc::clone(&revising);
        async move {
            match number % 2 {
                0 => revising.settled(&world.store).await,
                _ => world.store.note_review_edited(&id(), &review_id("r1"), &sample::project()).await,
            }
        }
    })
    .await;
    let edits = answers.iter().skip(1).step_by(2).filter(|answer| **answer == Write::Applied).count();
    assert_eq!(edits, RACERS / 2);
    let stored = world.store.review(&id(), &review_id("r1")).await.unwrap().unwrap();
    assert!(stored.edited && stored.state == revising.review.state, "{stored:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_pull_request_updates_is_stored() {
    let world = linked().await;
    let seen = world.pull_request().await;
    let changed = |number: usize| PullRequest { head: format!("{number:040x}"), ..reviews::linked() };
    let answers = race(&world, |world, number| {
        let next = PullRequest { rev: seen.rev, ..changed(number) };
        async move { world.store.update_pull_request(&next).await }
    })
    .await;
    assert_eq!(world.pull_request().await, PullRequest { rev: seen.rev + 1, ..changed(winner(&answers)) });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_call_offs_closes_the_pull_request() {
    let world = linked().await;
    let (job, seen) = (world.created("one").await, world.pull_request().await);
    let by = |number: usize| Cancel::new(&format!("ann-{number}"), None, at(9));
    let head = |number: usize| format!("{number:040x}");
    let answers = race(&world, |world, number| {
        let next = Job { want: DesiredState::Cancel, cancel: Some(by(number)), ..job.clone() };
        let closed = PullRequest { state: PullRequestState::Closed, head: head(number), ..seen.clone() };
        async move { world.store.call_off(&next, &closed).await }
    })
    .await;
    let won = winner(&answers);
    assert_eq!(world.job(&job).await.cancel, Some(by(won)));
    let closed = world.pull_request().await;
    assert_eq!((closed.state, closed.head), (PullRequestState::Closed, head(won)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_links_sets_pull_request_and_ticket() {
    let world = Arc::new(World::new().await);
    let answers = race(&world, |world, number| async move {
        let mut ticket = sample::ticket("APP-1");
        ticket.branches = u32::try_from(number).expect("the racer's number fits into u32");
        let link = PullRequest { head: format!("{number:040x}"), ..reviews::linked() };
        world.store.link_pull_request(&link, &ticket).await
    })
    .await;
    let won = winner(&answers);
    assert_eq!(world.pull_request().await.head, format!("{won:040x}"));
    assert_eq!(world.ticket("APP-1").await.branches as usize, won);
}
