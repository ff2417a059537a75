//! Polling of repositories: when it is due, and back-off.

use crate::prelude::*;
use crate::world::World;
use pullyard_control::{create_project, handle_call, poll_repository, set_ingress};
use pullyard_domain::project::forge::{Auth, ForgeKind, Integration};
use pullyard_domain::project::hook::poll_progress::{PollProgress, poll_interval};
use pullyard_domain::project::hook::{Ingress, Poll, RECOVERY_INTERVAL};
use pullyard_domain::run::wakeup::{EffectMessage, PollWakeup};
use pullyard_domain::text::id::IntegrationId;

const MINUTE: Duration = Duration::from_secs(60);

fn poll(world: &World) -> Poll {
    let now = world.ctx.clock.now();
    Poll { ingress: Ingress::Poll, next: now, look: PollProgress::default(), ..Poll::new(&world.repository(), now) }
}

/// A forge without repositories, so that no call is made.
async fn connect_dead_forge(world: &World) {
    connect_dead_forge_of(world, ForgeKind::GitHub).await;
}

async fn connect_dead_forge_of(world: &World, kind: ForgeKind) {
    let auth = Auth::Token { secret: "fleet/user/gone".into() };
    assert_applied(world.ctx.store.put_integration(&Integration { kind, auth, ..world.integration() }).await);
}

/// Whether a wake-up polls a repository with this state.
async fn does_poll(change: impl FnOnce(&mut Poll, Timestamp)) -> bool {
    let world = World::begin().await;
    connect_dead_forge(&world).await;
    let mut poll = poll(&world);
    change(&mut poll, world.ctx.clock.now());
    assert_applied(world.ctx.store.put_poll(&poll).await);
    let stored = async || {
        let Poll { project, integration, repository, .. } = &poll;
        world.ctx.store.load_poll(project, integration, *repository).await.unwrap().unwrap()
    };
    let before = stored().await;
    poll_repository(&world.ctx, &poll.project, &poll.integration, poll.repository).await.unwrap();
    let after = stored().await;
    after.rev > before.rev
}

#[tokio::test]
async fn repository_is_polled_when_due_and_not_when_gone() {
    assert!(does_poll(|_, _| ()).await);
    assert!(!does_poll(|poll, now| poll.next = now.plus(MINUTE)).await, "a repeated message");
    assert!(!does_poll(|poll, now| poll.not_before = Some(now.plus(MINUTE))).await, "the poll backs off");
    assert!(!does_poll(|poll, now| poll.gone_at = Some(now)).await);
    assert!(does_poll(|poll, _| poll.ingress = Ingress::Webhook).await, "a webhook may have missed something");
}

#[tokio::test]
async fn next_poll_follows_the_forge_interval_after_a_failure_too() {
    for kind in [ForgeKind::GitHub, ForgeKind::Bitbucket] {
        let wire = Wire::default();
        let world = World::with_client(wire.clone()).await;
        connect_dead_forge_of(&world, kind).await;
        assert_applied(world.ctx.store.put_repository(&world.repository(), None).await);
        let poll = poll(&world);
        assert_applied(world.ctx.store.put_poll(&poll).await);
        let Poll { project, integration, repository, .. } = &poll;
        for breaks in [true, false] {
            let least = world.ctx.clock.now().plus(poll_interval(Ingress::Poll, kind));
            if breaks {
                // The query for open pull requests follows the write that starts the round.
                wire.fail_next("Query", Fault::error(400, "AccessDenied"));
            }
            let polled = poll_repository(&world.ctx, project, integration, *repository).await;
            assert_eq!(polled.is_err(), breaks, "{kind:?}");
            let most = world.ctx.clock.now().plus(poll_interval(Ingress::Poll, kind));
            let next = world.ctx.store.load_poll(project, integration, *repository).await.unwrap().unwrap().next;
            assert!(least <= next && next <= most, "{kind:?} {breaks}: {next}, not {least} to {most}");
            world.ctx.clock.advance(RECOVERY_INTERVAL + MINUTE);
        }
    }
}

