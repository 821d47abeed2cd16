"""Crashes at any moment, as a state machine: no batch that was put and that no checkpoint covers is ever forgotten."""

import asyncio
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.ship.journal import Compaction, Journal
from tests.ship.test_journal import STREAM, batch_of


class Runs(RuleBasedStateMachine):
    """Offsets 0, 1, 2 … of one file, each a batch; the disk's checkpoint says up to where they are settled."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = Path(tempfile.mkdtemp())
        self.journal = Journal(self.directory)
        self.journal.open()
        self.intended = 0
        self.settled = 0
        self.on_disk = 0
        """The checkpoint's offset."""
        self.snapshot: tuple[int, Compaction | None] | None = None

    @rule(batches=st.integers(1, 4))
    def put(self, batches: int) -> None:
        for _ in range(batches):
            self.runner.run(self.journal.write(self.journal.note(STREAM, batch_of("f00", self.intended))))
            self.intended += 1

    @precondition(lambda self: self.settled < self.intended)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        self.settled = data.draw(st.integers(self.settled + 1, self.intended))

    @rule()
    def begin_to_save(self) -> None:
        self.snapshot = (self.settled, self.journal.plan_compaction({"f00": self.settled}))

    @precondition(lambda self: self.snapshot is not None)
    @rule(forgets=st.booleans())
    def end_saving(self, forgets: bool) -> None:
        """`forgets`: else the process is about to die between the checkpoint and the journal."""
        assert self.snapshot is not None
        self.on_disk, plan = self.snapshot
        self.snapshot = None
        if plan is not None and forgets:
            self.runner.run(self.journal.compact(plan))

    @rule()
    def fail_to_save(self) -> None:
        self.snapshot = None

    @rule(torn=st.integers(0, 40), asks=st.booleans())
    def crash(self, torn: int, asks: bool) -> None:
        """And start anew: what was not settled for the checkpoint is read, and put, again."""
        (self.directory / "99999999.journal").write_bytes(b"0" * torn)
        self.journal = Journal(self.directory)
        left = {offset for intent in self.journal.open() for offset in intent.records["f00"]}
        assert left >= set(range(self.on_disk, self.intended))
        (self.directory / "99999999.journal").unlink()
        self.journal = Journal(self.directory)
        self.journal.open()
        self.snapshot = None
        if asks:
            # All of it had arrived: the positions that are saved from now on hold it as out-of-order acknowledgements.
            self.journal.resumed()
            self.on_disk = self.settled = self.intended

    @invariant()
    def what_no_checkpoint_covers_is_on_disk(self) -> None:
        journal = Journal(self.directory)
        left = {offset for intent in journal.open() for offset in intent.records["f00"]}
        assert left >= set(range(self.on_disk, self.intended))

    def teardown(self) -> None:
        self.runner.close()
        shutil.rmtree(self.directory)


TestRuns = Runs.TestCase
TestRuns.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
