"""The SDK's storage module, with the environment that its task processes have."""

import asyncio
import os
import pathlib
import tempfile

import flyte.storage as storage
from flyte._initialize import init
from flyte.storage import S3


async def main():
    here = pathlib.Path(tempfile.mkdtemp())
    tree = here / "dir"
    (tree / "sub").mkdir(parents=True)
    (tree / "top.txt").write_text("top")
    (tree / "sub" / "deep.txt").write_text("deep")
    big = os.urandom(20 * 2**20)
    (tree / "big.bin").write_bytes(big)

    assert not await storage.exists("s3://spanwise/sdk/none")
    await storage.put(str(tree), "s3://spanwise/sdk/dir", recursive=True)
    assert await storage.exists("s3://spanwise/sdk/dir/top.txt")
    assert storage.exists_sync("s3://spanwise/sdk/dir/sub/deep.txt")
    await storage.get("s3://spanwise/sdk/dir", str(here / "again"), recursive=True)
    assert (here / "again" / "sub" / "deep.txt").read_text() == "deep"
    assert (here / "again" / "big.bin").read_bytes() == big
    one = await storage.get("s3://spanwise/sdk/dir/big.bin")
    assert pathlib.Path(one).read_bytes() == big

    async def chunks():
        for start in range(0, len(big), 1_000_000):
            yield big[start : start + 1_000_000]

    await storage.put_stream(chunks(), to_path="s3://spanwise/sdk/stream")
    read = b"".join([chunk async for chunk in storage.get_stream("s3://spanwise/sdk/stream")])
    assert read == big
    await storage.put_stream(b"small", to_path="s3://spanwise/sdk/small")
    assert b"".join([chunk async for chunk in storage.get_stream("s3://spanwise/sdk/small")]) == b"small"

    # What dataframes and user code do: fsspec.
    files = storage.get_underlying_filesystem(path="s3://spanwise/sdk")
    listed = await files._ls("s3://spanwise/sdk/dir", detail=False)
    assert sorted(listed) == [f"spanwise/sdk/dir/{name}" for name in ("big.bin", "sub", "top.txt")], listed
    await files._pipe_file("s3://spanwise/sdk/piped", b"piped")
    assert await files._cat_file("s3://spanwise/sdk/piped") == b"piped"
    assert await files._cat_file("s3://spanwise/sdk/piped", start=1, end=3) == b"ip"
    await files._rm_file("s3://spanwise/sdk/piped")
    assert not await storage.exists("s3://spanwise/sdk/piped")


init(storage=S3.auto())
asyncio.run(main())
# CPython 3.11 aborts if it finalizes while a thread of obstore's still wakes the event loop.
os._exit(0)
