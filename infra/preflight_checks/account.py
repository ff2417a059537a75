"""The AWS account: who is signed in, ECS's role, zones and quotas."""

import os
from typing import Dict, Iterator, List

from .command import INVALID_KEYS, Aws, AwsError
from .context import Context
from .regions import partition
from .report import FAIL, FIXED, OK, WARN, Finding
from .samconfig import LOCAL

FILE = LOCAL.name
# Enabled in every account.
DEFAULT_REGION = "us-east-1"
ROLE = "AWSServiceRoleForECS"
# Zones with Fargate in regions where some zones have none, and zones without Fargate for arm64.
# Source: Amazon ECS Developer Guide, "Supported Regions for Amazon ECS on AWS Fargate" and "64-bit ARM workloads".
FARGATE_ZONES: Dict[str, List[str]] = {
    "us-west-1": ["usw1-az1", "usw1-az3"],
    "ap-northeast-1": ["apne1-az1", "apne1-az2", "apne1-az4"],
    "cn-north-1": ["cnn1-az1", "cnn1-az2"],
}
NO_ARM_ZONES = ["use1-az3"]
RESERVED = ["WebhookConcurrency", "TicketsConcurrency", "ApiConcurrency", "PagesConcurrency"]


def check_credentials(context: Context) -> Iterator[Finding]:
    aws = context.aws
    if not aws.region:
        other = os.environ.get("AWS_REGION")
        if other:
            yield Finding(FAIL, "credentials", "no region: sam does not read AWS_REGION",
                          f"export AWS_DEFAULT_REGION={other}")
        else:
            yield Finding(FAIL, "credentials", "no region is configured", "aws configure set region REGION")
        return
    try:
        identity = aws.call("sts", "get-caller-identity")
    except AwsError as error:
        if error.code not in INVALID_KEYS:
            raise
        own = partition(aws.region)
        enable = ["account", "enable-region", "--region-name", aws.region]
        home = Aws(DEFAULT_REGION, aws.profile)
        where = "" if own == "aws" else f", or they are of another partition than {own}, the one of this region"
        yield Finding(FAIL, "credentials", f"{aws.region} does not know these keys: they are invalid, or the account has not "
                      f"enabled the region{where}", f"{error.fix(aws)}, or: {home.command(*enable)}")
        return
    theirs = identity["Arn"].split(":")[1]
    if theirs != partition(aws.region):
        yield Finding(FAIL, "credentials", f"the account is in the partition {theirs}, and {aws.region} in "
                      f"{partition(aws.region)}", f"choose a region of {theirs}, or a profile of the other account")
        return
    yield Finding(OK, "credentials", f"account {identity['Account']} in {aws.region} as {identity['Arn']}")


def check_role(context: Context) -> Iterator[Finding]:
    """A cluster needs the role, and CloudFormation does not create it in an account that never used ECS."""
    aws = context.aws
    try:
        aws.call("iam", "get-role", "--role-name", ROLE)
        yield Finding(OK, "role", f"{ROLE} exists")
        return
    except AwsError as error:
        # IAM may refuse to read a missing role: the path that infra/deploy-policy.json allows belongs to an existing one.
        denied = error if error.denied else None
        if denied and context.dry_run or error.code != "NoSuchEntity" and not denied:
            raise
    create = ["iam", "create-service-linked-role", "--aws-service-name", "ecs.amazonaws.com"]
    if context.dry_run:
        yield Finding(FAIL, "role", f"{ROLE} is missing, the cluster cannot be created", aws.command(*create))
        return
    try:
        aws.call(*create)
        yield Finding(FIXED, "role", f"{ROLE} was missing and has been created")
    except AwsError as error:
        if "has been taken in this account" in error.message:
            yield Finding(OK, "role", f"{ROLE} exists" + ("" if denied else ", another process created it just now"))
        elif denied and error.denied:
            raise denied
        elif error.denied:
            yield Finding(FAIL, "role", f"{ROLE} is missing, and creating it needs {error.action}",
                          f"an administrator runs: {aws.command(*create)}")
        else:
            raise


def has_fargate(region: str, zone_id: str, architecture: str) -> bool:
    zones = FARGATE_ZONES.get(region)
    return (zones is None or zone_id in zones) and not (architecture == "arm64" and zone_id in NO_ARM_ZONES)


def check_zones(context: Context) -> Iterator[Finding]:
    aws, parameters = context.aws, context.parameters
    # Any cheap call shows whether ECS can be reached in this region.
    aws.call("ecs", "list-clusters", "--max-items", "1")
    if parameters["Subnets"]:
        yield from check_subnets(context)
        return
    answer = aws.call("ec2", "describe-availability-zones", "--filters", "Name=zone-type,Values=availability-zone",
                      "Name=state,Values=available")
    ids = {zone["ZoneName"]: zone["ZoneId"] for zone in answer["AvailabilityZones"]}
    usable = [name for name in sorted(ids) if has_fargate(aws.region, ids[name], parameters["Architecture"])]
    chosen = parameters["Zones"].split(",") if parameters["Zones"] else first_zones(context, sorted(ids))
    unknown = [name for name in chosen if name not in ids]
    bad = [f"{name} ({ids[name]})" for name in chosen if name in ids and name not in usable]
    fix = f"set Zones={','.join(usable[:2])} in {FILE}, before the first deployment" if len(usable) > 1 else None
    if unknown or len(chosen) < 2:
        few = f"{aws.region} has fewer than two zones"
        yield Finding(FAIL, "zones", f"{', '.join(unknown)} is no zone of {aws.region}" if unknown else few, fix)
    elif bad:
        yield Finding(WARN, "zones", f"no Fargate for {parameters['Architecture']} in {' and '.join(bad)}", fix)
    else:
        yield Finding(OK, "zones", "tasks run in " + " and ".join(f"{name} ({ids[name]})" for name in chosen))


