//! Messages that failed too often. They belong to the deployment, so callers need access to all projects.

use axum::Json;
use axum::extract::State;
use pullyard_control::{self as control, Context, Letter, Order};
use pullyard_domain::dead_letter::Queue;
use pullyard_domain::id::MessageId;
use pullyard_entry::{Caller, Path, Problem, Query, Strict, limits, scope};
use pullyard_protocol::dead_letter::{DeadLetter, DeadLetters, MoveDeadLetters, MovedDeadLetters};
use schemars::JsonSchema;
use serde::Deserialize;

/// Selects a queue; all queues by default.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct Of {
    /// Only messages of this queue.
    queue: Option<Queue>,
}

pub(crate) async fn list(
    State(ctx): State<Context>,
    caller: Caller<scope::Admin>,
    Query(Of { queue }): Query<Of>,
) -> Result<Json<DeadLetters>, Problem> {
    caller.may_touch_all()?;
    let control::Letters { letters, more } = control::dead_letters(&ctx, queue).await?;
    Ok(Json(DeadLetters { letters: shown_all(letters), more }))
}

pub(crate) async fn show(
    State(ctx): State<Context>,
    caller: Caller<scope::Admin>,
    Path(message): Path<MessageId>,
) -> Result<Json<DeadLetter>, Problem> {
    caller.may_touch_all()?;
    Ok(Json(shown(control::dead_letter(&ctx, &message).await?)))
}

pub(crate) async fn redrive(
    State(ctx): State<Context>,
    caller: Caller<scope::Admin>,
    Strict(request): Strict<MoveDeadLetters>,
) -> Result<Json<MovedDeadLetters>, Problem> {
    caller.may_touch_all()?;
    moved(&ctx, &request, Order::Redrive).await
}

pub(crate) async fn drop(
    State(ctx): State<Context>,
    caller: Caller<scope::Admin>,
    Strict(request): Strict<MoveDeadLetters>,
) -> Result<Json<MovedDeadLetters>, Problem> {
    caller.may_touch_all()?;
    moved(&ctx, &request, Order::Drop).await
}

async fn moved(ctx: &Context, request: &MoveDeadLetters, order: Order) -> Result<Json<MovedDeadLetters>, Problem> {
    limits::dead_letters(request)?;
    let moved = control::move_dead_letters(ctx, &request.messages, order).await?;
    let control::Moved { done, unreadable, missing } = moved;
    Ok(Json(MovedDeadLetters { done: shown_all(done), unreadable: shown_all(unreadable), missing }))
}

fn shown_all(letters: Vec<Letter>) -> Vec<DeadLetter> {
    letters.into_iter().map(shown).collect()
}

fn shown(letter: Letter) -> DeadLetter {
    let message = letter.message;
    DeadLetter {
        id: letter.id,
        queue: letter.queue,
        sent_at: letter.sent_at,
        received: letter.received,
        about: message.subject(),
        name: message.subject_name(),
        project: message.project().cloned(),
        sentence: message.sentence(),
        help: message.advice().help().into(),
        advice: message.advice(),
        body: letter.body,
    }
}
