//! Calls for endpoints of notifications and for notices.

use super::{ApiClient, Error, RetryPolicy};
use crate::notification::{
    EndpointList, EndpointStatus, EndpointTest, Notice, NoticePage, PutEndpoint, RedeliverNotice,
};
use pullyard_domain::text::id::{EndpointId, NoticeId, ProjectId};
use reqwest::Method;
use serde_json::json;

fn path(project: &ProjectId, endpoint: &EndpointId) -> String {
    format!("/v1/projects/{project}/notifications/{endpoint}")
}

impl ApiClient {
    pub async fn endpoints(&self, project: &ProjectId) -> Result<EndpointList, Error> {
        self.http.get(&format!("/v1/projects/{project}/notifications")).await
    }

    /// Not repeated, because only the first answer has the signing secret.
    pub async fn put_endpoint(
        &self,
        project: &ProjectId,
        id: &EndpointId,
        endpoint: &PutEndpoint,
    ) -> Result<EndpointStatus, Error> {
        let call = self.http.request(Method::PUT, &path(project, id)).json(endpoint);
        self.http.send(call, RetryPolicy::Never).await
    }

    pub async fn delete_endpoint(&self, project: &ProjectId, id: &EndpointId) -> Result<EndpointStatus, Error> {
        self.http.delete(&path(project, id)).await
    }

    /// Not repeated, because each call sends a message.
    pub async fn test_endpoint(&self, project: &ProjectId, id: &EndpointId) -> Result<EndpointTest, Error> {
        self.http.post_once(&format!("{}/test", path(project, id)), &json!({})).await
    }

    pub async fn enable_endpoint(&self, project: &ProjectId, id: &EndpointId) -> Result<EndpointStatus, Error> {
        self.http.post_idempotent(&format!("{}/enable", path(project, id)), &json!({})).await
    }

    pub async fn notices(&self, project: &ProjectId, failed: bool, after: Option<&str>) -> Result<NoticePage, Error> {
        self.http.get_page(&format!("/v1/notices?project={project}&failed={failed}"), after).await
    }

    pub async fn redeliver_notice(&self, notice: &NoticeId) -> Result<Notice, Error> {
        self.http.post_idempotent("/v1/notices/redeliver", &RedeliverNotice { notice: notice.clone() }).await
    }
}
