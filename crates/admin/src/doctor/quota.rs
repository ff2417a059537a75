//! Finds account quotas that task starts or functions may soon reach.

use super::Finding;
use super::metric::Statistic;
use crate::aws::Service;
use crate::{Aws, Error};
use futures::future::join_all;
use serde_json::json;
use std::time::Duration;

/// Units: percent.
const NEAR: f64 = 80.0;

struct Quota {
    service: &'static str,
    code: &'static str,
    what: &'static str,
    then: &'static str,
    /// Warning level. New accounts may start below it and soon reach their quota.
    little: f64,
    /// Namespace and metric of the usage, if Service Quotas does not name them.
    measured: Option<(&'static str, &'static str)>,
}

const QUOTAS: [Quota; 3] = [
    Quota {
        service: "fargate",
        code: "L-3032A538",
        what: "Fargate vCPUs",
        then: "jobs wait with `fargate_capacity` or `fargate_throttled`",
        little: 16.0,
        measured: None,
    },
    Quota {
        service: "fargate",
        code: "L-36FBB829",
        what: "Fargate Spot vCPUs",
        then: "jobs of projects with `task_capacity=fargate_spot` wait",
        little: 16.0,
        measured: None,
    },
    Quota {
        service: "lambda",
        code: "L-B99A9384",
        what: "concurrent Lambda executions",
        then: "webhooks and heartbeats are refused",
        little: 100.0,
        measured: Some(("AWS/Lambda", "ConcurrentExecutions")),
    },
];

pub(super) async fn look(aws: &Aws) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let mut said = Vec::new();
    for seen in join_all(QUOTAS.iter().map(async |quota| Ok::<_, Error>((quota, of_one(aws, quota).await?)))).await {
        let (quota, (limit, used)) = seen?;
        let raise = format!(
            "Request more: `aws service-quotas request-service-quota-increase --service-code {} --quota-code {} \
             --desired-value N`.",
            quota.service, quota.code
        );
        let Quota { what, then, .. } = quota;
        match used {
            Some(used) if used >= limit * NEAR / 100.0 => findings.push(Finding::wrong(
                "quota",
                format!("{used:.0} of {limit:.0} {what} were in use within the last hour; at the limit, {then}."),
                raise,
            )),
            _ if limit < quota.little => findings.push(Finding::warning(
                "quota",
                format!("This account may use only {limit:.0} {what}; at the limit, {then}."),
                raise,
            )),
            Some(used) => said.push(format!("{used:.0} of {limit:.0} {what}")),
            None => said.push(format!("at most {limit:.0} {what}")),
        }
    }
    if findings.is_empty() {
        findings.push(Finding::good("quota", format!("Usage is below all quotas: {}.", said.join(", "))));
    }
    Ok(findings)
}

async fn of_one(aws: &Aws, quota: &Quota) -> Result<(f64, Option<f64>), Error> {
    let asked = json!({ "ServiceCode": quota.service, "QuotaCode": quota.code });
    let answer = match aws.json(Service::ServiceQuotas, "GetServiceQuota", &asked).await {
        // Some quotas have only a default until the account requests an increase.
        Err(error) if error.code() == Some("NoSuchResourceException") => {
            aws.json(Service::ServiceQuotas, "GetAWSDefaultServiceQuota", &asked).await?
        }
        answer => answer?,
    };
    let said = &answer["Quota"];
    let limit = said["Value"].as_f64().ok_or(Error::Unreadable { operation: "GetServiceQuota".into() })?;
    let usage = &said["UsageMetric"];
    let dimensions: Vec<_> = usage["MetricDimensions"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect();
    let named = |part: &str| usage[part].as_str();
    let metric = named("MetricNamespace").zip(named("MetricName")).or(quota.measured);
    let Some((namespace, metric)) = metric else { return Ok((limit, None)) };
    let asked = Statistic {
        namespace,
        metric,
        dimensions: &dimensions,
        statistic: named("MetricStatisticRecommendation").filter(|said| *said != "None").unwrap_or("Maximum"),
        last: Duration::from_secs(3_600),
        period_secs: 300,
    };
    let most = asked.of(aws).await?.into_iter().map(|(_, figure)| figure).reduce(f64::max);
    Ok((limit, most))
}
