"""What stands in an account beside what the templates say of it: every resource of every stack, every property of each.

It reads a template as CloudFormation would, with the parameters and ids of one deployment, and asks the services what
they have. It decides nothing about a deployment; .ci/deploy_emulated.py makes one in an emulator and holds it.
"""

import base64
import functools
import hashlib
import ipaddress
import json
import re

ACCOUNT, REGION, PARTITION = "000000000000", "us-east-1", "aws"
NO_VALUE = object()

# What the emulator does not show, by type: property, a dot before what is within it, and why. What is in neither list
# must be shown and equal; what is here and shown all the same is refused.
UNSEEN = {
    "AWS::ApiGatewayV2::Stage": {
        "DefaultRouteSettings": "it keeps the map, and forgets the limits in it",
        **{f"RouteSettings.ANY {path}": "as above" for path in ("/webhooks/{proxy+}", "/healthz", "/readyz", "/metrics", "/openapi.json")},
    },
    "AWS::CloudFormation::Stack": {"TemplateURL": "it says where a template was from of no stack"},
    "AWS::DynamoDB::Table": {
        "PointInTimeRecoverySpecification": "its CloudFormation does not set it; .ci/template holds it",
        "TimeToLiveSpecification": "its CloudFormation does not set it; tests/infra.rs compares it with the store's",
    },
    "AWS::EC2::VPC": {"EnableDnsSupport": "it answers with a constant", "EnableDnsHostnames": "it answers with a constant"},
    "AWS::ECR::Repository": {
        "EmptyOnDelete": "it is a word for CloudFormation, not for the registry",
        "ImageTagMutabilityExclusionFilters": "it keeps the kind of immutability only",
    },
    "AWS::ECS::TaskDefinition": {
        "ContainerDefinitions.LinuxParameters": "it keeps them under names that ECS does not have",
        "EphemeralStorage": "it forgets it",
        "RuntimePlatform": "it forgets it",
        "Volumes": "it keeps how many there are, and not their names",
    },
    "AWS::IAM::Role": {"PermissionsBoundary": "its CloudFormation does not set it, so none is asked for; .ci/template holds it"},
    "AWS::Lambda::Function": {
        "ReservedConcurrentExecutions": "its CloudFormation does not set it, so none is asked for; .ci/template holds it",
    },
    "AWS::S3::Bucket": {"LifecycleConfiguration": "its CloudFormation does not set it; .ci/template holds it"},
    "AWS::SecretsManager::Secret": {"GenerateSecretString": "the length of what was made is held apart"},
}


def words(value):
    """Numbers and truth as CloudFormation hands them on, documents read, and no difference between none and empty."""
    if isinstance(value, dict):
        said = {key: words(one) for key, one in value.items()}
        return {key: one for key, one in said.items() if one not in ("", {}, [])}
    if isinstance(value, list):
        return [words(one) for one in value]
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value)
    return words(json.loads(text)) if text.lstrip().startswith("{") and is_json(text) else text


def is_json(text):
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


