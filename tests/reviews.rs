//! Tests revisions end to end: signed webhooks of the demo forge, the functions, and the runner as a task.

mod agents;
mod answered;
mod comments;
mod desk;
mod dismissed;
mod edited;
mod failed;
mod faults;
mod killed;
mod lagging;
mod life;
mod requested;
mod told;
