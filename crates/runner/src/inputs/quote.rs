//! Quotes text of users and agents.

/// Begins each line with `>`, so that no quoted text looks like the runner's own.
pub(crate) fn quote(text: &str) -> String {
    text.lines().map(|line| format!("> {line}")).collect::<Vec<_>>().join("\n")
}
