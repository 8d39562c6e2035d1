"""Writes golden.json with what the real Flyte SDK computes, and idl.json with what its wheel declares.

Run with a Python 3.11 that has flyte==2.12.1 and flyteplugins-otel: `python make.py`.
"""

import asyncio
import base64
import dataclasses
import datetime
import enum
import hashlib
import importlib
import inspect
import json
import math
import pathlib
import typing

import flyte
import msgpack
from flyte import Image
from flyte._internal.runtime import convert
from flyte._internal.runtime.types_serde import transform_native_to_typed_interface
from flyte.models import ActionID, NativeInterface
from flyte.types import TypeEngine
from flyteidl2.core import execution_pb2, identifier_pb2, literals_pb2, tasks_pb2, types_pb2
from flyteidl2.task import common_pb2
from flyteplugins.otel import _ids

UTC = datetime.timezone.utc


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Inner:
    count: int
    ratios: typing.List[float] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Outer:
    name: str
    inner: Inner
    limit: typing.Optional[int] = None
    labels: typing.Dict[str, str] = dataclasses.field(default_factory=dict)
    blob: bytes = b""


def det(message) -> str:
    return message.SerializeToString(deterministic=True).hex()


def schema_of(literal_type) -> typing.Any:
    from google.protobuf import json_format

    return json_format.MessageToDict(literal_type.metadata) if literal_type.HasField("metadata") else None


VALUES: list[tuple[str, typing.Any, typing.Any]] = [
    ("int", 42, int),
    ("int_zero", 0, int),
    ("int_min", -(2**63), int),
    ("int_max", 2**63 - 1, int),
    ("float", 1.5, float),
    ("float_zero", 0.0, float),
    ("float_negative_zero", -0.0, float),
    ("float_nan", math.nan, float),
    ("float_inf", math.inf, float),
    ("float_negative_inf", -math.inf, float),
    ("bool_true", True, bool),
    ("bool_false", False, bool),
    ("str", "hello", str),
    ("str_empty", "", str),
    ("str_unicode", "zażółć 漢字 🦀\u0000", str),
    ("bytes", b"ab", bytes),
    ("bytes_empty", b"", bytes),
    ("bytes_255", bytes(255), bytes),
    ("bytes_256", bytes(256), bytes),
    ("bytes_1000", b"x" * 1000, bytes),
    ("datetime", datetime.datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC), datetime.datetime),
    ("datetime_before_epoch", datetime.datetime(1969, 12, 31, 23, 59, 59, 500000, tzinfo=UTC), datetime.datetime),
    ("date", datetime.date(2024, 2, 29), datetime.date),
    ("timedelta", datetime.timedelta(hours=1, microseconds=7), datetime.timedelta),
    ("timedelta_negative", datetime.timedelta(seconds=-2, microseconds=5), datetime.timedelta),
    ("none", None, type(None)),
    ("optional_some", 3, typing.Optional[int]),
    ("optional_none", None, typing.Optional[int]),
    ("optional_bytes", b"x", typing.Optional[bytes]),
    ("union", 1.5, typing.Union[int, float, str]),
    ("list", [1, 2, 3], typing.List[int]),
    ("list_empty", [], typing.List[int]),
    ("dict", {"b": 2, "a": 1, "é": 3, "Z": 4}, typing.Dict[str, int]),
    ("dict_empty", {}, typing.Dict[str, int]),
    ("list_of_dict", [{"x": 1.0}, {}, {"y": 2.0, "x": 3.0}], typing.List[typing.Dict[str, float]]),
    ("list_of_list", [["a"], []], typing.List[typing.List[str]]),
    ("optional_list", [1], typing.Optional[typing.List[int]]),
    ("untyped_dict", {"b": {"d": 1, "c": [1, {"z": 1, "y": 2}]}, "a": 2.5}, dict),
    ("int_keyed_dict", {300: 1, 2: 2}, typing.Dict[int, int]),
    ("enum", Color.BLUE, Color),
    ("optional_enum", Color.RED, typing.Optional[Color]),
    ("dataclass", Outer("n", Inner(1, [0.5])), Outer),
    ("dataclass_inner", Inner(-7), Inner),
    ("optional_dataclass", Inner(7), typing.Optional[Inner]),
    ("list_of_dataclass", [Inner(7)], typing.List[Inner]),
]


