"""The monitor of this machine, on clocks that a test moves: lag, sleep, changed clocks, canary, other runs."""

from __future__ import annotations

from dataclasses import dataclass

from kmon.blame.local_monitor import Clocks, LocalMonitor, read_clocks

S = 1_000_000_000
MS = 1_000_000


def watched(*seconds: float, boot: bool = True) -> LocalMonitor:
    """A machine that was told the time at these moments, its clocks in step."""
    machine = LocalMonitor()
    for s in seconds:
        machine.tick(Clocks(int(s * S), int(s * S) + 5 * S if boot else None, int(s * S) + 1_700_000_000 * S))
    return machine


def test_a_monitor_that_does_not_run_has_no_figures() -> None:
    machine = LocalMonitor()
    assert (machine.late_ns(0, S), machine.canary_overdue_ns(0, S), machine.suspended_ns(0)) == (None, None, None)


def test_a_loop_in_time_was_not_late_and_a_blocked_one_was_for_as_long_as_it_was() -> None:
    machine = watched(1.0, 1.02, 1.045, 1.065)
    assert machine.late_ns(0, int(1.07 * S)) == 0
    machine.tick(Clocks(3 * S, 8 * S, 1_700_000_003 * S))
    assert machine.late_ns(0, 3 * S) == 1_915 * MS
    assert machine.late_ns(2 * S, 3 * S) == S


def test_a_block_that_lasts_is_seen_before_the_loop_gets_round_to_noting_it() -> None:
    assert watched(1.0, 1.02).late_ns(0, 2 * S) == 960 * MS


def test_sleep_is_what_the_one_clock_counts_and_the_other_does_not() -> None:
    machine = watched(1.0, 1.02)
    machine.tick(Clocks(int(1.04 * S), int(606.04 * S), 1_700_000_601 * S + 40 * MS))
    assert machine.suspended_ns(S) == 600 * S
    assert machine.suspended_ns(int(1.05 * S)) == 0
    assert machine.wall_step_ns(S) == 0


def test_where_no_clock_counts_sleep_its_absence_is_not_claimed() -> None:
    assert watched(1.0, 1.02, boot=False).suspended_ns(0) is None


def test_a_wall_clock_that_is_set_is_noted_and_is_no_sleep() -> None:
    machine = watched(1.0, 1.02)
    machine.tick(Clocks(int(1.04 * S), int(6.04 * S), 1_699_996_401 * S + 40 * MS))
    assert machine.wall_step_ns(S) == -3_600 * S
    assert machine.suspended_ns(S) == 0


def test_a_canary_is_mute_from_when_its_next_beat_was_due() -> None:
    machine = LocalMonitor()
    for ms in (0, 250, 520):
        machine.on_canary_beat(ms * MS)
    assert machine.canary_overdue_ns(0, 800 * MS) == 0
    assert machine.canary_overdue_ns(0, 1_770 * MS) == S
    machine.on_canary_beat(1_770 * MS)
    assert machine.canary_overdue_ns(0, 1_800 * MS) == S
    assert machine.canary_overdue_ns(1_770 * MS, 1_800 * MS) == 0
    machine.on_canary_lost()
    assert machine.canary_overdue_ns(0, 9 * S) is None


@dataclass(frozen=True)
class Quiet:
    peer: str
    last_byte_ns: int | None


def together(*streams: Quiet) -> int:
    machine = LocalMonitor()
    machine.streams.update(streams)
    return machine.stopped_together(streams[0])


def test_streams_of_several_hosts_that_stop_at_one_moment_stopped_together() -> None:
    assert together(Quiet("a", S), Quiet("b", S + 90 * MS), Quiet("a", S - 90 * MS), Quiet("c", None)) == 3


def test_what_one_host_or_chance_explains_is_not_together() -> None:
    assert together(Quiet("a", S), Quiet("a", S + 1), Quiet("a", S + 2)) == 0, "its own outage would look the same"
    assert together(Quiet("a", S), Quiet("b", S + 1)) == 0, "two may do so by chance"
    assert together(Quiet("a", S), Quiet("b", S + 1), Quiet("c", 3 * S)) == 0, "one went on"
    assert together(Quiet("a", None), Quiet("b", S), Quiet("c", S), Quiet("d", S)) == 0, "this one had not begun"


def test_the_real_clocks_go_forward() -> None:
    machine = LocalMonitor()
    machine.tick(read_clocks())
    assert machine.tick(read_clocks()) < 20 * S
    assert not machine.suspended_ns(0)
