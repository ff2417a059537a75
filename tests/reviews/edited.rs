//! Tests that the prompt marks a review that was edited after its submission.

use super::world::{ANN, HOUR, ReviewWorld};
use crate::prelude::*;

#[tokio::test(flavor = "multi_thread")]
async fn only_the_edited_review_is_marked_as_changed() {
    let desk = ReviewWorld::with_blocked_agents().await;
    desk.request_changes("First.", &[]).await;
    let first = desk.revision().await;
    desk.prompt(&first.id).await;
    let reworded = desk.request_changes("Use tabs.", &[]).await;
    let unchanged = desk.request_changes("And test it.", &[]).await;
    let forge = desk.story.local.forge();
    forge.edit_review(REPOSITORY, (desk.number, reworded), ANN, "Use spaces.").await.unwrap();
    forge.wait_for_deliveries().await;
    desk.unblock_agents();
    desk.wait_for_completion(&first.id).await;
    desk.story.advance_and_sweep(HOUR).await;
    let next = desk.nth_revision(2).await;
    let prompt = desk.prompt(&next.id).await;
    let line = |review: u64| {
        let begins = format!("Review {review},");
        prompt.lines().find(|line| line.starts_with(&begins)).unwrap_or_else(|| panic!("{prompt}")).to_owned()
    };
    assert!(prompt.contains("Use spaces.") && !prompt.contains("Use tabs."), "{prompt}");
    assert!(line(reworded).contains("changed after it was submitted"), "{}", line(reworded));
    assert!(!line(unchanged).contains("changed after it was submitted"), "{}", line(unchanged));
    desk.wait_for_completion(&next.id).await;
    desk.end().await;
}
