"""Checks infra/ for .ci/template: cfn-lint over the expanded templates, rules of safety, nested parameters, scripts."""

import fnmatch
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib

import cfnlint.schema.manager
from cfnlint.decode import decode
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from sam_expand import expanded

PARTS = ["address", "network", "data", "queues", "tasks", "functions", "api", "watch", "template"]

# Accepted findings of cfn-lint: (file, rule, a part of the message) -> reason.
ACCEPTED = {
    ("template", "I3011", "Set explicit values"): "the nested templates set their own deletion policies",
}
# Accepted findings of shellcheck: (script, code) -> reason.
ACCEPTED_SHELL = {
    (".ci/schemathesis", "SC1007"): "two variables are emptied on one line",
    (".ci/schemathesis", "SC2154"): "each call of `round` sets mode and phases",
    (".ci/schemathesis", "SC2329"): "the trap calls it",
    (".ci/simulation", "SC2017"): "the day is an integer on purpose",
}

# Calls for properties that the templates do not set. A key of your own needs what docs/operations.md lists.
UNUSED_CALLS = re.compile(
    "^(elasticfilesystem|firehose|kinesis|kms|s3files|s3tables|vpc-lattice|vpce):|REST|VpnGateway|VpcTenancy|EncryptionControl|"
    "CidrBlock|SecurityGroupIngress|RuleDescriptions|DescribeInstances|AccountSetting|Repository(Policy|Policies)$|"
    "(Attach|Detach)RolePolicy|StackPolicy|Replica|Kinesis|Import|(Batch|Delete)(Write)?Item$|ContributorInsights|"
    "dynamodb:(Put|Delete)ResourcePolicy|CodeSigning|LayerVersion|CapacityProvider$|PublishVersion|RuntimeAlias|"
    "lambda:Put(FunctionScaling|RuntimeManagement)|LogStream|LogEvents|DataProtection|IndexPolicy|BearerToken|"
    "DeletionProtection|logs:DeleteResourcePolicy|RegionsFromReplication|s3:(Put|Delete|Create|Update).*("
    "Abac|Accelerate|Acl|Analytics|CORS|Cors|Encryption$|Inventory|Lifecycle$|Logging|MetadataTable|Metadata|Metrics|"
    "Notification|ObjectLock|Replication|Tiering|Website)")

# (call, ARN, whether infra/deploy-policy.json of a stack `py` allows it).
GRANTS = [
    ("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:eu-west-1:1:secret:py/key-AbCdEf", True),
    ("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:eu-west-1:1:secret:py/user/github-AbCdEf", False),
    ("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:eu-west-1:1:secret:py-dev/job/model-AbCdEf", False),
    ("secretsmanager:DeleteSecret", "arn:aws:secretsmanager:eu-west-1:1:secret:py/user/github-AbCdEf", True),
    ("secretsmanager:DeleteSecret", "arn:aws:secretsmanager:eu-west-1:1:secret:py/other-AbCdEf", False),
    ("secretsmanager:DescribeSecret", "arn:aws:secretsmanager:eu-west-1:1:secret:py/job/model-AbCdEf", True),
    ("ecs:CreateCluster", "arn:aws:ecs:eu-west-1:1:cluster/py", True),
    ("ecs:DeleteCluster", "arn:aws:ecs:eu-west-1:1:cluster/other", False),
    ("ecs:RegisterTaskDefinition", "arn:aws:ecs:eu-west-1:1:task-definition/py-small:1", True),
    ("cloudwatch:PutMetricAlarm", "arn:aws:cloudwatch:eu-west-1:1:alarm:py-api-5xx", True),
    ("cloudwatch:DeleteAlarms", "arn:aws:cloudwatch:eu-west-1:1:alarm:other", False),
    ("cloudwatch:PutDashboard", "arn:aws:cloudwatch::1:dashboard/py", True),
    ("cloudwatch:DeleteDashboards", "arn:aws:cloudwatch::1:dashboard/other", False),
    # These have no ARN, so that only `*` allows them.
    ("sns:Unsubscribe", "*", True), ("ecs:DeregisterTaskDefinition", "*", True), ("cloudwatch:DescribeAlarms", "*", True),
    ("logs:DescribeIndexPolicies", "*", True),
    # preflight: the role of a session, and the events of a refused change set.
    ("iam:GetRole", "arn:aws:iam::1:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_deploy_1", True),
    ("iam:GetRole", "arn:aws:iam::1:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS", True),
    ("cloudformation:ListChangeSets", "arn:aws:cloudformation:eu-west-1:1:stack/py/1", True),
    ("cloudformation:DescribeEvents", "arn:aws:cloudformation:eu-west-1:1:changeSet/samcli-deploy1/1", True),
    ("lambda:InvokeFunction", "arn:aws:lambda:eu-west-1:1:function:py-api", True),
    ("lambda:InvokeFunction", "arn:aws:lambda:eu-west-1:1:function:other", False),
]
# Calls that amount to more than the stack without this key of a condition.
CONDITIONS = {"iam:CreateServiceLinkedRole": "iam:AWSServiceName", "iam:PassRole": "iam:PassedToService"}

