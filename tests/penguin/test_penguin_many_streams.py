"""Rules over many streams: filters, fan-out, sessions at once, recovery. Legal stays green, defects are caught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from conformance.penguin import (
    AGENTS,
    CONNECT,
    CONTROL,
    DIRECTORIES,
    FAN_OUT,
    FILTERS,
    FOREIGN_CURSOR,
    FULL,
    GAPS,
    LOST,
    OTHER_AGENT,
    RESUME,
    RESUME_LIVE,
    RETENTION,
    SUBSCRIBING,
    TOGETHER,
    busy_turn,
    words,
)
from conformance.profile import Capabilities
from conformance.transcript import Action
from tests.support.penguin_cases import (
    Event,
    Events,
    Scene,
    Server,
    connected,
    copy,
    findings,
    gap,
    judged,
    part_of,
    profile_of,
    red,
)

Test = Callable[[Event], bool]
BOTH = pytest.mark.parametrize("protocol", ["penguin/1", "penguin/2"])


def _of(session: str) -> Test:
    return lambda event: event["_session"] == session


def _agent(name: str) -> Test:
    """What a filter by agent lets through: the agent's output, and what belongs to no agent."""
    return lambda event: event["_agent"] in ("", name)


def _stream(events: Events, test: Test = lambda event: True) -> Events:
    return [connected(), *copy(event for event in events if test(event))]


def _two_sessions(protocol: str, probe: str, *, other: str = "default") -> tuple[Scene, Events]:
    """A and B in turn, twice; the renamings that flush their queues at the end."""
    profile = profile_of(protocol)
    server, scene = Server(profile.revision), Scene(probe, profile)
    for at, (mark, session, agent) in enumerate(
        (
            ("a-first", "s1", "default"),
            ("b-first", "s2", other),
            ("a-second", "s1", "default"),
            ("b-second", "s2", other),
        )
    ):
        script = busy_turn(profile, mark) if "first" in mark else words(mark)
        server.turn("s1" if session == "s1" else "s2", script, agent=agent)
        scene.prompt(session, script, CONTROL, at=1.0 + at, agent=agent)
    server.updated("s1", "sse-conformance 1")
    server.updated("s2", "sse-conformance 2")
    scene.facts |= {"session-a": "s1", "session-b": "s2"}
    return scene, server.events


def _filters(protocol: str) -> Scene:
    scene, events = _two_sessions(protocol, FILTERS)
    scene.streams = {
        "unknown-session": [connected()],
        CONTROL: _stream(events),
        "empty": _stream(events),
        "unknown-parameter": _stream(events),
        "only-a": _stream(events, _of("s1")),
        "only-b": _stream(events, _of("s2")),
    }
    if scene.profile.revision >= 2:
        scene.streams["alias-a"] = _stream(events, _of("s1"))
    return scene


def _agents(protocol: str) -> Scene:
    scene, events = _two_sessions(protocol, AGENTS, other=OTHER_AGENT)
    scene.streams = {
        "unknown-agent": _stream(events, _agent("nobody")),
        "a-and-other": _stream(events, lambda e: _of("s1")(e) and _agent(OTHER_AGENT)(e)),
        CONTROL: _stream(events),
        "agent": _stream(events, _agent("default")),
        "a-and-agent": _stream(events, lambda e: _of("s1")(e) and _agent("default")(e)),
        "other-agent": _stream(events, lambda e: e["_agent"] == OTHER_AGENT),
    }
    for role in ("unknown-agent", "a-and-other", "agent", "a-and-agent", "other-agent"):
        scene.queries[role] = "?agent_id=x"
    return scene


@BOTH
def test_faithful_filters_are_green(protocol: str) -> None:
    for scene in (_filters(protocol), _agents(protocol)):
        assert findings(scene.case()) == {}
    assert judged(_filters(protocol).case(), "PG-FLT-01") > 20
    assert judged(_agents(protocol).case(), "PG-FLT-03") > 20


@BOTH
def test_a_leak_of_one_event_is_found(protocol: str) -> None:
    scene = _filters(protocol)
    leaked = next(e for e in scene.streams["only-b"] if part_of(e).get("type") == "reasoning")
    scene.streams["only-a"].insert(-2, copy([leaked])[0])
    assert "PG-FLT-01" in red(scene)


