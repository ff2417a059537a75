//! Tests the daemon's wait for hints at its mailbox.

use crate::prelude::*;
use crate::runner_api::{Daemon, MAILBOX, WAIT_FOR_GO_JOB};

/// A daemon that has claimed no job and waits at its mailbox.
async fn waiting_daemon(slots: &str) -> (DaemonMachine, Daemon) {
    let machine = DaemonMachine::with_job_script(WAIT_FOR_GO_JOB).await;
    machine.runner_api.script(|script| script.mailbox = Some(Default::default()));
    let daemon = machine.daemon_args(&["--slots", slots]);
    machine.runner_api.wait_for_calls("wake", 1).await;
    assert_eq!(machine.runner_api.last_call("wake").body["mailbox"], MAILBOX);
    assert_eq!(machine.runner_api.calls("claim").len(), 1);
    (machine, daemon)
}

fn hint(number: u32) -> String {
    format!(r#"{{"Messages":[{{"Body":"wake {} {number:016x}"}}]}}"#, job("a"))
}

async fn stop(daemon: Daemon) -> String {
    daemon.signal(Signal::SIGTERM);
    let (code, log) = daemon.wait_for_exit().await;
    assert_eq!(code, Some(0), "{log}");
    log
}

#[tokio::test]
async fn idle_daemon_claims_only_on_new_hints() {
    let (machine, daemon) = waiting_daemon("3").await;
    let api = &machine.runner_api;
    // Heartbeats are a second apart, and without a mailbox a claim follows every 30 ms.
    for _ in 0..2 {
        api.wait_for_next_call("heartbeat").await;
    }
    assert_eq!((api.calls("claim").len(), api.calls("wake").len()), (1, 1));
    // A wrong hint costs two claims, because the server's list may be late, and its repetition none.
    api.answer_mailbox(200, &hint(1));
    api.wait_for_calls("wake", 2).await;
    api.answer_mailbox(200, &hint(1));
    api.wait_for_calls("wake", 3).await;
    assert_eq!(api.calls("claim").len(), 3);
    // The first claim of a hint gets a job, and the next two none.
    api.add_jobs(&[job("a")]);
    api.answer_mailbox(200, &hint(2));
    machine.pid_of(&job("a")).await;
    api.wait_for_calls("claim", 6).await;
    api.wait_for_next_call("heartbeat").await;
    assert_eq!((api.calls("claim").len(), api.calls("wake").len()), (6, 4), "the call outlives the late claim");
    machine.release_jobs();
    stop(daemon).await;
    assert_eq!(api.calls("register").len(), 1);
}

#[tokio::test]
async fn busy_daemon_claims_on_a_freed_slot_without_a_hint() {
    let (machine, daemon) = waiting_daemon("1").await;
    let api = &machine.runner_api;
    api.add_jobs(&[job("a"), job("b")]);
    api.answer_mailbox(200, &hint(1));
    machine.pid_of(&job("a")).await;
    for _ in 0..2 {
        api.wait_for_next_call("heartbeat").await;
    }
    assert_eq!(api.calls("wake").len(), 1, "it waits only with a free slot");
    machine.release_jobs();
    machine.pid_of(&job("b")).await;
    api.wait_for_calls("wake", 2).await;
    stop(daemon).await;
}

#[tokio::test]
async fn hint_soon_after_a_job_is_heard_at_once() {
    let (machine, daemon) = waiting_daemon("1").await;
    let api = &machine.runner_api;
    api.script(|script| script.poll_ms = Some(3_600_000));
    api.add_jobs(&[job("a")]);
    api.answer_mailbox(200, &hint(1));
    machine.pid_of(&job("a")).await;
    machine.release_jobs();
    // A claim follows the job's end, and without a hint the next one follows an hour later.
    api.wait_for_calls("wake", 2).await;
    api.add_jobs(&[job("b")]);
    api.answer_mailbox(200, &hint(2));
    machine.pid_of(&job("b")).await;
    stop(daemon).await;
}

#[tokio::test]
async fn freed_slot_and_a_resumed_drain_end_the_wait() {
    let (machine, daemon) = waiting_daemon("2").await;
    let api = &machine.runner_api;
    api.add_jobs(&[job("a")]);
    api.answer_mailbox(200, &hint(1));
    machine.pid_of(&job("a")).await;
    api.wait_for_calls("claim", 4).await;
    machine.release_jobs();
    api.wait_for_calls("claim", 6).await;
    let claims = api.calls("claim").len();
    api.script(|script| script.drain = true);
    api.wait_for_draining().await;
    api.script(|script| script.drain = false);
    api.wait_for_calls("claim", claims + 1).await;
    stop(daemon).await;
}

#[tokio::test]
async fn daemon_polls_while_its_mailbox_is_unusable() {
    for (status, text) in [(403, "Forbidden"), (500, ""), (400, "NonExistentQueue"), (200, "<html>"), (204, "")] {
        let (machine, daemon) = waiting_daemon("3").await;
        let api = &machine.runner_api;
        api.answer_mailbox(status, text);
        // The next try follows after a minute.
        api.wait_for_calls("claim", 8).await;
        api.add_jobs(&[job("a")]);
        machine.pid_of(&job("a")).await;
        assert_eq!(api.calls("wake").len(), 1, "{status}");
        machine.release_jobs();
        let log = stop(daemon).await;
        assert_eq!(log.matches("cannot wait for hints").count(), 1, "{log}");
    }
}

#[tokio::test]
async fn failed_call_from_before_a_claim_is_repeated_at_once() {
    let (machine, daemon) = waiting_daemon("3").await;
    let api = &machine.runner_api;
    api.answer_mailbox(200, &hint(1));
    // The second call at the mailbox outlives the third claim.
    api.wait_for_calls("claim", 3).await;
    api.wait_for_calls("wake", 2).await;
    api.answer_mailbox(500, "");
    api.wait_for_calls("wake", 3).await;
    api.answer_mailbox(500, "");
    api.wait_for_calls("claim", 8).await;
    assert_eq!(api.calls("wake").len(), 3, "only the newer call counts");
    let log = stop(daemon).await;
    assert_eq!(log.matches("cannot wait for hints").count(), 1, "{log}");
}

#[tokio::test]
#[ignore = "takes a minute"]
async fn unusable_mailbox_is_made_again_after_a_minute() {
    let (machine, daemon) = waiting_daemon("3").await;
    let api = &machine.runner_api;
    api.answer_mailbox(400, "NonExistentQueue");
    api.wait_for_calls("claim", 8).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    api.wait_for_calls("wake", 2).await;
    assert_eq!(api.calls("register").len(), 2);
    let claims = api.calls("claim").len();
    for _ in 0..2 {
        api.wait_for_next_call("heartbeat").await;
    }
    assert_eq!(api.calls("claim").len(), claims);
    stop(daemon).await;
}

#[tokio::test]
#[ignore = "takes half a minute"]
async fn mailbox_without_any_answer_is_given_up() {
    let (machine, daemon) = waiting_daemon("3").await;
    machine.runner_api.wait_for_calls("claim", 8).await;
    let log = stop(daemon).await;
    assert_eq!(log.matches("cannot wait for hints").count(), 1, "{log}");
}
