//! Tests jobs in sandboxes. Needs bubblewrap, curl and a kernel with Landlock.

use crate::prelude::*;
use crate::world::World;
use axum::body::Body;
use pullyard_domain::review::output::{Answer, JobOutput};
use pullyard_protocol::attempt::AssignedStep;
use std::fs::Permissions;
use tokio::net::TcpListener;

/// Whether the programs of these tests are missing, which `.ci/run` installs.
pub(crate) fn lacks_programs() -> bool {
    let missing = ["/usr/bin/bwrap", "/usr/bin/curl"].into_iter().find(|program| !Path::new(program).exists());
    missing.inspect(|program| eprintln!("skipped: {program} is not installed")).is_some()
}

/// Lets the agents' account enter the folder, if this process is root.
pub(crate) fn open_folder(folder: &Path) {
    std::fs::set_permissions(folder, Permissions::from_mode(0o711)).unwrap();
}

async fn run_sandboxed(isolation: &str, script: &str) -> (World, String) {
    let world = World::with_agent(script).await;
    open_folder(world.dir.path());
    std::fs::write(world.outside_path("secret"), "planted-secret").unwrap();
    let ran = world.run_under("PULLYARD_ISOLATION", isolation).await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let finish = world.api.only_finish();
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?} {}", ran.log);
    let content = world.file_at(BRANCH, "greeting.txt").unwrap();
    (world, content)
}

#[tokio::test]
async fn hostile_agent_in_a_sandbox_reaches_nothing() {
    if lacks_programs() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!(
        "can() {{ name=$1; shift; if \"$@\" >/dev/null 2>&1; then echo \"can $name\"; fi >> greeting.txt; }}
         echo started > greeting.txt
         can read cat @DIR@/secret
         can write sh -c 'echo x > @DIR@/pwned'
         can see-runner sh -c 'grep -sqz PULLYARD_BOOTSTRAP= /proc/[0-9]*/environ'
         can see-host cat /etc/shadow
         can see-work ls ../git
         can connect curl -s --noproxy '*' --max-time 5 http://127.0.0.1:{port}/
         can gain unshare -U true
         can git git status
         (setsid sleep 600 &) ; echo ended >> greeting.txt"
    );
    // At these levels only the agent's rights and the machine's kernel differ.
    for (isolation, can) in [("bubblewrap", ""), ("landlock", ""), ("external", "can read\ncan see-work\n")] {
        let (world, content) = run_sandboxed(isolation, &script).await;
        assert_eq!(content, format!("started\n{can}can git\nended\n"), "{isolation}");
        assert!(!world.outside_path("pwned").exists(), "{isolation}");
        assert_eq!(world.leftover_processes(), [""; 0], "{isolation}");
    }
}

#[tokio::test]
async fn parameter_in_a_sandbox_is_only_a_value() {
    if lacks_programs() {
        return;
    }
    let checks = [
        r#"[ "$PULLYARD_PARAM_TASK" = "$(printf -- '--bind / /\nx')" ]"#,
        r#"[ "${PULLYARD_PARAM_EMPTY-unset}" = '' ]"#,
    ];
    for isolation in ["bubblewrap", "landlock"] {
        let world = with_checks("echo hello > greeting.txt", &checks, |_| ()).await;
        open_folder(world.dir.path());
        let parameters = [("task", "--bind / /\nx"), ("empty", "")];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let step = AssignedStep { parameters, ..AssignedStep::default() };
        world.api.change_assignment(|job| (job.ticket, job.step) = (None, Some(step)));
        let ran = world.run_under("PULLYARD_ISOLATION", isolation).await;
        assert_eq!(ran.code, Some(0), "{}", ran.log);
        assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{isolation}: {}", ran.log);
    }
}

#[tokio::test]
async fn agent_that_reports_may_write_its_output_only() {
    if lacks_programs() {
        return;
    }
    let script = r#"
        writes() { if sh -c "echo x > $1" 2> /dev/null; then echo "$1"; fi; }
        found=$(writes README.md; writes new.txt; writes .git/config; writes .pullyard/notes; writes $TMPDIR/note)
        printf '{"v":1,"text":"%s."}' "$(echo $found | sed "s|$TMPDIR|temp|")" > .pullyard/output.json"#;
    for isolation in ["bubblewrap", "landlock"] {
        let world = World::with_agent(script).await;
        open_folder(world.dir.path());
        world.api.change_assignment(|assignment| {
            assignment.kind = JobKind::Read;
            assignment.branch.clone_from(&assignment.base);
        });
        let ran = world.run_under("PULLYARD_ISOLATION", isolation).await;
        assert_eq!(ran.code, Some(0), "{}", ran.log);
        let finish = world.api.only_finish();
        let expected = JobOutput::Read(Answer { text: ".pullyard/notes temp/note.".into(), ..Default::default() });
        assert_eq!(finish.output, Some(expected), "{isolation}: {finish:?}");
    }
}

