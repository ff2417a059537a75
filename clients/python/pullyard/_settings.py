"""Server, token and project: from arguments, the environment, or the context that `pullyard login` saved."""

from __future__ import annotations

import os
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10, which reads no context.
    tomllib = None

LOCAL_URL = "http://127.0.0.1:7878"


def find_settings(url: str | None, token: str | None, project: str | None) -> tuple[str, str, str | None]:
    """A context's token and project serve only its own server. Errors: ValueError."""
    url = (url or os.environ.get("PULLYARD_URL") or "").rstrip("/")
    token = token or os.environ.get("PULLYARD_TOKEN")
    context = {} if tomllib is None and url and token else _load_context()
    if url and context.get("url") != url:
        context = {}
    url = url or context.get("url") or LOCAL_URL
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url} is not a URL; write it as https://HOST")
    token = token or context.get("token") or ""
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ValueError("the token contains invalid characters; correct PULLYARD_TOKEN")
    return url, token, project or os.environ.get("PULLYARD_PROJECT") or context.get("project")


def _load_context() -> dict:
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    path = Path(base, "pullyard", "config.toml")
    if not path.is_file():
        return {}
    if tomllib is None:
        raise ValueError("Python 3.10 reads no context; set PULLYARD_URL and PULLYARD_TOKEN")
    try:
        saved = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # The cause quotes a line, which may contain a token.
        raise ValueError(f"can't parse {path}; correct it, or remove it and sign in again") from None
    name = os.environ.get("PULLYARD_CONTEXT")
    contexts = saved.get("contexts", {})
    if name and name not in contexts:
        raise ValueError(f"there is no context {name}; `pullyard contexts` lists them")
    return contexts.get(name or saved.get("current"), {})
