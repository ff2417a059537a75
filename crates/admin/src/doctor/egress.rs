//! Finds subnets and security groups through which tasks cannot reach a forge.

use super::Finding;
use crate::aws::Service;
use crate::{Aws, Error, Stack};
use pullyard_cloud::xml::Element;

const HELP: &str = "Add a route for 0.0.0.0/0 to an internet or NAT gateway, or deploy with other subnets. Without \
                    subnets, the stack creates its own.";

pub(super) async fn check(aws: &Aws, stack: &Stack) -> Result<Vec<Finding>, Error> {
    let parameters = numbered_parameters("SubnetId", &stack.subnets);
    let subnets = match aws.call_query(Service::EC2, "DescribeSubnets", &parameters).await {
        Err(error) if error.code() == Some("InvalidSubnetID.NotFound") => {
            let sentence = format!(
                "A subnet of tasks does not exist any more. The stack was deployed with {}.",
                stack.subnets.join(", ")
            );
            return Ok(vec![Finding::wrong("egress", sentence, "Deploy the stack with existing subnets.")]);
        }
        subnets => subnets?,
    };
    let vpc = subnets.members("subnetSet").find_map(|subnet| subnet.child_text("vpcId")).unwrap_or_default().to_owned();
    let vpc_filter = [("Filter.1.Name".to_owned(), "vpc-id".to_owned()), ("Filter.1.Value.1".to_owned(), vpc)];
    let group = numbered_parameters("GroupId", std::slice::from_ref(&stack.security_group));
    let (routes, groups) = tokio::try_join!(
        aws.call_query(Service::EC2, "DescribeRouteTables", &vpc_filter),
        aws.call_query(Service::EC2, "DescribeSecurityGroups", &group),
    )?;
    let tables: Vec<_> = routes.members("routeTableSet").collect();
    let mut findings = Vec::new();
    for subnet in &stack.subnets {
        let sentence = match route_table_of(subnet, &tables).map(internet_route) {
            Some(InternetRoute::Direct) => continue,
            Some(InternetRoute::InternetGateway(_)) if stack.public_ip => continue,
            Some(InternetRoute::InternetGateway(gateway)) => {
                let sentence = format!("{subnet} routes to {gateway}, but its tasks have no public address.");
                let help = "Deploy with AssignPublicIp=true, or with subnets that have a NAT gateway.";
                findings.push(Finding::wrong("egress", sentence, help));
                continue;
            }
            Some(InternetRoute::Blackhole(target)) => {
                format!("The internet route of {subnet} leads to {target}, which does not exist any more.")
            }
            Some(InternetRoute::None) | None => {
                format!("{subnet} has no route to the internet: its tasks can't reach a forge.")
            }
        };
        findings.push(Finding::wrong("egress", sentence, HELP));
    }
    if !groups.members("securityGroupInfo").any(is_https_allowed) {
        findings.push(Finding::wrong(
            "egress",
            format!("The security group {} blocks outgoing HTTPS: tasks can't reach a forge.", stack.security_group),
            "Add an egress rule for TCP 443 to 0.0.0.0/0.",
        ));
    }
    if findings.is_empty() {
        let which = if stack.subnets.len() == 1 {
            "The subnet of tasks has a route"
        } else {
            "All subnets of tasks have a route"
        };
        findings.push(Finding::good("egress", format!("{which} to the internet.")));
    }
    Ok(findings)
}

fn numbered_parameters(name: &str, values: &[String]) -> Vec<(String, String)> {
    (1..).zip(values).map(|(n, value)| (format!("{name}.{n}"), value.clone())).collect()
}

fn route_table_of<'a>(subnet: &str, tables: &[&'a Element]) -> Option<&'a Element> {
    let find = |name: &str, value: &str| {
        let is_match = |association: &Element| association.child_text(name) == Some(value);
        tables.iter().copied().find(|table| table.members("associationSet").any(is_match))
    };
    find("subnetId", subnet).or_else(|| find("main", "true"))
}

enum InternetRoute {
    Direct,
    /// An internet gateway serves only tasks with a public address.
    InternetGateway(String),
    Blackhole(String),
    None,
}

fn internet_route(table: &Element) -> InternetRoute {
    let Some(route) =
        table.members("routeSet").find(|route| route.child_text("destinationCidrBlock") == Some("0.0.0.0/0"))
    else {
        return InternetRoute::None;
    };
    if route.child_text("state") == Some("blackhole") {
        let targets = ["gatewayId", "natGatewayId", "transitGatewayId", "networkInterfaceId", "instanceId"];
        let target = targets.iter().find_map(|target| route.child_text(target)).unwrap_or("something");
        return InternetRoute::Blackhole(target.to_owned());
    }
    match route.child_text("gatewayId").filter(|gateway| gateway.starts_with("igw-")) {
        Some(gateway) => InternetRoute::InternetGateway(gateway.to_owned()),
        None => InternetRoute::Direct,
    }
}

/// Requires HTTPS to any address, because forges and model providers publish no complete list.
fn is_https_allowed(group: &Element) -> bool {
    group.members("ipPermissionsEgress").any(|rule| {
        let port = |name: &str| rule.child_text(name).and_then(|port| port.parse::<i64>().ok());
        let is_https = match rule.child_text("ipProtocol") {
            Some("-1") => true,
            Some("tcp" | "6") => {
                port("fromPort").is_some_and(|from| from <= 443) && port("toPort").is_some_and(|to| to >= 443)
            }
            _ => false,
        };
        is_https && rule.members("ipRanges").any(|range| range.child_text("cidrIp") == Some("0.0.0.0/0"))
    })
}
