//! The loop of a review, with real parts: the demo forge's signed webhooks, the functions, the runner as a task.

mod agents;
mod alone;
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
