//! Tests which agent and which model keys a job receives; the test acts as the runner.

use crate::prelude::*;
use pullyard_domain::agent::{ModelKey, ModelSecrets};
use pullyard_protocol::client::Error;

/// A repository that uses Claude Code and also has a command.
async fn story() -> Story {
    let story = Story::start_with(Setup { task: Task::Waiting, ..Setup::default() }).await;
    connect(&story, "claude_code", Some("opus")).await;
    story
}

async fn connect(story: &Story, capability: &str, model: Option<&str>) {
    let command = vec!["./agent.sh".into()];
    let agent = Agent { capability: capability.into(), command, model: model.map(str::to_owned) };
    story.connect_repository(agent).await;
}

async fn claim_expecting(story: &Story, job: &JobId, claim: &str, expected: (&str, Option<&str>)) -> AttemptClient {
    let (assignment, client) = story.claim(job, claim).await.unwrap();
    assert_eq!((assignment.agent.capability.as_str(), assignment.agent.model.as_deref()), expected);
    client
}

fn create_request(story: &Story, agent: Option<&str>, model: Option<&str>) -> CreateJob {
    CreateJob {
        kind: JobKind::Implement,
        project: story.project.clone(),
        ticket: None,
        prompt: Some("Do it.".into()),
        repository: None,
        base: None,
        agent: agent.map(str::to_owned),
        model: model.map(str::to_owned),
        labels: Default::default(),
        priority: None,
    }
}

async fn create_job(story: &Story, agent: Option<&str>, model: Option<&str>) -> JobId {
    let decision = story.api.create_job(&create_request(story, agent, model), None).await.unwrap();
    assert_eq!(decision.verdict, Verdict::Accepted, "{}", decision.sentence);
    decision.job.unwrap()
}

