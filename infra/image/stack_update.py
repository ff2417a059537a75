#!/usr/bin/env python3
"""Changes one parameter of a stack: reads what `aws cloudformation describe-stacks` prints, and prints the input of
`aws cloudformation update-stack --cli-input-json`.

    stack_update.py NAME=VALUE < stacks.json
"""

import json
import sys


def update(stack, name, value):
    """Tags, the service role and notifications are left out, because CloudFormation then leaves them as they are."""
    names = [parameter["ParameterKey"] for parameter in stack.get("Parameters", [])]
    if name not in names:
        raise SystemExit(f"the stack {stack['StackName']} has no parameter {name}: an older release deployed it")
    return {
        # By id: a stack that is deleted and created again meanwhile is another one.
        "StackName": stack["StackId"],
        "UsePreviousTemplate": True,
        "Capabilities": stack.get("Capabilities", []),
        "Parameters": [
            {"ParameterKey": one, "ParameterValue": value} if one == name else {"ParameterKey": one, "UsePreviousValue": True}
            for one in names
        ],
    }


if __name__ == "__main__":
    name, _, value = sys.argv[1].partition("=")
    print(json.dumps(update(json.load(sys.stdin)["Stacks"][0], name, value), indent=2))
