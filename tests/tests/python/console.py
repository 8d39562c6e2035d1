"""Runs for the console: one of everything that it shows."""

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import flyte
import flyte.io
import flyte.report
import session

env = flyte.TaskEnvironment(name="console")
cached = flyte.TaskEnvironment(name="console_cached", cache=flyte.Cache(behavior="override", version_override="1"))


@dataclass
class Settings:
    rate: float
    names: list[str]


@env.task
async def prepare(number: int) -> int:
    await asyncio.sleep(0.02 * number)
    print(f"prepared <b>{number}</b>")
    return number


@env.task(retries=1)
async def train(number: int, settings: Settings) -> float:
    print("loss", settings.rate)
    if number == 1:
        raise ValueError("no data for <script>alert(1)</script>")
    return number * settings.rate


@cached.task
async def features(number: int) -> list[int]:
    return [number] * 5


@flyte.trace
async def look_up(key: str) -> str:
    return key.upper()


@env.task(report=True)
async def evaluate(text: str, at: datetime, patience: timedelta, path: flyte.io.File) -> dict[str, float]:
    await flyte.report.replace.aio("<h1>Report</h1>", do_flush=True)
    await look_up(text)
    return {"accuracy": 0.93, "loss": 0.21}


@env.task
async def everything(count: int) -> int:
    """Groups, steps, the cache, a file, a report and a child that fails."""
    file = await flyte.io.File.from_local(__file__)
    with flyte.group("prepare"):
        await asyncio.gather(*(prepare(number) for number in range(count)))
    await features(1)
    await evaluate("<img src=x>", datetime(2026, 1, 2, tzinfo=timezone.utc), timedelta(hours=3), file)
    with flyte.group("train"):
        settings = Settings(rate=0.5, names=["a", "b"])
        await asyncio.gather(*(train(number, settings) for number in range(count)))
    return count


@env.task
async def child_that_prints(seconds: float) -> int:
    end, line = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        print(f"line {line} of the log", flush=True)
        line += 1
        await asyncio.sleep(0.2)
    return line


@env.task
async def long(seconds: float) -> int:
    print("the parent waits", flush=True)
    first = await prepare(1)
    return first + await child_that_prints(seconds)


@env.task
async def asks() -> list[str]:
    answers = []
    for name, kind in [("release", bool), ("how much", float), ("whom", str)]:
        prompt = f"{name.capitalize()} <b>now</b>?"
        condition = await flyte.new_condition.aio(name, prompt=prompt, data_type=kind, description="The ledger is closed")
        answers.append(repr(await condition.wait.aio()))
    return answers


@session.remote_case
def a_run_that_asks(_scratch):
    return {"run": session.start(asks).name}


@session.case
def a_failing_run(_scratch):
    context = {"origin": "<u>test</u>", "api_token": "hush"}
    options = {"custom_context": context, "labels": {"team": "vision"}}
    run = session.start(everything, count=3, options=options)
    session.failure(run)
    return {"run": run.name}


@session.case
def a_long_run(_scratch):
    return {"run": session.start(long, seconds=60.0).name}


if __name__ == "__main__":
    session.main()
