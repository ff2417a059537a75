//! The proxies between a sandboxed agent and the network. The runner starts both for each start of an agent, on
//! listeners inside the agent's network namespace; they end with the attempt.
//!
//! - [`egress`]: an HTTP proxy that connects to allowed hosts only, and reports every refusal.
//! - [`model`]: a reverse proxy to the model's provider. It adds the key, which the agent never sees, counts the tokens
//!   of each answer, and refuses requests beyond the limit.
//!
//! Both treat every byte from the agent as hostile input.

pub mod egress;
mod listen;
pub mod model;
mod request_head;
mod server_name;
#[cfg(test)]
mod tls_server;