# Named resources that may be replaced: type -> reason.
REPLACEABLE = {"ECS::TaskDefinition": "a further revision of the same family"}

CONTAINER = "ContainerDefinitions.0."
PRIVATE = dict.fromkeys(["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"], True)
OWN_KEY = {"Fn::If": ["OwnKey", {"Ref": "KmsKeyArn"}, {"Ref": "AWS::NoValue"}]}
DEAD_LETTERS = ["DispatchDeadLetterQueue", "EffectsDeadLetterQueue", "CallsDeadLetterQueue", "SubmissionsDeadLetterQueue", "UndeliveredQueue"]
ABSENT, PRESENT = object(), object()

# (type or names of resources, path of a property, required value). A path that begins with "/" is beside Properties.
# The roles are compared with the calls of the code in tests/roles.rs, queues, table and alarms in tests/infra.rs.
RULES = [
    *((kind, "/DeletionPolicy", "RetainExceptOnCreate") for kind in ("S3::Bucket", "DynamoDB::Table", "SecretsManager::Secret")),
    *((kind, "/UpdateReplacePolicy", "Retain") for kind in ("S3::Bucket", "DynamoDB::Table", "SecretsManager::Secret")),
    # infra/remove deletes only what this tag proves to be the stack's.
    *((kind, "Tags", [{"Key": "pullyard:deployment", "Value": {"Ref": "Deployment"}}])
      for kind in ("S3::Bucket", "DynamoDB::Table", "SecretsManager::Secret")),
    ("DynamoDB::Table", "BillingMode", "PAY_PER_REQUEST"),
    ("DynamoDB::Table", "PointInTimeRecoverySpecification", {"PointInTimeRecoveryEnabled": True}),
    ("DynamoDB::Table", "DeletionProtectionEnabled", ABSENT), # `pullyard init` sets it.
    ("DynamoDB::Table", "SSESpecification.Fn::If.0", "OwnKey"),
    ("S3::Bucket", "PublicAccessBlockConfiguration", PRIVATE),
    ("S3::Bucket", "OwnershipControls", {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}),
    ("S3::Bucket", "BucketEncryption", PRESENT),
    ("S3::Bucket", "LifecycleConfiguration.Rules.0.Status", "Enabled"),
    ("S3::BucketPolicy", "PolicyDocument.Statement.0.Effect", "Deny"),
    ("S3::BucketPolicy", "PolicyDocument.Statement.0.Condition", {"Bool": {"aws:SecureTransport": "false"}}),
    ("SecretsManager::Secret", "GenerateSecretString", {"PasswordLength": 64, "ExcludePunctuation": True}),
    ("SecretsManager::Secret", "KmsKeyId", OWN_KEY),
    ("SQS::Queue", "SqsManagedSseEnabled", {"Fn::If": ["OwnKey", False, True]}),
    ("SQS::Queue", "KmsMasterKeyId", OWN_KEY),
    ("SQS::QueuePolicy", "PolicyDocument.Statement.0.Effect", "Deny"),
    ("SQS::QueuePolicy", "PolicyDocument.Statement.0.Condition", {"Bool": {"aws:SecureTransport": "false"}}),
    (DEAD_LETTERS, "MessageRetentionPeriod", 1209600),
    (["DispatchQueue", "EffectsQueue", "CallsQueue", "SubmissionsQueue"], "RedrivePolicy.maxReceiveCount", 5),
    ("ECR::Repository", "ImageScanningConfiguration", {"ScanOnPush": True}),
    ("ECR::Repository", "ImageTagMutability", "IMMUTABLE_WITH_EXCLUSION"),
    ("ECS::TaskDefinition", "TaskRoleArn", ABSENT),
    ("ECS::TaskDefinition", "PidMode", ABSENT),
    ("ECS::TaskDefinition", "NetworkMode", "awsvpc"),
    ("ECS::TaskDefinition", "RequiresCompatibilities", ["FARGATE"]),
    ("ECS::TaskDefinition", "Volumes", [{"Name": "work"}, {"Name": "tmp"}]),
    ("ECS::TaskDefinition", "ContainerDefinitions.1", ABSENT),
    ("ECS::TaskDefinition", CONTAINER + "Privileged", ABSENT),
    ("ECS::TaskDefinition", CONTAINER + "ReadonlyRootFilesystem", True),
    ("ECS::TaskDefinition", CONTAINER + "User", "10001:10001"),
    ("ECS::TaskDefinition", CONTAINER + "LinuxParameters", {"InitProcessEnabled": True, "Capabilities": {"Drop": ["ALL"]}}),
    ("ECS::TaskDefinition", CONTAINER + "Environment", [
        {"Name": "PULLYARD_WORK_DIR", "Value": "/work"},
        {"Name": "PULLYARD_DISK_LIMIT", "Value": {"Fn::Sub": "${TaskDiskGiB}g"}},
    ]),
    ("ECS::TaskDefinition", CONTAINER + "StopTimeout", 120),
    ("ECS::TaskDefinition", CONTAINER + "LogConfiguration.Options.mode", "non-blocking"),
    ("EC2::Subnet", "MapPublicIpOnLaunch", False),
    ("EC2::SecurityGroup", "SecurityGroupIngress", ABSENT),
    ("IAM::Role", "ManagedPolicyArns", ABSENT),
    ("IAM::Role", "PermissionsBoundary.Fn::If.0", "Bounded"),
    ("Lambda::Function", "Runtime", "provided.al2023"),
    ("Lambda::Function", "LoggingConfig.LogFormat", "Text"),
    ("EffectsFunction", "RecursiveLoop", "Allow"),
    ("Lambda::Permission", "SourceArn", PRESENT),
    ("Lambda::EventInvokeConfig", "MaximumRetryAttempts", PRESENT),
    ("Lambda::EventSourceMapping", "FunctionResponseTypes", ["ReportBatchItemFailures"]),
    ("Lambda::EventSourceMapping", "ScalingConfig.MaximumConcurrency", PRESENT),
    ("ApiGatewayV2::Stage", "AccessLogSettings.DestinationArn", PRESENT),
    ("ApiGatewayV2::Stage", "DefaultRouteSettings.ThrottlingRateLimit", {"Ref": "RequestsPerSecond"}),
    ("ApiGatewayV2::DomainName", "DomainNameConfigurations.0.SecurityPolicy", "TLS_1_2"),
    # An update sets it before Doors maps the name, so a moving stack has it open.
    ("ApiGatewayV2::Api", "DisableExecuteApiEndpoint", {"Fn::If": ["Closed", True, False]}),
    ("SNS::Topic", "KmsMasterKeyId", OWN_KEY),
    ("CloudWatch::Alarm", "AlarmActions", [{"Ref": "AlarmTopic"}]),
    ("CloudWatch::Alarm", "OKActions", [{"Ref": "AlarmTopic"}]),
    ("TaskStartsFailedAlarm", "EvaluationPeriods", 1),
    ("TaskStartsFailedAlarm", "Threshold", 1),
    ("Logs::LogGroup", "RetentionInDays", {"Ref": "LogRetentionDays"}),
    ("Logs::LogGroup", "KmsKeyId", OWN_KEY),
]


