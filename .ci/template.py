"""What .ci/template holds about infra/: see there."""

import json
import pathlib
import re
import subprocess
import sys

import parliament
from cfnlint.decode import decode
from sam_expand import expanded
from template_secured import FUNCTIONS, SECURED, WRITES, proven, secured

INFRA = pathlib.Path("infra")
PARTS = ["address", "network", "data", "queues", "tasks", "functions", "api", "watch"]

# Findings of cfn-lint that are let stand: (file, rule, what the message has in it) -> why.
LINT = {
    ("api.yaml", "W1030", "CertificateArn"): "its default is nothing, and then there is no domain to have a certificate",
    ("template.yaml", "I3011", "Set explicit values"): "what is in a part says itself what becomes of it",
    ("network.yaml", "W1030", "VpcId"): "its default is nothing, and then the VPC of its own is taken",
}

# Findings of parliament that are let stand: (issue, what it is about) -> why.
ROLES = {
    ("RESOURCE_STAR", "ecs:ListTasks"): "its resource would be a container instance, which Fargate has none of; the "
    "cluster limits it, as in AWS's own example",
}

# Findings of shellcheck that are let stand: (script, code) -> why.
SHELL = {
    (".ci/schemathesis", "SC1007"): "two names are made empty on one line",
    (".ci/schemathesis", "SC2154"): "the calls of `round` give mode and phases, in front of it",
    (".ci/schemathesis", "SC2329"): "the trap calls it",
    (".ci/simulation", "SC2017"): "the day is meant to be a whole number",
}

# What a deployment may be called, and what not.
CALLED = ["abc", "pullyard", "pullyard-dev", "a1-b2-c3", "a" * 25]
NOT_CALLED = ["ab", "a" * 26, "1st", "-abc", "Capital", "a_b", "ends-in-", "two--hyphens"]

# Of all that has a deployment's name in its own, ECR takes least: by this it refuses others, which once was after the
# table was there. AWS's schema of the resource lets in more.
REPOSITORY = r"(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*"

# What may be allowed on every resource, because the service knows none to limit it to: action -> condition key
# that limits it instead, or none.
EVERYWHERE = {
    "ecs:ListTasks": "ecs:cluster",
    "secretsmanager:ListSecrets": None,
    "ecr:GetAuthorizationToken": None,
    "xray:PutTraceSegments": None,
    "xray:PutTelemetryRecords": None,
}


def fail(*what):
    print(*what)
    raise SystemExit(1)


def many(value):
    return value if isinstance(value, list) else [value]


def load(path):
    template, errors = decode(str(path))
    if errors:
        fail(path, errors)
    return json.loads(json.dumps(template))


def linted(templates, out):
    for name, template in templates.items():
        (out / f"{name}.json").write_text(json.dumps(template, indent=1))
    said = subprocess.run(
        [str(pathlib.Path(sys.executable).parent / "cfn-lint"), "--format", "json", "--include-checks", "I", "--",
         *(str(out / f"{name}.json") for name in templates)],
        capture_output=True, text=True,
    )
    left, used = [], set()
    for one in json.loads(said.stdout or fail(said.stderr)):
        file = pathlib.Path(one["Filename"]).stem + ".yaml"
        rule, message = one["Rule"]["Id"], one["Message"]
        known = [key for key in LINT if key[0] == file and key[1] == rule and key[2] in message]
        used.update(known)
        if not known:
            left.append(f"{file}: {rule} {message} at {'/'.join(map(str, one['Location']['Path'] or []))}")
    return left, used


# --- roles

def plain(value, names):
    """A policy as IAM would see it: references and the like become plausible text."""
    if isinstance(value, list):
        return [plain(one, names) for one in value]
    if not isinstance(value, dict):
        return value
    if "Fn::If" in value:
        # With everything that may be chosen: that is when a role may do most.
        return plain(value["Fn::If"][1], names)
    if "Fn::Sub" in value:
        text = value["Fn::Sub"]
        for name, said in names.items():
            text = text.replace("${" + name + "}", said)
        return text
    if "Ref" in value:
        return names.get(value["Ref"], value["Ref"])
    if "Fn::GetAtt" in value:
        name = value["Fn::GetAtt"]
        return names[name if isinstance(name, str) else ".".join(name)]
    return {key: plain(one, names) for key, one in value.items()}


