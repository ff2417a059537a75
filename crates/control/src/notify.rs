//! Sends notices to the endpoints of their projects.

mod endpoint_state;
pub(crate) mod endpoints;
pub(crate) mod notices;
pub(crate) mod refused_tool;
mod slack;
mod webhook;

use crate::allowed_names::check_secret_use;
use crate::postpone::postpone_after;
use crate::{Context, Error};
use endpoint_state::load_state;
use notices::load_notices;
use pullyard_domain::job::Job;
use pullyard_domain::project::Project;
use pullyard_domain::run::notice::{Answer, Endpoint, EndpointKind, Notice, NoticeEvent, SendFacts, SendStep};
use pullyard_domain::run::wakeup::NoticeWakeup;
use pullyard_domain::text::host::host_of;
use pullyard_domain::text::id::{EndpointId, NoticeId, ProjectId};
use pullyard_domain::text::time::Timestamp;
use pullyard_outbound::{HeaderMap, HeaderValue, MAX_ANSWER, Method, Request};
use pullyard_store::{WorkKey, Write};

/// Each round, one of up to eight endpoints of a notice is recorded.
const MAX_ROUNDS: u32 = 16;

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
    let (mut rounds, mut answer) = (ctx.retries(id).up_to(MAX_ROUNDS), None);
    loop {
        let Some(mut facts) = load_facts(ctx, id, endpoint).await? else { return Ok(()) };
        let record = match (facts.step(), answer.take()) {
            (SendStep::Skip, _) => return Ok(()),
            (SendStep::Record(record), None) => *record,
            (SendStep::Send(endpoint), None) => {
                let (sent, detail) = send(ctx, &endpoint, &facts.notice).await?;
                if sent == Answer::Accepted {
                    tracing::info!(notice = %id, endpoint = %endpoint.id, detail, "notice sent");
                } else {
                    tracing::warn!(notice = %id, endpoint = %endpoint.id, answer = ?sent, detail, "notice not delivered");
                }
                // The call may have taken longer than the first delay.
                facts.now = ctx.clock.now();
                let record = facts.record(sent, &detail);
                answer = Some((sent, detail));
                record
            }
            // Endpoints of one notice are recorded at the same time, so the first record may have been stale.
            (_, Some((sent, detail))) => {
                let record = facts.record(sent, &detail);
                answer = Some((sent, detail));
                record
            }
        };
        if ctx.store.record_notice(&record).await? == Write::Applied {
            if let Some(other) = &record.other {
                ctx.send_hints(ctx.wake_notice(other)).await;
            }
            return Ok(());
        }
        rounds.backoff().await?;
    }
}

async fn load_facts(ctx: &Context, id: &NoticeId, endpoint: &EndpointId) -> Result<Option<SendFacts>, Error> {
    let Some(notice) = ctx.store.load_notice(id).await? else { return Ok(None) };
    let id = notice.data.project.clone();
    let endpoints = ctx.store.load_project(&id).await?.map(|project| project.settings.notifications);
    let (state, setup_url) = (load_state(ctx, &id, endpoint).await?, setup_url(ctx, &id));
    let endpoints = endpoints.unwrap_or_default();
    let mut facts = SendFacts { notice, state, endpoints, setup_url, now: ctx.clock.now() };
    if facts.notice.event == NoticeEvent::Digest {
        let digest = Some(facts.notice.id.clone());
        let (newest, _) = load_notices(ctx, &id, None).await?;
        let is_held = |other: &Notice| other.to.get(endpoint).is_some_and(|delivery| delivery.digest == digest);
        facts.set_digest_text(&newest.into_iter().filter(is_held).collect::<Vec<_>>());
    }
    Ok(Some(facts))
}

