//! Tests how an agent's run ends: failures, limits, leftover processes and changes.

use crate::world::{BRANCH, World};
use pullyard_domain::checks::{Checks, JobCommands, Setup};
use pullyard_domain::commands::CommandPolicy;
use pullyard_domain::failure::Failure;
use pullyard_domain::text::Span;
use pullyard_protocol::attempt::FinishOutcome;
use pullyard_protocol::event::EventKind;

async fn check(script: &str, change: impl FnOnce(&mut pullyard_protocol::attempt::Assignment)) -> (World, Failure) {
    let world = World::with_agent(script).await;
    world.api.assign(change);
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let finish = world.api.finish();
    assert_eq!((finish.outcome, &finish.result), (FinishOutcome::Failed, &None), "{finish:?}");
    assert_eq!(world.head(BRANCH), None, "something was pushed");
    (world, finish.failure.unwrap())
}

#[tokio::test]
async fn failure_quotes_the_last_output_of_the_agent() {
    let (_, failure) = check("echo one; echo 'no such file' >&2; echo hello > a.txt; exit 3", |_| ()).await;
    let expected = Failure::AgentFailed {
        agent: "The agent".into(),
        exit: "exit code 3".into(),
        last_words: "no such file".into(),
    };
    assert_eq!(failure, expected);
    let (_, failure) = check("echo bye; kill -9 $$", |_| ()).await;
    assert_eq!(failure.sentence(), "The agent stopped with signal 9: \"bye\".");
}

#[tokio::test]
async fn unstartable_agent_fails_as_agent_missing() {
    for command in [vec!["./none.sh"], vec!["no-such-program-anywhere"], vec!["./README.md"], vec!["/no/where"], vec![]]
    {
        let (_, failure) =
            check("true", |job| job.agent.command = command.iter().map(|arg| (*arg).to_owned()).collect()).await;
        assert_eq!(failure.code(), "agent_missing", "{command:?}");
    }
}

#[tokio::test]
async fn agent_without_changes_fails_with_no_changes() {
    let (_, failure) = check("echo x > README.md; echo '# App' > README.md; echo nothing", |_| ()).await;
    assert_eq!(failure.code(), "no_changes");
}

#[tokio::test]
async fn silent_agent_fails_as_stalled() {
    let (_, failure) = check("echo 'thinking hard'; exec sleep 600", |job| job.limits.stall_secs = 3).await;
    assert_eq!(failure, Failure::Stalled { limit: Span(3), event: "thinking hard".into() });
}

#[tokio::test]
async fn agent_over_the_wall_time_is_killed() {
    let script = "while :; do echo busy; sleep 0.1; done";
    let (world, failure) = check(script, |job| job.limits.wall_secs = 4).await;
    assert_eq!(failure, Failure::TimeLimit { limit: Span(4) });
    assert_eq!(world.left_running(), [""; 0]);
}

#[tokio::test]
async fn command_over_its_cost_limit_is_stopped_and_usage_reported() {
    let script = r#"cat > /dev/null
        echo '{"kind":"usage","turns":1,"input_tokens":100,"output_tokens":10,"cost_usd_micros":400000}'
        echo '{"kind":"usage","turns":-4,"cost_usd_micros":1e300}'
        echo '{"kind":"usage","turns":2,"input_tokens":200,"cached_input_tokens":50,"cost_usd_micros":600000}'
        exec sleep 600"#;
    let (world, failure) = check(script, |job| job.limits.cost_usd_micros = Some(1_000_000)).await;
    assert_eq!(failure, Failure::CostLimit { spent: "$1.00".into(), limit: "$1.00".into() });
    assert_eq!(world.left_running(), [""; 0]);
    let finish = world.api.finish();
    let work = finish.work.unwrap();
    assert_eq!((work.turns, work.input_tokens, work.cached_input_tokens, work.output_tokens), (3, 300, 50, 10));
    assert_eq!((finish.spent_usd_micros, work.about_usd_micros), (Some(1_000_000), None));
}

