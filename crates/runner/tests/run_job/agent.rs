//! Tests how an agent's run ends: failures, limits, leftover processes and changes.

use crate::attempt_ends::LEAVE_PROCESS_COMMAND;
#[cfg(target_os = "linux")]
use crate::prelude::*;
use crate::world::World;

async fn check(script: &str, change: impl FnOnce(&mut pullyard_protocol::attempt::Assignment)) -> (World, Failure) {
    let world = World::with_agent(script).await;
    world.api.change_assignment(change);
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let finish = world.api.only_finish();
    assert_eq!((finish.outcome, &finish.result), (FinishOutcome::Failed, &None), "{finish:?}");
    assert_eq!(world.branch_head(BRANCH), None, "something was pushed");
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
async fn missing_script_and_missing_program_have_their_codes() {
    for (command, code) in [
        (vec!["./none.sh"], "agent_script_missing"),
        (vec!["./README.md"], "agent_script_missing"),
        (vec!["no-such-program-anywhere"], "agent_missing"),
        (vec!["/no/where"], "agent_missing"),
        (vec![], "agent_missing"),
    ] {
        let (_, failure) =
            check("true", |job| job.agent.command = command.iter().map(|arg| (*arg).to_owned()).collect()).await;
        assert_eq!(failure.code(), code, "{command:?}");
    }
}

#[tokio::test]
async fn script_that_cannot_start_fails_with_the_reason() {
    let world = World::with_agent("true").await;
    world.forge.commit("acme/app", "main", "pullyard-bot", &[("crlf.sh", "#!/bin/sh\r\n", true)]).await.unwrap();
    world.api.change_assignment(|job| job.agent.command = vec!["./crlf.sh".into()]);
    assert_eq!(world.run().await.code, Some(0));
    let sentence = world.api.only_finish().failure.unwrap().sentence();
    assert_eq!(sentence, "The repository has no executable file `./crlf.sh`: \"its lines end with CR LF\".");
}

#[tokio::test]
async fn command_over_its_cost_limit_is_stopped_and_usage_reported() {
    let script = r#"cat > /dev/null
        echo '{"kind":"usage","turns":1,"input_tokens":100,"output_tokens":10,"cost_usd_micros":400000}'
        echo '{"kind":"usage","turns":-4,"cost_usd_micros":1e300}'
        echo '{"kind":"usage","turns":3,"input_tokens":300,"cached_input_tokens":50,"cost_usd_micros":1000000}'
        exec sleep 600"#;
    let (world, failure) = check(script, |job| job.limits.cost_usd_micros = Some(1_000_000)).await;
    assert_eq!(failure, Failure::CostLimit { spent: "$1.00".into(), limit: "$1.00".into() });
    assert_eq!(world.leftover_processes(), [""; 0]);
    let finish = world.api.only_finish();
    let work = finish.work.unwrap();
    assert_eq!((work.turns, work.input_tokens, work.cached_input_tokens, work.output_tokens), (3, 300, 50, 10));
    assert_eq!((finish.spent_usd_micros, work.about_usd_micros), (Some(1_000_000), None));
}

#[tokio::test]
async fn usage_of_all_starts_counts_towards_the_cost_limit() {
    let script = r#"cat > /dev/null; echo '{"kind":"result","text":"Done, or not."}'
        echo '{"kind":"usage","turns":2,"cost_usd_micros":900000}'
        [ -e @DIR@/once ] && echo hello > greeting.txt && exit 0; touch @DIR@/once; exit 75"#;
    let run = async |limit: u64| {
        let world = World::with_agent(script).await;
        world.api.change_assignment(|job| job.limits.cost_usd_micros = Some(limit));
        let ran = world.run_under("PULLYARD_AGENT_RETRY_SECS", "0").await;
        assert_eq!(ran.code, Some(0), "{}", ran.log);
        world
    };
    let world = run(900_000).await;
    assert_eq!(world.api.failure_code(), "cost_limit");
    let finish = world.api.only_finish();
    assert_eq!((finish.work.unwrap().starts, finish.spent_usd_micros), (1, Some(900_000)));
    // The second start exceeds the limit too, but after its final result.
    let world = run(1_500_000).await;
    let finish = world.api.only_finish();
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?}");
    let work = finish.work.unwrap();
    assert_eq!((work.starts, work.turns, finish.spent_usd_micros), (2, 4, Some(1_800_000)));
    // The second start's usage is added to the first's.
    let costs = world.api.events().into_iter().filter_map(|event| event.usage()?.cost_usd_micros);
    assert_eq!(costs.collect::<Vec<_>>(), [900_000, 1_800_000]);
}

#[tokio::test]
async fn large_output_and_unread_prompt_do_not_block() {
    let world = World::with_agent(
        "head -c 4000000 /dev/zero | tr '\\0' x | fold -w 50000; echo; head -c 300000 /dev/zero | tr '\\0' y; echo
         echo oops >&2; echo the-end; echo hello > greeting.txt",
    )
    .await;
    world.api.change_assignment(|job| job.prompt = "p".repeat(300_000));
    world.completes().await;
    let events = world.api.events();
    assert!(world.api.event_texts().contains("the-end"));
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
    world.completes().await;
    assert_eq!(world.git_line(&["rev-list", "--count", &format!("main..{BRANCH}")]), "1");
    assert_eq!(world.git_line(&["diff", "--name-status", "main", BRANCH]), "D\tREADME.md\nA\tone.txt\nA\ttwo.txt");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn unmarked_daemon_is_killed_after_every_end() {
    for (ending, good) in [("echo hello > greeting.txt", true), ("exit 3", false), ("kill -9 $$", false)] {
        let world = World::with_agent(&format!("{LEAVE_PROCESS_COMMAND}; {ending}")).await;
        let ran = world.run().await;
        assert_eq!(ran.code, Some(0), "{}", ran.log);
        assert_eq!(world.api.only_finish().outcome == FinishOutcome::Completed, good, "{:?}", world.api.only_finish());
        assert_eq!(world.leftover_processes(), [""; 0], "{ending}");
    }
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
    assert_eq!(world.file_at(BRANCH, "link").unwrap(), "/etc/hostname");
}
