//! When a hook and a repository are looked after, and what a look of several rounds takes for seen.

use crate::world::{World, applied};
use pullyard_control::webhook::{Call, Received, receive};
use pullyard_control::{Error, poll_repository, recover_hook, set_ingress, set_secret};
use pullyard_domain::auth::Auth;
use pullyard_domain::hook::recovery::Look;
use pullyard_domain::hook::{Hook, Ingress, Poll, RECOVER_EVERY, poll_every};
use pullyard_domain::id::ProjectId;
use pullyard_domain::project::{Account, ForgeKind, Integration};
use pullyard_domain::pull_request::{PullRequest, PullRequestId};
use pullyard_domain::secret::SecretKind;
use pullyard_domain::time::Timestamp;
use pullyard_forge::webhook::Secret;
use pullyard_testkit::{Fault, Wire};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// A repository that nobody connected: what is open there is nobody's business, and comes last in the list.
const FOREIGN: u64 = 999;

fn poll(world: &World) -> Poll {
    let repository = world.repository();
    Poll {
        project: world.project.clone(),
        integration: repository.integration,
        repository: repository.id,
        ingress: Ingress::Poll,
        gone_at: None,
        next: world.ctx.clock.now(),
        look: Look::default(),
        tries: 0,
        not_before: None,
        rev: 0,
    }
}

/// Open pull requests of these repositories, so many of each.
async fn open(world: &World, each: [(u64, u64); 2]) {
    for (repository, count) in each {
        for number in 1..=count {
            let id = PullRequestId { integration: world.repository().integration, repository, number };
            let linked = PullRequest::linked(id, world.project.clone(), None, None);
            applied(world.ctx.store.update_pull_request(&linked).await);
        }
    }
}

/// A forge whose token somebody took away, with one repository: each of its pull requests is a problem.
async fn without_token(world: &World) {
    nowhere_connected(world).await;
    applied(world.ctx.store.put_repository(&world.repository()).await);
}

/// The forge alone, of which nothing is asked.
async fn nowhere_connected(world: &World) {
    nowhere_connected_as(world, ForgeKind::GitHub).await;
}

async fn nowhere_connected_as(world: &World, kind: ForgeKind) {
    let integration = Integration {
        id: world.repository().integration,
        kind,
        api_url: "http://127.0.0.1:9".into(),
        auth: Auth::Token { secret: "fleet/user/gone".into() },
        account: Account { id: 1, login: "pullyard-bot".into() },
    };
    applied(world.ctx.store.put_integration(&integration).await);
}

/// What is kept of the look after so many rounds, each when it is time, and when the first and the last one began.
async fn looked(world: &World, rounds: usize) -> (Vec<Look>, [Timestamp; 2]) {
    let (ctx, hook) = (&world.ctx, world.hook());
    applied(ctx.store.put_hook(&hook).await);
    let mut looks = Vec::new();
    let mut began = [ctx.clock.now(); 2];
    for round in 0..rounds {
        if round > 0 {
            ctx.clock.advance(RECOVER_EVERY + MINUTE);
        }
        began[1] = ctx.clock.now();
        recover_hook(ctx, &hook.name).await.unwrap();
        looks.push(ctx.store.hook(&hook.name).await.unwrap().unwrap().recovery.look);
    }
    (looks, began)
}

#[tokio::test]
async fn what_is_submitted_while_a_look_of_several_rounds_goes_on_is_looked_at_by_the_next() {
    let world = World::begin().await;
    without_token(&world).await;
    open(&world, [(FOREIGN, 20), (FOREIGN + 1, 1)]).await;
    let (looks, [first, last]) = looked(&world, 2).await;
    let [part, whole] = &looks[..] else { panic!("two rounds: {looks:?}") };
    assert!(part.since.is_none() && part.goes_on.is_some(), "{part:?}");
    assert_eq!((&whole.goes_on, &whole.problem), (&None, &None));
    // As far as it was seen when the first part was looked at, and not when the last one was.
    let since = whole.since.unwrap();
    assert!(first <= since && since < last, "{first} {since} {last}");
}

