//! Calls for pull requests, analyses and filtered ledger entries.

use super::{ApiClient, Error, RetryPolicy};
use crate::analysis::{AnalysisItems, AnalysisList, AnalysisQuery, RequestAnalysis};
use crate::decision::Decision;
use crate::delivery::{DeliveryPage, DeliveryQuery};
use crate::pull_request::{
    LinkPullRequest, PullRequest, PullRequestPage, PullRequestQuery, RaisePullRequest, ReviewPullRequest,
    RevisePullRequest, UnlinkedPullRequest,
};
use crate::ticket::LimitUse;
use pullyard_domain::text::id::ProjectId;
use pullyard_domain::text::percent_encode;
use reqwest::Method;

impl ApiClient {
    /// Requests a revision of a pull request. Idempotent: by `idempotency_key`.
    pub async fn revise_pull_request(
        &self,
        request: &RevisePullRequest,
        idempotency_key: Option<&str>,
    ) -> Result<Decision, Error> {
        self.http.post("/v1/pulls/revise", request, idempotency_key).await
    }

    /// Requests a review of a pull request by an agent. Idempotent: by `idempotency_key`.
    pub async fn review_pull_request(
        &self,
        request: &ReviewPullRequest,
        idempotency_key: Option<&str>,
    ) -> Result<Decision, Error> {
        self.http.post("/v1/pulls/review", request, idempotency_key).await
    }

    /// Requests a review whose findings are fixed. Idempotent: by `key`.
    pub async fn resolve_pull_request(&self, body: &ReviewPullRequest, key: Option<&str>) -> Result<Decision, Error> {
        self.http.post("/v1/pulls/resolve", body, key).await
    }

    /// Links a pull request to a ticket. Idempotent.
    pub async fn link_pull_request(&self, request: &LinkPullRequest) -> Result<PullRequest, Error> {
        self.http.put("/v1/pulls/link", request).await
    }

    pub async fn unlink_pull_request(&self, query: &PullRequestQuery) -> Result<UnlinkedPullRequest, Error> {
        self.http.send(self.http.request(Method::DELETE, "/v1/pulls/link").query(query), RetryPolicy::Never).await
    }

    pub async fn explain_pull_request(&self, query: &PullRequestQuery) -> Result<PullRequest, Error> {
        self.http.send(self.http.request(Method::GET, "/v1/pulls/why").query(query), RetryPolicy::Idempotent).await
    }

    pub async fn pulls(&self, project: &ProjectId, after: Option<&str>) -> Result<PullRequestPage, Error> {
        self.http.get_page(&format!("/v1/pulls?project={project}"), after).await
    }

    /// Requests an analysis of a repository. Idempotent: by `idempotency_key`.
    pub async fn request_analysis(
        &self,
        request: &RequestAnalysis,
        idempotency_key: Option<&str>,
    ) -> Result<Decision, Error> {
        self.http.post("/v1/analyses", request, idempotency_key).await
    }

    pub async fn analyses(&self, project: &ProjectId) -> Result<AnalysisList, Error> {
        self.http.get(&format!("/v1/analyses?project={project}")).await
    }

    pub async fn analysis_items(&self, query: &AnalysisQuery) -> Result<AnalysisItems, Error> {
        self.http.send(self.http.request(Method::GET, "/v1/analyses/items").query(query), RetryPolicy::Idempotent).await
    }

    /// Raises the limits of a pull request. Idempotent: by `idempotency_key`.
    pub async fn raise_pull_request(
        &self,
        raise: &RaisePullRequest,
        idempotency_key: Option<&str>,
    ) -> Result<LimitUse, Error> {
        self.http.post("/v1/pulls/raise", raise, idempotency_key).await
    }

    /// Filtered ledger entries of a project, newest first.
    pub async fn list_deliveries_matching(
        &self,
        project: &ProjectId,
        query: &DeliveryQuery,
    ) -> Result<DeliveryPage, Error> {
        let mut path = format!("/v1/deliveries?project={project}");
        let verdicts = query.verdicts.iter().map(|verdict| verdict.as_str()).collect::<Vec<_>>().join(",");
        let parameters = [
            ("verdict", (!verdicts.is_empty()).then_some(verdicts)),
            ("code", (!query.codes.is_empty()).then(|| query.codes.join(","))),
            ("ticket", query.ticket.as_ref().map(ToString::to_string)),
            ("pull_request", query.pull_request.clone()),
            ("since", query.since.map(|at| at.to_string())),
            ("until", query.until.map(|at| at.to_string())),
            ("limit", query.limit.map(|limit| limit.to_string())),
            ("after", query.after.clone()),
        ];
        for (name, value) in parameters {
            path.extend(value.map(|value| format!("&{name}={}", percent_encode(&value))));
        }
        self.http.get(&path).await
    }
}
