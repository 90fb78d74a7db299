"""How schemathesis writes and reads lines of JSON, which it does not know by itself."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(_context, value):
    """One line for each item; what is no list is a line."""
    if isinstance(value, (bytes, str)):
        return value if isinstance(value, bytes) else value.encode()
    items = value if isinstance(value, list) else [value]
    return b"".join(json.dumps(item).encode() + b"\n" for item in items)


@schemathesis.deserializer("application/x-ndjson")
def items(_context, response):
    """The first line: the document describes what each line is."""
    first = response.content.decode().split("\n", 1)[0]
    return json.loads(first) if first else {"line": 1, "result": "same"}


@schemathesis.deserializer("application/octet-stream")
def numbers(_context, response):
    """Bytes, as the document describes them."""
    return list(response.content)
