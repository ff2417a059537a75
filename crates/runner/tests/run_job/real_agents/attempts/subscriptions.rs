//! Tests agents that sign in with a subscription instead of a key.

use super::fixture::{Agent, Stage};
use crate::world::{BRANCH, wait_for_exit};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use pullyard_demo_model::{Answer, Credential, HostProxy, Outcome};
use pullyard_domain::text::time::Timestamp;
use pullyard_protocol::attempt::FinishOutcome;
use serde_json::json;
use std::time::SystemTime;
use tokio::process::Command;

const TOKEN: &str = "sk-ant-oat01-subscription-7c20";
const ACCOUNT: &str = "account-5f1e";

pub(super) fn set_token_env(stage: &Stage, command: &mut Command) {
    stage.set_env(command);
    command.env_remove("ANTHROPIC_API_KEY").env("CLAUDE_CODE_OAUTH_TOKEN", TOKEN);
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn claude_code_sends_its_token_to_the_model_only() {
    for isolation in ["none", "bubblewrap"] {
        check_claude_code(isolation).await;
    }
}

async fn check_claude_code(isolation: &str) {
    let stage = Stage::start_for(Agent::ClaudeCode).await;
    let shows = stage.agent.run_command_answer("echo hello > greeting.txt; echo \"token: $CLAUDE_CODE_OAUTH_TOKEN\"");
    stage.model.add_steps([shows, Answer::text(format!("It is {TOKEN}."))]);
    let child = stage.world.spawn(|command| {
        set_token_env(&stage, command);
        stage.set_isolation(isolation, command);
    });
    let ran = wait_for_exit(child).await;
    let finish = stage.world.api.only_finish();
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{isolation} {finish:?} {}", ran.log);
    assert_eq!(stage.world.file_at(BRANCH, "greeting.txt").unwrap(), "hello\n");
    let turns = stage.model.model_calls();
    assert_eq!(turns.len(), 2);
    for turn in &turns {
        assert!(turn.credential == Credential::Bearer && turn.has_credential(TOKEN), "{:?}", turn.credential);
    }
    assert!(turns[1].contains_text("token: "), "{}", turns[1].body);
    let finishes = serde_json::to_string(&stage.world.api.finishes()).unwrap();
    assert!(!stage.events_json().contains(TOKEN) && !finishes.contains(TOKEN), "the token left the runner");
    stage.check_end();
}

/// A machine where Codex is signed in. Its program has no setting for ChatGPT's address, so a proxy with a trusted
/// certificate leads it to the scripted model.
pub(super) struct CodexLogin {
    pub(super) fixture: Stage,
    pub(super) host_proxy: HostProxy,
    token: String,
}

impl CodexLogin {
    pub(super) async fn new(codex: Agent) -> Self {
        let stage = Stage::start_for(codex).await;
        let disguise = HostProxy::start(&stage.model, "chatgpt.com").await.unwrap();
        std::fs::write(stage.world.outside_path("authority.pem"), disguise.authority()).unwrap();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        // Unverified claims, which Codex only displays.
        let part = |claims: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
        let about = json!({ "chatgpt_plan_type": "pro", "chatgpt_account_id": ACCOUNT, "chatgpt_user_id": "user" });
        let expires = now.as_secs() + 86_400;
        let claims = json!({ "exp": expires, "email": "ana@example.com", "https://api.openai.com/auth": about });
        let token = format!("{}.{}.c2ln", part(json!({ "alg": "none", "typ": "JWT" })), part(claims));
        let tokens = json!({
            "id_token": token, "access_token": token, "refresh_token": "refresh-3a90", "account_id": ACCOUNT,
        });
        let refreshed = Timestamp::from_millis(now.as_millis().try_into().unwrap()).to_string();
        let auth = json!({ "OPENAI_API_KEY": null, "tokens": tokens, "last_refresh": refreshed });
        std::fs::write(stage.world.outside_path("auth.json"), auth.to_string()).unwrap();
        Self { fixture: stage, host_proxy: disguise, token }
    }

    pub(super) fn set_env(&self, command: &mut Command) {
        self.fixture.set_env(command);
        command
            .env_remove("OPENAI_API_KEY")
            .env_remove("OPENAI_BASE_URL")
            .env("PULLYARD_CODEX_AUTH", self.fixture.world.outside_path("auth.json"))
            .env("HTTPS_PROXY", self.host_proxy.url())
            .env("SSL_CERT_FILE", self.fixture.world.outside_path("authority.pem"));
    }
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn codex_sends_its_tokens_to_chatgpt_only() {
    for isolation in ["none", "bubblewrap"] {
        check_codex(isolation).await;
    }
}

async fn check_codex(isolation: &str) {
    let codex = Agent::Codex;
    let machine = CodexLogin::new(codex).await;
    let CodexLogin { fixture: stage, host_proxy: disguise, token } = &machine;
    stage.model.add_steps([
        stage.agent.run_command_answer("echo hello > greeting.txt"),
        Answer::text(format!("It is {token}.")),
    ]);
    let child = stage.world.spawn(|command| {
        machine.set_env(command);
        stage.set_isolation(isolation, command);
    });
    let ran = wait_for_exit(child).await;
    let finish = stage.world.api.only_finish();
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{isolation} {finish:?} {} {}", ran.log, stage.events_json());
    assert_eq!(stage.world.file_at(BRANCH, "greeting.txt").unwrap(), "hello\n");
    let turns = stage.model.model_calls();
    assert_eq!(turns.len(), 2);
    for turn in &turns {
        assert_eq!(turn.path, "/backend-api/codex/responses");
        assert!(turn.has_credential(token), "{:?}", turn.credential);
        // Tools that ChatGPT itself would run: web search and drawing.
        for tool in ["web.run", "image_gen"] {
            assert!(!turn.contains_text(tool), "{tool}");
        }
    }
    assert!(stage.model.requests().iter().all(|request| request.path.starts_with("/backend-api/")));
    // Connectors of the account would be tools of the agent, so Codex requests none.
    let strange: Vec<_> =
        stage.model.requests().into_iter().filter(|request| request.outcome == Outcome::NotServed).collect();
    assert_eq!(strange, []);
    assert_eq!(disguise.rejected_requests(), <[String; 0]>::default(), "a foreign host was called");
    assert_eq!(stage.refusing_proxy.request_lines(), <[String; 0]>::default());
    let finishes = serde_json::to_string(&stage.world.api.finishes()).unwrap();
    assert!(!stage.events_json().contains(token) && !finishes.contains(token), "the token left the runner");
    // The original file stays unchanged, even when Codex writes its copy.
    let auth = std::fs::read_to_string(stage.world.outside_path("auth.json")).unwrap();
    assert!(auth.contains(token) && auth.contains("refresh-3a90"), "{auth}");
    assert_eq!(stage.leftover_processes(), []);
}
