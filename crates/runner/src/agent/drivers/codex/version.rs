//! Rejects versions of Codex that do not know a feature that the runner turns off.

/// A version number, and whether it is a release: a pre-release is older than its release.
type Version = ((u64, u64, u64), bool);

/// The oldest version that knows every feature that the runner turns off. An older one exits at once with
/// `Unknown feature flag` (measured with 0.144.0 and 0.147.0).
const OLDEST_SUPPORTED: Version = ((0, 148, 0), true);
/// The version of a build from sources, which may know every feature.
const SOURCE_BUILD: (u64, u64, u64) = (0, 0, 0);

/// Checks whether the runner can start a Codex of this version. A version in an unknown form passes, because the first
/// job shows whether it works.
/// Errors: the reason, as a fragment of a sentence.
pub(super) fn check_version(version: &str) -> Result<(), String> {
    if parse_version(version).is_none_or(|own| own >= OLDEST_SUPPORTED || own.0 == SOURCE_BUILD) {
        return Ok(());
    }
    let ((major, minor, patch), _) = OLDEST_SUPPORTED;
    Err(format!("is {version}: update it to {major}.{minor}.{patch} or newer"))
}

fn parse_version(version: &str) -> Option<Version> {
    let base = version.split_once('+').map_or(version, |(base, _)| base);
    let (number, is_release) = base.split_once('-').map_or((base, true), |(number, _)| (number, false));
    let mut parts = number.split('.').map(|part| part.parse::<u64>().ok());
    let (major, minor, patch) = (parts.next()??, parts.next()??, parts.next().flatten().unwrap_or(0));
    Some(((major, minor, patch), is_release))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codex_older_than_0_148_is_rejected() {
        for new in ["0.148.0", "0.148.0+b-1", "0.148.1-alpha.1", "0.149.0-alpha.1", "0.169.0", "1.0"] {
            assert_eq!(check_version(new), Ok(()), "{new}");
        }
        for old in ["0.147.0", "0.147.9", "0.148.0-alpha.1", "0.144.0", "0.99", "0.0.1"] {
            let reason = format!("is {old}: update it to 0.148.0 or newer");
            assert_eq!(check_version(old), Err(reason));
        }
        // A build from source reports 0.0.0.
        for unknown in ["0.0.0", "0.0.0-dev", "0", "0.x", "", "next"] {
            assert_eq!(check_version(unknown), Ok(()), "{unknown}");
        }
    }
}
