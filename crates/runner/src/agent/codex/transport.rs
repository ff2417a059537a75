//! By which of its two ways Codex is driven: as the operator says, and else by the one that every version offers.

use crate::agent::environment::{CODEX_TRANSPORT, Environment};

/// The oldest version whose `app-server` was measured. Some before it refuse `thread/turns/list`, by which an end is
/// proven, to whoever did not ask for what is experimental; the oldest don't know it.
const OLDEST_SERVER: (u64, u64, u64) = (0, 169, 0);

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

    /// Whether a Codex of this version can be driven as a server, or why not, as a fragment of a sentence.
    pub(in crate::agent) fn serves(version: &str) -> Result<(), String> {
        let (major, minor, patch) = OLDEST_SERVER;
        let known = version.split_once('+').map_or(version, |(known, _)| known);
        // What is tried before a release is older than that.
        let (number, is_release) = known.split_once('-').map_or((known, true), |(number, _)| (number, false));
        let mut parts = number.split('.').map(|part| part.parse::<u64>().ok());
        let serves = match (parts.next().flatten(), parts.next().flatten(), parts.next().flatten()) {
            (Some(own), Some(next), last) => (own, next, last.unwrap_or(0), is_release) >= (major, minor, patch, true),
            _ => false,
        };
        if serves {
            return Ok(());
        }
        Err(format!("is {version}, and {CODEX_TRANSPORT}=app-server needs {major}.{minor}.{patch} or newer"))
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

    #[test]
    fn only_a_version_that_says_how_a_turn_stands_is_a_server() {
        for new in
            ["0.169.0", "0.169.0+b-1", "0.169.3-alpha.1", "0.170.0-alpha.1", "0.170.0", "0.1000.0", "1.0.0", "1.0"]
        {
            assert_eq!(Transport::serves(new), Ok(()), "{new}");
        }
        // What is built from its sources by hand says 0.0.0.
        for old in ["0.168.9", "0.169.0-alpha.1", "0.169.0-rc+b", "0.99.0", "0.0.0", "0", "0.x", "", "next"] {
            let needs = "PULLYARD_CODEX_TRANSPORT=app-server needs 0.169.0 or newer";
            assert_eq!(Transport::serves(old), Err(format!("is {old}, and {needs}")));
        }
    }
}
