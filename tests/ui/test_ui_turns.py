"""The queue of runs: turns come in order, who leaves makes room, nobody fills it alone."""

import asyncio

from mi_explorer.ui.access.limits import MAX_WAITING_REQUESTS, LimitError, Limits, Visitor
from mi_explorer.ui.explore.run_queue import RunQueue
from tests.servers import apart


def test_turns_come_in_order_and_places_are_told():
    async def crowd():
        line, told = RunQueue(2, 10, Limits(), lambda: 0.5), []

        async def visit(name):
            with line.join(Visitor(name)) as place:
                if not await place.called(0.01):
                    told.append((name, line.wait_of(place)))
                    assert await place.called(5)
                told.append(name)
                await asyncio.sleep(0.03)

        await asyncio.gather(*(visit(name) for name in "abcd"))
        assert await free(line)
        return told

    async def free(line):
        with line.join(Visitor("late")) as place:
            return await place.called(0)

    told = apart(crowd())
    assert told[:2] == ["a", "b"] and told[4:] == ["c", "d"]
    assert told[2] == ("c", {"what": "turn", "place": 1, "of": 2, "seconds": 2})
    assert told[3] == ("d", {"what": "turn", "place": 2, "of": 2, "seconds": 4})


def test_who_leaves_the_line_makes_room_and_keeps_nobody_waiting():
    async def crowd():
        line = RunQueue(1, 10, Limits(), lambda: 0.0)
        with line.join(Visitor("a")) as first:
            assert await first.called(0)
            with line.join(Visitor("c")) as third:
                with line.join(Visitor("b")) as second:
                    assert line.wait_of(second) == {"what": "turn", "place": 2, "of": 2, "seconds": None}
                assert line.wait_of(third)["of"] == 1 and not await third.called(0)
                first_left = line.join(Visitor("d"))
                with first_left as fourth:
                    assert line.wait_of(fourth)["place"] == 2
        with line.join(Visitor("e")) as again:
            return await again.called(0)

    assert apart(crowd())


def test_the_line_has_an_end_and_nobody_may_fill_it_alone():
    async def flood(most, limits, visitors):
        line, got = RunQueue(1, most, limits, lambda: 0.0), []
        held = [line.join(Visitor("first", "10.0.0.9"))]
        held[0].__enter__()
        for who in visitors:
            place = line.join(who)
            try:
                place.__enter__()
                held.append(place)
                got.append("")
            except LimitError as error:
                got.append(str(error))
        return got

    full = apart(flood(3, Limits(), [Visitor(str(i)) for i in range(5)]))
    assert full[:3] == [""] * 3 and all("3 runs are waiting" in words for words in full[3:])
    alone = apart(flood(100, Limits(), [Visitor("ann")] * (MAX_WAITING_REQUESTS + 2) + [Visitor("bob")]))
    assert [bool(words) for words in alone] == [False] * MAX_WAITING_REQUESTS + [
        True,
        True,
        False,
    ] and "requests of yours" in alone[-2]
    crowd = [Visitor(str(i), "10.0.0.1") for i in range(MAX_WAITING_REQUESTS + 5)] + [Visitor("far", "10.0.0.2")]
    near = apart(flood(100, Limits(address_runs=MAX_WAITING_REQUESTS + 3), crowd))
    assert [bool(words) for words in near] == [False] * (MAX_WAITING_REQUESTS + 3) + [True, True, False]
