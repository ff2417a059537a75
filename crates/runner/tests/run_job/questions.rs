//! Tests questions by file: the job yields with the question, and the answer continues the session.

use crate::prelude::*;
use crate::world::World;

/// Works like Claude Code and leaves a question the first time. With a file `waits`, it waits for the test first.
const ASKING_AGENT: &str = r#"
    folder=$CLAUDE_CONFIG_DIR/projects/$(pwd | sed 's/[^A-Za-z0-9]/-/g'); mkdir -p $folder
    head -n 1 >> @DIR@/prompts; echo half >> half.txt
    echo '{"said":"x"}' >> $folder/fdb0ce43-b309-486d-a9f2-6b73d8934b64.jsonl
    if [ -e @DIR@/waits ]; then
        echo '{"type":"odd","text":"waiting"}'
        while [ ! -e @DIR@/go ]; do sleep 0.02; done
    fi
    if [ ! -e @DIR@/asked ]; then
        touch @DIR@/asked; mkdir -p .pullyard; printf 'Which list?\n' > .pullyard/question.md
    fi
    cat @CLAUDE@/tools_and_edits.jsonl; cat > /dev/null"#;
const RESUME_ARGUMENT: &str = "--resume=fdb0ce43-b309-486d-a9f2-6b73d8934b64";

fn received_prompts(machine: &AgentMachine) -> Vec<String> {
    std::fs::read_to_string(machine.world.outside_path("prompts")).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn question_file_yields_and_the_answer_resumes_the_session() {
    let machine = AgentMachine::with_agent(CLAUDE, ASKING_AGENT).await;
    let ran = machine.world.run_with(|command| machine.set_env(command)).await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let [yield_request] = machine.world.api.yields().try_into().unwrap();
    assert_eq!((yield_request.outcome, yield_request.question.as_deref()), (YieldReason::Asks, Some("Which list?")));
    assert!(machine.world.api.event_texts().contains("Which list?"), "no event has it");
    assert!(yield_request.session.is_some() && machine.world.branch_head(BRANCH).is_none(), "{yield_request:?}");

    machine.world.api.next_attempt(|job| {
        let inputs = vec![input(1, Some("Which list?"), "The empty one.")];
        let (agent, session) = (yield_request.agent, yield_request.session);
        job.resume = Some(ResumeState { agent, session, read: yield_request.inputs, policy: Policy::Require, inputs });
    });
    machine.completes().await;
    assert!(machine.start_arguments()[1].contains(&RESUME_ARGUMENT.to_owned()));
    assert!(
        received_prompts(&machine)[1].contains("ana answered your question:\\n> The empty one."),
        "{:?}",
        received_prompts(&machine)
    );
    assert_eq!(machine.world.file_at(BRANCH, "half.txt").as_deref(), Some("half\nhalf\n"));
    assert_eq!(machine.world.file_at(BRANCH, ".pullyard/question.md"), None);
}

#[tokio::test]
async fn unread_input_is_delivered_before_a_question_yields() {
    let machine = AgentMachine::with_agent(CLAUDE, ASKING_AGENT).await;
    std::fs::write(machine.world.outside_path("waits"), "").unwrap();
    let runner = machine.world.spawn(|command| machine.set_env(command));
    let api = &machine.world.api;
    api.wait_for_text("waiting").await;
    api.change_script(|script| script.inputs = vec![input(1, None, "The empty one.")]);
    let before = api.calls("events").len();
    api.wait_for(|calls| calls.iter().filter(|call| call.route == "events").count() >= before + 2).await;
    std::fs::write(machine.world.outside_path("go"), "").unwrap();
    assert_eq!(crate::world::wait_for_exit(runner).await.code, Some(0));
    assert_eq!(api.only_finish().outcome, FinishOutcome::Completed, "{:?}", api.only_finish());
    assert!(api.yields().is_empty(), "{:?}", api.yields());
    assert!(machine.start_arguments()[1].contains(&RESUME_ARGUMENT.to_owned()));
    let second = &received_prompts(&machine)[1];
    assert!(second.contains("Users sent messages before they saw your question"), "{second}");
    assert!(second.contains("ana said:\\n> The empty one."), "{second}");
}

#[tokio::test]
async fn denied_tool_does_not_prevent_a_question() {
    let script = "head -n 1 > /dev/null; mkdir .pullyard; echo 'May I run it?' > .pullyard/question.md
                cat @CLAUDE@/denied.jsonl; cat > /dev/null";
    for is_ignored in [false, true] {
        let machine = AgentMachine::with_agent(CLAUDE, script).await;
        if is_ignored {
            commit_file(&machine.world, "main", ".gitignore", ".pullyard/\n");
        }
        let ran = machine.world.run_with(|command| machine.set_env(command)).await;
        assert_eq!(ran.code, Some(0), "{}", ran.log);
        let [yield_request] = machine.world.api.yields().try_into().unwrap();
        let actual = (yield_request.outcome, yield_request.question.as_deref());
        assert_eq!(actual, (YieldReason::Asks, Some("May I run it?")), "ignored: {is_ignored}");
    }
}

#[tokio::test]
async fn command_agent_may_ask_by_file() {
    let world = World::with_agent("cat > /dev/null; mkdir .pullyard; echo 'Which list?' > .pullyard/question.md").await;
    assert_eq!(world.run().await.code, Some(0));
    let [yield_request] = world.api.yields().try_into().unwrap();
    assert_eq!(yield_request.question.as_deref(), Some("Which list?"));
}

#[tokio::test]
async fn command_agent_has_read_the_answer_in_its_prompt() {
    let world = World::with_agent("cat > /dev/null; echo hello > greeting.txt").await;
    world.api.change_script(|script| script.inputs = vec![input(1, Some("Which list?"), "The empty one.")]);
    world.api.change_assignment(|job| {
        let inputs = vec![input(1, Some("Which list?"), "The empty one.")];
        let agent = job.agent.capability.clone();
        job.resume = Some(ResumeState { agent: Some(agent), session: None, read: 0, policy: Policy::Prefer, inputs });
    });
    world.completes().await;
    let read = world.api.calls("events").iter().filter_map(|call| call.body["inputs"].as_u64()).max();
    assert_eq!(read, Some(1));
}

#[tokio::test]
async fn committed_empty_or_linked_question_files_are_ignored() {
    let world = World::with_agent("echo hello > greeting.txt").await;
    commit_file(&world, "main", ".pullyard/question.md", "Do you send me your keys?");
    world.completes().await;

    for leaves in ["printf ' \\n' > .pullyard/question.md", "ln -s /etc/hostname .pullyard/question.md"] {
        let world = World::with_agent(&format!("echo hello > greeting.txt; mkdir .pullyard; {leaves}")).await;
        world.completes().await;
        assert!(world.api.yields().is_empty(), "{leaves}");
        assert_eq!(world.file_at(BRANCH, ".pullyard/question.md"), None, "{leaves}");
    }
}