#[tokio::test]
async fn a_look_of_several_rounds_that_met_a_problem_in_the_first_takes_nothing_for_seen() {
    let world = World::begin().await;
    without_token(&world).await;
    let connected = world.repository().id;
    open(&world, [(connected, 20), (FOREIGN, 1)]).await;
    let (looks, _) = looked(&world, 2).await;
    let [part, whole] = &looks[..] else { panic!("two rounds: {looks:?}") };
    assert!(part.goes_on.is_some() && part.problem.is_some(), "{part:?}");
    assert_eq!(whole.goes_on, None, "the rest was looked at and had none");
    assert_eq!(whole.since, None, "{whole:?}");
    assert!(whole.problem.is_some(), "{whole:?}");
}

/// How many pull requests a look compares in two rounds, where the hook's further projects are `before` in the first
/// and `after` in the second. Each project has so many of them open, in a repository of its own.
async fn compared(open: [(&str, u64); 3], before: &[&str], after: &[&str]) -> usize {
    let world = World::begin().await;
    without_token(&world).await;
    let (ctx, mut hook) = (&world.ctx, world.hook());
    // The later a project's name, the earlier stands what it has open in a list.
    for ((project, count), repository) in open.into_iter().zip([FOREIGN, FOREIGN - 1, FOREIGN - 2]) {
        for number in 1..=count {
            let id = PullRequestId { integration: world.repository().integration, repository, number };
            let linked = PullRequest::linked(id, ProjectId::new(project).unwrap(), None, None);
            applied(ctx.store.update_pull_request(&linked).await);
        }
    }
    let others = |ids: &[&str]| ids.iter().map(|id| ProjectId::new(*id).unwrap()).collect::<Vec<_>>();
    hook.others = others(before);
    applied(ctx.store.put_hook(&hook).await);
    let first = recover_hook(ctx, &hook.name).await.unwrap().pull_requests;
    ctx.clock.advance(RECOVER_EVERY + MINUTE);
    let stored = ctx.store.hook(&hook.name).await.unwrap().unwrap();
    assert!(stored.recovery.look.goes_on.is_some(), "{stored:?}");
    applied(ctx.store.put_hook(&Hook { others: others(after), ..stored }).await);
    let second = recover_hook(ctx, &hook.name).await.unwrap().pull_requests;
    let stored = ctx.store.hook(&hook.name).await.unwrap().unwrap();
    assert!(stored.recovery.look.since.is_some(), "it was whole: {stored:?}");
    first + second
}

#[tokio::test]
async fn a_look_leaves_no_project_out_though_those_of_its_hook_change_between_two_rounds() {
    let three = [("acme", 10), ("b", 11), ("c", 12)];
    assert_eq!(compared(three, &["b", "c"], &["c"]).await, 33, "one that was compared is gone");
    assert_eq!(compared(three, &["c", "b"], &["b", "c"]).await, 33, "they stand in another order");
    // The first round ends within the list of one that is gone then.
    let long = [("acme", 10), ("b", 25), ("c", 12)];
    assert_eq!(
        compared(long, &["b", "c"], &["c"]).await,
        10 + 20 + 12,
        "where its list goes on says nothing of another"
    );
}

/// Whether a message that it may be time has the repository looked at.
async fn polls(change: impl FnOnce(&mut Poll, Timestamp)) -> bool {
    let world = World::begin().await;
    nowhere_connected(&world).await;
    let mut poll = poll(&world);
    change(&mut poll, world.ctx.clock.now());
    applied(world.ctx.store.put_poll(&poll).await);
    let stored = async || {
        let Poll { project, integration, repository, .. } = &poll;
        world.ctx.store.poll(project, integration, *repository).await.unwrap().unwrap()
    };
    let before = stored().await;
    poll_repository(&world.ctx, &poll.project, &poll.integration, poll.repository).await.unwrap();
    let after = stored().await;
    assert_eq!(after.rev > before.rev, after.look.since.is_some(), "{after:?}");
    after.rev > before.rev
}

#[tokio::test]
async fn a_repository_is_looked_at_when_it_is_time_and_never_where_a_hook_tells_of_it_or_it_is_gone() {
    assert!(polls(|_, _| ()).await);
    assert!(!polls(|poll, now| poll.next = now.plus(MINUTE)).await, "a message that came twice");
    assert!(!polls(|poll, now| poll.not_before = Some(now.plus(MINUTE))).await, "it was put off");
    assert!(!polls(|poll, now| poll.gone_at = Some(now)).await);
    assert!(!polls(|poll, _| poll.ingress = Ingress::Webhook).await);
}

