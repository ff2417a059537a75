//! Runs git in its own environment, without hooks and helpers, with a time limit.
//! A git that is no longer needed is killed with all its children. Only commands that talk to the forge get its token,
//! in their environment: never in an argument or a file.

pub(crate) mod agent_state;
pub(crate) mod changes;
pub(crate) mod commit;
pub(crate) mod conflicts;
mod error;
pub(crate) mod exclusion_report;
mod exclusions;
pub(crate) mod names;
pub(crate) mod nested;
pub(crate) mod patch;
pub(crate) mod protected;
pub(crate) mod rebase;
mod signing;
pub(crate) mod stage;
pub(crate) mod submodules;
pub(crate) mod target;
pub(crate) mod tree_state;
pub(crate) mod warnings;
pub(crate) mod work;
pub(crate) mod workspace;

pub(crate) use error::{GitError, is_bad_login, is_worded_denial, remote_lines};

use crate::process::group::Group;
use crate::process::program::system_program;
use crate::secrets::redact::Redactor;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use pullyard_domain::project::commits::Author;
use pullyard_domain::text::failure::Failure;
use pullyard_forge::GitLogin;
use signing::KeyFile;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;

const LOCAL_TIMEOUT: Duration = Duration::from_secs(600);
const NETWORK_TIMEOUT: Duration = Duration::from_secs(1_800);
/// For calls that read objects of an agent, which may name a folder with a pipe.
const AGENT_OBJECTS_TIMEOUT: Duration = Duration::from_secs(20);
/// Time for git to remove its lock files when it is stopped.
const STOP_GRACE: Duration = Duration::from_secs(1);
const MAX_STDERR_BYTES: u64 = 64 * 1024;

/// Settings that no repository can change: they override its own configuration.
const SETTINGS: &[(&str, &str)] = &[
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.untrackedCache", "false"),
    // Git trusts a commit graph more than a commit, and a planted graph could name another tree.
    ("core.commitGraph", "false"),
    // Git must not search files for a commit's name.
    ("core.warnAmbiguousRefs", "false"),
    ("core.askPass", ""),
    ("credential.helper", ""),
    ("safe.directory", "*"),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("push.recurseSubmodules", "no"),
    ("diff.ignoreSubmodules", "all"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("commit.gpgSign", "false"),
    ("push.gpgSign", "false"),
    ("advice.addEmbeddedRepo", "false"),
    ("protocol.allow", "never"),
    ("protocol.http.allow", "always"),
    ("protocol.https.allow", "always"),
    // A forge that stops sending counts as unreachable.
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "60"),
];

pub(crate) const NETWORK_ENVIRONMENT: &[&str] = &[
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "no_proxy",
    "NO_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
];

pub(crate) struct Git {
    url: String,
    user: &'static str,
    token: String,
    author: Author,
    signing_key: Option<String>,
    redactor: Redactor,
}

#[derive(Default)]
pub(crate) struct GitCall<'a> {
    args: Vec<OsString>,
    repository: Option<&'a Path>,
    tree: Option<&'a Path>,
    index: Option<&'a Path>,
    objects: Option<&'a Path>,
    input: &'a [u8],
    max_output_bytes: Option<u64>,
    sets_identity: bool,
    is_published: bool,
    reaches_forge: bool,
    has_slow_answer: bool,
    rejects_errors: bool,
}

impl<'a> GitCall<'a> {
    pub(crate) fn new<I: AsRef<OsStr>>(args: impl IntoIterator<Item = I>) -> Self {
        Self { args: args.into_iter().map(|arg| arg.as_ref().to_owned()).collect(), ..Self::default() }
    }

    pub(crate) fn repository(mut self, dir: &'a Path) -> Self {
        self.repository = Some(dir);
        self
    }

    pub(crate) fn tree(mut self, dir: &'a Path) -> Self {
        self.tree = Some(dir);
        self
    }

    /// Another index than the repository's.
    pub(crate) fn index(mut self, file: &'a Path) -> Self {
        self.index = Some(file);
        self
    }

    /// Adds a folder of objects to the repository's own.
    pub(crate) fn objects(mut self, dir: &'a Path) -> Self {
        self.objects = Some(dir);
        self
    }

