//! Copies the agent's configuration of the runner's user into the home of a job.

use crate::git::workspace::disk::{create_private_dir, write_private_file};
use crate::git::workspace::remove_entry;
use crate::secrets::redact::{is_secret_name, parse_url_credentials};
use nix::fcntl::OFlag;
use serde_json::Value;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const MAX_BYTES: u64 = 64 << 20;
const MAX_DEPTH: usize = 16;
/// Settings files in JSON, whose secrets are removed.
const SETTINGS: &[&str] = &["settings.json", "hooks.json", ".mcp.json", "plugin.json", "config.json"];
/// Files and folders with these names, also with an ending, are left out.
const CREDENTIALS: &str = " auth credential credentials env envrc git git-credentials kubeconfig netrc npmrc pgpass \
    secret secrets service-account token tokens ";

/// Source of an agent's configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum AgentProfile {
    /// None.
    #[default]
    Job,
    /// The configuration of the runner's user.
    Host,
}

/// Location of an agent's configuration.
pub(super) struct HostProfile {
    /// Below the user's home.
    pub(super) folder: &'static str,
    /// Files and folders to copy. Sessions, projects, caches and sign-ins have other names.
    pub(super) entries: &'static [&'static str],
}

impl HostProfile {
    /// Replaces the entries in `to`. Skips links and files of credentials. Errors: also for more than 64 MiB.
    pub(super) fn copy(&self, user_home: &Path, to: &Path) -> io::Result<()> {
        let from = user_home.join(self.folder);
        let mut copy = Copy { from: from.display().to_string(), to: to.display().to_string(), bytes: 0 };
        for entry in self.entries {
            remove_entry(&to.join(entry))?;
            copy.copy(&from.join(entry), &to.join(entry), MAX_DEPTH)?;
        }
        Ok(())
    }

    pub(super) fn file(&self, user_home: &Path, name: &str) -> PathBuf {
        user_home.join(self.folder).join(name)
    }
}

struct Copy {
    /// The folder's path, and its path in the job.
    from: String,
    to: String,
    bytes: u64,
}

impl Copy {
    fn copy(&mut self, from: &Path, to: &Path, depth: usize) -> io::Result<()> {
        let Ok(metadata) = fs::symlink_metadata(from) else { return Ok(()) };
        if metadata.is_dir() && depth > 0 {
            create_private_dir(to)?;
            for entry in fs::read_dir(from)? {
                let name = entry?.file_name();
                if !is_credential_file(&name.to_string_lossy()) {
                    self.copy(&from.join(&name), &to.join(&name), depth - 1)?;
                }
            }
        } else if metadata.is_file() {
            self.copy_file(from, to)?;
        }
        Ok(())
    }

    fn copy_file(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let mut content = Vec::new();
        // The user's agent cannot read this file either.
        let Ok(file) = open(from) else { return Ok(()) };
        let mode = file.metadata()?.permissions().mode();
        file.take(MAX_BYTES - self.bytes + 1).read_to_end(&mut content)?;
        self.bytes += content.len() as u64;
        if self.bytes > MAX_BYTES {
            return Err(io::Error::other(format!("the configuration in {} is larger than 64 MiB", self.from)));
        }
        if let Ok(mut text) = std::str::from_utf8(&content).map(str::to_owned) {
            let name = from.file_name().unwrap_or_default().to_string_lossy();
            if SETTINGS.contains(&&*name) {
                let Ok(mut value) = serde_json::from_str::<Value>(&text) else {
                    tracing::warn!("{} is not copied: it is no JSON", from.display());
                    return Ok(());
                };
                remove_secrets(&mut value);
                text = value.to_string();
            }
            if !parse_url_credentials(&text).is_empty() {
                tracing::warn!("{} is not copied: it has an address with a password", from.display());
                return Ok(());
            }
            // Plugins are registered by path.
            content = text.replace(&format!("{}/", self.from), &format!("{}/", self.to)).into_bytes();
        }
        write_private_file(to, &content)?;
        fs::set_permissions(to, Permissions::from_mode(mode & 0o100 | 0o600))
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()).open(path)
}

/// Reads a file without following a link. A missing file is empty.
pub(super) fn read_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    match open(path) {
        Ok(file) => file.take(MAX_BYTES).read_to_string(&mut text).map(|_| text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(text),
        Err(error) => Err(error),
    }
}

