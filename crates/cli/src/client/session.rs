//! Resolves the server, the token, the project and ids for a command.

use super::config::{Config, SavedContext};
use super::fault::CliError;
use super::screen::Screen;
use super::{Global, pages};
use pullyard_domain::text::id::{JobId, ProjectId, RunId};
use pullyard_domain::text::nearest::find_nearest;
use pullyard_protocol::client::ApiClient;
use pullyard_protocol::job::Job;
use pullyard_protocol::project::Project;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

pub(super) const LOCAL_URL: &str = "http://127.0.0.1:7878";

/// How far back a short id is searched. Units: pages of 50.
pub(super) const MAX_PAGES: usize = 4;

pub(super) struct Session {
    pub(super) screen: Screen,
    pub(super) api: ApiClient,
    pub(super) url: String,
    pub(super) data: Option<PathBuf>,
    pub(super) named_project: Option<String>,
    project: Option<String>,
    /// Name of the saved context with this server.
    context: Option<String>,
}

impl Session {
    /// Flags and environment override the context. A context's token and project are only used for its own server.
    pub(super) fn open(global: &Global) -> Result<Self, CliError> {
        let (saved, named) = (context(global)?, global.url()?);
        let saved = saved.filter(|(_, context)| named.as_ref().is_none_or(|url| *url == context.url));
        let (name, context) = saved.unzip();
        let url = named.or_else(|| context.as_ref().map(|context| context.url.clone())).unwrap_or(LOCAL_URL.into());
        let token = match global.token()? {
            Some(token) => token,
            None => context.as_ref().map(|context| context.token.clone()).unwrap_or_default(),
        };
        let data = context.as_ref().and_then(|context| context.data.clone());
        let project = global.project().or_else(|| context.and_then(|context| context.project));
        let (screen, api) = (Screen::new(global), ApiClient::new(&url, &token)?);
        Ok(Self { screen, api, url, data, named_project: global.project(), project, context: name })
    }

    pub(super) fn open_for_url(global: &Global, url: &str) -> Result<Option<Self>, CliError> {
        let config = Config::load()?;
        let context = global.context().and_then(|name| config.contexts.get(&name).cloned());
        let context = context.into_iter().chain(config.contexts.values().cloned()).find(|context| context.url == url);
        let Some(token) = global.token()?.or_else(|| context.as_ref().map(|context| context.token.clone())) else {
            return Ok(None);
        };
        let (screen, api) = (Screen::new(global), ApiClient::new(url, &token)?);
        let project = global.project().or_else(|| context.and_then(|context| context.project));
        let named_project = global.project();
        Ok(Some(Self { screen, api, url: url.into(), data: None, named_project, project, context: None }))
    }

    pub(super) fn with_api(screen: Screen, url: &str, api: ApiClient, project: ProjectId) -> Self {
        let project = Some(project.to_string());
        Self { screen, api, url: url.into(), data: None, named_project: None, project, context: None }
    }

    pub(super) fn has_no_project(&self) -> bool {
        self.project.is_none()
    }

    pub(super) async fn project(&self) -> Result<ProjectId, CliError> {
        if let Some(typed) = &self.project {
            return typed.parse().map_err(|bad| CliError::usage(format!("{typed} is not a project id: {bad}")));
        }
        let mut projects = self.projects().await?;
        match (projects.pop(), projects.len()) {
            (Some(only), 0) => Ok(only.id),
            (None, _) => Err(CliError::not_found("there is no project yet, or the token has access to none")
                .with_help("create one with `pullyard projects create ID`")),
            (Some(last), more) => {
                let names = projects.iter().take(5).map(|project| project.id.to_string()).collect::<Vec<_>>();
                let rest = if more > 5 { ", …".into() } else { format!(", {}", last.id) };
                Err(CliError::usage(format!("there are {} projects: {}{rest}", more + 1, names.join(", ")))
                    .with_help("choose one for good with `pullyard projects use ID`, or once with --project"))
            }
        }
    }

    /// Makes this project the default of the saved context, and returns the context's name.
    pub(super) fn save_project(&self, project: &ProjectId) -> Result<String, CliError> {
        let mut config = Config::load()?;
        let saved = self.context.as_ref().and_then(|name| Some((name, config.contexts.get_mut(name)?)));
        let Some((name, context)) = saved else {
            return Err(CliError::usage(format!("no saved context names {}", self.url))
                .with_help("save one with `pullyard login`, or set PULLYARD_PROJECT"));
        };
        context.project = Some(project.to_string());
        config.save()?;
        Ok(name.clone())
    }

    /// Adds the nearest project to an error, if the project of a flag or a context does not exist.
    pub(super) async fn suggest_project(&self, result: Result<(), CliError>) -> Result<(), CliError> {
        self.suggest(result, self.project.as_deref(), async || self.project_names().await).await
    }

    pub(super) async fn project_names(&self) -> Result<Vec<String>, CliError> {
        Ok(self.projects().await?.into_iter().map(|project| project.id.to_string()).collect())
    }

