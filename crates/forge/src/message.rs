//! Formats a forge's messages for our errors.

/// Longer messages are usually HTML pages.
pub(crate) const MAX_CHARACTERS: usize = 500;

pub(crate) fn message_or_default(message: Option<&str>) -> String {
    truncate(message.filter(|message| !message.trim().is_empty()).unwrap_or("no reason given"))
}

/// Formats text to follow a colon: one line, lower-case first letter, no full stop.
pub(crate) fn to_sentence_part(sentence: &str) -> String {
    let text = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text.trim_end_matches('.');
    let mut characters = text.chars();
    match (characters.next(), characters.clone().next()) {
        // "HEAD is …" keeps its capitals.
        (Some(first), Some(second)) if !second.is_uppercase() => {
            truncate(&first.to_lowercase().chain(characters).collect::<String>())
        }
        _ => truncate(text),
    }
}

pub(crate) fn truncate(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