fn is_credential_file(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let bare = name.trim_start_matches('.');
    let (stem, end) = bare.split_once('.').unwrap_or((bare, ""));
    let is_key = [".pem", ".key", ".p12", ".pfx"].iter().any(|end| name.ends_with(end));
    let is_listed = CREDENTIALS.split(' ').any(|listed| listed == stem) && end != "md";
    is_key || is_listed || end == "env" || name.starts_with("id_")
}

/// Removes variables, headers, programs that print keys, values whose name is that of a secret, and URLs with a
/// password.
pub(super) fn remove_secrets(value: &mut Value) {
    let is_secret = |name: &str, value: &Value| {
        matches!(name, "env" | "headers" | "http_headers")
            || name.ends_with("Helper")
            || (!value.is_boolean() && !value.is_number() && is_secret_name(name.trim_end_matches('s')))
            || value.as_str().is_some_and(|text| !parse_url_credentials(text).is_empty())
    };
    match value {
        Value::Object(fields) => {
            fields.retain(|name, value| !is_secret(name, value));
            fields.values_mut().for_each(remove_secrets);
        }
        Value::Array(values) => values.iter_mut().for_each(remove_secrets),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const PROFILE: HostProfile = HostProfile { folder: ".claude", entries: &["settings.json", "skills", "plugins"] };

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn profile_has_configuration_without_secrets_and_links() {
        let dir = tempfile::tempdir().unwrap();
        let (home, to) = (dir.path().join("ci"), dir.path().join("job"));
        let from = home.join(".claude");
        fs::create_dir_all(to.join("skills/planted")).unwrap();
        let settings = r#"{"env":{"A":"planted"},"apiKeyHelper":"planted","tokens":{"github":"planted"},
            "url":"https://ci:planted-password@x.test","hooks":{"Stop":[{"hooks":[{"x":1}]}]}}"#;
        write(&from.join("settings.json"), settings);
        write(&from.join("skills/a/SKILL.md"), "skill");
        write(&from.join("skills/a/run"), "#!/bin/sh");
        fs::set_permissions(from.join("skills/a/run"), Permissions::from_mode(0o755)).unwrap();
        write(&from.join("plugins/list.json"), &format!(r#"{{"path":"{}/plugins/x"}}"#, from.display()));
        for secret in [".credentials.json", "projects/p/s.jsonl"] {
            write(&from.join(secret), "planted");
        }
        for secret in [".env", "prod.env", "id_rsa", "key.pem", ".git/config", "credentials.json", "auth.json"] {
            write(&from.join("skills/a").join(secret), "planted");
        }
        write(&from.join("plugins/settings.json"), "// a comment\n{\"env\":{\"A\":\"planted\"}}");
        write(&from.join("plugins/markets.json"), r#"{"url":"https://ci:planted-password@x.test/y"}"#);
        write(&dir.path().join("elsewhere/file"), "planted");
        symlink(dir.path().join("elsewhere"), from.join("skills/linked")).unwrap();
        symlink(dir.path().join("elsewhere/file"), from.join("skills/a/linked")).unwrap();
        PROFILE.copy(&home, &to).unwrap();
        let mut files: Vec<String> = Vec::new();
        let mut folders = vec![to.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                match entry.is_dir() {
                    true => folders.push(entry),
                    false => files.push(entry.strip_prefix(&to).unwrap().display().to_string()),
                }
            }
        }
        files.sort();
        assert_eq!(files, ["plugins/list.json", "settings.json", "skills/a/SKILL.md", "skills/a/run"]);
        assert!(!to.join("skills/planted").exists());
        let read = |name: &str| fs::read_to_string(to.join(name)).unwrap();
        assert_eq!(read("settings.json"), r#"{"hooks":{"Stop":[{"hooks":[{"x":1}]}]}}"#);
        assert_eq!(read("plugins/list.json"), format!(r#"{{"path":"{}/plugins/x"}}"#, to.display()));
        let mode = |name: &str| fs::metadata(to.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("skills/a/run"), mode("skills/a/SKILL.md")), (0o700, 0o600));
    }

    #[test]
    fn profile_above_its_limit_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join(".claude/skills/a"), "");
        File::options().write(true).open(dir.path().join(".claude/skills/a")).unwrap().set_len(MAX_BYTES + 1).unwrap();
        let error = PROFILE.copy(dir.path(), &dir.path().join("job")).unwrap_err();
        assert!(error.to_string().ends_with("is larger than 64 MiB"), "{error}");
    }
}
