//! Tests the hints that wake idle runners.

use super::{RunnerProcess, register_request};
use crate::prelude::*;
use pullyard_protocol::runner::RegisterRequest;
use pullyard_protocol::runner_admin::RunnerOrder;

impl RunnerProcess {
    async fn wait_for_hint(&self, job: &JobId) {
        let hint = format!("wake {job} ");
        wait_until("the hint arrives", async || match self.client.receive_hints(&self.mailbox).await {
            Ok(answer) if answer.contains(&hint) => Ok(()),
            answer => Err(format!("{answer:?}")),
        })
        .await;
    }

    async fn count_hints(&self, story: &Story) -> u64 {
        story.wait_for_empty_queues().await;
        let request = json!({ "QueueUrl": self.mailbox, "AttributeNames": ["All"] });
        let about = story.local.aws().sqs().call("GetQueueAttributes", &request).await.unwrap();
        about["Attributes"]["ApproximateNumberOfMessages"].as_str().unwrap().parse().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hint_ends_the_wait_of_an_idle_runner() {
    let (story, kite) = Story::with_one_runner().await;
    let (_, job) = tokio::join!(kite.client.receive_hints(&kite.mailbox), story.create_job("e1", "APP-1", 1));
    assert_eq!(kite.claim("c1").await.unwrap().job, job);
    // The route receives from mailboxes only.
    let dispatch = story.queue_url("dispatch").await;
    for (mailbox, status) in
        [(dispatch.as_str().unwrap(), 403), ("", 403), ("http://127.0.0.1:1/000000000000/wake-none", 400)]
    {
        let headers = [("pullyard-mailbox", mailbox)];
        let (answer, ..) = story.request_with_headers(Method::GET, "/v1/wake", &headers, Vec::new()).await;
        assert_eq!(answer, status, "{mailbox}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_job_wakes_at_most_two_matching_runners_with_free_slots() {
    let story = Story::with_runners().await;
    let token = story.runner_token("t", None, None).await;
    let codex = RegisterRequest { capabilities: BTreeSet::from(["codex".into()]), ..register_request("hawk", "i1") };
    let hawk = story.try_register(&token, &codex).await.unwrap();
    let idle = [
        story.register_runner(&token, "kite", "i1").await,
        story.register_runner(&token, "gull", "i1").await,
        story.register_runner(&token, "swan", "i1").await,
    ];
    let counts = async || futures::future::join_all(idle.iter().map(|runner| runner.count_hints(&story))).await;
    story.create_job("e1", "APP-1", 1).await;
    let first = counts().await;
    assert_eq!((first.iter().sum::<u64>(), first.iter().max()), (2, Some(&1)), "{first:?}");
    assert_eq!(hawk.count_hints(&story).await, 0, "it lacks the agent");
    // Of two runners that accept jobs, the busy one is woken, too.
    story.api.command_runner("swan", RunnerOrder::Drain).await.unwrap();
    assert!(idle[0].claim("c1").await.is_some());
    story.create_job("e2", "APP-2", 2).await;
    let second = counts().await;
    let added = first.iter().zip(&second).map(|(before, after)| after - before);
    assert_eq!(added.collect::<Vec<_>>(), [1, 1, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sweeper_repeats_a_lost_hint_after_30_seconds() {
    let settings = Settings { compute: Compute::Runners, ..Setup::default().settings };
    let setup = Setup { task: Task::Waiting, hints: HintDelivery::Drop, settings, ..Setup::default() };
    let story = Story::start_with(setup).await;
    let token = story.runner_token("t", None, None).await;
    let kite = story.register_runner(&token, "kite", "i1").await;
    let job = story.create_job("e1", "APP-1", 1).await;
    story.advance_and_sweep(Duration::from_secs(1)).await;
    assert_eq!(kite.count_hints(&story).await, 0);
    kite.heartbeat(&[]).await;
    story.advance_and_sweep(Duration::from_secs(61)).await;
    kite.wait_for_hint(&job).await;
    assert_eq!(kite.claim("c1").await.unwrap().job, job);
}

#[tokio::test(flavor = "multi_thread")]
async fn misdirected_and_doubled_hints_start_a_job_once() {
    let (story, kite) = Story::with_one_runner().await;
    let token = story.runner_token("other", None, None).await;
    let codex = RegisterRequest { capabilities: BTreeSet::from(["codex".into()]), ..register_request("hawk", "i1") };
    let hawk = story.try_register(&token, &codex).await.unwrap();
    let job = story.create_job("e1", "APP-1", 1).await;
    story.wait_for_empty_queues().await;
    for mailbox in [&hawk.mailbox, &kite.mailbox] {
        let hint = json!({ "QueueUrl": mailbox, "MessageBody": format!("wake {job} ") });
        story.local.aws().sqs().call("SendMessage", &hint).await.unwrap();
    }
    assert_eq!(kite.count_hints(&story).await, 2);
    hawk.wait_for_hint(&job).await;
    assert!(hawk.claim("c1").await.is_none(), "it lacks the agent");
    kite.wait_for_hint(&job).await;
    assert_eq!(kite.claim("c2").await.unwrap().job, job);
    assert!(kite.claim("c3").await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn requeued_job_wakes_another_runner() {
    let (story, kite) = Story::with_one_runner().await;
    story.local.sweep().await.unwrap();
    let job = story.create_job("e1", "APP-1", 1).await;
    assert!(kite.claim("c1").await.is_some());
    story.wait_for_empty_queues().await;
    let token = story.runner_token("other", None, None).await;
    let gull = story.register_runner(&token, "gull", "i1").await;
    while story.api.job(&job).await.unwrap().status != JobStatus::Ready {
        gull.heartbeat(&[]).await;
        story.pass_in_steps(10).await;
    }
    gull.wait_for_hint(&job).await;
    assert_eq!(gull.claim("c2").await.unwrap().job, job);
}

#[tokio::test(flavor = "multi_thread")]
async fn mailbox_is_made_again_and_ends_with_its_runner() {
    let (story, kite) = Story::with_one_runner().await;
    let sqs = story.local.aws().sqs();
    sqs.call("DeleteQueue", &json!({ "QueueUrl": kite.mailbox })).await.unwrap();
    // A lost mailbox costs the hint, and no dispatch fails.
    story.create_job("e1", "APP-1", 1).await;
    story.wait_for_empty_queues().await;
    let token = "rnt_t";
    let again = story.register_runner(token, "kite", "i1").await;
    assert_eq!(again.mailbox, kite.mailbox);
    assert_eq!(again.count_hints(&story).await, 0);
    story.api.remove_runner("kite").await.unwrap();
    let error = again.client.receive_hints(&again.mailbox).await.unwrap_err().to_string();
    assert!(error.contains("400"), "{error}");
    let listed = sqs.call("ListQueues", &json!({ "QueueNamePrefix": "wake-" })).await.unwrap();
    assert_eq!(listed["QueueUrls"].as_array().map_or(0, Vec::len), 0, "{listed}");
    let next = story.register_runner(token, "kite", "i2").await;
    assert_ne!(next.mailbox, kite.mailbox);
}
