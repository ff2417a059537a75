//! Adds, lists, tests, enables and deletes the endpoints of a project.

use super::{load_state, send, setup_url};
use crate::admin::secrets::{check_secret_kind, full_secret_name};
use crate::admin::update_project::update_project;
use crate::{Context, Error};
use pullyard_domain::id::{EndpointId, NoticeId, ProjectId, SecretName};
use pullyard_domain::notice::{Answer, Endpoint, EndpointKind, EndpointState, Notice, NoticeEvent};
use pullyard_domain::project::Project;
use pullyard_domain::secret::SecretKind;
use pullyard_outbound::standard_webhooks::SigningSecret;
use pullyard_store::Write;
use std::collections::BTreeSet;
use std::time::Duration;

/// An endpoint as a user describes it.
#[derive(Clone, Debug)]
pub struct NewEndpoint {
    pub kind: EndpointKind,
    pub url: Option<String>,
    pub url_secret: Option<String>,
    pub events: Option<BTreeSet<NoticeEvent>>,
}

/// An endpoint and how messages reach it.
#[derive(Clone, Debug)]
pub struct EndpointView {
    pub endpoint: Endpoint,
    pub state: EndpointState,
}

#[derive(Clone, Debug)]
pub struct EndpointTest {
    pub works: bool,
    /// The answer, or why there was none.
    pub answer: String,
    pub took: Duration,
}

/// Adds an endpoint, or changes an existing one, which keeps its signing secret. Returns the signing secret of a new
/// webhook; it is not shown again.
/// Writes: the secret, then PROJECT.
/// Idempotent: a repeat stores the same, but does not return the secret again.
/// Errors: `NotFound` (project); `Invalid`; `Cloud`; `Contended`.
pub async fn put_endpoint(
    ctx: &Context,
    project: &ProjectId,
    id: &EndpointId,
    new: NewEndpoint,
) -> Result<(EndpointView, Option<SigningSecret>), Error> {
    let NewEndpoint { kind, url, url_secret, events } = new;
    if let Some(url) = &url {
        let to_invalid = |error: pullyard_outbound::Error| Error::Invalid { pointer: "/url", fault: error.to_string() };
        ctx.outbound.parse_url(url).map_err(to_invalid)?;
    }
    if let Some(secret) = &url_secret {
        check_secret_kind(ctx, SecretKind::Forge, secret, "/url_secret")?;
    }
    let found = ctx.load_project(project).await?;
    let kept = find(&found, id).and_then(|endpoint| endpoint.secret.clone());
    let is_webhook = kind == EndpointKind::Webhook;
    let generated = (is_webhook && kept.is_none()).then(SigningSecret::generate);
    let secret = match &generated {
        Some(secret) => {
            let (name, value) = (SecretName::new(format!("notify-{project}-{id}"))?, secret.expose());
            Some((full_secret_name(ctx, SecretKind::Forge, &name, &value)?, value))
        }
        None => None,
    };
    let name = secret.as_ref().map(|(name, _)| name.clone()).or(kept.filter(|_| is_webhook));
    let endpoint = Endpoint { id: id.clone(), kind, url, url_secret, secret: name, events };
    let with_endpoint = |mut project: Project| {
        let all = &mut project.settings.notifications;
        match all.iter_mut().find(|stored| stored.id == endpoint.id) {
            Some(stored) => *stored = endpoint.clone(),
            None => all.push(endpoint.clone()),
        }
        project.settings.validate()?;
        Ok(project)
    };
    with_endpoint(found)?;
    if let Some((name, value)) = secret {
        ctx.secrets.put(&name, &value).await?;
    }
    update_project(ctx, project, with_endpoint).await?;
    tracing::info!(project = %project, endpoint = %id, "endpoint stored");
    Ok((EndpointView { endpoint, state: load_state(ctx, project, id).await? }, generated))
}

/// Errors: `NotFound` (project).
pub async fn list_endpoints(ctx: &Context, project: &ProjectId) -> Result<Vec<EndpointView>, Error> {
    let endpoints = ctx.load_project(project).await?.settings.notifications;
    let mut states = ctx.store.list_endpoint_states(project).await?;
    let mut view = |endpoint: Endpoint| {
        let stored = states.iter().position(|state| state.endpoint == endpoint.id).map(|at| states.swap_remove(at));
        let state = stored.unwrap_or_else(|| EndpointState::new(project.clone(), endpoint.id.clone()));
        EndpointView { endpoint, state }
    };
    Ok(endpoints.into_iter().map(&mut view).collect())
}

/// Sends a message to an endpoint, also to a disabled one. Changes nothing.
/// Errors: `NotFound`; `Cloud`; `Store`.
pub async fn test_endpoint(ctx: &Context, project: &ProjectId, id: &EndpointId) -> Result<EndpointTest, Error> {
    let endpoint = load_endpoint(ctx, project, id).await?;
    let nonce = format!("{:032x}", rand::random::<u128>());
    let url = setup_url(ctx, project);
    let notice = Notice::test(NoticeId::for_test(&nonce), &endpoint, project.clone(), url, ctx.clock.now());
    let begin = ctx.clock.monotonic();
    let (answer, detail) = send(ctx, &endpoint, &notice).await?;
    let took = ctx.clock.monotonic().saturating_sub(begin);
    Ok(EndpointTest { works: answer == Answer::Accepted, answer: detail, took })
}

/// Lets a disabled endpoint receive notices again. Dead ones stay dead until a user sends them again.
/// Writes: ENDPOINT over its `rev`.
/// Idempotent: a repeat stores the same.
/// Errors: `NotFound`; `Contended`.
pub async fn enable_endpoint(ctx: &Context, project: &ProjectId, id: &EndpointId) -> Result<EndpointView, Error> {
    let mut rounds = ctx.retries(id);
    loop {
        let endpoint = load_endpoint(ctx, project, id).await?;
        let state = load_state(ctx, project, id).await?.enable();
        if ctx.store.put_endpoint_state(&state).await? == Write::Applied {
            tracing::info!(project = %project, endpoint = %id, "endpoint enabled");
            return Ok(EndpointView { endpoint, state });
        }
        rounds.backoff().await?;
    }
}

/// Deletes an endpoint. Its waiting notices end when they are due; its secrets remain.
/// Writes: ENDPOINT deleted over its `rev`, then PROJECT.
/// Idempotent: a repeat returns `NotFound`.
/// Errors: `NotFound`; `Contended`.
pub async fn delete_endpoint(ctx: &Context, project: &ProjectId, id: &EndpointId) -> Result<EndpointView, Error> {
    let endpoint = load_endpoint(ctx, project, id).await?;
    let mut rounds = ctx.retries(id);
    let mut state = load_state(ctx, project, id).await?;
    while ctx.store.delete_endpoint_state(&state).await? == Write::Stale {
        rounds.backoff().await?;
        state = load_state(ctx, project, id).await?;
    }
    let without = |mut project: Project| {
        project.settings.notifications.retain(|stored| stored.id != *id);
        Ok(project)
    };
    update_project(ctx, project, without).await?;
    tracing::info!(project = %project, endpoint = %id, "endpoint deleted");
    Ok(EndpointView { endpoint, state })
}

fn find<'a>(project: &'a Project, id: &EndpointId) -> Option<&'a Endpoint> {
    project.settings.notifications.iter().find(|endpoint| endpoint.id == *id)
}

async fn load_endpoint(ctx: &Context, project: &ProjectId, id: &EndpointId) -> Result<Endpoint, Error> {
    let project = ctx.load_project(project).await?;
    find(&project, id).cloned().ok_or_else(|| Error::not_found("endpoint", id))
}
