"""Twenty tasks under one parent that leave a line at their start and one at their end: what a restart of the server may not disturb."""

import asyncio
import os
import random
import sys
import time

import flyte
import flyte.remote
import session

env = flyte.TaskEnvironment(name="restart")

TASKS = 20


@env.task
async def works(log: str, number: int, seconds: float) -> int:
    session.mark(log, f"start {number} {os.getpid()}")
    await asyncio.sleep(seconds)
    session.mark(log, f"end {number}")
    return number


@env.task
async def all_of_them(log: str, seconds: list[float]) -> int:
    session.mark(log, "parent")
    return sum(await asyncio.gather(*(works(log, number, long) for number, long in enumerate(seconds))))


def output_in_spite_of_restarts(run):
    """The SDK's own patience with a server that is away is about two seconds."""
    deadline = time.monotonic() + session.PATIENCE
    while True:
        try:
            return session.output(run if session.LOCAL else flyte.remote.Run.get(name=run.name))
        except Exception:
            if time.monotonic() > deadline or run_has_failed(run):
                raise
            time.sleep(0.2)


def run_has_failed(run):
    try:
        return flyte.remote.Run.get(name=run.name).done()
    except Exception:
        return False


@session.case
def twenty(scratch):
    """The Rust side kills the server meanwhile; the driver waits through that."""
    log = scratch / "restart"
    seconds = [random.uniform(0, 0.1) if session.LOCAL else random.uniform(2, 4) for _ in range(TASKS)]
    run = session.start(all_of_them, log=str(log), seconds=seconds)
    print(f"STARTED {'local' if session.LOCAL else run.name}", flush=True)
    found = output_in_spite_of_restarts(run)
    return {"sum": found, "log": session.marks(log), "phases": {} if session.LOCAL else session.phases(run)}


@session.remote_case
def look(_scratch):
    """An earlier run, by its name on the command line."""
    run = flyte.remote.Run.get(name=sys.argv[2])
    return {"phase": run.phase, "output": run.outputs()[0]}


if __name__ == "__main__":
    session.main()
