//! Tests that servers of users that hang hold up no other work.

use crate::prelude::*;
use crate::story::wait_until;
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

#[tokio::test(flavor = "multi_thread")]
async fn run_completes_while_endpoints_hang() {
    let hanging = Hanging::start().await;
    let story = Story::start_with(Setup::default()).await;
    let (user, folder) = (User::of(&story), TempDir::new().unwrap());
    for n in 0..ENDPOINTS {
        let id = format!("e{n}");
        user.ok(&["notifications", "add", &id, "--webhook", &hanging.url, "--event", "job.cancelled"]).await;
    }
    // The job waits for a runner until it is cancelled.
    story.update_settings(|settings| settings.compute = Compute::Runners).await;
    let request = json!({ "project": "acme", "prompt": "Do it." });
    let (status, _, decision) = story
        .request(Method::POST, "/v1/jobs", Some(story.local.admin_token()), request.to_string().into_bytes())
        .await;
    assert_eq!(status, 201, "{decision}");
    let job: JobId = serde_json::from_value(decision["job"].clone()).unwrap();
    story.api.cancel_job(&job, &CancelJob::default()).await.unwrap();
    wait_until("an endpoint is called", async || match hanging.open.load(Ordering::SeqCst) {
        0 => Err("none".to_owned()),
        _ => Ok(()),
    })
    .await;

    story.update_settings(|settings| settings.compute = Compute::Fargate).await;
    let file = folder.path().join("plan.yaml");
    std::fs::write(&file, PLAN).unwrap();
    user.run(&["run", "-f", file.to_str().unwrap(), "--watch"]).await.assert_success();
    let most = hanging.most.load(Ordering::SeqCst);
    assert!((1..=2).contains(&most), "{most} calls to one host at once");
}
