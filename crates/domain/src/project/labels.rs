//! Labels that a job requires of its runner.

use std::collections::BTreeSet;

/// Most labels that a job may require.
pub const MAX_LABELS: usize = 10;

const MAX_LABEL_CHARS: usize = 64;

/// The label of runners with a token of their own for the forge. Attempts of a repository with this label get no token
/// of the control plane.
pub const FORGE_TOKEN_LABEL: &str = "forge-token";

/// Parses what users write: labels separated by commas.
pub fn parse_labels(text: &str) -> BTreeSet<String> {
    text.split(',').map(str::trim).filter(|label| !label.is_empty()).map(str::to_owned).collect()
}

pub fn join_labels(labels: &BTreeSet<String>) -> String {
    labels.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Errors: the rule, if a job cannot require these labels.
pub fn check_labels(labels: &BTreeSet<String>) -> Result<(), String> {
    if labels.len() > MAX_LABELS {
        let (n, all) = (labels.len(), join_labels(labels));
        return Err(format!(
            "a job may require {MAX_LABELS} labels of project, repository, ticket and request; these are {n}: {all}"
        ));
    }
    let is_valid = |label: &String| {
        let is_apart = |c: char| c.is_control() || c.is_whitespace() || c == ',';
        (1..=MAX_LABEL_CHARS).contains(&label.chars().count()) && !label.contains(is_apart)
    };
    match labels.iter().find(|label| !is_valid(label)) {
        Some(label) => {
            Err(format!("`{label}` is no label: use 1 to {MAX_LABEL_CHARS} characters without spaces and commas"))
        }
        None => Ok(()),
    }
}

/// Whether the runner's labels contain the label, in any letter case. Labels are stored as users write them.
/// A runner adds [`FORGE_TOKEN_LABEL`] itself, so no other spelling proves that it has a token.
pub(crate) fn has_label(labels: &BTreeSet<String>, label: &str) -> bool {
    let is_same = |own: &String| own.to_lowercase() == label.to_lowercase();
    labels.contains(label) || (label != FORGE_TOKEN_LABEL && labels.iter().any(is_same))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word_set(words: &str) -> BTreeSet<String> {
        words.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn labels_match_in_any_letter_case() {
        let labels = |text: &str| parse_labels(text);
        for (own, required, expected) in [
            ("GPU,eu", "gpu", true),
            ("gpu", "GPU,gpu", true),
            ("größe", "GRÖSSE", false),
            ("GRÖẞE", "größe", true),
            ("gpu", "gpu2", false),
            ("gpu", "", true),
            ("Forge-Token", "forge-token", false),
        ] {
            assert_eq!(
                labels(required).iter().all(|label| has_label(&labels(own), label)),
                expected,
                "{own} {required}"
            );
        }
    }

    #[test]
    fn unusable_labels_are_refused_by_name() {
        let fault = |labels: &[&str]| check_labels(&labels.iter().map(|it| it.to_string()).collect()).err();
        let long = "n".repeat(64);
        assert_eq!((fault(&[]), fault(&["gpu=a100", "größe", "os:linux/arm_64-v1.2", "c++", &long])), (None, None));
        for bad in ["", "a b", "a,b", "a\nb", &format!("{long}n")] {
            let message = fault(&["gpu", bad]).unwrap_or_else(|| panic!("{bad}"));
            assert!(message.starts_with(&format!("`{bad}` is no label")), "{message}");
        }
        let numbered = |n: usize| (0..n).map(|at| format!("l{at}")).collect::<BTreeSet<_>>();
        assert_eq!(check_labels(&numbered(10)), Ok(()));
        assert!(check_labels(&numbered(11)).unwrap_err().contains("these are 11"));
        assert_eq!(parse_labels(" gpu, eu ,,gpu"), word_set("eu gpu"));
    }
}
