//! Shares one HTTPS connector among all AWS clients of a process. By default, each client builds a connector and parses
//! all root certificates twice: six times the necessary work in a cold start.

use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use pullyard_cloud::CONNECT_TIMEOUT;

pub(super) fn client() -> SharedHttpClient {
    let tls = || Provider::Rustls(CryptoMode::AwsLc);
    // Built during initialization, because Lambda assigns more CPU then than during an event.
    let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).build();
    let connector = Connector::builder().connector_settings(settings).tls_provider(tls()).build();
    SharedHttpClient::new(SharedConnectorClient {
        connector: SharedHttpConnector::new(connector),
        fallback: Builder::new().tls_provider(tls()).build_https(),
    })
}

/// Keeps the trait's empty validation, because the connector is already built.
#[derive(Debug)]
struct SharedConnectorClient {
    connector: SharedHttpConnector,
    /// For settings with other limits, such as credential providers outside Lambda.
    fallback: SharedHttpClient,
}

impl HttpClient for SharedConnectorClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let has_shared_limits =
            settings.connect_timeout() == Some(CONNECT_TIMEOUT) && settings.read_timeout().is_none();
        if has_shared_limits { self.connector.clone() } else { self.fallback.http_connector(settings, components) }
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.fallback.connector_metadata()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use aws_config::timeout::TimeoutConfig;
    use aws_config::{BehaviorVersion, Region};
    use aws_credential_types::Credentials;
    use aws_smithy_runtime_api::box_error::BoxError;
    use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
    use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
    use aws_smithy_types::config_bag::ConfigBag;
    use pullyard_cloud::with_timeouts;
    use pullyard_control::Clock;
    use pullyard_domain::text::id::ProjectId;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    #[derive(Clone, Debug, Default)]
    struct CallCounter(Arc<AtomicU32>);

    impl CallCounter {
        fn increment(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }

        fn total(&self) -> u32 {
            self.0.load(Ordering::SeqCst)
        }
    }

    impl HttpConnector for CallCounter {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            self.increment();
            // A user error, so that the SDK does not retry.
            HttpConnectorFuture::ready(Err(ConnectorError::user("there is no network".into())))
        }
    }

    impl HttpClient for CallCounter {
        fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
            self.increment();
            SharedHttpConnector::new(self.clone())
        }

        fn validate_base_client_config(&self, _: &RuntimeComponentsBuilder, _: &ConfigBag) -> Result<(), BoxError> {
            self.increment();
            Ok(())
        }
    }

    async fn check(limits: Option<TimeoutConfig>) -> (u32, u32) {
        let (connector, fallback) = (CallCounter::default(), CallCounter::default());
        let https = SharedConnectorClient {
            connector: SharedHttpConnector::new(connector.clone()),
            fallback: SharedHttpClient::new(fallback.clone()),
        };
        let loader = with_timeouts(aws_config::defaults(BehaviorVersion::latest()))
            .http_client(https)
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("key", "secret", None, None, "test"));
        let loader = match limits {
            Some(limits) => loader.timeout_config(limits),
            None => loader,
        };
        let sdk = loader.load().await;
        let variable = |name: &str| match name {
            "PULLYARD_TASK_DEFINITIONS" => Some("small=s,medium=m,large=l".to_owned()),
            "PULLYARD_OUTBOUND_ALLOW" | "PULLYARD_TAGS" => None,
            name if name.ends_with("_ENDPOINT") => None,
            _ => Some("x".to_owned()),
        };
        let ctx = Config::from_vars(variable).unwrap().context(&sdk, Clock::default());
        ctx.store.load_project(&ProjectId::new("acme").unwrap()).await.unwrap_err();
        ctx.secrets.get("key").await.unwrap_err();
        (connector.total(), fallback.total())
    }

    #[tokio::test]
    async fn clients_with_our_limits_share_one_connector() {
        assert_eq!(check(None).await, (2, 0));
    }

    #[tokio::test]
    async fn client_with_other_limits_gets_its_own_connector() {
        let other_limits = TimeoutConfig::builder().connect_timeout(Duration::from_secs(1)).build();
        let (connector, fallback) = check(Some(other_limits)).await;
        assert_eq!(connector, 0);
        assert!(fallback > 0);
    }
}
