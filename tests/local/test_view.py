"""The demo's view: live in a terminal, plain lines elsewhere, and the closing proof."""

import io
from dataclasses import replace

import pytest
from rich.console import Console
from rich.text import Text

from agent.audit.findings import Findings
from agent.audit.kinds import Kind
from agent.audit.report import AuditResult
from agent.audit.verify import NodeResult
from agent.local.chaos import Act, Entry
from agent.local.closing import proof_of
from agent.local.demo import introduction
from agent.local.progress import DemoProgress, LatestAlert, Outcome, Rate
from agent.local.view import DemoView, frame_of, line_of

PROGRESS = DemoProgress(
    target=100_000,
    written=60_000,
    arrived=55_000,
    duplicates=0,
    elapsed_seconds=7.4,
    rate_written=8_123.4,
    rate_arrived=7_999.6,
    puts=61,
    put_rate=8.24,
    latest_alerts=(LatestAlert("12:03:44", "Error", "Mkdir binary dirs", "default/nginx2-abc"),),
)
NODE = NodeResult("demo", Findings("demo"), 1_795_852_800_000, 1_795_852_860_000, events=100_000, duplicates=2, seals=2)
AUDIT = AuditResult(("/falco/demo",), 1_795_766_460_000, 1_795_852_860_000, [NODE], 100_004, 0)
OUTCOME = Outcome(
    audit=AUDIT,
    written=100_000,
    arrived=100_000,
    duplicates=2,
    altered=0,
    seconds=12.5,
    cpu_seconds=1.84,
    peak_bytes=54 << 20,
    next_steps=(("falcowatch demo --keep ./demo", "keeps everything"),),
)


def text_of(renderable, width=100):
    output = io.StringIO()
    Console(file=output, width=width, force_terminal=False).print(renderable)
    return output.getvalue()


def watched(terminal: bool) -> tuple[Console, io.StringIO]:
    output = io.StringIO()
    return Console(file=output, force_terminal=terminal, width=100, height=30, _environ={"TERM": "xterm"}), output


def test_the_live_view_shows_progress_rates_and_the_latest_alerts():
    text = text_of(frame_of(PROGRESS))

    assert "7.4 s" in text
    assert "60,000" in text
    assert "8,123/s" in text
    assert "55,000" in text
    assert "8,000/s" in text
    assert "under way 5,000    requests 61 (8.2/s)    duplicates 0" in text
    assert "12:03:44  Error     Mkdir binary dirs" in text
    assert "paused" not in text


def test_the_view_says_that_reading_is_paused_under_back_pressure():
    progress = replace(PROGRESS, backpressure=True)

    assert "reading is paused" in text_of(frame_of(progress))
    assert line_of(progress).endswith("reading is paused")


def test_the_view_has_the_same_height_for_any_number_of_alerts():
    heights = {
        len(text_of(frame_of(replace(PROGRESS, latest_alerts=[*PROGRESS.latest_alerts] * number))).splitlines())
        for number in (0, 1, 8, 30)
    }

    assert len(heights) == 1


@pytest.mark.parametrize("width", [30, 60, 200])
def test_the_view_and_the_proof_fit_into_a_terminal_of_any_width(width):
    long = LatestAlert("12:03:44", "Informational", "r" * 300, "p" * 300)

    for renderable in (frame_of(replace(PROGRESS, latest_alerts=(long,))), proof_of(OUTCOME)):
        assert max(map(len, text_of(renderable, width).splitlines())) <= width


def test_control_characters_and_markup_of_an_alert_have_no_effect():
    evil = "\x1b[2J\r\n[bold]x[/bold]\u202e"
    progress = replace(PROGRESS, latest_alerts=(LatestAlert(evil, evil, evil, evil),))

    text = text_of(frame_of(progress), width=200) + text_of(proof_of(replace(OUTCOME, next_steps=((evil, evil),))), 200)

    assert not {"\x1b", "\r", "\u202e"} & set(text)
    assert text.count("[bold]x[/bold]") >= 5


def test_the_proof_shows_counts_costs_and_next_steps():
    text = text_of(proof_of(OUTCOME))

    assert "Proved from CloudWatch alone: every alert is there, unchanged, and none is forged." in text
    assert "Second check, with the log files: every alert arrived, unchanged." in text
    for line in ("written      100,000", "arrived      100,000", "lost               0", "duplicates         2"):
        assert line in text
    assert "12 s in total, 8,000 alerts a second" in text
    assert "the agent used 1.8 s of CPU time including its start and 54 MiB peak memory" in text
    assert "falcowatch demo --keep ./demo   keeps everything" in text


@pytest.mark.parametrize(
    ("arrived", "altered", "words"), [(99_997, 0, "3 alerts lost, 0 altered"), (100_000, 5, "0 alerts lost, 5 altered")]
)
def test_the_proof_states_a_failure(arrived, altered, words):
    outcome = replace(OUTCOME, arrived=arrived, altered=altered)

    assert not outcome.holds
    assert outcome.failure == "not every alert arrived as it was written"
    assert f"Second check, with the log files: {words}." in text_of(proof_of(outcome))


