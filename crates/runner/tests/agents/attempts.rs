//! Whole attempts of the runner with the agents' own programs: from the claim to the finish, with a real forge
//! and a scripted model.

mod descent;
mod faults;
mod kills;
pub(crate) mod limits;
mod offers;
mod quotas;
mod repositories;
mod rests;
mod resumes;
mod secrets;
pub(crate) mod stage;
pub(crate) mod steering;
mod stops;
mod subscriptions;
mod work;
