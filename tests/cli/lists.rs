//! Tests lists in the CLI: the format for programs, paging, filters by project.

use crate::prelude::*;

#[tokio::test(flavor = "multi_thread")]
async fn lists_for_programs_are_plain_untruncated_tab_separated_rows() {
    let (story, user) = Story::with_user().await;
    let mut event = story.event("e1", "APP-1", TRIGGER, 1);
    // The API refuses control characters, but accepts characters that change the text direction.
    event.ticket.title = format!("{}\u{202e}end", "long ".repeat(20));
    let job = story.api.send_ticket_event(&event).await.unwrap().job.unwrap();
    for arguments in [&["jobs"][..], &["tickets", "list"], &["deliveries"], &["projects", "list"], &["repos", "list"]] {
        let out = user.ok(arguments).await;
        let lines = out.lines().collect::<Vec<_>>();
        assert_eq!(lines.len(), 1, "{out}");
        assert!(lines[0].matches('\t').count() >= 3, "{out}");
        assert!(!out.contains(['\u{1b}', '…', '\u{202e}']), "{out}");
    }
    let jobs = user.ok(&["jobs"]).await;
    let fields = jobs.trim_end_matches('\n').split('\t').collect::<Vec<_>>();
    assert_eq!((fields[0], fields[1], fields[3], fields[4]), ("ready", job.as_str(), "APP-1", "fargate"));
    assert!(fields[2].len() > 100, "the title is truncated: {jobs}");
    assert!(fields[6].ends_with('Z') && !fields[7].is_empty(), "{jobs}");
    let painted = user.ok(&["jobs", "show", job.as_str(), "--color", "never"]).await;
    assert!(painted.contains(&format!("job\t{job}\n")), "{painted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn list_continues_after_the_cursor() {
    let (story, user) = Story::with_user().await;
    for n in 0..51 {
        story.send_ticket_event(&format!("e{n}"), &format!("APP-{n:03}"), TODO, n).await;
    }
    let first = user.json(&["tickets", "list"]).await;
    let next = first["next"].as_str().unwrap();
    let second = user.ok(&["tickets", "list", "--after", next]).await;
    assert_eq!((first["tickets"].as_array().unwrap().len(), second.lines().count()), (50, 1));
    assert_eq!(first["tickets"][0]["key"], "APP-000");
    assert!(second.contains("APP-050"), "{second}");
    user.run(&["tickets", "list", "--after", "x&project=other"]).await.assert_exit(2, "cursor");
    user.run(&["tickets", "list", "--after", "x"]).await.assert_exit(2, "after");
}

#[tokio::test(flavor = "multi_thread")]
async fn watched_list_shows_changes_until_interrupted() {
    let (story, user) = Story::with_user().await;
    for list in ["tickets", "runners", "pulls", "deliveries"] {
        user.run(&[list, "list", "--watch"]).await.assert_exit(2, "needs a terminal");
    }
    let mut terminal = user.shown_at_terminal(&["tickets", "list", "--watch"]);
    // Cleared once, so the empty list was shown.
    terminal.wait_for_text("\u{1b}[2J").await;
    story.send_ticket_event("e1", "APP-1", TODO, 1).await;
    terminal.wait_for_text("APP-1").await;
    terminal.signal("-INT").await;
    assert_eq!(terminal.wait().await.0, Some(130));
}

#[tokio::test(flavor = "multi_thread")]
async fn cli_lists_drains_and_deletes_runners_by_name() {
    let (story, user) = Story::with_user().await;
    let ran = user.run(&["runners"]).await;
    assert!(ran.err.contains("No runner yet"), "{ran:?}");
    let token = story.runner_token("t", None, None).await;
    let kite = story.register_runner(&token, "kite-2", "i1").await;
    let listed = user.ok(&["runners"]).await;
    let fields = listed.trim_end().split('\t').collect::<Vec<_>>();
    assert_eq!(fields[..7], ["online", "kite-2", "0/2", "command", "", "none", "0.1.0"], "{listed}");
    assert_eq!(user.json(&["runners"]).await, body(&story, "/v1/runners").await);
    let drained = user.ok(&["runners", "drain", "kite-2"]).await;
    assert!(drained.contains("draining") && drained.contains("not acknowledged yet"), "{drained}");
    assert_eq!(user.json(&["runners", "resume", kite.id.as_str()]).await["status"], "online");
    let runner = user.json(&["runners", "show", "kite-2"]).await;
    assert_eq!((&runner["id"], &runner["drain"]), (&json!(kite.id), &Value::Null));
    user.run(&["runners", "delete", "kite-2"]).await.assert_exit(2, "--yes");
    assert_eq!(user.json(&["runners", "delete", "kite-2", "--yes"]).await["gone"], true);
    user.run(&["runners", "show", "kite-2"]).await.assert_exit(5, "there is no runner kite-2");
    user.run(&["runners", "show", "a/b?c"]).await.assert_exit(5, "there is no runner a/b?c");
}
