//! Model keys from the control plane. They precede the runner's own keys, because a user chose them for this project.

use crate::git::workspace::disk::write_private_file;
use pullyard_domain::agent::{KeyForm, ModelKey, list_programs};
use pullyard_protocol::attempt::ModelCredential;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

#[derive(Default)]
pub(crate) struct ModelKeys {
    keys: Vec<ModelCredential>,
    auth: PathBuf,
}

impl ModelKeys {
    /// `auth` is the path for the key that is a file, in the attempt's own folder.
    pub(crate) fn new(keys: Vec<ModelCredential>, auth: PathBuf) -> Self {
        Self { keys, auth }
    }

    /// The value of a variable for the agent's driver; `runner_variable` reads the runner's own. A key from the control
    /// plane hides all keys of the runner for the same agent. With two keys, the agent would choose which one is billed.
    pub(crate) fn variable(&self, name: &str, runner_variable: impl Fn(&str) -> Option<OsString>) -> Option<OsString> {
        let agent = list_programs().find(|agent| agent.keys.iter().any(|key| key.spec().variable == name));
        let is_for_agent = |key: ModelKey| agent.is_some_and(|agent| agent.keys.contains(&key));
        let mut agent_keys = self.keys.iter().filter(|credential| is_for_agent(credential.key)).peekable();
        if agent_keys.peek().is_none() {
            return runner_variable(name);
        }
        let credential = agent_keys.find(|credential| credential.key.spec().variable == name)?;
        Some(match credential.key.spec().form {
            KeyForm::Line => credential.value.clone().into(),
            KeyForm::File => self.auth.clone().into(),
        })
    }

    /// Writes: `auth` with the key that is a file, readable by its owner only.
    pub(crate) fn write_auth_file(&self) -> io::Result<()> {
        let auth = self.keys.iter().find(|credential| credential.key.spec().form == KeyForm::File);
        auth.map_or(Ok(()), |auth| write_private_file(&self.auth, auth.value.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(key: ModelKey, value: &str) -> ModelCredential {
        ModelCredential { key, value: value.into() }
    }

    #[test]
    fn project_key_hides_the_runners_keys_of_that_agent() {
        let runner_variable = |name: &str| Some(OsString::from(format!("our {name}")));
        let none = ModelKeys::default();
        assert_eq!(none.variable("ANTHROPIC_API_KEY", runner_variable), Some("our ANTHROPIC_API_KEY".into()));
        let keys = ModelKeys::new(vec![credential(ModelKey::ClaudeToken, "theirs")], PathBuf::new());
        assert_eq!(keys.variable("CLAUDE_CODE_OAUTH_TOKEN", runner_variable), Some("theirs".into()));
        assert_eq!(keys.variable("ANTHROPIC_API_KEY", runner_variable), None);
        assert_eq!(keys.variable("OPENAI_API_KEY", runner_variable), Some("our OPENAI_API_KEY".into()));
        assert_eq!(keys.variable("PATH", runner_variable), Some("our PATH".into()));
    }

    #[test]
    fn codex_auth_is_written_with_mode_0600() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("auth.json");
        let keys = ModelKeys::new(vec![credential(ModelKey::CodexAuth, "{}")], path.clone());
        assert_eq!(keys.variable("PULLYARD_CODEX_AUTH", |_| None), Some(path.clone().into()));
        keys.write_auth_file().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{}");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
