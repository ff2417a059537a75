//! Finds account quotas that task starts or functions may soon reach.

use super::Finding;
use super::metric::Statistic;
use crate::aws::Service;
use crate::{Aws, Error};
use futures::future::try_join_all;
use serde_json::json;
use std::time::Duration;

const WARN_PERCENT: f64 = 80.0;

struct Quota {
    service: &'static str,
    code: &'static str,
    name: &'static str,
    consequence: &'static str,
    /// Warning level. New accounts may start below it and soon reach their quota.
    min_limit: f64,
    usage_metric: Option<(&'static str, &'static str)>,
}

const QUOTAS: [Quota; 3] = [
    Quota {
        service: "fargate",
        code: "L-3032A538",
        name: "Fargate vCPUs",
        consequence: "jobs wait with `fargate_capacity` or `fargate_throttled`",
        min_limit: 16.0,
        usage_metric: None,
    },
    Quota {
        service: "fargate",
        code: "L-36FBB829",
        name: "Fargate Spot vCPUs",
        consequence: "jobs of projects with `task_capacity=fargate_spot` wait",
        min_limit: 16.0,
        usage_metric: None,
    },
    Quota {
        service: "lambda",
        code: "L-B99A9384",
        name: "concurrent Lambda executions",
        consequence: "webhooks and heartbeats are refused",
        min_limit: 100.0,
        usage_metric: Some(("AWS/Lambda", "ConcurrentExecutions")),
    },
];

pub(super) async fn check(aws: &Aws) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let mut usages = Vec::new();
    let loaded = try_join_all(QUOTAS.iter().map(|quota| load_usage(aws, quota))).await?;
    for (quota, (limit, used)) in QUOTAS.iter().zip(loaded) {
        let raise = format!(
            "Request more: `aws service-quotas request-service-quota-increase --service-code {} --quota-code {} \
             --desired-value N`.",
            quota.service, quota.code
        );
        let Quota { name, consequence, .. } = quota;
        match used {
            Some(used) if used >= limit * WARN_PERCENT / 100.0 => findings.push(Finding::wrong(
                "quota",
                format!(
                    "{used:.0} of {limit:.0} {name} were in use within the last hour; at the limit, {consequence}."
                ),
                raise,
            )),
            _ if limit < quota.min_limit => findings.push(Finding::warning(
                "quota",
                format!("This account may use only {limit:.0} {name}; at the limit, {consequence}."),
                raise,
            )),
            Some(used) => usages.push(format!("{used:.0} of {limit:.0} {name}")),
            None => usages.push(format!("at most {limit:.0} {name}")),
        }
    }
    if findings.is_empty() {
        findings.push(Finding::good("quota", format!("Usage is below all quotas: {}.", usages.join(", "))));
    }
    Ok(findings)
}

async fn load_usage(aws: &Aws, quota: &Quota) -> Result<(f64, Option<f64>), Error> {
    let request = json!({ "ServiceCode": quota.service, "QuotaCode": quota.code });
    let answer = match aws.call_json(Service::ServiceQuotas, "GetServiceQuota", &request).await {
        // Some quotas have only a default until the account requests an increase.
        Err(error) if error.code() == Some("NoSuchResourceException") => {
            aws.call_json(Service::ServiceQuotas, "GetAWSDefaultServiceQuota", &request).await?
        }
        answer => answer?,
    };
    let details = &answer["Quota"];
    let limit = details["Value"].as_f64().ok_or(Error::Unreadable { operation: "GetServiceQuota".into() })?;
    let usage = &details["UsageMetric"];
    let dimensions: Vec<_> = usage["MetricDimensions"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect();
    let field = |name: &str| usage[name].as_str();
    let metric = field("MetricNamespace").zip(field("MetricName")).or(quota.usage_metric);
    let Some((namespace, metric)) = metric else { return Ok((limit, None)) };
    let statistic = Statistic {
        namespace,
        metric,
        dimensions: &dimensions,
        statistic: field("MetricStatisticRecommendation").filter(|name| *name != "None").unwrap_or("Maximum"),
        window: Duration::from_secs(3_600),
        period_secs: 300,
    };
    let peak = statistic.load(aws).await?.into_iter().map(|(_, figure)| figure).reduce(f64::max);
    Ok((limit, peak))
}
