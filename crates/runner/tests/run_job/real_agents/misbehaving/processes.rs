//! Tests processes that hold pipes open, do not read their input or are killed.

use super::fake_agent::FakeAgent;

const WORK: &str = "echo hello > greeting.txt";

#[tokio::test]
async fn child_holding_the_pipes_delays_nothing_and_is_killed() {
    let child = "setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 0.1; done' &";
    FakeAgent::with_script(&format!("@BEGIN@; {WORK}; {child} @WELL@")).await.run_to_success().await;
}

#[tokio::test]
async fn unread_prompt_does_not_fail_the_attempt() {
    for does in [format!("@BEGIN@; {WORK}; @WELL@; exit 0"), format!("exec <&-; @BEGIN@; {WORK}; sleep 0.2; @WELL@")] {
        let agent = FakeAgent::with_script(&does).await;
        agent.world.api.change_assignment(|job| job.prompt = "p".repeat(3_000_000));
        agent.run_to_success().await;
    }
}

#[tokio::test]
async fn failure_names_the_signal_of_a_killed_program() {
    // By the out-of-memory killer, a crash, and an abort.
    for signal in [9, 11, 6] {
        let agent = FakeAgent::with_script(&format!("ulimit -c 0; @BEGIN@; {WORK}; kill -{signal} $$")).await;
        let (finish, ran) = agent.run().await;
        let failure = finish.failure.unwrap();
        assert_eq!(failure.code(), "agent_failed", "{}", ran.log);
        assert!(failure.sentence().contains(&format!("signal {signal}:")), "{}", failure.sentence());
        agent.check_end();
    }
}
