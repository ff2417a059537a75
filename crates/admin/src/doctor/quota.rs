//! Finds account quotas so small that task starts or functions may soon reach them.

use super::Finding;
use crate::aws::{Service, unreadable_response};
use crate::{Aws, Error};
use futures::future::try_join_all;
use serde_json::json;

struct Quota {
    service: &'static str,
    code: &'static str,
    name: &'static str,
    consequence: &'static str,
    /// Warning level. New accounts may start below it.
    min_limit: f64,
}

const QUOTAS: [Quota; 3] = [
    Quota {
        service: "fargate",
        code: "L-3032A538",
        name: "Fargate vCPUs",
        consequence: "jobs wait with `fargate_capacity` or `fargate_throttled`",
        min_limit: 16.0,
    },
    Quota {
        service: "fargate",
        code: "L-36FBB829",
        name: "Fargate Spot vCPUs",
        consequence: "jobs of projects with `task_capacity=fargate_spot` wait",
        min_limit: 16.0,
    },
    Quota {
        service: "lambda",
        code: "L-B99A9384",
        name: "concurrent Lambda executions",
        consequence: "webhooks and heartbeats are refused",
        min_limit: 100.0,
    },
];

pub(super) async fn check(aws: &Aws) -> Result<Vec<Finding>, Error> {
    let limits = try_join_all(QUOTAS.iter().map(|quota| load_limit(aws, quota))).await?;
    let (mut findings, mut sufficient) = (Vec::new(), Vec::new());
    for (Quota { service, code, name, consequence, min_limit }, limit) in QUOTAS.iter().zip(limits) {
        if limit >= *min_limit {
            sufficient.push(format!("{limit:.0} {name}"));
            continue;
        }
        findings.push(Finding::warning(
            "quota",
            format!("This account may use only {limit:.0} {name}; at the limit, {consequence}."),
            format!(
                "Request more: `aws service-quotas request-service-quota-increase --service-code {service} \
                 --quota-code {code} --desired-value N`."
            ),
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::good("quota", format!("No quota is small: {}.", sufficient.join(", "))));
    }
    Ok(findings)
}

async fn load_limit(aws: &Aws, quota: &Quota) -> Result<f64, Error> {
    let request = json!({ "ServiceCode": quota.service, "QuotaCode": quota.code });
    let answer = match aws.call_json(Service::SERVICE_QUOTAS, "GetServiceQuota", &request).await {
        // Some quotas have only a default until the account requests an increase.
        Err(error) if error.code() == Some("NoSuchResourceException") => {
            aws.call_json(Service::SERVICE_QUOTAS, "GetAWSDefaultServiceQuota", &request).await?
        }
        answer => answer?,
    };
    answer["Quota"]["Value"].as_f64().ok_or_else(|| unreadable_response("GetServiceQuota"))
}
