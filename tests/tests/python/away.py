"""Tasks that begin, store files and end while their server is away."""

import asyncio
import os
import time

import flyte
import flyte.remote
import session
from flyte.io import File

env = flyte.TaskEnvironment(name="away")

# Of each kind.
TASKS = 8


async def there(path):
    while not os.path.exists(path):
        await asyncio.sleep(0.02)


@env.task
async def ends(log: str, number: int) -> int:
    """Its body ends while the server is away."""
    session.mark(log, f"start {number}")
    await there(f"{log}.away")
    session.mark(log, f"end {number}")
    return number


@env.task
async def stores(log: str, number: int) -> File:
    """What it stores while the server is away is in the store in the end."""
    session.mark(log, f"start {number}")
    await there(f"{log}.away")
    with open("stored", "w") as file:
        file.write(f"stored by {number}")
    stored = await File.from_local("stored")
    session.mark(log, f"end {number}")
    return stored


@env.task
async def starts(log: str, number: int) -> int:
    """Its process has begun when the server goes, and has neither its code nor its inputs."""
    session.mark(log, f"start {number}")
    session.mark(log, f"end {number}")
    return number


@env.task
async def all_of_them(log: str) -> list[str]:
    first = [asyncio.create_task(ends(log, number)) for number in range(TASKS)]
    first += [asyncio.create_task(stores(log, number)) for number in range(TASKS, TASKS + 2)]
    while len(session.marks(log)) < len(first):
        await asyncio.sleep(0.02)
    last = await asyncio.gather(*(starts(log, number) for number in range(TASKS + 2, 2 * TASKS + 2)))
    found = []
    for value in [*await asyncio.gather(*first), *last]:
        if isinstance(value, File):
            async with value.open("rb") as file:
                value = bytes(await file.read()).decode()
        found.append(str(value))
    return found


def output_in_spite_of_restarts(run):
    """The SDK's own patience with a server that is away is about two seconds."""
    deadline = time.monotonic() + session.PATIENCE + int(os.environ["AWAY_SECONDS"])
    while True:
        try:
            return session.output(flyte.remote.Run.get(name=run.name))
        except Exception:
            try:
                over = flyte.remote.Run.get(name=run.name).done()
            except Exception:
                over = False
            if over or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@session.remote_case
def leaves(scratch):
    """The Rust side kills the server when all processes have begun, and starts it again after a while."""
    log = scratch / "log"
    run = session.start(all_of_them, log=str(log))
    found = output_in_spite_of_restarts(run)
    attempts = [len(session.details(action).pb2.attempts) for action in session.actions(run)]
    return {"found": found, "log": session.marks(log), "phases": session.phases(run), "attempts": attempts}


if __name__ == "__main__":
    session.main()
