//! Tests the cancel of a job on a daemon.

use crate::prelude::*;

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_job_stops_its_agent_and_frees_its_slot() {
    let (story, machine) = Story::with_daemons().await;
    // An agent that ignores signals.
    let deaf = machine.agent("");
    let deaf = ["sh", "-c", format!("trap '' TERM INT; {}", deaf[2]).leak()];
    story.set_agent_command(&deaf).await;
    let daemon = machine.daemon("kite", &[]);
    let job = story.create_job("e1", "APP-1", 1).await;
    let agent = machine.wait_for_agent(&job).await;
    story.api.cancel_job(&job, &Default::default()).await.unwrap();
    assert_eq!(story.wait_for_end(&job).await.status, JobStatus::Cancelled);
    machine.wait_until_dead(agent).await;
    let ticket = story.wait_for_settled_ticket("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.badges.len()), (crate::story::TODO, 0));
    story.wait_for_runner("kite", RunnerStatus::Online, 0).await;
    machine.release_agents();
    let next = story.create_job("e2", "APP-2", 2).await;
    story.assert_completed(&next, "APP-2").await;
    assert_eq!(story.commits_of(&job).await, 0);
    daemon.stop().await;
    story.wait_for_job(&job, has_status(JobStatus::Cancelled)).await;
}