@BOTH
def test_a_leak_with_changed_labels_is_found(protocol: str) -> None:
    """A filter that stamps its own session on another's event is caught by the words, or by the id."""
    scene = _filters(protocol)
    leaked = next(e for e in scene.streams["only-b"] if "b-second two" in str(part_of(e).get("text")))
    stamped = copy([leaked])[0]
    stamped["properties"]["sessionID"] = stamped["properties"]["part"]["sessionID"] = "s1"
    scene.streams["only-a"].insert(-2, stamped)
    assert {"PG-FLT-01", "PG-FLT-05"} <= red(scene)


@BOTH
@pytest.mark.parametrize("role", ["only-a", "only-b"])
def test_a_lost_event_is_found(protocol: str, role: str) -> None:
    scene = _filters(protocol)
    index = next(i for i, e in enumerate(scene.streams[role]) if "first one" in str(part_of(e).get("text")))
    del scene.streams[role][index + 4]
    assert "PG-FLT-02" in red(scene)


def test_an_event_that_is_still_under_way_is_not_missed() -> None:
    """What comes after the last renaming that both show may not have arrived at one of them."""
    scene = _filters("penguin/2")
    server = Server(2)
    server.emit("s1", "vcs.branch.updated", {"branch": "main", "sessionID": "s1", "directory": "/srv/work"})
    late = server.events[0] | {"id": "evt:session:s1:00000099", "order": 99, "time": 9_999}
    scene.streams[CONTROL].append(late)
    assert "PG-FLT-02" not in red(scene)


@BOTH
def test_an_unknown_filter_that_leaks(protocol: str) -> None:
    scene = _filters(protocol)
    scene.streams["unknown-session"].append(copy(scene.streams["only-b"][3:4])[0])
    assert "PG-FLT-04" in red(scene)
    scene = _agents(protocol)
    output = next(e for e in scene.streams["agent"] if str(part_of(e).get("text")).endswith("three."))
    scene.streams["unknown-agent"].append(copy([output])[0])
    assert "PG-FLT-04" in red(scene)


@BOTH
def test_what_every_stream_doubles_is_not_the_filter_s_doing(protocol: str) -> None:
    scene = _filters(protocol)
    doubled = next(e for e in scene.streams["only-a"] if part_of(e).get("type") == "text")
    at = scene.streams["only-a"].index(doubled)
    scene.streams["only-a"].insert(at, copy([doubled])[0])
    assert "PG-FLT-02" in red(scene)
    at = scene.streams[CONTROL].index(doubled)
    scene.streams[CONTROL].insert(at, copy([doubled])[0])
    assert "PG-FLT-02" not in red(scene)


@BOTH
def test_a_broken_control_stream_makes_no_agent_unknown(protocol: str) -> None:
    scene = _agents(protocol)
    scene.streams[CONTROL] = scene.streams[CONTROL][:3]
    assert "PG-FLT-04" not in red(scene)


def test_a_404_for_an_unknown_filter_is_right() -> None:
    scene = _filters("penguin/2")
    del scene.streams["unknown-session"]
    assert red(scene) == set()


@BOTH
def test_an_agent_filter_that_leaks_or_loses(protocol: str) -> None:
    scene = _agents(protocol)
    output = next(e for e in scene.streams["other-agent"] if "b-first two" in str(part_of(e).get("text")))
    scene.streams["agent"].append(copy([output])[0])
    assert "PG-FLT-03" in red(scene)
    scene = _agents(protocol)
    index = next(i for i, e in enumerate(scene.streams["agent"]) if part_of(e).get("type") == "tool")
    del scene.streams["agent"][index]
    assert "PG-FLT-03" in red(scene)


@BOTH
def test_an_agent_that_is_written_in_another_way_under_a_filter(protocol: str) -> None:
    scene = _agents(protocol)
    named = [e for role in scene.streams for e in scene.streams[role] if "agent" in e["properties"]]
    shouted = next((e for e in scene.streams["agent"] if "agent" in e["properties"]), None)
    assert shouted is not None, named
    at = scene.streams["agent"].index(shouted)
    scene.streams["agent"][at] = copy([shouted])[0]
    scene.streams["agent"][at]["properties"]["agent"] = "DEFAULT"
    assert "PG-FLT-05" in red(scene)


def test_a_filter_that_stamps_its_agent_on_everything() -> None:
    scene = _agents("penguin/2")
    for event in scene.streams["agent"][1:]:
        event["properties"]["agentID"] = "default"
    assert red(scene) == {"PG-FLT-05"}