async fn problem_of<T: std::fmt::Debug>(answer: Result<T, Error>) -> (u16, String, Option<String>) {
    match answer {
        Err(Error::Problem(problem)) => (problem.status, problem.code, problem.pointer),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn job_and_its_retry_use_the_requested_agent() {
    let story = story().await;
    for (agent, model, expected) in [
        (None, None, ("claude_code", Some("opus"))),
        (None, Some("haiku"), ("claude_code", Some("haiku"))),
        (Some("codex"), None, ("codex", None)),
        (Some("command"), None, ("command", None)),
        (Some("auto"), None, ("auto", None)),
    ] {
        let job = create_job(&story, agent, model).await;
        let client = claim_expecting(&story, &job, "c1", expected).await;
        client.finish(&failed_finish("f1")).await.unwrap();
        let again = story.api.retry_job(&job, None).await.unwrap().job.unwrap();
        claim_expecting(&story, &again, "c2", expected).await;
    }
    let refused =
        async |agent, model| problem_of(story.api.create_job(&create_request(&story, agent, model), None).await).await;
    for no_agent in ["magic", "project"] {
        assert_eq!(refused(Some(no_agent), None).await, (422, "invalid".into(), Some("/agent".into())));
    }
    assert_eq!(refused(Some("codex"), Some("--help")).await, (422, "invalid".into(), Some("/model".into())));
}

#[tokio::test(flavor = "multi_thread")]
async fn cli_sets_and_resets_agents_of_project_and_repository() {
    let story = Story::start_with(Setup { task: Task::Waiting, ..Setup::default() }).await;
    let mut user = User::of(&story);
    user.set_env("PULLYARD_PROJECT", "acme");
    user.run(&["projects", "create", "other", "--agent", "command"]).await.assert_exit(2, "command");
    user.run(&["projects", "create", "other", "--model", "opus"]).await.assert_exit(2, "--agent");
    let other = ["projects", "create", "other", "--agent", "claude_code", "--model", "opus"];
    let output = user.ok(&other).await;
    assert!(output.contains("agent\tclaude_code\nmodel\topus\n"), "{output}");

    let set = async |changes: &[&str]| user.run(&[&["settings", "set"][..], changes].concat()).await;
    set(&["agent=command"]).await.assert_exit(2, "or auto, not \"command\"");
    set(&["model=opus"]).await.assert_exit(2, "a model needs an agent");
    set(&["agent=claude_code", "model=opus"]).await.assert_success();
    set(&["agent=codex"]).await.assert_exit(2, "opus was named for claude_code");
    // The server does not know which agent the model was named for; the message names a command that works.
    set(&["agent=auto", "model=opus"]).await.assert_exit(2, "opus itself is taken by a change after that");
    set(&["agent=auto", "model=null"]).await.assert_success();
    assert_eq!(set(&["model=opus"]).await.assert_success(), "model\topus\n");
    assert_eq!(set(&["agent=codex", "model=null"]).await.assert_success(), "agent\tcodex\nmodel\t\n");

    let list = async || user.ok(&["repos", "list"]).await;
    let row = |agent: &str| format!("{REPOSITORY}\tgh1\tmain\t{agent}\t\t\t\n");
    assert_eq!(list().await, row("./agent.sh"));
    user.ok(&["repos", "add", REPOSITORY, "--integration", "gh1"]).await;
    assert_eq!(list().await, row("project"));
    let change = async |flags: &[&str]| user.run(&[&["repos", "set", REPOSITORY][..], flags].concat()).await;
    change(&["--model", "gpt-5"]).await.assert_exit(2, "a model needs an agent");
    change(&["--agent", "claude_code", "--model", "opus"]).await.assert_success();
    assert_eq!(list().await, row("claude_code opus"));
    change(&["--agent", "auto"]).await.assert_success();
    assert_eq!(list().await, row("auto"));
    change(&["--agent", "project"]).await.assert_success();
    assert_eq!(list().await, row("project"));
    let job = create_job(&story, None, None).await;
    claim_expecting(&story, &job, "c1", ("codex", None)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn model_keys_go_only_to_jobs_of_their_agent() {
    let story = story().await;
    let stored = async |name: &str, value: &str| {
        let set = SetSecret { value: value.into(), kind: SecretKind::Job };
        story.api.set_secret(&SecretName::new(name).unwrap(), &set).await.unwrap().secret
    };
    let anthropic = stored("anthropic", "sk-ant-1").await;
    let openai = stored("openai", "sk-2").await;
    story
        .update_settings(|settings| {
            settings.model_secrets = ModelSecrets {
                anthropic_api_key: Some(anthropic),
                openai_api_key: Some(openai),
                ..ModelSecrets::default()
            };
        })
        .await;
    for (agent, expected) in [
        (None, vec![(ModelKey::AnthropicApiKey, "sk-ant-1")]),
        (Some("codex"), vec![(ModelKey::OpenaiApiKey, "sk-2")]),
        (Some("auto"), vec![(ModelKey::AnthropicApiKey, "sk-ant-1"), (ModelKey::OpenaiApiKey, "sk-2")]),
        (Some("command"), vec![]),
    ] {
        let job = create_job(&story, agent, None).await;
        let (_, client) = story.claim(&job, "c1").await.unwrap();
        let model_keys = client.credentials().await.unwrap().model;
        let model_keys =
            model_keys.iter().map(|model_key| (model_key.key, model_key.value.as_str())).collect::<Vec<_>>();
        assert_eq!(model_keys, expected, "{agent:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_or_foreign_model_secret_is_refused_with_its_name() {
    let story = story().await;
    let of_forges = story.local.forge_secret();
    let missing = of_forges.replace("/user/", "/job/");
    story.update_settings(|settings| settings.model_secrets.claude_token = Some(missing)).await;
    let job = create_job(&story, None, None).await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    let Err(Error::Problem(problem)) = client.credentials().await else { panic!("the credentials were returned") };
    assert_eq!((problem.status, problem.code.as_str()), (422, "model_secret_missing"));
    assert!(problem.detail.contains("/job/"), "{}", problem.detail);

    let project = story.api.project(&story.project).await.unwrap();
    let mut settings = project.settings;
    for others in ["production/database", of_forges] {
        settings.model_secrets.claude_token = Some(others.to_owned());
        let refused = story.api.set_settings(&story.project, &settings, project.revision).await;
        assert_eq!(problem_of(refused).await, (422, "invalid".into(), Some("/model_secrets/claude_token".into())));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_project_cannot_name_foreign_secrets() {
    let story = story().await;
    let settings = story.api.project(&story.project).await.unwrap().settings;
    for (parent, key) in [
        ("model_secrets", "anthropic_api_key"),
        ("model_secrets", "claude_token"),
        ("model_secrets", "openai_api_key"),
        ("model_secrets", "codex_auth"),
        ("commits", "signing_secret"),
    ] {
        for others in ["pullyard/signing-key", story.local.forge_secret()] {
            let mut body = serde_json::to_value(&settings).unwrap();
            body[parent][key] = others.into();
            let create = serde_json::json!({ "id": "new", "name": "New", "settings": body }).to_string();
            let token = Some(story.local.admin_token());
            let (status, _, problem) = story.request(reqwest::Method::POST, "/v1/projects", token, create.into()).await;
            let pointer = format!("/{parent}/{key}");
            assert_eq!((status, problem["pointer"].as_str()), (422, Some(pointer.as_str())), "{others}: {problem}");
        }
    }
    assert_eq!(story.api.projects(None).await.unwrap().projects.len(), 1);
}
