//! Tests writes that succeed once and mostly have one item, in the same forms as the transactions.

use super::check;
use crate::artifacts::artifacts;
use crate::breakers::open_breaker;
use crate::prelude::*;
use crate::reviews::refused_state;
use crate::sample;
use crate::world::World;
use pullyard_domain::agent::breaker::Breaker;
use pullyard_domain::job::artifact::Artifacts;
use pullyard_domain::run::notice::NoticeRecord;
use pullyard_store::{Error, Rotation};

async fn empty() -> (World, ()) {
    (World::new().await, ())
}

async fn check_revisions(write: impl AsyncFn(&World, u64) -> Result<Write, Error>) {
    for rev in 0..2 {
        let prepare = async || {
            let world = World::new().await;
            if rev == 1 {
                world.expect_applied(write(&world, 0)).await;
            }
            (world, rev)
        };
        check(prepare, async |world, rev: &u64| write(world, *rev).await, (1, &[])).await;
    }
}

#[tokio::test]
async fn setting_is_written_only_over_the_rev_read() {
    check_revisions(async |world, rev| {
        world.store.put_project(&Project { rev, ..sample::project_with_id("acme") }).await
    })
    .await;
    check_revisions(async |world, rev| world.store.put_poll(&sample::poll(rev)).await).await;
    check_revisions(async |world, rev| world.store.put_schedule(&sample::schedule(rev), None).await).await;
    check_revisions(async |world, rev| world.store.put_template(&sample::template(rev)).await).await;
    check_revisions(async |world, rev| world.store.put_endpoint_state(&sample::endpoint_state(rev)).await).await;
    check_revisions(async |world, rev| world.store.put_host_rest(&sample::host_rest(rev)).await).await;
    check_revisions(async |world, rev| world.store.put_ticket_look(&sample::ticket_look(rev)).await).await;
    check_revisions(async |world, rev| world.store.record_notice(&sample::notice(rev).into()).await).await;
    check_revisions(async |world, rev| world.store.put_tracker(&sample::tracker(rev)).await).await;
    check_revisions(async |world, rev| world.store.put_hook(&Webhook { rev, ..hook("acme") }).await).await;
    check_revisions(async |world, rev| world.store.put_secret_projects(&sample::secret_projects(rev, &["acme"])).await)
        .await;
    check_revisions(async |world, rev| world.store.put_secret_record(&sample::secret_record(rev)).await).await;
    check_revisions(async |world, rev| {
        let rotation = Rotation { secret: "s".into(), previous: "v1".into(), until: at(9), rev };
        world.store.put_rotation(&rotation).await
    })
    .await;
}

#[tokio::test]
async fn step_of_a_notice_is_refused_by_each_changed_item() {
    for rev in 0..2 {
        let prepare = async || {
            let world = World::new().await;
            world.expect_applied(world.store.record_notice(&sample::notice(0).into())).await;
            if rev == 1 {
                world.expect_applied(world.store.put_endpoint_state(&sample::endpoint_state(0))).await;
            }
            (world, ())
        };
        let (notice, state) = (sample::notice(1), Some(sample::endpoint_state(rev)));
        let record = NoticeRecord { notice, state, other: Some(sample::other_notice()) };
        let write = async |world: &World, (): &()| world.store.record_notice(&record).await;
        check(prepare, write, (3, &[])).await;
    }
}

#[tokio::test]
async fn pause_of_a_schedule_is_refused_by_each_changed_item() {
    let prepare = async || {
        let world = World::new().await;
        world.expect_applied(world.store.put_schedule(&sample::schedule(0), None)).await;
        (world, ())
    };
    let write =
        async |world: &World, (): &()| world.store.put_schedule(&sample::schedule(1), Some(&sample::notice(0))).await;
    check(prepare, write, (2, &[])).await;
}

#[tokio::test]
async fn record_of_a_job_is_written_only_over_the_rev_read() {
    check_revisions(async |world, rev| world.store.put_artifacts(&Artifacts { rev, ..artifacts(&["a.txt"]) }).await)
        .await;
    check_revisions(async |world, rev| world.store.update_ticket(&Ticket { rev, ..sample::ticket("APP-1") }).await)
        .await;
    check_revisions(async |world, rev| {
        world.store.update_pull_request(&PullRequest { rev, ..linked_pull_request() }).await
    })
    .await;
}

