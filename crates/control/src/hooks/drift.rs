//! A difference between a hook and what its forge has.

/// One way in which a hook is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    pub code: &'static str,
    pub sentence: String,
    /// `hooks repair` mends it.
    pub repairable: bool,
}

pub(super) fn drift(code: &'static str, sentence: impl Into<String>, repairable: bool) -> Drift {
    Drift { code, sentence: sentence.into(), repairable }
}
