"""`@flyte.trace`: recorded steps, and what later attempts do with them."""

import asyncio

import flyte
import flyte.errors
import session

env = flyte.TaskEnvironment(name="steps")


@flyte.trace
async def double(log: str, number: int) -> int:
    session.mark(log, f"double {number}")
    return 2 * number


@flyte.trace
def double_sync(log: str, number: int) -> int:
    session.mark(log, f"double_sync {number}")
    return 2 * number


@flyte.trace
async def outer(log: str, number: int) -> int:
    session.mark(log, f"outer {number}")
    return await double(log, number) + 1


@flyte.trace
async def fails(log: str) -> int:
    session.mark(log, "fails")
    raise ValueError("a step that fails")


@flyte.trace
async def counts_up(log: str, count: int):
    for number in range(count):
        session.mark(log, f"counts_up {number}")
        yield number


@env.task
def sync_steps(log: str) -> int:
    return double_sync(log, 2)


@env.task
async def all_kinds(log: str) -> list[int]:
    found = [await double(log, 1), await sync_steps.aio(log), await outer(log, 3)]
    found.extend(await asyncio.gather(double(log, 4), double(log, 5)))
    found.extend([number async for number in counts_up(log, 3)])
    try:
        await fails(log)
    except ValueError as error:
        assert "a step that fails" in str(error), error
    else:
        raise AssertionError("the step was to fail")
    return found


@session.case
def kinds(scratch):
    log = scratch / "kinds"
    run = session.start(all_kinds, log=str(log))
    assert session.output(run) == [2, 4, 7, 8, 10, 0, 1, 2]
    if session.LOCAL:
        return {}
    steps = [action for action in session.actions(run) if action.pb2.metadata.HasField("trace")]
    found = sorted((action.pb2.metadata.trace.name.rsplit(".", 1)[-1], action.phase.value) for action in steps)
    return {"steps": found, "parents": sorted({action.parent_name for action in steps})}


@env.task
async def child(number: int) -> int:
    return number


@env.task(retries=2)
async def fails_twice(log: str) -> int:
    first = await double(log, 1)
    await child(first)
    second = await double(log, first)
    third = await outer(log, second)
    if flyte.ctx().attempt_number < 2:
        raise RuntimeError("after the steps")
    return third


@session.remote_case
def steps_are_not_run_again(scratch):
    log = scratch / "not_again"
    run = session.start(fails_twice, log=str(log))
    assert session.output(run) == 9
    return {"log": session.marks(log), "children": len(session.by_task(run)["child"])}


@flyte.trace
async def fails_once(log: str) -> str:
    session.mark(log, "fails_once")
    if len(session.marks(log)) == 1:
        raise RuntimeError("the first time")
    return "fine"


@env.task(retries=1)
async def parent_of_fails_once(log: str) -> str:
    return await fails_once(log)


@session.remote_case
def a_failed_step_is_run_again(scratch):
    log = scratch / "failed_step"
    run = session.start(parent_of_fails_once, log=str(log))
    assert session.output(run) == "fine"
    steps = [action for action in session.actions(run) if action.pb2.metadata.HasField("trace")]
    return {"log": session.marks(log), "phases": [action.phase.value for action in steps]}


if __name__ == "__main__":
    session.main()
