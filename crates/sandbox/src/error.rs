//! The errors of this crate, by cause.

use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{0}` is no isolation level; use auto, bubblewrap, podman, docker, landlock, external, seatbelt or none")]
    UnknownLevel(String),
    #[error("this system has no sandbox that Pullyard can start; set the isolation to `external` or `none`")]
    NoAutomaticLevel,
    #[error("isolation `{0}` needs Linux; set it to `external` or `none`")]
    NeedsLinux(&'static str),
    #[error("isolation `{0}` needs macOS; set it to `bubblewrap`, `landlock`, `external` or `none`")]
    NeedsMacOs(&'static str),
    #[error("bubblewrap is not installed; run `{0}`")]
    NoBubblewrap(&'static str),
    #[error("`{0}` is not in the runner's path; install it, or set another isolation")]
    NoEngine(&'static str),
    #[error("isolation `{0}` needs an image; set --container-image or DOCKER_EXECUTOR_IMAGE")]
    NoImage(&'static str),
    #[error("this container has no user {0}; start it with more user ids, or not as root")]
    NoUserId(u32),
    #[error("every account for agents is in use by another job; raise no more than {0} slots")]
    AccountsInUse(u32),
    #[error("the account of agents cannot enter {}, so {} is out of its reach; move it to a folder that all users can enter", .folder.display(), .path.display())]
    Unreachable { folder: PathBuf, path: PathBuf },
    /// The caller's description of the command is contradictory or unsafe.
    #[error("cannot describe the sandbox: {0}")]
    InvalidSpec(String),
    #[error("the sandbox did not start: {0}")]
    NotStarted(String),
    #[error("cannot {action}: {source}")]
    Io { action: String, source: io::Error },
}

impl Error {
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }
}
