//! Forms that cancel, pause, continue, answer and retry a job.

use crate::prelude::*;
use crate::verdict::accepted_job;
use pullyard_domain::text::id::JobId;
use pullyard_protocol::job::SendInput;

async fn load_commandable(visit: &PageContext, id: JobId) -> Result<JobId, Fault> {
    visit.check_may_work()?;
    Ok(visit.load_job(&id).await?.id)
}

pub(crate) async fn cancel(visit: PageContext, Path(id): Path<JobId>) -> Result<Response, Fault> {
    let id = load_commandable(&visit, id).await?;
    control::cancel_job(&visit.ctx, &id, &visit.visitor.name, None).await?;
    Ok(redirect(&format!("/jobs/{id}")))
}

pub(crate) async fn pause(visit: PageContext, Path(id): Path<JobId>) -> Result<Response, Fault> {
    let id = load_commandable(&visit, id).await?;
    control::pause_job(&visit.ctx, &id, &visit.visitor.name).await?;
    Ok(redirect(&format!("/jobs/{id}")))
}

pub(crate) async fn continue_job(visit: PageContext, Path(id): Path<JobId>) -> Result<Response, Fault> {
    let id = load_commandable(&visit, id).await?;
    control::continue_job(&visit.ctx, &id).await?;
    Ok(redirect(&format!("/jobs/{id}")))
}

/// With `form_key`, a second click is a repeat.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnswerForm {
    text: String,
    #[serde(default)]
    form_key: String,
}

pub(crate) async fn answer(
    visit: PageContext,
    Path(id): Path<JobId>,
    Form(form): Form<AnswerForm>,
) -> Result<Response, Fault> {
    let id = load_commandable(&visit, id).await?;
    let text = form.text.replace("\r\n", "\n");
    limits::check_answer(&SendInput { text: text.clone() })
        .map_err(|fault| Fault::from(fault).with_form_text(&text))?;
    let key = request_key(&form.form_key);
    let answer = control::answer_job(&visit.ctx, &id, &text, &visit.requester(), key).await;
    answer.map_err(|error| Fault::from(error).with_form_text(&text))?;
    Ok(redirect(&format!("/jobs/{id}")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryForm {
    #[serde(default)]
    form_key: String,
}

pub(crate) async fn retry(
    visit: PageContext,
    Path(id): Path<JobId>,
    Form(form): Form<RetryForm>,
) -> Result<Response, Fault> {
    let id = load_commandable(&visit, id).await?;
    let key = request_key(&form.form_key);
    let answer = control::retry_job(&visit.ctx, &id, &visit.requester(), key).await?;
    Ok(redirect(&format!("/jobs/{}", accepted_job(&answer)?)))
}
