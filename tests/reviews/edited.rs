//! Tests the prompt of a review that was edited before its revision started.

use super::world::{ANN, HOUR, ReviewWorld};
use crate::prelude::*;

#[tokio::test(flavor = "multi_thread")]
async fn prompt_has_the_newest_text_of_an_edited_review() {
    let desk = ReviewWorld::with_blocked_agents().await;
    desk.request_changes("First.", &[]).await;
    let first = desk.revision().await;
    desk.prompt(&first.id).await;
    let reworded = desk.request_changes("Use tabs.", &[]).await;
    let forge = desk.story.local.forge();
    forge.edit_review(REPOSITORY, (desk.number, reworded), ANN, "Use spaces.").await.unwrap();
    forge.wait_for_deliveries().await;
    desk.unblock_agents();
    desk.wait_for_completion(&first.id).await;
    desk.story.advance_and_sweep(HOUR).await;
    let next = desk.story.wait_for_revision(2).await;
    let prompt = desk.prompt(&next.id).await;
    assert!(prompt.contains("Use spaces.") && !prompt.contains("Use tabs."), "{prompt}");
    desk.wait_for_completion(&next.id).await;
    desk.end().await;
}
