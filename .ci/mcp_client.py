"""Starts and awaits a run with the Model Context Protocol's own client, which validates each answer."""

import asyncio
import json
import os
import shutil

from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

VARIABLES = {name: os.environ[name] for name in ("XDG_CONFIG_HOME", "PATH")}
PULLYARD = StdioServerParameters(command=shutil.which("pullyard"), args=["mcp"], env=VARIABLES)


def data(result):
    text = result.content[0].text
    assert not result.is_error, text
    return json.loads(text.split("```text\n")[1].split("\n")[0])


async def drive(mode, version):
    async with Client(stdio_client(PULLYARD), mode=mode) as client:
        assert client.protocol_version == version, client.protocol_version
        assert client.server_info.name == "pullyard", client.server_info
        tools = {tool.name for tool in (await client.list_tools()).tools}
        assert {"plan_check", "run_start", "run_wait"} <= tools and "run_approve" not in tools, tools
        plan = {"name": "shop", "steps": [
            {"name": "work", "prompt": "Write a line.", "checks": ["grep right work.txt"]},
            {"name": "review", "role": "reviewer", "needs": ["work"], "prompt": "Name each fault."}]}
        assert data(await client.call_tool("plan_check", {"plan": plan}))["count"] == 0
        started = data(await client.call_tool("run_start", {"plan": plan, "run_id": f"mcp-{version}"}))
        for _ in range(10):
            shown = data(await client.call_tool("run_wait", {"run": started["id"]}))
            if shown["run"]["ended"]:
                break
        assert shown["run"]["state"] == "completed" and shown["run"]["pull_request"], shown
        log = await client.call_tool("run_logs", {"run": started["id"], "step": "work"})
        assert "The log is complete." in log.content[0].text, log
        assert (await client.call_tool("run_cancel", {"run": started["id"]})).is_error
    print(f"mcp {version}: {len(tools)} tools, run {started['id']} completed")


async def main():
    await drive("legacy", "2025-11-25")
    await drive("auto", "2026-07-28")


asyncio.run(main())