#[tokio::test]
async fn setting_the_ingress_resumes_polling_of_a_gone_repository() {
    let world = World::begin().await;
    connect_dead_forge(&world).await;
    let ctx = &world.ctx;
    let now = ctx.clock.now();
    let poll = Poll { ingress: Ingress::Webhook, gone_at: Some(now), next: now.plus(MINUTE), ..poll(&world) };
    assert_applied(ctx.store.put_poll(&poll).await);
    let wanted = set_ingress(ctx, &world.repository(), Ingress::Poll).await.unwrap();
    assert_eq!((wanted.ingress, wanted.gone_at), (Ingress::Poll, None));
    poll_repository(ctx, &wanted.project, &wanted.integration, wanted.repository).await.unwrap();
    let looked = ctx.store.load_poll(&wanted.project, &wanted.integration, wanted.repository).await.unwrap().unwrap();
    assert!(looked.rev > wanted.rev, "{looked:?}");
    // Setting the same ingress again changes nothing.
    assert_eq!(set_ingress(ctx, &world.repository(), Ingress::Poll).await.unwrap(), looked);
}

#[tokio::test]
async fn failing_poll_backs_off() {
    // Either the item cannot be read, or the poll starts and fails.
    for call in ["GetItem", "Query"] {
        let wire = Wire::default();
        let world = World::with_client(wire.clone()).await;
        connect_dead_forge(&world).await;
        assert_applied(world.ctx.store.put_repository(&world.repository(), None).await);
        let poll = poll(&world);
        assert_applied(world.ctx.store.put_poll(&poll).await);
        let (ctx, Poll { project, integration, repository, .. }) = (&world.ctx, &poll);
        let stored = async || ctx.store.load_poll(project, integration, *repository).await.unwrap().unwrap();
        for (times, rest) in [(1, MINUTE), (2, MINUTE * 2)] {
            let least = ctx.clock.now().plus(rest);
            wire.fail_next(call, Fault::error(400, "AccessDenied"));
            assert!(poll_repository(ctx, project, integration, *repository).await.is_err());
            // A repeated message finds nothing due.
            poll_repository(ctx, project, integration, *repository).await.unwrap();
            let (most, poll) = (ctx.clock.now().plus(rest), stored().await);
            assert_eq!(poll.tries, times);
            assert!(poll.not_before.is_some_and(|at| least <= at && at <= most), "{poll:?}: {least} to {most}");
            assert!(poll.look.problem.as_deref().is_some_and(|problem| problem.contains("AccessDenied")), "{poll:?}");
            ctx.clock.advance(RECOVERY_INTERVAL);
        }
        poll_repository(ctx, project, integration, *repository).await.unwrap();
        assert_eq!((stored().await.tries, stored().await.not_before), (0, None));
    }
}

#[tokio::test]
async fn unreadable_integration_stops_no_poll_of_another_one() {
    let world = World::begin().await;
    let (ctx, own) = (&world.ctx, poll(&world));
    let (project, integration) = (ProjectId::new("other").unwrap(), IntegrationId::new("gh2").unwrap());
    create_project(ctx, None, project.clone(), "Other".into(), Settings::default()).await.unwrap();
    let other = Poll { project, integration: integration.clone(), ..own.clone() };
    connect_dead_forge(&world).await;
    let auth = Auth::Token { secret: "fleet/user/gone".into() };
    assert_applied(ctx.store.put_integration(&Integration { id: integration, auth, ..world.integration() }).await);
    for poll in [&own, &other] {
        assert_applied(ctx.store.put_poll(poll).await);
    }
    world.break_item("INTEGRATION#gh1", "INTEGRATION", "account").await;
    for poll in [&own, &other] {
        let Poll { project, integration, repository, .. } = poll.clone();
        let wakeup = PollWakeup { poll: project, integration, repository };
        handle_call(ctx, EffectMessage::Poll(wakeup), "gh").await.unwrap();
    }
    let stored = async |poll: &Poll| {
        ctx.store.load_poll(&poll.project, &poll.integration, poll.repository).await.unwrap().unwrap()
    };
    let (own, other) = (stored(&own).await, stored(&other).await);
    assert!(own.tries == 1 && own.not_before.is_some(), "{own:?}");
    assert!(other.tries == 0 && other.next > ctx.clock.now(), "{other:?}");
}
