"""Nested and concurrent calls, sync tasks, maps and groups."""

import asyncio
import time

import flyte
import session

env = flyte.TaskEnvironment(name="concurrency")


@env.task
async def square(number: int) -> int:
    return number * number


@env.task
async def squares(count: int) -> list[int]:
    return list(await asyncio.gather(*(square(number) for number in range(count))))


@session.case
def a_hundred_children(_scratch):
    run = session.start(squares, count=100)
    assert session.output(run) == [number * number for number in range(100)]
    if session.LOCAL:
        return {"actions": 101}
    found = session.phases(run)
    assert found == {"squares": ["succeeded"], "square": ["succeeded"] * 100}, found
    return {"actions": len(session.actions(run))}


@env.task
async def same_again(count: int) -> list[int]:
    """Equal calls are different actions."""
    return list(await asyncio.gather(*(square(3) for _ in range(count))))


@session.case
def equal_calls(_scratch):
    run = session.start(same_again, count=5)
    assert session.output(run) == [9] * 5
    if not session.LOCAL:
        names = {action.name for action in session.by_task(run)["square"]}
        assert len(names) == 5, names
    return {}


@env.task
async def nested(depth: int) -> int:
    return depth if depth == 0 else 1 + await nested(depth - 1)


@session.case
def twelve_levels(_scratch):
    """More parents that wait than the machine has cores: waiting takes no place."""
    run = session.start(nested, depth=12)
    assert session.output(run) == 12
    if not session.LOCAL:
        parents = {action.name: action.parent_name for action in session.actions(run)}
        name, levels = next(name for name in parents if name not in parents.values()), 0
        while name != "a0":
            name, levels = parents[name], levels + 1
        assert levels == 12, parents
    return {}


@env.task
async def tree(depth: int) -> int:
    if depth == 0:
        return 1
    return sum(await asyncio.gather(tree(depth - 1), tree(depth - 1)))


@session.case
def a_tree_of_calls(_scratch):
    assert session.call(tree, depth=4) == 16
    return {}


@env.task
def sync_child(number: int) -> int:
    return number + 1


@env.task
def sync_parent(count: int) -> list[int]:
    one_by_one = [sync_child(number) for number in range(3)]
    assert one_by_one == [1, 2, 3], one_by_one
    return list(flyte.map(sync_child, range(count)))


@session.case
def sync_tasks_and_map(_scratch):
    run = session.start(sync_parent, count=20)
    assert session.output(run) == list(range(1, 21))
    return {} if session.LOCAL else {"children": len(session.by_task(run)["sync_child"])}


@env.task
async def async_map(count: int) -> list[int]:
    return [number async for number in flyte.map.aio(square, range(count), concurrency=3)]


@session.case
def map_with_a_limit(_scratch):
    assert session.call(async_map, count=10) == [number * number for number in range(10)]
    return {}


@env.task
async def grouped() -> list[int]:
    with flyte.group("first"):
        first = await asyncio.gather(square(1), square(2))
    with flyte.group("zweite \N{ROCKET}"):
        second = await asyncio.gather(square(1), square(3))
    return [*first, *second, await square(1)]


@session.case
def groups(_scratch):
    run = session.start(grouped)
    assert session.output(run) == [1, 4, 1, 9, 1]
    if session.LOCAL:
        return {}
    found = [action.pb2.metadata.group for action in session.by_task(run)["square"]]
    return {"groups": sorted(found)}


@env.task
async def sleeper(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return time.time()


@env.task
async def first_of(seconds: float) -> float:
    """A race: the call that loses is cancelled, which aborts its action."""
    fast, slow = asyncio.ensure_future(square(2)), asyncio.ensure_future(sleeper(seconds))
    await asyncio.wait([fast], return_when=asyncio.FIRST_COMPLETED)
    slow.cancel()
    try:
        await slow
    except asyncio.CancelledError:
        return float(fast.result())
    raise AssertionError("the loser was not cancelled")


@session.remote_case
def a_cancelled_child_is_aborted(_scratch):
    run = session.start(first_of, seconds=300.0)
    assert session.output(run) == 4.0
    aborted = session.wait_until(
        "the abort of the loser",
        lambda: [action.phase.value for action in session.by_task(run)["sleeper"]] == ["aborted"],
    )
    return {"aborted": aborted}


@env.task
async def run_in_a_run(number: int) -> str:
    run = await flyte.run.aio(square, number=number)
    await run.wait.aio(quiet=True)
    outputs = await run.outputs.aio()
    assert outputs[0] == number * number, outputs
    return run.name


@session.remote_case
def a_run_started_by_a_task(_scratch):
    run = session.start(run_in_a_run, number=12)
    inner = session.output(run)
    assert inner != run.name
    assert [action.name for action in session.actions(run)] == ["a0"]
    return {"inner": inner, "outer": run.name}


if __name__ == "__main__":
    session.main()