#[tokio::test]
async fn item_without_a_rev_is_created_once() {
    let (forge, repository) = (sample::forge("gh1"), sample::repository(99, "acme/app"));
    check(empty, async |world, (): &()| world.store.put_integration(&forge).await, (1, &[])).await;
    let named = async || {
        let world = World::new().await;
        world.expect_applied(world.store.put_repository(&repository, None)).await;
        (world, sample::repository(99, "acme/web"))
    };
    let names = &["REPONAME#", "REPONAME#"];
    check(named, async |world, next| world.store.rename_repository(&repository, next).await, (1, names)).await;
    let decision = sample::accepted_decision(&sample::job("one"));
    check(empty, async |world, (): &()| world.store.record_delivery(&decision).await, (1, &[])).await;
    let job = sample::job_id("one");
    let batch = EventBatch { job: &job, attempt: 1, first: 1, at: at(0), events: &["event"] };
    check(empty, async |world, (): &()| world.store.create_event_batch(&batch).await, (1, &[])).await;
    check(empty, async |world, (): &()| world.store.link_if_absent(&linked_pull_request()).await, (1, &[])).await;
}

#[tokio::test]
async fn comment_is_written_only_over_the_ticket_and_text_read() {
    let with_ticket = async || {
        let world = World::new().await;
        world.expect_applied(world.store.update_ticket(&sample::ticket("APP-1"))).await;
        let (ticket, number) = world.ticket("APP-1").await.add_comment().unwrap();
        (world, (ticket, sample::comment(number)))
    };
    let request = sample::request("one", at(0));
    for (request, count) in [(None, 2), (Some(&request), 3)] {
        let add = async |world: &World, (ticket, comment): &(Ticket, Comment)| {
            world.store.create_comment(&CommentCreation { ticket, comment, request }).await
        };
        check(with_ticket, add, (count, &[])).await;
    }
    let with_comment = async || {
        let (world, (ticket, comment)) = with_ticket().await;
        let creation = CommentCreation { ticket: &ticket, comment: &comment, request: None };
        world.expect_applied(world.store.create_comment(&creation)).await;
        (world, Comment { rev: 1, text: "Use spaces.".into(), ..comment })
    };
    check(with_comment, async |world, comment: &Comment| world.store.update_comment(comment).await, (1, &[])).await;
}

#[tokio::test]
async fn token_is_created_once_and_replaces_the_first_token_read() {
    let [one, two] = ["one", "two"].map(|name| sample::token(name, name));
    check(empty, async |world, (): &()| world.store.use_sign_in("one", at(600)).await, (1, &[])).await;
    check(empty, async |world, (): &()| world.store.put_token(&one).await, (1, &[])).await;
    check(empty, async |world, (): &()| world.store.put_first_token(&one, None).await, (2, &[])).await;
    let prepare = async || {
        let world = World::new().await;
        world.expect_applied(world.store.put_first_token(&one, None)).await;
        (world, ())
    };
    check(prepare, async |world, (): &()| world.store.put_first_token(&two, Some("one")).await, (3, &[])).await;
}

#[tokio::test]
async fn breaker_is_opened_once_and_extended_as_read() {
    let prepare = async || {
        let world = World::new().await;
        let stored = open_breaker(&world, "codex").await;
        (world, stored)
    };
    let longer = async |world: &World, stored: &Breaker| {
        let longer = Breaker { until: at(9_000), ..stored.clone() };
        world.store.put_breaker(&longer, Some(stored)).await
    };
    check(prepare, longer, (1, &[])).await;
    let (_, stored) = prepare().await;
    let new = Breaker { rev: 0, ..stored };
    check(empty, async |world, (): &()| world.store.put_breaker(&new, None).await, (1, &[])).await;
}

