//! Formats times and random ids as AWS does on the wire.

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

    /// `2026-11-20T08:15:28Z`, the `time` of an EventBridge envelope.
    pub(crate) fn rfc3339(self) -> String {
        let seconds = self.0.replace_nanosecond(0).unwrap_or(self.0);
        seconds.format(&Rfc3339).unwrap_or_default()
    }
}

pub(crate) fn random_hex() -> String {
    format!("{:032x}", rand::random::<u128>())
}

pub(crate) fn random_uuid() -> String {
    let bits = rand::random::<u128>();
    let bits = bits & !(0xf << 76) & !(0b11 << 62) | (0x4 << 76) | (0b10 << 62);
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_formats_of_aws() {
        let moment = Timestamp(OffsetDateTime::from_unix_timestamp_nanos(1_583_348_638_390_000_000).unwrap());
        assert_eq!(moment.rfc3339(), "2020-03-04T19:03:58Z");
        assert_eq!(moment.epoch_secs(), 1_583_348_638.39);
    }
}
