use super::*;
use crate::stray::end_all_seen_by;
use crate::stray::table::ps_is_there;
use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;
use tokio::time::{Instant, timeout};

/// How long anything may take that has to happen.
const SOON: Duration = Duration::from_secs(120);
/// Stays for ever, whoever asks it to go, and says its number.
const STAYS: &str = "trap '' TERM HUP; echo $$ > stays.new; mv stays.new stays; while :; do sleep 0.1; done";
const WAITS: &str = "until [ -e go ]; do sleep 0.02; done";
/// Says its number; told to go on, it leaves behind what its parent never began.
const FORKS_TWICE: &str = "echo $$ > tool.new; mv tool.new tool; sh waits.sh; (sh stays.sh &); exit 0";

/// A folder with the scripts; who runs in it is told by files.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, script) in [("stays.sh", STAYS), ("waits.sh", WAITS), ("forks-twice.sh", FORKS_TWICE)] {
        std::fs::write(dir.path().join(name), script).unwrap();
    }
    dir
}

fn agent(dir: &Path, script: &str) -> Child {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.process_group(0).kill_on_drop(true).spawn().unwrap()
}

fn number_of(child: &Child) -> i32 {
    child.id().unwrap().try_into().unwrap()
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let by = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < by, "{what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// The number that is written into a file, once it is.
async fn said(file: &Path) -> i32 {
    until(&format!("{} is written", file.display()), || file.exists()).await;
    std::fs::read_to_string(file).unwrap().trim().parse().unwrap()
}

fn runs(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[tokio::test]
async fn what_was_seen_while_its_agent_worked_is_ended_though_it_left_group_session_and_parent() {
    if !ps_is_there() {
        return;
    }
    // Each with the file of who has to have been seen before everybody but what stays is gone.
    let cases = [
        ("a tool that forks twice", "setsid sh forks-twice.sh; exit 0", "tool"),
        ("one that leaves its session", "setsid sh stays.sh & sh waits.sh; exit 0", "stays"),
        ("one that ignores SIGTERM", "sh stays.sh & sh waits.sh; exit 0", "stays"),
    ];
    let mut stranger = Command::new("sleep").arg("600").kill_on_drop(true).spawn().unwrap();
    for (what, script, seen) in cases {
        let dir = folder();
        let mut agent = agent(dir.path(), script);
        let descent = Descent::seen_by(Source::Ps, &agent);
        let kin = Arc::clone(&descent.watch.as_ref().unwrap().kin);
        let seen = said(&dir.path().join(seen)).await;
        until(what, || held(&kin).has_seen(seen)).await;
        std::fs::write(dir.path().join("go"), "").unwrap();
        let stays = said(&dir.path().join("stays")).await;
        assert!(timeout(SOON, agent.wait()).await.unwrap().unwrap().success(), "{what}");
        assert!(runs(stays), "{what}");

        end_all_seen_by(Source::Ps, dir.path(), descent).await.unwrap();
        assert!(!runs(stays), "{what}");
        assert!(stranger.try_wait().unwrap().is_none(), "{what}");
    }
}

#[tokio::test]
async fn nobody_looks_any_more_once_a_watch_is_forgotten() {
    if !ps_is_there() {
        return;
    }
    let dir = folder();
    let agent = agent(dir.path(), "exec sleep 600");
    let Watch { kin, goes_on, looks } = Watch::begin(number_of(&agent), Source::Ps);
    drop(goes_on);
    timeout(SOON, looks).await.unwrap().unwrap();
    // It has looked once at least: an agent may be gone before anybody rests.
    assert!(held(&kin).has_seen(number_of(&agent)));
}

#[tokio::test]
async fn where_orphans_come_to_us_nobody_is_watched() {
    let dir = folder();
    let agent = agent(dir.path(), "exec sleep 600");
    assert!(Descent::seen_by(Source::Proc, &agent).end().await.is_none());
}
