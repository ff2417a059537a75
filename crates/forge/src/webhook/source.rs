//! The forge of a delivery, and the event names that it allows.

const MAX_NAME_BYTES: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookSource {
    /// `X-GitHub-Event` names the event, `action` in the body names the change.
    GitHub,
    /// `X-Event-Key` names both.
    Bitbucket,
}

impl WebhookSource {
    pub(super) fn is_valid_name(self, word: &str) -> bool {
        let marks: &[u8] = match self {
            Self::GitHub => b"_-.",
            Self::Bitbucket => b"_-.:",
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || marks.contains(&byte);
        (1..=MAX_NAME_BYTES).contains(&word.len()) && word.bytes().all(plain)
    }
}