def test_a_label_that_is_true_may_be_added() -> None:
    scene = _agents("penguin/2")
    for event in scene.streams["agent"]:
        if part_of(event) and event["_agent"] == "default":
            event["properties"]["agentID"] = "default"
    assert red(scene) == set()


def test_a_filter_may_add_the_directory_of_a_session() -> None:
    scene = _filters("penguin/2")
    for event in scene.streams["only-a"][1:]:
        event["properties"]["directory"] = "/srv/work"
    assert red(scene) == set()


def test_filters_that_do_not_combine() -> None:
    scene = _agents("penguin/2")
    scene.streams["a-and-agent"] = copy(scene.streams["agent"])
    output = [e for e in scene.streams["other-agent"] if part_of(e)]
    scene.streams["a-and-agent"] += copy(output)
    assert "PG-FLT-07a" in red(scene)


def test_empty_values_and_unknown_parameters() -> None:
    for role in ("empty", "unknown-parameter"):
        scene = _filters("penguin/2")
        scene.streams[role] = [connected()]
        assert red(scene) == {"PG-FLT-07b"}


def test_an_alias_that_is_ignored_shows_too_much() -> None:
    scene = _filters("penguin/2")
    scene.streams["alias-a"] = copy(scene.streams[CONTROL])
    assert red(scene) == {"PG-FLT-09"}
    scene.streams["alias-a"] = [connected()]
    assert red(scene) == {"PG-FLT-09"}


@BOTH
def test_directories(protocol: str) -> None:
    scene, events = _two_sessions(protocol, DIRECTORIES)
    scene.facts["bound"] = True
    scene.streams = {
        "a-in-b": [connected()],
        CONTROL: _stream(events),
        "in-a": _stream(events, _of("s1")),
        "in-b": _stream(events, _of("s2")),
    }
    scene.queries |= dict.fromkeys(("a-in-b", "in-a", "in-b"), "?directory=x")
    assert red(scene) == set()
    scene.streams["in-b"].insert(4, copy(scene.streams["in-a"][4:5])[0])
    row = "PG-FLT-06a" if protocol == "penguin/2" else None
    assert (row in red(scene)) if row else (red(scene) == set())
    for shown in ("in-a", "in-b"):  # of the session elsewhere, or of the directory alone: both are too much
        scene.streams["a-in-b"] = [connected(), copy(scene.streams[shown][5:6])[0]]
        assert ("PG-FLT-07a" in red(scene)) == (protocol == "penguin/2")


def test_without_a_control_that_shows_both_nothing_is_said() -> None:
    scene = _filters("penguin/2")
    scene.streams[CONTROL] = _stream(scene.streams[CONTROL][1:], _of("s1"))
    scene.streams["empty"] = scene.streams["unknown-parameter"] = copy(scene.streams[CONTROL])
    assert "PG-FLT-01" not in red(scene)


def test_subscribing_changes_nothing() -> None:
    scene = Scene(SUBSCRIBING, profile_of(), {"plain": [connected()]})
    before = [{"id": "s1", "title": "t", "directory": "/a", "time": {"updated": 1}}, {"id": "theirs"}]
    after = [{"id": "s1", "title": "t", "directory": "/a", "time": {"updated": 2}}]
    scene.actions = [
        Action(0.1, "create-session", status=200, answer={"id": "s1"}, until=0.2),
        Action(1.0, "call", note="sessions before", status=200, answer=before, until=1.1),
        Action(2.0, "call", note="sessions after", status=200, answer=after, until=2.1),
    ]
    assert red(scene) == set()  # its times may change, and other people's sessions may go
    after[0]["directory"] = "/b"
    assert red(scene) == {"PG-FLT-08"}
    after[0]["directory"] = "/a"
    after.append({"id": "session_sse_conformance_unknown"})
    assert red(scene) == {"PG-FLT-08"}


def _fan_out() -> Scene:
    profile = profile_of()
    server, scene = Server(2), Scene(FAN_OUT, profile, facts={"session-a": "s1"})
    scene.actions += [
        Action(0.1, "create-session", status=200, answer={"id": name}, until=0.2) for name in ("s1", "s2")
    ]
    for session, mark in (("s1", "a-first"), ("s2", "b-first")):
        server.turn(session, words(mark))
        scene.prompt(session, words(mark), "all-0")
    server.updated("s2", "sse-conformance 1")
    server.updated("s1", "sse-conformance 2")
    scene.streams = {f"all-{n}": _stream(server.events) for n in range(3)}
    scene.streams |= {f"of-a-{n}": _stream(server.events, _of("s1")) for n in range(2)}
    return scene


