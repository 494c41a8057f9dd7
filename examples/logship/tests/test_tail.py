import asyncio
import json
import os
import tempfile
import unittest
from pathlib import Path

from logship.tail import Follower


class FollowerTest(unittest.IsolatedAsyncioTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.log = self.folder / "app.log"
        self.state = self.folder / "state"
        self.state.mkdir()
        self.records: list[dict[str, str]] = []
        self.failing = False

    async def emit(self, records: list[bytes]) -> None:
        if self.failing:
            raise OSError("full")
        self.records += [json.loads(record) for record in records]

    def follower(self) -> Follower:
        follower = Follower([str(self.folder / "*.log")], self.state, self.emit)
        self.addCleanup(follower.close)
        return follower

    def lines(self) -> list[str]:
        return [record["line"] for record in self.records]

    def write(self, text: str) -> None:
        with self.log.open("a") as file:
            file.write(text)

    async def test_complete_lines_come_once_and_half_ones_wait(self) -> None:
        follower = self.follower()
        self.write("one\ntwo\nhal")
        await follower.turn()
        await follower.turn()
        self.assertEqual(self.lines(), ["one", "two"])
        self.write("f\n")
        await follower.turn()
        self.assertEqual(self.lines(), ["one", "two", "half"])
        self.assertEqual(len({record["id"] for record in self.records}), 3)

    async def test_a_renamed_file_is_read_to_its_end(self) -> None:
        follower = self.follower()
        self.write("one\n")
        await follower.turn()
        self.write("two\nlast words")
        self.log.rename(self.folder / "app.log.1")
        self.write("three\n")
        await follower.turn()
        await follower.turn()
        self.assertEqual(sorted(self.lines()), ["last words", "one", "three", "two"])

    async def test_a_truncated_file_begins_anew_with_new_ids(self) -> None:
        follower = self.follower()
        self.write("one one one\n")
        await follower.turn()
        os.truncate(self.log, 0)
        self.write("two\n")
        await follower.turn()
        self.assertEqual(self.lines(), ["one one one", "two"])
        self.assertEqual(len({record["id"] for record in self.records}), 2)

    async def test_a_restart_goes_on_where_it_was_even_after_a_rotation_meanwhile(self) -> None:
        first = self.follower()
        self.write("one\n")
        await first.turn()
        self.write("two\n")
        self.log.rename(self.folder / "app.log.1")
        self.write("three\n")
        await self.follower().turn()
        self.assertEqual(sorted(self.lines()), ["one", "three", "two"])

    async def test_a_crash_before_the_offsets_were_saved_repeats_lines_under_the_same_ids(self) -> None:
        follower = self.follower()
        self.write("one\n")
        await follower.turn()
        self.write("two\n")
        follower._save = lambda: None  # type: ignore[method-assign]  # the crash
        await follower.turn()
        await self.follower().turn()
        self.assertEqual(self.lines(), ["one", "two", "two"])
        self.assertEqual(len({record["id"] for record in self.records}), 2)

    async def test_a_full_spool_holds_the_file_back_and_loses_nothing(self) -> None:
        follower = self.follower()
        self.write("one\n")
        self.failing = True
        with self.assertRaises(OSError):
            await follower.turn()
        self.failing = False
        await follower.turn()
        self.assertEqual(self.lines(), ["one"])

    async def test_of_two_with_one_state_only_one_follows(self) -> None:
        self.write("one\n")
        both = [asyncio.create_task(self.follower().run()) for _ in range(2)]
        async with asyncio.timeout(5):
            while not self.records:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)
        self.assertEqual(self.lines(), ["one"])
