"""Values of every kind, from the driver through a parent to a child and back."""

import datetime
import enum
import hashlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional, Union

import flyte
import pydantic
import session
from flyte.io import Dir, File

env = flyte.TaskEnvironment(name="values")

UNICODE = "Grüße, 世界 \N{ROCKET}\N{ZERO WIDTH JOINER} e\N{COMBINING ACUTE ACCENT} \u202e\t\n\x01 end"


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


@dataclass
class Point:
    x: int
    y: float


@dataclass
class Shape:
    name: str
    corners: list[Point]
    labels: dict[str, str] = field(default_factory=dict)
    inner: Optional[Point] = None


class Order(pydantic.BaseModel):
    number: int
    lines: list[str]
    shape: Shape
    note: Optional[str] = None


@env.task
async def echo_scalars(whole: int, real: float, truth: bool, text: str, raw: bytes) -> tuple[int, float, bool, str, bytes]:
    return whole, real, truth, text, raw


@env.task
async def echo_times(moment: datetime.datetime, span: datetime.timedelta) -> tuple[datetime.datetime, datetime.timedelta]:
    return moment, span


@env.task
async def echo_colour(colour: Colour) -> Colour:
    return colour


@env.task
async def echo_shape(shape: Shape) -> Shape:
    return shape


@env.task
async def echo_order(order: Order) -> Order:
    return order


@env.task
async def echo_maybe(value: Optional[int]) -> Optional[int]:
    return value


@env.task
async def echo_either(value: Union[int, str]) -> Union[int, str]:
    return value


@env.task
async def echo_lists(numbers: list[int], table: dict[str, list[float]], shapes: list[Shape]) -> tuple[list[int], dict[str, list[float]], list[Shape]]:
    return numbers, table, shapes


@env.task
async def with_defaults(first: int = 7, second: str = "seven") -> str:
    return f"{first} {second}"


@env.task
async def nothing(value: int) -> None:
    assert value == 1


SHAPE = Shape("triangle", [Point(0, 0.0), Point(1, 0.5), Point(-3, 1e300)], {"a": UNICODE}, Point(2, 0.1))


def same(found, wanted):
    assert type(found) is type(wanted) and found == wanted, f"{found!r} is not {wanted!r}"


@env.task
async def scalars_parent() -> str:
    whole, real, truth, text, raw = await echo_scalars(2**53 + 1, 0.1 + 0.2, False, UNICODE, bytes(range(256)))
    same((whole, real, truth, text, raw), (2**53 + 1, 0.1 + 0.2, False, UNICODE, bytes(range(256))))
    same(await echo_scalars(-(2**63), -0.0, True, "", b""), (-(2**63), -0.0, True, "", b""))
    moment = datetime.datetime(2026, 2, 28, 23, 59, 59, 999999, tzinfo=datetime.timezone.utc)
    found, span = await echo_times(moment, datetime.timedelta(days=-1, microseconds=1))
    assert found == moment and span == datetime.timedelta(days=-1, microseconds=1), (found, span)
    same(await echo_colour(Colour.GREEN), Colour.GREEN)
    same(await echo_maybe(None), None)
    same(await echo_maybe(3), 3)
    same(await echo_either(3), 3)
    same(await echo_either("3"), "3")
    assert await nothing(1) is None
    return await with_defaults(second="8")


@env.task
async def structures_parent() -> int:
    same(await echo_shape(SHAPE), SHAPE)
    order = Order(number=1, lines=["a", UNICODE], shape=SHAPE)
    same(await echo_order(order), order)
    numbers, table, shapes = await echo_lists([1, -2, 3], {"a": [0.5], UNICODE: []}, [SHAPE, SHAPE])
    assert (numbers, table, shapes) == ([1, -2, 3], {"a": [0.5], UNICODE: []}, [SHAPE, SHAPE])
    same(await echo_lists([], {}, []), ([], {}, []))
    return 1


@session.case
def scalars(_scratch):
    return {"value": session.call(scalars_parent)}


@session.case
def structures(_scratch):
    return {"value": session.call(structures_parent)}