#[tokio::test]
async fn command_over_its_turn_limit_is_stopped() {
    let script = r#"cat > /dev/null
        echo '{"kind":"usage","so_far":true,"turns":1}'; echo '{"kind":"usage","so_far":true,"turns":2}'
        exec sleep 600"#;
    let (world, failure) = check(script, |job| job.limits.turns = Some(2)).await;
    assert_eq!(failure, Failure::TurnLimit { limit: 2 });
    let finish = world.api.finish();
    assert_eq!((finish.work.unwrap().turns, finish.spent_usd_micros), (2, None));
}

#[tokio::test]
async fn usage_of_all_starts_counts_towards_the_cost_limit() {
    let script = r#"cat > /dev/null; echo '{"kind":"result","text":"Done, or not."}'
        echo '{"kind":"usage","so_far":true,"turns":2,"cost_usd_micros":900000}'
        [ -e @DIR@/once ] && echo hello > greeting.txt && exit 0; touch @DIR@/once; exit 75"#;
    let run = async |limit: u64| {
        let world = World::with_agent(script).await;
        world.api.assign(|job| job.limits.cost_usd_micros = Some(limit));
        let ran = world
            .run_with(|command| {
                command.env("PULLYARD_AGENT_RETRY_SECS", "0");
            })
            .await;
        assert_eq!(ran.code, Some(0), "{}", ran.log);
        world
    };
    let world = run(900_000).await;
    assert_eq!(world.api.failure(), "cost_limit");
    let finish = world.api.finish();
    assert_eq!((finish.work.unwrap().starts, finish.spent_usd_micros), (1, Some(900_000)));
    // The second start exceeds the limit too, but after its final result.
    let world = run(1_500_000).await;
    let finish = world.api.finish();
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?}");
    let work = finish.work.unwrap();
    assert_eq!((work.starts, work.turns, finish.spent_usd_micros), (2, 4, Some(1_800_000)));
    // Each start reports its own usage, then the total follows.
    let told = world.api.events().into_iter().filter_map(|event| event.usage()?.cost_usd_micros);
    assert_eq!(told.collect::<Vec<_>>(), [900_000, 900_000, 1_800_000]);
}

/// Writes eight MiB without holes.
const FILLS: &str = "head -c 8388608 /dev/zero > large.bin; ls -ls large.bin";

#[tokio::test]
async fn disk_limit_stops_a_running_agent() {
    let (_, failure) = check(&format!("{FILLS}; while :; do echo busy; sleep 0.1; done"), |job| {
        job.limits.disk_mib = Some(4);
        job.limits.wall_secs = 20;
    })
    .await;
    assert_eq!(failure.code(), "disk_limit", "{failure:?}");
}

#[tokio::test]
async fn disk_limit_fails_an_agent_that_ended_at_once() {
    let (_, failure) = check(FILLS, |job| job.limits.disk_mib = Some(4)).await;
    assert_eq!(failure.code(), "disk_limit", "{failure:?}");
}

#[tokio::test]
async fn disk_limit_fails_a_check_that_ended_at_once() {
    let (_, failure) = check("echo hello > greeting.txt", |job| {
        let checks = Checks { commands: vec![FILLS.into()], ..Checks::default() };
        let policy = CommandPolicy::Unrestricted;
        job.commands = Some(JobCommands { policy, setup: Setup::default(), checks });
        job.limits.disk_mib = Some(4);
    })
    .await;
    assert_eq!(failure.code(), "disk_limit", "{failure:?}");
}

#[tokio::test]
async fn background_process_of_the_agent_is_killed() {
    let world = World::with_agent(
        "env -i PATH=$PATH sh -c 'trap \"\" TERM; echo started > @DIR@/started; while :; do sleep 0.1; done' &
         while [ ! -e @DIR@/started ]; do sleep 0.02; done
         echo hello > greeting.txt",
    )
    .await;
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert_eq!(world.api.finish().outcome, FinishOutcome::Completed);
    assert_eq!(world.left_running(), [""; 0]);
}

