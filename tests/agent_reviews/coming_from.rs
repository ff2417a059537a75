//! Runs the commands of docs/coming-from.

use super::world::World;
use crate::cli_documents::commands;
use crate::prelude::*;

const PAGES: [&str; 3] = [
    include_str!("../../docs/coming-from/oversight.md"),
    include_str!("../../docs/coming-from/ai-review.md"),
    include_str!("../../docs/coming-from/spedy.md"),
];

/// Returns the commands of the blocks, in order, without those for a runner's machine.
pub(crate) fn runnable(page: &str) -> Vec<String> {
    let blocks: Vec<&str> = page.split("```").skip(1).step_by(2).collect();
    let lines = blocks.into_iter().flat_map(|block| commands(&format!("```{block}```")));
    lines.filter(|line| !line.starts_with("pullyard runner ")).collect()
}

/// Splits a line as a shell does, with single quotes only.
pub(crate) fn words(line: &str) -> Vec<String> {
    let (mut words, mut is_quoted) = (vec![String::new()], false);
    for character in line.chars() {
        match character {
            '\'' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            _ => words.last_mut().unwrap().push(character),
        }
    }
    words.into_iter().filter(|word| !word.is_empty()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_for_users_of_other_systems_work() {
    let world = World::new().await;
    world.set_findings(&[]);
    for line in PAGES.map(runnable).concat() {
        let line = line.replace("acme/app#7", &world.label());
        let words = words(&line);
        let words: Vec<&str> = words.iter().map(String::as_str).skip(1).collect();
        // The review of the second page would find the commit reviewed.
        if words.first() == Some(&"review") && !words.contains(&"--full") {
            world.commit("src/other.rs", "fn other() {}\n").await;
        }
        world.user.ok(&words).await;
        for job in world.story.jobs().await {
            world.story.wait_for_end(&job.id).await;
        }
    }
    let kinds: BTreeSet<_> = world.story.jobs().await.iter().map(|job| job.kind.as_str()).collect();
    assert_eq!(kinds, BTreeSet::from(["analysis", "implement", "resolve", "review"]));
}