def load(part):
    template, errors = decode(f"infra/{part}.yaml")
    if errors:
        sys.exit(f"infra/{part}.yaml: {errors}")
    return json.loads(json.dumps(template))


def lint(templates, folder):
    """Findings of cfn-lint that are not accepted."""
    for part, template in templates.items():
        (folder / f"{part}.json").write_text(json.dumps(template, indent=1))
    program = pathlib.Path(sys.executable).parent / "cfn-lint"
    run = subprocess.run([program, "--format", "json", "--include-checks", "I", "--", *map(str, folder.glob("*.json"))],
                         capture_output=True, text=True)
    for finding in json.loads(run.stdout or sys.exit(run.stderr)):
        part, rule, message = pathlib.Path(finding["Filename"]).stem, finding["Rule"]["Id"], finding["Message"]
        if not any(key[:2] == (part, rule) and key[2] in message for key in ACCEPTED):
            yield f"infra/{part}.yaml: {rule} {message}"


def stale_regions(templates):
    """Whether infra/regions.json has the types that each region lacks. PULLYARD_WRITE_DOCS=1 writes it."""
    types = sorted({one["Type"] for template in templates.values() for one in template["Resources"].values()})
    folder = pathlib.Path(cfnlint.schema.manager.__file__).parents[1] / "data/schemas/providers"
    regions = sorted(path.stem for path in folder.glob("*-*.json"))
    found = {region: sorted(set(types) - set(PROVIDER_SCHEMA_MANAGER.get_resource_types(region))) for region in regions}
    lines = ",\n".join(f"  {json.dumps(region)}: {json.dumps(missing)}" for region, missing in found.items())
    path, text = pathlib.Path("infra/regions.json"), f"{{\n{lines}\n}}\n"
    if os.environ.get("PULLYARD_WRITE_DOCS"):
        path.write_text(text)
    if path.read_text() != text:
        yield f"{path} differs from AWS's resource schemas: PULLYARD_WRITE_DOCS=1 .ci/template writes it"
    for region in ("us-east-1", "eu-central-1"):
        if found[region]:
            yield f"{region} lacks {found[region]}"


