//! Time limits of calls to AWS.

use aws_config::ConfigLoader;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use std::time::Duration;

pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Limits each call to AWS, per try and in total, with the SDK's jittered back-off. A try includes the whole response.
/// The SDK's stalled-stream protection is off: with the same five seconds, chance would decide which error occurs.
pub fn with_timeouts(loader: ConfigLoader) -> ConfigLoader {
    let limits = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(Duration::from_secs(5))
        .operation_timeout(Duration::from_secs(15))
        .build();
    loader
        .retry_config(RetryConfig::standard().with_max_attempts(4))
        .timeout_config(limits)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
}