def test_fan_out() -> None:
    assert red(_fan_out()) == set()
    taken = _fan_out()
    del taken.streams["all-2"][8]
    assert "PG-FAN-01a" in red(taken)
    swapped = _fan_out()
    events = swapped.streams["of-a-1"]
    events[6], events[7] = events[7], events[6]
    assert "PG-FAN-01a" in red(swapped)
    other = _fan_out()
    other.streams["all-1"][7]["properties"]["part"]["text"] = "else"
    assert "PG-FAN-01a" in red(other)
    crossed = _fan_out()
    events = crossed.streams["all-1"]
    border = next(i for i, e in enumerate(events[1:], 1) if e["_session"] == "s2")
    events[border - 1], events[border] = events[border], events[border - 1]
    assert red(crossed) == {"PG-FAN-01b"}


def _together() -> Scene:
    profile = profile_of()
    server, scene = Server(2), Scene(TOGETHER, profile)
    for at, turn in enumerate(("first", "second")):
        for session, role in (("s1", "a"), ("s2", "b")):
            script = busy_turn(profile, f"{turn}-{role}")
            server.turn(session, script)
            scene.prompt(session, script, role, at=1.0 + at)
    scene.streams = {
        CONTROL: _stream(server.events),
        "a": _stream(server.events, _of("s1")),
        "b": _stream(server.events, _of("s2")),
    }
    return scene


def test_sessions_at_once() -> None:
    assert red(_together()) == set()
    mixed = _together()
    for event in (mixed.streams[CONTROL], mixed.streams["b"])[1]:
        part = part_of(event)
        if (
            part.get("type") == "text"
            and "second-b" in str(part.get("text"))
            and "delta" in event["properties"]
        ):
            for holder, key in ((part, "text"), (event["properties"], "delta")):
                holder[key] = holder[key].replace("second-b", "second-a")
    assert "PG-CONC-01" in red(mixed)
    shared = _together()
    for role in (CONTROL, "b"):
        for event in shared.streams[role]:
            if part_of(event).get("id") and event["_session"] == "s2":
                event["properties"]["part"]["id"] = "part_007"
    first = next(e for e in shared.streams[CONTROL] if part_of(e).get("id"))
    first["properties"]["part"]["id"] = "part_007"
    assert "PG-CONC-01" in red(shared)


def _lost(protocol: str = "penguin/2") -> Scene:
    profile = profile_of(protocol)
    server, scene = Server(profile.revision), Scene(LOST, profile)
    borders = []
    for at, mark in enumerate(("before", "within", "after")):
        server.turn("s1", words(mark))
        server.updated("s1", f"sse-conformance {at}")
        borders.append(len(server.events))
        scene.prompt("s1", words(mark), ("first", FULL, "third")[at], at=1.0 + 2 * at)
    events, cut = server.events, borders[0] + (borders[1] - borders[0]) // 2
    scene.streams = {
        FULL: _stream(events),
        "first": _stream(events[: borders[0]]),
        "second": _stream(events[borders[0] : cut]),
        "third": _stream(events[cut:]),
    }
    scene.spans = {"first": (0.0, 2.0), "second": (2.5, 3.2), "third": (3.3, 100.0)}
    scene.joins.add("third")
    return scene


@BOTH
def test_an_event_more_that_is_none_loses_nothing(protocol: str) -> None:
    scene = _lost(protocol)
    for role, at in ((FULL, 2), ("second", 2), ("third", 1)):
        scene.streams[role].insert(at, scene.streams[role][0] | {"type": None, "id": None, "properties": {}})
    assert "PG-REC-01" not in red(scene)


@BOTH
def test_lost_connections(protocol: str) -> None:
    assert findings(_lost(protocol).case()) == {}
    nothing = _lost(protocol)
    del nothing.streams["third"][-4]
    assert "PG-REC-01" in red(nothing)
    mute = _lost(protocol)
    del mute.streams["third"][0]
    assert "PG-REC-01" in red(mute)
    again = _lost(protocol)
    old = [e for e in again.streams["first"] if "delta" in e["properties"]]
    again.streams["second"].insert(1, copy(old[-1:])[0])
    assert ("PG-REC-06" in red(again)) == (protocol == "penguin/1")  # for targets without resume