#[tokio::test]
async fn job_is_updated_and_claimed_only_as_read() {
    let ready = async || {
        let world = World::new().await;
        let job = world.create_ticket_job("APP-1").await;
        (world, job)
    };
    let dispatch = async |world: &World, job: &Job| world.store.update_job(&job.begin_dispatch(at(1)).unwrap()).await;
    check(ready, dispatch, (1, &[])).await;
    let by_task = async |world: &World, job: &Job| {
        world.store.claim_job(&job.claim(&sample::claim_by_task(job, "c1"), at(60)).unwrap()).await
    };
    check(ready, by_task, (1, &[])).await;
    let with_runner = async || {
        let (world, job) = ready().await;
        world.register_runner(&sample::runner("kite", 2)).await;
        (world, job)
    };
    let by_runner = async |world: &World, job: &Job| {
        let claim = sample::claim_by(&sample::runner("kite", 2), job, "c1");
        world.store.claim_job(&job.claim(&claim, at(60)).unwrap()).await
    };
    check(with_runner, by_runner, (1, &["RUNNERS#"])).await;
}

#[tokio::test]
async fn runner_is_registered_once_and_taken_over_as_read() {
    let runner = sample::runner("kite", 2);
    let profile = sample::profile(&runner, "kite");
    let beside: &[&str] = &["RUNNER#", "NAME#"];
    check(
        empty,
        async |world, (): &()| world.store.register_runner(&first_registration(&runner, &profile)).await,
        (1, beside),
    )
    .await;
    let take_over = async |world: &World, seen: &Runner| {
        let next = Runner { epoch: 2, ..seen.clone() };
        world
            .store
            .register_runner(&RegistrationWrite { previous: Some(seen), ..first_registration(&next, &profile) })
            .await
    };
    check(registered_runner, take_over, (1, beside)).await;
}

async fn registered_runner() -> (World, Runner) {
    let world = World::new().await;
    let runner = world.register_runner(&sample::runner("kite", 2)).await;
    (world, runner)
}

#[tokio::test]
async fn runner_goes_offline_or_away_and_loses_a_slot_once() {
    check(registered_runner, async |world, seen| world.store.mark_offline(seen, &marked_offline(seen)).await, (1, &[]))
        .await;
    check(registered_runner, async |world, seen| world.store.begin_removal(seen).await, (1, &[])).await;
    let order = sample::order("o1", OrderState::Wanted);
    check(registered_runner, async |world, seen| world.store.set_order(seen, &order).await, (1, &[])).await;
}

#[tokio::test]
async fn review_is_taken_once_from_each_state() {
    check(empty, async |world, (): &()| world.store.assign_review(&waiting_review("r1"), None).await, (1, &[])).await;
    let had = sample::job_id("j1");
    for (state, from) in [(refused_state(), None), (ReviewState::Started { job: had.clone() }, Some(&had))] {
        let prepare = async || {
            let world = World::new().await;
            world.expect_applied(world.store.assign_review(&review("r1", state.clone()), None)).await;
            (world, Review { version: 1, ..review("r1", ReviewState::Started { job: sample::job_id("j2") }) })
        };
        check(prepare, async |world, next| world.store.assign_review(next, from).await, (1, &[])).await;
    }
}

#[tokio::test]
async fn waiting_reviews_are_absorbed_refused_and_concluded_once() {
    let prepare = async || {
        let world = World::with_linked().await;
        world.remember_reviews(&["r1", "r2"]).await;
        (world, ())
    };
    let absorb = async |world: &World, (): &()| {
        world.store.absorb_reviews(&pull_request_id(), &review_id("r2"), &[review_id("r1")]).await
    };
    check(prepare, absorb, (2, &[])).await;
    check(
        prepare,
        async |world, (): &()| world.store.refuse_review(&waiting_review("r1"), &refused_state()).await,
        (1, &[]),
    )
    .await;
    let refuse = async |world: &World, (): &()| {
        world.store.refuse_absorbed_reviews(&waiting_review("r2"), &[&waiting_review("r1")], &refused_state()).await
    };
    check(prepare, refuse, (2, &[])).await;
    let covered = Conclusion::Job(sample::job_id("j1"));
    check(prepare, async |world, (): &()| world.store.conclude_review(&held_entry("r1").id, &covered).await, (1, &[]))
        .await;
}
