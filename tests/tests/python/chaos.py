"""Runs of every kind, again and again, for a server that is killed or whose disk is full: what completes leaves a line.

The line is the last thing that a body does: a body that has left two under one action was completed twice.
"""

import asyncio
import random
import time
from datetime import timedelta

import flyte
import flyte.remote
import session

env = flyte.TaskEnvironment(name="chaos")

# Runs at one time, and the numbers that their cached task is called with.
AT_ONCE = 2
CACHED = 4

# The bodies of one run that complete, by their names; cached ones are computed by whichever run comes first.
BODIES = {"leaf": 8, "nested": 3, "flaky": 1, "steps": 1, "step0": 1, "step1": 1, "step2": 1, "asks": 1, "root": 1}


def completed(log, body):
    context = flyte.ctx()
    session.mark(log, f"{body} {context.action.run_name} {context.action.name} {context.attempt_number}")


def nap(number):
    return random.Random(number).uniform(0.1, 2)


@env.task
async def leaf(log: str, number: int) -> int:
    await asyncio.sleep(nap(number))
    completed(log, "leaf")
    return number


@env.task
async def nested(log: str, depth: int, number: int) -> int:
    below = nested(log, depth - 1, number) if depth > 1 else leaf(log, number)
    found = await below + 1
    completed(log, "nested")
    return found


@env.task(retries=flyte.RetryStrategy(count=2, backoff=flyte.Backoff(base=timedelta(milliseconds=200))))
async def flaky(log: str, number: int) -> int:
    if flyte.ctx().attempt_number == 0:
        raise RuntimeError("first attempts fail")
    await asyncio.sleep(nap(number))
    completed(log, "flaky")
    return number


@flyte.trace
async def step(log: str, index: int, number: int) -> int:
    await asyncio.sleep(nap(number + index) / 2)
    completed(log, f"step{index}")
    return number + 1


@env.task
async def steps(log: str, number: int) -> int:
    for index in range(3):
        number = await step(log, index, number)
    completed(log, "steps")
    return number


@env.task
async def asks(log: str, number: int) -> int:
    condition = await flyte.new_condition.aio("go", prompt="go?", data_type=bool)
    assert await condition.wait.aio()
    completed(log, "asks")
    return number


@env.task(cache=flyte.Cache(behavior="override", version_override="v1", ignored_inputs=("log",)))
async def cached(log: str, number: int) -> int:
    await asyncio.sleep(nap(number))
    completed(log, f"cached{number}")
    return 10 * number


@env.task
async def root(log: str, number: int) -> int:
    found = await asyncio.gather(
        *(leaf(log, number + index) for index in range(7)),
        nested(log, 3, number + 7),
        flaky(log, number),
        steps(log, number),
        asks(log, number),
        cached(log, number % CACHED),
    )
    completed(log, "root")
    return sum(found)


def expected(number):
    return sum(range(number, number + 7)) + (number + 10) + number + (number + 3) + number + 10 * (number % CACHED)


def said(error):
    print(f"{time.time():.1f} {type(error).__name__}: {str(error)[:300]}", flush=True)


def start(name, number, log):
    """A start whose answer was lost is found by its name."""
    try:
        session.start(root, options={"name": name}, log=str(log), number=number)
        return True
    except Exception as error:
        said(error)
    try:
        return flyte.remote.Run.get(name=name).name == name
    except Exception:
        return False


def answer(name):
    for condition in flyte.remote.Condition.listall(run_name=name):
        if condition.phase.endswith("PAUSED"):
            condition.signal(True)


def ended(name, number):
    """What became of a run; none if it goes on, or if nobody can say."""
    try:
        run = flyte.remote.Run.get(name=name)
        if not run.done():
            answer(name)
            return None
        actions = session.actions(run)
        wrong = [action for action in actions if action.phase.value != "succeeded"]
        return {
            "run": name,
            "phase": run.phase.value,
            "output": run.outputs()[0] if run.phase.value == "succeeded" else None,
            "expected": expected(number),
            "wrong": [[a.task_name or a.name, a.name, a.phase.value, message(a)] for a in wrong],
        }
    except Exception as error:
        said(error)
        return None


def message(action):
    return session.details(action).pb2.error_info.message[:2000]


@session.remote_case
def runs(scratch):
    """Until the Rust side, which hurts the server meanwhile, has had enough; then to the end of those that are under way."""
    log, stop = scratch / "completed", scratch / "stop"
    number, under_way, found = 0, {}, []
    while under_way or not stop.exists():
        while len(under_way) < AT_ONCE and not stop.exists():
            name = f"chaos-{number}"
            if start(name, number, log):
                under_way[name] = number
                number += 1
        for name, of in list(under_way.items()):
            if (end := ended(name, of)) is not None:
                del under_way[name]
                found.append(end)
        time.sleep(0.2)
    return {"runs": found, "bodies": BODIES}


if __name__ == "__main__":
    session.main()