    /// Limits the returned output; the rest is read and dropped. Units: bytes.
    pub(crate) fn max_output(mut self, limit: u64) -> Self {
        self.max_output_bytes = Some(limit);
        self
    }

    pub(crate) fn input(mut self, input: &'a [u8]) -> Self {
        self.input = input;
        self
    }

    pub(crate) fn with_identity(mut self) -> Self {
        self.sets_identity = true;
        self
    }

    pub(crate) fn published_commit(mut self) -> Self {
        self.is_published = true;
        self.with_identity()
    }

    /// Fails on an error message even if git ends with success, as it does when it omits unreadable parts.
    pub(crate) fn reject_errors(mut self) -> Self {
        self.rejects_errors = true;
        self
    }

    pub(crate) fn with_forge_access(mut self) -> Self {
        self.reaches_forge = true;
        self
    }

    /// Waits longer for the forge, which checks a push before it answers.
    pub(crate) fn slow_answer(mut self) -> Self {
        self.has_slow_answer = true;
        self
    }
}

impl Git {
    /// `url` is the clone address.
    pub(crate) fn with_login(url: &str, login: GitLogin<'_>) -> Self {
        let (url, token, redactor) = (url.to_owned(), login.password.to_owned(), Redactor::new([]));
        Self { url, user: login.user, token, author: Author::default(), signing_key: None, redactor }
    }

    /// Without a login: for local calls, and `file://` addresses.
    pub(crate) fn local(url: &str) -> Self {
        Self::with_login(url, GitLogin { user: "", password: "" })
    }

    pub(crate) fn with_author(self, author: Option<Author>, signing_key: Option<String>) -> Self {
        Self { author: author.unwrap_or_default(), signing_key, ..self }
    }

    /// Removes secrets from all logged and reported output. Git may repeat text of the forge.
    pub(crate) fn with_redactor(self, redactor: &Redactor) -> Self {
        Self { redactor: redactor.clone(), ..self }
    }

    pub(crate) fn commit_failure(&self, error: &GitError) -> Failure {
        if self.signing_key.is_some() { error.to_signing_failure() } else { error.to_workspace_failure() }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) async fn run(&self, call: GitCall<'_>) -> Result<Vec<u8>, GitError> {
        let name = call.args.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let limit = match call.objects {
            _ if call.reaches_forge => NETWORK_TIMEOUT,
            Some(_) => AGENT_OBJECTS_TIMEOUT,
            None => LOCAL_TIMEOUT,
        };
        let key = match (&self.signing_key, call.repository) {
            (Some(key), Some(repository)) if call.is_published => Some(KeyFile::create(repository, key)?),
            _ => None,
        };
        let mut child = self.command(&call, key.as_ref()).spawn().map_err(GitError::Process)?;
        let mut group = Group::from_child(&child);
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let exchange = async {
            let write = async {
                if let Some(mut stdin) = pipes.0 {
                    // Git that stops reading early explains it on standard error.
                    let _ = stdin.write_all(call.input).await;
                }
            };
            let ((), stdout, stderr) = tokio::join!(
                write,
                read(pipes.1, call.max_output_bytes.unwrap_or(u64::MAX)),
                read(pipes.2, MAX_STDERR_BYTES)
            );
            let status = child.wait().await?;
            Ok::<_, std::io::Error>((status, stdout?, stderr?))
        };
        let result = timeout(limit, exchange).await;
        if let Some(group) = &mut group {
            // Also kills helpers that outlive git, for example in a hanging connection.
            let _ = group.stop(&mut child, STOP_GRACE).await;
        }
        match result {
            Err(_) => Err(GitError::TimedOut { command: name, limit }),
            Ok(Err(error)) => Err(GitError::Process(error)),
            Ok(Ok((status, stdout, stderr)))
                if status.success() && !(call.rejects_errors && has_error_line(&stderr)) =>
            {
                Ok(stdout)
            }
            Ok(Ok((_, stdout, stderr))) => {
                // The part that was not read may be the rest of a secret.
                let is_cut = stderr.len() as u64 >= MAX_STDERR_BYTES;
                let stderr = if is_cut { self.redactor.redact_prefix(&stderr) } else { stderr };
                Err(GitError::Failed { command: name, stdout: self.redact(&stdout), stderr: self.redact(&stderr) })
            }
        }
    }

