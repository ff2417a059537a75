//! Tests that the prompt marks a review that was edited after its submission.

use super::desk::{ANN, Desk, HOUR};
use crate::story::REPOSITORY;

#[tokio::test(flavor = "multi_thread")]
async fn only_the_edited_review_is_marked_as_changed() {
    let desk = Desk::linked().await;
    desk.wait();
    desk.ask("First.", &[]).await;
    let first = desk.revision().await;
    desk.prompt(&first.id).await;
    let reworded = desk.ask("Use tabs.", &[]).await;
    let kept = desk.ask("And test it.", &[]).await;
    let forge = desk.story.local.forge();
    forge.reword_review(REPOSITORY, desk.number, reworded, ANN, "Use spaces.").await.unwrap();
    forge.deliveries_settled().await;
    desk.go();
    desk.completed(&first.id).await;
    desk.story.pass(HOUR).await;
    let next = desk.nth_revision(2).await;
    let prompt = desk.prompt(&next.id).await;
    let line = |review: u64| {
        let begins = format!("Review {review},");
        prompt.lines().find(|line| line.starts_with(&begins)).unwrap_or_else(|| panic!("{prompt}")).to_owned()
    };
    assert!(prompt.contains("Use spaces.") && !prompt.contains("Use tabs."), "{prompt}");
    assert!(line(reworded).contains("changed after it was submitted"), "{}", line(reworded));
    assert!(!line(kept).contains("changed after it was submitted"), "{}", line(kept));
    desk.completed(&next.id).await;
    desk.end().await;
}
