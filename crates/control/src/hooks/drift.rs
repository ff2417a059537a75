//! A difference between a hook and its configuration at the forge.

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    pub code: &'static str,
    pub sentence: String,
    /// `hooks repair` can fix it.
    pub repairable: bool,
}

pub(super) fn drift(code: &'static str, sentence: impl Into<String>, repairable: bool) -> Drift {
    Drift { code, sentence: sentence.into(), repairable }
}
