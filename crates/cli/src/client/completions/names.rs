//! Loads the names for a completion. Fails silently and within a time limit, because a user is typing.

use crate::client::Global;
use crate::client::config::Config;
use crate::client::prelude::*;
use clap::ColorChoice;
use pullyard_domain::text::truncate;
use pullyard_protocol::job::Job;
use pullyard_protocol::setting::{SETTINGS, Setting};
use std::time::Duration;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(1);
/// Units: characters of a description.
const MAX_CHARS: usize = 60;

#[derive(Clone, Copy)]
pub(super) enum Names {
    Projects,
    Contexts,
    Jobs,
    Tickets,
    Repositories,
    Runners,
    Runs,
    Settings,
}

/// Names with descriptions; none on any failure.
pub(super) fn load_names(names: Names) -> Vec<(String, String)> {
    match names {
        Names::Settings => SETTINGS.iter().map(|setting| (Setting::name(setting), setting.label.to_owned())).collect(),
        Names::Contexts => {
            let contexts = Config::load().map(|config| config.contexts).unwrap_or_default();
            contexts.into_iter().map(|(name, context)| (name, context.url)).collect()
        }
        _ => load_in_time(names).unwrap_or_default(),
    }
}

fn load_in_time(names: Names) -> Option<Vec<(String, String)>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let global = typed_flags();
    let session = Session::open(&global).ok()?;
    let loaded = runtime.block_on(async { timeout(LIMIT, load(&session, names)).await });
    // Dropping the runtime would wait for a name lookup.
    runtime.shutdown_background();
    loaded.ok()?.ok()
}

async fn load(session: &Session, names: Names) -> Result<Vec<(String, String)>, CliError> {
    Ok(match names {
        Names::Projects => {
            let projects = session.projects().await?;
            projects.into_iter().map(|project| (project.id.to_string(), clean(&project.name))).collect()
        }
        Names::Jobs => {
            let jobs = session.api.jobs(&session.project().await?, None).await?.jobs;
            let describe = |job: &Job| clean(&format!("{}, {}", format::status_name(job.status), job.title));
            jobs.iter().map(|job| (job.id.short(), describe(job))).collect()
        }
        Names::Tickets => {
            let tickets = session.api.tickets(&session.project().await?, None).await?.tickets;
            tickets.into_iter().map(|ticket| (ticket.key.to_string(), clean(&ticket.title))).collect()
        }
        Names::Repositories => {
            let repositories = session.api.repositories(&session.project().await?).await?.repositories;
            repositories.into_iter().map(|repository| (repository.name.to_string(), String::new())).collect()
        }
        Names::Runners => {
            let runners = session.api.runners(None).await?.runners;
            runners.into_iter().map(|runner| (runner.name, format::to_code(&runner.status))).collect()
        }
        Names::Runs => {
            let runs = session.api.runs(&session.project().await?, None).await?.runs;
            runs.iter().map(|run| (run.id.short(), clean(&format!("{}, {}", run.state.as_str(), run.name)))).collect()
        }
        Names::Contexts | Names::Settings => Vec::new(),
    })
}

fn clean(text: &str) -> String {
    truncate(text, MAX_CHARS)
}

fn typed_flags() -> Global {
    let arguments: Vec<String> = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let flag = |name: &str| {
        let flag_name = format!("--{name}");
        let next = arguments.iter().position(|argument| *argument == flag_name).and_then(|at| arguments.get(at + 1));
        let with_equals =
            || arguments.iter().find_map(|argument| argument.strip_prefix(&format!("{flag_name}=")).map(str::to_owned));
        let variable = || std::env::var(format!("PULLYARD_{}", name.to_uppercase())).ok();
        next.cloned().or_else(with_equals).or_else(variable)
    };
    Global {
        url: flag("url"),
        token: flag("token"),
        context: flag("context"),
        project: flag("project"),
        json: false,
        quiet: true,
        color: ColorChoice::Never,
    }
}
