//! Tests the commands about a ticket's comments.

use super::{User, body};
use crate::prelude::*;

#[tokio::test(flavor = "multi_thread")]
async fn cli_adds_shows_edits_and_deletes_comments() {
    let story = Story::start_with_waiting_tasks().await;
    let user = User::of(&story);
    user.run(&["tickets", "create", "B-1", "--title", "First"]).await.assert_success();
    let added = user.run(&["tickets", "comment", "B-1", "Use tabs."]).await;
    assert!(added.code == 0 && added.err.contains("Added comment 1 to B-1"), "{added:?}");
    user.run_with(&["tickets", "comment", "B-1", "-"], "Or\n\u{1b}[31mspaces.\n").await.assert_success();
    let shown = user.run(&["tickets", "show", "B-1"]).await.assert_success();
    let lines: Vec<_> = shown.lines().filter(|line| line.starts_with("comment\t")).collect();
    assert!(lines.len() == 2 && lines[0].ends_with(": Use tabs.") && !shown.contains('\u{1b}'), "{shown}");
    user.run(&["tickets", "comments", "edit", "B-1", "1", "Use both."]).await.assert_success();
    user.run(&["tickets", "comments", "delete", "B-1", "2"]).await.assert_exit(2, "--yes");
    user.run(&["tickets", "comments", "delete", "B-1", "2", "--yes"]).await.assert_success();
    user.run(&["tickets", "comments", "edit", "B-1", "2", "x"]).await.assert_exit(5, "there is no comment 2 of B-1");
    let list = user.run(&["tickets", "comments", "list", "B-1"]).await.assert_success();
    assert!(list.starts_with("1\t") && list.ends_with("\tUse both.\n"), "{list}");
    let listed = user.json(&["tickets", "comments", "list", "B-1"]).await;
    assert_eq!(listed, body(&story, "/v1/tickets/B-1/comments?project=acme").await);
}
