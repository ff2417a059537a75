//! Tests inputs for a working agent: it reads them during or after its turn, and unread inputs are sent again.

use crate::prelude::*;
use crate::world::World;
use pullyard_domain::agent::checks::{Checks, Setup};
use pullyard_domain::agent::commands::CommandPolicy;
use pullyard_domain::project::plan::SpawnLimits;
use pullyard_domain::review::output::{Answer, JobOutput};
use pullyard_protocol::attempt::AssignedStep;
use pullyard_protocol::event::Event;

const INPUT_TEXT: &str = "Use tabs.";
const RESUME_ARGUMENT: &str = "--resume=fdb0ce43-b309-486d-a9f2-6b73d8934b64";

/// Shell functions of the fake Claude Code: `begins` starts, `takes` reads a message, `hears` confirms it, `goes` waits
/// for the test.
const CLAUDE_FUNCTIONS: &str = r#"
    begins() {
        read -r prompt; printf '%s\n' "$prompt" >> @DIR@/prompts; echo hello > greeting.txt
        grep '"init"' @CLAUDE@/tools_and_edits.jsonl | head -n 1
        says m1 working
    }
    says() {
        printf '{"type":"assistant","message":{"id":"%s","model":"x","content":[{"type":"text","text":"%s"}]}}\n' $1 $2
    }
    takes() {
        read -r line; printf '%s\n' "$line" >> @DIR@/told
        mark=$(printf '%s' "$line" | sed 's/.*"uuid":"\([^"]*\)".*/\1/')
    }
    hears() { printf '{"type":"user","isReplay":true,"uuid":"%s","message":{"role":"user","content":[]}}\n' $mark; }
    goes() { while [ ! -e @DIR@/go ]; do sleep 0.02; done; }
    resumed() { grep -q -- --resume @DIR@/starts.args; }
    ends() { tail -n 1 @CLAUDE@/tools_and_edits.jsonl; }
"#;

async fn claude_machine(does: &str) -> AgentMachine {
    AgentMachine::with_agent(CLAUDE, &format!("{CLAUDE_FUNCTIONS}\n{does}")).await
}

fn spawn_runner(machine: &AgentMachine) -> Child {
    machine.world.spawn(|command| machine.set_env(command))
}

fn send_input(machine: &AgentMachine) {
    machine.world.api.change_script(|script| script.inputs = vec![input(1, None, INPUT_TEXT)]);
}

async fn wait_until_input_is_known(machine: &AgentMachine) {
    let api = &machine.world.api;
    let before = api.calls("events").len();
    api.wait_for(|calls| calls.iter().filter(|call| call.route == "events").count() >= before + 2).await;
}

fn release_agent(machine: &AgentMachine) {
    std::fs::write(machine.world.outside_path("go"), "").unwrap();
}

async fn wait_for_success(machine: &AgentMachine, runner: Child) -> FinishRequest {
    let ran = wait_for_exit(runner).await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let finish = machine.world.api.only_finish();
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?} {}", ran.log);
    finish
}

fn outside_text(machine: &AgentMachine, name: &str) -> String {
    std::fs::read_to_string(machine.world.outside_path(name)).unwrap_or_default()
}

fn steer_events(machine: &AgentMachine) -> Vec<Event> {
    machine.world.api.events().into_iter().filter(|event| event.kind == EventKind::Steer).collect()
}

#[tokio::test]
async fn claude_code_reads_inputs_during_its_turn() {
    let machine = claude_machine("begins; takes; hears; says m2 heard; ends; cat > /dev/null").await;
    let runner = spawn_runner(&machine);
    machine.world.api.wait_for_text("working").await;
    send_input(&machine);
    let finish = wait_for_success(&machine, runner).await;
    assert_eq!(finish.work.unwrap().starts, 1);
    let input = outside_text(&machine, "told");
    assert!(input.contains("ana says:\\n> Use tabs.\\n"), "{input}");
    assert_eq!(machine.world.api.calls("inputs").len(), 1, "inputs fetched once");
    // The input is an event in order, not text of the agent.
    let events = machine.world.api.events();
    let position = |text: &str| events.iter().position(|event| event.text.as_deref() == Some(text)).unwrap();
    assert!(position("working") < position(INPUT_TEXT) && position(INPUT_TEXT) < position("heard"));
    let [steer] = steer_events(&machine).try_into().unwrap();
    assert_eq!((steer.name.as_deref(), steer.data.unwrap()["input"].as_u64()), (Some("ana"), Some(1)));
    assert!(machine.start_arguments()[0].iter().all(|arg| !arg.contains("tabs")));
}

