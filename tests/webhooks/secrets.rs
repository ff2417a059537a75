//! The secrets of hooks, and for how long a value counts that was replaced.

use super::World;
use pullyard_protocol::client::Error;
use pullyard_protocol::secret::RotateSecret;

const WEEK: u64 = 7 * 86_400;

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_was_replaced_counts_for_seven_days_at_most() {
    let world = World::make().await;
    let secret = world.by_hand("acme").await.secret;
    let to = |overlap_secs| RotateSecret { value: "the next secret".into(), overlap_secs };
    match world.story.api.rotate_secret(&secret, &to(WEEK + 1)).await {
        Err(Error::Problem(problem)) => {
            let said = (problem.status, problem.code.as_str(), problem.pointer.as_deref());
            assert_eq!(said, (422, "invalid", Some("/overlap_secs")));
        }
        other => panic!("{other:?}"),
    }
    assert!(world.story.api.rotate_secret(&secret, &to(WEEK)).await.unwrap().old_until.is_some());
    world.story.end().await;
}
