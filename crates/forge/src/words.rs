//! A forge's own words as they read in ours.

/// Longer words are a page, not a reason.
pub(crate) const MAX_CHARACTERS: usize = 500;

/// The message of a forge that won't, or a note that there is none.
pub(crate) fn told(message: Option<&str>) -> String {
    shorten(message.filter(|message| !message.trim().is_empty()).unwrap_or("no reason given"))
}

/// A sentence as it reads after a colon: small at the start, no stop at the end, on one line.
pub(crate) fn in_sentence(sentence: &str) -> String {
    let words = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
    let words = words.trim_end_matches('.');
    let mut characters = words.chars();
    match (characters.next(), characters.clone().next()) {
        // "HEAD is …" keeps its shape.
        (Some(first), Some(second)) if !second.is_uppercase() => {
            shorten(&first.to_lowercase().chain(characters).collect::<String>())
        }
        _ => shorten(words),
    }
}

/// No more of them than a reason has.
pub(crate) fn shorten(words: &str) -> String {
    match words.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words.to_owned(),
    }
}