    pub(crate) async fn run_for_line(&self, call: GitCall<'_>) -> Result<String, GitError> {
        let output = self.run(call).await?;
        Ok(String::from_utf8_lossy(&output).trim().to_owned())
    }

    fn command(&self, call: &GitCall<'_>, key: Option<&KeyFile>) -> Command {
        let mut command = Command::new(system_program("git"));
        let mut settings = self.settings(call.reaches_forge);
        settings.extend(call.has_slow_answer.then(|| ("http.lowSpeedTime".into(), "300".into())));
        settings.extend(key.into_iter().flat_map(KeyFile::settings));
        let (name, args) = call.args.split_at_checked(1).unwrap_or_default();
        command
            .args(name)
            .args(key.map(|_| "--gpg-sign"))
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()))
            .env("HOME", "/dev/null")
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_CONFIG_COUNT", settings.len().to_string())
            // Git fails in a folder that was deleted, as the runner's own may be.
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        for (n, (name, value)) in settings.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{n}"), name).env(format!("GIT_CONFIG_VALUE_{n}"), value);
        }
        if let Some(dir) = call.repository {
            command.env("GIT_DIR", dir).current_dir(dir);
        }
        if let Some(dir) = call.tree {
            command.env("GIT_WORK_TREE", dir).current_dir(dir);
        }
        let variables = [("GIT_INDEX_FILE", call.index), ("GIT_ALTERNATE_OBJECT_DIRECTORIES", call.objects)];
        command.envs(variables.into_iter().filter_map(|(name, path)| Some((name, path?))));
        if call.sets_identity {
            for role in ["AUTHOR", "COMMITTER"] {
                command
                    .env(format!("GIT_{role}_NAME"), &self.author.name)
                    .env(format!("GIT_{role}_EMAIL"), &self.author.email);
            }
        }
        if call.reaches_forge {
            command.envs(NETWORK_ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        }
        command
    }

    fn settings(&self, reaches_forge: bool) -> Vec<(String, String)> {
        let mut settings: Vec<_> =
            SETTINGS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        if self.url.starts_with("file://") {
            settings.push(("protocol.file.allow".into(), "always".into()));
        } else if reaches_forge {
            let header = format!("Authorization: Basic {}", self.basic_auth());
            settings.push((format!("http.{}.extraHeader", self.url), header));
        }
        settings
    }

    fn basic_auth(&self) -> String {
        BASE64_STANDARD.encode(format!("{}:{}", self.user, self.token))
    }

    /// A forge may repeat the token; our messages never do.
    fn redact(&self, output: &[u8]) -> String {
        let mut output = String::from_utf8_lossy(output).into_owned();
        if !self.token.is_empty() {
            output = output.replace(&self.basic_auth(), "[token]").replace(&self.token, "[token]");
        }
        self.redactor.redact_text(&output).into_owned()
    }
}

fn has_error_line(stderr: &[u8]) -> bool {
    stderr.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"error: "))
}

async fn read(pipe: Option<impl AsyncRead + Unpin>, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut output = Vec::new();
    if let Some(mut pipe) = pipe {
        (&mut pipe).take(limit).read_to_end(&mut output).await?;
        // The rest is read and dropped, so that git never blocks.
        tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    }
    Ok(output)
}

pub(crate) async fn resolve_commit(git: &Git, repository: &Path, reference: &str) -> Result<Option<String>, GitError> {
    let commit = format!("{reference}^{{commit}}");
    let call = GitCall::new(["rev-parse", "--verify", "--quiet", "--end-of-options", &commit]);
    match git.run_for_line(call.repository(repository)).await {
        Ok(id) => Ok(Some(id)),
        // Git gives no reason if the revision is missing or is no commit.
        Err(GitError::Failed { stderr: message, .. })
            if message.trim().is_empty() || message.contains("expected commit type") =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

pub(crate) fn branch_ref(branch: &str) -> String {
    format!("refs/heads/{branch}")
}

pub(crate) async fn init_bare(git: &Git, dir: PathBuf) -> Result<PathBuf, GitError> {
    let args = "init --quiet --bare --template= --".split(' ').map(OsStr::new).chain([dir.as_os_str()]);
    git.run(GitCall::new(args)).await?;
    Ok(dir)
}

#[cfg(test)]
pub(crate) mod test_world;
#[cfg(test)]
mod tests;
