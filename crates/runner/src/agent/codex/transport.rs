//! By which of its two ways Codex is driven: as the operator says, and else by the one that is not experimental. And
//! which versions can be driven so.

use crate::agent::environment::{CODEX_TRANSPORT, Environment};

/// A version's number, and whether it is a release: what is tried before one is older than that.
type Version = ((u64, u64, u64), bool);

/// The oldest version that knows each feature that every start of ours turns off. One that does not know a feature
/// ends before it begins (`Unknown feature flag`, measured of 0.144.0 and 0.147.0).
const OLDEST: Version = ((0, 148, 0), true);
/// The oldest version whose `app-server` was measured. Some before it refuse `thread/turns/list`, by which an end is
/// proven, to whoever did not ask for what is experimental; the oldest don't know it.
const OLDEST_SERVER: Version = ((0, 169, 0), true);
/// What one says that somebody built from its sources, whatever it knows.
const BUILT_BY_HAND: (u64, u64, u64) = (0, 0, 0);

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

    /// Whether a Codex of this version can be driven this way, or why not, as a fragment of a sentence.
    pub(in crate::agent) fn drives(self, version: &str) -> Result<(), String> {
        let read = read(version);
        let (is_driven, who, ((major, minor, patch), _)) = match self {
            // What does not say how old it is may know everything: its first job shows.
            Self::Exec => {
                let is_driven = read.is_none_or(|own| own >= OLDEST || own.0 == BUILT_BY_HAND);
                (is_driven, "the runner".to_owned(), OLDEST)
            }
            Self::AppServer => {
                let is_driven = read.is_some_and(|own| own >= OLDEST_SERVER);
                (is_driven, format!("{CODEX_TRANSPORT}=app-server"), OLDEST_SERVER)
            }
        };
        if is_driven {
            return Ok(());
        }
        Err(format!("is {version}, and {who} needs {major}.{minor}.{patch} or newer: update it"))
    }
}

/// The version that these words say, if they say one.
fn read(version: &str) -> Option<Version> {
    let known = version.split_once('+').map_or(version, |(known, _)| known);
    let (number, is_release) = known.split_once('-').map_or((known, true), |(number, _)| (number, false));
    let mut parts = number.split('.').map(|part| part.parse::<u64>().ok());
    let (major, minor, patch) = (parts.next()??, parts.next()??, parts.next().flatten().unwrap_or(0));
    Some(((major, minor, patch), is_release))
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
            assert_eq!(Transport::AppServer.drives(new), Ok(()), "{new}");
        }
        for old in ["0.168.9", "0.169.0-alpha.1", "0.169.0-rc+b", "0.99.0", "0.0.0", "0", "0.x", "", "next"] {
            let needs = "PULLYARD_CODEX_TRANSPORT=app-server needs 0.169.0 or newer: update it";
            assert_eq!(Transport::AppServer.drives(old), Err(format!("is {old}, and {needs}")));
        }
    }

    #[test]
    fn a_version_that_does_not_know_what_is_turned_off_is_not_driven_at_all() {
        for new in ["0.148.0", "0.148.0+b-1", "0.148.1-alpha.1", "0.149.0-alpha.1", "0.169.0", "1.0"] {
            assert_eq!(Transport::Exec.drives(new), Ok(()), "{new}");
        }
        for old in ["0.147.0", "0.147.9", "0.148.0-alpha.1", "0.144.0", "0.99", "0.0.1"] {
            let reason = format!("is {old}, and the runner needs 0.148.0 or newer: update it");
            assert_eq!(Transport::Exec.drives(old), Err(reason));
        }
        // What is built from its sources by hand says 0.0.0.
        for unknown in ["0.0.0", "0.0.0-dev", "0", "0.x", "", "next"] {
            assert_eq!(Transport::Exec.drives(unknown), Ok(()), "{unknown}");
        }
    }
}