def _resume() -> tuple[Scene, Events]:
    profile = profile_of()
    server, scene = Server(2), Scene(RESUME, profile, facts={"session": "s1"})
    server.turn("s1", busy_turn(profile, "resumed"))
    scene.prompt("s1", busy_turn(profile, "resumed"), FULL)
    server.updated("s1", "sse-conformance 1")
    events = server.events
    scene.streams[FULL] = _stream(events)
    for role, index in (("cut-0", 0), ("cut-5", 5), ("query-5", 5), ("again-5", 5), ("all", 5), ("both", 7)):
        scene.streams[role] = _stream(events[index + 1 :])
        scene.cursors[role] = events[index]["id"]
    scene.cursors["both"] = events[1]["id"]
    scene.queries["both"] = f"?last_event_id={events[7]['id']}"
    scene.streams["chain-0"] = _stream(events[3:5])
    scene.cursors["chain-0"] = events[2]["id"]
    return scene, events


def test_resuming() -> None:
    scene, events = _resume()
    assert findings(scene.case()) == {}
    for index in (1, 4):
        lost, _ = _resume()
        del lost.streams["cut-5"][index]
        assert "PG-REC-02" in red(lost)
    doubled, _ = _resume()
    doubled.streams["cut-5"].insert(3, copy(doubled.streams["cut-5"][2:3])[0])
    assert "PG-REC-02" in red(doubled)
    swapped, _ = _resume()
    replay = swapped.streams["again-5"]
    replay[2], replay[3] = replay[3], replay[2]
    assert "PG-REC-02" in red(swapped)
    changed, _ = _resume()
    changed.streams["cut-0"][4]["properties"]["extra"] = 1
    assert "PG-REC-02" in red(changed)
    inclusive, _ = _resume()
    inclusive.streams["cut-5"].insert(1, copy([events[5]])[0])
    assert "PG-REC-02" in red(inclusive)
    refused, _ = _resume()
    refused.streams["cut-0"] = [connected(), gap(events[0]["id"]), *copy(events[-1:])]
    assert "PG-REC-02" in red(refused)
    header_wins, _ = _resume()
    header_wins.streams["both"] = _stream(events[2:])
    assert "PG-REC-02b" in red(header_wins)
    chained, _ = _resume()
    chained.streams["chain-0"] = _stream(events[4:6])
    assert "PG-REC-02" in red(chained)


def test_a_replay_in_the_right_order_is_not_to_blame_for_a_live_stream_in_the_wrong_one() -> None:
    scene, _ = _resume()
    full = scene.streams[FULL]
    full[8], full[9] = full[9], full[8]
    assert not {"PG-REC-02", "PG-REC-02b"} & red(scene)


def test_synthetic_ids() -> None:
    scene, events = _resume()
    scene.facts["since:connected-resumed"] = 5
    scene.cursors["connected-resumed"] = "evt:session:s1:c"
    scene.streams["connected-resumed"] = _stream(events[6:])
    assert red(scene) == set()
    scene.streams["connected-resumed"] = _stream(events[1:])
    assert red(scene) == {"PG-REC-05a"}


def test_an_id_that_names_two_events() -> None:
    scene, events = _resume()
    scene.streams["cut-5"][2]["id"] = events[2]["id"]
    assert "PG-REC-05a" in red(scene)


def test_cut_while_events_arrive() -> None:
    profile = profile_of()
    server, scene = Server(2), Scene(RESUME_LIVE, profile, facts={"session": "s1"})
    server.turn("s1", words("live"))
    scene.prompt("s1", words("live"), FULL)
    server.updated("s1", "sse-conformance 1")
    events = server.events
    scene.streams = {FULL: _stream(events), "cut-0": _stream(events[:4]), "cut-1": _stream(events[3:])}
    scene.facts["until:cut-0"] = events[2]["id"]
    scene.cursors["cut-1"] = events[2]["id"]
    assert red(scene) == set()
    del scene.streams["cut-1"][1]
    assert "PG-REC-02" in red(scene)


