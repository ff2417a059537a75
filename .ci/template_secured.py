"""What the template must say to be safe, and that leaving any of it out is noticed: for .ci/template.py.

SECURED has a line for each setting: the id of AWS Security Hub's control where there is one, whose setting it is,
where it stands, what it must be. FREE names what says nothing of safety. Then whatever a resource says is taken away,
one thing after another, and what is on or off is turned over; where that troubles no line and is not free, the template
says something that nobody holds, and that fails. So does a line that nothing troubled.
"""

import copy
import json
from typing import Any, NamedTuple

FUNCTIONS = ["webhook", "tickets", "api", "pages", "dispatcher", "tasks", "effects", "sweeper"]
ROLES = tuple(f"{name.capitalize()}Role" for name in FUNCTIONS)
MISSING = object()


class Line(NamedTuple):
    control: str
    # A file, or `*` for every one.
    part: str
    # A type, a name, several names, or a parameter.
    whose: str | tuple
    # From the properties on; from the resource itself after a slash.
    path: str
    # What it is, or a function of it, the resource's name and all resources.
    must: Any


def ref(name):
    return {"Ref": name}


def att(name, what="Arn"):
    return {"Fn::GetAtt": [name, what]}


def sub(text):
    return {"Fn::Sub": text}


def may_assume(service, **condition):
    statement = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement | ({"Condition": condition} if condition else {})]}


def over_tls(action, resource):
    return {"Sid": "OnlyOverTls", "Effect": "Deny", "Principal": "*", "Action": action, "Resource": resource,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}}}