def first_zones(context: Context, zones: List[str]) -> List[str]:
    """The zones that !GetAZs returns first: those with a default subnet, unless no zone has one."""
    try:
        answer = context.aws.call("ec2", "describe-subnets", "--filters", "Name=default-for-az,Values=true")
    except AwsError as error:
        if not error.denied:
            raise
        return zones[:2]
    default = {subnet["AvailabilityZone"] for subnet in answer["Subnets"]}
    return [zone for zone in zones if zone in default or not default][:2]


def check_subnets(context: Context) -> Iterator[Finding]:
    aws, parameters = context.aws, context.parameters
    wanted = parameters["Subnets"].split(",")
    # A filter returns those that exist; --subnet-ids would fail at the first one that does not.
    answer = aws.call("ec2", "describe-subnets", "--filters", "Name=subnet-id,Values=" + ",".join(wanted))
    subnets = {subnet["SubnetId"]: subnet for subnet in answer["Subnets"]}
    for name in wanted:
        subnet = subnets.get(name)
        if subnet is None:
            yield Finding(FAIL, "zones", f"{name} does not exist in {aws.region}", f"correct Subnets in {FILE}")
        elif subnet["VpcId"] != parameters["VpcId"]:
            yield Finding(FAIL, "zones", f"{name} is in {subnet['VpcId']}, not in VpcId={parameters['VpcId']}",
                          f"set VpcId={subnet['VpcId']} in {FILE}")
        elif subnet["AvailableIpAddressCount"] < 1:
            yield Finding(WARN, "zones", f"{name} has no free address, and each task takes one",
                          f"name a larger subnet in {FILE}")
        elif not has_fargate(aws.region, subnet["AvailabilityZoneId"], parameters["Architecture"]):
            yield Finding(WARN, "zones", f"{name} is in {subnet['AvailabilityZoneId']}, which has no Fargate for "
                          f"{parameters['Architecture']}", f"remove it from Subnets in {FILE}")
        else:
            yield Finding(OK, "zones", f"{name} in {subnet['AvailabilityZone']} has "
                          f"{subnet['AvailableIpAddressCount']} free addresses")


def check_quotas(context: Context) -> Iterator[Finding]:
    for subject, check in [("the concurrency of Lambda", check_lambda), ("the vCPUs of Fargate", check_fargate),
                           ("the number of VPCs", check_vpcs)]:
        try:
            yield from check(context)
        except AwsError as error:
            yield error.finding("quotas", context.aws, subject)


def increase(context: Context, service: str, quota: str, value: int) -> str:
    return context.aws.command("service-quotas", "request-service-quota-increase", "--service-code", service,
                               "--quota-code", quota, "--desired-value", str(value))


def check_lambda(context: Context) -> Iterator[Finding]:
    limit = context.aws.call("lambda", "get-account-settings")["AccountLimit"]["ConcurrentExecutions"]
    fix = increase(context, "lambda", "L-B99A9384", 1000)
    reserved = sum(int(context.parameters[name]) for name in RESERVED)
    if reserved > max(0, limit - 100):
        yield Finding(FAIL, "quotas", f"{reserved} concurrent executions are reserved, Lambda has {limit} in all and "
                      "leaves 100 unreserved", f"lower {', '.join(RESERVED)} in {FILE}")
    elif limit < 100:
        yield Finding(WARN, "quotas", f"Lambda runs at most {limit} functions at once", fix)
    else:
        yield Finding(OK, "quotas", f"Lambda runs at most {limit} functions at once")


def get_quota(context: Context, service: str, quota: str) -> int:
    code = ["--service-code", service, "--quota-code", quota]
    try:
        answer = context.aws.call("service-quotas", "get-service-quota", *code)
    except AwsError as error:
        # An account without a value of its own has the default.
        if error.code != "NoSuchResourceException":
            raise
        answer = context.aws.call("service-quotas", "get-aws-default-service-quota", *code)
    return int(answer["Quota"]["Value"])


def check_fargate(context: Context) -> Iterator[Finding]:
    limit = get_quota(context, "fargate", "L-3032A538")
    # Task sizes of infra/tasks.yaml: 1, 2 and 4 vCPU.
    found = f"Fargate has {limit} vCPU: {limit} small, {limit // 2} medium or {limit // 4} large jobs at once"
    if limit < 16:
        yield Finding(WARN, "quotas", found, increase(context, "fargate", "L-3032A538", 64))
    else:
        yield Finding(OK, "quotas", found)


def check_vpcs(context: Context) -> Iterator[Finding]:
    """Regions start with five VPCs, and the stack creates one unless it is given subnets."""
    if context.parameters["Subnets"]:
        return
    vpcs = context.aws.call("ec2", "describe-vpcs")["Vpcs"]
    names = [tag["Value"] for vpc in vpcs for tag in vpc.get("Tags", []) if tag["Key"] == "Name"]
    limit = get_quota(context, "vpc", "L-F678F1CE")
    if len(vpcs) >= limit and context.stack not in names:
        yield Finding(FAIL, "quotas", f"all {limit} VPCs of {context.aws.region} exist, and the stack creates one more",
                      increase(context, "vpc", "L-F678F1CE", limit + 5))
    else:
        yield Finding(OK, "quotas", f"{len(vpcs)} of {limit} VPCs exist")
