"""Starts, follows and steers runs of Pullyard."""

from ._http import ApiError, ConnectionFailed, Fault, PullyardError
from ._runs import Client, Run, RunFailed, Step, WaitTimeout, agent, run

__all__ = [
    "ApiError", "Client", "ConnectionFailed", "Fault", "PullyardError", "Run", "RunFailed", "Step", "WaitTimeout",
    "agent", "run",
]
