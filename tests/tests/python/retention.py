"""Runs that leave files, one of which another run was given: what becomes of all that when the runs are pruned."""

import flyte
import session
from flyte.io import File

env = flyte.TaskEnvironment(name="retention")


@env.task
async def writes(text: str) -> File:
    file = File.new_remote()
    async with file.open("wb") as stream:
        await stream.write(text.encode())
    return file


@env.task
async def reads(file: File) -> str:
    async with file.open("rb") as stream:
        return bytes(await stream.read()).decode()


@session.remote_case
def four_runs(_scratch):
    """The last one stays; the first one's file is passed on to it."""
    runs = [session.start(writes, text=text) for text in ["passed on", "forgotten", "kept"]]
    files = [session.output(run) for run in runs]
    reader = session.start(reads, file=files[0])
    assert session.output(reader) == "passed on"
    return {"runs": [run.name for run in [*runs, reader]], "files": [file.path for file in files]}


if __name__ == "__main__":
    session.main()
