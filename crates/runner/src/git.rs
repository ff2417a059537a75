//! Running git: in an environment made for it, with hooks, helpers and surprises off, bounded in time,
//! and killed with all its children when it is no longer wanted.
//!
//! The forge's token is in the environment of the commands that talk to the forge, and nowhere else:
//! not in an argument, not in a file. What a command is for, and what its failure means, is elsewhere.

pub(crate) mod blobs;
pub(crate) mod commit;
pub(crate) mod conflicts;
mod fault;
pub(crate) mod left_out;
pub(crate) mod nested;
pub(crate) mod onto;
pub(crate) mod patch;
pub(crate) mod protected;
mod signing;
pub(crate) mod target;
pub(crate) mod trailers;
pub(crate) mod workspace;

pub(crate) use fault::Fault;

use crate::process::group::Group;
use crate::secrets::redact::Redactor;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use pullyard_domain::commits::Author;
use pullyard_domain::failure::Failure;
use pullyard_domain::project::ForgeKind;
use pullyard_forge::bitbucket_git_login;
use signing::KeyFile;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;

/// How long a command may take that does not use the network.
const LOCAL_LIMIT: Duration = Duration::from_secs(600);
/// How long one that does may take; whoever calls it has a limit of its own.
const NETWORK_LIMIT: Duration = Duration::from_secs(1_800);
/// How long git may take to remove its lock files when it is stopped.
const STOP_GRACE: Duration = Duration::from_secs(1);
/// More words are not read by anyone.
const MAX_STDERR_BYTES: u64 = 64 * 1024;

/// Settings that no repository can change: they stand above its own configuration.
const SETTINGS: &[(&str, &str)] = &[
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.untrackedCache", "false"),
    // It says of a commit what its tree is, and is believed before the commit.
    ("core.commitGraph", "false"),
    // No file of a commit's name is looked into.
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
    // A forge that stops sending is a forge that is not there.
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "60"),
];

/// What the machine may say about the way to the network.
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

/// Git, for one repository at one forge.
pub(crate) struct Git {
    url: String,
    /// Who its token speaks for, as the forge calls that for git.
    user: &'static str,
    token: String,
    author: Author,
    /// Signs those that are published.
    signing_key: Option<String>,
    /// Takes secrets out of what it says.
    redactor: Redactor,
}

pub(crate) struct Call<'a> {
    args: Vec<OsString>,
    repository: Option<&'a Path>,
    tree: Option<&'a Path>,
    index: Option<&'a Path>,
    input: &'a [u8],
    most: u64,
    identity: bool,
    published: bool,
    reach: Reach,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Local,
    Forge,
}

impl<'a> Call<'a> {
    pub(crate) fn new<I: AsRef<OsStr>>(args: impl IntoIterator<Item = I>) -> Self {
        Self {
            args: args.into_iter().map(|arg| arg.as_ref().to_owned()).collect(),
            repository: None,
            tree: None,
            index: None,
            input: &[],
            most: u64::MAX,
            identity: false,
            published: false,
            reach: Reach::Local,
        }
    }

    /// The repository, never found by looking around.
    pub(crate) fn repository(mut self, dir: &'a Path) -> Self {
        self.repository = Some(dir);
        self
    }

    /// The folder with the files.
    pub(crate) fn tree(mut self, dir: &'a Path) -> Self {
        self.tree = Some(dir);
        self
    }

    /// Another index than the repository's own.
    pub(crate) fn index(mut self, file: &'a Path) -> Self {
        self.index = Some(file);
        self
    }

    /// No more of what it writes is kept, though all of it is read. Units: bytes.
    pub(crate) fn at_most(mut self, most: u64) -> Self {
        self.most = most;
        self
    }

    pub(crate) fn input(mut self, input: &'a [u8]) -> Self {
        self.input = input;
        self
    }

    pub(crate) fn commits(mut self) -> Self {
        self.identity = true;
        self
    }

    /// It writes a commit that is published: signed, where the project signs its commits.
    pub(crate) fn commits_for_good(mut self) -> Self {
        self.published = true;
        self.commits()
    }

    /// It talks to the forge, and may prove who it is.
    pub(crate) fn reaching_forge(mut self) -> Self {
        self.reach = Reach::Forge;
        self
    }
}

impl Git {
    /// `url` is what is cloned; `token` proves to its forge who asks, as GitHub wants it.
    pub(crate) fn new(url: &str, token: &str) -> Self {
        let (url, token, redactor) = (url.to_owned(), token.to_owned(), Redactor::new([]));
        Self { url, user: "x-access-token", token, author: Author::default(), signing_key: None, redactor }
    }

    /// The same, proving it as this kind of forge wants it.
    pub(crate) fn at(self, kind: ForgeKind) -> Self {
        match kind {
            ForgeKind::GitHub => self,
            ForgeKind::Bitbucket => {
                let (user, password) = bitbucket_git_login(&self.token);
                let token = password.to_owned();
                Self { user, token, ..self }
            }
        }
    }

