//! Tests groups and priorities of runs as their user lives them.

use crate::prelude::*;
use crate::story::wait_until;

const RELEASE: &str = "name: release
concurrency: {group: release}
steps:
  - {name: ask, approve: Is it complete?}
";

async fn begin() -> (Story, User, TempDir, String) {
    let story = Story::start_with(Setup { agent: "#!/bin/sh\necho right >> work.txt\n", ..Setup::default() }).await;
    let (user, folder) = (User::of(&story), TempDir::new().unwrap());
    let file = folder.path().join("plan.yaml");
    std::fs::write(&file, RELEASE).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (story, user, folder, file)
}

/// Waits until the run shows a text.
async fn wait_for(user: &User, run: &str, text: &str) {
    wait_until("the run shows the text", async || {
        let shown = user.ok(&["runs", "show", run]).await;
        if shown.contains(text) { Ok(()) } else { Err(shown) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn run_of_a_group_waits_until_the_one_before_ends() {
    let (_story, user, _folder, file) = begin().await;
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(user.ok(&["run", "-f", &file]).await.trim().to_owned());
        wait_for(&user, &runs[0], "asked\task").await;
    }
    let [first, second, third] = [0, 1, 2].map(|index| runs[index].as_str());
    wait_for(&user, third, "waits_for_group\trelease\n").await;
    let why = user.ok(&["runs", "why", &format!("{third}/ask")]).await;
    assert!(why.starts_with("Runs of release: 1 working, 1 ahead; this run's limit is 1.\n"), "{why}");
    let listed = user.ok(&["runs"]).await;
    assert_eq!(listed.matches("Waits for a place in the group release.").count(), 2, "{listed}");
    let waits = async |run: &str| user.json(&["runs", "show", run]).await["waits_for_group"].clone();
    assert_eq!((waits(first).await, waits(second).await), (Value::Null, json!("release")));

    user.run(&["runs", "cancel", second, "--yes"]).await.assert_success();
    wait_for(&user, second, "cancelled").await;
    assert_eq!(waits(third).await, json!("release"));
    user.run(&["runs", "approve", &format!("{first}/ask")]).await.assert_success();
    wait_for(&user, third, "asked\task").await;
    user.run(&["runs", "resume", second]).await.assert_success();
    wait_for(&user, second, "waits_for_group\trelease\n").await;
    user.run(&["runs", "cancel", third, "--yes"]).await.assert_success();
    wait_for(&user, second, "asked\task").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn run_of_a_prompt_has_a_group_and_a_priority() {
    let (story, user, _folder, file) = begin().await;
    user.ok(&["run", "-f", &file]).await;
    wait_for(&user, "@last", "asked\task").await;
    let run = ["run", "-p", "Write a line.", "--group", "release", "--priority", "high"];
    let waiting = user.ok(&run).await.trim().to_owned();
    wait_for(&user, &waiting, "waits_for_group\trelease\n").await;
    let watched = user.spawn(&["runs", "watch", &waiting]);
    let asked = user.json(&["runs", "list"]).await["runs"][1]["id"].as_str().unwrap().to_owned();
    user.run(&["runs", "refuse", &format!("{asked}/ask")]).await.assert_success();
    let ended = watched.wait_with_output().await.unwrap();
    let err = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{err}");
    let jobs = story.jobs().await;
    assert_eq!(jobs.iter().map(|job| job.priority.as_str()).collect::<Vec<_>>(), ["high"]);

    for (arguments, text) in [
        (&["-p", "a", "--group", ""][..], "--group: use 1 to 80 characters"),
        (&["-p", "a", "--group", "a\nb"], "--group: use one line of printable text"),
        (&["-p", "a", "--priority", "urgent"], "invalid value 'urgent'"),
        (&["-f", &file, "--group", "a"], "cannot be used with"),
        (&["-f", &file, "--priority", "low"], "cannot be used with"),
    ] {
        user.run(&[&["run"], arguments].concat()).await.assert_exit(2, text);
    }
}
