"""Attack: the same signed call sent to several workers, at once or after one was killed or stopped."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from multiprocessing.connection import Connection
from pathlib import Path

from filter_time import T0, G, W, at, clear, refusal, running, worker

from pyproxy._native import ReplayFilter

_FORK = multiprocessing.get_context("fork")


def _hammer(path: Path, vouched: bytes, second: int, nonces: list[bytes], seed: int, out: Connection) -> None:
    """Claims every nonce, in an order of its own; sends one byte per nonce: won or not."""
    mine = worker(path, vouched, capacity=50_000)
    order = list(range(len(nonces)))
    random.Random(seed).shuffle(order)
    won = bytearray(len(nonces))
    out.send_bytes(b"ready")
    out.recv_bytes()
    for index in order:
        won[index] = refusal(mine, at(second), T0 + second, nonces[index], b"key%d" % (index % 5)) is None
    out.send_bytes(won)


def test_of_duplicates_hammered_at_four_workers_exactly_one_each_passes(tmp_path: Path) -> None:
    path = tmp_path / "replay"
    filter_, second = running(path, capacity=50_000)
    nonces = [os.urandom(16) for _ in range(20_000)]
    pipes = [_FORK.Pipe() for _ in range(4)]
    processes = [
        _FORK.Process(target=_hammer, args=(path, filter_.fingerprint, second, nonces, seed, theirs))
        for seed, (_, theirs) in enumerate(pipes)
    ]
    for process in processes:
        process.start()
    for ours, _ in pipes:
        assert ours.recv_bytes() == b"ready"
    for ours, _ in pipes:
        ours.send_bytes(b"go")
    won = [ours.recv_bytes() for ours, _ in pipes]
    for process in processes:
        process.join()
    assert {sum(each) for each in zip(*won, strict=True)} == {1}


def _claim_and_tell(replay_filter: ReplayFilter, second: int, out: int) -> None:
    """Claims nonces without end and tells each that it won, until it is killed."""
    number = 0
    while True:
        if refusal(replay_filter, at(second), T0 + second, b"nonce %d" % number, b"key%d" % (number % 5)) is None:
            os.write(out, number.to_bytes(4))
        number += 1


def test_nothing_that_a_killed_worker_accepted_is_accepted_again(tmp_path: Path) -> None:
    path = tmp_path / "replay"
    filter_, second = running(path, capacity=500_000)
    for round_ in range(5):
        reader, writer = os.pipe()
        victim = _FORK.Process(target=_claim_and_tell, args=(filter_, second + round_, writer))
        victim.start()
        os.close(writer)
        accepted = os.read(reader, 4 * random.randrange(1, 2000))
        os.kill(victim.pid or 0, signal.SIGKILL)
        victim.join()
        while more := os.read(reader, 65536):
            accepted += more
        os.close(reader)
        numbers = [int.from_bytes(accepted[i : i + 4]) for i in range(0, len(accepted) - 3, 4)]
        successor = worker(path, filter_.fingerprint, capacity=500_000)
        for number in numbers:
            nonce, key_id = b"nonce %d" % number, b"key%d" % (number % 5)
            assert refusal(successor, at(second + round_), T0 + second + round_, nonce, key_id) == "replayed"


def _replay_with_an_old_clock(path: Path, vouched: bytes, second: int, out: Connection) -> None:
    """Reads the clock once, then replays for as long as it lives: a worker stopped between time check and claim."""
    mine = worker(path, vouched)
    read_long_ago = at(second)
    counts: dict[str | None, int] = {}
    while not out.poll():
        for number in range(100):
            reason = refusal(mine, read_long_ago, T0 + second, b"nonce %d" % number)
            counts[reason] = counts.get(reason, 0) + 1
    out.send(counts)


def test_a_worker_stopped_until_its_table_was_cleared_accepts_no_replay(tmp_path: Path) -> None:
    path = tmp_path / "replay"
    filter_, second = running(path)
    for number in range(100):
        assert refusal(filter_, at(second), T0 + second, b"nonce %d" % number) is None
    for turn in range(3):
        ours, theirs = _FORK.Pipe()
        args = (path, filter_.fingerprint, second, theirs)
        victim = _FORK.Process(target=_replay_with_an_old_clock, args=args)
        victim.start()
        os.kill(victim.pid or 0, signal.SIGSTOP)
        os.waitid(os.P_PID, victim.pid or 0, os.WSTOPPED)
        later = second + 2 * W + turn * G
        clear(filter_, at(later))
        assert refusal(filter_, at(later), T0 + later, b"a call of the next turn") is None
        os.kill(victim.pid or 0, signal.SIGCONT)
        ours.send(b"enough")
        counts = ours.recv()
        victim.join()
        assert None not in counts, counts
        second_is_past = refusal(filter_, at(later), T0 + second, b"nonce 0")
        assert second_is_past in {"signature-expired", "replay-fenced"}


def test_a_nonce_given_back_by_one_worker_is_taken_by_one_other_only(tmp_path: Path) -> None:
    path = tmp_path / "replay"
    filter_, second = running(path)
    others = [worker(path, filter_.fingerprint) for _ in range(3)]
    claim = filter_.claim(T0 + second, b"k", b"n", now=at(second))
    assert not isinstance(claim, str)
    assert [refusal(other, at(second), T0 + second, b"n") for other in others] == ["replayed"] * 3
    assert filter_.release(claim)
    assert [refusal(other, at(second), T0 + second, b"n") for other in others] == [None, "replayed", "replayed"]
