//! Runs the agent and the project's commands in a sandbox, and serves the proxies for their network access.
//!
//! Paths are the same inside, because an agent finds its session by its folder. The agent's own repository in
//! the worktree is writable, because the runner commits from another one.

use crate::api::event_draft::EventDraft;
use crate::api::reporter::EventSink;
use crate::attempt::Attempt;
use crate::git::nested::scan::find_too_long_path;
use crate::git::workspace::Workspace;
use crate::git::workspace::disk::create_private_dirs;
use crate::git::workspace::is_folder;
use crate::options::RunJob;
use crate::process::proxy_variables::proxy_variables;
use crate::process::refused_hosts::RefusedHosts;
use crate::process::root_folder::{self, make_enterable};
use crate::process::visible_program::visible_program_path;
use pullyard_agent_proxy::egress::{Egress, Refusal};
use pullyard_agent_proxy::model::ModelProxy;
use pullyard_domain::agent::egress::{self, AllowList};
use pullyard_domain::text::failure::Failure;
use pullyard_protocol::event::EventKind;
use pullyard_sandbox::{Access, Containers, Error, Level, Ports, Running, Sandbox, Spec};
use std::ffi::OsString;
use std::fmt::Display;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

const START_LIMIT: Duration = Duration::from_secs(10);
const END_LIMIT: Duration = Duration::from_secs(10);

pub(crate) struct JobSandbox {
    sandbox: Arc<Sandbox>,
    allowed: AllowList,
    events: EventSink,
    refused_hosts: Arc<RefusedHosts>,
    /// Toolchains and caches, and the objects that the worktree's repository borrows.
    read_only: Vec<PathBuf>,
    process_bytes: Option<u64>,
    check: String,
}

