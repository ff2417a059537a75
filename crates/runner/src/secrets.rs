//! Tokens, and taking secrets out of what leaves this machine.

pub(crate) mod access;
pub(crate) mod minted;
pub(crate) mod redact;