/// Sends an input after the agent's result and before its exit. Checks that the attempt succeeds with two starts of the
/// agent.
async fn run_with_input_after_result(machine: &AgentMachine) {
    let runner = spawn_runner(machine);
    machine.world.api.wait_for_text("\"result\"").await;
    send_input(machine);
    wait_until_input_is_known(machine).await;
    release_agent(machine);
    assert_eq!(wait_for_success(machine, runner).await.work.unwrap().starts, 2);
}

#[tokio::test]
async fn input_between_result_and_exit_resumes_the_session() {
    let machine = claude_machine("begins; ends; if ! resumed; then cat > /dev/null; goes; fi; cat > /dev/null").await;
    run_with_input_after_result(&machine).await;
    let starts = machine.start_arguments();
    assert!(starts[1].contains(&RESUME_ARGUMENT.to_owned()), "{starts:?}");
    let prompts = outside_text(&machine, "prompts");
    let prompt = prompts.lines().nth(1).unwrap();
    assert!(prompt.contains("ana said:\\n> Use tabs.") && !prompt.contains("Write a greeting."), "{prompt}");
    assert_eq!(steer_events(&machine).len(), 1);
}

#[tokio::test]
async fn agent_with_a_denied_tool_reads_inputs_before_failing() {
    // The agent changes nothing before its resumed session.
    let machine = claude_machine(
        "read -r prompt; printf '%s\\n' \"$prompt\" >> @DIR@/prompts
         if resumed; then echo hello > greeting.txt; says m9 working; ends; cat > /dev/null
         else cat @CLAUDE@/denied.jsonl; cat > /dev/null; goes; fi",
    )
    .await;
    run_with_input_after_result(&machine).await;
    let starts = machine.start_arguments();
    assert!(starts[1].contains(&"--resume=7d0c0e0e-0f3c-4d55-9d2f-3f8a3d6c1a01".to_owned()), "{starts:?}");
    assert!(outside_text(&machine, "prompts").lines().nth(1).unwrap().contains("ana said:\\n> Use tabs."));
    assert_eq!(machine.world.file_at(BRANCH, "greeting.txt").as_deref(), Some("hello\n"));
    assert_eq!(steer_events(&machine).len(), 1);
}

#[tokio::test]
async fn unconfirmed_input_is_sent_again_and_logged_once() {
    let machine = claude_machine("begins; resumed || goes; ends; resumed && cat > /dev/null; exit 0").await;
    let runner = start_with_input(&machine).await;
    assert_eq!(wait_for_success(&machine, runner).await.work.unwrap().starts, 2);
    assert!(outside_text(&machine, "prompts").lines().nth(1).unwrap().contains("> Use tabs."));
    assert_eq!(steer_events(&machine).len(), 1);
}

#[tokio::test]
async fn late_input_is_read_in_the_next_turn() {
    // The agent reads the input after its turn and starts another turn by itself.
    let machine = claude_machine("begins; goes; ends; takes; hears; says m2 heard; ends; cat > /dev/null").await;
    let runner = start_with_input(&machine).await;
    assert_eq!(wait_for_success(&machine, runner).await.work.unwrap().starts, 1);
}

#[tokio::test]
async fn agent_that_ignores_an_input_is_restarted_with_it() {
    let machine = claude_machine("begins; resumed || goes; ends; cat > /dev/null").await;
    let runner = start_with_input(&machine).await;
    assert_eq!(wait_for_success(&machine, runner).await.work.unwrap().starts, 2);
    assert!(outside_text(&machine, "prompts").lines().nth(1).unwrap().contains("> Use tabs."));
}

#[tokio::test]
async fn agent_without_an_answer_is_restarted_once() {
    let does = "if resumed; then read -r prompt; ends; cat > /dev/null; else begins; goes; ends; fi";
    let machine = claude_machine(does).await;
    let runner = start_with_input(&machine).await;
    assert_eq!(wait_for_success(&machine, runner).await.work.unwrap().starts, 3);
    assert_eq!(machine.world.file_at(BRANCH, "greeting.txt").as_deref(), Some("hello\n"));
    let texts = machine.world.api.event_texts();
    assert_eq!(texts.matches("did not read the last messages").count(), 1, "{texts}");
}