    /// Adds the nearest of the existing names to an error about a missing object, unless the name exists.
    pub(super) async fn suggest(
        &self,
        result: Result<(), CliError>,
        typed: Option<&str>,
        load: impl AsyncFnOnce() -> Result<Vec<String>, CliError>,
    ) -> Result<(), CliError> {
        let (fault, typed) = match (result, typed) {
            (Err(fault), Some(typed)) if fault.is_not_found() => (fault, typed),
            (result, _) => return result,
        };
        let names = load().await.unwrap_or_default();
        if names.iter().any(|name| name == typed) {
            return Err(fault);
        }
        Err(match find_nearest(typed, names.iter().map(String::as_str)) {
            Some(nearest) => fault.with_help(format!("did you mean {nearest}?")),
            None => fault,
        })
    }

    /// Verifies the project behind an empty list, because its name may be mistyped.
    pub(super) async fn ensure_project_exists(&self, empty: bool, project: &ProjectId) -> Result<(), CliError> {
        if empty {
            self.api.project(project).await?;
        }
        Ok(())
    }

    pub(super) async fn projects(&self) -> Result<Vec<Project>, CliError> {
        pages::load_all(async |after| {
            let page = self.api.projects(after.as_deref()).await?;
            Ok((page.projects, page.next))
        })
        .await
    }

    pub(super) async fn list_newest_jobs(&self, project: &ProjectId, pages: usize) -> Result<Vec<Job>, CliError> {
        let (mut jobs, mut after) = (Vec::new(), None);
        for _ in 0..pages {
            let page = self.api.jobs(project, after.as_deref()).await?;
            jobs.extend(page.jobs);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(jobs)
    }

    pub(super) async fn resolve_job(&self, reference: &str) -> Result<JobId, CliError> {
        self.resolve("job", "jobs create --prompt TEXT", reference, async |project, pages| {
            Ok(self.list_newest_jobs(project, pages).await?.into_iter().map(|job| job.id).collect())
        })
        .await
    }

    pub(super) async fn resolve_run(&self, reference: &str) -> Result<RunId, CliError> {
        self.resolve("run", "run --prompt TEXT", reference, async |project, pages| {
            let (mut runs, mut after) = (Vec::new(), None);
            for _ in 0..pages {
                let page = self.api.runs(project, after.as_deref()).await?;
                runs.extend(page.runs.into_iter().map(|run| run.id));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            Ok(runs)
        })
        .await
    }

    /// Finds an id by its last or first characters, or the newest by `@last`. `create`: the command that makes one.
    async fn resolve<T: FromStr + Display>(
        &self,
        noun: &str,
        create: &str,
        reference: &str,
        load_newest: impl AsyncFnOnce(&ProjectId, usize) -> Result<Vec<T>, CliError>,
    ) -> Result<T, CliError> {
        if let Ok(id) = reference.to_lowercase().parse() {
            return Ok(id);
        }
        if reference.trim().is_empty() {
            return Err(CliError::usage(format!("the {noun} id is empty"))
                .with_help(format!("`pullyard {noun}s` lists them; @last is the newest")));
        }
        let project = self.project().await?;
        let newest = load_newest(&project, if reference == "@last" { 1 } else { MAX_PAGES }).await?;
        if reference == "@last" {
            let none = || {
                CliError::not_found(format!("there is no {noun} in project {project} yet"))
                    .with_help(format!("create one: `pullyard {create}`"))
            };
            return newest.into_iter().next().ok_or_else(none);
        }
        let (part, prefix) = (reference.to_lowercase(), format!("{noun}_"));
        let is_selected = |id: &T| {
            let id = id.to_string();
            id.ends_with(&part) || (part.starts_with(&prefix) && id.starts_with(&part))
        };
        let mut ids = newest.into_iter().filter(is_selected);
        match (ids.next(), ids.next()) {
            (Some(id), None) => Ok(id),
            (Some(first), Some(second)) => {
                Err(CliError::usage(format!("{reference} matches more than one {noun}: {first}, {second}"))
                    .with_help("write more characters of the id"))
            }
            (None, _) => Err(CliError::not_found(format!("there is no {noun} {reference} in project {project}"))
                .with_help(format!("`pullyard {noun}s` lists them; short ids match only the newest 200"))),
        }
    }
}

/// The URL of the flag or the context, and its source for messages.
pub(crate) fn saved_url(global: &Global) -> Result<Option<(String, String)>, CliError> {
    if let Some(url) = global.url()? {
        return Ok(Some((url, "--url or PULLYARD_URL".into())));
    }
    let config = Config::load()?;
    let Some(name) = global.context().or_else(|| config.current.clone()) else { return Ok(None) };
    Ok(Some((config.context(&name)?.url.clone(), format!("context {name}"))))
}

fn context(global: &Global) -> Result<Option<(String, SavedContext)>, CliError> {
    let config = Config::load()?;
    match global.context().or_else(|| config.current.clone()) {
        Some(name) => config.context(&name).cloned().map(|context| Some((name, context))),
        None => Ok(None),
    }
}
