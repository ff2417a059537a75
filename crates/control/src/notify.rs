//! Sends notices to the endpoints of their projects.

pub(crate) mod endpoints;
pub(crate) mod notices;
mod slack;
mod webhook;

use crate::sweep::postpone::postpone_after;
use crate::{Context, Error};
use futures::future::try_join_all;
use pullyard_domain::id::{EndpointId, NoticeId, ProjectId};
use pullyard_domain::job::Job;
use pullyard_domain::notice::{
    Answer, DIGEST_SENTENCES, Endpoint, EndpointKind, EndpointState, Notice, NoticeEvent, digest_text, hold_for_digest,
    record_try, rest,
};
use pullyard_domain::project::Project;
use pullyard_outbound::{HeaderValue, MAX_ANSWER, Method, Request};
use pullyard_store::{WorkKey, Write};

/// Notices read for the sentences of a digest.
const MAX_DIGEST_READS: i32 = 50;

/// The notice of a job's new state, for the transaction that writes the state.
pub(crate) fn notice_of_job(ctx: &Context, project: Option<&Project>, before: &Job, job: &Job) -> Option<Notice> {
    let url = format!("{}/jobs/{}", ctx.pages_url(), job.id);
    Notice::of_job(before, job, &project?.settings.notifications, url, ctx.clock.now())
}

/// Sends a notice to one endpoint, if it is due there.
/// Writes: NOTICE and ENDPOINT over their `rev`; a digest, or the notice about a disabled endpoint, if absent.
/// Idempotent: a notice that was sent is not due. After a crash between the call and the write, it is sent again under
/// the same id.
/// Errors: `Store`; `Cloud`; `Contended`. After a permanent error the notice is put off.
pub async fn send_notice(ctx: &Context, id: &NoticeId, endpoint: &EndpointId) -> Result<(), Error> {
    let result = send_if_due(ctx, id, endpoint).await;
    postpone_after(ctx, &WorkKey::Notice(id.clone()), result, |error| !error.is_transient()).await
}

async fn send_if_due(ctx: &Context, id: &NoticeId, endpoint: &EndpointId) -> Result<(), Error> {
    let mut rounds = ctx.retries(id);
    loop {
        let now = ctx.clock.now();
        let Some(mut notice) = ctx.store.load_notice(id).await? else { return Ok(()) };
        let Some(delivery) = notice.to.get(endpoint).filter(|_| notice.due(now).any(|due| due == endpoint)) else {
            return Ok(());
        };
        let is_single = delivery.failures > 0 || notice.event == NoticeEvent::Digest;
        let project = ctx.store.load_project(&notice.data.project).await?;
        let endpoints = project.map(|project| project.settings.notifications).unwrap_or_default();
        let state = load_state(ctx, &notice.data.project, endpoint).await?;
        let resting = state.rest_until.filter(|until| *until > now);
        let step = match (endpoints.iter().find(|stored| stored.id == *endpoint), &state.disabled) {
            (None, _) => rest(&notice, endpoint, None, "the endpoint was deleted").map(|notice| (notice, None, None)),
            (_, Some(_)) => {
                rest(&notice, endpoint, None, "the endpoint is disabled").map(|notice| (notice, None, None))
            }
            _ if resting.is_some() => rest(&notice, endpoint, resting, "").map(|notice| (notice, None, None)),
            (Some(stored), None) => match state.digest(stored.kind, now).filter(|_| !is_single) {
                Some(digest) => hold_for_digest(&notice, &state, digest, &setup_url(ctx, &state.project), now)
                    .map(|(notice, state, digest)| (notice, Some(state), digest)),
                None => {
                    add_digest_text(ctx, &mut notice, &state).await?;
                    let answer = send(ctx, stored, &notice).await?;
                    return record_answer(ctx, notice, state, stored, &endpoints, answer).await;
                }
            },
        };
        let Some((notice, state, digest)) = step else { return Ok(()) };
        if ctx.store.record_notice(&notice, state.as_ref(), digest.as_ref()).await? == Write::Applied {
            return Ok(());
        }
        rounds.backoff().await?;
    }
}

