//! Calls for artifacts, attempts and contexts of jobs.

use super::{ApiClient, Error, Http, client_builder, gateway_problem, root_cause};
use crate::Problem;
use crate::artifact::{Artifacts, Attempts, JobContext};
use crate::job::OutputAnswer;
use pullyard_domain::text::id::{ArtifactId, JobId};
use reqwest::{Method, Response, StatusCode, header};
use std::time::Duration;

/// Limit for the largest artifact over a slow connection.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(600);

/// The body of an artifact.
#[derive(Debug)]
pub struct Download(Response);

impl Download {
    /// The next part; `None` at the end. Errors: the connection broke and the body is incomplete.
    pub async fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.chunk().await.map_err(download_error)?.map(|bytes| bytes.to_vec()))
    }
}

/// Omits the URL, which is a credential.
fn download_error(error: reqwest::Error) -> Error {
    Error::Unreachable { url: "the artifact's bucket".into(), reason: root_cause(&error.without_url()) }
}

impl ApiClient {
    pub async fn artifacts(&self, job: &JobId) -> Result<Artifacts, Error> {
        self.http.get(&format!("/v1/jobs/{job}/artifacts")).await
    }

    pub async fn attempts(&self, job: &JobId) -> Result<Attempts, Error> {
        self.http.get(&format!("/v1/jobs/{job}/attempts")).await
    }

    pub async fn job_output(&self, job: &JobId) -> Result<OutputAnswer, Error> {
        self.http.get(&format!("/v1/jobs/{job}/output")).await
    }

    pub async fn job_context(&self, job: &JobId) -> Result<JobContext, Error> {
        self.http.get(&format!("/v1/jobs/{job}/context")).await
    }

    pub async fn download_artifact(&self, job: &JobId, artifact: &ArtifactId) -> Result<Download, Error> {
        let address = self.http.get_redirect(&format!("/v1/jobs/{job}/artifacts/{artifact}")).await?;
        // Do not send our token to the bucket, which is another server. The URL alone authorises the download.
        let client = client_builder(&address, DOWNLOAD_LIMIT).build().map_err(download_error)?;
        let answer = client.get(&address).send().await.map_err(download_error)?;
        match answer.status() {
            StatusCode::OK => Ok(Download(answer)),
            status => Err(Error::Problem(Box::new(Problem {
                detail: format!("The artifact store refused the download: {status}."),
                ..gateway_problem(&self.http.base, status)
            }))),
        }
    }
}

impl Http {
    async fn get_redirect(&self, path: &str) -> Result<String, Error> {
        let unreachable =
            |error: reqwest::Error| Error::Unreachable { url: self.base.clone(), reason: root_cause(&error) };
        let answer = self.request(Method::GET, path).send().await.map_err(unreachable)?;
        let status = answer.status();
        if status != StatusCode::FOUND {
            let body = answer.bytes().await.map_err(unreachable)?;
            return Err(Error::Problem(Box::new(
                serde_json::from_slice(&body).unwrap_or_else(|_| gateway_problem(&self.base, status)),
            )));
        }
        let address = answer.headers().get(header::LOCATION).and_then(|address| address.to_str().ok());
        let missing = || Error::Unreadable { url: self.base.clone(), reason: "the redirect has no location".into() };
        address.map(str::to_owned).ok_or_else(missing)
    }
}
