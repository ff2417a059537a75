//! Agents that are signed in with a subscription, not with a key.

use super::stage::{Agent, Stage};
use crate::world::{BRANCH, end_of};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use pullyard_demo_model::{Answer, Credential, Disguise, Outcome};
use pullyard_domain::time::Timestamp;
use pullyard_protocol::attempt::FinishOutcome;
use serde_json::json;
use std::time::SystemTime;
use tokio::process::Command;

const TOKEN: &str = "sk-ant-oat01-subscription-7c20";
const ACCOUNT: &str = "account-5f1e";

/// With the token, and without the key.
pub(super) fn with_token(stage: &Stage, command: &mut Command) {
    stage.equip(command);
    command.env_remove("ANTHROPIC_API_KEY").env("CLAUDE_CODE_OAUTH_TOKEN", TOKEN);
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn claude_code_shows_its_token_to_the_model_and_to_nobody_else() {
    let stage = Stage::of(Agent::ClaudeCode).await;
    let shows = stage.agent.shell("echo hello > greeting.txt; echo \"token: $CLAUDE_CODE_OAUTH_TOKEN\"");
    stage.model.play([shows, Answer::text(format!("It is {TOKEN}."))]);
    let ran = end_of(stage.world.spawn(|command| with_token(&stage, command))).await;
    let finish = stage.world.api.finish();
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?} {}", ran.log);
    assert_eq!(stage.world.file(BRANCH, "greeting.txt").unwrap(), "hello\n");
    let turns = stage.model.turns();
    assert_eq!(turns.len(), 2);
    for turn in &turns {
        assert!(turn.credential == Credential::Bearer && turn.is_signed_with(TOKEN), "{:?}", turn.credential);
    }
    assert!(turns[1].mentions("token: "), "{}", turns[1].body);
    let finishes = serde_json::to_string(&stage.world.api.finishes()).unwrap();
    assert!(!stage.everything().contains(TOKEN) && !finishes.contains(TOKEN), "the token left");
    stage.end();
}

/// A machine where Codex is signed in. Its program has no setting for where ChatGPT is: that it asks a model of ours
/// at all is a matter of the proxy and of whom it trusts.
pub(super) struct SignedIn {
    pub(super) stage: Stage,
    pub(super) disguise: Disguise,
    token: String,
}

impl SignedIn {
    pub(super) async fn new(codex: Agent) -> Self {
        let stage = Stage::of(codex).await;
        let disguise = Disguise::start(&stage.model, "chatgpt.com").await.unwrap();
        std::fs::write(stage.world.outside("authority.pem"), disguise.authority()).unwrap();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        // What nobody checks but Codex, and that only to show it.
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
        std::fs::write(stage.world.outside("auth.json"), auth.to_string()).unwrap();
        Self { stage, disguise, token }
    }

    pub(super) fn equip(&self, command: &mut Command) {
        self.stage.equip(command);
        command
            .env_remove("OPENAI_API_KEY")
            .env_remove("OPENAI_BASE_URL")
            .env("PULLYARD_CODEX_AUTH", self.stage.world.outside("auth.json"))
            .env("HTTPS_PROXY", self.disguise.url())
            .env("SSL_CERT_FILE", self.stage.world.outside("authority.pem"));
    }
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn codex_shows_the_tokens_of_its_file_to_chatgpt_and_to_nobody_else() {
    let codex = Agent::Codex;
    let machine = SignedIn::new(codex).await;
    let SignedIn { stage, disguise, token } = &machine;
    stage.model.play([stage.agent.shell("echo hello > greeting.txt"), Answer::text(format!("It is {token}."))]);
    let ran = end_of(stage.world.spawn(|command| machine.equip(command))).await;
    let finish = stage.world.api.finish();
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?} {} {}", ran.log, stage.everything());
    assert_eq!(stage.world.file(BRANCH, "greeting.txt").unwrap(), "hello\n");
    let turns = stage.model.turns();
    assert_eq!(turns.len(), 2);
    for turn in &turns {
        assert_eq!(turn.path, "/backend-api/codex/responses");
        assert!(turn.is_signed_with(token), "{:?}", turn.credential);
        // What ChatGPT itself would do for it: search the web, draw.
        for tool in ["web.run", "image_gen"] {
            assert!(!turn.mentions(tool), "{tool}");
        }
    }
    assert!(stage.model.requests().iter().all(|request| request.path.starts_with("/backend-api/")));
    // Nothing that its account is connected to: that would be tools of the agent.
    let strange: Vec<_> =
        stage.model.requests().into_iter().filter(|request| request.outcome == Outcome::NotServed).collect();
    assert_eq!(strange, []);
    assert_eq!(disguise.refused(), <[String; 0]>::default(), "somebody else was called");
    assert_eq!(stage.call_outs.seen(), <[String; 0]>::default());
    let finishes = serde_json::to_string(&stage.world.api.finishes()).unwrap();
    assert!(!stage.everything().contains(token) && !finishes.contains(token), "the token left");
    // What it was given stays as it was, whatever it makes of its copy.
    let kept = std::fs::read_to_string(stage.world.outside("auth.json")).unwrap();
    assert!(kept.contains(token) && kept.contains("refresh-3a90"), "{kept}");
    assert_eq!(stage.left_over(), []);
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn a_chatgpt_that_codex_does_not_reach_is_unreachable() {
    let codex = Agent::Codex;
    let machine = SignedIn::new(codex).await;
    let stage = &machine.stage;
    let runner = stage.world.spawn(|command| {
        machine.equip(command);
        // It lets nobody through.
        command.env("HTTPS_PROXY", &stage.call_outs.url).env("PULLYARD_AGENT_RETRY_SECS", "");
    });
    let ran = end_of(runner).await;
    assert_eq!(stage.world.api.failure(), "agent_unreachable", "{}", ran.log);
}
