//! By which of its two ways Codex is driven: as the operator says, and else by the one that every version offers.

use crate::agent::environment::{CODEX_TRANSPORT, Environment};

/// A way to speak to Codex.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::agent) enum Transport {
    /// `codex exec --json`: one prompt, and no further word until its end.
    #[default]
    Exec,
    /// `codex app-server`: requests and answers, so that it can be told more and be interrupted.
    AppServer,
}

impl Transport {
    /// The one that is set, or why none is, as a fragment of a sentence.
    pub(in crate::agent) fn of(environment: &Environment<'_>) -> Result<Self, String> {
        let Some(named) = environment.get(CODEX_TRANSPORT) else { return Ok(Self::Exec) };
        match named.to_str() {
            Some("exec") => Ok(Self::Exec),
            Some("app-server") => Ok(Self::AppServer),
            _ => Err(format!("{CODEX_TRANSPORT} is neither exec nor app-server")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    #[test]
    fn a_way_that_is_none_is_no_other() {
        let of = |set: Option<&str>| Transport::of(&Environment::of(&|_| set.map(OsString::from)));
        for exec in [None, Some(""), Some("exec")] {
            assert_eq!(of(exec), Ok(Transport::Exec), "{exec:?}");
        }
        assert_eq!(of(Some("app-server")), Ok(Transport::AppServer));
        for wrong in ["app_server", "Exec", "websocket"] {
            assert_eq!(of(Some(wrong)), Err("PULLYARD_CODEX_TRANSPORT is neither exec nor app-server".into()));
        }
    }
}