pub(crate) struct Inside<'a> {
    pub(crate) program: &'a Path,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(String, OsString)>,
    pub(crate) home: &'a Path,
    pub(crate) network: Network,
    pub(crate) tree: TreeAccess<'a>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum TreeAccess<'a> {
    Write,
    /// The command may write only into these folders.
    ReadExcept(&'a [PathBuf]),
}

#[derive(Default)]
pub(crate) struct Network {
    /// The ports of the proxies. If empty, a level without its own network uses this machine's network.
    ports: Ports,
    /// The model's proxy, on the first of two ports. If `None`, the command has no model.
    model: Option<ModelProxy>,
}

impl Network {
    pub(crate) fn with_model(self, model: Option<ModelProxy>) -> Self {
        Self { model, ..self }
    }

    pub(crate) fn model_port(&self) -> Option<u16> {
        let [model, _] = self.ports.numbers() else { return None };
        Some(*model)
    }
}

pub(crate) struct Confined {
    running: Arc<Running>,
    sandbox: Arc<Sandbox>,
    owned_folders: Vec<PathBuf>,
    _proxies: Vec<AbortOnDropHandle<()>>,
}

impl JobSandbox {
    /// `None` if the level needs no sandbox.
    pub(crate) async fn create(
        options: &RunJob,
        level: Level,
        attempt: &Attempt<'_>,
        (workspace, mirror): (&Workspace, &Path),
    ) -> Result<Option<Self>, Failure> {
        if level == Level::None {
            return Ok(None);
        }
        let check = match &options.isolation_check {
            Some(check) => check.clone(),
            // In a task, no earlier process has run the check.
            None => {
                let (containers, work_dir) = (options.containers.clone(), options.work_dir.clone());
                blocking(move || check(level, containers, &work_dir)).await?
            }
        };
        let sandbox = create(level, options.containers.clone()).map_err(to_failure)?;
        if sandbox.account_uid().is_some() && !level.is_container() {
            // The agents' account must be able to enter the folders above its own.
            let parents = [workspace.root(), mirror].into_iter().flat_map(|folder| folder.ancestors().take(3));
            for folder in parents.filter(|folder| folder.starts_with(&options.work_dir)) {
                make_enterable(folder).map_err(|error| to_failure(format!("{}: {error}", folder.display())))?;
            }
        }
        let rules = AllowList::parse(&attempt.assignment.egress).map_err(to_failure)?;
        let allowed = rules.with_forge(&attempt.assignment.repository.clone_url);
        if let Some(warning) = egress::warn_if_open(&attempt.assignment.egress) {
            attempt.events.log(warning);
        }
        let paths = options.sandbox_paths.iter().filter(|path| path.is_absolute());
        let visible = paths.filter_map(|path| path.canonicalize().ok());
        let read_only = std::iter::once(mirror.to_owned()).chain(visible).collect();
        let (events, refused_hosts) = (attempt.events.clone(), Arc::clone(&attempt.usage.refused_hosts));
        let (sandbox, process_bytes) = (Arc::new(sandbox), options.process_memory);
        Ok(Some(Self { sandbox, allowed, events, refused_hosts, read_only, process_bytes, check }))
    }

    pub(crate) fn check_result(&self) -> &str {
        &self.check
    }

    pub(crate) fn network(&self, has_model: bool) -> Result<Network, Failure> {
        let ports = self.sandbox.reserve_ports(1 + usize::from(has_model)).map_err(to_failure)?;
        Ok(Network { ports, model: None })
    }

    pub(crate) async fn start(
        &self,
        workspace: &Workspace,
        inside: Inside<'_>,
        set_streams: impl FnOnce(&mut Command),
    ) -> Result<(Child, Confined), Failure> {
        let tree = workspace.tree();
        let owned_folders = vec![tree.clone(), inside.home.to_owned(), workspace.temp_dir()];
        let (sandbox, folders) = (Arc::clone(&self.sandbox), owned_folders.clone());
        let change = move || change_owners(&folders, |dir| sandbox.chown_to_account(dir));
        tokio::task::spawn_blocking(change).await.map_err(to_failure)??;
        let Network { ports, model } = inside.network;
        let is_container = self.sandbox.level().is_container();
        let program_path = visible_program_path(inside.program, workspace.root(), is_container);
        // Start the target of a link, because the link itself does not exist inside the sandbox.
        let real_program = program_path.as_ref().and_then(|_| inside.program.canonicalize().ok());
        let program = real_program.as_deref().unwrap_or(inside.program);
        let mut spec = Spec::new(program, &tree, inside.home);
        spec.args = inside.args;
        spec.limits.process_bytes = self.process_bytes;
        spec.writable = vec![workspace.temp_dir()];
        if let TreeAccess::ReadExcept(folders) = inside.tree {
            spec.access = Access::ReadOnly;
            spec.writable.extend(folders.iter().filter(|folder| is_folder(folder)).cloned());
        }
        spec.read_only.clone_from(&self.read_only);
        spec.read_only.extend(program_path);
        let variables = inside.env.into_iter().map(|(name, value)| (name.into(), value));
        spec.env =
            variables.chain(ports.numbers().last().into_iter().flat_map(|port| proxy_variables(*port))).collect();
        let (sandbox, prepared_spec) = (Arc::clone(&self.sandbox), spec.clone());
        let prepared_start = blocking(move || sandbox.prepare(&prepared_spec, ports)).await?;
        let spawn_result = prepared_start.spawn(|command| {
            let mut command = Command::from(command);
            set_streams(&mut command);
            command.process_group(0).kill_on_drop(true).spawn()
        });
        let (child, start) = spawn_result.map_err(to_failure)?;
        let mut running = blocking(move || start.finish(START_LIMIT)).await?;
        let sandbox = Arc::clone(&self.sandbox);
        tokio::task::spawn_blocking(move || sandbox.prepare_ahead(&spec));
        let listeners = std::mem::take(&mut running.listeners);
        let proxies = self.serve(listeners, model).map_err(to_failure)?;
        let confined = Confined {
            running: Arc::new(running),
            sandbox: Arc::clone(&self.sandbox),
            owned_folders,
            _proxies: proxies,
        };
        Ok((child, confined))
    }

    fn serve(
        &self,
        mut listeners: Vec<TcpListener>,
        model: Option<ModelProxy>,
    ) -> io::Result<Vec<AbortOnDropHandle<()>>> {
        let mut proxies = Vec::new();
        if let Some(listener) = listeners.pop() {
            let (events, hosts) = (self.events.clone(), Arc::clone(&self.refused_hosts));
            let report = move |refusal: Refusal| {
                if hosts.insert(&refusal.host) {
                    events.add(describe(&refusal));
                }
            };
            let egress = Egress::new(self.allowed.clone(), Box::new(report));
            let listener = to_tokio(listener)?;
            proxies.push(AbortOnDropHandle::new(tokio::spawn(egress.serve(listener))));
        }
        if let Some((listener, model)) = listeners.pop().zip(model) {
            let listener = to_tokio(listener)?;
            proxies.push(AbortOnDropHandle::new(tokio::spawn(model.serve(listener))));
        }
        Ok(proxies)
    }
}

impl Drop for JobSandbox {
    fn drop(&mut self) {
        // Otherwise a process that is still starting would outlive this job.
        self.sandbox.discard_prepared();
    }
}

impl Confined {
    pub(crate) fn is_container(&self) -> bool {
        self.sandbox.level().is_container()
    }

    pub(crate) async fn terminate(&self, child: &mut Child, grace: Duration) {
        if self.running.terminate() {
            let _ = timeout(grace, child.wait()).await;
        }
    }

    /// Kills the remaining processes, and takes the folders back.
    /// Errors: `SandboxFailed`; a process may still write.
    pub(crate) async fn end(self) -> Result<(), Failure> {
        let Self { running, sandbox, owned_folders, .. } = self;
        let end = tokio::task::spawn_blocking(move || {
            running.kill();
            if !running.wait_ended(END_LIMIT) {
                return Err(to_failure(Error::NotStarted("one of its processes did not end".into())));
            }
            change_owners(&owned_folders, |folder| sandbox.chown_to_runner(folder))
        });
        end.await.map_err(to_failure)?
    }
}

/// Checks a level for jobs in this work folder, which is created. Returns the result as one sentence.
/// Errors: the sandbox cannot be used here, and the command that helps.
pub fn check(level: Level, containers: Option<Containers>, work_dir: &Path) -> Result<String, String> {
    if level == Level::None {
        return Ok("agents have all rights of this user".into());
    }
    let network = containers.as_ref().map_or("none", |containers| &containers.network).to_owned();
    let sandbox = create(level, containers).map_err(|error| error.to_string())?;
    let folder_result = match sandbox.account_uid() {
        Some(_) => root_folder::create_enterable(work_dir),
        None => create_private_dirs(work_dir),
    };
    folder_result.map_err(|error| format!("cannot use the work folder {}: {error}", work_dir.display()))?;
    let report = sandbox.check(work_dir);
    match report.is_usable() {
        true if network == "none" => Ok(report.summary()),
        true => Ok(format!("{}; with the network {network}, commands reach every host", report.summary())),
        false => Err(report.to_string()),
    }
}

fn create(level: Level, containers: Option<Containers>) -> Result<Sandbox, Error> {
    let sandbox = Sandbox::new(level)?;
    match containers.filter(|_| level.is_container()) {
        Some(containers) => sandbox.in_containers(containers),
        None => Ok(sandbox),
    }
}

/// Errors: `PathsTooLong` for folders that are too deep, otherwise `SandboxFailed`.
fn change_owners(folders: &[PathBuf], change: impl Fn(&Path) -> Result<(), Error>) -> Result<(), Failure> {
    folders.iter().filter(|folder| is_folder(folder)).try_for_each(|folder| {
        change(folder).map_err(|error| match &error {
            Error::Io { source, .. } if source.kind() == io::ErrorKind::InvalidFilename => {
                find_too_long_path(folder).map_or_else(|| to_failure(&error), |path| Failure::PathsTooLong { path })
            }
            _ => to_failure(&error),
        })
    })
}

async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, Failure>
where
    T: Send + 'static,
    E: Display + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.map_err(to_failure)?.map_err(to_failure)
}

fn to_failure(reason: impl Display) -> Failure {
    Failure::SandboxFailed { reason: reason.to_string() }
}

fn describe(refusal: &Refusal) -> EventDraft {
    let host = if refusal.host.is_empty() { "a host" } else { &refusal.host };
    EventDraft::text(EventKind::Log, format!("Refused a connection to {host}: {}.", refusal.reason.sentence()))
}

fn to_tokio(listener: TcpListener) -> io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}
