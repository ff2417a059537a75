//! The rights of a token: its scopes, and the objects that it may access if it is limited to some projects. The API and
//! the pages use the same table.

use crate::agent::breaker::Account;
use crate::agent::runner::Profile;
use crate::project::hook::Webhook;
use crate::project::token::Scope;
use crate::text::id::ProjectId;
use std::collections::BTreeSet;

#[derive(Clone, Copy, Debug)]
pub enum Object<'a> {
    Project(&'a ProjectId),
    /// Belongs to all projects: connections, secrets, tokens.
    Deployment,
    Webhook(&'a Webhook),
    /// The commands for a runner. A limited token sees more runners than it may command.
    Runner(&'a Profile),
    Breaker(&'a Account),
}

/// An access that the token lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingAccess<'a> {
    Project(&'a ProjectId),
    AllProjects,
}

pub fn has_scope(scopes: &BTreeSet<Scope>, scope: Scope) -> bool {
    scopes.contains(&scope) || scopes.contains(&Scope::Admin)
}

/// `projects`: the projects of the token; `None` means all.
pub fn check_access<'a>(projects: Option<&BTreeSet<ProjectId>>, object: Object<'a>) -> Result<(), MissingAccess<'a>> {
    let Some(projects) = projects else { return Ok(()) };
    let check_project = |project: &'a ProjectId| match projects.contains(project) {
        true => Ok(()),
        false => Err(MissingAccess::Project(project)),
    };
    match object {
        Object::Project(project) | Object::Breaker(Account::Project(project)) => check_project(project),
        Object::Webhook(hook) if !hook.is_shared() => check_project(&hook.home),
        Object::Runner(Profile { projects: Some(served), .. }) => served.iter().try_for_each(check_project),
        Object::Deployment | Object::Webhook(_) | Object::Runner(_) => Err(MissingAccess::AllProjects),
        // The runner's token decides which projects it serves.
        Object::Breaker(Account::Runner(_)) => Err(MissingAccess::AllProjects),
    }
}

#[cfg(test)]
mod tests;
