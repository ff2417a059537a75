//! Starts a program in the job's sandbox or in a process namespace, and ends all its processes.

use super::group::Group;
use super::orphans::{self, CleanupError};
use super::pid_namespace::{Exit, PidNamespace, ProcessNamespace};
use super::sandbox::{Confined, Inside, JobSandbox};
use crate::git::workspace::Workspace;
use crate::stop::Stop;
use pullyard_domain::text::failure::Failure;
use std::io;
use std::time::Duration;
use tokio::process::{Child, Command};

pub(crate) struct Enclosed {
    pub(crate) child: Child,
    group: Group,
    confined: Option<Confined>,
    is_wrapped: bool,
}

impl Enclosed {
    /// Starts a program in the worktree. `set_streams` sets its standard streams. The inner error: it cannot be started.
    pub(crate) async fn start(
        workspace: &Workspace,
        enclosure: (Option<&JobSandbox>, ProcessNamespace),
        inside: Inside<'_>,
        set_streams: impl FnOnce(&mut Command),
    ) -> Result<io::Result<Self>, Stop> {
        let (child, confined, is_wrapped) = match enclosure {
            (Some(sandbox), _) => {
                let (child, confined) = sandbox.start(workspace, inside, set_streams).await?;
                (child, Some(confined), true)
            }
            (None, namespace) => {
                let namespace = PidNamespace::detect(namespace).await;
                let mut command = namespace.command(inside.program);
                command.args(inside.args).current_dir(workspace.tree()).env_clear().envs(inside.env);
                set_streams(&mut command);
                match command.process_group(0).kill_on_drop(true).spawn() {
                    Ok(child) => (child, None, namespace.is_wrapped()),
                    Err(error) => return Ok(Err(error)),
                }
            }
        };
        let Some(group) = Group::from_child(&child) else {
            return Err(Failure::Unknown { last_words: "a program has no process id".into() }.into());
        };
        Ok(Ok(Self { child, group, confined, is_wrapped }))
    }

    pub(crate) async fn wait(&mut self) -> Result<Exit, Stop> {
        match self.child.wait().await {
            Ok(status) => Ok(Exit::from_status(status, self.is_wrapped)),
            Err(error) => Err(Failure::Unknown { last_words: error.to_string() }.into()),
        }
    }

    /// Stops the program and everything that it left behind.
    /// Errors: a process of `owner` may still write, so the attempt must publish no work.
    pub(crate) async fn end(mut self, workspace: &Workspace, grace: Duration, owner: &str) -> Result<(), Failure> {
        if let Some(confined) = &self.confined {
            confined.terminate(&mut self.child, grace).await;
        }
        let group_end = self.group.stop(&mut self.child, grace).await.map_err(CleanupError::from);
        let orphans_end = match &self.confined {
            // The engine ends the processes of a container.
            Some(confined) if confined.is_container() => Ok(()),
            _ => orphans::kill_descendants(&workspace.temp_dir()).await,
        };
        let sandbox_end = match self.confined {
            Some(confined) => confined.end().await,
            None => Ok(()),
        };
        let result = group_end.and(orphans_end).map_err(|error| {
            tracing::error!(error = %error, "failed to {error}");
            Failure::WorkspaceFailed { reason: error.reason(owner) }
        });
        result.and(sandbox_end).inspect_err(|_| workspace.keep_for_orphan_cleanup())
    }
}
