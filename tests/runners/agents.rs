//! Tests which self-hosted runner may claim a job when the project chooses the agent.

use super::register_request;
use crate::prelude::*;
use pullyard_protocol::runner::RegisterRequest;

#[tokio::test(flavor = "multi_thread")]
async fn job_needs_a_runner_with_the_agent_chosen_at_creation() {
    let settings = Settings { agent: Some("codex".into()), ..Setup::default().settings };
    let story = Story::with_runners_and_settings(settings).await;
    story.connect_repository(Agent::project_default()).await;
    let token = story.runner_token("t", None, None).await;
    let kite = story.register_runner(&token, "kite", "i1").await;
    let codex = RegisterRequest { capabilities: BTreeSet::from(["codex".into()]), ..register_request("gull", "i1") };
    let gull = story.try_register(&token, &codex).await.unwrap();

    let first = story.create_job("e1", "APP-1", 1).await;
    story.clock.advance(Duration::from_secs(1));
    let second = story.create_job("e2", "APP-2", 2).await;
    assert!(kite.claim("k1").await.is_none(), "kite does not have Codex");
    assert_eq!(gull.claim("g1").await.unwrap().job, first);
    story.update_settings(|settings| settings.agent = Some("claude_code".into())).await;
    let third = story.create_job("e3", "APP-3", 3).await;
    let claimed = gull.claim("g2").await.unwrap();
    assert_eq!(claimed.job, second);
    let (assignment, client) = story.start_claimed(&claimed, "g2").await.unwrap();
    assert_eq!(assignment.agent.capability, "codex");
    client.finish(&failed_finish("f2")).await.unwrap();
    assert!(gull.claim("g3").await.is_none(), "gull does not have Claude Code");
    story.assert_waits(&third, "no_capability").await;
}
