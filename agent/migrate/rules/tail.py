"""Rules for the options of `[INPUT] Name tail`."""

from __future__ import annotations

from typing import Final

from agent.migrate.document import Option, Section
from agent.migrate.paths import selection
from agent.migrate.rules.outcome import ON, Outcome, Rule, Rules, fixed, is_on
from agent.migrate.variables import has_unknown

_WHOLE_ALERT: Final = "No counterpart: an event is the line that Falco wrote, with two keys appended."
_FORMAT: Final = (
    "No setting: the agent detects the formats of containerd, CRI-O, Docker and plain JSON lines by itself."
)
_POLLING: Final = "No counterpart: the agent reads as much as its memory budget allows."


def _path(option: Option, _section: Section) -> Outcome:
    if has_unknown(option.value):
        return Outcome(
            "No setting: a variable in the path has no value here.",
            todo=f"{option.place}: give the variable in {option.value!r} a value in the environment and run "
            "the command "
            "again, or check the tail settings.",
        )
    found = selection([part.strip() for part in option.value.split(",") if part.strip()])
    return Outcome(found.says, found.settings, todo=f"{option.place}: {found.todo}" if found.todo else "")


def _from_head(option: Option, section: Section) -> Outcome:
    says = "No setting: tail.start_at is beginning, so that nothing is skipped."
    if is_on(option.value):
        if section.get("db") is None:
            return Outcome(says, lost="Without DB, each restart sends every file again from its beginning: duplicates.")
        return Outcome(says)
    if has_unknown(option.value):
        return Outcome(says)
    return Outcome(says, lost="Alerts that are in the files before Fluent Bit's first start are skipped.")


def _long_lines(option: Option, section: Section) -> Outcome:
    says = (
        "No counterpart: no line is skipped. An alert over tail.max_record_bytes (1 MiB) becomes a smaller "
        "valid alert, "
        "and what was read of it goes to the dead letters."
    )
    limit = section.get("buffer_max_size") or "32k"
    if is_on(option.value):
        return Outcome(says, lost=f"A line over Buffer_Max_Size ({limit}) is dropped.")
    return Outcome(
        says, lost=f"One line over Buffer_Max_Size ({limit}) ends the reading of its file (fluent-bit#10435)."
    )


def _wait(option: Option, _section: Section) -> Outcome:
    return Outcome(
        "No counterpart: the agent reads a rotated file to its end, also when kubelet compresses it meanwhile.",
        lost=f"{option.value} seconds after a rotation Fluent Bit gives up the old file, with all that it has not read "
        "of it.",
    )


def _refresh(option: Option, _section: Section) -> Outcome:
    return Outcome(
        "No setting: tail.scan_seconds is 1, and inotify wakes the agent sooner.",
        lost=f"A new log file is found only after up to {option.value} seconds. One that is gone before is never read.",
    )


def _memory(option: Option, section: Section) -> Outcome:
    says = "No setting: memory_budget_bytes (16 MiB) bounds all bytes in flight. The two limits count different things."
    if (section.get("storage.type") or "").lower() == "filesystem":
        return Outcome(says)
    return Outcome(
        says,
        lost=f"When {option.value} wait in memory, reading pauses, and files that are rotated meanwhile are given up.",
    )


def _storage(option: Option, _section: Section) -> Outcome:
    says = "No counterpart: the container's log file is the buffer on disk, so there is no second copy."
    if option.value.lower() == "filesystem":
        return Outcome(says)
    return Outcome(says, lost=_IN_MEMORY)


def _sync(option: Option, _section: Section) -> Outcome:
    says = "No counterpart: the agent writes its checkpoint as one file, synced and renamed."
    if option.value.lower() in ("full", "extra"):
        return Outcome(says)
    return Outcome(says, lost=f"With DB.Sync {option.value} a power failure can lose or damage the saved positions.")


def _older(option: Option, _section: Section) -> Outcome:
    return Outcome(
        "No counterpart: the agent reads every file, however old.",
        lost=f"After an outage, files without a write for {option.value} are not read.",
    )


def _excluded(option: Option, _section: Section) -> Outcome:
    says = "No counterpart: only Falco's container is read, so nothing must be excluded."
    return Outcome(says)


def _multiline(option: Option, _section: Section) -> Outcome:
    return Outcome(
        "No setting: the agent joins the parts of a long line, also across a rotation.",
        lost="A long alert whose parts arrive more than 4 seconds apart, or on both sides of a rotation, is cut into "
        "pieces that are not JSON (fluent-bit#3938, fluent-bit#10041).",
    )


