//! Runs `run-job`, with the secrets of its environment.

use crate::options::RunJob;
use crate::secrets::redact::{is_secret_name, parse_url_credentials};
use crate::{Error, Exit};
use std::ffi::OsString;

/// The variable with the bootstrap token. Never a flag, because every user of a machine can read argument lists.
const BOOTSTRAP_VARIABLE: &str = "PULLYARD_BOOTSTRAP";

impl RunJob {
    /// Errors: the bootstrap token is missing, the attempt could not start, or its finish could not be delivered.
    pub async fn run(self) -> Result<Exit, Error> {
        hide_from_children();
        crate::process::orphans::adopt_orphans();
        let bootstrap = std::env::var(BOOTSTRAP_VARIABLE).ok().filter(|token| !token.is_empty());
        let bootstrap = bootstrap.ok_or(Error::BootstrapMissing)?;
        let exit = crate::job::run_job(&self, &bootstrap, collect_secrets(std::env::vars_os())).await;
        if let Some((parent, folder)) = self.parent.zip(self.parent_folder) {
            crate::process::parent::remove_folder_of_dead_parent(parent, &folder);
        }
        exit
    }
}

/// Values of secret variables, and credentials in all addresses: a proxy's address is no secret, but its password is.
fn collect_secrets(variables: impl Iterator<Item = (OsString, OsString)>) -> Vec<String> {
    let texts = variables.filter_map(|(name, value)| Some((name, value.into_string().ok()?)));
    let secrets = texts.flat_map(|(name, value)| {
        let mut secrets = parse_url_credentials(&value);
        if name.to_str().is_some_and(is_secret_name) {
            secrets.push(value);
        }
        secrets
    });
    secrets.collect()
}

/// Prevents children from reading the bootstrap token and the lease. Children get an environment without the token. But
/// on Linux, a child of the same user could read both in `/proc` of a dumpable parent. Root can always read them.
pub fn hide_from_children() {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        tracing::warn!(error = %error, "cannot hide the runner's memory from its children: {error}");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn credentials_in_environment_urls_are_secrets() {
        let variables = [
            ("HTTPS_PROXY", "http://me:planted-pw@proxy.example:3128"),
            ("SOME_KEY", "planted-key"),
            ("OPENAI_BASE_URL", "https://model.example/v1"),
            ("HOME", "/home/me"),
        ];
        let mut secrets =
            super::collect_secrets(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
        secrets.sort_unstable();
        secrets.dedup();
        assert_eq!(secrets, ["me:planted-pw", "planted-key", "planted-pw"]);
    }
}
