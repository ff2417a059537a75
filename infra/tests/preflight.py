"""Runs infra/preflight with the real AWS CLI against a fake AWS on 127.0.0.1, and infra/settings with SAM's own parser.

    "$(.ci/venv sam)/bin/python" infra/tests/preflight.py "$(.ci/venv aws)/bin"

The fake is in preflight_aws.py beside this file. Needs python3.11 and git.
"""

import importlib.machinery
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

from preflight_aws import Aws, Refused
from samcli.cli.types import CfnParameterOverridesType
from samcli.lib.config.samconfig import SamConfig
from samcli.yamlhelper import yaml_parse

AWS, TEMPORARY = pathlib.Path(sys.argv[1]), pathlib.Path(tempfile.mkdtemp())
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
TEMPLATES = ["address", "network", "queues", "tasks", "data", "functions", "api", "watch"]
passed, failures = [], []


def check(name, actual, expected=True):
    (passed if actual == expected else failures).append(name)
    if actual != expected:
        print(f"FAILED {name}\n  expected {expected}\n  actual   {actual}")
    return actual == expected


# --- a checkout, and what runs in it

def checkout(name):
    """What git has of infra/, and the working copies of it, as a commit of a repository of its own."""
    folder = TEMPORARY / name
    shutil.copytree(REPOSITORY / "infra", folder / "infra", ignore=shutil.ignore_patterns("__pycache__", "tests"))
    for file in ["samconfig.toml", "Cargo.toml"]:
        shutil.copy(REPOSITORY / file, folder)
    (folder / ".gitignore").write_text("/samconfig.local.toml\n")
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "start"]):
        subprocess.run(["git", "-C", folder, *command], check=True)
    return folder


def program(folder, name, text):
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


