"""Runs for the waterfall: retries, a cache hit and spans of the tasks' own, by Flyte's OpenTelemetry plugin."""

import asyncio
from datetime import timedelta

import flyte
import session
from flyteplugins import otel
from opentelemetry import trace

# The server says where to in the environment of a task; the driver sends nothing.
otel.init(service_name="shop")
tracer = trace.get_tracer("shop")

env = flyte.TaskEnvironment(name="shop")
cached = flyte.TaskEnvironment(name="shop_cached", cache=flyte.Cache(behavior="override", version_override="1"))

RETRIES = flyte.RetryStrategy(count=2, backoff=flyte.Backoff(base=timedelta(milliseconds=400)))


@cached.task
async def load_orders(day: str) -> list[int]:
    with tracer.start_as_current_span("SELECT orders", kind=trace.SpanKind.CLIENT, attributes={"db.system.name": "duckdb"}):
        await asyncio.sleep(0.3)
    return [1, 2, 3]


@env.task
async def price(order: int) -> float:
    with tracer.start_as_current_span("read price list"):
        await asyncio.sleep(0.15)
    with tracer.start_as_current_span("GET /rates", kind=trace.SpanKind.CLIENT, attributes={"http.response.status_code": 200}):
        await asyncio.sleep(0.1 * order)
    return order * 1.5


@env.task(retries=RETRIES)
async def charge(total: float, failures: int) -> str:
    attempt = flyte.ctx().attempt_number
    with tracer.start_as_current_span("POST /charges", kind=trace.SpanKind.CLIENT) as span:
        await asyncio.sleep(0.2)
        if attempt < failures:
            raise ConnectionError("the bank does not answer")
        span.add_event("accepted", {"bank.reference": "A-1"})
    return f"charged {total}"


@env.task
async def checkout(day: str, failures: int, name: str, seconds: float) -> str:
    orders = await load_orders(day)
    with tracer.start_as_current_span(name, attributes={"orders": len(orders), "note": name}):
        with flyte.group("prices"):
            prices = await asyncio.gather(*(price(order) for order in orders))
    await asyncio.sleep(seconds)
    return await charge(sum(prices), failures)


@session.case
def a_retried_run(_scratch):
    """The second of two runs: what the first one has computed is in the cache."""
    first = session.start(checkout, day="monday", failures=0, name="price all", seconds=0.0)
    session.output(first)
    run = session.start(checkout, day="monday", failures=1, name="price all orders", seconds=0.1)
    session.output(run)
    return {"run": run.name, "first": first.name}


@session.case
def a_hostile_run(_scratch):
    run = session.start(checkout, day="sunday", failures=9, name="<script>alert(1)</script>", seconds=0.0)
    session.failure(run)
    return {"run": run.name}


@session.case
def a_slow_run(_scratch):
    return {"run": session.start(checkout, day="friday", failures=1, name="price all", seconds=5.0).name}


if __name__ == "__main__":
    session.main()
