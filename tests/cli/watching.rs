//! Tests `pullyard jobs watch`.

use super::{User, body, short};
use crate::prelude::*;

#[tokio::test(flavor = "multi_thread")]
async fn watch_prints_the_events_and_the_pull_request() {
    let story = Story::begin_story().await;
    let user = User::of(&story);
    user.ok(&["tickets", "create", "B-1", "--title", "t", "--status", TRIGGER]).await;
    let watched = user.run(&["jobs", "watch", "@last"]).await;
    assert!(watched.err.contains("Completed in "), "{watched:?}");
    let out = watched.assert_success();
    let job = story.jobs().await.pop().unwrap();
    assert_eq!(out.lines().last(), job.result.map(|result| result.url).as_deref());
    assert!(out.lines().any(|line| line.contains("\t1.1\tphase\tpreparing")), "{out}");
    let jsonl = user.ok(&["jobs", "logs", "@last", "--jsonl"]).await;
    assert_eq!(jsonl.lines().count() + 1, out.lines().count(), "{jsonl}\n{out}");
    let page = body(&story, &format!("/v1/jobs/{}/events", job.id)).await;
    let lines = jsonl.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>();
    assert_eq!(Value::from(lines), page["events"]);
    story.wait_for_settled_ticket("B-1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_watch_does_not_cancel_the_job() {
    let (story, job) = Story::with_job().await;
    let mut watch = User::of(&story).spawn(&["jobs", "watch", job.as_str()]);
    let mut stderr = BufReader::new(watch.stderr.take().unwrap()).lines();
    assert!(stderr.next_line().await.unwrap().unwrap().starts_with("Waiting: "));
    let pid = watch.id().unwrap().to_string();
    assert!(Command::new("/bin/kill").args(["-INT", &pid]).status().await.unwrap().success());
    assert_eq!(watch.wait().await.unwrap().code(), Some(130));
    let mut last = String::new();
    while let Some(line) = stderr.next_line().await.unwrap() {
        last = line;
    }
    assert_eq!(last, format!("interrupted: job {} is still running", short(&job)));
    assert!(!story.api.job(&job).await.unwrap().status.is_terminal());
}
