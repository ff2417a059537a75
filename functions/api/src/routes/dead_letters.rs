//! Dead letters. They belong to the deployment, so callers need access to all projects.

use axum::Json;
use axum::extract::State;
use pullyard_control::{self as control, Context, Letter, Order};
use pullyard_domain::dead_letter::{Advice, Queue};
use pullyard_domain::id::MessageId;
use pullyard_entry::{Caller, Path, Problem, Query, Strict, limits, scope};
use pullyard_protocol::dead_letter::{DeadLetter, DeadLetters, MoveDeadLetters, MovedDeadLetters};
use schemars::JsonSchema;
use serde::Deserialize;

/// Of which queue and with which advice; all when left out.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct Of {
    /// Only of this queue.
    queue: Option<Queue>,
    /// Only those for which this is advised, looked for behind the others.
    advice: Option<Advice>,
}

pub(crate) async fn list(
    State(ctx): State<Context>,
    caller: Caller<scope::Admin>,
    Query(Of { queue, advice }): Query<Of>,
) -> Result<Json<DeadLetters>, Problem> {
    caller.may_touch_all()?;
    let control::Letters { letters, more } = control::dead_letters(&ctx, queue, advice).await?;
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

/// Task deaths have no queue and are processed instead.
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
    let says = letter.says;
    DeadLetter {
        id: letter.id,
        queue: letter.queue,
        sent_at: letter.sent_at,
        received: letter.received,
        about: letter.about,
        name: letter.name,
        project: letter.project,
        code: says.code().into(),
        sentence: says.sentence(),
        help: says.help(),
        advice: says.class(),
        body: letter.body,
    }
}
