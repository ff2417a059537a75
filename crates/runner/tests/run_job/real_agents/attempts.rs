//! Tests whole attempts with the real agent programs, from claim to finish, over a test forge and a scripted model.

mod faults;
pub(crate) mod fixture;
mod kills;
mod limits;
mod offers;
mod quotas;
mod repositories;
mod resumes;
mod secrets;
mod session_resume;
mod steering;
mod stops;
mod subscriptions;
mod work;
