//! Lists of changed tickets, page by page.

use crate::world::{KINDS, World};
use pullyard_domain::text::time::Timestamp;
use pullyard_fake_tracker::{BACKLOG, PERSON, TicketBody};
use pullyard_tracker::Error;

const NOW: i64 = 1_795_176_241_000;
const MINUTE: i64 = 60_000;

#[tokio::test]
async fn changed_tickets_are_listed_oldest_first() {
    for kind in KINDS {
        let world = World::new(kind).await;
        let keys = (0..5).map(|at| format!("{}-{}", world.scope, 20 + at)).collect::<Vec<_>>();
        for key in &keys {
            world.fake.state().add_ticket(key, "A", TicketBody::Empty, BACKLOG);
        }
        // The second ticket changes last.
        for (at, key) in (0..).zip(keys.iter().rev().chain([&keys[1]])) {
            world.fake.state().set_now(NOW + MINUTE + at);
            world.fake.state().touch(key, PERSON);
        }
        world.fake.state().delete_ticket(world.key);
        let expected = [4, 3, 2, 0, 1].map(|at: usize| keys[at].clone());
        let times = [0, 1, 2, 4, 5].map(|at| NOW + MINUTE + at);
        world.fake.state().set_page_size(2);
        for limit in [500, 5, 4, 3, 1] {
            let listed = world.list_changed(Timestamp::from_millis(NOW - 5 * MINUTE), limit).await.unwrap();
            let (keys, at): (Vec<_>, Vec<_>) = listed.into_iter().map(|one| (one.key, one.at.millis())).unzip();
            assert_eq!((&keys[..], &at[..]), (&expected[..limit.min(5)], &times[..limit.min(5)]), "{kind:?} {limit}");
            assert_eq!(world.fake.take_calls().len(), limit.min(5).div_ceil(2), "{kind:?} {limit}");
        }
    }
}

#[tokio::test]
async fn older_changes_are_not_listed() {
    for kind in KINDS {
        let world = World::new(kind).await;
        // The ticket changed 90 s ago. JQL rounds to minutes.
        world.fake.state().set_now(NOW + 90_000);
        for (secs, is_listed) in [(30, false), (80, false), (90, true), (100, true), (4000, true)] {
            let since = Timestamp::from_millis(NOW + 90_000 - secs * 1000);
            let expected = is_listed.then(|| world.key.to_owned()).into_iter().collect::<Vec<_>>();
            let listed = world.list_changed(since, 500).await.unwrap();
            assert_eq!(listed.into_iter().map(|one| one.key).collect::<Vec<_>>(), expected, "{kind:?} {secs}");
        }
    }
}

/// A cut list would hide changes for ever.
#[tokio::test]
async fn list_that_never_ends_is_an_error() {
    for kind in KINDS {
        let world = World::new(kind).await;
        world.fake.state().set_endless_pages();
        assert!(matches!(world.list_scopes().await, Err(Error::Unexpected { .. })), "{kind:?}");
        let listed = world.list_changed(Timestamp::from_millis(NOW - MINUTE), 500).await;
        assert!(matches!(listed, Err(Error::Unexpected { .. })), "{kind:?} {listed:?}");
    }
}
