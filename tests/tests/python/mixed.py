"""Tasks in Python that call tasks in Rust (`tests/src/bin/remote_tasks.rs`, deployed before) and are called by them."""

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Dict, List, Optional

import flyte
import flyte.remote
import session

env = flyte.TaskEnvironment(name="mixed")

AT = datetime(2026, 3, 1, 12, 30, 15, 250000, tzinfo=timezone.utc)


@dataclass
class Order:
    id: int
    name: str
    lines: List[str]
    prices: Dict[str, float]
    note: Optional[str]


class Priority(enum.Enum):
    Low = "Low"
    High = "High"


ORDER = Order(id=7, name="größe \U0001f680", lines=["a", ""], prices={"x": 1.5, "y": -0.25}, note=None)


@env.task
async def double(value: int) -> int:
    return value * 2


@env.task
async def last(order: Order, priority: Priority, at: datetime, maybe: Optional[int]) -> str:
    assert order == Order(8, ORDER.name, ORDER.lines, ORDER.prices, None), order
    assert priority is Priority.High, priority
    assert at == AT, at
    return f"{maybe} {flyte.ctx().custom_context['traceparent']}"


@env.task
async def first() -> str:
    between = flyte.remote.Task.get("remote.between", project=None, domain=None, auto_version="latest")
    answer = await between(order=ORDER, priority="High", at=AT, maybe=3)
    nothing = await between(order=ORDER, priority="High", at=AT, maybe=None)
    return f"{answer} | {nothing} | {flyte.ctx().custom_context['traceparent']}"


@session.remote_case
def deploy(_scratch):
    flyte.deploy(env, version="v1")
    return {}


@session.remote_case
def round_trip(_scratch):
    flyte.deploy(env, version="v1")
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03"
    run = session.start(first, options={"custom_context": {"traceparent": trace}})
    answer = session.output(run)
    return {"answer": answer, "phases": session.phases(run)}


@session.remote_case
def rust_as_root(_scratch):
    add = flyte.remote.Task.get("remote.add", project="flytesnacks", domain="development", auto_version="latest")
    return {"sum": session.call(add, left=1, right=2)}


if __name__ == "__main__":
    session.main()
