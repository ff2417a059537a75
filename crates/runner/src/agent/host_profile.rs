//! Copies the agent's configuration of the runner's user into the home of a job.

use crate::git::workspace::disk::{create_private_dir, write_private_file};
use crate::git::workspace::remove_entry;
use crate::secrets::redact::{Redactor, find_tokens, is_compressed, is_secret_name, parse_url_credentials};
use nix::fcntl::OFlag;
use serde_json::Value;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const MAX_BYTES: u64 = 64 << 20;
/// A larger file is not searched for tokens, and thus not copied. Units: bytes.
const MAX_SEARCHED_BYTES: usize = 8 << 20;
const MAX_DEPTH: usize = 16;
/// Files that the job's log names.
const MAX_LOGGED: usize = 20;
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
    /// Replaces the entries in `to`. Skips links, files of credentials, and files that contain tokens or cannot be
    /// searched for them. Errors: also for more than 64 MiB.
    pub(super) fn copy(&self, host: &HostHome<'_>, to: &Path) -> io::Result<()> {
        let from = host.path.join(self.folder);
        let names = (from.display().to_string(), to.display().to_string());
        let mut copy = Copy { host, from: names.0, to: names.1, bytes: 0, left_out: Vec::new() };
        for entry in self.entries {
            remove_entry(&to.join(entry))?;
            copy.copy(&from.join(entry), &to.join(entry), MAX_DEPTH)?;
        }
        host.log_left_out(&copy.left_out);
        Ok(())
    }

    pub(super) fn file(&self, user_home: &Path, name: &str) -> PathBuf {
        user_home.join(self.folder).join(name)
    }
}

/// The home of the runner's user, for one attempt.
#[derive(Clone, Copy)]
pub(super) struct HostHome<'a> {
    pub(super) path: &'a Path,
    /// Learns the tokens in the configuration, so that a push with one is refused.
    pub(super) redactor: &'a Redactor,
    /// Writes to the job's log.
    pub(super) log: &'a (dyn Fn(String) + Sync),
}

impl HostHome<'_> {
    /// Whether the original or the text to copy contains a token. The redactor learns all of them.
    fn has_tokens(&self, original: &[u8], copied: &[u8]) -> bool {
        let copied_tokens = find_tokens(copied);
        let has_tokens = !copied_tokens.is_empty();
        self.redactor.add_found_tokens(copied_tokens);
        if original != copied {
            self.redactor.add_found_tokens(find_tokens(original));
        }
        has_tokens
    }

    /// Whether the rest of a settings file has a token. Adds the file to the job's log in this case.
    pub(super) fn refuses_settings(&self, file: &Path, original: &str, copied: &str) -> bool {
        let refused = self.has_tokens(original.as_bytes(), copied.as_bytes());
        if refused {
            self.log_left_out(&[file.strip_prefix(self.path).unwrap_or(file).display().to_string()]);
        }
        refused
    }

    fn log_left_out(&self, files: &[String]) {
        if files.is_empty() {
            return;
        }
        let shown = files.iter().take(MAX_LOGGED).map(|file| format!("~/{file}")).collect::<Vec<_>>().join(", ");
        let more = files.len().saturating_sub(MAX_LOGGED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        (self.log)(format!(
            "The agent's configuration is copied without {shown}{more}: each contains a token or a password, or cannot \
             be searched for one. Read tokens from a file outside this configuration instead."
        ));
    }
}

struct Copy<'a> {
    host: &'a HostHome<'a>,
    /// The folder's path, and its path in the job.
    from: String,
    to: String,
    bytes: u64,
    /// Paths below the user's home.
    left_out: Vec<String>,
}

