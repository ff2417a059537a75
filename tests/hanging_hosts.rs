//! Tests that servers of users that hang hold up no other work.

use crate::prelude::*;
use crate::processes::{Functions, processes};
use pullyard_fake_tracker::{CREDENTIAL, FakeTracker, Kind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

const ENDPOINTS: usize = 8;

const PLAN: &str = "name: two
steps:
  - {name: first, prompt: Write a line.}
  - {name: second, needs: [first], prompt: Write another line.}
";

/// Accepts connections, reads the requests, and answers none.
struct Hanging {
    url: String,
    open: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    _server: tokio::task::JoinHandle<()>,
}

impl Hanging {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (now, peak) = (open.clone(), most.clone());
        let _server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (now, peak) = (now.clone(), peak.clone());
                tokio::spawn(async move {
                    peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    let mut bytes = [0; 1_024];
                    while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
                    now.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { url, open, most, _server }
    }
}

/// Adds endpoints, then cancels this many jobs: one message per job and endpoint.
async fn send_messages(story: &Story, user: &User, hanging: &Hanging, jobs: usize) {
    for n in 0..ENDPOINTS {
        let id = format!("e{n}");
        user.ok(&["notifications", "add", &id, "--webhook", &hanging.url, "--event", "job.cancelled"]).await;
    }
    // The jobs wait for a runner until they are cancelled.
    story.update_settings(|settings| settings.compute = Compute::Runners).await;
    for n in 0..jobs {
        let job = user.ok(&["jobs", "create", "-p", &format!("Do {n}.")]).await;
        story.api.cancel_job(&JobId::new(job.trim()).unwrap(), &CancelJob::default()).await.unwrap();
    }
    wait_until("an endpoint is called", async || match hanging.open.load(Ordering::SeqCst) {
        0 => Err("none".to_owned()),
        _ => Ok(()),
    })
    .await;
    story.update_settings(|settings| settings.compute = Compute::Fargate).await;
}

async fn run_two_steps(user: &User) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("plan.yaml");
    std::fs::write(&file, PLAN).unwrap();
    user.run(&["run", "-f", file.to_str().unwrap(), "--watch"]).await.assert_success();
}

#[tokio::test(flavor = "multi_thread")]
async fn run_completes_while_endpoints_hang() {
    let hanging = Hanging::start().await;
    let story = Story::start_with(Setup::default()).await;
    let user = User::of(&story);
    send_messages(&story, &user, &hanging, 1).await;
    run_two_steps(&user).await;
    let most = hanging.most.load(Ordering::SeqCst);
    assert!((1..=2).contains(&most), "{most} calls to one host at once");
}

/// A Jira that connects, then never answers.
async fn connect_hanging_jira(story: &Story, user: &User) -> FakeTracker {
    let fake = FakeTracker::start(Kind::Jira).await;
    user.run_with(&["secrets", "set", "jira"], CREDENTIAL).await.assert_success();
    let secret = "pullyard/user/jira";
    user.ok(&["trackers", "add", "jira", "--kind", "jira", "--site", fake.url(), "--token-secret", secret]).await;
    let names = ["--scope", "PRJ", "--trigger", TRIGGER, "--todo", "Backlog", "--completion", REVIEW];
    user.ok(&[&["trackers", "use", "jira"], &names[..]].concat()).await;
    (0..1_000).for_each(|_| fake.hang(""));
    fake.take_calls();
    // Makes the poll due in `up`; processes have a real clock and wait for it.
    story.clock.advance(Duration::from_secs(61));
    wait_until("a poll calls Jira", async || {
        story.local.sweep().await?;
        match fake.take_calls().is_empty() {
            true => Err("none".to_owned()),
            false => Ok(()),
        }
    })
    .await;
    fake
}

async fn time_of_a_run(functions: Functions, jobs: usize, has_jira: bool) -> Duration {
    let hanging = Hanging::start().await;
    let story = Story::start_with(Setup { functions, ..Setup::default() }).await;
    let user = User::of(&story);
    let _jira = if has_jira { Some(connect_hanging_jira(&story, &user).await) } else { None };
    if jobs > 0 {
        send_messages(&story, &user, &hanging, jobs).await;
    }
    let begun = Instant::now();
    run_two_steps(&user).await;
    let time = begun.elapsed();
    story.shut_down().await;
    time
}

/// Prints the time of a run of two steps, in `up` and behind processes of the functions. Needs an idle machine.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures; `.ci/functions-figures` runs it"]
async fn time_of_runs_beside_hanging_servers() {
    for (place, in_processes) in [("up", false), ("processes", true)] {
        for (jobs, has_jira) in [(0, false), (1, false), (6, false), (0, true)] {
            let functions = if in_processes { processes(Vec::new()) } else { Functions::Libraries };
            let time = time_of_a_run(functions, jobs, has_jira).await;
            println!("{place}: {} messages to a hanging host, hanging Jira {has_jira}: {time:.1?}", jobs * ENDPOINTS);
        }
    }
}