/// Endpoints of one notice are recorded at the same time, so the states may have changed since the call.
async fn record_answer(
    ctx: &Context,
    mut notice: Notice,
    mut state: EndpointState,
    endpoint: &Endpoint,
    endpoints: &[Endpoint],
    (answer, detail): (Answer, String),
) -> Result<(), Error> {
    let mut rounds = ctx.retries(&notice.id);
    loop {
        let (now, setup_url) = (ctx.clock.now(), setup_url(ctx, &state.project));
        let Some(sent) = record_try(&notice, &state, endpoint, (answer, &detail), &setup_url, now) else {
            return Ok(());
        };
        let others = || endpoints.iter().filter(|other| other.id != endpoint.id);
        let event = NoticeEvent::EndpointDisabled;
        let disabled = sent.disabled.and_then(|(id, data)| Notice::new(id, event, data, others(), now));
        if ctx.store.record_notice(&sent.notice, Some(&sent.state), disabled.as_ref()).await? == Write::Applied {
            tracing::info!(notice = %notice.id, endpoint = %endpoint.id, ?answer, detail, "notice sent");
            if let Some(reason) = &sent.state.disabled {
                tracing::warn!(project = %state.project, endpoint = %endpoint.id, reason, "endpoint disabled");
            }
            if let Some(disabled) = &disabled {
                ctx.send_hints(ctx.wake_notice(disabled)).await;
            }
            return Ok(());
        }
        rounds.backoff().await?;
        let Some(stored) = ctx.store.load_notice(&notice.id).await? else { return Ok(()) };
        notice = Notice { data: notice.data, ..stored };
        state = load_state(ctx, &state.project, &endpoint.id).await?;
    }
}

async fn load_state(ctx: &Context, project: &ProjectId, endpoint: &EndpointId) -> Result<EndpointState, Error> {
    let stored = ctx.store.load_endpoint_state(project, endpoint).await?;
    Ok(stored.unwrap_or_else(|| EndpointState::new(project.clone(), endpoint.clone())))
}

fn setup_url(ctx: &Context, project: &ProjectId) -> String {
    format!("{}/setup/notifications?project={project}", ctx.pages_url())
}

/// The text of a digest is part of what is recorded, so that a user can send it again later.
async fn add_digest_text(ctx: &Context, notice: &mut Notice, state: &EndpointState) -> Result<(), Error> {
    if notice.event != NoticeEvent::Digest {
        return Ok(());
    }
    let (ids, _) = ctx.store.list_notice_ids(&state.project, None, MAX_DIGEST_READS).await?;
    let newest = try_join_all(ids.iter().map(|id| ctx.store.load_notice(id))).await?.into_iter().flatten();
    let is_held =
        |other: &Notice| other.to.get(&state.endpoint).is_some_and(|to| to.digest.as_ref() == Some(&notice.id));
    let newest: Vec<_> = newest.filter(is_held).take(DIGEST_SENTENCES).collect();
    if let Some(text) = digest_text(state, &newest) {
        notice.data.sentence = text;
    }
    Ok(())
}

/// Why a message cannot be built.
pub(crate) enum Fault {
    /// A user must correct the endpoint or its secret.
    Refused(String),
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

trait SecretFault<T> {
    fn secret_fault(self, secret: &str) -> Result<T, Fault>;
}

impl<T> SecretFault<T> for Result<T, pullyard_cloud::Error> {
    fn secret_fault(self, secret: &str) -> Result<T, Fault> {
        self.map_err(|error| match error {
            pullyard_cloud::Error::NoSecret { .. } => Fault::Refused(format!("there is no secret {secret}")),
            error => error.into(),
        })
    }
}

/// Sends once. The text describes the answer, or why there is none.
async fn send(ctx: &Context, endpoint: &Endpoint, notice: &Notice) -> Result<(Answer, String), Error> {
    let request = match build_request(ctx, endpoint, notice).await {
        Ok(request) => request,
        Err(Fault::Refused(fault)) => return Ok((Answer::Failed, fault)),
        Err(Fault::Failed(error)) => return Err(error),
    };
    Ok(match ctx.outbound.send(request).await {
        Ok(response) => {
            let status = response.status;
            let answer = Answer::from_status(endpoint.kind, status.as_u16(), response.retry_after());
            (answer, format!("it answered {status}"))
        }
        Err(error) => (Answer::Failed, error.to_string()),
    })
}

async fn build_request(ctx: &Context, endpoint: &Endpoint, notice: &Notice) -> Result<Request, Fault> {
    let url = match (&endpoint.url, &endpoint.url_secret) {
        (Some(url), _) => url.as_str().into(),
        (None, Some(secret)) => ctx.secrets.get(secret).await.secret_fault(secret)?,
        (None, None) => return Err(Fault::Refused("it has no URL".into())),
    };
    let url = ctx.outbound.parse_url(&url).map_err(|error| Fault::Refused(error.to_string()))?;
    let (mut headers, body) = match (endpoint.kind, &endpoint.secret) {
        (EndpointKind::Webhook, Some(secret)) => webhook::build(ctx, secret, notice).await?,
        (EndpointKind::Webhook, None) => return Err(Fault::Refused("it has no signing secret".into())),
        (EndpointKind::Slack, _) => (Default::default(), slack::build(notice)),
    };
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    Ok(Request { method: Method::POST, url, headers, body, max_response_bytes: MAX_ANSWER })
}
