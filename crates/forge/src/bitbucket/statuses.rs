//! What we say about commits.

use reqwest::Method;
use serde::de::IgnoredAny;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::Bitbucket;
use crate::{CommitState, CommitStatus, Error, call::Tries, names::RepositoryName};

/// The longest key that Bitbucket takes. Units: characters.
const MAX_KEY: usize = 40;
/// How much of a longer one's hash is said. Units: bytes.
const HASH: usize = 8;

impl Bitbucket {
    /// See [`Forge::set_status`](crate::Forge::set_status).
    /// Bitbucket's `POST /repositories/{workspace}/{repo_slug}/commit/{commit}/statuses/build`.
    pub async fn set_status(&self, full_name: &str, sha: &str, status: &CommitStatus) -> Result<(), Error> {
        let repository = RepositoryName::parse(full_name)?;
        let what = format!("commit {sha} of {full_name}");
        if sha.is_empty() || !sha.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::NotFound { what, message: "that is no commit's name".to_owned() });
        }
        let mut body = json!({
            "key": key(&status.context),
            "name": status.context,
            "state": match status.state {
                CommitState::Pending => "INPROGRESS",
                CommitState::Success => "SUCCESSFUL",
                CommitState::Failure => "FAILED",
                CommitState::Error => "STOPPED",
            },
            "description": status.shortened(),
            // Bitbucket takes none without an address. Where there is no page, the commit's says as much.
            "url": status.target_url.clone().unwrap_or_else(|| format!("https://bitbucket.org/{full_name}/commits/{sha}")),
        });
        // Without it, the commit has the status and its pull request need not.
        if let Some(branch) = &status.branch {
            body["refname"] = json!(branch);
        }
        let address = self.address(repository, &["commit", sha, "statuses", "build"]);
        // Said twice it is said: it may be repeated.
        self.client.send::<IgnoredAny>(Method::POST, address, &what, &body, Tries::Three).await?;
        Ok(())
    }
}

/// A context as Bitbucket takes it: what is cut off one that is too long still tells it from another.
fn key(context: &str) -> String {
    if context.chars().count() <= MAX_KEY {
        return context.to_owned();
    }
    let hash: String = Sha256::digest(context.as_bytes()).iter().take(HASH).map(|byte| format!("{byte:02x}")).collect();
    let kept = MAX_KEY - 2 * HASH - 1;
    format!("{}-{hash}", context.chars().take(kept).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_context_is_cut_where_bitbucket_would_refuse_it_and_stays_its_own() {
        assert_eq!(key("pullyard"), "pullyard");
        assert_eq!(key(&"ü".repeat(40)), "ü".repeat(40));
        let (one, other) = (key(&"x".repeat(41)), key(&"x".repeat(42)));
        assert_eq!((one.chars().count(), other.chars().count()), (40, 40));
        assert!(one.starts_with("xxxx") && one != other, "{one} {other}");
    }
}