async def literals() -> list[dict]:
    out = []
    for name, value, python_type in VALUES:
        literal_type = TypeEngine.to_literal_type(python_type)
        literal = await TypeEngine.to_literal(value, python_type, literal_type)
        named = [common_pb2.NamedLiteral(name="x", value=literal)]
        interface = transform_native_to_typed_interface(
            NativeInterface.from_types({"x": (python_type, inspect.Parameter.empty)}, {"o0": python_type})
        )
        schema_type = literal_type
        if literal_type.HasField("union_type"):
            schema_type = literal_type.union_type.variants[0]
        elif literal_type.HasField("collection_type"):
            schema_type = literal_type.collection_type
        out.append(
            {
                "name": name,
                "literal": det(literal),
                "type": det(literal_type),
                "repr": convert.generate_inputs_repr_for_literal(literal).hex(),
                "inputs_hash": convert.generate_inputs_hash_for_named_literals(named),
                "interface": det(interface),
                "interface_hash": convert.generate_interface_hash(interface),
                "schema": schema_of(schema_type),
                "msgpack": literal.scalar.binary.value.hex() if literal.scalar.binary.tag == "msgpack" else None,
            }
        )
    return out


def hashed_literals() -> list[dict]:
    """Literals that the type engine alone does not make: with hash, metadata, offloaded."""

    def integer(n, **kwargs):
        return literals_pb2.Literal(
            scalar=literals_pb2.Scalar(primitive=literals_pb2.Primitive(integer=n)), **kwargs
        )

    nested = literals_pb2.Literal(
        collection=literals_pb2.LiteralCollection(
            literals=[
                integer(1, hash="h-é"),
                integer(2),
                literals_pb2.Literal(
                    map=literals_pb2.LiteralMap(
                        literals={"b": integer(3), "a": integer(4, hash="x"), "\U0001f980": integer(5), "\uffff": integer(6)}
                    )
                ),
            ]
        )
    )
    offloaded = literals_pb2.Literal(
        offloaded_metadata=literals_pb2.LiteralOffloadedMetadata(
            uri="s3://b/k", size_bytes=2**40, inferred_type=types_pb2.LiteralType(simple=types_pb2.SimpleType.STRING)
        ),
        metadata={"b": "1", "a": "2"},
    )
    structured = literals_pb2.Literal(
        scalar=literals_pb2.Scalar(
            structured_dataset=literals_pb2.StructuredDataset(
                uri="s3://b/d",
                metadata=literals_pb2.StructuredDatasetMetadata(
                    structured_dataset_type=types_pb2.StructuredDatasetType(format="parquet")
                ),
            )
        )
    )
    blob = literals_pb2.Literal(
        scalar=literals_pb2.Scalar(
            blob=literals_pb2.Blob(
                metadata=literals_pb2.BlobMetadata(
                    type=types_pb2.BlobType(
                        format="csv", dimensionality=types_pb2.BlobType.BlobDimensionality.MULTIPART
                    )
                ),
                uri="s3://b/f",
            )
        )
    )
    cases = {"hashed": integer(1, hash="abc"), "nested": nested, "offloaded": offloaded, "structured": structured,
             "blob": blob, "unset": literals_pb2.Literal()}
    return [
        {
            "name": name,
            "literal": det(literal),
            "repr": convert.generate_inputs_repr_for_literal(literal).hex(),
            "inputs_hash": convert.generate_inputs_hash_for_named_literals(
                [common_pb2.NamedLiteral(name="v", value=literal)]
            ),
        }
        for name, literal in cases.items()
    ]


def nested_list(depth: int) -> bytes:
    return b"\x91" * depth + b"\x01"


