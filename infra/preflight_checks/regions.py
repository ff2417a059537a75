"""The region: whether CloudFormation has every resource type of the templates there."""

import difflib
import json
from typing import Dict, Iterator, List, Optional

from .context import Context
from .report import FAIL, OK, WARN, Finding
from .samconfig import ROOT

CHECK = "region"
PARTITIONS = {"cn": "aws-cn", "us-gov": "aws-us-gov", "us-iso": "aws-iso", "us-isob": "aws-iso-b", "us-isof": "aws-iso-f",
              "eu-isoe": "aws-iso-e", "eusc-de": "aws-eusc"}


# cfn-lint has no schemas of it.
UNPUBLISHED = ("me-south-1",)


def load_regions() -> Dict[str, List[str]]:
    """The types that each region lacks. `.ci/template` compares the file with AWS's resource schemas."""
    return json.loads((ROOT / "infra/regions.json").read_text(encoding="utf-8"))


def partition(region: str) -> str:
    area = region.rsplit("-", 2)[0]
    return PARTITIONS.get(area, "aws")


def reject_region(name: str) -> Optional[str]:
    regions = load_regions()
    if name in UNPUBLISHED:
        return None
    if name not in regions:
        near = difflib.get_close_matches(name, regions, 1, 0.8)
        hint = f"did you mean {near[0]}?" if near else "must be a region such as eu-central-1"
        return f"{name!r} is no region that has published its resource types: {hint}"
    if regions[name]:
        return f"{name} lacks {', '.join(regions[name])}, which the stack needs: deploy in another region"
    return None


def check(context: Context) -> Iterator[Finding]:
    region = context.aws.region
    if not region:
        return
    reason = reject_region(region)
    if region in UNPUBLISHED:
        yield Finding(WARN, CHECK, f"AWS publishes no resource types of {region}, so only the deployment finds a missing one")
    elif reason:
        place = "correct region in samconfig.local.toml, or the region of the AWS CLI"
        yield Finding(FAIL, CHECK, reason, place)
    else:
        yield Finding(OK, CHECK, f"{region} has every resource type of the templates")
