"""The parameters of infra/template.yaml: their defaults and constraints."""

import ipaddress
import json
import re
from typing import Any, Dict, Optional

from .samconfig import ROOT


def load_parameters() -> Dict[str, Dict[str, Any]]:
    """Reads the lines of the template, because PyYAML is not part of Python."""
    text = (ROOT / "infra/template.yaml").read_text(encoding="utf-8")
    text = text[text.index("\nParameters:\n"):text.index("\nRules:\n")]
    parameters: Dict[str, Dict[str, Any]] = {}
    for name, key, raw in re.findall(r"(?m)^  (\w+):$|^    (\w+): (.+)$", text):
        if name:
            fields = parameters[name] = {}
        elif raw.startswith("["):
            fields[key] = [one.strip('"') for one in raw.strip("[]").split(", ")]
        else:
            # A quoted string of the template is a string of JSON.
            fields[key] = json.loads(raw) if raw.startswith('"') else raw
    return parameters


PARAMETERS = load_parameters()


def reject(name: str, value: str) -> Optional[str]:
    """The reason why CloudFormation would not accept this value, or SAM would ignore it."""
    fields = PARAMETERS.get(name)
    if fields is None:
        return f"there is no parameter {name}"
    if "MinValue" in fields:
        # ASCII digits only, as CloudFormation reads them.
        if re.fullmatch("[0-9]{1,9}", value) and int(fields["MinValue"]) <= int(value) <= int(fields["MaxValue"]):
            return None
        expected = f"must be a whole number from {fields['MinValue']} to {fields['MaxValue']}"
    elif "AllowedValues" in fields:
        if value in fields["AllowedValues"]:
            return None
        expected = f"must be one of {', '.join(fields['AllowedValues'])}"
    else:
        if re.fullmatch(fields["AllowedPattern"], value):
            return None
        expected = fields.get("ConstraintDescription", f"must match {fields['AllowedPattern']}")
    return f"{name} {expected}, and is {value!r}"


def reject_together(values: Dict[str, str]) -> Optional[str]:
    """The reason for values of which each is valid. The template's `Rules` and patterns cannot calculate."""
    if int(values["VpcCidr"].split("/")[1]) + int(values["SubnetBits"]) > 31:
        return f"VpcCidr={values['VpcCidr']} has no room for two subnets of SubnetBits={values['SubnetBits']}"
    for part in filter(None, values["OutboundAllow"].split(",")):
        try:
            ipaddress.ip_network(part, strict=False)
        except ValueError:
            return f"OutboundAllow: {part} is no range of addresses"
    return None
