"""Who is sent what by an event bus: audiences, which come and go, and the bounds of what is kept for a subscriber."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from reference_server.bus import Bus, Filter, Labels, Published, Subscriber
from reference_server.sending import Sender

HERE = Labels("s", "a", "/d")


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 20))


def make(*, queue_events: int = 100) -> Bus:
    return Bus(
        Sender(), queue_bytes=1 << 20, queue_events=queue_events, replay_events=10, replay_bytes=1 << 20
    )


def event(text: str, labels: Labels = HERE) -> Published:
    return Published(None, labels, text.encode())


async def taken(subscriber: Subscriber) -> str:
    """What is in its mailbox once the sender has come round."""
    await asyncio.sleep(0)
    return subscriber.mailbox.take().decode()


def test_each_filter_gets_its_events_and_those_who_asked_for_the_same_share_the_bytes() -> None:
    async def test() -> None:
        bus = make()
        filters = {
            "all": Filter(),
            "session": Filter(session="s"),
            "other session": Filter(session="t"),
            "agent": Filter(agent="a"),
            "directory": Filter(directory="/d"),
            "both": Filter(session="s", agent="b"),
            "session elsewhere": Filter(session="s", directory="/e"),
        }
        subscribers = {name: bus.subscribe(wanted) for name, wanted in filters.items()}
        twin = bus.subscribe(Filter(session="s"))
        assert bus.subscribers == 8
        bus.publish(event("1"))
        bus.publish(event("2", Labels("t", "a", "/e")))
        bus.publish(event("3", Labels("s", "b", "/d")))
        bus.publish(event("4", Labels(None, None, "/d")))
        await asyncio.sleep(0)
        shared = [subscriber.mailbox.take() for subscriber in (subscribers["session"], twin)]
        assert shared[0] is shared[1]
        assert {name: await taken(subscriber) for name, subscriber in subscribers.items()} == {
            "all": "1234", "session": "", "other session": "2", "agent": "12", "directory": "134", "both": "3",
            "session elsewhere": "",
        }  # fmt: skip
        assert shared[0] == b"13"
        for subscriber in (*subscribers.values(), twin):
            bus.unsubscribe(subscriber)
        assert bus.subscribers == 0

    run(test())


def test_who_comes_between_two_events_gets_the_second_alone() -> None:
    async def test() -> None:
        bus = make()
        first = bus.subscribe(Filter())
        bus.publish(event("1"))
        second = bus.subscribe(Filter())
        bus.publish(event("2"))
        assert (await taken(first), await taken(second)) == ("12", "2")

    run(test())


def test_who_comes_back_before_it_is_known_to_have_gone_is_not_forgotten_with_its_old_connection() -> None:
    async def test() -> None:
        bus = make()
        old = bus.subscribe(Filter(session="s"))
        old.mailbox.abandon()  # its client has gone, and the stream has not ended yet
        bus.publish(event("1"))
        await asyncio.sleep(0)
        new = bus.subscribe(Filter(session="s"))
        bus.unsubscribe(old)
        bus.publish(event("2"))
        assert await taken(new) == "2"
        bus.unsubscribe(old)
        bus.publish(event("3"))
        assert await taken(new) == "3"
        assert bus.subscribers == 1

    run(test())


def test_the_last_of_an_audience_that_goes_as_another_comes_takes_nothing_from_it() -> None:
    async def test() -> None:
        bus = make()
        old = bus.subscribe(Filter())
        bus.publish(event("1"))
        old.mailbox.abandon()
        new = bus.subscribe(Filter())  # what was published is delivered, and the old one dropped
        bus.publish(event("2"))
        assert await taken(new) == "2"

    run(test())


def test_one_that_does_not_keep_up_is_ended_with_what_it_was_kept_and_the_others_go_on() -> None:
    async def test() -> None:
        bus = make(queue_events=40)
        slow, quick = bus.subscribe(Filter()), bus.subscribe(Filter())
        seen = ""
        for number in range(100):
            bus.publish(event(f"{number},"))
            if bus.lags:
                seen += quick.mailbox.take().decode()
        seen += await taken(quick)
        assert seen == "".join(f"{number}," for number in range(100))
        assert slow.mailbox.overflowed
        assert slow.mailbox.ended
        assert slow.mailbox.take().decode() == "".join(f"{number}," for number in range(40))
        assert bus.subscribers == 1

    run(test())


def test_the_end_comes_after_all_that_was_published() -> None:
    async def test() -> None:
        bus = make()
        subscriber = bus.subscribe(Filter())
        bus.publish(event("1"))
        bus.close()
        assert subscriber.mailbox.ended
        assert subscriber.mailbox.take() == b"1"
        assert bus.subscribers == 0

    run(test())