#[tokio::test]
async fn large_output_and_unread_prompt_do_not_block() {
    let world = World::with_agent(
        "head -c 20000000 /dev/zero | tr '\\0' x | fold -w 50000; echo; head -c 3000000 /dev/zero | tr '\\0' y; echo
         echo oops >&2; echo the-end; echo hello > greeting.txt",
    )
    .await;
    world.api.assign(|job| job.prompt = "p".repeat(3_000_000));
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert_eq!(world.api.finish().outcome, FinishOutcome::Completed, "{:?}", world.api.finish());
    let events = world.api.events();
    assert!(world.api.texts().contains("the-end"));
    assert!(events.iter().all(|event| event.text.as_ref().is_none_or(|text| text.len() < 70_000)));
    assert!(events.iter().any(|event| event.text.as_ref().is_some_and(|text| text.contains("[cut: "))));
    assert!(events.iter().any(|event| event.kind == EventKind::Log));
    for call in world.api.calls("events") {
        assert!(call.body["events"].as_array().unwrap().len() <= 1_000);
        assert!(call.body.to_string().len() < 500_000);
    }
}

#[tokio::test]
async fn agent_commits_are_squashed_into_one() {
    let world = World::with_agent(
        "echo one > one.txt; git add one.txt && git commit -qm 'Pullyard-Job: forged' && git checkout -qb elsewhere
         echo two > two.txt; git rm -q README.md && git commit -qam mine || exit 4",
    )
    .await;
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert_eq!(world.api.finish().outcome, FinishOutcome::Completed, "{:?}", world.api.finish());
    assert_eq!(world.git_line(&["rev-list", "--count", &format!("main..{BRANCH}")]), "1");
    assert_eq!(world.git_line(&["diff", "--name-status", "main", BRANCH]), "D\tREADME.md\nA\tone.txt\nA\ttwo.txt");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn daemon_outside_the_process_group_is_killed() {
    let world = World::with_agent(
        "setsid sh -c 'echo $$ > @DIR@/pid; trap \"\" TERM HUP; while :; do sleep 0.1; done' >/dev/null 2>&1 &
         while [ ! -s @DIR@/pid ]; do sleep 0.02; done; echo hello > greeting.txt",
    )
    .await;
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert_eq!(world.api.finish().outcome, FinishOutcome::Completed);
    assert_eq!(world.left_running(), [""; 0]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn unmarked_daemon_is_killed_after_every_end() {
    for namespace in ["auto", "off"] {
        for (ending, good) in [("echo hello > greeting.txt", true), ("exit 3", false), ("kill -9 $$", false)] {
            let script = format!(
                "env -i PATH=$PATH setsid sh -c '(setsid sh -c \"echo started > @DIR@/started; while :; do sleep 0.1; done\" &) & exit 0' >/dev/null 2>&1
                 while [ ! -s @DIR@/started ]; do sleep 0.02; done; {ending}"
            );
            let world = World::with_agent(&script).await;
            let ran = world
                .run_with(|command| {
                    command.env("PULLYARD_PROCESS_NAMESPACE", namespace);
                })
                .await;
            assert_eq!(ran.code, Some(0), "{}", ran.log);
            assert_eq!(world.api.finish().outcome == FinishOutcome::Completed, good, "{:?}", world.api.finish());
            assert_eq!(world.left_running(), [""; 0], "{namespace}, {ending}");
        }
    }
}

#[tokio::test]
async fn deleting_all_files_is_a_change() {
    let world = World::with_agent("rm -rf README.md agent.sh").await;
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let result = world.api.finish().result.unwrap();
    assert_eq!((result.files, result.insertions, world.file(BRANCH, "README.md")), (2, 0, None));
}

#[tokio::test]
async fn ignored_and_special_files_follow_git_rules() {
    let world = World::with_agent(
        "echo '*.log' > .gitignore; echo x > debug.log; mkfifo pipe; ln -s /etc/hostname link
         printf x > \"$(printf 'odd\\nname')\"; mkdir empty; chmod +x README.md",
    )
    .await;
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let names = world.git_line(&["diff", "--name-status", "main", BRANCH]);
    assert_eq!(names, "A\t.gitignore\nM\tREADME.md\nA\tlink\nA\t\"odd\\nname\"");
    // The link itself, not its target.
    assert_eq!(world.file(BRANCH, "link").unwrap(), "/etc/hostname");
}