ACCOUNT = "123456789012"
AWS = "arn:aws:{}:us-east-1:" + ACCOUNT + ":{}"
NAMES = {
    "AWS::Partition": "aws", "AWS::Region": "us-east-1", "AWS::AccountId": ACCOUNT, "Deployment": "pullyard",
    "TableName": "pullyard", "ClusterName": "pullyard",
    "ArtifactsBucketArn": "arn:aws:s3:::pullyard-artifacts",
    "KmsKeyArn": AWS.format("kms", "key/01234567-89ab-cdef-0123-456789abcdef"),
    "TableArn": AWS.format("dynamodb", "table/pullyard"),
    "KeySecretArn": AWS.format("secretsmanager", "secret:pullyard/key-AbCdEf"),
    "DispatchQueueArn": AWS.format("sqs", "pullyard-dispatch"),
    "EffectsQueueArn": AWS.format("sqs", "pullyard-effects.fifo"),
    "DispatchDeadLetterArn": AWS.format("sqs", "pullyard-dispatch-dead"),
    "EffectsDeadLetterArn": AWS.format("sqs", "pullyard-effects-dead.fifo"),
    "UndeliveredArn": AWS.format("sqs", "pullyard-undelivered"),
    "ClusterArn": AWS.format("ecs", "cluster/pullyard"),
    "TaskExecutionRoleArn": f"arn:aws:iam::{ACCOUNT}:role/pullyard-TaskExecutionRole",
    "Repository.Arn": AWS.format("ecr", "repository/pullyard-runner"),
    "TaskLogs.Arn": AWS.format("logs", "log-group:/pullyard/pullyard/runner:*"),
    "SweeperFunction.Arn": AWS.format("lambda", "function:pullyard-sweeper"),
}
for name in FUNCTIONS:
    NAMES[f"{name.capitalize()}Logs.Arn"] = AWS.format("logs", f"log-group:/pullyard/pullyard/{name}:*")


def judged(name, role):
    left, statements, used = [], 0, set()
    properties = role["Properties"]
    if properties.get("ManagedPolicyArns"):
        left.append(f"{name} has policies that AWS manages")
    for policy in properties["Policies"]:
        document = plain(policy["PolicyDocument"], NAMES)
        for statement in document["Statement"]:
            statements += 1
            actions, resources = many(statement["Action"]), many(statement["Resource"])
            if statement["Effect"] != "Allow" or any("*" in action for action in actions):
                left.append(f"{name} allows {actions}")
            keys = {key for test in statement.get("Condition", {}).values() for key in test}
            if any(action in WRITES for action in actions) and "dynamodb:LeadingKeys" not in keys:
                left.append(f"{name} may write every item of the table")
            if "*" in resources:
                for action in actions:
                    by = EVERYWHERE.get(action, "")
                    if by == "" or (by and by not in keys):
                        left.append(f"{name} may {action} everywhere")
        for found in parliament.analyze_policy_string(json.dumps(document)).findings:
            about = found.detail if isinstance(found.detail, list) else [found.detail]
            known = {(found.issue, str(one)) for one in about}
            used |= known & ROLES.keys()
            if not known <= ROLES.keys():
                left.append(f"{name}: {found.issue} {found.detail} {found.location}")
    return left, statements, used


# --- what is true of all of them

def described(path, template):
    left = []
    for name, said in template.get("Parameters", {}).items():
        if not said.get("Description"):
            left.append(f"{path.name}: the parameter {name} has no description")
        if not any(key in said for key in ("Default", "AllowedPattern", "AllowedValues")):
            left.append(f"{path.name}: the parameter {name} has no default and no pattern")
    for name, said in template.get("Outputs", {}).items():
        if not said.get("Description"):
            left.append(f"{path.name}: the output {name} has no description")
    return left


def called(templates):
    """Every part takes the same names, so that the first one refuses the others, and whatever it takes ECR takes."""
    left = []
    repository = templates["tasks"]["Resources"]["Repository"]["Properties"]["RepositoryName"]["Fn::Sub"]
    for part in PARTS:
        said = templates[part]["Parameters"]["Deployment"]
        for name in CALLED + NOT_CALLED:
            fits = said.get("MinLength", 0) <= len(name) <= said.get("MaxLength", 128)
            taken = fits and bool(re.fullmatch(said["AllowedPattern"], name))
            if taken != (name in CALLED):
                left.append(f"{part}.yaml: a deployment may be called {name}: {taken}")
            if taken and not re.fullmatch(REPOSITORY, repository.replace("${Deployment}", name)):
                left.append(f"{part}.yaml: ECR takes no repository of a deployment that is called {name}")
    return left


def given_subnets(templates):
    """As many as RunTask takes in one call, and no more: a deployment with more would start no task."""
    left = []
    pattern = templates["network"]["Parameters"]["Subnets"]["AllowedPattern"]
    for count in (0, 1, 2, 16, 17):
        taken = bool(re.fullmatch(pattern, ",".join(["subnet-0123456789abcdef0"] * count)))
        if taken != (count <= 16):
            left.append(f"network.yaml: {count} subnets may be given: {taken}")
    return left


