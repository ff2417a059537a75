//! Observes the functions' calls to AWS and derives the IAM permissions that they need.
//! A tap precedes each embedded service and refuses no request. Permissions have the form of IAM: one action per item
//! of a transaction, an ARN per index, the item's partition key, and the attributes of an update.

mod expression;
mod permission;
mod tcp_proxy;

use std::fmt;
use std::io;
use std::sync::Arc;

use pullyard_emulator::Endpoints;
use serde_json::{Value, json};

pub use permission::Permission;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    DynamoDb,
    Sqs,
    SecretsManager,
    Ecs,
    /// The body has `Bucket` and `Key`.
    S3,
}

#[derive(Clone, Debug)]
pub struct Call {
    /// The application name of the caller's SDK: `app/NAME` in its User-Agent; in a signed URL, `x-app`.
    pub app: Option<String>,
    pub service: Service,
    pub operation: String,
    /// The request; null if it is not JSON.
    pub body: Value,
}

impl Call {
    /// The call of a request; `None` if it names no operation.
    fn parse(service: Service, line: &str, header: impl Fn(&str) -> Option<String>, body: &[u8]) -> Option<Self> {
        if service == Service::S3 {
            return Self::parse_s3(line);
        }
        let target = header("x-amz-target")?;
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let agent = header("user-agent").unwrap_or_default();
        let app = agent.split_whitespace().find_map(|word| word.strip_prefix("app/")).map(str::to_owned);
        Some(Self { app, service, operation, body: serde_json::from_slice(body).unwrap_or_default() })
    }

    /// Parses a request for `/BUCKET/KEY?…` of S3 from its first line.
    fn parse_s3(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let operation = match words.next()? {
            "PUT" => "PutObject",
            "HEAD" => "HeadObject",
            "GET" => "GetObject",
            _ => return None,
        };
        let (path, query) = words.next()?.split_once('?')?;
        let (bucket, key) = path.strip_prefix('/')?.split_once('/')?;
        let app = query.split('&').find_map(|pair| pair.strip_prefix("x-app=")).map(str::to_owned);
        let body = json!({ "Bucket": bucket, "Key": key });
        Some(Self { app, service: Service::S3, operation: operation.to_owned(), body })
    }

    /// The permissions that the caller's policies must all allow.
    #[must_use]
    pub fn permissions(&self) -> Vec<Permission> {
        permission::required_permissions(self)
    }
}

/// A callback for every request before it reaches the service. It must not block.
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(&Call) + Send + Sync>);

impl Observer {
    pub fn new(observe: impl Fn(&Call) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observe))
    }

    /// Starts a tap before each service and returns the taps' addresses. They listen until the runtime ends.
    ///
    /// # Errors
    /// No port can be bound.
    pub fn start_taps(&self, services: &Endpoints) -> io::Result<Endpoints> {
        let tap = |service, url: &str| tcp_proxy::start(service, url, self.clone());
        Ok(Endpoints {
            dynamodb: tap(Service::DynamoDb, &services.dynamodb)?,
            sqs: tap(Service::Sqs, &services.sqs)?,
            secretsmanager: tap(Service::SecretsManager, &services.secretsmanager)?,
            ecs: tap(Service::Ecs, &services.ecs)?,
            s3: tap(Service::S3, &services.s3)?,
        })
    }

    fn notify(&self, call: &Call) {
        (self.0)(call);
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Observer { .. }")
    }
}
