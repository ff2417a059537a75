//! The pauses before further starts of an agent that could not reach its model.

use std::time::Duration;

/// The pause before each further start. Their number limits the further starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartPauses(pub(super) Vec<Duration>);

impl Default for RestartPauses {
    fn default() -> Self {
        Self([30, 60, 90].map(Duration::from_secs).to_vec())
    }
}

/// Parses pauses such as `30,60,90`, in seconds: at most ten. An empty text allows no further start.
pub(crate) fn parse_pauses(text: &str) -> Result<RestartPauses, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let secs: Result<Vec<u64>, _> = parts.map(str::parse).collect();
    match secs {
        Ok(secs) if secs.len() <= 10 && secs.iter().all(|secs| *secs <= 3_600) => {
            Ok(RestartPauses(secs.into_iter().map(Duration::from_secs).collect()))
        }
        _ => Err("use at most ten whole numbers up to 3600, such as 30,60,90".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_default_to_30_60_90_and_reject_bad_lists() {
        assert_eq!(RestartPauses::default(), parse_pauses("30, 60,90").unwrap());
        assert_eq!(parse_pauses(""), Ok(RestartPauses(Vec::new())));
        for wrong in ["30;60", "-1", "x", "9999", "1,1,1,1,1,1,1,1,1,1,1"] {
            assert!(parse_pauses(wrong).is_err(), "{wrong}");
        }
    }
}
