//! Formats a forge's messages for our errors.

/// Longer messages are usually HTML pages.
pub(crate) const MAX_CHARACTERS: usize = 500;

pub(crate) fn message_or_default(message: Option<&str>) -> String {
    truncate(message.filter(|message| !message.trim().is_empty()).unwrap_or("no reason given"))
}

/// Formats text to follow a colon: one line, lower-case first letter, no full stop.
pub(crate) fn to_sentence_part(sentence: &str) -> String {
    let words = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
    let words = words.trim_end_matches('.');
    let mut characters = words.chars();
    match (characters.next(), characters.clone().next()) {
        // "HEAD is …" keeps its capitals.
        (Some(first), Some(second)) if !second.is_uppercase() => {
            truncate(&first.to_lowercase().chain(characters).collect::<String>())
        }
        _ => truncate(words),
    }
}

pub(crate) fn truncate(words: &str) -> String {
    match words.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words.to_owned(),
    }
}
