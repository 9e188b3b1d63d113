"""The requirement catalogues: complete, well formed, and never drifting from the agreed ids and levels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from conformance.catalogue import (
    CAPABILITIES,
    SchemaError,
    catalogue,
    has_capability,
    level_for,
    protocols,
    revisions,
    schema_root,
)
from conformance.findings import Level
from conformance.profile import Capabilities, Profile
from conformance.profile_file import default_profile
from conformance.schema_store import own_validator, problems

# The agreed rows: an id never changes its meaning, none is dropped. Written down a second time on purpose.
SSE = """
FMT-01:M FMT-02:M FMT-03:I FMT-04a:M FMT-04b:S FMT-05:M FMT-06a:M FMT-06b:S FMT-07a:M FMT-07b:S FMT-08:M
EVT-01a:S EVT-01b:I EVT-02a:M EVT-02b:S EVT-03a:M EVT-03b:S EVT-04:S CON-01:M CON-02a:M CON-02b:S
CON-03:S HTTP-01a:M HTTP-01b:M HTTP-01c:S HTTP-02:S HTTP-03:M HTTP-04a:S HTTP-04b:I HTTP-05a:M HTTP-05b:S
HTTP-05c:M HTTP-06:M HTTP-07:M HTTP-08a:M HTTP-08b:I HTTP-09a:M HTTP-09b:M HTTP-09c:S HTTP-10:M
HTTP-11a:M HTTP-11b:S HTTP-12:S LIVE-01:M LIVE-02:M LIVE-03:M INT-01:I
"""
AS = """
EVT-01:M EVT-02:S EVT-03:M END-01:M END-02:M END-03:M TXT-01:M TXT-02:M TXT-03:M TOOL-01a:M TOOL-01b:S
TOOL-02:M TOOL-03:M TOOL-04:S TOOL-05:S ERR-01a:M ERR-01b:M ERR-02a:M ERR-02b:S REQ-01a:M REQ-01b:M
REQ-01c:S REQ-02a:M REQ-02b:S REQ-03a:M REQ-03b:S REQ-04:I REQ-05:S REQ-06:S CONC-01:M CONC-02:M
CONC-03:S CONC-04:S CONC-05:I 2-01:M 2-02a:M 2-02b:S 2-03:M 2-04:S
"""
PG = """
CON-01:M CON-02:M EVT-01:M EVT-02:S EVT-03:M MSG-01:M MSG-02:M MSG-03:M MSG-04:M MSG-05:S TOOL-01:M
TOOL-02a:M TOOL-02b:M TOOL-02c:S TOOL-03:M ERR-01:M ERR-02:M FLT-01:M FLT-02:M FLT-03:M FLT-04:M FLT-05:M
FLT-06a:M FLT-06b:I FLT-07a:M FLT-07b:S FLT-08:M FLT-09:M FAN-01a:M FAN-01b:S CONC-01:M REC-01:M REC-02:M
REC-02b:M REC-03:M REC-03b:M REC-04:M REC-05a:M REC-05b:M REC-06:S WIRE-01:I 2-01a:M 2-01b:S
"""
OURS = {"AS-REQ-04b": "S", "AS-2-05": "S", "PG-2-02": "S", "PG-2-03": "S"}  # rows beyond the agreed ones
OPENCODE = """
CON-01 CON-02 EVT-01 EVT-02 EVT-03 MSG-01 MSG-02 MSG-03 MSG-04 MSG-05 TOOL-01 TOOL-02a TOOL-02b TOOL-02c
TOOL-03 ERR-01 ERR-02 FLT-06a FAN-01a FAN-01b CONC-01 REC-01 REC-06 WIRE-01
"""
# Where a revision has another level, or does not have the row at all ("").
BY_REVISION: dict[str, dict[str, str]] = {
    "agentsmithy/1": {
        "SSE-HTTP-04a": "I",
        "AS-REQ-01b": "S",
        **dict.fromkeys(("AS-2-01", "AS-2-02a", "AS-2-02b", "AS-2-03", "AS-2-04", "AS-2-05"), ""),
    },
    "agentsmithy/2": {"SSE-HTTP-04a": "I", "SSE-EVT-02a": "S"},
    "penguin/1": {
        "PG-EVT-02": "I",
        "PG-ERR-01": "I",
        **dict.fromkeys(("PG-ERR-02", "PG-FLT-06a", "PG-FLT-09", "PG-REC-02b"), ""),
        **dict.fromkeys(("PG-2-01a", "PG-2-01b", "PG-2-02", "PG-2-03"), ""),
    },
    "penguin/2": {"PG-FLT-06b": ""},
    "opencode/1": {"SSE-EVT-02a": "S"},
}
CAPABILITY = {
    "SSE-HTTP-09a": "cors",
    "SSE-HTTP-09b": "cors",
    "SSE-HTTP-10": "auth",
    "SSE-HTTP-11a": "rate_limit",
    "SSE-HTTP-11b": "rate_limit",
    "AS-TXT-02": "reasoning",
    "AS-TOOL-04": "workspace",
    "AS-REQ-06": "max_body",
    "AS-CONC-04": "history",
    **dict.fromkeys(
        ("PG-REC-02", "PG-REC-02b", "PG-REC-03", "PG-REC-04", "PG-REC-05a", "PG-REC-05b"), "resume"
    ),
    "PG-REC-03b": "retention",
}
EXCLUDED = {"AS-2-05", "PG-2-03", "PG-REC-05b"}


def agreed(prefix: str, text: str) -> dict[str, str]:
    return {f"{prefix}-{entry.split(':')[0]}": entry.split(":")[1] for entry in text.split()}


AGREED = {"SSE": agreed("SSE", SSE), "AS": agreed("AS", AS), "PG": agreed("PG", PG)}
ROWS = {  # of each family's own catalogue
    "sse": AGREED["SSE"],
    "agentsmithy": AGREED["AS"] | {id: level for id, level in OURS.items() if id.startswith("AS")},
    "penguin": AGREED["PG"] | {id: level for id, level in OURS.items() if id.startswith("PG")},
    "opencode": {f"PG-{id}": AGREED["PG"][f"PG-{id}"] for id in OPENCODE.split()},
}


def data(family: str) -> Any:
    return yaml.safe_load((schema_root() / "requirements" / f"{family}.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("family", ROWS)
def test_a_catalogue_is_well_formed(family: str) -> None:
    assert problems(own_validator("catalogue"), data(family)) == ()


def test_no_row_was_lost_in_writing_this_down() -> None:
    assert [len(rows) for rows in AGREED.values()] == [47, 39, 43]


@pytest.mark.parametrize("family", ROWS)
def test_every_agreed_row_is_there_at_its_level_once(family: str) -> None:
    rows = [(row["id"], row["level"]) for row in data(family)["requirements"]]
    assert len(rows) == len(dict(rows))
    assert dict(rows) == ROWS[family]


@pytest.mark.parametrize("protocol", protocols())
def test_a_revision_has_its_rows_at_its_levels(protocol: str) -> None:
    expected = ROWS["sse"] | ROWS[protocol.partition("/")[0]] | BY_REVISION[protocol]
    found = {row.id: row.level.value for row in catalogue(protocol).requirements}
    assert found == {id: level for id, level in expected.items() if level}


@pytest.mark.parametrize("protocol", protocols())
def test_rows_speak(protocol: str) -> None:
    for row in catalogue(protocol).requirements:
        assert row.capability in ("", *CAPABILITIES)
        sentences = row.judged.count(". ") + row.judged.endswith(".")
        assert 1 <= sentences <= 6, row.id
        assert row.statement.endswith("."), row.id
        assert "requirements.md" not in row.source + row.judged
        assert bool(row.excluded) == (row.id in EXCLUDED)


@pytest.mark.parametrize("protocol", protocols())
def test_capabilities_are_the_agreed_ones(protocol: str) -> None:
    for row in catalogue(protocol).requirements:
        if row.id in CAPABILITY:
            assert row.capability == CAPABILITY[row.id], row.id
        else:
            # Beyond the agreed list only rows that cannot be caused without tools, and one of ours.
            assert row.capability in ("", "tools") or row.id == "AS-REQ-04b", row.id


def test_an_id_means_the_same_for_opencode_as_for_penguin() -> None:
    theirs = {row["id"]: row for row in data("penguin")["requirements"]}
    for row in data("opencode")["requirements"]:
        assert row["level"] == theirs[row["id"]]["level"]
        assert row.get("capability") == theirs[row["id"]].get("capability")
        assert "Penguin" not in row["source"] + row["judged"]


def test_protocols_are_named_in_order_with_their_documents() -> None:
    assert protocols() == ("agentsmithy/1", "agentsmithy/2", "penguin/1", "penguin/2", "opencode/1")
    assert all(entry.title and entry.document for entry in revisions().values())


def test_an_unknown_protocol_is_an_error_that_names_the_known() -> None:
    with pytest.raises(SchemaError, match=r"'penguin/3': known are agentsmithy/1, .*penguin/2"):
        catalogue("penguin/3")


def test_a_row_is_found_by_id() -> None:
    row = catalogue("penguin/2").get("PG-REC-02")
    assert row is not None
    assert row.level is Level.MUST
    assert catalogue("penguin/1").get("PG-REC-02b") is None
    assert catalogue("penguin/1") is catalogue("penguin/1")


def test_a_level_may_depend_on_a_capability() -> None:
    row = catalogue("penguin/2").get("SSE-EVT-03a")
    assert row is not None
    resuming = default_profile("penguin/2", "http://localhost")
    without = replace(resuming, capabilities=replace(resuming.capabilities, resume=False))
    assert level_for(row, resuming) is Level.MUST
    assert level_for(row, without) is Level.SHOULD
    other = catalogue("penguin/2").get("SSE-FMT-01")
    assert other is not None
    assert level_for(other, without) is Level.MUST


@pytest.mark.parametrize(
    ("name", "declared"),
    [
        ("reasoning", {"reasoning": True}),
        ("tools", {"tools": True}),
        ("resume", {"resume": True}),
        ("retention", {"retention": 100}),
        ("heartbeat", {"heartbeat": 1.0}),
        ("auth", {"auth": "bearer"}),
        ("cors", {"cors": ("https://a.example",)}),
        ("rate_limit", {"rate_limit": 3}),
        ("max_body", {"max_body": 1000}),
        ("history", {"history": True}),
        ("workspace", {"workspace": True}),
    ],
)
def test_a_capability_is_there_when_it_is_declared(name: str, declared: dict[str, Any]) -> None:
    bare = Profile(
        "penguin/2", "http://x", workspace="/w", capabilities=Capabilities(reasoning=False, tools=False)
    )
    assert not has_capability(bare, name)
    assert has_capability(bare, "")
    assert has_capability(replace(bare, capabilities=replace(bare.capabilities, **declared)), name)
    assert set(CAPABILITIES) == set(Capabilities.__dataclass_fields__)


def test_a_confinement_without_a_known_workspace_cannot_be_judged() -> None:
    profile = Profile("agentsmithy/2", "http://x", capabilities=Capabilities(workspace=True))
    assert not has_capability(profile, "workspace")
    assert has_capability(replace(profile, workspace="/w"), "workspace")


def test_an_unknown_capability_is_an_error() -> None:
    with pytest.raises(ValueError, match="no capability 'speed'"):
        has_capability(Profile("penguin/2", "http://x"), "speed")