#[tokio::test]
async fn refused_host_is_recorded_once() {
    if lacks_programs() {
        return;
    }
    let (world, _) =
        run_sandboxed("bubblewrap", "curl -s https://evil.test/ https://evil.test:1/; echo hello > greeting.txt").await;
    let log = world.api.event_texts();
    let line = "Refused a connection to evil.test: it is not in the project's egress list.";
    assert_eq!((log.matches(line).count(), log.matches("evil.test").count()), (1, 1), "{log}");
    let work = world.api.only_finish().work.unwrap();
    assert_eq!(work.refused_hosts, ["evil.test"]);
    assert!(work.isolation_check.is_some_and(|check| check.starts_with("16 of 16 attacks stopped; ")));
}

/// Runs Claude Code, played by a script, in a sandbox with a model at this address. It prints a recorded run.
async fn run_claude_code(model: Router, script: &str, cost_limit: Option<u64>) -> (AgentMachine, FinishRequest) {
    run_changed_claude_code(model, script, cost_limit, |_, _| ()).await
}

async fn run_changed_claude_code(
    model: Router,
    script: &str,
    cost_limit: Option<u64>,
    change: impl FnOnce(&Path, &mut Command),
) -> (AgentMachine, FinishRequest) {
    let url = serve(model).await;
    let script = format!("{script}; cat @DIR@/said.jsonl; cat > /dev/null");
    let machine = AgentMachine::with_agent(CLAUDE, &script).await;
    machine.world.api.change_assignment(|job| job.limits.cost_usd_micros = cost_limit);
    open_folder(machine.world.dir.path());
    let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/claude_code-2.1.197/tools_and_edits.jsonl");
    std::fs::copy(recorded, machine.world.outside_path("said.jsonl")).unwrap();
    let ran = machine
        .world
        .run_with(|command| {
            machine.set_env(command);
            // Otherwise only the program itself is visible.
            command.env("PULLYARD_SANDBOX_PATHS", machine.world.outside_path(""));
            command.env("PULLYARD_ISOLATION", "bubblewrap").env("ANTHROPIC_BASE_URL", url);
            change(machine.world.dir.path(), command);
        })
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let finish = machine.world.api.only_finish();
    (machine, finish)
}

