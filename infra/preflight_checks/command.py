"""Runs external commands, among them the AWS CLI. Every command has a timeout."""

import json
import os
import re
import shlex
import subprocess
from typing import Any, List, NamedTuple, Optional

from .report import FAIL, WARN, Finding

DENIED = ["AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException",
          "UnauthorizedOperation"]
EXPIRED = ["ExpiredToken", "ExpiredTokenException", "RequestExpired"]
INVALID_KEYS = ["InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "AuthFailure"]
# Names of services in IAM actions where the AWS CLI has another one.
IAM_NAMES = {"service-quotas": "servicequotas"}
# Operations that another action of IAM allows.
IAM_ACTIONS = {"DescribeBudget": "ViewBudget", "CreateBudget": "ModifyBudget", "UpdateBudget": "ModifyBudget", "DeleteBudget": "ModifyBudget"}


class Result(NamedTuple):
    # None where the program is missing or did not end in time.
    code: Optional[int]
    output: str
    errors: str

    @property
    def ok(self) -> bool:
        return self.code == 0


def run(*arguments: str, timeout: float = 60, environment: Optional[dict] = None) -> Result:
    try:
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=timeout, env={**os.environ, **(environment or {})})
    except subprocess.TimeoutExpired:
        return Result(None, "", f"{arguments[0]} did not answer within {timeout:.0f} s")
    except FileNotFoundError:
        return Result(None, "", f"{arguments[0]} is not installed")
    except OSError as error:
        return Result(None, "", f"{arguments[0]} cannot be started: {error.strerror}")
    return Result(done.returncode, done.stdout.decode(errors="replace").strip(),
                  done.stderr.decode(errors="replace").strip())


class AwsError(Exception):
    """A call of the AWS CLI that failed. `code` is AWS's error code, or empty where no answer came."""

    def __init__(self, service: str, errors: str):
        match = re.search(r"An error occurred \(([\w.]+)\) when calling the (\w+) operation[^:]*: ?(.*)", errors, re.S)
        self.code, operation, message = match.groups() if match else ("", "", errors)
        # SQS writes its codes in two forms.
        self.code = self.code.split(".")[-1]
        self.message = " ".join(message.split())[:300] or "no message"
        self.action = f"{IAM_NAMES.get(service, service)}:{IAM_ACTIONS.get(operation, operation)}"
        super().__init__(self.message)

    @property
    def denied(self) -> bool:
        return self.code in DENIED

    def finding(self, check: str, aws: "Aws", subject: str = "") -> Finding:
        """A check without permission is a warning, since a deployment may have it. Other errors fail."""
        if self.denied:
            return Finding(WARN, check, f"cannot check {subject or check}: needs {self.action}")
        if re.search("nvalid choice|Unknown options", self.message):
            return Finding(WARN, check, f"cannot check {subject or check}: this AWS CLI is too old",
                           "pip install --upgrade awscli")
        return Finding(FAIL, check, self.message, self.fix(aws))

    def fix(self, aws: "Aws") -> Optional[str]:
        profile = f" --profile {aws.profile}" if aws.profile else ""
        if "'aws login'" in self.message:
            return f"aws login{profile}"
        if re.search("SSO|sso", self.message):
            return f"aws sso login{profile}"
        if "profile" in self.message and "not be found" in self.message:
            return f"aws configure sso{profile}"
        if "Unable to locate credentials" in self.message:
            return f"aws configure sso{profile}, or for access keys: aws configure{profile}"
        if self.code in EXPIRED:
            return "unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN, then sign in again"
        if self.code in INVALID_KEYS:
            return f"aws configure list{profile}"
        return None


class Aws:
    """The AWS CLI in one region, with one profile."""

    def __init__(self, region: Optional[str], profile: Optional[str]):
        self.region, self.profile = region, profile

    def options(self) -> List[str]:
        options = ["--region", self.region] if self.region else []
        return options + (["--profile", self.profile] if self.profile else [])

    def command(self, *arguments: str) -> str:
        """The same call as text for the user."""
        return " ".join(shlex.quote(one) for one in ["aws", *arguments, *self.options()])

    def call(self, service: str, *arguments: str, timeout: float = 60) -> Any:
        """The parsed answer. Errors: `AwsError`."""
        result = run("aws", service, *arguments, *self.options(), "--output", "json", "--cli-connect-timeout", "10",
                     "--cli-read-timeout", "30", timeout=timeout,
                     environment={"AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "2"})
        if not result.ok:
            raise AwsError(service, result.errors or result.output)
        try:
            return json.loads(result.output) if result.output else {}
        except ValueError:
            raise AwsError(service, f"aws {service} {arguments[0]} printed no JSON: {result.output[:100]}")
