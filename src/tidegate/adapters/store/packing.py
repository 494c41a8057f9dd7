"""Measurement blocks as bytes: columns of numbers, each in the narrowest exact form, then zlib.

Exact: what comes back is equal. A column of integers, or of decimals with up to six places, becomes scaled integers;
anything else keeps its eight bytes. Bytes of the same significance lie together, which is what zlib likes
(the "shuffle" filter of HDF5 and Blosc: https://www.blosc.org/pages/blosc-in-depth/).
"""

import json
import math
import struct
import zlib
from collections.abc import Iterable, Sequence

from tidegate.model.observation import Block, Traffic

FORMAT = 1
PLACES = 6
WIDTHS = (1, 2, 4, 8)
Column = list[float | int | None]


def pack(blocks: Sequence[Block]) -> bytes:
    """Bytes of a batch of blocks."""
    columns: dict[str, Column] = {"at": [], "duration": []}
    missing = {}
    for index, block in enumerate(blocks):
        row = {"at": block.at, "duration": block.duration_s, **dict(_flat(block))}
        for name in row:
            columns.setdefault(name, [None] * index)
        for name, column in columns.items():
            column.append(row.get(name))
        if block.missing:
            missing[index] = dict(block.missing)
    encoded = {name: _encode(column) for name, column in columns.items()}
    head = {"n": len(blocks), "missing": missing, "columns": [[name, len(data)] for name, data in encoded.items()]}
    head_bytes = json.dumps(head, separators=(",", ":")).encode()
    body = struct.pack("<BI", FORMAT, len(head_bytes)) + head_bytes + b"".join(encoded.values())
    return zlib.compress(body, 6)


def unpack(payload: bytes) -> list[Block]:
    """The blocks of `pack`. Raises ValueError for bytes that are not such a batch."""
    try:
        body = zlib.decompress(payload)
        form, head_length = struct.unpack_from("<BI", body)
        if form != FORMAT:
            raise ValueError(f"form {form} of measurement blocks is not known")
        start = 5 + head_length
        head = json.loads(body[5:start])
    except (zlib.error, struct.error) as error:
        raise ValueError(f"measurement blocks are damaged: {error}") from error
    columns = {}
    for name, length in head["columns"]:
        columns[name] = _decode(body[start : start + length], head["n"])
        start += length
    return [_block(columns, index, head["missing"].get(str(index), {})) for index in range(head["n"])]


def _flat(block: Block) -> Iterable[tuple[str, float | int]]:
    for revision, traffic in block.traffic.items():
        yield f"t/{revision}/requests", traffic.requests
        yield f"t/{revision}/errors", traffic.errors
        yield f"t/{revision}/buckets", len(traffic.latency)
        for bucket, count in enumerate(traffic.latency):
            yield f"t/{revision}/{bucket}", count
    for metric, by_revision in block.values.items():
        yield f"m/{metric}", len(by_revision)
        for revision, value in by_revision.items():
            yield f"v/{revision}/{metric}", value


def _block(columns: dict[str, Column], index: int, missing: dict[str, str]) -> Block:
    row = {name: column[index] for name, column in columns.items() if column[index] is not None}
    traffic: dict[int, Traffic] = {}
    values: dict[str, dict[int, float]] = {}
    for name, value in row.items():
        kind, _, rest = name.partition("/")
        number, _, field = rest.partition("/")
        if kind == "m":
            values.setdefault(rest, {})
        elif kind == "v":
            values.setdefault(field, {})[int(number)] = float(value or 0)
        elif kind == "t" and field == "requests":
            latency = tuple(
                int(row[f"t/{number}/{bucket}"] or 0) for bucket in range(int(row[f"t/{number}/buckets"] or 0))
            )
            traffic[int(number)] = Traffic(int(value or 0), int(row[f"t/{number}/errors"] or 0), latency)
    return Block(float(row["at"] or 0), float(row["duration"] or 0), traffic, values, missing)


def _encode(column: Column) -> bytes:
    """Presence bits, one byte of form (places, 15 = raw doubles; +16 = differences), one byte of width, the numbers."""
    present = 0
    for index, value in enumerate(column):
        present |= (value is not None) << index
    mask = present.to_bytes((len(column) + 7) // 8, "little")
    numbers = [value for value in column if value is not None]
    scaled = _scale(numbers)
    if scaled is None:
        return mask + bytes((15, 8)) + _shuffle(struct.pack(f"<{len(numbers)}d", *numbers), 8)
    places, whole = scaled
    differences = [b - a for a, b in zip([0, *whole], whole, strict=False)]
    form = places
    if max(map(abs, differences[1:]), default=0) < max(map(abs, whole), default=0) // 4 and whole:
        # The first is whole; it goes in front in eight bytes, so that it does not widen all the others.
        form, mask, whole = places + 16, mask, differences
    first, rest = (struct.pack("<q", whole[0]), whole[1:]) if form >= 16 else (b"", whole)
    zigzag = [(n << 1) ^ (n >> 63) for n in rest]
    width = next(w for w in WIDTHS if max(zigzag, default=0) < 1 << (8 * w))
    data = b"".join(n.to_bytes(width, "little") for n in zigzag)
    return mask + bytes((form, width)) + first + _shuffle(data, width)


def _decode(data: bytes, rows: int) -> Column:
    size = (rows + 7) // 8
    present = int.from_bytes(data[:size], "little")
    form, width = data[size], data[size + 1]
    rest = data[size + 2 :]
    numbers: list[float | int]
    if form == 15:
        raw = _unshuffle(rest, 8)
        numbers = list(struct.unpack(f"<{len(raw) // 8}d", raw))
    else:
        places, differences = form % 16, form >= 16
        total = [struct.unpack_from("<q", rest)[0]] if differences else []
        raw = _unshuffle(rest[8:] if differences else rest, width)
        for start in range(0, len(raw), width):
            zigzag = int.from_bytes(raw[start : start + width], "little")
            number = (zigzag >> 1) ^ -(zigzag & 1)
            total.append(total[-1] + number if differences else number)
        numbers = [n / 10**places for n in total] if places else list(total)
    taken = iter(numbers)
    return [next(taken) if present >> index & 1 else None for index in range(rows)]


def _scale(numbers: Sequence[float | int]) -> tuple[int, list[int]] | None:
    """The fewest decimal places that hold every number exactly, and the numbers in them; None when six do not."""
    if any(not math.isfinite(n) or abs(n) >= 2**53 / 10**PLACES for n in numbers if isinstance(n, float)):
        return None
    if any(abs(n) >= 2**62 for n in numbers):
        return None
    for places in range(PLACES + 1):
        factor = 10**places
        whole = [round(n * factor) for n in numbers]
        if all(n == w / factor if places else n == w for n, w in zip(numbers, whole, strict=True)):
            return places, whole
    return None


def _shuffle(data: bytes, width: int) -> bytes:
    return b"".join(data[offset::width] for offset in range(width))


def _unshuffle(data: bytes, width: int) -> bytes:
    count = len(data) // width
    out = bytearray(len(data))
    for offset in range(width):
        out[offset::width] = data[offset * count : (offset + 1) * count]
    return bytes(out)