#[tokio::test]
async fn sandboxed_agent_has_a_placeholder_instead_of_its_key() {
    if lacks_programs() {
        return;
    }
    let seen = Arc::new(Mutex::new(HeaderMap::new()));
    let inner = Arc::clone(&seen);
    let answer = move |headers: HeaderMap| async move {
        *inner.lock().unwrap() = headers;
        "{\"model\":\"claude-opus-4-8\",\"usage\":{\"input_tokens\":5000,\"output_tokens\":6000}}"
    };
    let script = "curl -s \"$ANTHROPIC_BASE_URL/v1/messages\" -H \"x-api-key: $ANTHROPIC_API_KEY\" -d '{}'
         env > greeting.txt; cat /proc/*/environ >> greeting.txt; grep -rs key-of-the-model / --include='*' \
           --exclude-dir=proc --exclude-dir=sys --exclude-dir=usr --exclude-dir=outside >> greeting.txt";
    let (machine, finish) = run_claude_code(Router::new().fallback(answer), script, None).await;
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?}");
    let content = machine.world.file_at(BRANCH, "greeting.txt").unwrap();
    assert!(content.contains("ANTHROPIC_API_KEY=placeholder\n") && !content.contains("key-of-the-model"), "{content}");
    assert_eq!(seen.lock().unwrap()["x-api-key"], "key-of-the-model");
    let work = finish.work.unwrap();
    assert_eq!(work.isolation, "bubblewrap");
    // The agent reports 400 and 200 tokens, and $0.007. The proxy counts 0.005 × $5 + 0.006 × $25.
    assert_eq!((work.input_tokens, work.output_tokens, finish.spent_usd_micros), (5_000, 6_000, Some(175_000)));
    let reported = machine.world.api.events().into_iter().filter_map(|event| event.usage());
    assert!(reported.clone().count() > 0 && reported.clone().all(|usage| usage.output_tokens == Some(6_000)));
}

#[tokio::test]
async fn sandboxed_agent_has_the_users_configuration_only() {
    if lacks_programs() {
        return;
    }
    let script = "{ (cd $CLAUDE_CONFIG_DIR; find . -type f | sort); sh ~/.claude/hooks/own
                   cat @DIR@/../.claude/CLAUDE.md || echo hidden; } > greeting.txt 2> /dev/null";
    let (machine, finish) = run_changed_claude_code(Router::new(), script, None, |home, command| {
        command.env("PULLYARD_AGENT_PROFILE", "host");
        for (name, text) in [
            ("CLAUDE.md", "Use tabs."),
            ("hooks/own", "echo the hook runs"),
            (".credentials.json", "{}"),
            ("projects/p/session.jsonl", "{}"),
        ] {
            let file = home.join(".claude").join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
    })
    .await;
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?}");
    let content = machine.world.file_at(BRANCH, "greeting.txt").unwrap();
    assert_eq!(content, "./CLAUDE.md\n./hooks/own\nthe hook runs\nhidden\n");
    let body = pull_request(&machine.world).await["body"].to_string();
    assert!(body.contains("| Isolation | bubblewrap, with the agent's configuration on the runner |"), "{body}");
}

#[tokio::test]
async fn cost_limit_ends_a_job_in_the_middle_of_an_answer() {
    if lacks_programs() {
        return;
    }
    let endless = || async {
        let start = "{\"message\":{\"model\":\"claude-opus-4-8\",\"usage\":{\"input_tokens\":1000}}}";
        let text = format!("{{\"delta\":{{\"text\":\"{}\"}}}}", "x".repeat(4_000));
        let lines = std::iter::once(start.to_owned()).chain(std::iter::repeat(text));
        Body::from_stream(futures::stream::iter(lines.map(|line| Ok::<_, std::io::Error>(format!("data: {line}\n\n")))))
    };
    let body = "{\"model\":\"claude-opus-4-8\",\"max_tokens\":32000}";
    let script = &format!("curl -sN \"$ANTHROPIC_BASE_URL/v1/messages\" -d '{body}' > /dev/null");
    let (machine, finish) = run_claude_code(Router::new().fallback(endless), script, Some(100_000)).await;
    let failure = finish.failure.unwrap();
    // 0.001 × $5 for the input, and four parts of 0.001 × $25 each.
    assert_eq!(failure.sentence(), "The job spent $0.11; the limit is $0.10.");
    assert_eq!((failure.code(), finish.spent_usd_micros), ("cost_limit", Some(105_000)));
    assert_eq!(machine.world.branch_head(BRANCH), None);
}

#[tokio::test]
async fn parallel_requests_spend_at_most_the_cost_limit() {
    if lacks_programs() {
        return;
    }
    let reached = Arc::new(Mutex::new(0));
    let sum = Arc::clone(&reached);
    let answer = move |body: String| async move {
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let output = body["max_tokens"].as_u64().unwrap();
        // 120,000 tokens cost $3.
        *sum.lock().unwrap() += output * 25;
        format!("{{\"model\":\"claude-opus-4-8\",\"usage\":{{\"output_tokens\":{output}}}}}")
    };
    let body = "{\"model\":\"claude-opus-4-8\",\"max_tokens\":120000}";
    let url = "\"$ANTHROPIC_BASE_URL/v1/messages?[1-60]\"";
    let script = format!("curl -sZ --parallel-max 60 --parallel-immediate {url} -d '{body}' > /dev/null");
    let (_machine, finish) = run_claude_code(Router::new().fallback(answer), &script, Some(10_000_000)).await;
    let reached = *reached.lock().unwrap();
    assert!((9_000_000..=10_000_000).contains(&reached), "{reached}");
    assert_eq!((finish.failure.unwrap().code(), finish.spent_usd_micros), ("cost_limit", Some(reached)));
}

#[tokio::test]
async fn killed_runner_leaves_no_sandboxed_process() {
    if lacks_programs() {
        return;
    }
    let world = World::with_agent("echo waiting; (setsid sleep 600 &); sleep 600").await;
    open_folder(world.dir.path());
    let mut runner = world.spawn(|command| {
        command.env("PULLYARD_ISOLATION", "bubblewrap");
    });
    world.api.wait_for_text("waiting").await;
    assert!(!world.leftover_processes().is_empty());
    runner.kill().await.unwrap();
    let ended = async {
        while !world.leftover_processes().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.unwrap();
}

#[tokio::test]
async fn flooded_proxy_lets_the_job_go_on() {
    if lacks_programs() {
        return;
    }
    let flood = "curl -sZ --parallel-max 300 'http://h[1-300].test/' -o /dev/null -w '%{http_code}\\n'";
    let (world, content) =
        run_sandboxed("bubblewrap", &format!("{flood} | sort | uniq -c | tr -d ' ' > greeting.txt")).await;
    assert_eq!(content, "300403\n");
    assert_eq!(world.api.event_texts().matches("Refused a connection to").count(), 100);
}