def _gaps() -> Scene:
    profile = profile_of()
    server, scene = Server(2), Scene(GAPS, profile, facts={"session": "s1"})
    server.turn("s1", words("gap"))
    scene.prompt("s1", words("gap"), FULL)
    server.updated("s1", "sse-conformance 1")
    scene.streams[FULL] = _stream(server.events)
    for role in ("unknown-word", "unknown-query"):
        scene.streams[role] = [connected(), gap("nope"), *copy(server.events)]
        scene.cursors[role] = "nope"
    return scene


def test_gaps() -> None:
    assert red(_gaps()) == set()
    silent = _gaps()
    del silent.streams["unknown-word"][1]
    assert red(silent) == {"PG-REC-03"}
    late = _gaps()
    events = late.streams["unknown-query"]
    events.insert(3, events.pop(1))
    assert red(late) == {"PG-REC-03"}
    dead = _gaps()
    del dead.streams["unknown-word"][2:]
    assert red(dead) == {"PG-REC-03"}
    holed = _gaps()
    del holed.streams["unknown-word"][6]
    assert "PG-REC-03" in red(holed)


def test_a_cursor_beyond_the_retention() -> None:
    profile = profile_of(capabilities=Capabilities(resume=True, retention=10))
    server, scene = Server(2), Scene(RETENTION, profile, facts={"session": "s1"})
    for at, mark in enumerate(("old", "more", "most")):
        server.turn("s1", words(mark))
        scene.prompt("s1", words(mark), FULL, at=1.0 + at)
    server.updated("s1", "sse-conformance 1")
    events = server.events
    old, recent = events[9]["id"], events[-4]["id"]
    scene.streams = {
        FULL: _stream(events),
        "old": [connected(), gap(old)],
        "cut-recent": _stream(events[-3:]),
    }
    scene.cursors = {"old": old, "cut-recent": recent}
    server.updated("s1", "sse-conformance 2")
    for role in scene.streams:
        scene.streams[role] += copy(server.events[-1:])
    assert red(scene) == set()
    scene.streams["old"] = _stream(server.events[10:])
    assert red(scene) == set()  # it keeps more than it declares, which harms nobody
    scene.streams["old"] = _stream(server.events[-8:])
    assert red(scene) == {"PG-REC-03b"}
    scene.streams["cut-recent"] = [connected(), gap(recent), *copy(server.events[-1:])]
    assert "PG-REC-02" in red(scene)


def test_a_cursor_of_another_session() -> None:
    scene, events = _two_sessions("penguin/2", FOREIGN_CURSOR)
    cursor = next(e["id"] for e in events if e["_session"] == "s1")
    scene.streams = {
        FULL: _stream(events),
        "b-from-a": _stream(events, _of("s2")),
        "a-from-a": _stream(events[1:], _of("s1")),
    }
    scene.cursors = {"b-from-a": cursor, "a-from-a": cursor}
    assert red(scene) == set()
    scene.streams["b-from-a"].insert(2, copy([events[6]])[0])
    assert "PG-REC-04" in red(scene)


def test_an_event_missed_right_after_connecting() -> None:
    server, scene = Server(2), Scene(CONNECT, profile_of())
    for number in range(3):
        server.updated("s1", f"quick-{number} connected")
        scene.streams[f"quick-{number}"] = [connected(), *copy(server.events[-1:])]
        scene.actions.append(
            Action(
                1.0 + number,
                "rename-session",
                session="s1",
                stream=f"quick-{number}",
                status=200,
                until=1.5 + number,
                note=f"quick-{number} connected",
            )
        )
    scene.streams[CONTROL] = _stream(server.events)
    assert red(scene) == set()
    late = scene.streams[CONTROL].pop()  # the last one may still be on its way
    assert red(scene) == set()
    scene.streams[CONTROL].append(late)
    lost = scene.streams[CONTROL].pop(1)
    assert red(scene) == {"PG-CON-02"}
    scene.streams[CONTROL].insert(1, lost)
    held = scene.streams["quick-2"].pop(1)
    assert red(scene) == {"PG-CON-02"}
    first = scene.actions[0]
    scene.actions[0] = replace(first, status=500)  # one that was refused excuses no other
    assert red(scene) == {"PG-CON-02"}
    scene.actions[0] = first
    scene.streams["quick-2"].append(held)
    del scene.streams[CONTROL][1:]  # one that shows no title at all is held to none
    assert red(scene) == set()
