//! Shared by the walks that break a runner at each of its calls: the published work, and the comparison of the ends.

use crate::prelude::*;
use crate::world::World;
use futures::stream;
use std::fmt::Debug;

const PARALLEL_WALKS: usize = 4;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) file: Option<String>,
    pub(crate) commits: String,
    pub(crate) pull_request: u64,
    pub(crate) has_second_pull_request: bool,
}

impl Published {
    pub(crate) async fn load(world: &World) -> Self {
        let pull = world.open_pull_request(BRANCH).await.unwrap();
        Self {
            file: world.file_at(BRANCH, "greeting.txt"),
            commits: world.git_line(&["rev-list", "--count", &format!("main..{BRANCH}")]),
            pull_request: pull.number,
            has_second_pull_request: world.forge.pull_snapshot("acme/app", pull.number + 1).await.unwrap().is_some(),
        }
    }
}

/// Walks through each point; every walk must end like the undisturbed run.
pub(crate) async fn assert_same_ends<P: Debug, E: Debug + PartialEq>(
    points: impl IntoIterator<Item = P>,
    undisturbed: &E,
    walk: impl AsyncFn(&P) -> E,
) {
    let walk = &walk;
    let walks = points.into_iter().map(|point| async move {
        let end = walk(&point).await;
        (point, end)
    });
    let ends: Vec<_> = stream::iter(walks).buffer_unordered(PARALLEL_WALKS).collect().await;
    for (point, end) in ends {
        assert_eq!(end, *undisturbed, "{point:?}");
    }
}
