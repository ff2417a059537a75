//! Tests every end of an attempt: leftover processes, pushes and reports.

use crate::prelude::*;
use crate::world::World;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::kill;
use nix::unistd::Pid;

const GREETING_AGENT: &str = "cat > /dev/null; echo hello > greeting.txt";
#[cfg(target_os = "linux")]
pub(crate) const LEAVE_PROCESS_COMMAND: &str = "env -i PATH=$PATH setsid sh -c \
     '(setsid sh -c \"echo > @DIR@/up; while :; do sleep 0.1; done\" &) & exit 0' > /dev/null 2>&1; \
     while [ ! -e @DIR@/up ]; do sleep 0.02; done";

type AssignmentChange = fn(&mut Assignment);
#[cfg(target_os = "linux")]
type StopAction = fn(&World, &Child);

pub(crate) fn send_sigterm(runner: &Child) {
    kill(Pid::from_raw(i32::try_from(runner.id().unwrap()).unwrap()), Signal::SIGTERM).unwrap();
}

#[cfg(target_os = "linux")]
fn spawn_without_namespace(world: &World) -> Child {
    world.spawn(|command| {
        command.env("PULLYARD_PROCESS_NAMESPACE", "off").env("PULLYARD_AGENT_RETRY_SECS", "");
    })
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_process_survives_any_end_of_an_agent() {
    let busy = "while :; do echo busy; sleep 0.1; done";
    let question_script = "echo '{\"kind\":\"question\",\"text\":\"Which list?\"}'";
    let leaking = format!("echo {TOKEN} > notes.txt");
    let reverts = "echo x > README.md; echo '# App' > README.md";
    let cases: [(&str, AssignmentChange, Option<&str>); 6] = [
        ("exec sleep 600", |job| job.limits.stall_secs = 2, Some("stalled")),
        (busy, |job| job.limits.wall_secs = 4, Some("time_limit")),
        (reverts, |_| (), Some("no_changes")),
        ("exit 75", |_| (), Some("agent_failed")),
        (leaking.as_str(), |_| (), Some("secret_in_change")),
        (question_script, |_| (), None),
    ];
    for (ending, change, code) in cases {
        let world = World::with_agent(&format!("{LEAVE_PROCESS_COMMAND}; {ending}")).await;
        world.api.change_assignment(change);
        let ran = wait_for_exit(spawn_without_namespace(&world)).await;
        assert_eq!(ran.code, Some(0), "{ending}: {}", ran.log);
        let failure = world.api.finishes().pop().and_then(|finish| finish.failure);
        assert_eq!(failure.map(|failure| failure.code()), code, "{ending}");
        assert_eq!((world.leftover_processes(), world.branch_head(BRANCH)), (vec![], None), "{ending}");
        assert!(world.worktrees().is_empty(), "{ending}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn job_over_its_disk_limit_is_stopped() {
    let fill = |place: &str| format!("{LEAVE_PROCESS_COMMAND}; head -c 80000000 /dev/urandom > {place}; sleep 600");
    let worlds = [
        World::with_agent(&fill("notes.txt")).await,
        World::with_agent(&fill("$HOME/cache")).await,
        with_checks(GREETING_AGENT, &[fill("notes.txt").as_str()], |_| ()).await,
    ];
    for (n, world) in worlds.iter().enumerate() {
        let ran = wait_for_exit(world.spawn(|command| {
            command.env("PULLYARD_PROCESS_NAMESPACE", "off").env("PULLYARD_DISK_LIMIT", "64m");
        }));
        let ran = ran.await;
        assert_eq!(ran.code, Some(0), "{n}: {}", ran.log);
        let sentence = world.api.only_finish().failure.map(|failure| failure.sentence()).unwrap_or_default();
        let expected = "The job would fill the runner's disk: its folder is larger than the limit of 64 MB.";
        assert_eq!(sentence, expected, "{n}");
        assert_eq!((world.leftover_processes(), world.branch_head(BRANCH)), (vec![], None), "{n}");
        assert!(world.worktrees().is_empty(), "{n}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_process_survives_any_stop_of_an_unresponsive_agent() {
    let cancelled = Some(FinishOutcome::Cancelled);
    let stops: [(&str, StopAction, Option<FinishOutcome>); 4] = [
        ("cancel", |world, _| world.api.change_script(|script| script.cancel = true), cancelled),
        ("pause", |world, _| world.api.change_script(|script| script.pause = true), None),
        ("lost lease", |world, _| world.api.change_script(|script| script.refuse("events", 409, "lease_lost")), None),
        ("SIGTERM", |_, runner| send_sigterm(runner), None),
    ];
    let agent = format!(
        "{LEAVE_PROCESS_COMMAND}; echo hello > greeting.txt; trap '' TERM; echo waiting; while :; do sleep 0.05; done"
    );
    for (name, stop, ends) in stops {
        let world = World::with_agent(&agent).await;
        let runner = spawn_without_namespace(&world);
        world.api.wait_for_text("waiting").await;
        stop(&world, &runner);
        let ran = wait_for_exit(runner).await;
        assert_eq!(ran.code, Some(if name == "SIGTERM" { 143 } else { 0 }), "{name}: {}", ran.log);
        assert_eq!((world.leftover_processes(), world.branch_head(BRANCH)), (vec![], None), "{name}");
        let finish = world.api.finishes().pop();
        assert_eq!(finish.as_ref().map(|finish| finish.outcome), ends, "{name}");
        assert!(finish.is_none_or(|finish| finish.failure.is_none()), "{name}");
        assert!(name == "SIGTERM" || world.worktrees().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn stopped_runner_reports_the_cost_that_it_knows() {
    let usage = r#"{"kind":"usage","turns":1,"cost_usd_micros":400000}"#;
    let world = World::with_agent(&format!("echo '{usage}'; echo waiting; exec sleep 600")).await;
    let runner = world.spawn(|_| ());
    world.api.wait_for_text("waiting").await;
    send_sigterm(&runner);
    let ran = wait_for_exit(runner).await;
    assert_eq!((ran.code, world.api.finishes().len()), (Some(143), 0), "{}", ran.log);
    let batches = world.api.calls("events").into_iter();
    let costs: Vec<_> = batches.filter_map(|call| call.body["spent_usd_micros"].as_u64()).collect();
    assert_eq!(costs, [400_000]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_process_of_a_check_survives_without_a_namespace() {
    let world = with_checks(GREETING_AGENT, &[LEAVE_PROCESS_COMMAND], |_| ()).await;
    let ran = wait_for_exit(spawn_without_namespace(&world)).await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{:?}", world.api.only_finish());
    assert_eq!(world.leftover_processes(), [""; 0]);
}

#[tokio::test]
async fn time_limit_ends_a_running_check() {
    let world = with_checks(GREETING_AGENT, &["while :; do sleep 0.1; done"], |_| ()).await;
    world.api.change_assignment(|job| job.limits.wall_secs = 5);
    assert_eq!(world.fails().await, "time_limit");
    assert_eq!((world.leftover_processes(), world.branch_head(BRANCH)), (vec![], None));
}

#[tokio::test]
async fn lost_lease_before_the_push_prevents_push_and_finish() {
    let world = World::with_agent(WAITING_AGENT).await;
    world.run_with_change(async || world.api.change_script(|script| script.refuse("status", 409, "lease_lost"))).await;
    assert_eq!((world.api.finishes(), world.branch_head(BRANCH)), (vec![], None));
    assert!(world.worktrees().is_empty() && world.outbox_files().is_empty());
}

#[tokio::test]
async fn cancel_at_push_applies_and_pause_only_without_a_grant() {
    let world = World::with_agent(GREETING_AGENT).await;
    world.api.change_script(|script| script.push_order = Some(("cancel", true)));
    assert_eq!(world.run().await.code, Some(0));
    assert_eq!((world.api.only_finish().outcome, world.branch_head(BRANCH)), (FinishOutcome::Cancelled, None));

    let world = World::with_agent(GREETING_AGENT).await;
    world.api.change_script(|script| script.push_order = Some(("pause", false)));
    assert_eq!(world.run().await.code, Some(0));
    let [yield_request] = world.api.yields().try_into().unwrap();
    assert_eq!((yield_request.outcome, world.branch_head(BRANCH)), (YieldReason::Paused, None));
    assert!(world.api.finishes().is_empty());

    let world = World::with_agent(GREETING_AGENT).await;
    world.api.change_script(|script| script.push_order = Some(("pause", true)));
    world.completes().await;
    assert!(world.branch_head(BRANCH).is_some() && world.api.yields().is_empty());
}

/// A world whose push waits at the forge until the file `go` exists.
async fn world_with_pending_push(forge_accepts: bool) -> (World, Child) {
    let world = World::with_agent(GREETING_AGENT).await;
    let [begun, go] = ["begun", "go"].map(|name| world.outside_path(name).display().to_string());
    let end = if forge_accepts { "exit 0" } else { "exit 1" };
    install_hook(&world, "pre-receive", &format!("touch {begun}; while [ ! -e {go} ]; do sleep 0.05; done; {end}"));
    let runner = world.spawn(|_| ());
    wait_for_file(&world.outside_path("begun")).await;
    (world, runner)
}

#[tokio::test]
async fn granted_push_continues_despite_cancel_or_pause() {
    for order in ["cancel", "pause"] {
        let (world, runner) = world_with_pending_push(true).await;
        world.api.change_script(|script| (script.cancel, script.pause) = (order == "cancel", order == "pause"));
        // The runner sends the second batch only after it read the first answer.
        let before = world.api.calls("events").len();
        let expected_calls = before + 2;
        world.api.wait_for(|calls| calls.iter().filter(|call| call.route == "events").count() >= expected_calls).await;
        std::fs::write(world.outside_path("go"), "").unwrap();
        let ran = wait_for_exit(runner).await;
        assert_eq!(ran.code, Some(0), "{order}: {}", ran.log);
        assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{order}: {:?}", world.api.only_finish());
        assert!(world.branch_head(BRANCH).is_some() && world.open_pull_request(BRANCH).await.is_some(), "{order}");
    }
}

#[tokio::test]
async fn push_ends_with_the_lease_and_hides_its_token() {
    let (world, runner) = world_with_pending_push(false).await;
    let url = &world.repository.clone_url;
    let mut lines = Vec::new();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        lines.push(String::from_utf8_lossy(&line).replace('\0', " "));
    }
    let encoded = STANDARD.encode(format!("x-access-token:{TOKEN}"));
    let pushes: Vec<_> = lines.iter().filter(|line| line.contains(url.as_str())).collect();
    let is_seen = pushes.iter().any(|line| line.contains("/git push "));
    assert_eq!(is_seen, cfg!(target_os = "linux"), "{pushes:?}");
    assert!(pushes.iter().all(|line| !line.contains(TOKEN) && !line.contains(&encoded)), "{pushes:?}");

    world.api.change_script(|script| script.refuse("events", 409, "lease_lost"));
    let ran = wait_for_exit(runner).await;
    std::fs::write(world.outside_path("go"), "").unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert_eq!((world.api.finishes(), world.branch_head(BRANCH)), (vec![], None));
    assert!(world.worktrees().is_empty());
}
