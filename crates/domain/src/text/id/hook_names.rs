//! Default names of a webhook and of its secret.

use super::{HookName, InvalidId, SecretName};

const SECRET_PREFIX: &str = "hook-";
const MAX_CHARS: usize = 40;

impl HookName {
    /// `acme-app` for `acme/app`.
    pub fn derive(subject: &str) -> Result<Self, InvalidId> {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let name: String = subject.chars().map(plain).take(MAX_CHARS).collect();
        Self::new(name.trim_matches('-'))
    }
}

impl SecretName {
    pub fn for_hook(hook: &HookName) -> Self {
        Self(format!("{SECRET_PREFIX}{hook}"))
    }

    pub fn is_for_hook(&self) -> bool {
        self.0.starts_with(SECRET_PREFIX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hook_name_is_derived_from_the_repository_and_shortened() {
        for (subject, name) in [("acme/app", "acme-app"), ("Acme/My_App.rs", "acme-my-app-rs"), ("-a/b-", "a-b")] {
            assert_eq!(HookName::derive(subject).unwrap().as_str(), name, "{subject}");
        }
        let long = HookName::derive(&format!("acme/{}", "a".repeat(60))).unwrap();
        assert_eq!(long.as_str().len(), MAX_CHARS);
        assert!(HookName::derive("///").is_err());
        assert!(SecretName::for_hook(&long).is_for_hook());
    }
}
