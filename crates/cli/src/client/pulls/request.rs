//! The arguments of a request for work on a pull request.

use super::PullRequestArgs;
use crate::client::prelude::*;
use pullyard_domain::review::MAX_MESSAGE_CHARS;
use std::io::Read;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(super) struct RequestArgs {
    #[command(flatten)]
    pub(super) pull_request: PullRequestArgs,
    /// Instructions for the agent.
    #[arg(short, long, value_name = "TEXT", conflicts_with = "message_file")]
    message: Option<String>,
    /// Read the instructions from a file; - is stdin.
    #[arg(long, value_name = "FILE")]
    message_file: Option<PathBuf>,
    /// Follow the job until it ends; exits with 6 if it failed or was cancelled.
    #[arg(long, visible_alias = "watch")]
    pub(super) wait: bool,
    /// Key of this request; repeating it returns the same job.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

impl RequestArgs {
    pub(super) fn message(&self) -> Result<Option<String>, CliError> {
        match (&self.message, &self.message_file) {
            (Some(message), _) => Ok(Some(message.clone())),
            (None, Some(file)) => read_message(file).map(Some),
            (None, None) => Ok(None),
        }
    }

    pub(super) fn key(&self) -> String {
        self.idempotency_key.clone().unwrap_or_else(format::new_idempotency_key)
    }
}

fn read_message(file: &Path) -> Result<String, CliError> {
    let path = file.display();
    let failed = |error: std::io::Error| CliError::failed(format!("can't read {path}: {error}"));
    let mut bytes = Vec::new();
    // At most four bytes per character, and one more to detect excess.
    let limit = MAX_MESSAGE_CHARS as u64 * 4 + 1;
    if file == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        std::fs::File::open(file).map_err(failed)?.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    }
    let text = String::from_utf8(bytes).map_err(|_| CliError::usage(format!("{path} is not UTF-8 text")))?;
    let text = text.trim_end();
    if text.trim().is_empty() {
        return Err(CliError::usage(format!("{path} is empty")));
    }
    if text.chars().count() > MAX_MESSAGE_CHARS {
        return Err(CliError::usage(format!("{path} has more than {MAX_MESSAGE_CHARS} characters")));
    }
    Ok(text.to_owned())
}