class Stack:
    """A template with the parameters it was given and the ids its resources got."""

    def __init__(self, aws, name, templates, part, parameters):
        self.aws, self.name, self.part, self.template = aws, name, part, templates[part]
        given = {key: one.get("Default") for key, one in self.template.get("Parameters", {}).items()} | parameters
        self.parameters = {key: one if one == "" else words(one) for key, one in given.items()}
        pages = aws("cloudformation").get_paginator("list_stack_resources").paginate(StackName=name)
        listed = [one for page in pages for one in page["StackResourceSummaries"]]
        self.there = {one["LogicalResourceId"]: (one["ResourceType"], one["PhysicalResourceId"]) for one in listed}
        self.done = {one["LogicalResourceId"]: one["ResourceStatus"] for one in listed}
        self.wanted = {
            key: one for key, one in self.template["Resources"].items() if self.holds(one.get("Condition"))
        }
        self.parts = {}
        # Each as soon as what it is made from is there: the order of the root is that of the parts.
        for key, one in self.wanted.items():
            if one["Type"] == "AWS::CloudFormation::Stack" and key in self.there:
                part = one["Properties"]["TemplateURL"].removesuffix(".yaml")
                given = self.resolved(one["Properties"]["Parameters"])
                self.parts[key] = Stack(aws, self.there[key][1], templates, part, given)

    def holds(self, condition):
        return condition is None or self.truth(self.template["Conditions"][condition])

    def truth(self, said):
        [(function, value)] = said.items()
        if function == "Condition":
            return self.holds(value)
        if function == "Fn::Equals":
            one, other = (words(self.resolved(side)) for side in value)
            return one == other
        if function == "Fn::Not":
            return not self.truth(value[0])
        if function == "Fn::Or":
            return any(map(self.truth, value))
        raise KeyError(f"{function} is not understood")

    def resolved(self, value):
        if isinstance(value, list):
            return [one for one in map(self.resolved, value) if one is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(function, inner)] = value.items()
            if function == "Ref" or function.startswith("Fn::"):
                return self.function(function.removeprefix("Fn::"), inner)
        said = {key: self.resolved(one) for key, one in value.items()}
        return {key: one for key, one in said.items() if one is not NO_VALUE}

    def function(self, name, value):
        if name == "Ref":
            return self.reference(value)
        if name == "GetAtt":
            return self.attribute(*(value if isinstance(value, list) else value.split(".", 1)))
        if name == "Sub":
            value, given = value if isinstance(value, list) else (value, {})
            value = re.sub(r"\$\{(%s)\}" % "|".join(given or ["-"]), lambda found: words(self.resolved(given[found[1]])), value)
            named = lambda found: words(self.attribute(*found[1].split(".", 1)) if "." in found[1] else self.reference(found[1]))
            return re.sub(r"\$\{([A-Za-z0-9:.]+)\}", named, value)
        if name == "If":
            condition, yes, no = value
            return self.resolved(yes if self.holds(condition) else no)
        if name == "FindInMap":
            found = self.template["Mappings"]
            for key in value:
                found = found[self.resolved(key)] if key is not value[0] else found[key]
            return found
        value = self.resolved(value)
        if name == "Join":
            return value[0].join(map(words, value[1]))
        if name == "Select":
            return value[1][int(value[0])]
        if name == "Split":
            return value[1].split(value[0])
        if name == "GetAZs":
            return sorted(one["ZoneName"] for one in self.aws("ec2").describe_availability_zones()["AvailabilityZones"])
        if name == "Cidr":
            block, count, bits = value
            return [str(one) for one, _ in zip(ipaddress.ip_network(block).subnets(new_prefix=32 - int(bits)), range(int(count)))]
        raise KeyError(f"{name} is not understood")

    def reference(self, name):
        pseudo = {"AWS::StackName": self.name, "AWS::AccountId": ACCOUNT, "AWS::Region": REGION, "AWS::Partition": PARTITION, "AWS::NoValue": NO_VALUE}
        if name in pseudo:
            return pseudo[name]
        return self.parameters[name] if name in self.parameters else self.there[name][1]

    def attribute(self, name, attribute):
        kind, id = self.there[name]
        if kind == "AWS::CloudFormation::Stack":
            part = self.parts[name]
            return part.resolved(part.template["Outputs"][attribute.removeprefix("Outputs.")]["Value"])
        arn = lambda service, rest: f"arn:{PARTITION}:{service}:{REGION}:{ACCOUNT}:{rest}"
        last = id.rsplit("/", 1)[-1]
        return {
            "AWS::ApiGatewayV2::Api.ApiEndpoint": lambda: self.aws("apigatewayv2").get_api(ApiId=id)["ApiEndpoint"],
            "AWS::DynamoDB::Table.Arn": lambda: arn("dynamodb", f"table/{id}"),
            "AWS::EC2::SecurityGroup.GroupId": lambda: id,
            "AWS::ECR::Repository.Arn": lambda: arn("ecr", f"repository/{id}"),
            "AWS::ECR::Repository.RepositoryUri": lambda: f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{id}",
            "AWS::ECS::Cluster.Arn": lambda: arn("ecs", f"cluster/{id}"),
            "AWS::Events::Rule.Arn": lambda: arn("events", f"rule/{id}"),
            "AWS::IAM::Role.Arn": lambda: f"arn:{PARTITION}:iam::{ACCOUNT}:role/{id}",
            "AWS::Lambda::Function.Arn": lambda: arn("lambda", f"function:{id}"),
            "AWS::Logs::LogGroup.Arn": lambda: arn("logs", f"log-group:{id}:*"),
            "AWS::S3::Bucket.Arn": lambda: f"arn:{PARTITION}:s3:::{id}",
            "AWS::SQS::Queue.Arn": lambda: arn("sqs", last),
            "AWS::SQS::Queue.QueueName": lambda: last,
        }[f"{kind}.{attribute}"]()

    def all(self):
        return [self, *(inner for part in self.parts.values() for inner in part.all())]


