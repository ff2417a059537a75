//! `pullyard jobs artifacts` and `diff`: lists and downloads artifacts.

use super::{job_or_attempt, known_attempt};
use crate::client::fault::{Exit, Fault};
use crate::client::session::Session;
use crate::client::table::{Cell, Column, Table};
use crate::client::words;
use pullyard_domain::artifact::ArtifactKind;
use pullyard_domain::id::JobId;
use pullyard_protocol::artifact::{Artifact, Artifacts};
use pullyard_protocol::client::Download;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// List a job's artifacts, or print one.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard jobs artifacts 7F2K
  pullyard jobs artifacts 7F2K agent-output.jsonl --out log.jsonl
  pullyard jobs artifacts @last final-message.md")]
pub(super) struct List {
    /// Job id.
    #[arg(value_name = "JOB")]
    id: String,
    /// Name or id of one; of several, the newest.
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Only this attempt.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    attempt: Option<u32>,
    /// Write to this file instead of stdout.
    #[arg(long, value_name = "FILE", requires = "name")]
    out: Option<PathBuf>,
}

/// Print a job's changes, as a patch for `git apply`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard jobs diff 7F2K
  pullyard jobs diff @last | git apply
  pullyard jobs diff 7F2K --attempt 1 --out changes.patch")]
pub(super) struct Diff {
    /// Job id.
    #[arg(value_name = "JOB")]
    id: String,
    /// This attempt (default: the newest with a patch).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    attempt: Option<u32>,
    /// Write to this file instead of stdout.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl List {
    pub(super) fn of(id: String, name: String, attempt: Option<u32>) -> Self {
        Self { id, name: Some(name), attempt, out: None }
    }

    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, Fault> {
        let id = session.job(&self.id).await?;
        known_attempt(session, &id, self.attempt).await?;
        let mut artifacts = session.api.artifacts(&id).await?.artifacts;
        artifacts.retain(|one| self.attempt.is_none_or(|attempt| attempt == one.attempt));
        let Some(name) = &self.name else {
            return listed(session, artifacts, &job_or_attempt(&id, self.attempt));
        };
        let is_meant = |one: &&Artifact| one.name.as_str() == name || one.id.as_str() == name;
        let meant = artifacts.iter().rev().find(is_meant).ok_or_else(|| {
            Fault::not_found(format!("{} has no artifact {name}", job_or_attempt(&id, self.attempt)))
                .help(format!("`pullyard jobs artifacts {}` lists them", id.short()))
        })?;
        fetched(session, &id, meant, self.out.as_deref()).await
    }
}

impl Diff {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, Fault> {
        let id = session.job(&self.id).await?;
        known_attempt(session, &id, self.attempt).await?;
        let artifacts = session.api.artifacts(&id).await?.artifacts;
        let is_meant = |one: &&Artifact| {
            one.kind == ArtifactKind::Patch && self.attempt.is_none_or(|attempt| attempt == one.attempt)
        };
        let Some(patch) = artifacts.iter().rev().find(is_meant) else {
            return Err(none(session, &id, self.attempt).await?);
        };
        fetched(session, &id, patch, self.out.as_deref()).await
    }
}

async fn none(session: &Session, id: &JobId, attempt: Option<u32>) -> Result<Fault, Fault> {
    let job = session.api.job(id).await?;
    let short = id.short();
    let error = match attempt {
        Some(_) => format!("{} has no patch", job_or_attempt(id, attempt)),
        None if job.ended.is_none() => format!("no diff yet: job {short} is still running"),
        None => format!("job {short} has no patch: no attempt changed a file, or the upload failed"),
    };
    let fault = Fault::not_found(error);
    Ok(match job.result {
        Some(made) => fault.help(format!("its changes are at {}", made.url)),
        None => fault,
    })
}

fn listed(session: &Session, artifacts: Vec<Artifact>, of: &str) -> Result<ExitCode, Fault> {
    let screen = &session.screen;
    if screen.is_json() {
        screen.json(&Artifacts { artifacts })?;
        return Ok(ExitCode::SUCCESS);
    }
    let now = words::now();
    let mut table = Table::new([
        Column::Text("NAME"),
        Column::Whole("KIND"),
        Column::Right("SIZE"),
        Column::Right("ATTEMPT"),
        Column::Whole("CREATED"),
        Column::Whole("STORED"),
    ]);
    for one in &artifacts {
        table.row([
            Cell::same(one.name.as_str()),
            Cell::new(one.kind.label(), one.kind.as_str()),
            words::bytes(one.size_bytes),
            Cell::same(one.attempt.to_string()),
            words::when(one.at, now),
            Cell::same(if one.stored { "yes" } else { "no" }),
        ]);
    }
    table.show(screen, &format!("No artifacts of {of}."))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes an artifact to a file or stdout. With `--json`, prints only metadata and requires a file.
async fn fetched(session: &Session, id: &JobId, one: &Artifact, out: Option<&Path>) -> Result<ExitCode, Fault> {
    let screen = &session.screen;
    if screen.is_json() && out.is_none() {
        return Err(Fault::usage("--json can't print the content of an artifact").help("add --out FILE"));
    }
    let mut download = session.api.artifact(id, &one.id).await?;
    let Some(out) = out else {
        let unwritten = |error: io::Error| match error.kind() {
            io::ErrorKind::BrokenPipe => Fault::unread(),
            _ => Fault::new(Exit::Failed, format!("can't write {}: {error}", one.name)),
        };
        copied(&mut download, one, &mut io::stdout(), unwritten).await?;
        return Ok(ExitCode::SUCCESS);
    };
    let unwritten = |error: io::Error| {
        Fault::new(Exit::Failed, format!("can't write {}: {error}", out.display()))
            .help("choose another file with --out, in a folder that you can write to")
    };
    // Rename a complete file, so that a partial one never has the final name.
    let half = half_of(out);
    let mut file = File::create(&half).map_err(unwritten)?;
    let came = copied(&mut download, one, &mut file, unwritten).await;
    if let Err(fault) = came.and_then(|()| std::fs::rename(&half, out).map_err(unwritten)) {
        let _ = std::fs::remove_file(&half);
        return Err(fault);
    }
    if screen.is_json() {
        screen.json(one)?;
    } else {
        screen.note(&format!("Wrote {} to {}.", one.name, out.display()));
    }
    Ok(ExitCode::SUCCESS)
}

async fn copied(
    download: &mut Download,
    one: &Artifact,
    to: &mut (impl Write + Send),
    unwritten: impl Fn(io::Error) -> Fault,
) -> Result<(), Fault> {
    let broken = |why: String| {
        Fault::new(Exit::Failed, format!("the download of {} stopped: {why}", one.name))
            .help("run the same command again")
    };
    let mut size = 0;
    while let Some(bytes) = download.chunk().await.map_err(|error| broken(Fault::from(error).words()))? {
        size += bytes.len() as u64;
        to.write_all(&bytes).map_err(&unwritten)?;
    }
    to.flush().map_err(&unwritten)?;
    if size != one.size_bytes {
        return Err(broken(format!("received {size} of {} bytes", one.size_bytes)));
    }
    Ok(())
}

fn half_of(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".half");
    out.with_file_name(name)
}