/// The host that a due notice calls. `None`: it makes no call, or its address cannot be used.
/// Errors: `Store`; `Cloud` if it is transient.
pub(crate) async fn load_host(ctx: &Context, wakeup: &NoticeWakeup) -> Result<Option<String>, Error> {
    let Some(facts) = load_facts(ctx, &wakeup.notice, &wakeup.endpoint).await? else { return Ok(None) };
    let SendStep::Send(endpoint) = facts.step() else { return Ok(None) };
    match (&endpoint.url, &endpoint.url_secret) {
        (Some(url), _) => Ok(host_of(url)),
        (None, Some(secret)) => match load_secret_url(ctx, &facts.notice.data.project, secret).await {
            Ok(url) => Ok(host_of(&url)),
            Err(error) if error.is_transient() => Err(error),
            // The send records the reason.
            Err(_) => Ok(None),
        },
        (None, None) => Ok(None),
    }
}

async fn load_secret_url(ctx: &Context, project: &ProjectId, secret: &str) -> Result<String, Error> {
    check_secret_use(ctx, project, &[secret]).await?;
    Ok(ctx.secrets.get(secret).await?.to_string())
}

/// Puts a notice off at one endpoint until its host may be called again. This is no try.
/// Writes: NOTICE over its `rev`. Another endpoint of the notice may be recorded at the same time, so a stale write is
/// repeated once. A notice that changed again stays due, and the sweeper repeats the message.
pub(crate) async fn put_off(ctx: &Context, wakeup: &NoticeWakeup, until: Timestamp) -> Result<(), Error> {
    for _ in 0..2 {
        let Some(mut notice) = ctx.store.load_notice(&wakeup.notice).await? else { return Ok(()) };
        let Some(due) = notice.waiting.get_mut(&wakeup.endpoint) else { return Ok(()) };
        *due = until;
        if ctx.store.record_notice(&notice.into()).await? == Write::Applied {
            break;
        }
    }
    Ok(())
}

fn setup_url(ctx: &Context, project: &ProjectId) -> String {
    format!("{}/setup/notifications?project={project}", ctx.pages_url())
}

/// Sends once. The text describes the answer, or why there is none.
async fn send(ctx: &Context, endpoint: &Endpoint, notice: &Notice) -> Result<(Answer, String), Error> {
    let request = match build_request(ctx, endpoint, notice).await {
        Ok(request) => request,
        Err(Error::Invalid { fault, .. }) => return Ok((Answer::Failed, fault)),
        Err(Error::NotListed { refusal, .. }) => return Ok((Answer::Failed, refusal.sentence())),
        Err(Error::Cloud(pullyard_cloud::Error::NoSecret { name })) => {
            return Ok((Answer::Failed, format!("there is no secret {name}")));
        }
        Err(error) => return Err(error),
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

/// Errors: `Invalid` for a URL or a secret that a user must correct; `NotListed`; `Cloud` with `NoSecret`.
async fn build_request(ctx: &Context, endpoint: &Endpoint, notice: &Notice) -> Result<Request, Error> {
    let names: Vec<&str> = [&endpoint.url_secret, &endpoint.secret].into_iter().flatten().map(String::as_str).collect();
    check_secret_use(ctx, &notice.data.project, &names).await?;
    let (url, secret) = (endpoint.url.as_deref(), endpoint.url_secret.as_deref().unwrap_or_default());
    let url = if let Some(url) = url { url.into() } else { ctx.secrets.get(secret).await? };
    let url = parse_url(ctx, &url)?;
    let (mut headers, body) = match endpoint.kind {
        EndpointKind::Webhook => webhook::build(ctx, endpoint.secret.as_deref().unwrap_or_default(), notice).await?,
        EndpointKind::Slack => (HeaderMap::new(), slack::build(notice)),
    };
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    Ok(Request { method: Method::POST, url, headers, body, max_response_bytes: MAX_ANSWER })
}

fn parse_url(ctx: &Context, url: &str) -> Result<pullyard_outbound::Url, Error> {
    ctx.outbound.parse_url(url).map_err(|error| Error::Invalid { pointer: "/url", fault: error.to_string() })
}
