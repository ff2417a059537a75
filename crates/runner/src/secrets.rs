//! Handles forge tokens, and redacts secrets in everything that leaves this machine.

pub(crate) mod access;
pub(crate) mod forge_tokens;
pub(crate) mod own_token;
pub(crate) mod redact;