def chosen_zones(templates):
    """Two names of zones, or none: of one, the second subnet would have none, and a third nobody would take."""
    left = []
    pattern = templates["network"]["Parameters"]["Zones"]["AllowedPattern"]
    for zones, fits in (
        ("", True), ("us-east-1a,us-east-1c", True), ("us-gov-west-1a,us-gov-west-1b", True), ("us-east-1a", False),
        ("us-east-1a,us-east-1b,us-east-1c", False), ("us-east-1a, us-east-1b", False), ("us-east-1,us-east-1b", False),
        ("use1-az1,use1-az2", False), ("us-west-2-lax-1a,us-west-2a", False),
    ):
        if bool(re.fullmatch(pattern, zones)) != fits:
            left.append(f"network.yaml: {zones} may be given as zones: {not fits}")
    return left


def functions_hold(functions, queues):
    left = []
    resources = functions["Resources"]
    found = {name: one["Properties"] for name, one in resources.items() if one["Type"] == "AWS::Lambda::Function"}
    if sorted(found) != sorted(f"{name.capitalize()}Function" for name in FUNCTIONS):
        left.append(f"the functions are {sorted(found)}")
    for name, properties in found.items():
        if properties["Handler"] != name.removesuffix("Function").lower():
            left.append(f"{name} is the handler {properties['Handler']}")
    for name, one in resources.items():
        if one["Type"] != "AWS::Lambda::EventSourceMapping":
            continue
        properties = one["Properties"]
        function = found[properties["FunctionName"]["Ref"]]
        queue = queues["Resources"][properties["EventSourceArn"]["Ref"].removesuffix("Arn")]["Properties"]
        if queue["VisibilityTimeout"] < 6 * function["Timeout"]:
            left.append(f"{name}: a message comes again while it is worked on")
        if properties["FunctionResponseTypes"] != ["ReportBatchItemFailures"]:
            left.append(f"{name}: one bad message takes the others along")
        if queue["RedrivePolicy"]["maxReceiveCount"] != 5:
            left.append(f"{name}: it is not five times")
        dead = queues["Resources"][queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]]["Properties"]
        if dead.get("FifoQueue") != queue.get("FifoQueue"):
            left.append(f"{name}: its dead-letter queue is of another kind")
    return left


def setting(value):
    """Name and default of the setting that an expression of the root takes from Settings, or nothing."""
    found = re.fullmatch(
        r'\{"Fn::Select": \[0, \{"Fn::Split": \[";", \{"Fn::Select": \[1, \{"Fn::Split": \[";(\w+)=", '
        r'\{"Fn::Sub": ";\$\{Settings\};(\w+)=([^;"]*);"\}\]\}\]\}\]\}\]\}', json.dumps(value))
    return found and found[1] == found[2] and (found[1], found[3])


def settings_fit(templates):
    """Each setting has the name and default of a nested parameter, and Settings takes these names and no other."""
    left, root, named = [], templates["template"], set()
    for name, one in root["Resources"].items():
        if one["Type"] != "AWS::CloudFormation::Stack":
            continue
        part = templates[one["Properties"]["TemplateURL"].removesuffix(".yaml")]
        for parameter, value in one["Properties"]["Parameters"].items():
            if "Fn::Select" not in value:
                continue
            default = str(part["Parameters"].get(parameter, {}).get("Default"))
            if setting(value) != (parameter, default):
                left.append(f"{name}: the setting of {parameter} is {setting(value)}, and its default is {default}")
            named.add(parameter)
    named |= set(re.findall(r"\$\{Settings\};(\w+)=", json.dumps(root["Outputs"])))
    pattern = root["Parameters"]["Settings"]["AllowedPattern"]
    for name in named | {"Unknown"}:
        if bool(re.fullmatch(pattern, f"Commit=abc;{name}=1,2")) != (name in named):
            left.append(f"Settings takes {name}: {name not in named}")
    listed = set(re.search(r"\(\(([^)]+)\)=", pattern)[1].split("|"))
    if listed != named:
        left.append(f"Settings lists {sorted(listed ^ named)}, which no stack takes, or the reverse")
    commented = set(re.findall(r"^#   (\w+)=", pathlib.Path("samconfig.toml").read_text(), re.M))
    if commented != named | set(root["Parameters"]):
        left.append(f"samconfig.toml explains {sorted(commented ^ (named | set(root['Parameters'])))}, or should")
    return left