    /// The same, committing as somebody else, and signing what is published where there is a key.
    pub(crate) fn committing(self, author: Option<Author>, signing_key: Option<String>) -> Self {
        Self { author: author.unwrap_or_default(), signing_key, ..self }
    }

    /// The same, saying nothing of what this takes out: its words, and those of the forge that it repeats, are logged
    /// and told in parts.
    pub(crate) fn without_secrets(self, redactor: &Redactor) -> Self {
        Self { redactor: redactor.clone(), ..self }
    }

    /// What it means that a commit for good was not made.
    pub(crate) fn of_commit(&self, fault: &Fault) -> Failure {
        if self.signing_key.is_some() { fault.of_signing() } else { fault.of_workspace() }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Runs it and returns what it wrote.
    pub(crate) async fn run(&self, call: Call<'_>) -> Result<Vec<u8>, Fault> {
        let name = call.args.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let limit = match call.reach {
            Reach::Local => LOCAL_LIMIT,
            Reach::Forge => NETWORK_LIMIT,
        };
        let key = match (&self.signing_key, call.repository) {
            (Some(key), Some(repository)) if call.published => {
                Some(KeyFile::put(repository, key).map_err(Fault::Disk)?)
            }
            _ => None,
        };
        let mut child = self.command(&call, key.as_ref()).spawn().map_err(Fault::Missing)?;
        // Dropped with everything else when nobody waits for the answer any more; then it kills.
        let mut group = Group::of(&child);
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let talk = async {
            let write = async {
                if let Some(mut stdin) = pipes.0 {
                    // Git that stops reading early says why on its standard error.
                    let _ = stdin.write_all(call.input).await;
                }
            };
            let ((), stdout, stderr) = tokio::join!(write, read(pipes.1, call.most), read(pipes.2, MAX_STDERR_BYTES));
            let status = child.wait().await?;
            Ok::<_, std::io::Error>((status, stdout?, stderr?))
        };
        let said = timeout(limit, talk).await;
        if let Some(group) = &mut group {
            // Helpers that outlive git, such as one that hangs in the network, go with it.
            let _ = group.stop(&mut child, STOP_GRACE).await;
        }
        match said {
            Err(_) => Err(Fault::TimedOut { command: name, limit }),
            Ok(Err(error)) => Err(Fault::Missing(error)),
            Ok(Ok((status, stdout, _))) if status.success() => Ok(stdout),
            Ok(Ok((_, stdout, stderr))) => {
                // What was not read may have been the rest of a secret.
                let is_cut = stderr.len() as u64 >= MAX_STDERR_BYTES;
                let stderr = if is_cut { self.redactor.beginning(&stderr) } else { stderr };
                Err(Fault::Failed { command: name, stdout: self.redacted(&stdout), words: self.redacted(&stderr) })
            }
        }
    }

    /// Runs it and returns the one line it wrote.
    pub(crate) async fn line(&self, call: Call<'_>) -> Result<String, Fault> {
        let said = self.run(call).await?;
        Ok(String::from_utf8_lossy(&said).trim().to_owned())
    }

    fn command(&self, call: &Call<'_>, key: Option<&KeyFile>) -> Command {
        let mut command = Command::new("git");
        let mut settings = self.settings(call.reach);
        settings.extend(key.into_iter().flat_map(KeyFile::settings));
        let (name, args) = call.args.split_at_checked(1).unwrap_or_default();
        command
            .args(name)
            .args(key.map(|_| "--gpg-sign"))
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()))
            // No `.netrc`, no user's configuration.
            .env("HOME", "/dev/null")
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .envs(configuration(&settings))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(dir) = call.repository {
            command.env("GIT_DIR", dir).current_dir(dir);
        }
        if let Some(dir) = call.tree {
            command.env("GIT_WORK_TREE", dir).current_dir(dir);
        }
        if let Some(file) = call.index {
            command.env("GIT_INDEX_FILE", file);
        }
        if call.identity {
            for who in ["AUTHOR", "COMMITTER"] {
                command
                    .env(format!("GIT_{who}_NAME"), &self.author.name)
                    .env(format!("GIT_{who}_EMAIL"), &self.author.email);
            }
        }
        if call.reach == Reach::Forge {
            for name in NETWORK_ENVIRONMENT {
                if let Some(value) = std::env::var_os(name) {
                    command.env(name, value);
                }
            }
        }
        command
    }

    fn settings(&self, reach: Reach) -> Vec<(String, String)> {
        let mut settings: Vec<_> =
            SETTINGS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        if self.url.starts_with("file://") {
            settings.push(("protocol.file.allow".into(), "always".into()));
        } else if reach == Reach::Forge {
            let header = format!("Authorization: Basic {}", self.basic());
            settings.push((format!("http.{}.extraHeader", self.url), header));
        }
        settings
    }

    fn basic(&self) -> String {
        BASE64_STANDARD.encode(format!("{}:{}", self.user, self.token))
    }

    /// A forge may repeat what it was told; our words never do.
    fn redacted(&self, words: &[u8]) -> String {
        let mut words = String::from_utf8_lossy(words).into_owned();
        if !self.token.is_empty() {
            words = words.replace(&self.basic(), "[token]").replace(&self.token, "[token]");
        }
        self.redactor.text(&words).into_owned()
    }
}

