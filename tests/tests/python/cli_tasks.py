"""Tasks for the command line."""

import asyncio

import flyte

env = flyte.TaskEnvironment(name="cli_tasks")


@env.task
async def greet(name: str, times: int = 1) -> str:
    print(f"greeting {name}", flush=True)
    return ", ".join([await word("hello")] * times) + f" {name}"


@env.task
async def word(text: str) -> str:
    return text


@env.task
async def wait_for_ever() -> None:
    await asyncio.sleep(300)