def _parser(option: Option, section: Section) -> Outcome:
    if option.value.lower() in ("docker", "cri", "crio", "cri-o", "containerd"):
        return Outcome(
            _FORMAT, lost="A parser for single lines does not join the parts of a line over 16 KiB: the alert is cut."
        )
    return Outcome(
        "No setting: the agent reads Falco's JSON and the lines of the container runtime by itself.",
        lost="On a node with containerd, a JSON parser does not match the lines, because each begins with the time of "
        "the runtime. Alerts then arrive as text in the field log (falcosecurity/charts#466).",
    )


_IN_MEMORY: Final = "Alerts that were read and not yet sent are only in memory: a crash or an OOM kill loses them."
_RECORD: Final = "No counterpart: the event has `falcowatch.id`, which names the file and the offset."

_BY_KEY: Final[dict[str, Rule]] = {
    "path": _path,
    "exclude_path": _excluded,
    "tag": fixed("No counterpart: there is one way from Falco to CloudWatch, so there are no tags."),
    "tag_regex": fixed("No counterpart: there are no tags."),
    "parser": _parser,
    "multiline.parser": _multiline,
    "multiline": fixed(_FORMAT),
    "db": fixed(
        "No setting: state_dir (/var/lib/falcowatch) holds the checkpoint. An offset advances when CloudWatch has "
        "acknowledged the alerts.",
        lost="The position is saved when a line is read, not when it is delivered: a crash skips what was in between "
        "(fluent-bit#2846).",
    ),
    "db.sync": _sync,
    "db.locking": fixed("No setting: a lock guards state_dir."),
    "db.journal_mode": fixed("No counterpart: the state is one file, without a database."),
    "db.compare_filename": fixed("No counterpart: a file is identified by inode and by its first line."),
    "mem_buf_limit": _memory,
    "skip_long_lines": _long_lines,
    "truncate_long_lines": fixed("No counterpart: a long alert becomes a smaller one that is valid JSON."),
    "skip_empty_lines": fixed("No setting: empty lines are not shipped."),
    "buffer_chunk_size": fixed("No counterpart: the agent reads 256 KiB at a time."),
    "buffer_max_size": fixed(
        "No setting: tail.max_record_bytes is 1 MiB, the limit of CloudWatch. Fluent Bit's limit is for one physical "
        "line."
    ),
    "refresh_interval": _refresh,
    "rotate_wait": _wait,
    "read_from_head": _from_head,
    "read_newly_discovered_files_from_head": fixed("No setting: tail.start_at is beginning."),
    "ignore_older": _older,
    "ignore_active_older_files": _older,
    "path_key": fixed(_RECORD),
    "offset_key": fixed(_RECORD),
    "key": fixed("No setting: a line that is not an alert is shipped as {\"log\": …, \"stream\": …}."),
    "inotify_watcher": fixed("No setting: the agent scans, and uses inotify where it works."),
    "storage.type": _storage,
    "exit_on_eof": fixed("No counterpart: the agent follows files until it is stopped."),
}  # fmt: skip

TAIL: Final = Rules(
    by_key=_BY_KEY,
    by_prefix={
        "docker_mode": fixed("No setting: the agent joins the parts of Docker's lines by itself."),
        "parser_": fixed(_FORMAT),
        "multiline_": fixed(_FORMAT),
        "thread": fixed(_POLLING),
        "static_batch": fixed(_POLLING),
        "event_batch": fixed(_POLLING),
        "progress_check": fixed(_POLLING),
        "watcher_interval": fixed(_POLLING),
        "file_cache_advise": fixed(_POLLING),
        "rate_": fixed("No counterpart: reading waits only while the memory budget is spent."),
        "storage.": fixed("No counterpart: the container's log file is the buffer on disk."),
        "processors.": fixed("No counterpart: alerts are shipped as Falco wrote them."),
        "generic.": fixed("No counterpart: Falco writes UTF-8."),
        "unicode.": fixed("No counterpart: Falco writes UTF-8."),
    },
    absent={
        "db": "Without DB, Fluent Bit starts at the end of each file after every restart: what Falco wrote "
        "meanwhile is "
        "skipped.",
        "rotate_wait": "5 seconds after a rotation (the default of Rotate_Wait) Fluent Bit gives up the old file, with "
        "all that it has not read of it.",
        "refresh_interval": "A new log file is found only after up to 60 seconds (the default of "
        "Refresh_Interval). One "
        "that is gone before is never read.",
        "skip_long_lines": "One line over Buffer_Max_Size (32k by default) ends the reading of its file "
        "(fluent-bit#10435).",
        "mem_buf_limit": "Without Mem_Buf_Limit memory grows while CloudWatch is slow, until the kernel kills "
        "Fluent Bit "
        "and what it held is lost.",
        "storage.type": _IN_MEMORY,
    },
    harmless={"db": ("read_from_head", ON), "mem_buf_limit": ("storage.type", ("filesystem",))},
)
