//! Tests of the secrets of hooks, and of the overlap of a replaced value.

use super::{SECRET, World, signature};
use crate::prelude::*;
use pullyard_protocol::client::Error;
use pullyard_protocol::secret::RotateSecret;

const WEEK: u64 = 7 * 86_400;

impl World {
    async fn deliver_signed_with(&self, value: &str) -> u16 {
        let star = json!({ "action": "created", "repository": { "id": self.repository, "full_name": REPOSITORY } });
        let body = star.to_string().into_bytes();
        self.send_as("acme", "star", "g", &signature(value, &body), body).await.0
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_overlap_is_limited_to_seven_days() {
    let world = World::new().await;
    let secret = world.install_by_hand("acme").await.secret;
    let to = |overlap_secs| RotateSecret { value: "the next secret".into(), overlap_secs };
    match world.story.api.rotate_secret(&secret, &to(WEEK + 1)).await {
        Err(Error::Problem(problem)) => {
            let actual = (problem.status, problem.code.as_str(), problem.pointer.as_deref());
            assert_eq!(actual, (422, "invalid", Some("/overlap_secs")));
        }
        other => panic!("{other:?}"),
    }
    assert!(world.story.api.rotate_secret(&secret, &to(WEEK)).await.unwrap().old_until.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn both_values_of_a_rotating_secret_count_during_the_overlap() {
    let world = World::new().await;
    let secret = world.install_by_hand("acme").await.secret;
    assert_eq!(world.deliver_signed_with(SECRET).await, 200);
    let rotate = RotateSecret { value: "the next secret".into(), overlap_secs: 3_600 };
    let rotated = world.story.api.rotate_secret(&secret, &rotate).await.unwrap();
    assert!(rotated.old_until.is_some());
    // The function caches the old value; a mismatch makes it load the secret again.
    assert_eq!(world.deliver_signed_with("the next secret").await, 200);
    assert_eq!(world.deliver_signed_with(SECRET).await, 200);
    let again = world.story.api.rotate_secret(&secret, &rotate).await.unwrap();
    assert_eq!(again.old_until, rotated.old_until, "the same value again changes nothing");
    world.story.clock.advance(Duration::from_secs(3_500));
    assert_eq!(world.deliver_signed_with(SECRET).await, 200);
    world.story.clock.advance(Duration::from_secs(100));
    assert_eq!(world.deliver_signed_with(SECRET).await, 401);
    assert_eq!(world.deliver_signed_with("the next secret").await, 200);
    let never = world.story.api.rotate_secret(&SecretName::new("never-set").unwrap(), &rotate).await;
    assert_eq!(never.unwrap_err().code(), Some("secret_missing"));
}

#[tokio::test(flavor = "multi_thread")]
async fn value_replaced_without_an_overlap_is_rejected() {
    let world = World::new().await;
    let secret = world.install_by_hand("acme").await.secret;
    assert_eq!(world.deliver_signed_with(SECRET).await, 200);
    let rotate = RotateSecret { value: "the next secret".into(), overlap_secs: 0 };
    assert_eq!(world.story.api.rotate_secret(&secret, &rotate).await.unwrap().old_until, None);
    assert_eq!(world.deliver_signed_with("the next secret").await, 200);
    assert_eq!(world.deliver_signed_with(SECRET).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn setting_a_value_ends_a_running_rotation() {
    let world = World::new().await;
    let secret = world.install_by_hand("acme").await.secret;
    let rotate = RotateSecret { value: "one that leaks".into(), overlap_secs: 3_600 };
    world.story.api.rotate_secret(&secret, &rotate).await.unwrap();
    assert_eq!(world.deliver_signed_with("one that leaks").await, 200);
    let set = SetSecret { value: "another".into(), kind: SecretKind::Forge };
    world.story.api.set_secret(&secret, &set).await.unwrap();
    // A mismatch makes the function load both values.
    assert_eq!(world.deliver_signed_with("another").await, 200);
    assert_eq!(world.deliver_signed_with("one that leaks").await, 401);
}
