"""The cache: hits, misses, and what makes the difference. Each computation leaves a mark in a file."""

import asyncio

import flyte
import session

env = flyte.TaskEnvironment(name="cache")


def ignoring(*names, **options):
    return flyte.Cache(behavior="auto", ignored_inputs=names, **options)


@env.task(cache=ignoring("log"))
async def costly(log: str, number: int) -> int:
    session.mark(log, number)
    return number + 1


@env.task(cache=flyte.Cache(behavior="override", version_override="v1", ignored_inputs=("log",)))
async def versioned(log: str, number: int) -> int:
    session.mark(log, number)
    return number + 1


@env.task(cache=ignoring("log", serialize=True))
async def one_at_a_time(log: str, number: int) -> int:
    session.mark(log, number)
    await asyncio.sleep(1)
    return number + 1


@env.task(cache=ignoring("log"))
async def fails_first(log: str, number: int) -> int:
    session.mark(log, number)
    if len(session.marks(log)) == 1:
        raise RuntimeError("failures are not kept")
    return number


@env.task(cache="auto")
async def says_hello(name: str) -> str:
    return f"hello {name}"


@env.task
async def calls_costly(log: str, numbers: list[int]) -> list[int]:
    return [await costly(log, number) for number in numbers]


@env.task
async def calls_versioned(log: str, number: int) -> int:
    return await versioned(log, number)


@env.task
async def calls_one_at_a_time(log: str, count: int) -> list[int]:
    """Calls of equal inputs, each for itself a computation."""
    return list(await asyncio.gather(*(one_at_a_time(log, 1) for _ in range(count))))


def cache_status(run, task):
    return [action.pb2.status.cache_status for action in session.by_task(run)[task]]


@session.remote_case
def hit_and_miss(scratch):
    log = scratch / "hit_and_miss"
    first = session.start(calls_costly, log=str(log), numbers=[1, 2, 1])
    assert session.output(first) == [2, 3, 2]
    second = session.start(calls_costly, log=str(log), numbers=[2, 3])
    assert session.output(second) == [3, 4]
    return {"log": session.marks(log), "first": cache_status(first, "costly"), "second": cache_status(second, "costly")}


@session.remote_case
def root_and_child_share(scratch):
    log = scratch / "share"
    assert session.call(costly, log=str(log), number=100) == 101
    assert session.call(calls_costly, log=str(log), numbers=[100]) == [101]
    assert session.call(costly, log=str(log), number=100) == 101
    return {"log": session.marks(log)}


@session.remote_case
def overwrite(scratch):
    log = scratch / "overwrite"
    for options in [{}, {"overwrite_cache": True}, {}]:
        assert session.call(calls_costly, log=str(log), numbers=[200], options=options) == [201]
    return {"log": session.marks(log)}


@session.remote_case
def a_new_version_misses(scratch):
    log = scratch / "version"
    for _ in range(2):
        assert session.call(calls_versioned, log=str(log), number=1) == 2
    renewed = flyte.Cache(behavior="override", version_override="v2", ignored_inputs=("log",))
    assert session.call(versioned.override(cache=renewed), log=str(log), number=1) == 2
    return {"log": session.marks(log)}


@session.remote_case
def serialized(scratch):
    log = scratch / "serialized"
    assert session.call(calls_one_at_a_time, log=str(log), count=4) == [2] * 4
    return {"log": session.marks(log)}


@session.remote_case
def failures_are_not_cached(scratch):
    log = scratch / "failures"
    first = session.start(fails_first, log=str(log), number=1)
    assert session.failure(first)["code"] == "RuntimeError"
    assert session.call(fails_first, log=str(log), number=1) == 1
    assert session.call(fails_first, log=str(log), number=1) == 1
    return {"log": session.marks(log)}


@session.remote_case
def auto(_scratch):
    first, second = (session.start(says_hello, name="\N{ROCKET}") for _ in range(2))
    assert session.output(first) == session.output(second) == "hello \N{ROCKET}"
    third = session.start(says_hello, name="\N{ROCKET}")
    assert session.output(third) == "hello \N{ROCKET}"
    return {"third": third.action.pb2.status.cache_status}


if __name__ == "__main__":
    session.main()