def parts_fit(templates):
    """Every parameter of a part is given by the root, every output it takes is there, and nothing else is given."""
    left, root = settings_fit(templates), templates["template"]
    for name, one in root["Resources"].items():
        if one["Type"] != "AWS::CloudFormation::Stack":
            continue
        part = templates[one["Properties"]["TemplateURL"].removesuffix(".yaml")]
        given, taken = set(one["Properties"]["Parameters"]), set(part["Parameters"])
        if given != taken:
            left.append(f"{name}: {sorted(given ^ taken)} is given or taken, but not both")
        for value in json.dumps(one["Properties"]["Parameters"]).split('"Fn::GetAtt": [')[1:]:
            source, output = json.loads("[" + value.split("]")[0] + "]")
            stack = root["Resources"][source]
            if stack["Type"] == "AWS::CloudFormation::Stack":
                told = templates[stack["Properties"]["TemplateURL"].removesuffix(".yaml")]["Outputs"]
                if output.removeprefix("Outputs.") not in told:
                    left.append(f"{name} takes {source}.{output}, which is not told")
        for parameter in given & set(root["Parameters"]):
            mine, theirs = root["Parameters"][parameter], part["Parameters"][parameter]
            if one["Properties"]["Parameters"][parameter] != {"Ref": parameter}:
                continue
            for key in ("Type", "Default", "AllowedValues", "AllowedPattern", "MinValue", "MaxValue"):
                if mine.get(key) != theirs.get(key):
                    left.append(f"{parameter} has another {key} in {name}")
    return left


def related(templates):
    return functions_hold(templates["functions"], templates["queues"]) + parts_fit(templates)


def check(out):
    templates, left, statements, roles = {}, [], 0, 0
    for name in [*PARTS, "template"]:
        path = INFRA / f"{name}.yaml"
        templates[name] = expanded(load(path), "s3://packaged/functions.zip")
        left += described(path, load(path))
    found, used = linted(templates, out)
    left += found
    for name in templates:
        for role, one in templates[name]["Resources"].items():
            if one["Type"] == "AWS::IAM::Role":
                found, counted, of_role = judged(role, one)
                left, statements, roles, used = left + found, statements + counted, roles + 1, used | of_role
            if one["Type"] in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
                left.append(f"{name}: {role} is a policy outside of a role")
    left += called(templates) + given_subnets(templates) + chosen_zones(templates)
    left += related(templates)
    left += secured(templates)
    left += [f"the exception {key} is needed no more" for key in LINT | ROLES if key not in used]
    # With something wrong already, everything that is left out would be noticed.
    unheld, tried, noticed = ([], 0, 0) if left else proven(templates, related)
    left += unheld
    for one in left:
        print(one)
    if left:
        fail(f"{len(left)} findings")
    count = sum(len(one["Resources"]) for one in templates.values())
    print(f"{len(templates)} templates, {count} resources, {roles} roles with {statements} statements; "
          f"{len(LINT | ROLES)} findings let stand with a reason")
    print(f"{len(SECURED)} lines of safety hold; {tried} times something was left out or turned over, {noticed} times somebody "
          f"noticed, and the rest is named as free")


def scripts():
    """Every shell script of infra and .ci by shellcheck, every Dockerfile by hadolint, which asks shellcheck, too."""
    files = [path for folder in (INFRA, pathlib.Path(".ci")) for path in sorted(folder.rglob("*")) if path.is_file()]
    images = [path for path in files if path.name == "Dockerfile"]
    shell = [path for path in files if re.match(rb"#!.*\b(ba)?sh\b", path.read_bytes())]
    left, used = [], set()
    for tool, about in (("shellcheck", shell), ("hadolint", images)):
        command = [str(pathlib.Path(sys.executable).parent / tool), "--format", "json", *map(str, about)]
        said = subprocess.run(command, capture_output=True, text=True)
        for one in json.loads(said.stdout or fail(tool, said.stderr)):
            code = one["code"] if tool == "hadolint" else f"SC{one['code']}"
            used.add((one["file"], code))
            if (one["file"], code) not in SHELL:
                left.append(f"{one['file']}:{one['line']}: {code} {one['message']}")
    left += [f"the exception {key} is needed no more" for key in SHELL if key not in used]
    if left or not shell or not images:
        fail("\n".join(left), f"\n{len(left)} findings in {len(shell)} scripts and {len(images)} images")
    print(f"{len(shell)} scripts and {len(images)} image linted; {len(SHELL)} findings let stand with a reason")


if __name__ == "__main__":
    if sys.argv[1] == "--scripts":
        scripts()
    else:
        check(pathlib.Path(sys.argv[1]))
