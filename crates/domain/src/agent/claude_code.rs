//! Claude Code.

use super::{AgentSpec, ImageOption, ModelKey};

pub const AGENT: AgentSpec = AgentSpec {
    code: "claude_code",
    name: "Claude Code",
    keys: &[ModelKey::AnthropicApiKey, ModelKey::ClaudeToken],
    needs: "Needs an Anthropic API key or a Claude subscription token",
    image: Some(ImageOption { label: "pullyard.agent.claude_code", option: "--claude-code" }),
};
