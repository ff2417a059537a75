//! Tests processes that ignore signals, hold pipes open or do not read their input.

use super::stand_in::StandIn;
use crate::left_over::left_over;
use crate::running::appears;
use crate::world::end_of;
use pullyard_protocol::attempt::FinishOutcome;

const WORK: &str = "echo hello > greeting.txt";

#[tokio::test]
async fn child_holding_the_pipes_delays_nothing_and_is_killed() {
    let child = "setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 0.1; done' &";
    StandIn::that(&format!("@BEGIN@; {WORK}; {child} @WELL@")).await.succeeds().await;
}

#[tokio::test]
async fn unread_prompt_does_not_fail_the_attempt() {
    for does in [format!("@BEGIN@; {WORK}; @WELL@; exit 0"), format!("exec <&-; @BEGIN@; {WORK}; sleep 0.2; @WELL@")] {
        let one = StandIn::that(&does).await;
        one.world.api.assign(|job| job.prompt = "p".repeat(3_000_000));
        one.succeeds().await;
    }
}

#[tokio::test]
async fn failure_names_the_signal_of_a_killed_program() {
    // By the out-of-memory killer, a crash, and an abort.
    for signal in [9, 11, 6] {
        let one = StandIn::that(&format!("ulimit -c 0; @BEGIN@; {WORK}; kill -{signal} $$")).await;
        let (finish, ran) = one.run().await;
        let failure = finish.failure.unwrap();
        assert_eq!(failure.code(), "agent_failed", "{}", ran.log);
        assert!(failure.sentence().contains(&format!("signal {signal}:")), "{}", failure.sentence());
        one.end();
    }
}

#[tokio::test]
async fn next_attempt_kills_leftovers_of_a_killed_runner() {
    // A tool in its own session survives its runner where there is no namespace.
    let tool = "setsid sh -c 'touch @DIR@/begun; while [ ! -e @DIR@/go ]; do sleep 0.1; done'";
    let one = StandIn::that(&format!("@BEGIN@; {tool}; {WORK}; @WELL@")).await;
    let start = || {
        one.start_with(|command| {
            command.env("PULLYARD_PROCESS_NAMESPACE", "off");
        })
    };
    let mut runner = start();
    appears(&one.world.outside("begun")).await;
    runner.kill().await.unwrap();
    let of_the_first = left_over(one.world.dir.path());
    assert!(of_the_first.iter().any(|(_, line)| line.contains("touch")), "{of_the_first:?}");
    std::fs::remove_file(one.world.outside("begun")).unwrap();
    one.world.api.assign(|job| job.attempt = 2);
    let runner = start();
    appears(&one.world.outside("begun")).await;
    let still = left_over(one.world.dir.path());
    assert!(!of_the_first.iter().any(|first| still.contains(first)), "{of_the_first:?} {still:?}");
    std::fs::write(one.world.outside("go"), "").unwrap();
    assert_eq!(end_of(runner).await.code, Some(0));
    assert_eq!(one.world.api.finish().outcome, FinishOutcome::Completed);
    one.end();
}
