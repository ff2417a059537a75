//! Lists, shows, redrives and drops messages that failed too often. They belong to the deployment, so callers need
//! access to all projects.

use crate::routes::prelude::*;
use pullyard_control::{DeadLetterView, LetterAction};
use pullyard_domain::run::dead_letter::Queue;
use pullyard_domain::text::id::MessageId;
use pullyard_protocol::dead_letter::{DeadLetter, DeadLetters, MoveDeadLetters, MoveDeadLettersAnswer};

/// Selects a queue; all queues by default.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct QueueQuery {
    /// Only messages of this queue.
    queue: Option<Queue>,
}

pub(crate) async fn list(
    caller: Caller<scope::AdminAllProjects>,
    Query(QueueQuery { queue }): Query<QueueQuery>,
) -> Result<Json<DeadLetters>, Problem> {
    let control::DeadLetterPage { letters, is_truncated: more } =
        control::list_dead_letters(&caller.ctx, queue).await?;
    Ok(Json(DeadLetters { letters: to_wire_list(letters), more }))
}

pub(crate) async fn show(
    caller: Caller<scope::AdminAllProjects>,
    Path(message): Path<MessageId>,
) -> Result<Json<DeadLetter>, Problem> {
    Ok(Json(to_wire(control::get_dead_letter(&caller.ctx, &message).await?)))
}

pub(crate) async fn redrive(
    caller: Caller<scope::AdminAllProjects>,
    StrictJson(request): StrictJson<MoveDeadLetters>,
) -> Result<Json<MoveDeadLettersAnswer>, Problem> {
    move_letters(&caller.ctx, &request, LetterAction::Redrive).await
}

pub(crate) async fn drop(
    caller: Caller<scope::AdminAllProjects>,
    StrictJson(request): StrictJson<MoveDeadLetters>,
) -> Result<Json<MoveDeadLettersAnswer>, Problem> {
    move_letters(&caller.ctx, &request, LetterAction::Drop).await
}

async fn move_letters(
    ctx: &Context,
    request: &MoveDeadLetters,
    action: LetterAction,
) -> Result<Json<MoveDeadLettersAnswer>, Problem> {
    limits::check_dead_letters(request)?;
    let moved = control::move_dead_letters(ctx, &request.messages, action).await?;
    Ok(Json(MoveDeadLettersAnswer { done: to_wire_list(moved.moved), not_moved: moved.not_moved }))
}

fn to_wire_list(letters: Vec<DeadLetterView>) -> Vec<DeadLetter> {
    letters.into_iter().map(to_wire).collect()
}

fn to_wire(letter: DeadLetterView) -> DeadLetter {
    let message = letter.message;
    DeadLetter {
        id: letter.id,
        queue: letter.queue,
        sent_at: letter.sent_at,
        received: letter.receive_count,
        about: message.subject(),
        name: message.subject_name(),
        project: message.project().cloned(),
        sentence: message.sentence(),
        help: message.advice().help().into(),
        advice: message.advice(),
        body: letter.body,
    }
}
