//! `pullyard jobs artifacts` and `diff`: lists and downloads artifacts.

use super::job_arg::JobArg;
use super::{describe_subject, ensure_attempt_exists};
use crate::client::prelude::*;
use pullyard_domain::job::Publishes;
use pullyard_domain::job::artifact::ArtifactKind;
use pullyard_domain::text::id::JobId;
use pullyard_protocol::artifact::{Artifact, Artifacts};
use pullyard_protocol::client::Download;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// List a job's artifacts, or print one.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard jobs artifacts 7F2K
  pullyard jobs artifacts 7F2K agent-output.jsonl --out log.jsonl
  pullyard jobs artifacts @last final-message.md")]
pub(super) struct List {
    #[command(flatten)]
    job: JobArg,
    /// Name or id; among several of that name, prints the newest.
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
    #[command(flatten)]
    job: JobArg,
    /// This attempt (default: the newest with a patch).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    attempt: Option<u32>,
    /// Write to this file instead of stdout.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl List {
    pub(super) fn for_artifact(job: JobArg, name: String, attempt: Option<u32>) -> Self {
        Self { job, name: Some(name), attempt, out: None }
    }

    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let id = self.job.resolve(session).await?;
        ensure_attempt_exists(session, &id, self.attempt).await?;
        let mut page = session.api.artifacts(&id).await?;
        page.artifacts.retain(|artifact| self.attempt.is_none_or(|attempt| attempt == artifact.attempt));
        let Some(name) = &self.name else {
            return show_list(session, &page, &describe_subject(&id, self.attempt));
        };
        let is_selected = |artifact: &&Artifact| artifact.name.as_str() == name || artifact.id.as_str() == name;
        let artifact = page.artifacts.iter().rev().find(is_selected).ok_or_else(|| {
            CliError::not_found(format!("{} has no artifact {name}", describe_subject(&id, self.attempt)))
                .with_help(format!("`pullyard jobs artifacts {}` lists them", id.short()))
        })?;
        download_artifact(session, &id, artifact, self.out.as_deref()).await
    }
}

impl Diff {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let id = self.job.resolve(session).await?;
        ensure_attempt_exists(session, &id, self.attempt).await?;
        let artifacts = session.api.artifacts(&id).await?.artifacts;
        let is_selected = |artifact: &&Artifact| {
            artifact.kind == ArtifactKind::Patch && self.attempt.is_none_or(|attempt| attempt == artifact.attempt)
        };
        let Some(patch) = artifacts.iter().rev().find(is_selected) else {
            return Err(no_patch_fault(session, &id, self.attempt).await?);
        };
        download_artifact(session, &id, patch, self.out.as_deref()).await
    }
}

async fn no_patch_fault(session: &Session, id: &JobId, attempt: Option<u32>) -> Result<CliError, CliError> {
    let job = session.api.job(id).await?;
    let short = id.short();
    let error = match attempt {
        _ if job.kind.spec().publishes != Publishes::Change => {
            let fault = CliError::not_found(format!("job {short} changes no files"));
            return Ok(fault.with_help(format!("`pullyard jobs output {short}` prints what it reports")));
        }
        Some(_) => format!("{} has no patch", describe_subject(id, attempt)),
        None if job.ended.is_none() => format!("no diff yet: job {short} is still running"),
        None => format!("job {short} has no patch: no attempt changed a file, or the upload failed"),
    };
    let fault = CliError::not_found(error);
    Ok(match job.result {
        Some(result) => fault.with_help(format!("its changes are at {}", result.url)),
        None => fault,
    })
}

/// The artifacts of any job that is known already.
pub(in crate::client) async fn list_artifacts(session: &Session, job: &JobId) -> Result<(), CliError> {
    show_list(session, &session.api.artifacts(job).await?, &describe_subject(job, None))
}

fn show_list(session: &Session, page: &Artifacts, subject: &str) -> Result<(), CliError> {
    let mut table = Table::new([
        Flexible("NAME"),
        Fixed("KIND"),
        Right("SIZE"),
        Right("ATTEMPT"),
        Fixed("CREATED"),
        Fixed("STORED"),
    ]);
    for artifact in &page.artifacts {
        table.row([
            Cell::text(&artifact.name),
            Cell::new(artifact.kind.label(), artifact.kind.as_str()),
            format::bytes_cell(artifact.size_bytes),
            Cell::text(artifact.attempt),
            format::time_cell(artifact.at),
            Cell::text(if artifact.stored { "yes" } else { "no" }),
        ]);
    }
    table.show_answer(&session.screen, page, &format!("No artifacts of {subject}."))
}

/// Writes an artifact to a file or stdout. With `--json`, prints only metadata and requires a file.
async fn download_artifact(
    session: &Session,
    id: &JobId,
    artifact: &Artifact,
    out: Option<&Path>,
) -> Result<(), CliError> {
    let screen = &session.screen;
    if screen.is_json() && out.is_none() {
        return Err(CliError::usage("--json can't print the content of an artifact").with_help("add --out FILE"));
    }
    let mut download = session.api.download_artifact(id, &artifact.id).await?;
    let Some(out) = out else {
        let write_error = |error: io::Error| match error.kind() {
            io::ErrorKind::BrokenPipe => CliError::silent(Exit::Failed),
            _ => CliError::failed(format!("can't write {}: {error}", artifact.name)),
        };
        copy_download(&mut download, artifact, &mut io::stdout(), write_error).await?;
        return Ok(());
    };
    let write_error = |error: io::Error| {
        CliError::failed(format!("can't write {}: {error}", out.display()))
            .with_help("choose another file with --out, in a folder that you can write to")
    };
    // Rename a complete file, so that a partial one never has the final name.
    let partial = partial_path(out);
    let mut file = File::create(&partial).map_err(write_error)?;
    let result = copy_download(&mut download, artifact, &mut file, write_error).await;
    if let Err(fault) = result.and_then(|()| std::fs::rename(&partial, out).map_err(write_error)) {
        let _ = std::fs::remove_file(&partial);
        return Err(fault);
    }
    screen.report(artifact, &format!("Wrote {} to {}.", artifact.name, out.display()))
}

async fn copy_download(
    download: &mut Download,
    artifact: &Artifact,
    to: &mut (impl Write + Send),
    write_error: impl Fn(io::Error) -> CliError,
) -> Result<(), CliError> {
    let download_error = |reason: String| {
        CliError::failed(format!("the download of {} stopped: {reason}", artifact.name))
            .with_help("run the same command again")
    };
    let mut size = 0;
    while let Some(bytes) =
        download.next_chunk().await.map_err(|error| download_error(CliError::from(error).message()))?
    {
        size += bytes.len() as u64;
        to.write_all(&bytes).map_err(&write_error)?;
    }
    to.flush().map_err(&write_error)?;
    if size != artifact.size_bytes {
        return Err(download_error(format!("received {size} of {} bytes", artifact.size_bytes)));
    }
    Ok(())
}

fn partial_path(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".half");
    out.with_file_name(name)
}