/// Sends an input during the first turn, then releases the agent.
async fn start_with_input(machine: &AgentMachine) -> Child {
    let runner = spawn_runner(machine);
    machine.world.api.wait_for_text("working").await;
    send_input(machine);
    machine.world.api.wait_for_text(INPUT_TEXT).await;
    release_agent(machine);
    runner
}

#[tokio::test]
async fn codex_reads_inputs_after_its_turn_in_a_counted_turn() {
    let machine = AgentMachine::with_agent(
        CODEX,
        "cat >> @DIR@/prompts; echo ---- >> @DIR@/prompts; echo hello > greeting.txt; mkdir -p $CODEX_HOME/sessions/1
         if grep -q resume @DIR@/starts.args; then cp @CODEX@/rollout.jsonl $CODEX_HOME/sessions/1/rollout-2.jsonl
         else echo working; while [ ! -e @DIR@/go ]; do sleep 0.02; done; fi
         cat @CODEX@/tools_and_edits.jsonl",
    )
    .await;
    let runner = spawn_runner(&machine);
    machine.world.api.wait_for_text("working").await;
    send_input(&machine);
    wait_until_input_is_known(&machine).await;
    assert!(steer_events(&machine).is_empty(), "an input was sent during the turn");
    release_agent(&machine);
    let work = wait_for_success(&machine, runner).await.work.unwrap();
    // One turn of the first start, which reports tokens only at its end, and three of the second.
    assert_eq!((work.starts, work.turns), (2, 4));
    let starts = machine.start_arguments();
    assert!(starts[1].contains(&"01a1fbad-d7a7-71b0-93ec-bf8d23475498".to_owned()), "{starts:?}");
    assert!(starts[1].iter().all(|arg| !arg.contains("tabs")));
    let prompts = outside_text(&machine, "prompts");
    let prompt = prompts.split("----").nth(1).unwrap();
    assert!(prompt.contains("ana said:\n> Use tabs.") && !prompt.contains("Write a greeting."), "{prompt}");
    assert_eq!(steer_events(&machine).len(), 1);
}

async fn inputs_read_when_paused(does: &str) -> u32 {
    let machine = claude_machine(does).await;
    let runner = spawn_runner(&machine);
    machine.world.api.wait_for_text("working").await;
    send_input(&machine);
    machine.world.api.wait_for_text("taken").await;
    machine.world.api.change_script(|script| script.pause = true);
    let ran = wait_for_exit(runner).await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let [yield_request] = machine.world.api.yields().try_into().unwrap();
    assert!(yield_request.session.is_some());
    yield_request.inputs
}

#[tokio::test]
async fn session_counts_only_answered_inputs_as_read() {
    let stops = "takes; tail -n 1 @CLAUDE@/interrupted_in_tool.jsonl; cat > /dev/null; exit 1";
    assert_eq!(inputs_read_when_paused(&format!("begins; takes; hears; says m2 taken; {stops}")).await, 1);
    let not_answered = format!("begins; takes; hears; printf '{{\"type\":\"odd\",\"text\":\"taken\"}}\\n'; {stops}");
    assert_eq!(inputs_read_when_paused(&not_answered).await, 0);
}

#[tokio::test]
async fn working_command_agent_gets_no_inputs() {
    let world =
        World::with_agent("cat > /dev/null; echo working; while [ ! -e @DIR@/go ]; do sleep 0.02; done; echo x > x")
            .await;
    let runner = world.spawn(|_| ());
    world.api.wait_for_text("working").await;
    world.api.change_script(|script| script.inputs = vec![input(1, None, INPUT_TEXT)]);
    let before = world.api.calls("events").len();
    world.api.wait_for(|calls| calls.iter().filter(|call| call.route == "events").count() >= before + 2).await;
    std::fs::write(world.outside_path("go"), "").unwrap();
    assert_eq!(wait_for_exit(runner).await.code, Some(0));
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed);
    assert_eq!((world.api.calls("inputs").len(), world.api.only_finish().work.unwrap().starts), (0, 1));
}

async fn run_with_input_before_push(does: &str, change: impl FnOnce(&mut Assignment)) -> AgentMachine {
    let machine = claude_machine(does).await;
    machine.world.api.change_script(|script| script.inputs_before_push = vec![input(1, None, INPUT_TEXT)]);
    machine.world.api.change_assignment(change);
    let runner = spawn_runner(&machine);
    wait_for_success(&machine, runner).await;
    machine
}