@session.case
def from_the_driver(_scratch):
    """Values that the driver gives and gets; it knows the classes only by the interface that the server keeps."""
    shape = session.call(echo_shape, shape=SHAPE)
    assert shape.name == SHAPE.name and len(shape.corners) == 3 and shape.labels == SHAPE.labels, shape
    order = session.call(echo_order, order=Order(number=1, lines=["a"], shape=SHAPE))
    assert (order.number, order.lines, order.note) == (1, ["a"], None), order
    assert session.call(echo_maybe, value=None) is None
    assert session.call(with_defaults) == "7 seven"
    moment = datetime.datetime(2026, 2, 28, 12, tzinfo=datetime.timezone.utc)
    run = session.start(echo_times, moment=moment, span=datetime.timedelta(seconds=1.5))
    assert session.output(run) == moment
    assert run.outputs()[1] == datetime.timedelta(seconds=1.5)
    return {"text": session.call(echo_either, value=UNICODE)}


@session.remote_case
def inputs_are_kept(_scratch):
    """The inputs and outputs of each action can be read from outside."""
    run = session.start(with_defaults, first=3, second=UNICODE)
    assert session.output(run) == f"3 {UNICODE}"
    assert dict(run.inputs()) == {"first": 3, "second": UNICODE}, run.inputs()
    assert run.outputs().named_outputs == {"o0": f"3 {UNICODE}"}
    return {"text": UNICODE}


@env.task
async def write_file(text: str) -> File:
    path = Path(tempfile.mkdtemp()) / "note ü.txt"
    path.write_text(text, encoding="utf-8")
    return await File.from_local(str(path))


@env.task
async def write_file_and_leave_nothing(text: str) -> File:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "note.txt"
        path.write_text(text, encoding="utf-8")
        return await File.from_local(str(path))


@env.task
async def write_stream(count: int) -> File:
    file = File.new_remote()
    async with file.open("wb") as stream:
        for index in range(count):
            await stream.write(bytes([index % 256]) * 1024)
    return file


@env.task
async def write_folder() -> Dir:
    folder = Path(tempfile.mkdtemp())
    (folder / "inner").mkdir()
    (folder / "a.txt").write_text("a")
    (folder / "inner" / "b.bin").write_bytes(bytes(range(256)))
    return await Dir.from_local(str(folder))


@env.task
async def read_file(file: File) -> str:
    async with file.open("rb") as stream:
        return bytes(await stream.read()).decode()


@env.task
def digest_file(file: File) -> str:
    return hashlib.sha256(Path(file.download_sync()).read_bytes()).hexdigest()


@env.task
async def read_folder(folder: Dir) -> dict[str, int]:
    path = Path(await folder.download())
    return {str(file.relative_to(path)): file.stat().st_size for file in path.rglob("*") if file.is_file()}


@env.task
async def files_parent() -> dict[str, int]:
    assert await read_file(await write_file(UNICODE)) == UNICODE
    wanted = hashlib.sha256(b"".join(bytes([index % 256]) * 1024 for index in range(8192))).hexdigest()
    assert await digest_file.aio(await write_stream(8192)) == wanted
    return await read_folder(await write_folder())


@session.case
def files(_scratch):
    """8 MiB go as a stream of pieces: enough for an upload in parts."""
    return session.call(files_parent)


@env.task
async def passing_parent() -> str:
    return await read_file(await write_file_and_leave_nothing(UNICODE))


@session.remote_case
def a_file_outlives_its_local_copy(_scratch):
    assert session.call(passing_parent) == UNICODE
    return {}


@session.case
def a_file_from_the_driver(scratch):
    path = scratch / "from the driver.txt"
    path.write_text(UNICODE, encoding="utf-8")
    assert session.call(read_file, file=File.from_local_sync(str(path))) == UNICODE
    return {}


@session.remote_case
def a_file_to_the_driver(_scratch):
    file = session.call(write_file, text="seen from outside")
    return {"path": file.path}


@env.task
async def large_child(text: str, raw: bytes) -> tuple[str, bytes]:
    return text[::-1], raw[::-1]


@env.task
async def large_parent(text: str) -> tuple[str, int]:
    """The driver cannot give bytes: the SDK would write them to the store of the tasks."""
    raw = bytes(range(256)) * (3 * 1024 * 4)
    text, reversed_raw = await large_child(text, raw)
    assert reversed_raw == raw[::-1]
    return text, len(raw)


@session.case
def three_megabytes(_scratch):
    """Plain values far above what usual limits of a body let through."""
    text = ("0123456789äöü世" * 250_000)[:2_400_000]
    run = session.start(large_parent, text=text)
    assert session.output(run) == text[::-1]
    return {"bytes": len(text.encode()), "raw": run.outputs()[1]}


if __name__ == "__main__":
    session.main()
