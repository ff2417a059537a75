//! GitHub's phrases when it refuses a push.

use crate::vendor::PushPhrases;

pub(super) const PHRASES: PushPhrases = PushPhrases {
    workflow: &["refusing to allow", "workflows` permission", "workflow` scope"],
    secret: &["push cannot contain secrets", "push protection"],
    protected: &["gh006", "gh013", "rule violations"],
    // GitHub lists rules below a heading or sends each as an error.
    rule_headings: &["GH006", "GH013", "Review all repository rules"],
    // GitHub sends the first for a user's token and the second for an App's.
    denied: &[&["permission to ", " denied to "], &["write access to repository not granted"]],
};
