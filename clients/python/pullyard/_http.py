"""Calls of the API: each has a timeout, and one that may be repeated is retried with jitter."""

from __future__ import annotations

import http.client
import json
import random
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from urllib.parse import urlsplit

TRIES = 4
TRANSIENT = frozenset({429, 500, 502, 503, 504})
MAX_PAUSE_SECS = 10.0


class PullyardError(Exception):
    """Base of all errors of this package."""


class ConnectionFailed(PullyardError):
    """The server did not answer, or not as Pullyard does."""


@dataclass(frozen=True)
class Fault:
    """A fault of a plan. `pointer` is a JSON pointer, such as `/plan/steps/3/needs/0`."""

    pointer: str
    fault: str


class ApiError(PullyardError):
    """A refusal of the server. `code` is stable; `faults` lists those of a plan."""

    def __init__(self, status: int, problem: dict, retry_after: str | None = None):
        self.status, self.retry_after = status, retry_after
        self.code: str = problem.get("code") or "gateway"
        self.detail: str = problem.get("detail") or f"The server answered {status}."
        self.help: str | None = problem.get("help")
        self.pointer: str | None = problem.get("pointer")
        self.faults = [Fault(one.get("pointer", ""), one.get("fault", "")) for one in problem.get("faults") or []]
        lines = [f"{self.detail} ({self.code})", *(f"  {one.pointer}  {one.fault}" for one in self.faults)]
        super().__init__("\n".join(lines + ([self.help] if self.help else [])))


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would send the token to another host."""

    def redirect_request(self, *_):
        return None


class Http:
    """One server and one token."""

    def __init__(self, url: str, token: str, timeout: float):
        self._url, self._token, self._timeout = url, token, timeout
        is_local = urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
        proxies = urllib.request.ProxyHandler({} if is_local else None)
        self._opener = urllib.request.build_opener(proxies, _NoRedirects())

    def call(self, method: str, path: str, body: dict | None, key: str | None, may_repeat: bool) -> dict:
        """`key`: the `Idempotency-Key` of all tries."""
        for attempt in range(1, TRIES + 1):
            try:
                return self._send(method, path, body, key)
            except (ApiError, ConnectionFailed) as error:
                is_transient = getattr(error, "status", 503) in TRANSIENT
                if not (may_repeat and is_transient) or attempt == TRIES:
                    raise
                time.sleep(_pause(attempt, getattr(error, "retry_after", None)))
        raise AssertionError("the last try returns or raises")

    def _send(self, method: str, path: str, body: dict | None, key: str | None) -> dict:
        headers = {"Authorization": f"Bearer {self._token}", "User-Agent": "pullyard-python"}
        data = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        if key is not None:
            headers["Idempotency-Key"] = key
        request = urllib.request.Request(self._url + path, data, headers, method=method)
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise ApiError(error.code, _read_problem(error), error.headers.get("Retry-After")) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise ConnectionFailed(
                f"can't reach {self._url}: {reason}; start it with `pullyard up`, or set PULLYARD_URL") from error
        try:
            return json.loads(text)
        except ValueError as error:
            raise ConnectionFailed(f"{self._url} does not look like a Pullyard server: {error}") from error


def _read_problem(error: urllib.error.HTTPError) -> dict:
    """Empty if a proxy answered."""
    try:
        problem = json.loads(error.read())
    except (OSError, ValueError, http.client.HTTPException):
        return {}
    return problem if isinstance(problem, dict) else {}


def _pause(attempt: int, retry_after: str | None) -> float:
    """Units: seconds."""
    most = 0.2 * 2**attempt
    asked = float(retry_after) if retry_after and retry_after.isdecimal() else 0.0
    return min(asked, MAX_PAUSE_SECS) + random.uniform(most / 2, most)
