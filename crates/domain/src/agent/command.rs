//! A command of the repository.

use super::AgentSpec;

pub(super) const AGENT: AgentSpec = AgentSpec {
    code: "command",
    name: "Custom command",
    keys: &[],
    needs: "Any program that edits files; needs no key",
    image: None,
};
