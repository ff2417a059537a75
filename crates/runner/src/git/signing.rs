//! Signs commits with a project's SSH key, and explains why a key does not work.
//! The key is a file only while git signs, when no agent runs: `ssh-keygen -Y sign` (OpenSSH 8.2) needs one.

use super::GitError;
use crate::git::workspace::disk::write_private_file;
use pullyard_domain::text::failure::Failure;
use std::io;
use std::path::{Path, PathBuf};

/// The key as a file that only this user can read; deleted on drop.
pub(super) struct KeyFile(PathBuf);

impl KeyFile {
    pub(super) fn create(repository: &Path, key: &str) -> io::Result<Self> {
        let file = Self(repository.join("signing-key"));
        // OpenSSH rejects a key without a final line break, and one with line breaks of Windows.
        let key: String = key.trim().lines().flat_map(|line| [line.trim_end(), "\n"]).collect();
        write_private_file(&file.0, key.as_bytes())?;
        Ok(file)
    }

    pub(super) fn settings(&self) -> [(String, String); 2] {
        let path = self.0.display().to_string();
        [("gpg.format", "ssh"), ("user.signingKey", path.as_str())].map(|(name, value)| (name.into(), value.into()))
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::error!(error = %error, "cannot remove the signing key: {error}");
        }
    }
}

impl GitError {
    pub(crate) fn to_signing_failure(&self) -> Failure {
        let Self::Failed { stderr, .. } = self else { return self.to_workspace_failure() };
        let says = |phrase: &str| stderr.contains(phrase);
        let reason = if says("cannot run ssh-keygen") || says("needed for ssh signing") {
            "ssh-keygen is not installed on the runner".into()
        } else if says("passphrase") {
            "its key has a passphrase".into()
        } else if says("load public key") || says("Load key") || says("invalid format") {
            "its secret is not an SSH private key".into()
        } else {
            self.reason()
        };
        Failure::SigningFailed { reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn signing_key_is_a_temporary_file_with_mode_0600() {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::create(dir.path(), "-----BEGIN\r\nabc\r\n-----END").unwrap();
        let path = dir.path().join("signing-key");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "-----BEGIN\nabc\n-----END\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(file);
        assert!(!path.exists());
    }

    #[track_caller]
    fn check(stderr: &str, sentence: &str) {
        let error = GitError::Failed { command: "commit-tree".into(), stdout: String::new(), stderr: stderr.into() };
        assert_eq!(error.to_signing_failure().sentence(), format!("The commit could not be signed: {sentence}."));
    }

    #[test]
    fn signing_errors_explain_the_cause() {
        let no_key = "its secret is not an SSH private key";
        check("error: Couldn't load public key /w/signing-key: No such file or directory?\n\n", no_key);
        let locked = "error: Enter passphrase: Load key \"/w/signing-key\": incorrect passphrase supplied to decrypt private key?\n";
        check(locked, "its key has a passphrase");
        let missing = "error: cannot run ssh-keygen: No such file or directory\nerror: \n";
        check(missing, "ssh-keygen is not installed on the runner");
    }
}
