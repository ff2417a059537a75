//! Starts and stops the embedded AWS services.

use std::path::PathBuf;

use crate::Error;
use crate::access::{Access, Credentials};
use crate::direct::Direct;
use crate::dynamodb::DynamoDb;
use crate::ecs::{self, Ecs};
use crate::s3::{Buckets, S3};
use crate::secretsmanager::SecretsManager;
use crate::sqs::{self, Sqs};

#[derive(Clone, Debug)]
pub struct Options {
    /// Without it, only tasks and objects are files, in the folder of the tasks.
    pub data: Option<PathBuf>,
    pub tasks: ecs::Options,
    pub access: Access,
}

#[derive(Clone, Debug)]
pub struct Endpoints {
    pub dynamodb: String,
    pub sqs: String,
    pub secretsmanager: String,
    pub ecs: String,
    /// S3 with path-style addresses: the bucket is the first segment.
    pub s3: String,
}

#[derive(Debug)]
pub struct Aws {
    endpoints: Endpoints,
    credentials: Credentials,
    dynamodb: DynamoDb,
    sqs: sqs::SqsServer,
    secretsmanager: SecretsManager,
    ecs: Ecs,
    s3: S3,
}

impl Aws {
    /// Errors: a port cannot be bound, a folder cannot be created, or the database cannot be opened.
    pub async fn start(options: Options) -> Result<Self, Error> {
        Self::start_on(options, None).await
    }

    /// Like `start`, on `first_port` and the next four, or free ones if taken: DynamoDB, SQS, Secrets Manager, ECS, S3.
    pub async fn start_on(options: Options, first_port: Option<u16>) -> Result<Self, Error> {
        let port = |offset: u16| first_port.and_then(|first| first.checked_add(offset));
        let Options { data, tasks, access } = options;
        let data = data.as_deref();
        let dynamodb = DynamoDb::start(data, &access, port(0)).await?;
        let sqs = sqs::SqsServer::start(&access, port(1)).await?;
        let secretsmanager = SecretsManager::start(data, &access, port(2)).await?;
        let objects = data.unwrap_or(&tasks.data_dir).join("s3");
        let credentials = access.credentials();
        let s3 = S3::start(objects, data.is_some(), &credentials, port(4)).await?;
        let ecs = Ecs::start(tasks, &access, port(3)).await?;
        let endpoints = Endpoints {
            dynamodb: dynamodb.url.clone(),
            sqs: sqs.url.clone(),
            secretsmanager: secretsmanager.url.clone(),
            ecs: ecs.url.clone(),
            s3: s3.url.clone(),
        };
        Ok(Self { endpoints, credentials, dynamodb, sqs, secretsmanager, ecs, s3 })
    }

    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Calls of DynamoDB, SQS, Secrets Manager and ECS without a connection.
    #[must_use]
    pub fn direct(&self) -> Direct {
        let of = |url: &str, router: &axum::Router| (url.trim_start_matches("http://").to_owned(), router.clone());
        Direct::new([
            of(&self.dynamodb.url, &self.dynamodb.router),
            of(&self.sqs.url, &self.sqs.router),
            of(&self.secretsmanager.url, &self.secretsmanager.router),
            of(&self.ecs.url, &self.ecs.router),
        ])
    }

    /// For clients of these services.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    #[must_use]
    pub fn ecs(&self) -> &Ecs {
        &self.ecs
    }

    #[must_use]
    pub fn sqs(&self) -> &Sqs {
        &self.sqs.queues
    }

    #[must_use]
    pub fn s3(&self) -> &Buckets {
        &self.s3.buckets
    }

    /// Stops every service but leaves the tasks running, as a crash of the host would.
    pub async fn detach(self) {
        self.ecs.detach().await;
    }

    /// Kills running tasks within their stop timeout, then stops every service.
    pub async fn shutdown(mut self) {
        self.ecs.shutdown().await;
        tokio::join!(
            self.sqs.shutdown(),
            self.secretsmanager.server.stop(),
            self.dynamodb.server.stop(),
            self.s3.server.stop(),
        );
    }
}
