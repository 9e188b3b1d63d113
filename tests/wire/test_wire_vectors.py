"""The byte vectors are what they say they are, and the decoder reads them so in every chunking."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.support.wire_reading import (
    VECTORS,
    Vector,
    as_bytes,
    cut,
    each_byte,
    meaning,
    read,
    read_data,
    vector_files,
    vectors,
)
from tests.support.wire_spec import interpret

ALL = list(vectors())
ENDINGS = (b"\r\n", b"\n", b"\r")


@pytest.mark.parametrize("vector", ALL, ids=str)
def test_whole_byte_by_byte_and_cut_anywhere(vector: Vector) -> None:
    body = vector.body
    rng = random.Random(str(vector))
    somewhere = [[rng.randrange(len(body) + 1) for _ in range(rng.randint(1, 9))] for _ in range(5)]
    for chunks in ([body], each_byte(body), *(cut(body, where) for where in somewhere)):
        reading = read(chunks)
        assert meaning(reading) == vector.result
        data = [block.data for block in reading.blocks if block.data is not None]
        assert read_data(chunks) == data
        assert [value.decode("utf-8", "replace") for value in data] == [e.data for e in vector.result.events]


@pytest.mark.parametrize("vector", ALL, ids=str)
def test_the_standard_word_by_word_says_the_same(vector: Vector) -> None:
    assert interpret(vector.body) == vector.result


@pytest.mark.parametrize("path", vector_files(), ids=lambda path: path.stem)
def test_files_match_their_schema(path: Path) -> None:
    schema = json.loads((VECTORS / "vectors.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    document = json.loads(path.read_text(encoding="utf-8"))
    assert not list(Draft202012Validator(schema).iter_errors(document))
    names = [vector["name"] for vector in document["vectors"]]
    assert len(set(names)) == len(names)


def _lines(body: bytes) -> list[bytes]:
    return [line.rstrip(b"\r\n") for line in body.splitlines(keepends=True)]


@pytest.mark.parametrize("path", vector_files(), ids=lambda path: path.stem)
def test_forms_are_the_same_lines(path: Path) -> None:
    raws: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["vectors"]
    for raw in raws:
        if "as-is" in raw["inputs"]:
            continue
        forms = {form: as_bytes(value) for form, value in raw["inputs"].items()}
        assert b"\r" not in forms["lf"]
        assert forms["cr"] == forms["lf"].replace(b"\n", b"\r")
        assert forms["crlf"] == forms["lf"].replace(b"\n", b"\r\n")
        assert _lines(forms["mixed"]) == _lines(forms["lf"])


def test_mixed_forms_do_mix() -> None:
    mixed = [vector.body for vector in ALL if vector.form == "mixed"]
    used = [
        {line[len(line.rstrip(b"\r\n")) :] for line in body.splitlines(keepends=True)} - {b""}
        for body in mixed
    ]
    assert sum(len(kinds) > 1 for kinds in used) > len(mixed) * 3 // 4
    assert set().union(*used) == set(ENDINGS)


def test_the_vectors_tell_known_mistakes_from_the_standard() -> None:
    """Each of these readers makes one mistake that real decoders make; some vector must show it."""
    mistakes: dict[str, Callable[[bytes], list[str]]] = {
        "splits at every Unicode line end": lambda body: _naive(body.decode("utf-8", "replace").splitlines()),
        "LF only": lambda body: _naive(body.decode("utf-8", "replace").split("\n")[:-1]),
        "keeps the byte order mark": lambda body: _naive(_text_lines(body)),
        "strips all white space": lambda body: _naive([line.strip() for line in _text_lines(body)]),
    }
    for name, reader in mistakes.items():
        wrong = [vector for vector in ALL if reader(vector.body) != [e.data for e in vector.result.events]]
        assert wrong, name


def _text_lines(body: bytes) -> list[str]:
    return body.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]


def _naive(lines: list[str]) -> list[str]:
    found: list[str] = []
    data: list[str] = []
    for line in lines:
        if not line:
            found += ["\n".join(data)] if data else []
            data = []
        elif line.partition(":")[0] == "data":
            data.append(line.partition(":")[2].removeprefix(" "))
    return found