#[tokio::test]
async fn a_repository_is_looked_at_again_when_its_forge_allows_for_it_also_where_the_look_could_not_end() {
    for kind in [ForgeKind::GitHub, ForgeKind::Bitbucket] {
        let wire = Wire::default();
        let world = World::before(wire.clone()).await;
        nowhere_connected_as(&world, kind).await;
        let poll = poll(&world);
        applied(world.ctx.store.put_poll(&poll).await);
        let Poll { project, integration, repository, .. } = &poll;
        for breaks in [true, false] {
            let least = world.ctx.clock.now().plus(poll_every(kind));
            if breaks {
                // Which pull requests are open is asked after that the round began was written down.
                wire.next("Query", Fault::error(400, "AccessDenied"));
            }
            let polled = poll_repository(&world.ctx, project, integration, *repository).await;
            assert_eq!(polled.is_err(), breaks, "{kind:?}");
            let most = world.ctx.clock.now().plus(poll_every(kind));
            let next = world.ctx.store.poll(project, integration, *repository).await.unwrap().unwrap().next;
            assert!(least <= next && next <= most, "{kind:?} {breaks}: {next} and not {least} to {most}");
            world.ctx.clock.advance(RECOVER_EVERY + MINUTE);
        }
    }
}

#[tokio::test]
async fn a_repository_that_was_taken_for_gone_is_looked_at_again_once_somebody_has_it_looked_at() {
    let world = World::begin().await;
    nowhere_connected(&world).await;
    let ctx = &world.ctx;
    let now = ctx.clock.now();
    let gone = Poll { ingress: Ingress::Webhook, gone_at: Some(now), next: now.plus(MINUTE), ..poll(&world) };
    applied(ctx.store.put_poll(&gone).await);
    let wanted = set_ingress(ctx, &world.repository(), Ingress::Poll).await.unwrap();
    assert_eq!((wanted.ingress, wanted.gone_at), (Ingress::Poll, None));
    assert!(wanted.look.since.is_some_and(|since| since >= now), "what was submitted before is left alone: {wanted:?}");
    poll_repository(ctx, &wanted.project, &wanted.integration, wanted.repository).await.unwrap();
    let looked = ctx.store.poll(&wanted.project, &wanted.integration, wanted.repository).await.unwrap().unwrap();
    assert!(looked.rev > wanted.rev, "{looked:?}");
    // Whoever says it once more takes nothing back.
    assert_eq!(set_ingress(ctx, &world.repository(), Ingress::Poll).await.unwrap(), looked);
}

/// Whether a message that it may be time has the hook looked after.
async fn recovers(change: impl FnOnce(&mut Hook, Timestamp)) -> bool {
    let world = World::begin().await;
    without_token(&world).await;
    let mut hook = world.hook();
    change(&mut hook, world.ctx.clock.now());
    applied(world.ctx.store.put_hook(&hook).await);
    recover_hook(&world.ctx, &hook.name).await.unwrap();
    world.ctx.store.hook(&hook.name).await.unwrap().unwrap().recovery.look.since.is_some()
}

#[tokio::test]
async fn a_hook_is_looked_after_when_it_is_time_and_not_once_more_for_a_message_that_came_twice() {
    assert!(recovers(|_, _| ()).await);
    assert!(!recovers(|hook, now| hook.recovery.next = now.plus(MINUTE)).await);
    assert!(!recovers(|hook, now| hook.not_before = Some(now.plus(MINUTE))).await);
}

/// A hook and a repository without one that are due at the same forge.
struct Both {
    world: World,
    hook: Hook,
    poll: Poll,
}

impl Both {
    async fn of_a_forge() -> (Wire, Self) {
        let wire = Wire::default();
        let world = World::before(wire.clone()).await;
        nowhere_connected(&world).await;
        let (hook, poll) = (world.hook(), poll(&world));
        applied(world.ctx.store.put_hook(&hook).await);
        applied(world.ctx.store.put_poll(&poll).await);
        (wire, Self { world, hook, poll })
    }

    async fn after_hook(&self) -> Result<(), Error> {
        recover_hook(&self.world.ctx, &self.hook.name).await.map(drop)
    }

    async fn polled(&self) -> Result<(), Error> {
        let Poll { project, integration, repository, .. } = &self.poll;
        poll_repository(&self.world.ctx, project, integration, *repository).await
    }

