//! Finds the valid word that a mistyped one is nearest to.

/// The nearest of `words`, ignoring case, or `None`. Also matches the last part of a word with dots.
pub fn find_nearest<'a>(typed: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    let distance = |word: &str| {
        let word = word.to_lowercase();
        let last = word.rsplit('.').next().unwrap_or(&word);
        count_edits(&typed, &word).min(count_edits(&typed, last))
    };
    let nearest = words.into_iter().map(|word| (distance(word), word)).min_by_key(|(edits, _)| *edits);
    let length = typed.chars().count();
    nearest.filter(|(edits, _)| *edits <= (length / 2).min(2).max(length / 3)).map(|(_, word)| word)
}

fn count_edits(from: &str, to: &str) -> usize {
    let mut costs: Vec<usize> = (0..=to.chars().count()).collect();
    for (row, left) in from.chars().enumerate() {
        let mut diagonal = row;
        let mut before = row + 1;
        if let Some(first) = costs.first_mut() {
            *first = before;
        }
        for (cost, right) in costs.iter_mut().skip(1).zip(to.chars()) {
            let replaced = diagonal + usize::from(left != right);
            diagonal = *cost;
            before = replaced.min(before + 1).min(*cost + 1);
            *cost = before;
        }
    }
    costs.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted_in_characters() {
        for (from, to, edits) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("flaw", "lawn", 2), ("ü", "u", 1)]
        {
            assert_eq!(count_edits(from, to), edits, "{from} {to}");
        }
    }

    #[test]
    fn nearest_word_is_found_unless_all_differ_too_much() {
        let words = ["limits.wall_secs", "limits.cost_usd", "auto_create", "agent", "AI Processing"];
        for (typed, expected) in [
            ("auto_craete", Some("auto_create")),
            ("wall_secs", Some("limits.wall_secs")),
            ("limits.cost_usd_micros", Some("limits.cost_usd")),
            ("Agnt", Some("agent")),
            ("ai procesing", Some("AI Processing")),
            ("nothing", None),
            ("x", None),
        ] {
            assert_eq!(find_nearest(typed, words), expected, "{typed}");
        }
    }
}