def missing_permissions(templates):
    """Calls that CloudFormation makes for the templates' types and that infra/deploy-policy.json does not allow."""
    statements = json.loads(pathlib.Path("infra/deploy-policy.json").read_text())["Statement"]
    allowed = [action for statement in statements for action in statement["Action"]]
    for kind in sorted({one["Type"] for template in templates.values() for one in template["Resources"].values()}):
        handlers = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema.get("handlers", {})
        needed = {action for name in ("create", "read", "update", "delete") for action in handlers.get(name, {}).get("permissions", [])}
        for action in sorted(needed):
            if not UNUSED_CALLS.search(action) and not any(fnmatch.fnmatch(action.lower(), one.lower()) for one in allowed):
                yield f"infra/deploy-policy.json: {kind} needs {action}"
    # IAM's limit for a role, without white space, with the longest name of a stack.
    size = len("".join(pathlib.Path("infra/deploy-policy.json").read_text().split()).replace("NAME", "x" * 25))
    if size > 10_240:
        yield f"infra/deploy-policy.json has {size} characters, more than an inline policy of a role may have"


def wrong_grants():
    """Calls that infra/deploy-policy.json allows for too many resources, or for too few."""
    statements = json.loads(pathlib.Path("infra/deploy-policy.json").read_text().replace("NAME", "py"))["Statement"]
    for call, arn, expected in GRANTS:
        allowed = any(fnmatch.fnmatchcase(call, action) and fnmatch.fnmatchcase(arn, resource)
                      for one in statements for action in one["Action"] for resource in one["Resource"])
        if allowed != expected:
            yield f"infra/deploy-policy.json must {'allow' if expected else 'not allow'} {call} on {arn}"
    for call, key in CONDITIONS.items():
        if not all(one.get("Condition", {}).get("StringEquals", {}).get(key) for one in statements if call in one["Action"]):
            yield f"infra/deploy-policy.json: {call} needs the condition {key}"


