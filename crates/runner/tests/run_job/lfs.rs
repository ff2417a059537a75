//! Repositories that keep files in Git LFS: nothing of them becomes content in git's history.

use crate::world::{BRANCH, World};
use pullyard_domain::id::RepositoryName;
use pullyard_protocol::attempt::FinishOutcome;

const ATTRIBUTES: &str = "*.bin filter=lfs diff=lfs merge=lfs -text\n";
const POINTER: &str = "version https://git-lfs.github.com/spec/v1\n\
                       oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";

/// A run in a repository of these files, by an agent that does this.
pub(crate) async fn ran_in(name: &str, files: &[(&str, &str, bool)], agent: &str) -> World {
    let mut world = World::with_agent("exit 1").await;
    let agent = format!("#!/bin/sh\n{agent}\n");
    let files = [files, &[("agent.sh", agent.as_str(), true)]].concat();
    world.repository = world.forge.create_repository(name, "main", &files).await.unwrap();
    world.api.assign(|job| {
        job.repository.clone_url = world.repository.clone_url.clone();
        job.repository.name = RepositoryName::new(name).unwrap();
    });
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    world
}

/// The same with a pointer and a file whose content was committed.
async fn ran(agent: &str) -> World {
    let files = [
        (".gitattributes", ATTRIBUTES, false),
        ("kept.bin", POINTER, false),
        ("content.bin", "committed by somebody without LFS\n", false),
    ];
    ran_in("acme/large", &files, agent).await
}

#[tokio::test]
async fn content_in_the_place_of_a_pointer_or_of_nothing_is_neither_committed_nor_pushed() {
    for (agent, path) in [
        ("echo drawn > kept.bin; echo hello > greeting.txt", "kept.bin"),
        ("mkdir -p 'a b'; echo drawn > 'a b/new.bin'", "a b/new.bin"),
        // What the agent says of its files counts as well.
        ("echo '*.psd filter=lfs' >> .gitattributes; echo drawn > new.psd", "new.psd"),
    ] {
        let world = ran(agent).await;
        let failure = world.api.finish().failure.unwrap();
        assert_eq!(failure.code(), "lfs_content", "{agent}");
        assert!(failure.sentence().contains(path), "{}", failure.sentence());
        assert_eq!(world.head(BRANCH), None, "{agent}");
    }
}

#[tokio::test]
async fn pointers_may_move_and_what_is_content_already_may_change() {
    let world = ran("mv kept.bin moved.bin; : > empty.bin; echo more >> content.bin; echo hello > greeting.txt").await;
    assert_eq!(world.api.finish().outcome, FinishOutcome::Completed, "{:?}", world.api.finish());
    assert_eq!(world.file(BRANCH, "moved.bin").as_deref(), Some(POINTER));
    assert_eq!(world.file(BRANCH, "kept.bin"), None);
    assert_eq!(world.file(BRANCH, "content.bin").unwrap().lines().last(), Some("more"));
    assert_eq!(world.file(BRANCH, "empty.bin").as_deref(), Some(""));
}

#[tokio::test]
async fn what_is_content_already_may_move() {
    let world = ran("mkdir art; mv content.bin art/; echo hello > greeting.txt").await;
    assert_eq!(world.api.finish().outcome, FinishOutcome::Completed, "{:?}", world.api.finish());
    assert_eq!(world.file(BRANCH, "art/content.bin").as_deref(), Some("committed by somebody without LFS\n"));
}
