"""Reads OTLP's JSON by protobuf's own reader of JSON, which knows every field by its descriptor and lets no other pass.

`strict_json.py JSON PROTOBUF`: two files with the same spans. Says how many spans there are, and fails if the two differ in anything.
"""

import base64
import json
import sys
from pathlib import Path

from google.protobuf import json_format
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

# Where OTLP's JSON differs from that of protobuf: ids are in hexadecimal digits.
IDS = {"traceId", "spanId", "parentSpanId"}


def in_base64(value):
    if isinstance(value, list):
        return [in_base64(element) for element in value]
    if not isinstance(value, dict):
        return value
    return {key: base64.b64encode(bytes.fromhex(inner)).decode() if key in IDS else in_base64(inner) for key, inner in value.items()}


def without_twins(pairs):
    names = [name for name, _ in pairs]
    assert len(set(names)) == len(names), f"a name is there twice: {names}"
    return dict(pairs)


def no_constant(text):
    raise ValueError(f"{text} is no JSON")


def check_enums(data):
    """OTLP wants them as numbers, which protobuf does not mind."""
    for of_resource in data.get("resourceSpans", []):
        for of_scope in of_resource.get("scopeSpans", []):
            for span in of_scope.get("spans", []):
                assert isinstance(span.get("kind", 0), int) and isinstance(span.get("status", {}).get("code", 0), int), span


text, binary = (Path(name) for name in sys.argv[1:])
data = json.loads(text.read_text("utf-8"), parse_constant=no_constant, object_pairs_hook=without_twins)
check_enums(data)
read = json_format.ParseDict(in_base64(data), TracesData(), ignore_unknown_fields=False)
expected = TracesData.FromString(binary.read_bytes())
assert read.SerializeToString(deterministic=True) == expected.SerializeToString(deterministic=True), f"{read}\nand not\n{expected}"
spans = [span for of_resource in read.resource_spans for of_scope in of_resource.scope_spans for span in of_scope.spans]
print("RESULT " + json.dumps({"spans": len(spans)}))