def nested_map(depth: int) -> bytes:
    return b"\x81\x01" * depth + b"\x01"


def msgpack_cases() -> list[dict]:
    raw = {
        "sorted_map": msgpack.packb({"a": 1, "b": 2}),
        "unsorted_map": msgpack.packb({"b": 2, "a": 1}),
        "nested": msgpack.packb({"z": [{"b": 1, "a": {"y": 1, "x": None}}], "a": True}),
        "mixed_keys": msgpack.packb({"a": 1, 2: 3, b"c": 4, None: 5, 1.5: 6, -1: 7, 70000: 8, 3: 9}),
        "duplicate_keys": b"\x83\xa1a\x01\xa1b\x02\xa1a\x03",
        "equal_number_keys": b"\x83\x01\x01\xc3\x02\xcb" + bytes.fromhex("3ff0000000000000") + b"\x03",
        "equal_zero_keys": b"\x83\xcb" + bytes.fromhex("8000000000000000") + b"\x01\x00\x02\xc2\x03",
        "wide_ints": b"\x9a\xcc\x01\xcd\x00\x80\xce\x00\x01\x00\x00\xcf" + b"\x00" * 7 + b"\x05\xd0\xff\xd1\xff\x7f\xd2\xff\xff\x7f\xff\xd3"
        + b"\xff" * 8 + b"\xd3" + b"\x00" * 7 + b"\x09\xcf" + b"\xff" * 8,
        "float32": b"\xca\x3f\x80\x00\x00",
        "float32_nan": b"\xca\x7f\xc0\x00\x01",
        "float32_signaling_nan": b"\xca\x7f\x80\x00\x01",
        "wide_str": b"\xdb\x00\x00\x00\x01a",
        "str8": b"\xd9\x20" + b"s" * 32,
        "str16_short": b"\xda\x00\x20" + b"s" * 32,
        "wide_bin": b"\xc6\x00\x00\x00\x01a",
        "bin16": b"\xc5\x01\x00" + b"b" * 256,
        "wide_array": b"\xdd\x00\x00\x00\x01\x01",
        "wide_map": b"\xdf\x00\x00\x00\x01\xa1a\x01",
        "array16": b"\xdc\x00\x10" + b"\x00" * 16,
        "map16": b"\xde\x00\x10" + b"".join(bytes([15 - i, 0]) for i in range(16)),
        "ext": b"\xd4\x05\x01",
        "ext_in_wide_form": b"\xc9\x00\x00\x00\x01\x05\x01",
        "ext_as_key": b"\x82\xc7\x01\x05\x01\x02\x01\x01",
        "ext_negative": b"\xd4\xf0\x01",
        "timestamp32": b"\xd6\xff\x00\x00\x00\x01",
        "timestamp64": b"\xd7\xff" + ((5 << 34) | 7).to_bytes(8, "big"),
        "timestamp64_shrinks": b"\xd7\xff" + (7).to_bytes(8, "big"),
        "timestamp96": b"\xc7\x0c\xff" + (5).to_bytes(4, "big") + (-3).to_bytes(8, "big", signed=True),
        "timestamp96_shrinks": b"\xc7\x0c\xff" + (5).to_bytes(4, "big") + (3).to_bytes(8, "big", signed=True),
        "timestamp_bad_length": b"\xc7\x03\xff\x00\x00\x01",
        "timestamp_bad_nanos": b"\xd7\xff" + ((1_000_000_000 << 34) | 7).to_bytes(8, "big"),
        "timestamp_as_key": b"\x82\xd7\xff" + (7).to_bytes(8, "big") + b"\x01\x00\x02",
        "list_as_key": b"\x82\x91\x01\x01\x01\x02",
        "invalid_utf8": b"\x82\xa1b\xa1\xff\xa1a\x01",
        "surrogate": b"\x82\xa1b\xa3\xed\xa0\x80\xa1a\x01",
        "trailing": b"\x82\xa1b\x01\xa1a\x01\x00",
        "truncated": b"\x82\xa1b\x01\xa1a",
        "reserved": b"\x92\xc1\xcc\x01",
        "empty": b"",
    }
    for depth in (100, 1025):
        raw[f"list_depth_{depth}"] = nested_list(depth).replace(b"\x91\x01", b"\x91\xcc\x01")
        raw[f"map_depth_{depth}"] = nested_map(depth)[:-1] + b"\xcc\x01"
    return [
        {"name": name, "raw": data.hex(), "canonical": convert._canonical_msgpack_bytes(data).hex()}
        for name, data in raw.items()
    ]


