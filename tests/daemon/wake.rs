//! Measures the time from a job's creation to its claim, by hints and by polling.

use super::Machine;
use crate::prelude::*;

const JOBS: usize = 60;

/// Forwards every call except the one of the mailbox, so that the daemon polls.
async fn start_proxy_without_mailboxes(url: &str) -> String {
    let (http, url) = (reqwest::Client::builder().no_proxy().build().unwrap(), url.to_owned());
    serve(Router::new().fallback(move |request: Request| {
        let (http, url) = (http.clone(), url.clone());
        async move {
            let path = request.uri().to_string();
            if path == "/v1/wake" {
                return StatusCode::NOT_FOUND.into_response();
            }
            let (head, body) = request.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let call = http.request(head.method, format!("{url}{path}")).headers(head.headers).body(body);
            let answer = call.send().await.unwrap();
            (answer.status(), answer.bytes().await.unwrap()).into_response()
        }
    }))
    .await
}

async fn measure(story: &Story, by: &str) {
    let mut waits = Vec::new();
    for number in 0..JOBS {
        // At a random moment of the polling interval.
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..3_000))).await;
        let key = format!("{by}-{number}");
        let began = Instant::now();
        let job = story.create_job(&format!("e-{key}"), &key, 1).await;
        while story.api.job(&job).await.unwrap().attempt == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        waits.push(began.elapsed());
        story.wait_for_end(&job).await;
    }
    waits.sort();
    let at = |percent: usize| waits[(waits.len() * percent / 100).min(waits.len() - 1)].as_millis();
    println!("trigger to claimed by {by}: p50 {} ms, p95 {} ms, {JOBS} jobs", at(50), at(95));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "figures for docs/capacity.md: takes minutes"]
async fn trigger_to_claim_by_hints_and_by_polling() {
    let (story, machine) = Story::with_daemons().await;
    machine.release_agents();
    let daemon = machine.daemon("kite", &["--slots", "4"]);
    story.wait_for_runner("kite", RunnerStatus::Online, 0).await;
    measure(&story, "hints").await;
    daemon.stop().await;
    let proxy = Machine::of(&start_proxy_without_mailboxes(story.local.api_url()).await, &story.api).await;
    proxy.release_agents();
    let daemon = proxy.daemon("gull", &["--slots", "4"]);
    story.wait_for_runner("gull", RunnerStatus::Online, 0).await;
    measure(&story, "polling").await;
    daemon.stop().await;
}