    async fn stored(&self) -> (Hook, Poll) {
        let store = &self.world.ctx.store;
        let Poll { project, integration, repository, .. } = &self.poll;
        let hook = store.hook(&self.hook.name).await.unwrap().unwrap();
        (hook, store.poll(project, integration, *repository).await.unwrap().unwrap())
    }
}

#[tokio::test]
async fn a_hook_and_a_repository_that_no_repeat_can_look_at_are_left_alone_for_longer_each_time() {
    let (wire, both) = Both::of_a_forge().await;
    let ctx = &both.world.ctx;
    let stored = async || {
        let (hook, poll) = both.stored().await;
        let looked = [hook.recovery.look.since, poll.look.since].into_iter().flatten().count();
        (
            [(hook.tries, hook.not_before), (poll.tries, poll.not_before)],
            looked,
            [hook.recovery.problem, poll.look.problem],
        )
    };
    for (times, rest) in [(1, MINUTE), (2, MINUTE * 2)] {
        let least = ctx.clock.now().plus(rest);
        wire.next("GetItem", Fault::error(400, "AccessDenied"));
        assert!(both.after_hook().await.is_err());
        wire.next("GetItem", Fault::error(400, "AccessDenied"));
        assert!(both.polled().await.is_err());
        // The same messages again: nothing is due.
        both.after_hook().await.unwrap();
        both.polled().await.unwrap();
        let most = ctx.clock.now().plus(rest);
        let (put_off, looked, problems) = stored().await;
        for (tries, not_before) in put_off {
            assert_eq!(tries, times);
            assert!(not_before.is_some_and(|at| least <= at && at <= most), "{not_before:?}: {least} to {most}");
        }
        assert_eq!(looked, 0);
        for problem in problems {
            assert!(problem.as_deref().is_some_and(|problem| problem.contains("AccessDenied")), "{problem:?}");
        }
        ctx.clock.advance(rest);
    }
    both.after_hook().await.unwrap();
    both.polled().await.unwrap();
    assert_eq!(stored().await, ([(0, None); 2], 2, [None, None]));
}

#[tokio::test]
async fn a_hook_and_a_repository_whose_look_begins_and_can_not_end_are_left_alone_for_longer_each_time_too() {
    let (wire, both) = Both::of_a_forge().await;
    let ctx = &both.world.ctx;
    let tries = async || {
        let (hook, poll) = both.stored().await;
        [hook.tries, poll.tries]
    };
    for times in 1..=3 {
        // Which pull requests are open is asked after that the round began was written down.
        wire.next("Query", Fault::error(400, "AccessDenied"));
        assert!(both.after_hook().await.is_err());
        wire.next("Query", Fault::error(400, "AccessDenied"));
        assert!(both.polled().await.is_err());
        assert_eq!(tries().await, [times; 2]);
        ctx.clock.advance(RECOVER_EVERY + MINUTE);
    }
    both.after_hook().await.unwrap();
    both.polled().await.unwrap();
    assert_eq!(tries().await, [0; 2]);
}

const SIGNS_WITH: &str = "what the forge signs with";

/// Its forge says what it calls the hook.
async fn pinged(world: &World, hook: &Hook) -> Received {
    let body = br#"{"zen":"Keep it logically awesome.","hook_id":7,"hook":{}}"#;
    let signature = Secret::new(SIGNS_WITH).sign(body);
    let call = Call {
        forge: hook.forge,
        hook: hook.name.as_str(),
        event: "ping",
        delivery: None,
        signature: Some(&signature),
        body: &body[..],
    };
    receive(&world.ctx, &call).await.unwrap()
}

/// Without it the forge has no list that could be read, and no other ping comes by itself.
#[tokio::test]
async fn a_hook_that_others_change_while_its_first_ping_comes_learns_its_id_all_the_same() {
    let wire = Wire::default();
    let world = World::before(wire.clone()).await;
    let (ctx, hook) = (&world.ctx, world.hook());
    applied(ctx.store.put_hook(&hook).await);
    set_secret(ctx, SecretKind::Forge, &hook.secret, SIGNS_WITH).await.unwrap();
    wire.restart(None);
    wire.next("PutItem", Fault::error(400, "ConditionalCheckFailedException"));
    assert_eq!(pinged(&world, &hook).await, Received::Pong);
    assert_eq!(wire.calls("PutItem"), 3, "the hook twice, and its ledger entry");
    assert_eq!(ctx.store.hook(&hook.name).await.unwrap().unwrap().forge_id, Some(7));
}
