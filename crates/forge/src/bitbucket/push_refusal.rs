//! Bitbucket's phrases when it refuses a push. It sends a broken rule as one line.

use crate::vendor::PushPhrases;

pub(super) const PHRASES: PushPhrases = PushPhrases {
    workflow: &[],
    secret: &[],
    protected: &["permission denied to update branch"],
    rule_headings: &[],
    denied: &[&["lack one or more required privilege scopes"]],
};
