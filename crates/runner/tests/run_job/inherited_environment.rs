//! Tests that an attempt's secrets stay inside, and which few variables of the machine its commands inherit.

use crate::api::{BOOTSTRAP, LEASE};
use crate::prelude::*;
use crate::world::World;

const TOKEN_LIKE_TEXT: &str = "ghp_0123456789abcdefghijABCDEFGHIJ012345";

#[tokio::test]
async fn secrets_of_an_attempt_are_redacted_everywhere() {
    let line = "YS1saW5lLW9mLXRoZS1rZXktdGhhdC1zaWducy1jb21taXRz";
    let model = "key-that-the-project-names";
    let world = World::with_agent("exit 1").await;
    world.api.change_script(|script| {
        script.signing_key =
            Some(format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{line}\n-----END OPENSSH PRIVATE KEY-----\n"));
        script.model = vec![json!({ "key": "anthropic_api_key", "value": model })];
    });
    let all = [("bootstrap", BOOTSTRAP), ("lease", LEASE), ("line", line), ("model", model), ("forge", TOKEN)];
    let echoes = all.map(|(name, secret)| format!("echo '{name} {secret}'")).join("; ");
    world.api.change_assignment(|job| set_command(job, &format!("cat > /dev/null; {echoes}; exit 3")));
    assert_eq!(world.fails().await, "agent_failed");
    let (texts, sent_data) = (world.api.event_texts(), world.sent_data());
    assert!(sent_data.iter().any(|(to, _)| to == "agent-output.jsonl"));
    for (name, secret) in all {
        assert!(texts.contains(&format!("{name} [redacted]")), "{name}: {texts}");
        for (to, content) in &sent_data {
            assert!(!String::from_utf8_lossy(content).contains(secret), "{name} went to {to}");
        }
    }
}

#[tokio::test]
async fn replies_to_reviewers_contain_no_secret() {
    let replies = format!(r#"{{"12":"It is {TOKEN} and {TOKEN_LIKE_TEXT} by now"}}"#);
    let script = format!("mkdir .pullyard; echo hello > greeting.txt; echo '{replies}' > .pullyard/replies.json");
    let (world, desk) = world_under_review(&script).await;
    world.completes().await;
    let text = desk.replies(12).join("\n");
    assert!(text.contains("It is [redacted] and [redacted] by now"), "{text}");
}

#[tokio::test]
async fn replies_in_a_checkpoint_contain_no_secret() {
    let replies = format!(r#"{{"12":"It is {TOKEN} by now"}}"#);
    let (world, desk) = world_under_review(&format!(
        "mkdir .pullyard; echo half > half.txt; echo '{replies}' > .pullyard/replies.json
         echo waiting; while :; do sleep 0.05; done"
    ))
    .await;
    world.pauses().await;
    let files = unpack_checkpoint(&world.api.bucket_object("checkpoint.tar.zst").unwrap());
    assert_eq!(files.keys().collect::<Vec<_>>(), ["about.json", "replies.json", "work.patch"]);
    assert_eq!(String::from_utf8_lossy(&files["replies.json"]).trim(), replies.replace(TOKEN, "[redacted]"));

    world.api.next_attempt(|job| {
        set_resume(job, Policy::Require, &[]);
        set_command(job, "cat > /dev/null; echo end > end.txt");
    });
    let ran = run_on_another_machine(&world).await;
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{:?} {}", world.api.only_finish(), ran.log);
    assert_eq!(world.file_at("feature", "half.txt").as_deref(), Some("half\n"));
    let text = desk.replies(12).join("\n");
    assert!(text.contains("It is [redacted] by now"), "{text}");
}

#[tokio::test]
async fn stored_setup_output_contains_no_secret() {
    let setup = vec![format!("echo {TOKEN}")];
    let world = with_checks("cat > /dev/null; echo hello > greeting.txt", &[], |all| all.setup.commands = setup).await;
    world.completes().await;
    let output = String::from_utf8(world.api.bucket_object("setup-output.txt").unwrap()).unwrap();
    assert_eq!(output, "$ echo [redacted]\n[redacted]\n\n");
}

#[tokio::test]
async fn commands_inherit_no_variables_of_the_machine() {
    let agent = "cat > /dev/null; env > @DIR@/agent; echo hello > greeting.txt";
    let world = with_checks(agent, &["env > @DIR@/check"], |_| ()).await;
    let setup = format!("env > {}", world.outside_path("setup").display());
    world.api.change_assignment(|job| job.commands.as_mut().unwrap().setup.commands = vec![setup]);
    let ran = world
        .run_with(|command| {
            let names = "USER SSH_AUTH_SOCK AWS_SECRET_ACCESS_KEY GITHUB_TOKEN OPENAI_API_KEY GIT_AUTHOR_NAME \
                         GIT_OBJECT_DIRECTORY GIT_INDEX_FILE";
            command.envs(names.split_whitespace().map(|name| (name, "/planted/by-the-machine")));
            // The runner calls only this machine, so the proxy is unused.
            command.env("https_proxy", "http://planted.invalid:1").env("NO_PROXY", "planted.invalid");
        })
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{:?} {}", world.api.only_finish(), ran.log);
    for name in ["setup", "agent", "check"] {
        let env = std::fs::read_to_string(world.outside_path(name)).unwrap();
        assert!(env.contains("PULLYARD_JOB=job_") && !env.contains("planted"), "{name}: {env}");
    }
    assert_eq!(world.git_line(&["log", "-1", "--format=%an, %cn", BRANCH]), "Pullyard, Pullyard");
}

#[tokio::test]
async fn session_variable_names_the_session_or_the_job() {
    for session in [None, Some("its-own-name")] {
        let world =
            World::with_agent("printf %s \"$PULLYARD_SESSION\" > @DIR@/session; echo hello > greeting.txt").await;
        let job = world.api.assignment().job;
        world.api.change_assignment(|job| {
            let session = session.map(str::to_owned);
            job.resume =
                Some(ResumeState { agent: None, session, read: 0, policy: Policy::Prefer, inputs: Vec::new() });
        });
        world.completes().await;
        let content = std::fs::read_to_string(world.outside_path("session")).unwrap();
        assert_eq!(content, session.unwrap_or(job.as_str()));
    }
}
