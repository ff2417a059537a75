//! Quotes what people and agents said.

/// Each line behind a `>`, so that nothing said in it reads as ours.
pub(crate) fn quoted(text: &str) -> String {
    text.lines().map(|line| format!("> {line}")).collect::<Vec<_>>().join("\n")
}
