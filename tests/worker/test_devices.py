"""GPUs, as workers and tasks get them."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from jobqueue.worker.devices import Devices, Loan, device_shares

CUDA = "CUDA_VISIBLE_DEVICES"


def shares(listed: str | None, amount: float, workers: int) -> list[tuple[str, ...]]:
    environ = {} if listed is None else {CUDA: listed}
    return [share[CUDA] for share in device_shares(environ, amount, workers)]


@pytest.mark.parametrize(
    ("listed", "amount", "workers", "found"),
    [
        ("0,1", 1.0, 2, [("0",), ("1",)]),
        ("GPU-a,GPU-b,GPU-c,GPU-d", 2.0, 2, [("GPU-a", "GPU-b"), ("GPU-c", "GPU-d")]),
        ("4,5,6", 1.0, 2, [("4",), ("5",)]),  # no more than was promised
        ("0,1", 0.5, 4, [("0",), ("0",), ("1",), ("1",)]),
        ("0", 1.0, 2, [("0",), ("0",)]),  # fewer than were promised
        (None, 2.0, 2, [("0", "1"), ("2", "3")]),
        (None, 1 / 3, 3, [("0",), ("0",), ("0",)]),
        ("NoDevFiles", 1.0, 2, [(), ()]),
        ("", 1.0, 1, [()]),
    ],
)
def test_workers_share_a_jobs_devices(
    listed: str | None, amount: float, workers: int, found: list[tuple[str, ...]]
) -> None:
    """In their order, as many as each has been promised; those with a part of one share it."""
    assert shares(listed, amount, workers) == found


@pytest.mark.parametrize(
    ("listed", "place", "found"),
    [
        ("4,5,6,7", 1, [("6",), ("7",)]),
        ("4,5,6,7", 2, [("4",), ("5",)]),  # more agents than devices
        (None, 1, [("2",), ("3",)]),
    ],
)
def test_agents_on_one_machine_take_devices_of_their_own(
    listed: str | None, place: int, found: list[tuple[str, ...]]
) -> None:
    """Each those that come after those of the agents before it, and round again."""
    environ = {} if listed is None else {CUDA: listed}
    assert [share[CUDA] for share in device_shares(environ, 1.0, 2, place)] == found


def test_all_variables_are_cut_alike() -> None:
    """Slurm sets several; those that are not set stay so, and without GPUs all are left alone."""
    environ = {CUDA: "2,3", "ROCR_VISIBLE_DEVICES": "2,3", "HOME": "/"}
    assert device_shares(environ, 1.0, 2)[1] == {CUDA: ("3",), "ROCR_VISIBLE_DEVICES": ("3",)}
    assert device_shares(environ, 0.0, 2) == [{}, {}]


def test_parts_leave_whole_ones_whole() -> None:
    """Two halves share a device, so that the other one can be had as a whole."""
    devices = Devices({CUDA: ("a", "b")})
    first = devices.take(0.5)
    assert devices.take(0.5).names == first.names
    (whole,) = devices.take(1.0).names
    assert whole not in first.names


def test_more_than_there_is() -> None:
    """Nobody waits: the least used is lent; a worker without devices lends none."""
    devices = Devices({CUDA: ("a", "b")})
    assert devices.take(2.0).names == ("a", "b")
    assert len(devices.take(1.0).names) == 1
    assert devices.take(5.0).names == ("a", "b")
    assert Devices({}).take(1.0) == Loan((), ())


def test_the_process_shows_a_tasks_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the task has them, then all again; the latest counts if one has made way."""
    monkeypatch.setenv(CUDA, "2,3")
    devices = Devices({CUDA: ("2", "3")}, shown=True)
    one = devices.take(1.0)
    assert (os.environ[CUDA],) == one.names
    other = devices.take(1.0)
    assert (os.environ[CUDA],) == other.names
    devices.give_back(one)
    assert (os.environ[CUDA],) == other.names
    devices.give_back(other)
    assert os.environ[CUDA] == "2,3"


class LoansMachine(RuleBasedStateMachine):
    """Tasks that take devices as the scheduler lets them: never more than there is."""

    loans = Bundle("loans")

    def __init__(self) -> None:
        super().__init__()
        self.devices = Devices({CUDA: ("a", "b", "c")})
        self.out: list[tuple[float, Loan]] = []

    @rule(target=loans, amount=st.sampled_from([0.25, 0.5, 1.0, 1.5, 2.0, 3.0]))
    def take(self, amount: float) -> Loan | None:
        if sum(taken for taken, _ in self.out) + amount > 3:
            return None
        loan = self.devices.take(amount)
        assert len(set(loan.names)) == len(loan.names) >= 1
        self.out.append((amount, loan))
        return loan

    @rule(loan=consumes(loans))
    def give_back(self, loan: Loan | None) -> None:
        if loan is not None:
            self.devices.give_back(loan)
            place = next(i for i, (_, other) in enumerate(self.out) if other is loan)
            del self.out[place]

    @invariant()
    def the_books_are_right(self) -> None:
        taken = sum(part for _, loan in self.out for _, part in loan.places)
        assert abs(taken - sum(amount for amount, _ in self.out)) < 1e-6
        if not self.out:
            assert self.devices.take(3.0).names == ("a", "b", "c")
            self.devices = Devices({CUDA: ("a", "b", "c")})

    @invariant()
    def whole_tasks_have_devices_of_their_own(self) -> None:
        if all(amount == int(amount) for amount, _ in self.out):
            names = [name for _, loan in self.out for name in loan.names]
            assert len(set(names)) == len(names)


TestLoansMachine = LoansMachine.TestCase
TestLoansMachine.settings = settings(stateful_step_count=20)
