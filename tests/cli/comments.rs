//! Tests the commands about a ticket's comments.

use crate::prelude::*;

#[tokio::test(flavor = "multi_thread")]
async fn cli_adds_shows_edits_and_deletes_comments() {
    let (story, user) = Story::with_user().await;
    user.ok(&["tickets", "create", "B-1", "--title", "First"]).await;
    let added = user.run(&["tickets", "comment", "B-1", "Use tabs."]).await;
    assert!(added.code == 0 && added.err.contains("Added comment 1 to B-1"), "{added:?}");
    user.run_with(&["tickets", "comment", "B-1", "-"], "Or\n\u{1b}[31mspaces.\n").await.assert_success();
    let output = user.ok(&["tickets", "show", "B-1"]).await;
    let lines: Vec<_> = output.lines().filter(|line| line.starts_with("comment\t")).collect();
    assert!(lines.len() == 2 && lines[0].ends_with(": Use tabs.") && !output.contains('\u{1b}'), "{output}");
    user.ok(&["tickets", "comments", "edit", "B-1", "1", "Use both."]).await;
    user.run(&["tickets", "comments", "delete", "B-1", "2"]).await.assert_exit(2, "--yes");
    user.ok(&["tickets", "comments", "delete", "B-1", "2", "--yes"]).await;
    user.run(&["tickets", "comments", "edit", "B-1", "2", "x"]).await.assert_exit(5, "there is no comment 2 of B-1");
    let list = user.ok(&["tickets", "comments", "list", "B-1"]).await;
    assert!(list.starts_with("1\t") && list.ends_with("\tUse both.\n"), "{list}");
    let listed = user.json(&["tickets", "comments", "list", "B-1"]).await;
    assert_eq!(listed, body(&story, "/v1/tickets/B-1/comments?project=acme").await);
}
