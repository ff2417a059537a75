//! Formats times and random ids as AWS does on the wire.

use rand::RngExt as _;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Timestamp(OffsetDateTime);

impl Timestamp {
    pub(crate) fn now() -> Self {
        Self(OffsetDateTime::now_utc())
    }

    /// Units: seconds since the epoch with milliseconds as the fraction, as in JSON 1.1 responses.
    pub(crate) fn epoch_secs(self) -> f64 {
        let millis = u32::from(self.0.millisecond());
        // Present-day seconds fit `f64` exactly; the fraction has milliseconds.
        self.0.unix_timestamp() as f64 + f64::from(millis) / 1000.0
    }

    pub(crate) fn epoch_millis(self) -> i64 {
        self.0.unix_timestamp() * 1000 + i64::from(self.0.millisecond())
    }

    /// `2026-11-20T08:15:28Z`, the `time` of an EventBridge envelope.
    pub(crate) fn rfc3339(self) -> String {
        let seconds = self.0.replace_nanosecond(0).unwrap_or(self.0);
        seconds.format(&Rfc3339).unwrap_or_default()
    }

    /// `20/Nov/2026:08:15:28 +0000`, the `requestContext.time` of an HTTP API.
    pub(crate) fn common_log(self) -> String {
        let month = self.0.month().to_string();
        format!(
            "{:02}/{}/{:04}:{:02}:{:02}:{:02} +0000",
            self.0.day(),
            month.get(..3).unwrap_or_default(),
            self.0.year(),
            self.0.hour(),
            self.0.minute(),
            self.0.second()
        )
    }
}

/// `2026-11-20T08:15:28.123Z` from epoch seconds; EventBridge details contain times as text.
pub(crate) fn rfc3339_from_epoch_secs(epoch_secs: f64) -> String {
    let nanos = (epoch_secs * 1000.0).round() as i128 * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_default()
}

pub(crate) fn random_hex() -> String {
    format!("{:032x}", rand::rng().random::<u128>())
}

pub(crate) fn random_uuid() -> String {
    let bits = rand::rng().random::<u128>();
    let bits = bits & !(0xf << 76) & !(0b11 << 62) | (0x4 << 76) | (0b10 << 62);
    let hex = format!("{bits:032x}");
    let mut uuid = String::with_capacity(36);
    for (index, digit) in hex.chars().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            uuid.push('-');
        }
        uuid.push(digit);
    }
    uuid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_formats_of_aws() {
        let moment = Timestamp(OffsetDateTime::from_unix_timestamp_nanos(1_583_348_638_390_000_000).unwrap());
        assert_eq!(moment.common_log(), "04/Mar/2020:19:03:58 +0000");
        assert_eq!(moment.rfc3339(), "2020-03-04T19:03:58Z");
        assert_eq!(moment.epoch_millis(), 1_583_348_638_390);
        assert_eq!(moment.epoch_secs(), 1_583_348_638.39);
        assert_eq!(rfc3339_from_epoch_secs(moment.epoch_secs()), "2020-03-04T19:03:58.39Z");
    }
}
