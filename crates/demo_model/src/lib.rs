//! A model's provider for tests: it answers Anthropic's Messages and OpenAI's Responses from a script, step by
//! step, and breaks in the ways in which providers and networks break, when it is told to.
//!
//! It owns the script, the log of what was asked, and the events that the agents' command lines take as an
//! answer. It deliberately thinks nothing, looks at no prompt to choose an answer, keeps no key, knows nothing
//! of Pullyard, and serves loopback addresses only.

mod answer;
mod disguise;
mod error;
mod faults;
mod line;
mod log;
mod messages;
mod refusal;
mod responses;
mod script;
mod sending;
mod server;
mod sse;
mod subscription;
mod turn;

pub use answer::{Answer, Part, Usage};
pub use disguise::Disguise;
pub use error::Error;
pub use faults::{Ending, Stumble};
pub use log::{Credential, Outcome, Request};
pub use refusal::Refusal;
pub use script::Step;
pub use server::{DemoModel, Options};