/// What of a forge's token git has for a password: on Bitbucket a token may have its account's address before it.
pub(crate) fn password_of(kind: ForgeKind, token: &str) -> &str {
    match kind {
        ForgeKind::GitHub => token,
        ForgeKind::Bitbucket => bitbucket_git_login(token).1,
    }
}

/// Settings as the environment carries them.
fn configuration(settings: &[(String, String)]) -> Vec<(String, String)> {
    let count = ("GIT_CONFIG_COUNT".to_owned(), settings.len().to_string());
    let pairs = settings.iter().enumerate().flat_map(|(n, (name, value))| {
        [(format!("GIT_CONFIG_KEY_{n}"), name.clone()), (format!("GIT_CONFIG_VALUE_{n}"), value.clone())]
    });
    std::iter::once(count).chain(pairs).collect()
}

async fn read(pipe: Option<impl AsyncRead + Unpin>, most: u64) -> std::io::Result<Vec<u8>> {
    let mut said = Vec::new();
    if let Some(mut pipe) = pipe {
        (&mut pipe).take(most).read_to_end(&mut said).await?;
        // The rest is drained, so that git never waits for us.
        tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    }
    Ok(said)
}

/// The settings that a repository of the runner's own has; written anew before each use.
pub(crate) async fn seal(repository: &Path, objects_of: Option<&Path>) -> std::io::Result<()> {
    const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n";
    // A link in the place of one of them would have us remove and write elsewhere.
    for folder in ["info", "objects", "objects/info"].map(|folder| repository.join(folder)) {
        if !is_folder(&folder).await {
            remove(&folder).await?;
        }
    }
    // What is kept out of the commit stays. In its place anything else leads elsewhere, or keeps git waiting.
    let exclude = repository.join("info/exclude");
    if !tokio::fs::symlink_metadata(&exclude).await.is_ok_and(|about| about.is_file() || about.is_dir()) {
        remove(&exclude).await?;
    }
    // The first of them would have git read another repository's settings.
    for foreign in ["commondir", "config.worktree", "info/attributes", "info/grafts", "shallow"] {
        remove(&repository.join(foreign)).await?;
    }
    put(&repository.join("config"), CONFIG.as_bytes()).await?;
    let info = repository.join("objects/info");
    tokio::fs::create_dir_all(&info).await?;
    if let Some(mirror) = objects_of {
        let mut line = mirror.join("objects").into_os_string().into_encoded_bytes();
        line.push(b'\n');
        put(&info.join("alternates"), &line).await?;
    }
    Ok(())
}

/// Writes a file anew. What stands there goes first: it may lead elsewhere, or keep whoever opens it waiting.
pub(crate) async fn put(path: &Path, content: &[u8]) -> std::io::Result<()> {
    remove(path).await?;
    tokio::fs::write(path, content).await
}

/// Whether it is a folder itself, and no link to one.
pub(crate) async fn is_folder(path: &Path) -> bool {
    tokio::fs::symlink_metadata(path).await.is_ok_and(|about| about.is_dir())
}

/// Removes a file, or a link and not what it leads to, if there is one.
pub(crate) async fn remove(path: &Path) -> std::io::Result<()> {
    match tokio::fs::remove_file(path).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether the text is a branch's name and nothing else, such as an option or a revision.
pub(crate) async fn is_branch_name(git: &Git, name: &str) -> Result<bool, Fault> {
    if name.starts_with('-') || name.is_empty() {
        return Ok(false);
    }
    match git.line(Call::new(["check-ref-format", "--branch", name])).await {
        Ok(same) => Ok(same == name),
        Err(Fault::Failed { .. }) => Ok(false),
        Err(fault) => Err(fault),
    }
}

/// The commit that a full ref of a repository, or another revision, points to, if it has that.
pub(crate) async fn commit_of(git: &Git, repository: &Path, reference: &str) -> Result<Option<String>, Fault> {
    let commit = format!("{reference}^{{commit}}");
    let call = Call::new(["rev-parse", "--verify", "--quiet", "--end-of-options", &commit]);
    match git.line(call.repository(repository)).await {
        Ok(id) => Ok(Some(id)),
        // It says nothing of what is not there, of what is no commit that, and of everything else why.
        Err(Fault::Failed { words, .. }) if words.trim().is_empty() || words.contains("expected commit type") => {
            Ok(None)
        }
        Err(fault) => Err(fault),
    }
}

pub(crate) fn branch_ref(branch: &str) -> String {
    format!("refs/heads/{branch}")
}

/// Where a repository of the runner's own is made, if it isn't there yet.
pub(crate) async fn init_bare(git: &Git, dir: PathBuf) -> Result<PathBuf, Fault> {
    let args = [
        OsStr::new("init"),
        "--quiet".as_ref(),
        "--bare".as_ref(),
        "--template=".as_ref(),
        "--".as_ref(),
        dir.as_os_str(),
    ];
    git.run(Call::new(args)).await?;
    Ok(dir)
}

#[cfg(test)]
mod tests;
