"""Artifacts, as stock programs and the stock command line register, produce, find and consume them, and triggers that wait for them."""

import tempfile
from datetime import date, datetime, timezone

import cli
import flyte
import flyte.artifacts as artifacts
import session
from flyte.io import Dir, File
from flyte.remote import Artifact, Run, Trigger

DAY = date(2026, 9, 17)

env = flyte.TaskEnvironment(name="artifacts")


async def file_of(text):
    with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False) as file:
        file.write(text)
    return await File.from_local(file.name)


async def text_of(file):
    async with file.open("rb") as handle:
        return bytes(await handle.read()).decode()


@env.task(produces_artifacts=True)
async def trains(text: str, version: str = "") -> tuple[File, float]:
    metadata = artifacts.Metadata(
        name="model", version=version or None, description="größe", kind="model", attrs={"framework": "none"}, parents=("v0",)
    )
    return artifacts.new(await file_of(text), metadata), 0.5


@env.task
async def plain(text: str) -> File:
    """Wraps its output, and says nothing of it."""
    return artifacts.new(await file_of(text), artifacts.Metadata(name="unsaid"))


@env.task(produces_artifacts=True)
async def makes(text: str) -> File:
    """Knows nothing of artifacts."""
    return await file_of(text)


@env.task
async def declares(region: str) -> str:
    with artifacts.produces(o0=artifacts.Metadata(name="events", partitions={"date": DAY, "region": region})):
        file = await makes(region)
    return await text_of(file)


@env.task
async def publishes(text: str) -> str:
    created = await Artifact.create.aio(await file_of(text), name="inside", version="v1", python_type=File)
    return created.source


@env.task
async def reads(model: File, others: list[File]) -> str:
    return " ".join([await text_of(model), *[await text_of(other) for other in others]])


def local_file(text):
    with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False) as file:
        file.write(text)
    return File.from_local_sync(file.name)


def refused(call):
    try:
        call()
    except Exception as error:
        return str(error)
    raise AssertionError("it was accepted")


def versions(name, **options):
    return [artifact.version for artifact in Artifact.listall(name, **options)]


@session.remote_case
def produced(_scratch):
    """What tasks make, by themselves and as their callers say, found again and given to a run."""
    run = session.start(trains, "one")
    session.output(run)
    first = Artifact.get("model")
    session.output(session.start(trains, "two", version="v2"))
    # The same version again stays as it was.
    session.output(session.start(trains, "three", version="v2"))
    for region in ("us", "eu", "us"):
        session.call(declares, region)
    session.call(plain, "unsaid")
    inside = session.call(publishes, "inside")
    events = Artifact.get("events", date=DAY, region="us")
    consumer = session.start(reads, first, list(Artifact.listall("events", latest_per_partition=True)))
    read = session.output(consumer)
    return {
        "run": run.name,
        "consumer": consumer.name,
        "read": read,
        "version": first.version,
        "description": first.pb2.spec.info.description,
        "kind": first.kind,
        "attrs": dict(first.pb2.spec.info.user_metadata),
        "source": first.source,
        "parents": [parent.version for parent in first.pb2.spec.parent_artifacts],
        "stamp": first.pb2.spec.value.artifact_id.version,
        "versions": versions("model"),
        "events": len(versions("events")),
        "latest": len(versions("events", latest_per_partition=True)),
        "partition": {key: str(value) for key, value in events.partitions.items()},
        "inside": inside,
        "of_run": versions(None, source_run=run.name),
        "models": versions(None, kind="model"),
        "names": sorted(group.name for group in Artifact.list_names()),
    }


@session.remote_case
def registered(_scratch):
    """From the driver and the command line: partitions, filters, limits."""
    for day in (1, 2, 3):
        for region in ("us", "eu"):
            Artifact.create(local_file(f"{day} {region}"), name="raw", version=f"{day}-{region}", partitions={"date": date(2026, 9, day), "region": region})
    file = session.scratch() / "data.csv"
    file.write_text("id,value\n")
    cli.flyte("create", "artifact", "incoming", "--from-file", file, "--version", "v1", "--external-ref", "s3://drop/1.csv", "--attr", "team=a")
    listed = cli.listed("get", "artifact", "raw", "--partition", "date=2026-09-01..2026-09-02", "--partition", "region=us")
    one = cli.flyte("get", "artifact", "incoming", "v1")
    names = cli.listed("get", "artifact", "--search", "inc")
    hourly = Artifact.declare("hourly", partitions={"hour": datetime, "region": str})
    Artifact.create(local_file("x"), name="hourly", partitions={"hour": datetime(2026, 9, 17, 13, 45, tzinfo=timezone.utc), "region": "us"})
    return {
        "listed": sorted(artifact["artifactId"]["version"] for artifact in listed),
        "one": "drop/1.csv" in one,
        "names": len(names),
        "range": versions("raw", date=(date(2026, 9, 2), date(2026, 9, 3)), region=["us"]),
        "latest": Artifact.get("raw", date=date(2026, 9, 1), region="eu").version,
        "external": versions(None, source_external_ref="s3://drop/1.csv"),
        "attr": versions(None, attrs={"team": ["a", "b"]}),
        "days": [str(day) for day in Artifact.partition_values("raw", "date")],
        "regions": Artifact.partition_values("raw", "region", date=date(2026, 9, 1)),
        "schema": [Artifact.get_schema("raw").all_keys, Artifact.get_schema("raw").declared],
        "declared": [hourly.all_keys, hourly.declared],
        "hour": str(Artifact.get("hourly").partitions["hour"]),
        "limit": len(versions("raw", limit=4)),
        "other_keys": refused(lambda: Artifact.create(local_file("x"), name="raw", partitions={"day": DAY})),
        "redeclared": refused(lambda: Artifact.declare("raw", partitions={"date": date})),
        "exists": refused(lambda: Artifact.create(local_file("other"), name="incoming", version="v1")),
        "unknown": refused(lambda: Artifact.get("nobody")),
        "unknown_version": refused(lambda: Artifact.get("incoming", version="v9")),
        "elsewhere": refused(lambda: Artifact.get("incoming", project="other")),
    }