impl Copy<'_> {
    fn copy(&mut self, from: &Path, to: &Path, depth: usize) -> io::Result<()> {
        let Ok(metadata) = fs::symlink_metadata(from) else { return Ok(()) };
        let name = from.file_name().unwrap_or_default().as_encoded_bytes();
        if self.host.has_tokens(name, name) {
            self.left_out.push(from.strip_prefix(self.host.path).unwrap_or(from).display().to_string());
            return Ok(());
        }
        if metadata.is_dir() && depth > 0 {
            create_private_dir(to)?;
            for entry in fs::read_dir(from)? {
                let name = entry?.file_name();
                if !is_credential_file(&name.to_string_lossy()) {
                    self.copy(&from.join(&name), &to.join(&name), depth - 1)?;
                }
            }
        } else if metadata.is_file() && !self.copy_file(from, to)? {
            self.left_out.push(from.strip_prefix(self.host.path).unwrap_or(from).display().to_string());
        }
        Ok(())
    }

    /// Returns false for a file that must not be copied.
    fn copy_file(&mut self, from: &Path, to: &Path) -> io::Result<bool> {
        let mut original = Vec::new();
        // The user's agent cannot read this file either.
        let Ok(file) = open(from) else { return Ok(true) };
        let mode = file.metadata()?.permissions().mode();
        file.take(MAX_BYTES - self.bytes + 1).read_to_end(&mut original)?;
        self.bytes += original.len() as u64;
        if self.bytes > MAX_BYTES {
            return Err(io::Error::other(format!("the configuration in {} is larger than 64 MiB", self.from)));
        }
        if original.len() > MAX_SEARCHED_BYTES || is_compressed(&original) {
            return Ok(false);
        }
        let mut content = original.clone();
        if let Ok(text) = std::str::from_utf8(&original) {
            let mut text = text.to_owned();
            let name = from.file_name().unwrap_or_default().to_string_lossy();
            if SETTINGS.contains(&&*name) {
                let Ok(mut value) = serde_json::from_str::<Value>(&text) else { return Ok(false) };
                remove_secrets(&mut value);
                text = value.to_string();
            }
            if !parse_url_credentials(&text).is_empty() {
                self.host.has_tokens(&original, &original);
                return Ok(false);
            }
            // Plugins are registered by path.
            content = text.replace(&format!("{}/", self.from), &format!("{}/", self.to)).into_bytes();
        }
        if self.host.has_tokens(&original, &content) {
            return Ok(false);
        }
        write_private_file(to, &content)?;
        fs::set_permissions(to, Permissions::from_mode(mode & 0o100 | 0o600))?;
        Ok(true)
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
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use std::os::unix::fs::symlink;
    use std::sync::Mutex;

    const PROFILE: HostProfile = HostProfile { folder: ".claude", entries: &["settings.json", "skills", "plugins"] };

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn copy(home: &Path, to: &Path, redactor: &Redactor) -> io::Result<String> {
        let lines = Mutex::new(String::new());
        let log = |line: String| lines.lock().unwrap().push_str(&line);
        PROFILE.copy(&HostHome { path: home, redactor, log: &log }, to)?;
        Ok(lines.into_inner().unwrap())
    }

    fn list_files(folder: &Path) -> Vec<String> {
        let mut files: Vec<String> = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
                match entry.is_dir() {
                    true => folders.push(entry),
                    false => files.push(entry.strip_prefix(folder).unwrap().display().to_string()),
                }
            }
        }
        files.sort();
        files
    }

    #[test]
    fn file_with_a_token_is_left_out_and_the_token_learned() {
        let dir = tempfile::tempdir().unwrap();
        let (home, to) = (dir.path().join("ci"), dir.path().join("job"));
        fs::create_dir_all(&to).unwrap();
        let from = home.join(".claude");
        let token = |number: usize| format!("ghp_planted{number:02}0123456789abcdefghijABCDEFGHIJ");
        let encoded = STANDARD.encode(format!("ci:{}", token(13)));
        let escaped = token(14).replace("gh", "\\u0067h");
        let planted = [
            ("skills/a/run.sh", format!("export T={}", token(0))),
            ("skills/a/config.yaml", format!("token: {}", token(1))),
            ("skills/a/my-secrets.txt", token(2)),
            ("skills/a/aws_credentials", format!("[default]\naws_session_token = {}", token(3))),
            ("skills/a/cookies.sqlite", format!("SQLite format 3\0\u{1}github.com{}\0", token(4))),
            ("skills/a/deep/er/CLAUDE.md", format!("Use {} for GitHub.", token(5))),
            ("plugins/p/.mcp.json", format!(r#"{{"mcpServers":{{"x":{{"args":["--token","{}"]}}}}}}"#, token(6))),
            (
                "plugins/q/.mcp.json",
                format!(r#"{{"mcpServers":{{"x":{{"url":"https://x.test/?key={}"}}}}}}"#, token(7)),
            ),
            ("plugins/hook/hooks.json", format!(r#"{{"hooks":{{"Stop":[{{"command":"curl {}"}}]}}}}"#, token(8))),
            ("plugins/line/settings.json", format!(r#"{{"statusLine":{{"command":"x {}"}}}}"#, token(9))),
            ("plugins/rule/settings.json", format!(r#"{{"permissions":{{"allow":["Bash(x {})"]}}}}"#, token(10))),
            ("plugins/list/settings.json", format!(r#"{{"x":{{"value":["{}"]}}}}"#, token(11))),
            ("plugins/bearer/settings.json", format!(r#"{{"bearer":"{}"}}"#, token(12))),
            ("plugins/basic/x.json", format!(r#"{{"a":"Basic {encoded}"}}"#)),
            ("plugins/escaped/x.json", format!(r#"{{"a":"{escaped}"}}"#)),
            (&format!("skills/{}/x", token(15)), "x".to_owned()),
            // Removed from the copy, and learned all the same.
            ("settings.json", format!(r#"{{"env":{{"T":"{}"}},"model":"opus"}}"#, token(16))),
        ];
        for (name, text) in &planted {
            write(&from.join(name), text);
        }
        write(&from.join("skills/a/SKILL.md"), "skill");
        write(&from.join("skills/a/data.gz"), "\u{1f}");
        fs::write(from.join("skills/a/data.gz"), b"\x1f\x8b\x08").unwrap();
        fs::write(from.join("skills/a/large"), vec![b'x'; MAX_SEARCHED_BYTES + 1]).unwrap();
        let redactor = Redactor::new([]);
        let log = copy(&home, &to, &redactor).unwrap();
        assert_eq!(list_files(&to), ["settings.json", "skills/a/SKILL.md"]);
        assert!(!to.join("skills").join(token(15)).exists());
        assert_eq!(fs::read_to_string(to.join("settings.json")).unwrap(), r#"{"model":"opus"}"#);
        for number in 0..planted.len() {
            assert!(redactor.contains_secret(format!("x {} y", token(number)).as_bytes()), "{number}");
        }
        assert!(log.contains("~/.claude/plugins/basic/x.json") && log.contains("~/.claude/skills/a/large"), "{log}");
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
        let log = copy(&home, &to, &Redactor::new([])).unwrap();
        for left_out in ["~/.claude/plugins/settings.json", "~/.claude/plugins/markets.json"] {
            assert!(log.contains(left_out), "{log}");
        }
        assert_eq!(list_files(&to), ["plugins/list.json", "settings.json", "skills/a/SKILL.md", "skills/a/run"]);
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
        let error = copy(dir.path(), &dir.path().join("job"), &Redactor::new([])).unwrap_err();
        assert!(error.to_string().ends_with("is larger than 64 MiB"), "{error}");
    }
}