class Machine:
    """A checkout, an account and the programs on a person's PATH."""

    def __init__(self, name, answers, **environment):
        self.folder, self.aws = checkout(name), Aws({**EMPTY_ACCOUNT, **answers})
        # Version 1 of the CLI ignores AWS_ENDPOINT_URL for SQS.
        program(self.folder, "aws", f'exec "{AWS}/aws" --endpoint-url "$AWS_ENDPOINT_URL" "$@"')
        self.environment = {
            "PATH": f"{self.folder}/bin:{AWS}:/usr/local/bin:/usr/bin:/bin", "HOME": str(self.folder / "home"),
            "AWS_ENDPOINT_URL": self.aws.url, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none", "AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": "127.0.0.1", **environment}
        self.environment = {key: one for key, one in self.environment.items() if one is not None}

    def run(self, command, *arguments):
        done = subprocess.run([self.folder / "infra" / command, *arguments], env=self.environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
        check(f"{command} prints no stack trace", "Traceback" in done.stdout, False)
        return done.returncode, done.stdout

    def preflight(self, name, code, lines, *arguments):
        """Runs the checks in `arguments`; each of `lines` must be part of one printed line."""
        result, output = self.run("preflight", *arguments)
        check(f"{name}: exit code", result, code)
        printed = output.splitlines()
        if not all([check(f"{name}: {line}", any(all(part in one for part in line.split("...")) for one in printed))
                    for line in lines]):
            print(output)
        return output


def only(*names):
    return [argument for name in names for argument in ("--only", name)]


# --- accounts

def zones(region, *ids):
    return {"availabilityZoneInfo": [{"zoneName": region + "abcdef"[at], "zoneId": one} for at, one in enumerate(ids)]}


MISSING = Refused("ResourceNotFoundException", "there is none")
EMPTY_ACCOUNT = {
    "GetCallerIdentity": {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/ada"},
    "GetRole": {"Role": {"RoleName": "AWSServiceRoleForECS"}},
    "DescribeAvailabilityZones": zones("us-east-1", "use1-az6", "use1-az1"), "DescribeSubnets": {"subnetSet": []},
    "DescribeVpcs": {"vpcSet": [{"vpcId": f"vpc-0000000{at}"} for at in range(6)]},
    "GetAccountSettings": {"AccountLimit": {"ConcurrentExecutions": 10}}, "GetServiceQuota": {"Quota": {"Value": 6.0}},
    "DescribeStacks": Refused("ValidationError", "Stack with id pullyard does not exist"),
    "DescribeRepositories": Refused("RepositoryNotFoundException", "there is none"),
    **dict.fromkeys(["DescribeTable", "DescribeSecret", "GetSchedule", "DescribeRule"], MISSING),
}


def stack(status):
    return {"Stacks": [{"StackName": "pullyard", "StackStatus": status, "CreationTime": "2026-01-01T00:00:00Z"}]}


def role_missing_until_created(machine):
    created = lambda _: {} if "CreateServiceLinkedRole" in machine.aws.calls else Refused("NoSuchEntity", "no role")
    machine.aws.answers["GetRole"] = created


def fresh_account():
    machine = Machine("fresh", {})
    role_missing_until_created(machine)
    machine.preflight("a dry run", 1, ["FAIL   role...aws iam create-service-linked-role", "warn   commit"],
                      "--dry-run", *only("role", "commit"))
    check("a dry run writes nothing", (machine.folder / "samconfig.local.toml").exists(), False)
    machine.preflight("a full region", 1, ["FAIL   quotas...all 6 VPCs of us-east-1...--quota-code L-F678F1CE"], *only("quotas"))
    machine.aws.answers["DescribeVpcs"] = {"vpcSet": []}
    names = only("credentials", "role", "zones", "quotas", "leftovers", "program", "commit")
    machine.preflight("a fresh account", 0, [
        "ok     credentials...123456789012 in us-east-1", "fixed  role", "ok     zones...us-east-1a (use1-az6)",
        "warn   quotas...Lambda runs at most 10...--service-code lambda --quota-code L-B99A9384 --desired-value 1000",
        "warn   quotas...6 vCPU: 6 small, 3 medium or 1 large...--service-code fargate --quota-code L-3032A538",
        "ok     leftovers", "ok     program...sam build", "fixed  commit", "a deployment can succeed"], *names)
    machine.preflight("a second run", 0, ["ok     role", "ok     commit"], *only("role", "commit"))
    check("the role is created once", machine.aws.calls.count("CreateServiceLinkedRole"), 1)
    git = subprocess.run(["git", "-C", machine.folder, "status", "--porcelain", "infra"], capture_output=True)
    check("the work tree stays clean", git.stdout, b"")
    taken = Refused("InvalidInput", "Service role name AWSServiceRoleForECS has been taken in this account")
    machine.aws.answers.update(GetRole=Refused("NoSuchEntity", "no role"), CreateServiceLinkedRole=taken)
    machine.preflight("a race for the role", 0, ["ok     role"], *only("role"))
    machine.aws.answers["CreateServiceLinkedRole"] = Refused("AccessDenied", "no")
    machine.preflight("no right to create it", 1, ["FAIL   role...iam:CreateServiceLinkedRole"], *only("role"))


def healthy_account():
    machine = Machine("healthy", {
        "GetAccountSettings": {"AccountLimit": {"ConcurrentExecutions": 1000}}, "GetServiceQuota": {"Quota": {"Value": 64.0}},
        "DescribeStacks": stack("UPDATE_COMPLETE"), "DescribeAvailabilityZones": zones("us-west-1", "usw1-az1", "usw1-az3")})
    output = machine.preflight("a healthy account", 0, ["ok     leftovers...UPDATE_COMPLETE", "0 failed, 0 warnings"],
                               *only("credentials", "role", "quotas", "leftovers", "commit"))
    check("a healthy account needs nothing", re.findall("(?m)^(?:warn|FAIL)", output), [])
    # The other zones of a region where Fargate is not everywhere.
    machine.aws.answers["DescribeAvailabilityZones"] = zones("us-west-1", "usw1-az2", "usw1-az1", "usw1-az3")
    machine.preflight("a zone without Fargate", 0, ["warn   zones...us-west-1a (usw1-az2)...Zones=us-west-1b,us-west-1c"],
                      "--region", "us-west-1", *only("zones"))
    one, two = "subnet-0123456789abcdef0", "subnet-0123456789abcdef1"
    machine.run("settings", "VpcId=vpc-00000001", f"Subnets={one},{two}", "ApiConcurrency=950")
    there = {"subnetId": one, "vpcId": "vpc-00000002", "availableIpAddressCount": 9, "availabilityZone": "us-east-1a",
             "availabilityZoneId": "use1-az1"}
    machine.aws.answers["DescribeSubnets"] = {"subnetSet": [there]}
    machine.preflight("given subnets and reserved concurrency", 1, [
        f"FAIL   zones...{one} is in vpc-00000002", f"FAIL   zones...{two} does not exist", "FAIL   quotas...950 concurrent"],
        *only("zones", "quotas"))


def leftovers():
    status = ["ROLLBACK_COMPLETE"]
    machine = Machine("leftovers", {
        "DescribeTable": {"Table": {"TableName": "pullyard"}}, "DescribeSecret": {"Name": "pullyard/key", "DeletedDate": 1.0},
        "DescribeLogGroups": {"logGroups": [{"logGroupName": "/pullyard/pullyard/api"}, {"logGroupName": "/pullyard/pullyard/x"}]},
        "ListFunctions": {"Functions": [{"FunctionName": "pullyard-api"}, {"FunctionName": "pullyard-dev-api"}]},
        "ListQueues": {"QueueUrls": ["https://sqs/123456789012/pullyard-dispatch"]},
        "DescribeRepositories": {"repositories": [{"repositoryName": "pullyard-runner"}]}})
    delete = lambda _: status.clear() or {}
    machine.aws.answers.update(
        DescribeStacks=lambda _: stack(status[0]) if status else EMPTY_ACCOUNT["DescribeStacks"], DeleteStack=delete)
    failed = ["FAIL   leftovers...ROLLBACK_COMPLETE...aws cloudformation delete-stack --stack-name pullyard --region us-east-1"]
    machine.preflight("a stack that was rolled back", 1, failed, *only("leftovers"))
    lines = ["fixed  leftovers...ROLLBACK_COMPLETE", "FAIL...the table pullyard...aws dynamodb delete-table --table-name pullyard",
             "FAIL...pullyard/key is scheduled for deletion...restore-secret", "FAIL...log group /pullyard/pullyard/api",
             "FAIL...function pullyard-api", "FAIL...queue...--queue-url https://sqs/123456789012/pullyard-dispatch",
             "FAIL...pullyard-runner...ecr delete-repository"]
    output = machine.preflight("what it left", 1, lines, "--fix", *only("leftovers"))
    check("names of other stacks are no leftovers", re.findall("pullyard-dev|pullyard/x", output), [])
    machine.aws.answers["DescribeStacks"] = stack("DELETE_FAILED")
    machine.preflight("a stack that holds data", 1, ["FAIL   leftovers...DELETE_FAILED"], "--fix", *only("leftovers"))
    deleted = {one for one in machine.aws.calls if re.match("Delete|Update|Remove|Put", one)}
    check("only the stack is deleted", (deleted, machine.aws.calls.count("DeleteStack")), ({"DeleteStack"}, 1))


def no_credentials():
    """An SSO profile whose token was never fetched: the AWS CLI refuses without asking AWS."""
    machine = Machine("sso", {}, AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None, AWS_DEFAULT_REGION=None)
    (machine.folder / "home/.aws").mkdir(parents=True)
    (machine.folder / "home/.aws/config").write_text(
        "[profile work]\nregion = eu-central-1\nsso_session = acme\nsso_account_id = 123456789012\nsso_role_name = admin\n"
        "[sso-session acme]\nsso_region = eu-central-1\nsso_start_url = https://acme.awsapps.com/start\n")
    machine.preflight("expired SSO", 1, [
        "FAIL   credentials...fix: aws sso login --profile work", "warn   role...not checked", "warn   zones...not checked"],
        "--profile", "work", *only("credentials", "role", "zones"))
    machine.environment["AWS_REGION"] = "eu-west-1"
    machine.preflight("a region that sam ignores", 1, ["export AWS_DEFAULT_REGION=eu-west-1"], *only("credentials"))
    denied = Machine("denied", {})
    identity, refused = EMPTY_ACCOUNT["GetCallerIdentity"], Refused("AccessDeniedException", "ada is not authorized")
    denied.aws.answers = {"*": refused, "GetCallerIdentity": identity}
    names = only("credentials", "role", "zones", "quotas", "leftovers")
    denied.preflight("denied permissions", 0, [
        "warn   role...needs iam:GetRole", "warn   zones...needs ecs:ListClusters", "warn   quotas...needs lambda:GetAccountSettings",
        "warn   quotas...needs servicequotas:GetServiceQuota", "warn   leftovers...needs cloudformation:DescribeStacks"], *names)
    denied.aws.answers = {"*": Refused("ExpiredToken", "The security token included in the request is expired")}
    denied.preflight("expired keys", 1, ["FAIL   credentials...unset AWS_ACCESS_KEY_ID"], *only("credentials"))


def tools():
    machine = Machine("tools", {})
    folder = machine.folder
    for name, text in {
        "sam": "echo SAM CLI, version 1.164.9", "rustc": "echo rustc 1.99.0",
        "cargo": 'case "$*" in "lambda --version") echo cargo-lambda 1.9.2;; lambda*) echo "{\\"zig\\": {}}";; *) echo cargo 1.10.0;; esac',
        "rustup": "echo x86_64-unknown-linux-gnu", "cc": ":", "docker": "exit 1", "podman": "exit 1",
    }.items():
        program(folder, name, text)
    machine.run("settings", "Architecture=arm64")
    built = folder / ".aws-sam/build/Functions/ApiFunction/bootstrap"
    built.parent.mkdir(parents=True)
    built.write_bytes(b"\x7fELF" + bytes(14) + (62).to_bytes(2, "little"))
    lines = ["FAIL   sam...1.164.9 is older than 1.165", "ok     aws ", "FAIL   cargo ...1.10.0 is older", "ok     rustc",
             "ok     cargo-lambda 1.9.2", "FAIL   zig...pip install ziglang", "rustup target add aarch64-unknown-linux-gnu",
             "warn   container", "FAIL   program...x86_64 and Architecture is arm64...sam build --config-file samconfig.local.toml"]
    machine.preflight("old tools", 1, lines, *only("tools", "program"))
    built.write_bytes(b"\x7fELF" + bytes(14) + (183).to_bytes(2, "little"))
    (folder / "infra/api.yaml").write_text("changed")
    machine.preflight("a matching program", 0, ["ok     program...1 functions built for arm64"], *only("program"))
    machine.preflight("uncommitted changes", 0, ['"status": "warn", "check": "commit"'], "--json", *only("commit"))


# --- infra/settings

def load(folder):
    loader = importlib.machinery.SourceFileLoader("settings", str(folder / "infra/settings"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("settings", loader))
    loader.exec_module(module)
    return module


def as_sam_reads(folder, section="deploy", environment="default"):
    values = SamConfig(str(folder), "samconfig.local.toml").get_all([section], "parameters", environment)
    return CfnParameterOverridesType().convert((values.get("parameter_overrides", ""),), None, None)


def settings_command():
    machine = Machine("settings", {})
    folder, local = machine.folder, machine.folder / "samconfig.local.toml"
    zones_value = "us-east-1a,us-east-1c"
    code, output = machine.run("settings", f"Zones={zones_value}", "Architecture=arm64")
    check("the file is created", (code, "created as a copy" in output), (0, True))
    check("SAM deploys them", as_sam_reads(folder)["Settings"], f"Zones={zones_value};Architecture=arm64")
    check("SAM builds for it", as_sam_reads(folder, "build"), {"Settings": "Architecture=arm64"})
    # What `sam deploy --guided` leaves: the file rewritten by tomlkit, with the other parameters.
    guided = SamConfig(str(folder), local.name)
    guided.put(["deploy"], "parameters", "parameter_overrides", 'AlarmEmail="a@b" MonthlyBudgetUsd="0" Settings="LogLevel=warn"')
    guided.flush()
    before = local.read_text().splitlines()
    check("settings change after --guided", machine.run("settings", "LogLevel=debug", "Commit=" + "a" * 40)[0], 0)
    expected = {"AlarmEmail": "a@b", "MonthlyBudgetUsd": "0", "Settings": f"LogLevel=debug;Commit={'a' * 40}"}
    check("the other parameters stay", as_sam_reads(folder), expected)
    changed = [one for one, other in zip(before, local.read_text().splitlines()) if one != other]
    check("one line changes each", [one.split(" = ")[0] for one in changed], ["parameter_overrides"] * 2)
    machine.run("settings", "LogLevel=", "Commit=")
    # CloudFormation uses the previous value of a parameter without an override.
    check("an empty Settings is passed on", (as_sam_reads(folder)["Settings"], as_sam_reads(folder, "build")["Settings"]), ("", ""))
    machine.run("settings", "--env", "prod", "TaskDiskGiB=50")
    check("other environments", "TaskDiskGiB=50" in as_sam_reads(folder, environment="prod")["Settings"])
    for bad, sentence in {
        "Nonsense=1": "there is no setting Nonsense", "AlarmEmail=a@b": "sam deploy --guided", "LogLevel": "is not NAME=VALUE",
        "LogRetentionDays=8": "must be one of 1, 3", "TaskDiskGiB=20": "whole number from 21 to 200", "Zones=us-east-1a": "matches",
        "VpcId=vpc-00000001": "VpcId needs Subnets", "SubnetBits=12": "no room", "CertificateArn=arn:aws:acm:a;b": "semicolon",
        "AssignPublicIp=false": "needs VpcId", "DomainName=a.example": "CertificateArn", "Tracing=٣": "must be one of",
    }.items():
        before = local.read_bytes()
        code, output = machine.run("settings", "LogLevel=error", bad)
        check(f"{bad} is rejected", (code, sentence in output, output.count("\n")), (1, True, 1))
        check(f"{bad} writes nothing", local.read_bytes(), before)
    local.write_text('version = 0.1\n[default.deploy.parameters]\nparameter_overrides = ["A=1"]\n')
    check("a list is refused", "line 3" in machine.run("settings", "LogLevel=warn")[1])
    local.write_text('# mine\nversion = 0.1\n[default.deploy.parameters] # here\n# parameter_overrides = "x"\n\n# end\n')
    machine.run("settings", "Architecture=arm64")
    check("a commented line stays", ("# parameter_overrides" in local.read_text(), as_sam_reads(folder)["Settings"]),
          (True, "Architecture=arm64"))
    check("the list", len(machine.run("settings")[1].splitlines()), len(load(folder).SETTINGS) + 1)


def templates():
    """The table of infra/settings and the names of leftovers, against the templates."""
    folder = checkout("templates")
    settings = load(folder).SETTINGS
    parsed = {name: yaml_parse((folder / f"infra/{name}.yaml").read_text()) for name in [*TEMPLATES, "template"]}
    nested = [one["Parameters"] for part, one in parsed.items() if part not in ("template", "functions")]
    # functions.yaml receives the subnets of network.yaml, not the setting.
    nested.append({name: one for name, one in parsed["functions"]["Parameters"].items() if name != "Subnets"})
    for name, (default, rule, _) in settings.items():
        if name == "Commit":
            continue # an output of the root template
        found = [parameters[name] for parameters in nested if name in parameters]
        check(f"{name} is a parameter of a nested template", bool(found))
        for parameter in found:
            check(f"{name}: default", str(parameter["Default"]), default)
            numbers = range(parameter["MinValue"], parameter["MaxValue"] + 1) if "MinValue" in parameter else None
            allowed = [str(one) for one in parameter.get("AllowedValues", [])]
            check(f"{name}: rule", rule, numbers or allowed or parameter.get("AllowedPattern"))
    sys.path.insert(0, str(folder / "infra"))
    from preflight_checks import command, context, leftovers, tools as tool_checks
    stack_context = context.Context(folder, "default", "acme", command.Aws(None, None), {}, False, False)
    covered = {"acme/key"}.union(*(kind.names for kind in leftovers.kinds(stack_context)))
    named = {json_name for part in parsed.values() for one in part["Resources"].values()
             for json_name in fixed_names(one.get("Properties", {}))}
    # The API's name need not be unique, and task definitions get another revision.
    check("every fixed name is looked for", named - covered - {"acme-small", "acme-medium", "acme-large"}, set())
    check("a slow command ends", command.run("sleep", "9", timeout=0.1).errors, "sleep did not answer within 0 s")
    qemu = TEMPORARY / "binfmt"
    qemu.mkdir()
    emulation = lambda: [one.status for one in tool_checks.check_emulation("arm64", "x86_64", "Linux", qemu)]
    missing = emulation()
    (qemu / "qemu-aarch64").write_text("enabled\n")
    check("emulation", (missing, emulation()), (["warn"], ["ok"]))


def fixed_names(properties):
    for key, value in properties.items():
        if key == "Name" or key.endswith("Name") or key == "Family":
            text = value.get("Fn::Sub") if isinstance(value, dict) else None
            if value == {"Ref": "Deployment"} or isinstance(text, str) and "${Deployment}" in text:
                yield "acme" if text is None else text.replace("${Deployment}", "acme")


if __name__ == "__main__":
    scenarios = [fresh_account, leftovers, settings_command, no_credentials, healthy_account, tools, templates]
    with ThreadPoolExecutor(3) as pool:
        for one in [pool.submit(scenario) for scenario in scenarios]:
            one.result()
    shutil.rmtree(TEMPORARY)
    print(f"preflight: {len(passed)} checks passed, {len(failures)} failed")
    sys.exit(1 if failures else 0)
