"""One run with everything that a lifecycle span can tell of."""

import asyncio
import os
import signal
import time
from datetime import timedelta

import flyte
import flyte.remote
import session

env = flyte.TaskEnvironment(name="lifecycle")

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03"
STATE = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"


@flyte.trace
async def step(number: int) -> int:
    await asyncio.sleep(0.05)
    return number + 1


@env.task(retries=flyte.RetryStrategy(count=1, backoff=flyte.Backoff(base=timedelta(milliseconds=300))))
async def flaky() -> str:
    if flyte.ctx().attempt_number == 0:
        raise RuntimeError("first attempts fail")
    return flyte.ctx().custom_context["traceparent"] + " " + os.environ["TRACEPARENT"]


@env.task(cache="auto")
async def costly(number: int) -> int:
    return number + 1


@env.task(timeout=timedelta(seconds=1))
async def slow() -> None:
    await asyncio.sleep(300)


@env.task
async def broken() -> None:
    raise ValueError("broken <b>")


@env.task(retries=1)
async def killed() -> int:
    if flyte.ctx().attempt_number == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return 1


@env.task
async def everything() -> str:
    assert await step(1) == 2
    delivered = await flaky()
    assert await costly(1) + await costly(1) == 4
    condition = await flyte.new_condition.aio("go", prompt="go?", data_type=bool)
    assert await condition.wait.aio()
    for failing in (slow, broken):
        try:
            await failing()
        except Exception:
            continue
        raise AssertionError("it was to fail")
    assert await killed() == 1
    return delivered


def paused(run):
    found = flyte.remote.Condition.listall(run_name=run.name)
    return [condition for condition in found if condition.phase.endswith("PAUSED")]


@session.remote_case
def story(_scratch):
    """Asked for by the run's label, in the trace of a caller."""
    carrier = {"traceparent": CALLER, "tracestate": STATE, "team": "a"}
    options = {"labels": {"spanwise.trace": "lifecycle"}, "custom_context": carrier}
    run = session.start(everything, options=options)
    session.wait_until("the condition", lambda: paused(run))[0].signal(True)
    return {"run": run.name, "delivered": session.output(run)}


@session.remote_case
def unsampled(_scratch):
    caller = CALLER.replace("-03", "-02")
    options = {"labels": {"spanwise.trace": "full"}, "custom_context": {"traceparent": caller}}
    return {"delivered": session.call(flaky, options=options), "caller": caller}


@env.task
async def state() -> str:
    return flyte.ctx().custom_context["tracestate"]


@session.remote_case
def malformed_state(_scratch):
    carrier = {"traceparent": CALLER, "tracestate": "Not=a,list"}
    run = session.start(state, options={"labels": {"spanwise.trace": "lifecycle"}, "custom_context": carrier})
    return {"run": run.name, "state": session.output(run)}


@session.remote_case
def traced(_scratch):
    run = session.start(costly, number=2, options={"labels": {"spanwise.trace": "lifecycle"}})
    return {"run": run.name, "output": session.output(run)}


@session.remote_case
def unknown_level(_scratch):
    try:
        session.start(flaky, options={"labels": {"spanwise.trace": "on"}})
    except Exception as error:
        return session.described(error)
    raise AssertionError("it was to be refused")


@env.task
async def nap(seconds: float, log: str = "") -> float:
    if log:
        session.mark(log, "began")
    await asyncio.sleep(seconds)
    return seconds


@env.task
async def naps(count: int, log: str = "") -> float:
    return sum(await asyncio.gather(*(nap(1 + number / 10, log) for number in range(count))))


@session.remote_case
def long_naps(scratch):
    """The server is killed meanwhile."""
    options = {"labels": {"spanwise.trace": "lifecycle"}}
    run = session.start(naps, count=4, log=str(scratch / "naps"), options=options)
    deadline = time.monotonic() + session.PATIENCE
    while True:
        try:
            return {"run": run.name, "sum": session.output(flyte.remote.Run.get(name=run.name))}
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@env.task
async def sleeps_for_ever() -> None:
    await asyncio.sleep(300)


@session.remote_case
def aborted(_scratch):
    run = session.start(sleeps_for_ever, options={"labels": {"spanwise.trace": "lifecycle"}})
    session.wait_until("a sign of life", lambda: flyte.remote.Run.get(name=run.name).phase == "running")
    run.abort(reason="enough")
    return {"run": run.name}


if __name__ == "__main__":
    session.main()