@session.remote_case
def kept(_scratch):
    """After a server was killed: all of it is there, values too."""
    model = Artifact.get("model", version="v2")
    return {
        "versions": len(versions("model")),
        "raw": len(versions("raw")),
        "declared": Artifact.get_schema("hourly").declared,
        "read": session.call(reads, model, []),
    }


waits = flyte.TaskEnvironment(name="artifacts_wait")

on_any = flyte.Trigger(
    name="on_any",
    automation=flyte.OnArtifact("fresh"),
    inputs={"fresh": flyte.TriggeredArtifact, "factor": 3},
    labels={"team": "a"},
    custom_context={"who": "trigger"},
)
on_us = flyte.Trigger(
    name="on_us",
    automation=flyte.OnArtifact("fresh", region="us"),
    inputs={"fresh": flyte.TriggeredArtifact, "day": flyte.TriggeredPartition("date"), "region": flyte.TriggeredPartition("region")},
)
on_pinned = flyte.Trigger(name="on_pinned", automation=flyte.OnArtifact("fresh", version="pinned"), inputs={"fresh": flyte.TriggeredArtifact})


@waits.task(triggers=(on_any, on_us, on_pinned))
async def uses(fresh: File, factor: int = 1, day: datetime = datetime(2000, 1, 1, tzinfo=timezone.utc), region: str = "") -> dict[str, str]:
    return {
        "text": await text_of(fresh),
        "factor": str(factor),
        "day": day.date().isoformat(),
        "region": region,
        "who": flyte.ctx().custom_context.get("who", ""),
    }


def fired():
    """The outputs of the runs of each trigger, when all of them have ended; sorted, as they may be fired in any order."""
    found = {}
    for run in Run.listall(task_name="artifacts_wait.uses", limit=1000):
        if not run.done():
            return None
        output = session.output(run)
        found.setdefault(run.pb2.action.metadata.trigger_name, []).append(" ".join(output[key] for key in ("text", "factor", "day", "region", "who")))
    return {name: sorted(texts) for name, texts in found.items()}


def publish(text, version=None, region="us"):
    return Artifact.create(local_file(text), name="fresh", version=version, partitions={"date": DAY, "region": region})


@session.remote_case
def triggered(_scratch):
    """Registered before and after the triggers were deployed."""
    publish("before", "v0")
    flyte.deploy(waits, version="v1")
    publish("one", "v1")
    publish("two", "v2", region="eu")
    publish("three", "pinned", region="eu")
    found = session.wait_until("three and one and one", lambda: (runs := fired()) and sum(map(len, runs.values())) >= 5 and runs)
    Trigger.update("on_any", "artifacts_wait.uses", active=False)
    publish("four", "v4", region="eu")
    Trigger.update("on_any", "artifacts_wait.uses", active=True)
    publish("five", "v5", region="eu")
    after = session.wait_until("one more", lambda: (runs := fired()) and len(runs["on_any"]) >= 4 and runs)
    runs = {run.pb2.action.metadata.trigger_name: run for run in Run.listall(task_name="artifacts_wait.uses", limit=1000)}
    run = runs["on_us"]
    return {
        "found": found,
        "after": after,
        "source": run.pb2.action.metadata.source,
        "labels": dict(runs["on_any"].pb2.labels),
        "described": str(Trigger.get(name="on_us", task_name="artifacts_wait.uses").pb2.automation_spec.artifact.partitions),
        "listed": cli.flyte("get", "trigger", "artifacts_wait.uses"),
        "run": run.name,
    }


@session.remote_case
def published(_scratch):
    """Many versions at one time; the server is killed meanwhile."""

    def is_there(number):
        try:
            publish(f"many {number}", f"many-{number}", region="eu")
        except Exception:
            # Nobody answers now; or the answer was lost, and it is there.
            return f"many-{number}" in versions("fresh")
        return True

    def quietly(number):
        try:
            return is_there(number)
        except Exception:
            return False

    for number in range(12):
        session.wait_until("the server", lambda: quietly(number))
        session.mark(session.scratch() / "published", str(number))
    return {}


@session.remote_case
def fired_once(_scratch):
    """Each of them has started one run."""

    def of_many():
        found = fired()
        texts = [text.rsplit(" ", 4)[0] for text in (found or {}).get("on_any", []) if text.startswith("many")]
        return texts if len(texts) >= 12 else None

    return {"texts": sorted(session.wait_until("twelve runs", of_many), key=lambda text: int(text.split()[1]))}


if __name__ == "__main__":
    session.main()
