//! Codex.

use super::{AgentSpec, ImageOption, ModelKey};

pub const AGENT: AgentSpec = AgentSpec {
    code: "codex",
    name: "Codex",
    keys: &[ModelKey::OpenaiApiKey, ModelKey::CodexAuth],
    needs: "Needs an OpenAI API key or a Codex login",
    image: Some(ImageOption { label: "pullyard.agent.codex", option: "--codex" }),
};
