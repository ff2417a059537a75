//! Tests which self-hosted runner may claim a job when the project chooses the agent.

use super::introduction;
use crate::story::{Setup, Story, failed};
use pullyard_domain::agent::Agent;
use pullyard_domain::project::Settings;
use pullyard_protocol::runner::RegisterRequest;
use std::collections::BTreeSet;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn job_needs_a_runner_with_the_agent_chosen_at_creation() {
    let settings = Settings { agent: Some("codex".into()), ..Setup::default().settings };
    let story = Story::of_runners(settings).await;
    story.connect(Agent::project_default()).await;
    let token = story.runner_token("t", None, None).await;
    let kite = story.runner(&token, "kite", "i1").await;
    let codex = RegisterRequest { capabilities: BTreeSet::from(["codex".into()]), ..introduction("gull", "i1") };
    let gull = story.register(&token, &codex).await.unwrap();

    let first = story.job_for("e1", "APP-1", 1).await;
    story.clock.advance(Duration::from_secs(1));
    let second = story.job_for("e2", "APP-2", 2).await;
    assert!(kite.claim("k1").await.is_none(), "kite does not have Codex");
    assert_eq!(gull.claim("g1").await.unwrap().job, first);
    story.settings(|settings| settings.agent = Some("claude_code".into())).await;
    let third = story.job_for("e3", "APP-3", 3).await;
    let claimed = gull.claim("g2").await.unwrap();
    assert_eq!(claimed.job, second);
    let (assignment, client) = story.start(&claimed, "g2").await.unwrap();
    assert_eq!(assignment.agent.capability, "codex");
    client.finish(&failed("f2")).await.unwrap();
    assert!(gull.claim("g3").await.is_none(), "gull does not have Claude Code");
    story.waits_for(&third, "no_capability").await;
    story.end().await;
}
