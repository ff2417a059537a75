//! Names of steps, roles, parameters and outcomes.

pub(super) const NAME_RULE: &str = "use 1 to 40 lower-case letters, digits and dashes, beginning with a letter";

pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.len() <= 40
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}