# --- what a service says of one resource, in the words of a template

def pascal(value):
    """The names of ECS and ECR as CloudFormation has them; what people named stays as it is."""
    if isinstance(value, list):
        return [pascal(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {key if "-" in key else key[0].upper() + key[1:]: pascal(one) for key, one in value.items()}


def tagged(tags):
    return [one for one in tags if not one["Key"].startswith("aws:")]


def only(found):
    [one] = found
    return one


def bucket(aws, id, said):
    s3 = aws("s3")
    rules = s3.get_bucket_encryption(Bucket=id)["ServerSideEncryptionConfiguration"]["Rules"]
    return {
        "BucketEncryption": {"ServerSideEncryptionConfiguration": [
            {"ServerSideEncryptionByDefault": rule["ApplyServerSideEncryptionByDefault"]} for rule in rules]},
        "OwnershipControls": s3.get_bucket_ownership_controls(Bucket=id)["OwnershipControls"],
        "PublicAccessBlockConfiguration": s3.get_public_access_block(Bucket=id)["PublicAccessBlockConfiguration"],
        "VersioningConfiguration": {"Status": s3.get_bucket_versioning(Bucket=id).get("Status")},
    }


def bucket_policy(aws, id, said):
    return {"Bucket": said["Bucket"], "PolicyDocument": aws("s3").get_bucket_policy(Bucket=said["Bucket"])["Policy"]}


def table(aws, id, said):
    found = aws("dynamodb").describe_table(TableName=id)["Table"]
    indexes = [{key: one[key] for key in ("IndexName", "KeySchema", "Projection")} for one in found["GlobalSecondaryIndexes"]]
    return {
        "TableName": found["TableName"], "BillingMode": found["BillingModeSummary"]["BillingMode"],
        "AttributeDefinitions": found["AttributeDefinitions"], "KeySchema": found["KeySchema"],
        "GlobalSecondaryIndexes": indexes, "DeletionProtectionEnabled": found["DeletionProtectionEnabled"],
    }


def secret(aws, id, said):
    found = aws("secretsmanager").describe_secret(SecretId=id)
    return {"Name": found["Name"], "Description": found["Description"]}


def queue(aws, id, said):
    found = aws("sqs").get_queue_attributes(QueueUrl=id, AttributeNames=["All"])["Attributes"]
    names = "DeduplicationScope FifoQueue FifoThroughputLimit MessageRetentionPeriod ReceiveMessageWaitTimeSeconds RedriveAllowPolicy RedrivePolicy SqsManagedSseEnabled VisibilityTimeout"
    # What SQS takes where nothing is said.
    defaults = {"ReceiveMessageWaitTimeSeconds": "0", "VisibilityTimeout": "30"}
    shown = {name: found[name] for name in names.split() if name in found and (name in said or found[name] != defaults.get(name))}
    return shown | {"QueueName": found["QueueArn"].rsplit(":", 1)[1]}


def queue_policy(aws, id, said):
    of = lambda url: aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"]).get("Attributes", {}).get("Policy")
    found = {url: of(url) for url in said["Queues"]}
    other = [document for document in found.values() if words(document) != words(said["PolicyDocument"])]
    return {"Queues": list(found), "PolicyDocument": other[0] if other else said["PolicyDocument"]}


def cluster(aws, id, said):
    found = pascal(only(aws("ecs").describe_clusters(clusters=[id], include=["SETTINGS"])["clusters"]))
    return {key: found[key] for key in ("ClusterName", "CapacityProviders", "DefaultCapacityProviderStrategy")} | {"ClusterSettings": found["Settings"]}


def repository(aws, id, said):
    found = pascal(only(aws("ecr").describe_repositories(repositoryNames=[id])["repositories"]))
    lifecycle = pascal(aws("ecr").get_lifecycle_policy(repositoryName=id))
    return {key: found[key] for key in ("RepositoryName", "ImageTagMutability", "ImageScanningConfiguration")} | {
        "LifecyclePolicy": {"LifecyclePolicyText": lifecycle["LifecyclePolicyText"]}}


def task_definition(aws, id, said):
    # Of the family: it is the newest that a job is started with.
    shown = aws("ecs").describe_task_definition(taskDefinition=said["Family"])["taskDefinition"]
    found = pascal(shown)
    for container, as_shown in zip(found["ContainerDefinitions"], shown["containerDefinitions"]):
        container.pop("LinuxParameters", None)
        # What options are called is the log driver's.
        container["LogConfiguration"]["Options"] = as_shown["logConfiguration"]["options"]
    names = "ContainerDefinitions Cpu ExecutionRoleArn Family IpcMode Memory NetworkMode PidMode RequiresCompatibilities TaskRoleArn"
    return {name: found.get(name) for name in names.split()}


def role(aws, id, said):
    iam = aws("iam")
    found = iam.get_role(RoleName=id)["Role"]
    names = iam.list_role_policies(RoleName=id)["PolicyNames"]
    attached = iam.list_attached_role_policies(RoleName=id)["AttachedPolicies"]
    return {
        "AssumeRolePolicyDocument": found["AssumeRolePolicyDocument"], "Description": found.get("Description"),
        "ManagedPolicyArns": [one["PolicyArn"] for one in attached],
        "PermissionsBoundary": found.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
        "Policies": [{"PolicyName": name, "PolicyDocument": iam.get_role_policy(RoleName=id, PolicyName=name)["PolicyDocument"]} for name in names],
    }


@functools.cache
def digest(s3, bucket, key, tag):
    """Of what lies in a bucket, as Lambda writes it; its tag says that it is still the same."""
    lies = s3.get_object(Bucket=bucket, Key=key, IfMatch=tag)["Body"].read()
    return base64.b64encode(hashlib.sha256(lies).digest()).decode()


def code(aws, found, said):
    """Where the code is from, if it is what lies there; else its own digest, which is all that Lambda tells of it."""
    lies = {"Bucket": said["S3Bucket"], "Key": said["S3Key"]}
    wanted = digest(aws("s3"), *lies.values(), aws("s3").head_object(**lies)["ETag"])
    return said if found["CodeSha256"] == wanted else {"CodeSha256": found["CodeSha256"]}


def function(aws, id, said):
    lambdas = aws("lambda")
    answer = lambdas.get_function(FunctionName=id)
    found, tags = answer["Configuration"], answer.get("Tags", {})
    # The emulators replace the addresses of AWS, which are empty in the templates.
    variables = {key: "" if key.endswith("_ENDPOINT") else one for key, one in found["Environment"]["Variables"].items()}
    names = "Architectures Description FunctionName Handler LoggingConfig MemorySize Role Runtime Timeout TracingConfig"
    return {name: found[name] for name in names.split()} | {
        "Code": code(aws, found, said["Code"]),
        "Environment": {"Variables": variables},
        "ReservedConcurrentExecutions": lambdas.get_function_concurrency(FunctionName=id).get("ReservedConcurrentExecutions"),
        "Tags": tagged([{"Key": key, "Value": one} for key, one in tags.items()]),
        "VpcConfig": found.get("VpcConfig"),
    }


def permission(aws, id, said):
    document = json.loads(aws("lambda").get_policy(FunctionName=said["FunctionName"])["Policy"])
    found = only([one for one in document["Statement"] if one["Sid"] == id])
    [(operator, condition)] = found["Condition"].items()
    held = found["Effect"] == "Allow" and operator == "ArnLike"
    return {
        "Action": found["Action"] if held else found, "Principal": found["Principal"]["Service"],
        "FunctionName": said["FunctionName"] if found["Resource"].endswith(":" + said["FunctionName"].rsplit(":", 1)[-1]) else found["Resource"],
        "SourceArn": only(condition.values()),
    }


def mapping(aws, id, said):
    found = aws("lambda").get_event_source_mapping(UUID=id)
    return {name: found[name] for name in ("BatchSize", "EventSourceArn", "FunctionResponseTypes")} | {
        "FunctionName": found["FunctionArn"].rsplit(":", 1)[-1], "Enabled": "" if found["State"] == "Enabled" else found["State"],
        "ScalingConfig": found.get("ScalingConfig")}


def invocation(aws, id, said):
    found = aws("lambda").get_function_event_invoke_config(FunctionName=said["FunctionName"], Qualifier=said["Qualifier"])
    *_, name, qualifier = found["FunctionArn"].split(":")
    names = ("DestinationConfig", "MaximumEventAgeInSeconds", "MaximumRetryAttempts")
    return {key: found.get(key) for key in names} | {"FunctionName": name, "Qualifier": qualifier}


def schedule(aws, id, said):
    found = aws("scheduler").get_schedule(Name=id)
    return {name: found[name] for name in ("Description", "FlexibleTimeWindow", "Name", "ScheduleExpression", "Target")} | {
        "State": "" if found["State"] == "ENABLED" else found["State"]}


def rule(aws, id, said):
    found = aws("events").describe_rule(Name=id)
    return {name: found[name] for name in ("Description", "EventPattern", "Name")} | {
        "State": "" if found["State"] == "ENABLED" else found["State"], "Targets": aws("events").list_targets_by_rule(Rule=id)["Targets"]}


def log_group(aws, id, said):
    found = only([one for one in aws("logs").describe_log_groups(logGroupNamePrefix=id)["logGroups"] if one["logGroupName"] == id])
    # What CloudWatch takes where nothing is said.
    kind = found.get("logGroupClass")
    return {"LogGroupName": found["logGroupName"], "LogGroupClass": "" if kind == "STANDARD" else kind,
            "RetentionInDays": found.get("retentionInDays")}


def metric_filter(aws, id, said):
    found = only(pascal(aws("logs").describe_metric_filters(logGroupName=said["LogGroupName"])["metricFilters"]))
    for one in found["MetricTransformations"]:
        one["Dimensions"] = [{"Key": key, "Value": value} for key, value in one["Dimensions"].items()]
    return {name: found[name] for name in ("FilterPattern", "LogGroupName", "MetricTransformations")}


def topic(aws, id, said):
    return {"TopicName": aws("sns").get_topic_attributes(TopicArn=id)["Attributes"]["TopicArn"].rsplit(":", 1)[1]}


def topic_policy(aws, id, said):
    of = lambda arn: aws("sns").get_topic_attributes(TopicArn=arn)["Attributes"].get("Policy")
    return {"Topics": said["Topics"], "PolicyDocument": only([of(arn) for arn in said["Topics"]])}


def subscription(aws, id, said):
    found = only(aws("sns").list_subscriptions_by_topic(TopicArn=said["TopicArn"])["Subscriptions"])
    return {name: found[name] for name in ("Endpoint", "Protocol", "TopicArn")}


def alarm(aws, id, said):
    found = only(aws("cloudwatch").describe_alarms(AlarmNames=[id])["MetricAlarms"])
    names = """AlarmActions AlarmDescription AlarmName ComparisonOperator DatapointsToAlarm Dimensions EvaluationPeriods
        InsufficientDataActions MetricName Metrics Namespace OKActions Period Statistic Threshold TreatMissingData"""
    return {name: found.get(name) for name in names.split()} | {"ActionsEnabled": "" if found["ActionsEnabled"] else "false"}


def dashboard(aws, id, said):
    return {"DashboardName": id, "DashboardBody": aws("cloudwatch").get_dashboard(DashboardName=id)["DashboardBody"]}


def api(aws, id, said):
    found = aws("apigatewayv2").get_api(ApiId=id)
    return {name: found[name] for name in ("Name", "ProtocolType", "DisableExecuteApiEndpoint")} | {"CorsConfiguration": found.get("CorsConfiguration")}


def integration(aws, id, said):
    found = aws("apigatewayv2").get_integration(ApiId=said["ApiId"], IntegrationId=id)
    return {name: found[name] for name in ("IntegrationType", "IntegrationUri", "PayloadFormatVersion", "TimeoutInMillis")} | {"ApiId": said["ApiId"]}


def route(aws, id, said):
    of, id = id.split("/") if "/" in id else (said["ApiId"], id)
    found = aws("apigatewayv2").get_route(ApiId=of, RouteId=id)
    return {name: found[name] for name in ("AuthorizationType", "RouteKey", "Target")} | {"ApiId": of, "AuthorizerId": found.get("AuthorizerId")}


def stage(aws, id, said):
    found = aws("apigatewayv2").get_stage(ApiId=said["ApiId"], StageName=id)
    return {name: found[name] for name in ("AccessLogSettings", "AutoDeploy", "StageName", "StageVariables")} | {
        "ApiId": said["ApiId"], "RouteSettings": found["RouteSettings"]}


def network(ask, list_, key, names):
    """One of EC2's, by its own id."""
    def shown(aws, id, said):
        found = only([one for one in getattr(aws("ec2"), ask)()[list_] if one[key] == id])
        return {name: found.get(name) for name in names.split() if name != "Tags"} | ({"Tags": tagged(found["Tags"])} if "Tags" in names else {})
    return shown


def routes_of(aws, id):
    return only([one for one in aws("ec2").describe_route_tables()["RouteTables"] if one["RouteTableId"] == id])


def attachment(aws, id, said):
    found = only([one for one in aws("ec2").describe_internet_gateways()["InternetGateways"] if one["InternetGatewayId"] == said["InternetGatewayId"]])
    return {"InternetGatewayId": found["InternetGatewayId"], "VpcId": only(found["Attachments"])["VpcId"]}


def way_out(aws, id, said):
    found = only([one for one in routes_of(aws, said["RouteTableId"])["Routes"] if one["GatewayId"] != "local"])
    return {name: found[name] for name in ("DestinationCidrBlock", "GatewayId")} | {"RouteTableId": said["RouteTableId"]}


def association(aws, id, said):
    found = only([one for one in routes_of(aws, said["RouteTableId"])["Associations"] if one["RouteTableAssociationId"] == id])
    return {name: found[name] for name in ("RouteTableId", "SubnetId")}


def security_group(aws, id, said):
    found = only(aws("ec2").describe_security_groups(GroupIds=[id])["SecurityGroups"])
    out = [{"IpProtocol": one["IpProtocol"], **to} for one in found["IpPermissionsEgress"] for to in one["IpRanges"]]
    return {"GroupDescription": found["Description"], "SecurityGroupEgress": out, "SecurityGroupIngress": found["IpPermissions"],
            "Tags": tagged(found["Tags"]), "VpcId": found["VpcId"]}


def stack(aws, id, said):
    found = only(aws("cloudformation").describe_stacks(StackName=id)["Stacks"])
    return {"Parameters": {one["ParameterKey"]: one["ParameterValue"] for one in found["Parameters"]}}


SEEN = {
    "AWS::ApiGatewayV2::Api": api, "AWS::ApiGatewayV2::Integration": integration, "AWS::ApiGatewayV2::Route": route,
    "AWS::ApiGatewayV2::Stage": stage, "AWS::CloudFormation::Stack": stack, "AWS::CloudWatch::Alarm": alarm,
    "AWS::CloudWatch::Dashboard": dashboard, "AWS::DynamoDB::Table": table,
    "AWS::EC2::InternetGateway": network("describe_internet_gateways", "InternetGateways", "InternetGatewayId", "Tags"),
    "AWS::EC2::Route": way_out,
    "AWS::EC2::RouteTable": network("describe_route_tables", "RouteTables", "RouteTableId", "VpcId Tags"),
    "AWS::EC2::SecurityGroup": security_group,
    "AWS::EC2::Subnet": network("describe_subnets", "Subnets", "SubnetId", "VpcId AvailabilityZone CidrBlock MapPublicIpOnLaunch Tags"),
    "AWS::EC2::SubnetRouteTableAssociation": association,
    "AWS::EC2::VPC": network("describe_vpcs", "Vpcs", "VpcId", "CidrBlock Tags"),
    "AWS::EC2::VPCEndpoint": network("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId", "VpcId ServiceName VpcEndpointType RouteTableIds"),
    "AWS::EC2::VPCGatewayAttachment": attachment, "AWS::ECR::Repository": repository, "AWS::ECS::Cluster": cluster,
    "AWS::ECS::TaskDefinition": task_definition, "AWS::Events::Rule": rule, "AWS::IAM::Role": role,
    "AWS::Lambda::EventInvokeConfig": invocation, "AWS::Lambda::EventSourceMapping": mapping,
    "AWS::Lambda::Function": function, "AWS::Lambda::Permission": permission, "AWS::Logs::LogGroup": log_group,
    "AWS::Logs::MetricFilter": metric_filter, "AWS::S3::Bucket": bucket, "AWS::S3::BucketPolicy": bucket_policy,
    "AWS::SNS::Subscription": subscription, "AWS::SNS::Topic": topic, "AWS::SNS::TopicPolicy": topic_policy,
    "AWS::SQS::Queue": queue, "AWS::SQS::QueuePolicy": queue_policy, "AWS::Scheduler::Schedule": schedule,
    "AWS::SecretsManager::Secret": secret,
}


def without(value, path):
    """Takes away what stands at this path, in each member of a list on the way."""
    if isinstance(value, list):
        return any([without(one, path) for one in value])
    key, *rest = path
    if not isinstance(value, dict) or key not in value:
        return False
    return without(value[key], rest) if rest else value.pop(key) is not None


def differences(stack, left_out=()):
    """What is not as the template says, and how many properties were compared."""
    found, compared = [], 0
    wanted = {key: one["Type"] for key, one in stack.wanted.items() if key not in left_out}
    there = {key: kind for key, (kind, _) in stack.there.items()}
    for key in sorted(wanted.keys() | there.keys()):
        if wanted.get(key) != there.get(key):
            found.append(f"{key} should be {wanted.get(key, 'nothing')} and is {there.get(key, 'nothing')}")
        elif stack.done[key] != "CREATE_COMPLETE":
            found.append(f"{key} is {stack.done[key]}")
    for key, kind in wanted.items():
        if there.get(key) != kind:
            continue
        said = stack.resolved(json.loads(json.dumps(stack.wanted[key].get("Properties", {}))))
        try:
            shown = words(SEEN[kind](stack.aws, stack.there[key][1], said))
        except Exception as error:
            found.append(f"{key} ({kind}) is not there to be asked: {type(error).__name__} {error}")
            continue
        said = words(said)
        for path in UNSEEN.get(kind, {}):
            without(said, path.split(".", 1))
            if without(shown, path.split(".", 1)):
                found.append(f"{key} ({kind}): {path} is shown after all: take it out of UNSEEN")
        said = words(said)
        for name in sorted(said.keys() | shown.keys()):
            compared += 1
            if said.get(name, "") != shown.get(name, ""):
                found.append(f"{key} ({kind}): {name} should be {json.dumps(said.get(name))} and is {json.dumps(shown.get(name))}")
    return found, compared