async def inputs() -> list[dict]:
    async def named(name, value, python_type):
        return common_pb2.NamedLiteral(
            name=name, value=await TypeEngine.to_literal(value, python_type, TypeEngine.to_literal_type(python_type))
        )

    x, y, u = await named("x", 1, int), await named("y", "ż", str), await named("ü", [1], typing.List[int])
    out = []
    for literal_list, ignored in (
        ([], []), ([x], []), ([x, y], []), ([y, x], []), ([x, y, u], []), ([x, y, u], ["y"]), ([x], ["x"]), ([x], ["z"]), ([x, y, u], ["x", "ü"]),
    ):
        proto = common_pb2.Inputs(literals=literal_list, context=[{"key": "traceparent", "value": "00-ab"}])
        out.append(
            {
                "inputs": det(proto),
                "ignored": ignored,
                "hash": convert.generate_filtered_inputs_hash(proto, ignored)
                if ignored
                else convert.generate_inputs_hash_from_proto(proto),
            }
        )
    return out


def identities() -> list[dict]:
    out = []
    for name, types_in, types_out, version in (
        ("env.f", {"url": str}, {"o0": str}, "1"),
        ("env.nothing", {}, {}, ""),
        ("env.zażółć", {"b": int, "a": typing.Optional[float], "Z": bool, "é": str}, {"o1": int, "o0": Outer}, "v-2"),
    ):
        interface = transform_native_to_typed_interface(
            NativeInterface.from_types({k: (t, inspect.Parameter.empty) for k, t in types_in.items()}, types_out)
        )
        unsorted = type(interface)()
        unsorted.CopyFrom(interface)
        del unsorted.inputs.variables[:]
        unsorted.inputs.variables.extend(reversed(interface.inputs.variables))
        template = tasks_pb2.TaskTemplate(
            id=identifier_pb2.Identifier(name=name),
            interface=unsorted,
            metadata=tasks_pb2.TaskMetadata(discovery_version=version),
        )
        for inputs_hash in ("", "aGFzaA=="):
            out.append(
                {
                    "task_name": name,
                    "interface": det(unsorted),
                    "interface_hash": convert.generate_interface_hash(unsorted),
                    "version": version,
                    "task_identity": convert.generate_task_identity_hash(template),
                    "inputs_hash": inputs_hash,
                    "cache_key": convert.generate_cache_key_hash(
                        name, inputs_hash, unsorted, version, [], common_pb2.Inputs()
                    ),
                }
            )
    return out


def stepped(x: int) -> int:
    return x + 1


def steps() -> list[dict]:
    import ast
    import textwrap

    source = ast.dump(ast.parse(textwrap.dedent(inspect.getsource(stepped))), include_attributes=False)
    return [{"function": "stepped", "source": source, "identity": convert.generate_trace_action_identity(stepped)}]


def names() -> list[dict]:
    out = []
    callers = ("a0", "2f8zq0v7x1c5b9n3m6k4j8h0g", "é")
    for caller in callers:
        for inputs_hash in ("", "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="):
            for seq in (1, 9, 10, 1234567890123):
                for group in (None, "", "g", "grüppe 漢"):
                    action = ActionID(name=caller, run_name="r", project="p", domain="d", org="o")
                    out.append(
                        {
                            "caller": caller,
                            "inputs_hash": inputs_hash,
                            "identity": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
                            "seq": seq,
                            "group": group,
                            "name": action.new_sub_action_from(
                                task_call_seq=seq,
                                task_hash="47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
                                input_hash=inputs_hash,
                                group=group,
                            ).name,
                        }
                    )
    return out


