//! Tokens, and the removal of secrets from everything that leaves this machine.

pub(crate) mod access;
pub(crate) mod forge_tokens;
pub(crate) mod redact;
