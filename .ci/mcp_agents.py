"""Lets Claude Code and Codex start and await a run by `pullyard mcp`, with a scripted model on loopback.

    .ci/with-up python3 .ci/mcp_agents.py        PULLYARD_CLAUDE_CODE and PULLYARD_CODEX name the programs
"""

import http.server
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading

PLAN = {"name": "line", "steps": [{"name": "main", "prompt": "Write a line.", "checks": ["grep right work.txt"]}]}
CALLS = [("run_start", {"plan": PLAN}), ("run_wait", {"run": "@last"})]
TOOLS = [name for name, _ in CALLS]


class Model(http.server.BaseHTTPRequestHandler):
    """Calls one tool after the other, then ends; a request without the tools gets a word."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_error(404)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        is_claude = "/messages" in self.path
        results = body.count('"tool_result"') if is_claude else body.count('_call_output"')
        # A slow machine needs several waits.
        is_over = results >= len(CALLS) and ("The run has ended." in body or results > 6)
        call = None
        if "run_start" in body and not is_over:
            call = (*CALLS[min(results, len(CALLS) - 1)], results)
        if call:
            self.server.called.append(call[0])
        if results:
            self.server.answers = body
        events = claude(call) if is_claude else codex(call)
        text = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def claude(call):
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "demo", "content": [], "stop_reason": None,
               "stop_sequence": None, "usage": usage}
    if call:
        block = {"type": "tool_use", "id": f"toolu_{call[0]}_{call[2]}", "name": f"mcp__pullyard__{call[0]}", "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(call[1])}
    else:
        block, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": "Done."}
    return [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use" if call else "end_turn"}, "usage": usage},
        {"type": "message_stop"},
    ]


def codex(call):
    if call:
        item = {"type": "function_call", "id": f"fc_{call[0]}_{call[2]}", "call_id": f"call_{call[0]}_{call[2]}", "status": "completed",
                "namespace": "mcp__pullyard", "name": call[0], "arguments": json.dumps(call[1])}
    else:
        item = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
                "content": [{"type": "output_text", "text": "Done.", "annotations": []}]}
    response = {"id": "resp_1", "object": "response", "status": "in_progress", "output": []}
    usage = {"input_tokens": 1, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 1,
             "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 2}
    return [
        {"type": "response.created", "response": response},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {**response, "status": "completed", "output": [item], "usage": usage}},
    ]


def claude_code(folder, pullyard, url):
    server = {"mcpServers": {"pullyard": {"command": pullyard, "args": ["mcp"]}}}
    tools = ",".join(f"mcp__pullyard__{name}" for name in TOOLS)
    line = [os.environ["PULLYARD_CLAUDE_CODE"], "-p", "Start a run and wait for it.", "--strict-mcp-config",
            "--mcp-config", json.dumps(server), "--allowedTools", tools, "--setting-sources", ""]
    return line, {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "sk-ant-demo", "CLAUDE_CONFIG_DIR": str(folder)}


def codex_exec(folder, pullyard, url):
    (folder / "config.toml").write_text(f"""model_provider = "demo"
[model_providers.demo]
name = "demo"
base_url = "{url}/v1"
env_key = "OPENAI_API_KEY"
wire_api = "responses"
[mcp_servers.pullyard]
command = "{pullyard}"
args = ["mcp"]
env_vars = ["XDG_CONFIG_HOME"]
required = true
default_tools_approval_mode = "approve"
""")
    line = [os.environ["PULLYARD_CODEX"], "exec", "--skip-git-repo-check", "--disable", "enable_request_compression",
            "-m", "demo", "Start a run and wait for it."]
    return line, {"CODEX_HOME": str(folder), "OPENAI_API_KEY": "sk-demo"}


def check(agent, describe):
    model = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model)
    model.called, model.answers = [], ""
    threading.Thread(target=model.serve_forever, daemon=True).start()
    pullyard = shutil.which("pullyard")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        folder = pathlib.Path(folder)
        line, variables = describe(folder, pullyard, f"http://127.0.0.1:{model.server_port}")
        # Only loopback is reachable.
        proxy = {name: "http://127.0.0.1:9" for name in ("HTTPS_PROXY", "HTTP_PROXY")} | {"NO_PROXY": "127.0.0.1"}
        kept = {name: os.environ[name] for name in ("PATH", "XDG_CONFIG_HOME")}
        done = subprocess.run(line, cwd=folder, env={**kept, **proxy, "HOME": str(folder), **variables}, timeout=180,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    model.shutdown()
    assert done.returncode == 0 and set(model.called) == set(TOOLS), (done, model.called, model.answers[-3000:])
    run = json.loads(subprocess.run([pullyard, "runs", "show", "@last", "--json"], stdout=subprocess.PIPE, check=True).stdout)
    assert run["state"] == "completed" and run["id"] in model.answers and "The run has ended." in model.answers, (run, model.answers[-3000:])
    print(f"{agent} started run {run['id']} and awaited its end")


check("Claude Code", claude_code)
check("Codex", codex_exec)
