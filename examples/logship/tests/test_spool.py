import asyncio
import tempfile
import unittest
from pathlib import Path
from unittest.mock import patch

from logship import spool as module
from logship.spool import Spool, SpoolFull


def lines(*texts: str) -> list[bytes]:
    return [text.encode() + b"\n" for text in texts]


class SpoolTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.base = Path(folder.name) / "spool"

    def spool(self, most: int = 10**6, fsync: bool = False) -> Spool:
        spool = Spool(self.base, most, fsync)
        self.addCleanup(lambda: spool._lock.close())
        self.addCleanup(lambda: spool._active and spool._active.close())
        return spool

    def drain(self, spool: Spool, most: int = 2) -> list[bytes]:
        found = []
        while batch := spool.peek(most):
            found += batch.data.splitlines()
            spool.taken(batch)
        return found

    def test_what_goes_in_comes_out_once_and_in_order(self) -> None:
        spool = self.spool()
        spool.append(lines("a", "b", "c"))
        self.assertEqual(self.drain(spool), [b"a", b"b", b"c"])
        spool.append(lines("d"))
        self.assertEqual(self.drain(spool), [b"d"])
        self.assertEqual((spool.lines, spool.bytes), (0, 0))
        self.assertTrue(spool.close())
        self.assertEqual(list(self.base.iterdir()), [])

    def test_a_batch_that_was_not_taken_comes_again(self) -> None:
        spool = self.spool()
        spool.append(lines("a", "b"))
        self.assertEqual(spool.peek(5), spool.peek(5))
        self.assertEqual(spool.lines, 2)

    def test_it_is_bounded_and_a_refused_append_leaves_nothing(self) -> None:
        spool = self.spool(10)
        spool.append(lines("12345"))
        with self.assertRaises(SpoolFull):
            spool.append(lines("12345"))
        self.assertEqual(self.drain(spool), [b"12345"])
        spool.append(lines("67890"))
        self.assertEqual(self.drain(spool), [b"67890"])

    def test_a_full_disk_refuses_the_whole_append(self) -> None:
        spool = self.spool()
        spool.append(lines("a"))
        real = module.os.write
        parts = iter([lambda fd, data: real(fd, data[:3])])

        def write(fd: int, data: bytes) -> int:
            try:
                return next(parts)(fd, data)
            except StopIteration:
                raise OSError(28, "No space left on device") from None

        with patch.object(module.os, "write", write), self.assertRaisesRegex(SpoolFull, "No space left"):
            spool.append(lines("b", "c"))
        spool.append(lines("d"))
        self.assertEqual(self.drain(spool), [b"a", b"d"])

    def test_segments_are_removed_once_they_are_taken(self) -> None:
        with patch.object(module, "SEGMENT_BYTES", 20):
            spool = self.spool()
            texts = [f"line-{number}" for number in range(50)]
            for text in texts:
                spool.append(lines(text))
            self.assertGreater(len(list(self.base.glob("*/*.ndjson"))), 5)
            self.assertEqual(self.drain(spool), [text.encode() for text in texts])
            self.assertLessEqual(len(list(self.base.glob("*/*.ndjson"))), 1)

    def test_what_a_dead_process_left_is_adopted_but_not_its_torn_line(self) -> None:
        dead = self.spool()
        dead.append(lines("a", "b"))
        with next(self.base.glob("*/*.ndjson")).open("ab") as file:
            file.write(b"torn")
        living = self.spool()
        living.append(lines("c"))
        self.assertEqual(living.adopt(), 0)  # its lock is held: not dead yet
        dead._lock.close()  # what the kernel does when a process ends, however it ends
        self.assertEqual(living.adopt(), 2)
        self.assertEqual(living.lines, 3)
        living.append(lines("d"))
        self.assertEqual(sorted(self.drain(living)), [b"a", b"b", b"c", b"d"])
        self.assertEqual(len(list(self.base.iterdir())), 1)

    def test_adopting_while_a_batch_is_on_its_way_does_not_mix_them_up(self) -> None:
        dead, living = self.spool(), self.spool()
        dead.append(lines("a", "b"))
        living.append(lines("c"))
        batch = living.peek(5)
        assert batch is not None
        dead._lock.close()
        living.adopt()
        living.taken(batch)
        self.assertEqual((batch.data, sorted(self.drain(living))), (b"c\n", [b"a", b"b"]))

    def test_what_is_left_at_the_end_stays_for_the_next_one(self) -> None:
        first = self.spool()
        first.append(lines("a"))
        self.assertFalse(first.close())
        second = self.spool()
        self.assertEqual(second.adopt(), 1)
        self.assertEqual(self.drain(second), [b"a"])

    def test_with_fsync_nobody_is_told_before_the_disk_has_it(self) -> None:
        order = []

        async def one(spool: Spool, text: str) -> None:
            spool.append(lines(text))
            await spool.settle()
            order.append(text)

        async def both() -> None:
            spool = self.spool(fsync=True)
            real, calls = module.os.fsync, []

            def fsync(fd: int) -> None:
                calls.append(list(order))
                real(fd)

            with patch.object(module.os, "fsync", fsync):
                await asyncio.gather(*(one(spool, str(number)) for number in range(20)))
            self.assertEqual(len(order), 20)
            data = [call for call in calls if call == []]
            self.assertTrue(data)
            self.assertLess(len(calls), 10)  # shared, not one for each

        asyncio.run(both())