def base36() -> list[dict]:
    from flyte._utils.helpers import base36_encode

    digests = [bytes(16), bytes(15) + b"\x01", bytes(15) + b"\x24", b"\xff" * 16, hashlib.md5(b"").digest()]
    return [{"digest": digest.hex(), "text": base36_encode(digest)} for digest in digests]


def images() -> list[dict]:
    debian = Image.from_debian_base(python_version=(3, 12), flyte_version="2.12.1")
    base = Image.from_base("docker.io/library/debian:12")
    cases = {
        "debian": debian,
        "debian_default_flyte": Image.from_debian_base(python_version=(3, 12)),
        "debian_311": Image.from_debian_base(python_version=(3, 11), flyte_version="v2.0.0"),
        "debian_named": Image.from_debian_base(python_version=(3, 12), flyte_version="2.12.1", name="mine"),
        "debian_registry": Image.from_debian_base(
            python_version=(3, 12), flyte_version="2.12.1", registry="reg.example/x", name="mine"
        ),
        "pip": debian.with_pip_packages("pandas==2.2", "numpy"),
        "pip_options": debian.with_pip_packages(
            "torch", index_url="https://i", extra_index_urls=["https://a", "https://b"], pre=True, extra_args="--no-deps"
        ),
        "apt": debian.with_apt_packages("git", "curl"),
        "apt_then_pip": debian.with_apt_packages("git").with_pip_packages("ü-package"),
        "pip_then_apt": debian.with_pip_packages("ü-package").with_apt_packages("git"),
        "env": debian.with_env_vars({"B": "2", "A": "1"}),
        "commands": debian.with_commands(["echo a", "echo b"]).with_workdir("/srv"),
        "pip_empty": debian.with_pip_packages(),
        "base": base,
        "base_layers": base.clone(registry="r.io", name="n", extendable=True).with_apt_packages("git"),
        "base_named": base.clone(name="n"),
    }
    return [{"name": name, "uri": image.uri, "hash": image._get_hash_digest()} for name, image in cases.items()]


def trace_ids() -> list[dict]:
    runs = [
        ("acme", "proj", "dev", "run-abc"), ("", "flytesnacks", "development", "rabc"), ("", "", "", "r"),
        ("o", "zażółć", "d", "漢字"), ("local", "p", "d", "r0123456789abcdefghi"), ("a", "b", "", "c"), ("a", "", "b", "c"),
    ]
    out = []
    for org, project, domain, run in runs:
        action = ActionID(name="a0", run_name=run, project=project, domain=domain, org=org)
        out.append(
            {"org": org, "project": project, "domain": domain, "run": run,
             "trace_id": _ids.format_trace_id(_ids.trace_id_for_run(action))}
        )
    return out


def messages() -> list[dict]:
    """Messages with fields that spanwise-proto does not declare."""
    inputs = common_pb2.Inputs(
        literals=[
            common_pb2.NamedLiteral(
                name="x",
                value=literals_pb2.Literal(
                    scalar=literals_pb2.Scalar(primitive=literals_pb2.Primitive(integer=1)),
                    artifact_id={"key": {"project": "p", "name": "n"}, "version": "v"},
                ),
            )
        ],
        context=[{"key": "k", "value": "v"}],
    )
    future = inputs.SerializeToString(deterministic=True) + bytes.fromhex("9a7d03616263" + "a07d2a")
    outputs = common_pb2.Outputs(
        literals=[common_pb2.NamedLiteral(name="o0", value=literals_pb2.Literal())],
        produced_artifacts=[{"output": "o0", "name": "model", "type": {"simple": "STRING"}}],
    )
    error = execution_pb2.ErrorDocument(
        error=execution_pb2.ContainerError(
            code="ValueError", message="no", kind=execution_pb2.ContainerError.RECOVERABLE,
            origin=execution_pb2.ExecutionError.USER,
        )
    )
    return [
        {"name": "inputs", "message": "Inputs", "bytes": det(inputs)},
        {"name": "inputs_of_the_future", "message": "Inputs", "bytes": future.hex()},
        {"name": "outputs", "message": "Outputs", "bytes": det(outputs)},
        {"name": "error", "message": "ErrorDocument", "bytes": det(error)},
    ]


