//! Reads metrics from CloudWatch.

use crate::aws::Service;
use crate::xml::Element;
use crate::{Aws, Error};
use std::time::Duration;

pub(super) struct Statistic<'a> {
    pub(super) namespace: &'a str,
    pub(super) metric: &'a str,
    pub(super) dimensions: &'a [(String, String)],
    pub(super) statistic: &'a str,
    pub(super) window: Duration,
    pub(super) period_secs: u64,
}

impl Statistic<'_> {
    pub(super) async fn load(&self, aws: &Aws) -> Result<Vec<(String, f64)>, Error> {
        let now = aws.now();
        let mut parameters = vec![
            ("Namespace".to_owned(), self.namespace.to_owned()),
            ("MetricName".into(), self.metric.into()),
            ("StartTime".into(), now.minus(self.window).to_string()),
            ("EndTime".into(), now.plus(Duration::from_secs(60)).to_string()),
            ("Period".into(), self.period_secs.to_string()),
            ("Statistics.member.1".into(), self.statistic.into()),
        ];
        for (n, (name, value)) in (1..).zip(self.dimensions) {
            parameters.push((format!("Dimensions.member.{n}.Name"), name.clone()));
            parameters.push((format!("Dimensions.member.{n}.Value"), value.clone()));
        }
        let answer = aws.call_query(Service::CloudWatch, "GetMetricStatistics", &parameters).await?;
        let result = answer.child("GetMetricStatisticsResult").unwrap_or(&answer);
        let point = |point: &Element| {
            Some((point.child_text("Timestamp")?.to_owned(), point.child_text(self.statistic)?.parse().ok()?))
        };
        let mut points: Vec<(String, f64)> = result.members("Datapoints").filter_map(point).collect();
        points.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(points)
    }
}
