//! Tests revisions end to end: signed webhooks of the local forge, the functions, and the runner as a task.

mod agents;
mod deliveries;
mod dismissed;
mod edited;
mod failed;
mod faults;
mod life;
mod replies;
mod requested;
mod restarts;
mod status_comment;
mod world;