# Of these packages spanwise-proto declares nothing.
UNUSED_PACKAGES = {"connector", "event", "org", "plugins"}


def idl_files(left_out: set[str] = UNUSED_PACKAGES) -> list:
    """The descriptors of the .proto files in the wheel, and of Google's that they import."""
    import flyteidl2
    from google.protobuf import any_pb2, descriptor_pb2, duration_pb2, struct_pb2, timestamp_pb2, wrappers_pb2
    from google.rpc import status_pb2

    modules = [any_pb2, duration_pb2, struct_pb2, timestamp_pb2, wrappers_pb2, status_pb2]
    for package in flyteidl2.__path__:
        root = pathlib.Path(package)
        for path in sorted(root.rglob("*_pb2.py")):
            parts = path.relative_to(root).with_suffix("").parts
            if parts[0] not in left_out:
                modules.append(importlib.import_module(".".join(["flyteidl2", *parts])))
    files = []
    for module in modules:
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        files.append(file)
    return files


def fields() -> dict[str, list]:
    """Number, type, whether repeated and whether optional of each field of the wheel."""
    from google.protobuf import descriptor_pb2

    out: dict[str, list] = {}

    def collect(prefix: str, message) -> None:
        for field in message.field:
            type_name = field.type_name.lstrip(".") or descriptor_pb2.FieldDescriptorProto.Type.Name(field.type)[5:].lower()
            out[f"{prefix}.{message.name}.{field.name}"] = [field.number, type_name, field.label == 3, field.proto3_optional]
        for nested in message.nested_type:
            collect(f"{prefix}.{message.name}", nested)

    for file in idl_files():
        for message in file.message_type:
            collect(file.package, message)
    return out


def enums() -> dict[str, int]:
    """The number of each enum value of the wheel."""
    out: dict[str, int] = {}

    def collect(prefix: str, scope) -> None:
        for enumeration in scope.enum_type:
            for value in enumeration.value:
                out[f"{prefix}.{enumeration.name}.{value.name}"] = value.number
        for message in getattr(scope, "nested_type", None) or getattr(scope, "message_type", []):
            collect(f"{prefix}.{message.name}", message)

    for file in idl_files():
        collect(file.package, file)
    return out


def methods() -> dict[str, list]:
    """Input, output and whether either is a stream of each method of the wheel, of services that nobody here declares too."""
    return {
        f"{file.package}.{service.name}.{method.name}": [
            method.input_type.lstrip("."), method.output_type.lstrip("."), method.client_streaming, method.server_streaming,
        ]
        for file in idl_files(left_out=set())
        for service in file.service
        for method in service.method
    }


def idl() -> str:
    """JSON with one fact a line, so that a new release of Flyte shows as a short difference."""
    sections = []
    for name, facts in (("fields", fields()), ("enums", enums()), ("methods", methods())):
        lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(fact)}" for key, fact in sorted(facts.items()))
        sections.append(f'"{name}": {{\n{lines}\n}}')
    return "{" + ",\n".join(sections) + "}\n"


async def main() -> None:
    golden = {
        "flyte": flyte.__version__,
        "literals": await literals(),
        "hashed_literals": hashed_literals(),
        "msgpack": msgpack_cases(),
        "inputs": await inputs(),
        "identities": identities(),
        "steps": steps(),
        "names": names(),
        "base36": base36(),
        "images": images(),
        "messages": messages(),
        "trace_ids": trace_ids(),
    }
    path = pathlib.Path(__file__).with_name("golden.json")
    path.write_text(json.dumps(golden, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    path.with_name("idl.json").write_text(idl())


asyncio.run(main())