def test_the_demo_fails_when_the_audit_does_not_prove_although_every_alert_arrived():
    findings = Findings("demo")
    findings.add(Kind.NODE_RUNNING, "seal 2")
    outcome = replace(OUTCOME, audit=replace(AUDIT, nodes=[replace(NODE, findings=findings)]))

    assert outcome.is_equal
    assert not outcome.holds
    assert outcome.failure == "the audit does not prove that CloudWatch holds every alert as it was written"
    assert "Not proved: the audit above says what is missing, altered or undecided." in text_of(proof_of(outcome))


def test_without_a_terminal_the_view_writes_one_line_a_second_and_one_at_the_end():
    console, output = watched(terminal=False)

    with DemoView(console) as view:
        for tick in range(12):
            view.show(replace(PROGRESS, elapsed_seconds=tick * 0.25))
        view.show(replace(PROGRESS, arrived=100_000, elapsed_seconds=2.8))
    view.conclude(OUTCOME)

    lines = output.getvalue().splitlines()
    assert [line[:7] for line in lines[:4]] == ["    0 s", "    1 s", "    2 s", "    3 s"]
    assert lines[3] == (
        "    3 s  written 60,000 (8,123/s)  arrived 100,000 of 100,000 (8,000/s)  "
        "under way 0  requests 61  duplicates 0"
    )
    assert lines[4:] == [
        "Audit of /falco/demo",
        "100,004 events from 2026-11-27T08:01:00Z to 2026-11-28T08:01:00Z, of 1 node",
        "",
        "node  result  from                  proved up to           events  duplicates  rejected  gaps  filtered",
        "demo  proved  2026-11-28T08:00:00Z  2026-11-28T08:01:00Z  100,000           2         0     0         0",
        "",
        "Proved: nothing is missing, altered or forged.",
        "",
        "Proved from CloudWatch alone: every alert is there, unchanged, and none is forged.",
        "Second check, with the log files: every alert arrived, unchanged.",
        "  written         100,000",
        "  arrived         100,000",
        "  lost                  0",
        "  altered               0",
        "  duplicates            2",
        "  12 s in total, 8,000 alerts a second",
        "  the agent used 1.8 s of CPU time including its start and 54 MiB peak memory",
        "  next: falcowatch demo --keep ./demo  keeps everything",
    ]


STEPS = (Entry(8.02, Act.KILL, "kill -9"), Entry(11.4, Act.RECOVER, "CloudWatch answers again", "62 requests hit"))


def test_without_a_terminal_each_step_of_the_chaos_is_one_line():
    console, output = watched(terminal=False)

    with DemoView(console) as view:
        for tick in range(12):
            view.show(replace(PROGRESS, elapsed_seconds=8 + tick * 0.5, chaos=STEPS[: 1 + (tick > 6)]))
        view.list_steps(STEPS)

    lines = [line for line in output.getvalue().splitlines() if "written" not in line]
    assert lines == ["    8 s  kill -9", "   11 s  CloudWatch answers again (62 requests hit)"]


def test_in_a_terminal_the_steps_of_the_chaos_stand_in_the_view_and_stay_on_the_screen():
    console, output = watched(terminal=True)

    text = text_of(frame_of(replace(PROGRESS, chaos=STEPS)), width=80)
    DemoView(console).list_steps(STEPS)

    for shown in (text, Text.from_ansi(output.getvalue()).plain):
        assert "8 s  kill -9" in shown
        assert "11 s  CloudWatch answers again  62 requests hit" in shown
    assert len(text.splitlines()) == len(text_of(frame_of(replace(PROGRESS, chaos=())), width=80).splitlines()) == 24


def test_in_a_terminal_the_view_is_drawn_four_times_a_second_and_removed_before_the_proof():
    console, output = watched(terminal=True)

    with DemoView(console) as view:
        for tick in range(21):
            view.show(replace(PROGRESS, elapsed_seconds=tick * 0.05))
        frames = output.getvalue().count("Latest alerts to arrive")
    view.conclude(OUTCOME)

    assert frames == 5, "frames at 0, 0.25, 0.5, 0.75 and 1 s"
    shown = output.getvalue()
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1, "the cursor is hidden and shown again"
    assert shown.rstrip().endswith("╯\x1b[0m")


@pytest.mark.parametrize("terminal", [True, False])
def test_an_announcement_is_not_wrapped_or_cut(terminal):
    console, output = watched(terminal)
    line = "status page http://127.0.0.1:9801/ " + "x" * 120

    with DemoView(console) as view:
        view.show(PROGRESS)
        view.announce(line)

    assert line in output.getvalue()


def test_the_cursor_is_shown_again_after_an_interruption():
    console, output = watched(terminal=True)

    def watch():
        with DemoView(console) as view:
            view.show(PROGRESS)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch()

    assert output.getvalue().count("\x1b[?25h") == 1


def test_a_rate_covers_the_last_seconds_only():
    rate = Rate(window_seconds=2)

    assert rate.update(0, 0.0) == 0
    assert rate.update(100, 1.0) == 100
    assert rate.update(300, 2.0) == 150
    assert rate.update(300, 4.0) == 0


def test_the_lines_before_the_view_fit_into_80_columns_and_say_that_the_missed_system_calls_are_captured():
    lines = introduction("http://127.0.0.1:65535", "http://127.0.0.1:65534")

    assert max(map(len, lines)) <= 80
    assert "http://127.0.0.1:65535/metrics" in lines[1]
    assert "notice of missed system calls, so the status page shows that" in " ".join(lines)
