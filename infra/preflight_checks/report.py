"""Findings of checks, printed as they come."""

import json
from typing import List, NamedTuple, Optional

OK, FIXED, WARN, FAIL = "ok", "fixed", "warn", "FAIL"


class Finding(NamedTuple):
    status: str
    check: str
    found: str
    # A command that exists.
    fix: Optional[str] = None


class Report:
    def __init__(self, as_json: bool):
        self.as_json = as_json
        self.findings: List[Finding] = []

    def add(self, finding: Finding) -> None:
        self.findings.append(finding)
        if self.as_json:
            print(json.dumps(finding._asdict()), flush=True)
        else:
            fix = f"; fix: {finding.fix}" if finding.fix else ""
            print(f"{finding.status:<5}  {finding.check:<12} {finding.found}{fix}", flush=True)

    def failed(self, check: str) -> bool:
        return any(finding.status == FAIL and finding.check == check for finding in self.findings)

    def finish(self, chosen: List[str], commands: List[str]) -> int:
        """Prints the result, and the next commands after a success. Some chosen checks cannot promise a deployment, so
        `chosen` is empty if all checks ran. Returns the exit code."""
        failures = sum(finding.status == FAIL for finding in self.findings)
        warnings = sum(finding.status == WARN for finding in self.findings)
        if chosen and not self.as_json:
            print(f"\n{failures} failed, {warnings} warnings in {', '.join(chosen)}")
        elif not self.as_json:
            verdict = "a deployment cannot succeed yet" if failures else "a deployment can succeed"
            print(f"\n{verdict}: {failures} failed, {warnings} warnings")
            print("".join(f"  {command}\n" for command in commands if not failures), end="")
        return 1 if failures else 0
