//! Finds alarms without a subscriber.

use super::Finding;
use crate::aws::Service;
use crate::{Aws, Error, Stack};

pub(super) async fn check(aws: &Aws, stack: &Stack) -> Result<Vec<Finding>, Error> {
    let topic = [("TopicArn".to_owned(), stack.alarm_topic.clone())];
    let answer = aws.call_query(Service::SNS, "ListSubscriptionsByTopic", &topic).await?;
    let result = answer.child("ListSubscriptionsByTopicResult").unwrap_or(&answer);
    let is_confirmed = |arn: Option<&str>| arn.is_some_and(|arn| arn.starts_with("arn:"));
    // Deleted subscriptions stay listed for a while.
    let listed = result.members("Subscriptions").filter(|item| item.child_text("SubscriptionArn") != Some("Deleted"));
    let (confirmed, pending): (Vec<_>, Vec<_>) =
        listed.partition(|item| is_confirmed(item.child_text("SubscriptionArn")));
    let subscribe = format!(
        "Add a subscriber: `aws sns subscribe --topic-arn {} --protocol email --notification-endpoint ADDRESS`, and \
         confirm the e-mail.",
        stack.alarm_topic
    );
    let finding = match (confirmed.len(), pending.first()) {
        (0, None) => Finding::wrong("alarms", "No one receives the alarms: their topic has no subscriber.", subscribe),
        (0, Some(item)) => Finding::wrong(
            "alarms",
            format!(
                "No one receives the alarms: {} has not confirmed the subscription.",
                item.child_text("Endpoint").unwrap_or("the only subscriber")
            ),
            "Open the e-mail from AWS Notifications and confirm it; check the spam folder, too.",
        ),
        (1, _) => Finding::good("alarms", "1 subscriber receives the alarms."),
        (n, _) => Finding::good("alarms", format!("{n} subscribers receive the alarms.")),
    };
    Ok(vec![finding])
}
