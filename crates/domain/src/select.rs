//! Which runner may take which job.

use crate::runner::Profile;
use std::collections::BTreeSet;

/// What jobs of one class ask of a runner.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Needs {
    /// The agent.
    pub capability: String,
    /// Tags it must have.
    pub labels: BTreeSet<String>,
}

/// The runner has the capability and every label.
pub fn matches(needs: &Needs, runner: &Profile) -> bool {
    runner.capabilities.contains(&needs.capability) && needs.labels.is_subset(&runner.labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(words: &str) -> BTreeSet<String> {
        words.split_whitespace().map(str::to_owned).collect()
    }

    fn check(capability: &str, labels: &str, expected: bool) {
        let runner = Profile {
            id: crate::id::RunnerId::of("token", "kite"),
            name: "kite".into(),
            capabilities: set("command codex"),
            labels: set("gpu eu"),
            version: "0.1.0".into(),
        };
        let needs = Needs { capability: capability.into(), labels: set(labels) };
        assert_eq!(matches(&needs, &runner), expected, "{capability} {labels}");
    }

    #[test]
    fn a_runner_takes_what_it_can_drive_and_is_labelled_for() {
        check("command", "", true);
        check("codex", "gpu", true);
        check("codex", "eu gpu", true);
        check("claude_code", "", false);
        check("command", "arm", false);
        check("command", "gpu arm", false);
    }
}
