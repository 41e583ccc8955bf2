"""Programs: several calls in one task."""

from __future__ import annotations

import pickle
from operator import add

import pytest

from jobqueue.errors import SerializationError
from jobqueue.graph.programs import Call, Program, Ref, make_dict, make_list


def test_calls_use_parameters_and_earlier_results():
    """By number; the last of them by name."""
    program = Program([Call(add, (0, 1)), Call(sorted, (2, -1), ("reverse",))])
    assert program(0, 1, [1, 3, 2]) == [3, 2, 1]
    again = pickle.loads(pickle.dumps(program))
    assert again(0, 0, [1, 3, 2]) == [1, 2, 3]
    assert again.calls == program.calls


def test_a_program_is_named_after_what_it_is_for():
    """Not after the containers it builds."""
    assert Program([Call(add, (0, 1)), Call(make_list, (-1,))]).__name__ == "add"
    assert Program([Call(make_list, (0,)), Call(make_dict, ())]).__name__ == "make_dict"


def test_a_reference_is_nothing_outside_of_its_graph():
    """An error that says so, where it is unpickled all the same."""
    ref = Ref("x")
    ref.key = "x-0"
    with pytest.raises(SerializationError, match="only known while its graph runs"):
        pickle.loads(pickle.dumps(ref))