#[tokio::test]
async fn input_before_the_end_of_an_unchanged_manager_is_read() {
    let does = r#"
        read -r prompt; printf '%s\n' "$prompt" >> @DIR@/prompts; mkdir -p .pullyard
        printf '{"v":1,"text":"Divided.","spawn":[{"name":"a","role":"implementer","prompt":"Do it."}]}' > .pullyard/output.json
        grep '"init"' @CLAUDE@/tools_and_edits.jsonl | head -n 1
        says m1 working; ends; cat > /dev/null"#;
    let spawn = SpawnLimits { most: 1, turns: 2, roles: vec!["implementer".into()] };
    let step = AssignedStep { reports: true, may_change_nothing: true, spawn: Some(spawn), ..AssignedStep::default() };
    let machine = run_with_input_before_push(does, |job| (job.ticket, job.step) = (None, Some(step))).await;
    assert_eq!(machine.world.api.only_finish().result, None);
    let prompts = outside_text(&machine, "prompts");
    assert!(prompts.lines().nth(1).is_some_and(|prompt| prompt.contains("> Use tabs.")), "{prompts}");
}

#[tokio::test]
async fn input_before_the_push_is_read_before_it() {
    let does = "begins; resumed && echo salve > greeting.txt; ends; cat > /dev/null";
    let checks = vec!["cat greeting.txt".into()];
    let commands = JobCommands {
        policy: CommandPolicy::Unrestricted,
        setup: Setup::default(),
        checks: Checks { commands: checks, ..Checks::default() },
    };
    let machine = run_with_input_before_push(does, |job| job.commands = Some(commands)).await;
    let api = &machine.world.api;
    assert_eq!(api.statuses(), ["preparing", "executing", "syncing", "syncing"]);
    assert_eq!(
        api.calls("status").iter().map(|call| call.body["inputs"].as_u64()).collect::<Vec<_>>()[2..],
        [Some(0), Some(1)]
    );
    assert!(outside_text(&machine, "prompts").lines().nth(1).unwrap().contains("> Use tabs."));
    assert_eq!(
        machine.world.file_at(BRANCH, "greeting.txt").as_deref(),
        Some("salve\n"),
        "the work for the input is missing"
    );
    assert_eq!(machine.world.git_line(&["rev-list", "--count", &format!("main..{BRANCH}")]), "1");
    // The work was checked again, and both outputs are stored.
    let object_text = |name: &str| String::from_utf8(api.bucket_object(name).unwrap_or_default()).unwrap();
    assert_eq!((object_text("check-1.txt"), object_text("check-1-again.txt")), ("hello\n".into(), "salve\n".into()));
    assert!(object_text("changes-2.patch").contains("+salve") && object_text("changes.patch").contains("+hello"));
    let phases = api.events().into_iter().filter(|event| event.kind == EventKind::Phase).filter_map(|event| event.name);
    assert_eq!(phases.filter(|name| name == "syncing").count(), 1, "a refused push is no phase");
}

#[tokio::test]
async fn input_before_an_answer_leads_to_a_new_answer() {
    let does = r#"begins; text=First; resumed && text=Second
        echo "{\"v\":1,\"text\":\"$text\"}" > .pullyard/output.json; ends; cat > /dev/null"#;
    for (turns, expected, inputs) in [(None, "Second", [Some(0), Some(1)]), (Some(1), "First", [Some(0), None])] {
        let machine = run_with_input_before_push(does, |job| {
            crate::answers::ask(job);
            job.limits.turns = turns;
        })
        .await;
        let api = &machine.world.api;
        assert_eq!(api.statuses(), ["preparing", "executing", "syncing", "syncing"], "{turns:?}");
        let reported: Vec<_> = api.calls("status").iter().map(|call| call.body["inputs"].as_u64()).collect();
        assert_eq!(reported[2..], inputs, "{turns:?}");
        let expected = JobOutput::Read(Answer { text: expected.into(), ..Default::default() });
        assert_eq!(api.only_finish().output, Some(expected), "{turns:?}");
    }
}

#[tokio::test]
async fn input_before_the_push_is_skipped_without_turns_left() {
    let does = "begins; ends; cat > /dev/null";
    let machine = run_with_input_before_push(does, |job| job.limits.turns = Some(1)).await;
    assert_eq!(machine.start_arguments().len(), 1);
    assert!(machine.world.api.event_texts().contains("did not receive the last messages. The agent used all 1 turns."));
}
