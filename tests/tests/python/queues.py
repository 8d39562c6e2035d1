"""Queues, their limits and what needs no processor, as the stock SDK has them."""

import asyncio
import os
import time

import flyte
import session

narrow = flyte.TaskEnvironment(name="queues_narrow", queue="narrow")
shallow = flyte.TaskEnvironment(name="queues_shallow", queue="shallow")
idle = flyte.TaskEnvironment(name="queues_idle", resources=flyte.Resources(cpu=0))
elsewhere = flyte.TaskEnvironment(name="queues_elsewhere", queue="elsewhere")
on_gpu = flyte.TaskEnvironment(name="queues_on_gpu", resources=flyte.Resources(gpu=1))
env = flyte.TaskEnvironment(name="queues", depends_on=[narrow, shallow, idle, elsewhere, on_gpu])


def most_at_once(lines):
    """How many tasks were between their two marks at one time."""
    now = most = 0
    for line in lines:
        now += 1 if line.startswith("begin") else -1
        most = max(most, now)
    return most


async def stays(marks: str, index: int, seconds: float) -> int:
    session.mark(marks, f"begin {index}")
    await asyncio.sleep(seconds)
    session.mark(marks, f"end {index}")
    return index


@narrow.task
async def in_narrow(marks: str, index: int) -> int:
    return await stays(marks, index, 0.2)


@env.task
async def in_the_queue_of_its_run(marks: str, index: int) -> int:
    return await stays(marks, index, 0.2)


@env.task
async def many(marks: str, count: int, narrow: bool) -> list[int]:
    task = in_narrow if narrow else in_the_queue_of_its_run
    return list(await asyncio.gather(*[task(marks, index) for index in range(count)]))


@on_gpu.task
async def sees(marks: str, index: int) -> str:
    await stays(marks, index, 1.5)
    return os.environ["CUDA_VISIBLE_DEVICES"]


@env.task
async def sees_none(marks: str, count: int) -> list[str]:
    seen = await asyncio.gather(*[sees(marks, index) for index in range(count)])
    return [os.environ["CUDA_VISIBLE_DEVICES"], *seen]


@session.remote_case
def gpus(scratch):
    marks = scratch / "marks"
    own, *seen = session.call(sees_none, str(marks), 5)
    return {"own": own, "seen": sorted(set(seen)), "most": most_at_once(session.marks(marks))}


@session.remote_case
def no_more_at_once_than_a_queue_has(scratch):
    found = {}
    # By the task's environment, by an override of one call, and by the run.
    for how, options in [("env", {}), ("run", {"queue": "narrow"})]:
        marks = scratch / how
        assert session.call(many, str(marks), 8, how == "env", options=options) == list(range(8))
        found[how] = most_at_once(session.marks(marks))
    return found


@env.task
async def overrides(marks: str) -> list[int]:
    task = in_the_queue_of_its_run.override(queue="narrow")
    return list(await asyncio.gather(*[task(marks, index) for index in range(6)]))


@session.remote_case
def no_more_at_once_than_an_override_has(scratch):
    marks = scratch / "override"
    session.call(overrides, str(marks))
    return {"most": most_at_once(session.marks(marks))}


@narrow.task
async def calls_when_it_may(marks: str, go: str) -> int:
    while not os.path.exists(go):
        await asyncio.sleep(0.05)
    return await in_narrow(marks, 1)


@narrow.task
async def in_narrow_for_long(marks: str) -> int:
    return await stays(marks, 2, 6.0)


@session.remote_case
def no_more_at_once_in_several_runs(scratch):
    marks, go = scratch / "runs", scratch / "go"
    first = session.start(calls_when_it_may, str(marks), str(go))
    session.wait_until("the first run", lambda: session.details(first.action).phase.value == "running")
    # It waits until the first one gives its slot back, whose child then waits for this one.
    second = session.start(in_narrow_for_long, str(marks))
    session.wait_until("the second run", lambda: session.details(second.action).pb2.attempts)
    go.touch()
    outputs = [session.output(run) for run in (first, second)]
    lines = session.marks(marks)
    return {"outputs": outputs, "most": most_at_once(lines), "lines": lines}


@shallow.task
async def in_shallow(marks: str, index: int) -> int:
    return await stays(marks, index, 0.05)


@env.task
async def more_than_wait(marks: str, count: int) -> list[int]:
    return list(await asyncio.gather(*[in_shallow(marks, index) for index in range(count)]))


@session.remote_case
def what_is_pushed_back_comes_again(scratch):
    marks = scratch / "shallow"
    outputs = session.call(more_than_wait, str(marks), 40)
    lines = session.marks(marks)
    run = session.start(in_shallow, str(scratch / "one"), 0)
    session.output(run)
    begun = sorted(int(line.split()[1]) for line in lines if line.startswith("begin"))
    return {"outputs": outputs == list(range(40)), "most": most_at_once(lines), "begun": begun == list(range(40))}


@shallow.task
async def holds(go: str) -> None:
    while not os.path.exists(go):
        await asyncio.sleep(0.05)


@session.remote_case
def a_run_is_refused_by_a_full_queue(scratch):
    go = scratch / "go"
    runs = [session.start(holds, go=str(go))]
    session.wait_until("the first run", lambda: session.details(runs[0].action).phase.value == "running")
    runs += [session.start(holds, go=str(go)) for _ in range(3)]
    try:
        session.start(holds, go=str(go))
    except Exception as error:
        found = session.described(error)
    else:
        raise AssertionError("a full queue has taken one more")
    go.touch()
    for run in runs:
        session.output(run)
    session.call(holds, go=str(go))
    return found


@idle.task
async def sleeps(marks: str, index: int) -> int:
    return await stays(marks, index, 2.0)


@env.task
async def many_sleep(marks: str, count: int) -> float:
    began = time.monotonic()
    await asyncio.gather(*[sleeps(marks, index) for index in range(count)])
    return time.monotonic() - began


@session.remote_case
def who_needs_no_processor_waits_for_no_slot(scratch):
    marks = scratch / "idle"
    seconds = session.call(many_sleep, str(marks), 16)
    return {"most": most_at_once(session.marks(marks)), "seconds": seconds}


@elsewhere.task
async def in_no_queue() -> int:
    return 7


@env.task
async def calls_elsewhere() -> int:
    return await in_no_queue()


@session.remote_case
def a_queue_that_is_not_there_is_told(_scratch):
    root, child = session.start(in_no_queue), session.start(calls_elsewhere)
    return {"outputs": [session.output(root), session.output(child)], "root": root.name, "child": child.name}


@session.remote_case
def a_queue_that_is_not_there_is_refused(_scratch):
    try:
        session.start(in_no_queue)
    except Exception as error:
        refused = str(error)
    else:
        raise AssertionError("a strict server has taken a queue that it does not have")
    return {"root": refused, "child": session.failure(session.start(calls_elsewhere))["message"]}


@session.remote_case
def what_waits_is_told_with_its_queue(scratch):
    go = scratch / "go"
    first = session.start(holds, go=str(go))
    session.wait_until("the first run", lambda: session.details(first.action).phase.value == "running")
    second = session.start(holds, go=str(go))

    def reasons():
        attempts = session.details(second.action).pb2.attempts
        return [event.message for attempt in attempts for event in attempt.cluster_events]

    told = session.wait_until("a reason", reasons)
    go.touch()
    for run in (first, second):
        session.output(run)
    return {"told": told[0], "first": first.name}


if __name__ == "__main__":
    session.main()