def policy(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def many(value):
    return value if isinstance(value, list) else [value]


def has_policy(kind, field, statement):
    """Somebody's policy of this kind is about the resource, and has the statement that is made from its name."""
    def must(_, name, resources):
        about = [one["Properties"] for one in resources.values() if one["Type"] == kind and ref(name) in many(one["Properties"].get(field))]
        return any(statement(name, said) for one in about for said in one.get("PolicyDocument", {}).get("Statement", []))
    return must


def denies(action):
    return lambda name, said: said == over_tls(action, att(name))


def unless(condition, value):
    return {"Fn::If": [condition, value, ref("AWS::NoValue")]}


# What may only be allowed on items that are named by their partition key.
WRITES = {f"dynamodb:{one}" for one in (
    "PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "PartiQLInsert", "PartiQLUpdate", "PartiQLDelete")}

# What may only be allowed so, too, but to those that show people everything.
READS = {"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"}
READ_ALL = {"ApiRole", "PagesRole"}

# Actions that may be allowed only under conditions: action -> operator, key, value of each.
CLUSTER = ("ArnEquals", "ecs:cluster", ref("ClusterArn"))
UNDER = {
    "ecs:RunTask": [CLUSTER, ("StringEqualsIfExists", "ecs:enable-execute-command", "false")], "ecs:StopTask": [CLUSTER], "ecs:ListTasks": [CLUSTER],
    "ecs:TagResource": [("StringEquals", "ecs:CreateAction", "RunTask")],
    "iam:PassRole": [("StringEquals", "iam:PassedToService", "ecs-tasks.amazonaws.com")],
}


# What may be used under a key of one's own, through the service that it is encrypted by.
ENCRYPTED = {"dynamodb", "s3", "secretsmanager", "sqs"}


def by_own_key(document):
    """A key of one's own is used only where there is one, only through the services that the role calls, and for no
    other end than to read and write what they keep."""
    statements = document["Statement"]
    own = [said["Fn::If"] for said in statements if "Fn::If" in said]
    called = {action.split(":")[0] for said in statements if "Fn::If" not in said for action in many(said["Action"])}
    services = sorted(called & ENCRYPTED)
    key = {"Sid": "Key", "Effect": "Allow", "Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Resource": ref("KmsKeyArn"),
           "Condition": {"StringEquals": {"kms:ViaService": [sub(f"{one}.${{AWS::Region}}.amazonaws.com") for one in services]}}}
    return own == ([["OwnKey", key, ref("AWS::NoValue")]] if services else []) and not any(one.startswith("kms") for one in called)


def conditioned(policies, name, _):
    """Each statement has the conditions that its actions need, and each list of what is allowed refuses a request
    that names nothing."""
    if not all(by_own_key(one["PolicyDocument"]) for one in policies):
        return False
    for said in (said for one in policies for said in one["PolicyDocument"]["Statement"] if "Fn::If" not in said):
        conditions = said.get("Condition", {})
        for operator, key, value in (one for action in many(said["Action"]) for one in UNDER.get(action, [])):
            if conditions.get(operator, {}).get(key) != value:
                return False
        named = [key for operator, keys in conditions.items() if operator.startswith("ForAllValues:") for key in keys]
        if any(conditions.get("Null", {}).get(key) != "false" for key in named):
            return False
        if conditions.get("ForAllValues:StringLike", {}).get("dynamodb:LeadingKeys") == "TOKEN#*" and "dynamodb:Attributes" not in named:
            return False
        actions, of_items = set(many(said["Action"])), "dynamodb:LeadingKeys" in named
        if WRITES & actions and not of_items:
            return False
        if READS & actions and ref("TableArn") in many(said["Resource"]) and not of_items and name not in READ_ALL:
            return False
    return True


PRIVATE = dict.fromkeys(["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"], True)
OWN = {"BucketKeyEnabled": True, "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": ref("KmsKeyArn")}}
AES = {"ServerSideEncryptionConfiguration": [{"Fn::If": ["OwnKey", OWN, {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}]}
OWN_KEY = {"Fn::If": ["OwnKey", ref("KmsKeyArn"), ref("AWS::NoValue")]}
OURS = {"StringEquals": {"aws:SourceAccount": ref("AWS::AccountId")}}
OUR_TASKS = sub("arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:*")
OUR_API = sub("arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${ApiId}/*")
OUR_RULE = sub("arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:rule/${Deployment}-task-state-changes")
UNDELIVERED = {"Sid": "TaskEventsThatWereNotDelivered", "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"},
               "Action": "sqs:SendMessage", "Resource": att("UndeliveredQueue"), "Condition": {"ArnEquals": {"aws:SourceArn": OUR_RULE}}}
OUR_QUEUES = "arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:${Deployment}-"
OUR_GROUP = sub("arn:${AWS::Partition}:scheduler:${AWS::Region}:${AWS::AccountId}:schedule-group/default")
OUR_ALARMS = sub("arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:${Deployment}-*")
ALARMS = {"Sid": "AlarmsNamedAfterThisDeployment", "Effect": "Allow", "Principal": {"Service": "cloudwatch.amazonaws.com"},
          "Action": "sns:Publish", "Resource": ref("AlarmTopic"), "Condition": OURS | {"ArnLike": {"aws:SourceArn": OUR_ALARMS}}}
TABLE, BUCKET, QUEUE, GROUP, ROLE = "AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::Logs::LogGroup", "AWS::IAM::Role"
FUNCTION, PERMISSION, ALARM = "AWS::Lambda::Function", "AWS::Lambda::Permission", "AWS::CloudWatch::Alarm"
TASK, CONTAINER = "AWS::ECS::TaskDefinition", "ContainerDefinitions.0."
KEPT = (BUCKET, "AWS::S3::BucketPolicy", TABLE, "AWS::SecretsManager::Secret")
LOOKS = ["/healthz", "/readyz", "/metrics", "/openapi.json"]
IMAGE = {"Fn::If": ["ByDigest", sub("${Repository.RepositoryUri}@${ImageDigest}"), sub("${Repository.RepositoryUri}:${ImageTag}")]}
MOUNTS = [{"SourceVolume": name, "ContainerPath": f"/{name}", "ReadOnly": False} for name in ("work", "tmp")]


def limits(calls):
    """What a route lets in each second, and at once."""
    return {f"Throttling{kind}Limit": calls for kind in ("Rate", "Burst")}


def absent(value, *_):
    return value is MISSING


def only_denies(document, *_):
    return document["Version"] == "2012-10-17" and {one["Effect"] for one in document["Statement"]} == {"Deny"}


def rules_that_end(rules, *_):
    return bool(rules) and all(
        rule.get("Status") == "Enabled" and rule.get("ExpirationInDays") and rule.get("AbortIncompleteMultipartUpload") == {"DaysAfterInitiation": 2}
        and not rule.keys() & {"Prefix", "Filter"} for rule in rules)


def keeps_what_runs(text, *_):
    """The image that tasks run is selected before any other, and by its tag, of which there is one."""
    first, *others = json.loads(text["Fn::Sub"])["rules"]
    selection = {"tagStatus": "tagged", "tagPatternList": ["${ImageTag}"], "countType": "imageCountMoreThan", "countNumber": 1}
    return first["selection"] == selection and len(others) == 2 and all(one["rulePriority"] > first["rulePriority"] for one in others)


SECURED = [
    # --- what must not be lost
    *(Line("kept", "*", kind, "/DeletionPolicy", "RetainExceptOnCreate") for kind in KEPT),
    *(Line("kept", "*", kind, "/UpdateReplacePolicy", "Retain") for kind in KEPT),
    Line("DynamoDB.1", "data", "Table", "BillingMode", "PAY_PER_REQUEST"),
    Line("DynamoDB.2", "data", "Table", "PointInTimeRecoverySpecification", {"PointInTimeRecoveryEnabled": True}),
    Line("DynamoDB.6", "data", "Table", "DeletionProtectionEnabled", ref("DeletionProtection")),
    Line("DynamoDB.6", "data", "parameter DeletionProtection", "/Default", "true"),
    Line("S3.5", "*", BUCKET, "", has_policy("AWS::S3::BucketPolicy", "Bucket", lambda name, said: said == over_tls("s3:*", [att(name), sub(f"${{{name}.Arn}}/*")]))),
    Line("S3.6", "*", "AWS::S3::BucketPolicy", "PolicyDocument", only_denies),
    Line("S3.8", "*", BUCKET, "PublicAccessBlockConfiguration", PRIVATE),
    Line("S3.12", "*", BUCKET, "OwnershipControls", {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}),
    Line("S3.13", "*", BUCKET, "LifecycleConfiguration.Rules", rules_that_end),
    Line("S3.14", "data", "Bucket", "VersioningConfiguration", {"Status": "Enabled"}),
    Line("S3.13", "data", "Bucket", "LifecycleConfiguration.Rules.0.NoncurrentVersionExpiration", {"NoncurrentDays": 7}),
    Line("S3 at rest", "*", BUCKET, "BucketEncryption", AES),
    Line("a key of one's own", "data", "Table", "SSESpecification", unless("OwnKey", {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": ref("KmsKeyArn")})),
    Line("a key of one's own", "data", "KeySecret", "KmsKeyId", OWN_KEY),
    Line("a key that nobody chose", "data", "KeySecret", "GenerateSecretString", {"PasswordLength": 64, "ExcludePunctuation": True}),
    # --- wake-ups
    Line("SQS.1", "*", QUEUE, "SqsManagedSseEnabled", {"Fn::If": ["OwnKey", False, True]}),
    Line("a key of one's own", "*", QUEUE, "KmsMasterKeyId", OWN_KEY),
    Line("SQS.3", "queues", ("DispatchPolicy", "DispatchDeadLetterPolicy", "EffectsPolicy", "EffectsDeadLetterPolicy"), "PolicyDocument", only_denies),
    Line("a policy is of one queue", "*", "AWS::SQS::QueuePolicy", "Queues", lambda queues, *_: queues is not MISSING and len(queues) == 1),
    Line("SQS.3", "queues", "UndeliveredPolicy", "PolicyDocument", policy(over_tls("sqs:*", att("UndeliveredQueue")), UNDELIVERED)),
    Line("SQS over TLS", "*", QUEUE, "", has_policy("AWS::SQS::QueuePolicy", "Queues", denies("sqs:*"))),
    Line("dead letters are kept", "queues", ("DispatchDeadLetterQueue", "EffectsDeadLetterQueue", "UndeliveredQueue"), "MessageRetentionPeriod", 1209600),
    Line("dead letters", "queues", "DispatchQueue", "RedrivePolicy", {"deadLetterTargetArn": att("DispatchDeadLetterQueue"), "maxReceiveCount": 5}),
    Line("dead letters", "queues", "EffectsQueue", "RedrivePolicy", {"deadLetterTargetArn": att("EffectsDeadLetterQueue"), "maxReceiveCount": 5}),
    *(Line("whose dead letters", "queues", f"{name}DeadLetterQueue", "RedriveAllowPolicy", {"redrivePermission": "byQueue", "sourceQueueArns": [sub(f"{OUR_QUEUES}{queue}")]})
      for name, queue in [("Dispatch", "dispatch"), ("Effects", "effects.fifo")]),
    Line("whose dead letters", "queues", "UndeliveredQueue", "RedriveAllowPolicy", {"redrivePermission": "denyAll"}),
    # --- what agents run in
    Line("ECR.1", "tasks", "Repository", "ImageScanningConfiguration", {"ScanOnPush": True}),
    Line("ECR.2", "tasks", "Repository", "ImageTagMutability", "IMMUTABLE_WITH_EXCLUSION"),
    Line("ECR.2", "tasks", "Repository", "ImageTagMutabilityExclusionFilters", [{"ImageTagMutabilityExclusionFilterType": "WILDCARD", "ImageTagMutabilityExclusionFilterValue": "latest"}]),
    Line("ECR.3", "tasks", "Repository", "LifecyclePolicy.LifecyclePolicyText", keeps_what_runs),
    Line("ECS.1", "*", TASK, "NetworkMode", "awsvpc"),
    Line("ECS.3", "*", TASK, "PidMode", absent),
    Line("ECS.4", "*", TASK, CONTAINER + "Privileged", absent),
    Line("ECS.5", "*", TASK, CONTAINER + "ReadonlyRootFilesystem", True),
    Line("ECS.8", "*", TASK, CONTAINER + "Environment", [{"Name": "PULLYARD_WORK_DIR", "Value": "/work"}]),
    Line("ECS.9", "*", TASK, CONTAINER + "LogConfiguration", lambda said, *_: said.get("LogDriver") == "awslogs" and said["Options"]["awslogs-group"] == ref("TaskLogs") and len(said["Options"]) == 4),
    Line("a log that waits for nobody", "*", TASK, CONTAINER + "LogConfiguration.Options.mode", "non-blocking"),
    Line("ECS.12", "tasks", "Cluster", "ClusterSettings", [{"Name": "containerInsights", "Value": ref("ContainerInsights")}]),
    Line("ECS.20", "*", TASK, CONTAINER + "User", "10001:10001"),
    Line("no capability, and one who reaps", "*", TASK, CONTAINER + "LinuxParameters", {"InitProcessEnabled": True, "Capabilities": {"Drop": ["ALL"]}}),
    Line("no credentials", "*", TASK, "TaskRoleArn", absent),
    Line("nothing of a host", "*", TASK, "Volumes", [{"Name": "work"}, {"Name": "tmp"}]),
    Line("what may be written", "*", TASK, CONTAINER + "MountPoints", MOUNTS),
    Line("Fargate only", "*", TASK, "RequiresCompatibilities", ["FARGATE"]),
    Line("time to end", "*", TASK, CONTAINER + "StopTimeout", 120),
    Line("the image of our own repository", "*", TASK, CONTAINER + "Image", IMAGE),
    Line("who pulls it", "*", TASK, "ExecutionRoleArn", att("TaskExecutionRole")),
    Line("agents make no metrics", "tasks", "TaskLogs", "LogGroupClass", "INFREQUENT_ACCESS"),
    Line("one container", "*", TASK, "ContainerDefinitions", lambda all, *_: len(all) == 1),
    Line("EC2.15", "*", "AWS::EC2::Subnet", "MapPublicIpOnLaunch", False),
    Line("EC2.18", "network", "TaskSecurityGroup", "SecurityGroupIngress", absent),
    # Without any, EC2 would make the same rule, but nobody would have said so.
    Line("what goes out", "network", "TaskSecurityGroup", "SecurityGroupEgress", lambda all, *_: [(one.get("IpProtocol"), one.get("CidrIp")) for one in all] == [("-1", "0.0.0.0/0")]),
    Line("where tasks stand", "network", "TaskSecurityGroup", "VpcId", {"Fn::If": ["OwnVpc", ref("Vpc"), ref("VpcId")]}),
    Line("layers come from S3", "network", "S3Endpoint", "VpcEndpointType", "Gateway"),
    # --- who may be whom
    Line("who may assume", "functions", ROLES, "AssumeRolePolicyDocument", may_assume("lambda")),
    Line("who may assume", "functions", "ScheduleRole", "AssumeRolePolicyDocument", may_assume("scheduler", **OURS, ArnEquals={"aws:SourceArn": OUR_GROUP})),
    Line("who may assume", "tasks", "TaskExecutionRole", "AssumeRolePolicyDocument", may_assume("ecs-tasks", **OURS, ArnLike={"aws:SourceArn": OUR_TASKS})),
    Line("conditions", "*", ROLE, "Policies", conditioned),
    Line("a boundary", "*", ROLE, "PermissionsBoundary", unless("Bounded", ref("PermissionsBoundary"))),
    Line("no policies of AWS's", "*", ROLE, "ManagedPolicyArns", absent),
    # --- functions, and who may call them
    Line("Lambda.1", "*", PERMISSION, "Action", "lambda:InvokeFunction"),
    Line("Lambda.1", "api", PERMISSION, "Principal", "apigateway.amazonaws.com"),
    Line("Lambda.1", "api", PERMISSION, "SourceArn", OUR_API),
    Line("Lambda.1", "functions", PERMISSION, "Principal", "events.amazonaws.com"),
    Line("Lambda.1", "functions", PERMISSION, "SourceArn", att("TaskStateChanges")),
    Line("Lambda.2", "*", FUNCTION, "Runtime", "provided.al2023"),
    Line("Lambda.7", "*", FUNCTION, "TracingConfig", {"Mode": ref("Tracing")}),
    Line("its own log", "*", FUNCTION, "LoggingConfig", lambda said, name, _: said == {"LogFormat": "Text", "LogGroup": ref(name.replace("Function", "Logs"))}),
    Line("its own role", "*", FUNCTION, "Role", lambda said, name, _: said == att(name.replace("Function", "Role"))),
    *(Line("a storm starves nobody", "functions", f"{name}Function", "ReservedConcurrentExecutions", unless(f"Reserve{name}", ref(f"{name}Concurrency"))) for name in ("Webhook", "Tickets", "Api", "Pages")),
    *(Line("a storm starves nobody", "functions", mapping, "ScalingConfig", {"MaximumConcurrency": ref(limit)}) for mapping, limit in
      [("DispatcherFunctionDispatch", "DispatcherConcurrency"), ("EffectsFunctionEffects", "EffectsConcurrency")]),
    Line("what failed is kept", "functions", "TasksFunctionEventInvokeConfig", "DestinationConfig", {"OnFailure": {"Destination": ref("UndeliveredArn")}}),
    Line("what failed is kept", "functions", "TaskStateChanges", "Targets", lambda all, *_: [one.get("DeadLetterConfig") for one in all] == [{"Arn": ref("UndeliveredArn")}]),
    Line("deaths of our own tasks", "functions", "TaskStateChanges", "EventPattern", {"source": ["aws.ecs"], "detail-type": ["ECS Task State Change"], "detail": {"clusterArn": [ref("ClusterArn")], "lastStatus": ["STOPPED"]}}),
    Line("tries end", "*", "AWS::Lambda::EventInvokeConfig", "", lambda one, *_: {"MaximumEventAgeInSeconds", "MaximumRetryAttempts"} <= one["Properties"].keys()),
    Line("tries end", "functions", "TaskStateChanges", "Targets.0.RetryPolicy", {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 20}),
    Line("tries end", "functions", "SweeperSchedule", "Target.RetryPolicy", {"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 1}),
    # --- the doors
    Line("APIGateway.9", "api", "Stage", "AccessLogSettings", lambda said, *_: said.get("DestinationArn") == att("AccessLogs") and "$context.identity.sourceIp" in said.get("Format", {}).get("Fn::Sub", "")),
    Line("a storm starves nobody", "api", "Stage", "DefaultRouteSettings", limits(ref("RequestsPerSecond"))),
    Line("a storm starves nobody", "api", "Stage", "RouteSettings", {"ANY /webhooks/{proxy+}": limits(ref("WebhooksPerSecond")), **{f"ANY {path}": limits(10) for path in LOOKS}}),
    Line("one door", "address", "Api", "DisableExecuteApiEndpoint", {"Fn::If": ["OwnDomain", True, False]}),
    Line("TLS 1.2", "api", "Domain", "DomainNameConfigurations", [{"CertificateArn": ref("CertificateArn"), "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}]),
    # --- who is told
    Line("SNS.4", "watch", "AlarmTopicPolicy", "PolicyDocument", policy(ALARMS, over_tls("sns:Publish", ref("AlarmTopic")))),
    Line("SNS.4", "*", "AWS::SNS::Topic", "", has_policy("AWS::SNS::TopicPolicy", "Topics", lambda name, said: said == over_tls("sns:Publish", ref(name)))),
    Line("CloudWatch.15", "*", ALARM, "AlarmActions", [ref("AlarmTopic")]),
    Line("CloudWatch.15", "*", ALARM, "OKActions", [ref("AlarmTopic")]),
    Line("CloudWatch.17", "*", ALARM, "ActionsEnabled", absent),
    Line("what silence means", "*", ALARM, "TreatMissingData", lambda said, name, _: said == ("breaching" if name == "SweeperLateAlarm" else "notBreaching")),
    Line("SNS.1", "watch", "AlarmTopic", "KmsMasterKeyId", OWN_KEY),
    Line("a key of one's own", "*", GROUP, "KmsKeyId", OWN_KEY),
    Line("CloudWatch.16", "*", GROUP, "RetentionInDays", ref("LogRetentionDays")),
]

# What says nothing of safety, by type: properties, and what is within one after a dot, where `#` is a place in a
# list; after a slash what stands beside the properties; and `.`, the resource itself, where nothing refers to it.
# Others compare much of it: tests/infra.rs the routes, the alarms, the table and the variables with the code, and
# .ci/deploy-emulated all of it with what stands in a deployment.
FREE = {
    # --- what is called how, and leads where
    "AWS::ApiGatewayV2::Api": "Name ProtocolType",
    "AWS::ApiGatewayV2::ApiMapping": ". ApiId DomainName Stage",
    "AWS::ApiGatewayV2::DomainName": "DomainName",
    "AWS::ApiGatewayV2::Integration": "ApiId IntegrationType IntegrationUri PayloadFormatVersion TimeoutInMillis",
    # Functions prove who asks: AuthorizationType says NONE.
    "AWS::ApiGatewayV2::Route": ". ApiId AuthorizationType RouteKey Target",
    "AWS::ApiGatewayV2::Stage": "ApiId AutoDeploy StageName",
    "AWS::EC2::InternetGateway": "Tags",
    "AWS::EC2::Route": ". DestinationCidrBlock GatewayId RouteTableId",
    "AWS::EC2::RouteTable": "Tags VpcId",
    "AWS::EC2::SecurityGroup": "GroupDescription SecurityGroupEgress.#.Description Tags",
    "AWS::EC2::Subnet": "AvailabilityZone CidrBlock Tags VpcId",
    "AWS::EC2::SubnetRouteTableAssociation": ". RouteTableId SubnetId",
    "AWS::EC2::VPC": "CidrBlock EnableDnsHostnames EnableDnsSupport Tags",
    "AWS::EC2::VPCEndpoint": "RouteTableIds ServiceName VpcId",
    "AWS::EC2::VPCGatewayAttachment": ". InternetGatewayId VpcId",
    # --- what is looked at, and how it is told
    ALARM: """. AlarmDescription AlarmName ComparisonOperator DatapointsToAlarm Dimensions EvaluationPeriods MetricName
        Metrics Namespace Period Statistic Threshold""",
    "AWS::Budgets::Budget": ". Budget NotificationsWithSubscribers",
    "AWS::CloudWatch::Dashboard": ". DashboardBody DashboardName",
    "AWS::Logs::MetricFilter": ". FilterPattern LogGroupName MetricTransformations",
    "AWS::SNS::Subscription": ". Endpoint Protocol TopicArn",
    "AWS::SNS::Topic": "TopicName",
    # --- what it is, how large, and what becomes of what can be made again
    TABLE: "AttributeDefinitions GlobalSecondaryIndexes KeySchema TableName TimeToLiveSpecification",
    "AWS::ECR::Repository": "EmptyOnDelete RepositoryName /DeletionPolicy /UpdateReplacePolicy",
    "AWS::ECS::Cluster": "CapacityProviders ClusterName DefaultCapacityProviderStrategy",
    TASK: """. ContainerDefinitions.#.Command ContainerDefinitions.#.Essential ContainerDefinitions.#.Name Cpu
        EphemeralStorage Family Memory RuntimePlatform""",
    "AWS::Events::Rule": "Description Name Targets.#.Arn Targets.#.Id",
    ROLE: "Description",
    "AWS::Lambda::EventInvokeConfig": ". DestinationConfig FunctionName Qualifier",
    "AWS::Lambda::EventSourceMapping": "BatchSize",
    FUNCTION: "Architectures Code Description Environment FunctionName MemorySize Tags Timeout",
    PERMISSION: ". FunctionName",
    GROUP: "LogGroupName /DeletionPolicy /UpdateReplacePolicy",
    BUCKET: "LifecycleConfiguration.Rules.#.Id",
    QUEUE: """DeduplicationScope FifoThroughputLimit MessageRetentionPeriod QueueName ReceiveMessageWaitTimeSeconds
        /DeletionPolicy /UpdateReplacePolicy""",
    "AWS::Scheduler::Schedule": "Description FlexibleTimeWindow Name ScheduleExpression Target.Arn Target.RoleArn",
    "AWS::SecretsManager::Secret": "Description Name",
}


def found_at(one, path):
    """What stands there; numbers are places in a list."""
    if path.startswith("/"):
        return one.get(path[1:], MISSING)
    if not path:
        return one
    value = one.get("Properties", {})
    for key in path.split("."):
        if isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        elif isinstance(value, dict) and key in value:
            value = value[key]
        else:
            return MISSING
    return value


def chosen(line, template):
    if isinstance(line.whose, str) and line.whose.startswith("parameter "):
        name = line.whose.removeprefix("parameter ")
        return {name: template["Parameters"][name]}
    names = [line.whose] if isinstance(line.whose, str) else line.whose
    return {name: one for name, one in template["Resources"].items() if name in names or one["Type"] == line.whose}


def troubles(line, part, template):
    """What is not as the line says in this file."""
    left, found = [], chosen(line, template)
    if not found and line.part == part:
        return [f"{part}.yaml: there is no {line.whose} for {line.control}"]
    for name, one in found.items():
        value = found_at(one, line.path)
        try:
            fits = line.must(value, name, template["Resources"]) if callable(line.must) else value == line.must
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            fits = False
        if not fits:
            left.append(f"{part}.yaml: {name}: {line.control} does not hold: {line.path or 'what others say of it'}")
    return left


def nodes(value, path=()):
    """Everything within, from the whole to the last word; a function of CloudFormation is one word."""
    if path:
        yield path
    if isinstance(value, dict) and not (len(value) == 1 and next(iter(value)).startswith(("Ref", "Fn::"))):
        for key in value:
            yield from nodes(value[key], (*path, key))
    elif isinstance(value, list):
        for place, one in enumerate(value):
            yield from nodes(one, (*path, place))


def broken(one, path):
    """The resource without what stands there, and if it is on or off, with the other."""
    for turned in (False, True):
        other = copy.deepcopy(one)
        *way, last = path
        at = other
        for key in way:
            at = at[key]
        if not turned:
            del at[last]
        elif isinstance(at[last], bool):
            at[last] = not at[last]
        else:
            return
        yield other


def added(one, path):
    other = copy.deepcopy(one)
    *way, last = path.split(".")
    (found_at(other, ".".join(way)) if way else other["Properties"])[last] = "anything"
    return other


def free(one, path):
    """The entry of FREE that this place is in."""
    words = ["#" if isinstance(key, int) else key for key in path]
    dotted = ".".join(words[1:]) if words[0] == "Properties" else "/" + words[0]
    for entry in FREE.get(one["Type"], "").split():
        if dotted == entry or dotted.startswith(entry + "."):
            return one["Type"], entry
    return None


def narrows(path):
    """Of a role's policies only the conditions are taken away: with less of anything else it may do less, and
    tests/roles.rs compares what it may do with what it does."""
    return path[:2] == ("Properties", "Policies") and ("Condition" not in path or isinstance(path[-1], int))


def secured(templates):
    """What is not as SECURED says."""
    left = [trouble for line in SECURED for part, template in templates.items() if line.part in ("*", part) for trouble in troubles(line, part, template)]
    left += [f"there is no {line.whose} for {line.control}" for line in SECURED if not any(chosen(line, templates[part]) for part in templates if line.part in ("*", part))]
    return left


def proven(templates, others):
    """What can be left out and nobody notices; how often something was left out, and how often it was noticed. `others`
    are further checks of them all."""
    left, tried, missed, useful, used = [], 0, 0, set(), set()

    def noticed(part, **changed):
        template = templates[part] | changed
        lines = [line for line in SECURED if line.part in ("*", part) and troubles(line, part, template)]
        useful.update(map(id, lines))
        if lines:
            return True
        try:
            return bool(others(templates | {part: template}))
        except (AttributeError, KeyError, TypeError):
            return True

    for part, template in templates.items():
        resources, text = template["Resources"], json.dumps(template)
        for line in SECURED:
            if line.part == part and str(line.whose).startswith("parameter "):
                [(name, one)] = chosen(line, template).items()
                tried += 1
                noticed(part, Parameters=template["Parameters"] | {name: {key: it for key, it in one.items() if key != "Default"}})
            # What must not be there is put there.
            if line.must is absent and line.part in ("*", part):
                for name, one in chosen(line, template).items():
                    tried += 1
                    noticed(part, Resources=resources | {name: added(one, line.path)})
        for name, one in resources.items():
            # What others refer to cfn-lint misses.
            if not any(word in text for word in (f'"Ref": "{name}"', f'"Fn::GetAtt": ["{name}"', f"${{{name}}}", f"${{{name}.")):
                tried += 1
                if not noticed(part, Resources={key: it for key, it in resources.items() if key != name}):
                    missed += 1
                    if "." in FREE.get(one["Type"], "").split():
                        used.add((one["Type"], "."))
                    else:
                        left.append(f"{part}.yaml: {name} can be left out and nobody notices")
            for path in nodes({key: one[key] for key in ("Properties", "DeletionPolicy", "UpdateReplacePolicy") if key in one}):
                if path == ("Properties",) or narrows(path):
                    continue
                for other in broken(one, path):
                    tried += 1
                    if noticed(part, Resources=resources | {name: other}):
                        continue
                    missed += 1
                    entry = free(one, path)
                    if entry:
                        used.add(entry)
                    else:
                        left.append(f"{part}.yaml: {name}: {'.'.join(map(str, path))} can be left out or turned over and nobody notices")
    left += [f"{line.control} of {line.whose} in {line.part} is never missed" for line in SECURED if id(line) not in useful]
    entries = {(kind, entry) for kind, said in FREE.items() for entry in said.split()}
    left += [f"{kind} {entry} is held, and need not be free" for kind, entry in sorted(entries - used)]
    return left, tried, tried - missed
