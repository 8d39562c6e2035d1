"""A program that is run by `flyte run --local --tracked`."""

import asyncio
import os
from pathlib import Path

import flyte
import flyte.errors
import flyte.report

env = flyte.TaskEnvironment(name="tracked")
SCRATCH = Path(os.environ.get("SPANWISE_TEST_SCRATCH", "."))
TRIES = {"flaky": 0}


@flyte.trace
async def doubled(x: int) -> int:
    return 2 * x


@env.task
async def leaf(x: int) -> int:
    return x + 1


@env.task
async def middle(x: int) -> int:
    return await leaf(await doubled(x))


@env.task(cache="auto")
async def remembered(x: int) -> int:
    return 10 * x


@env.task(retries=2)
async def flaky(x: int) -> int:
    TRIES["flaky"] += 1
    if TRIES["flaky"] < 2:
        raise ValueError("not yet \N{ROCKET}")
    return x


@env.task
async def broken(x: int) -> int:
    raise ValueError(f"no such {x}")


@env.task(report=True)
async def reported(x: int) -> int:
    flyte.report.get_tab("main").log("<b>so far</b>")
    await flyte.report.flush.aio()
    return x


@env.task
async def main(x: int = 3) -> str:
    with flyte.group("nested"):
        parts = [await middle(x), await remembered(x), await remembered(x), await flaky(x), await reported(x)]
    try:
        await broken(x)
    except Exception as error:
        parts.append(type(error).__name__)
    return " ".join(str(part) for part in parts) + " \u4e16"


@env.task
async def fails(x: int = 3) -> int:
    return await broken(x)


async def wait_for(name):
    while not (SCRATCH / name).exists():
        await asyncio.sleep(0.02)


@env.task
async def waits(x: int) -> int:
    (SCRATCH / f"waits{x}").touch()
    await wait_for("go")
    return x


@env.task
async def two_halves(x: int = 1) -> int:
    first = await leaf(x)
    return first + await waits(x)