def value_at(resource, path):
    if path.startswith("/"):
        return resource.get(path[1:], ABSENT)
    value = resource.get("Properties", {})
    for key in path.split("."):
        if isinstance(value, list):
            value = value[int(key)] if int(key) < len(value) else ABSENT
        else:
            value = value.get(key, ABSENT) if isinstance(value, dict) else ABSENT
    return value


def break_rules(templates):
    """Resources that break a rule, and rules that no resource is subject to."""
    resources = [(part, name, one) for part, template in templates.items() for name, one in template["Resources"].items()]
    for subject, path, required in RULES:
        names = [subject] if isinstance(subject, str) else subject
        chosen = [one for one in resources if one[1] in names or one[2]["Type"].removeprefix("AWS::") in names]
        if not chosen:
            yield f"no resource is {subject}: remove the rule on {path}"
        for part, name, resource in chosen:
            value = value_at(resource, path)
            if value is ABSENT if required is PRESENT else value != required:
                yield f"infra/{part}.yaml: {name}: {path} must be {'set' if required is PRESENT else required}"


def misfits(templates):
    """Parameters and outputs that a nested stack lacks, and parameters without a description."""
    for part, template in templates.items():
        for kind in ("Parameters", "Outputs"):
            for name, one in template.get(kind, {}).items():
                if not one.get("Description"):
                    yield f"infra/{part}.yaml: {name} has no description"
    root = templates["template"]["Resources"]
    part_of = lambda stack: templates[root[stack]["Properties"]["TemplateURL"].removesuffix(".yaml")]
    parameters = templates["template"]["Parameters"]
    grouped = [name for group in templates["template"]["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
               for name in group["Parameters"]]
    if grouped != list(parameters):
        yield "infra/template.yaml: Metadata groups other parameters, or in another order"
    listed = dict(re.findall(r"(?m)^#   (\w+)=(\S*) ", pathlib.Path("samconfig.toml").read_text()))
    for name, default in listed.items() ^ {(name, str(one["Default"])) for name, one in parameters.items()}:
        yield f"samconfig.toml: the list of parameters and the template differ in {name}={default}"
    for environment, commands in tomllib.loads(pathlib.Path("samconfig.toml").read_text()).items():
        # `sam delete` deletes the stack's folder in SAM's bucket, so no two stacks may share one.
        one = commands.get("global", {}).get("parameters", {}) if isinstance(commands, dict) else {}
        if one.get("s3_prefix") != one.get("stack_name"):
            yield f"samconfig.toml: {environment} has another s3_prefix than stack_name"
        tags = commands.get("deploy", {}).get("parameters", {}).get("tags", "") if isinstance(commands, dict) else ""
        given = re.search(r"RuntimeTags=(\S+)", one.get("parameter_overrides", ""))
        if isinstance(commands, dict) and tags.split() != (given[1] if given else listed["RuntimeTags"]).split(","):
            yield f"samconfig.toml: {environment} has other tags than RuntimeTags"
    for stack in (name for name, one in root.items() if one["Type"] == "AWS::CloudFormation::Stack"):
        given, taken = root[stack]["Properties"]["Parameters"], part_of(stack)["Parameters"]
        if given.keys() != taken.keys():
            yield f"infra/template.yaml: {stack} and its template differ in {sorted(given.keys() ^ taken.keys())}"
        for name, value in given.items():
            if name in parameters and value == {"Ref": name}:
                # CloudFormation checks the value once, in the root template.
                for key, one in taken[name].items():
                    if key != "Description" and (key not in ("Type", "Default") or one != parameters[name][key]):
                        yield f"infra/template.yaml: {stack} has {key} {one} for {name}"
            elif "Ref" in value and name != "Deployment":
                yield f"infra/template.yaml: {stack} sets {name} from {value['Ref']}"
            for source, output in re.findall(r'"Fn::GetAtt": \["(\w+)", "Outputs\.(\w+)"\]', json.dumps(value)):
                if output not in part_of(source)["Outputs"]:
                    yield f"infra/template.yaml: {source} has no output {output}"


class Replacements:
    """Which parameters of the root template, when they change, replace a resource."""

    def __init__(self, templates):
        self.templates, self.known = templates, {}
        # A change of these is refused by AWS and documented.
        self.constant = {name for name, one in templates["template"]["Parameters"].items() if "cannot change" in one["Description"]}

    def create_only(self, part, name):
        """The values of the properties that a resource gets at its creation only, by their path."""
        resource = self.templates[part]["Resources"][name]
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", resource["Type"]).schema
        paths = [one.removeprefix("/properties/").replace("/", ".") for one in schema.get("createOnlyProperties", [])]
        # A path may lead through each element of a list, or into a condition; then all of the property counts.
        found = {path: value_at(resource, path) if path.isidentifier() else value_at(resource, path.split(".")[0]) for path in paths}
        return {path: value for path, value in found.items() if value is not ABSENT}

    def of_name(self, part, name):
        if (part, name) in self.known:
            return self.known[part, name]
        template, found = self.templates[part], set()
        self.known[part, name] = found
        if name in template.get("Parameters", {}):
            root = self.templates["template"]["Resources"].values()
            given = next((one["Properties"]["Parameters"].get(name) for one in root
                          if one["Properties"].get("TemplateURL") == f"{part}.yaml"), None)
            found |= {name} - self.constant if part == "template" else self.of_value("template", given)
        elif template["Resources"].get(name, {}).get("Type", "AWS::CloudFormation::Stack") != "AWS::CloudFormation::Stack":
            found |= self.of_value(part, list(self.create_only(part, name).values()))
        return found

    def of_value(self, part, value):
        if isinstance(value, list):
            return set().union(*(self.of_value(part, one) for one in value))
        if not isinstance(value, dict):
            return set()
        found = set()
        for key, one in value.items():
            if key in ("Ref", "Fn::GetAtt"):
                path = one.split(".") if isinstance(one, str) else one
                resource = self.templates[part]["Resources"].get(path[0], {})
                if path[1:] and resource.get("Type") == "AWS::CloudFormation::Stack":
                    nested = resource["Properties"]["TemplateURL"].removesuffix(".yaml")
                    output = ".".join(path[1:]).removeprefix("Outputs.")
                    found |= self.of_value(nested, self.templates[nested]["Outputs"][output]["Value"])
                else:
                    found |= self.of_name(part, path[0])
            elif key == "Fn::Sub":
                text, values = one if isinstance(one, list) else (one, {})
                names = {name for name in re.findall(r"\$\{([\w.]+)\}", text) if name not in values}
                found |= self.of_value(part, [{"Fn::GetAtt": name} for name in names] + list(values.values()))
            elif key in ("Fn::If", "Condition"):
                name = one[0] if key == "Fn::If" else one
                found |= self.of_value(part, self.templates[part]["Conditions"][name])
                found |= self.of_value(part, one[1:]) if key == "Fn::If" else set()
            else:
                found |= self.of_value(part, one)
        return found


def stuck_updates(templates):
    """Named resources that an update would have to replace: CloudFormation creates the new one first, under a name that the
    old one still has."""
    replacements, used = Replacements(templates), set()
    for part, template in templates.items():
        for name, resource in template["Resources"].items():
            values = replacements.create_only(part, name)
            names = [path for path in values if re.search("(Name|^Family)$", path)]
            renamed = replacements.of_value(part, [values[path] for path in names])
            stuck = {path: sorted(replacements.of_value(part, value) - renamed) for path, value in values.items()}
            stuck = {path: parameters for path, parameters in stuck.items() if parameters}
            kind = resource["Type"].removeprefix("AWS::")
            if names and stuck and kind in REPLACEABLE:
                used.add(kind)
            elif names and stuck:
                yield f"infra/{part}.yaml: {name} has a fixed name, and is replaced when a parameter changes: {stuck}"
    for kind in REPLACEABLE.keys() - used:
        yield f".ci/template.py: no {kind} needs its row in REPLACEABLE"


def overlooked_updates(templates):
    """Whether the rule misses the budget that earlier templates had: its address could never change."""
    watch, email = templates["watch"], [{"Subscribers": [{"Address": {"Ref": "AlarmEmail"}}]}]
    budget = {"Type": "AWS::Budgets::Budget", "Properties": {
        "Budget": {"BudgetName": {"Ref": "Deployment"}}, "NotificationsWithSubscribers": email}}
    former = {**templates, "watch": {**watch, "Resources": {**watch["Resources"], "Budget": budget}}}
    if not any("Budget has a fixed name" in one and "AlarmEmail" in one for one in stuck_updates(former)):
        yield ".ci/template.py: stuck_updates misses a budget with AlarmEmail"


# (failed and completed jobs of a day, whether most jobs fail). None: the function published no data point.
DAYS = [
    (None, None, False), (None, 3, False), (2, None, False), (2, 1, False), (3, 4, False), (10, 400, False),
    (3, None, True), (3, 0, True), (3, 3, True), (400, 390, True),
]


def misjudged_days(templates):
    """Days on which the alarm of a team with few jobs is wrong. No emulator evaluates the expression of an alarm."""
    alarm = templates["watch"]["Resources"]["MostJobsFailedAlarm"]["Properties"]
    expression = next(metric["Expression"] for metric in alarm["Metrics"] if "Expression" in metric)
    functions = {"IF": lambda condition, one, other: one if condition else other,
                 "FILL": lambda value, default: default if value is None else value}
    for failed, completed, expected in DAYS:
        try:
            value = eval(expression, functions | {"failed": failed, "completed": completed})
        except TypeError:
            # A missing point outside of FILL.
            value = None
        # CloudWatch skips a day without a data point and judges an earlier day, whatever TreatMissingData is.
        if value is None or (value >= alarm["Threshold"]) != expected:
            yield f"infra/watch.yaml: MostJobsFailedAlarm is wrong on a day with {failed} failed and {completed} completed jobs"


def lint_scripts():
    """Findings in the shell scripts and Dockerfiles of infra and .ci."""
    files = [path for folder in ("infra", ".ci") for path in sorted(pathlib.Path(folder).rglob("*")) if path.is_file()]
    shell = [path for path in files if re.match(rb"#!.*\b(ba)?sh\b", path.read_bytes())]
    images = [path for path in files if path.name == "Dockerfile"]
    for tool, paths in (("shellcheck", shell), ("hadolint", images)):
        run = subprocess.run([pathlib.Path(sys.executable).parent / tool, "--format", "json", *map(str, paths)],
                             capture_output=True, text=True)
        for finding in json.loads(run.stdout or sys.exit(run.stderr)):
            code = finding["code"] if tool == "hadolint" else f"SC{finding['code']}"
            if (finding["file"], code) not in ACCEPTED_SHELL:
                yield f"{finding['file']}:{finding['line']}: {code} {finding['message']}"


templates = {part: expanded(load(part), "s3://packaged/functions.zip") for part in PARTS}
findings = [*lint(templates, pathlib.Path(sys.argv[1])), *stale_regions(templates), *missing_permissions(templates), *wrong_grants(),
            *break_rules(templates), *misfits(templates), *stuck_updates(templates), *overlooked_updates(templates), *misjudged_days(templates), *lint_scripts()]
print("\n".join(findings))
if findings:
    sys.exit(f"{len(findings)} findings in infra and .ci")
print(f"{len(templates)} templates, {sum(len(one['Resources']) for one in templates.values())} resources, {len(RULES)} rules")
