//! Tests whole attempts with the real agent programs, from claim to finish, over a test forge and a scripted model.

mod faults;
mod kills;
mod limits;
mod offers;
mod quotas;
mod repositories;
mod resumes;
mod secrets;
mod session_resume;
pub(crate) mod stage;
mod steering;
mod stops;
mod subscriptions;
mod work;
