//! What people ask about what attempts left behind.

use super::{Error, Http, Operator, nameless, reason_of};
use crate::artifact::{Artifacts, Attempts, Checks, JobContext};
use pullyard_domain::id::{ArtifactId, JobId};
use reqwest::{Method, Response, StatusCode, header};
use std::time::Duration;

/// How long the bytes of an artifact may take: the largest over a slow line.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(600);

/// The bytes of an artifact, as they come.
#[derive(Debug)]
pub struct Download(Response);

impl Download {
    /// The next of them; none when that was all.
    ///
    /// Errors: the connection broke, and what came is not all.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.chunk().await.map_err(lost)?.map(|bytes| bytes.to_vec()))
    }
}

/// Without its address, which is a credential.
fn lost(error: reqwest::Error) -> Error {
    Error::Unreachable { url: "the artifact's bucket".into(), reason: reason_of(&error.without_url()) }
}

impl Operator {
    /// What a job's attempts left behind.
    pub async fn artifacts(&self, job: &JobId) -> Result<Artifacts, Error> {
        self.http.get(&format!("/v1/jobs/{job}/artifacts")).await
    }

    /// How a job's attempts went.
    pub async fn attempts(&self, job: &JobId) -> Result<Attempts, Error> {
        self.http.get(&format!("/v1/jobs/{job}/attempts")).await
    }

    /// What came of the checks on a job's work.
    pub async fn checks(&self, job: &JobId) -> Result<Checks, Error> {
        self.http.get(&format!("/v1/jobs/{job}/checks")).await
    }

    /// What a job's agent is told.
    pub async fn job_context(&self, job: &JobId) -> Result<JobContext, Error> {
        self.http.get(&format!("/v1/jobs/{job}/context")).await
    }

    /// The bytes of an artifact.
    pub async fn artifact(&self, job: &JobId, artifact: &ArtifactId) -> Result<Download, Error> {
        let address = self.http.sent_on(&format!("/v1/jobs/{job}/artifacts/{artifact}")).await?;
        // Never with our token: the address is all that its bucket wants to see, and it belongs to somebody else.
        let client = Http::anonymous(&address, DOWNLOAD_LIMIT)?;
        let answer = client.get(&address).send().await.map_err(lost)?;
        match answer.status() {
            StatusCode::OK => Ok(Download(answer)),
            status => Err(Error::Problem(Box::new(nameless(status)))),
        }
    }
}

impl Http {
    /// Where an answer sends us on to.
    async fn sent_on(&self, path: &str) -> Result<String, Error> {
        let unreachable =
            |error: reqwest::Error| Error::Unreachable { url: self.base.clone(), reason: reason_of(&error) };
        let answer = self.request(Method::GET, path).send().await.map_err(unreachable)?;
        let status = answer.status();
        if status != StatusCode::FOUND {
            let body = answer.bytes().await.map_err(unreachable)?;
            return Err(Error::Problem(Box::new(serde_json::from_slice(&body).unwrap_or_else(|_| nameless(status)))));
        }
        let address = answer.headers().get(header::LOCATION).and_then(|address| address.to_str().ok());
        let missing =
            || Error::Unreadable { url: self.base.clone(), reason: "it does not say where it sends us".into() };
        address.map(str::to_owned).ok_or_else(missing)
    }
}
