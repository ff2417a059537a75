//! A scripted model provider for tests: it serves Anthropic's Messages and OpenAI's Responses, with faults on request.
//! The crate has the script, the log of requests, and the events that the agents' command lines accept.
//! It runs no model, chooses no answer by its prompt, stores no key, does not depend on other crates of Pullyard,
//! and serves loopback addresses only.

mod answer;
mod error;
mod faults;
mod handler;
mod host_proxy;
mod log;
mod messages;
mod refusal;
mod resettable;
mod responses;
mod script;
mod send_answer;
mod server;
mod sse;
mod subscription;

pub use answer::{Answer, Part, Usage};
pub use error::Error;
pub use faults::{AnswerEnd, StreamFault};
pub use host_proxy::HostProxy;
pub use log::{Credential, Outcome, Request};
pub use refusal::Refusal;
pub use script::Step;
pub use server::{DemoModel, Options};
