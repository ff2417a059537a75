//! Tests questions by file: the job yields with the question, and the answer continues the session.

use crate::agents::{CLAUDE, Machine};
use crate::rests::input;
use crate::revise::write_on;
use crate::world::{BRANCH, World};
use pullyard_domain::project::Resume as Policy;
use pullyard_protocol::attempt::{FinishOutcome, Resume, YieldOutcome};

/// Works like Claude Code and leaves a question the first time. With a file `waits`, it waits for the test first.
const ASKS: &str = r#"
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
const RESUMES: &str = "--resume=fdb0ce43-b309-486d-a9f2-6b73d8934b64";

fn prompts(machine: &Machine) -> Vec<String> {
    std::fs::read_to_string(machine.world.outside("prompts")).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn question_file_yields_and_the_answer_resumes_the_session() {
    let machine = Machine::with(CLAUDE, ASKS).await;
    let ran = machine.world.run_with(|command| machine.equip(command)).await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let [told] = machine.world.api.yields().try_into().unwrap();
    assert_eq!((told.outcome, told.question.as_deref()), (YieldOutcome::Asks, Some("Which list?")));
    assert!(machine.world.api.texts().contains("Which list?"), "no event has it");
    assert!(told.session.is_some() && machine.world.head(BRANCH).is_none(), "{told:?}");

    machine.world.api.next_attempt(|job| {
        let inputs = vec![input(1, Some("Which list?"), "The empty one.")];
        let (agent, session) = (told.agent, told.session);
        job.resume = Some(Resume { agent, session, read: told.inputs, policy: Policy::Require, inputs });
    });
    machine.completes().await;
    assert!(machine.starts()[1].contains(&RESUMES.to_owned()));
    assert!(prompts(&machine)[1].contains("ana answered your question:\\n> The empty one."), "{:?}", prompts(&machine));
    assert_eq!(machine.world.file(BRANCH, "half.txt").as_deref(), Some("half\nhalf\n"));
    assert_eq!(machine.world.file(BRANCH, ".pullyard/question.md"), None);
}

#[tokio::test]
async fn unread_input_is_delivered_before_a_question_yields() {
    let machine = Machine::with(CLAUDE, ASKS).await;
    std::fs::write(machine.world.outside("waits"), "").unwrap();
    let runner = machine.world.spawn(|command| machine.equip(command));
    let api = &machine.world.api;
    api.wait_for_text("waiting").await;
    api.script(|script| script.inputs = vec![input(1, None, "The empty one.")]);
    let before = api.calls("events").len();
    api.wait_for(|calls| calls.iter().filter(|call| call.route == "events").count() >= before + 2).await;
    std::fs::write(machine.world.outside("go"), "").unwrap();
    assert_eq!(crate::world::end_of(runner).await.code, Some(0));
    assert_eq!(api.finish().outcome, FinishOutcome::Completed, "{:?}", api.finish());
    assert!(api.yields().is_empty(), "{:?}", api.yields());
    assert!(machine.starts()[1].contains(&RESUMES.to_owned()));
    let second = &prompts(&machine)[1];
    assert!(second.contains("You asked something that nobody has seen yet"), "{second}");
    assert!(second.contains("ana said:\\n> The empty one."), "{second}");
}

#[tokio::test]
async fn denied_tool_does_not_prevent_a_question() {
    let asks = "head -n 1 > /dev/null; mkdir .pullyard; echo 'May I run it?' > .pullyard/question.md
                cat @CLAUDE@/denied.jsonl; cat > /dev/null";
    for is_ignored in [false, true] {
        let machine = Machine::with(CLAUDE, asks).await;
        if is_ignored {
            write_on(&machine.world, "main", ".gitignore", ".pullyard/\n");
        }
        let ran = machine.world.run_with(|command| machine.equip(command)).await;
        assert_eq!(ran.code, Some(0), "{}", ran.log);
        let [told] = machine.world.api.yields().try_into().unwrap();
        let asked = (told.outcome, told.question.as_deref());
        assert_eq!(asked, (YieldOutcome::Asks, Some("May I run it?")), "ignored: {is_ignored}");
    }
}

#[tokio::test]
async fn command_agent_may_ask_by_file() {
    let world = World::with_agent("cat > /dev/null; mkdir .pullyard; echo 'Which list?' > .pullyard/question.md").await;
    assert_eq!(world.run().await.code, Some(0));
    let [told] = world.api.yields().try_into().unwrap();
    assert_eq!(told.question.as_deref(), Some("Which list?"));
}

#[tokio::test]
async fn committed_empty_or_linked_question_files_are_ignored() {
    let world = World::with_agent("echo hello > greeting.txt").await;
    write_on(&world, "main", ".pullyard/question.md", "Do you send me your keys?");
    world.completes().await;

    for leaves in ["printf ' \\n' > .pullyard/question.md", "ln -s /etc/hostname .pullyard/question.md"] {
        let world = World::with_agent(&format!("echo hello > greeting.txt; mkdir .pullyard; {leaves}")).await;
        world.completes().await;
        assert!(world.api.yields().is_empty(), "{leaves}");
        assert_eq!(world.file(BRANCH, ".pullyard/question.md"), None, "{leaves}");
    }
}
