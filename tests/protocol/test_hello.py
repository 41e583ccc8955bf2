"""What peers say of themselves when they connect."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.protocol.hello import PYTHON, WorkerFacts, refusal

FACTS = st.builds(
    WorkerFacts,
    name=st.text(),
    nthreads=st.integers(1, 1000),
    addresses=st.lists(st.text()).map(tuple),
    memory_limit=st.none() | st.integers(1, 2**50),
    job_id=st.none() | st.text(),
    host=st.text(),
    pid=st.integers(0, 2**22),
    resources=st.dictionaries(st.text(), st.floats(allow_nan=False)),
    agent=st.booleans(),
    pool=st.text(),
    time_left=st.none() | st.floats(allow_nan=False),
)
GOOD = WorkerFacts("w", 2, ("tls://10.0.0.1:4000",)).to_hello()


@given(FACTS)
def test_facts_arrive_as_they_left(facts):
    """Over the wire, where tuples become lists."""
    hello = msgpack.unpackb(msgpack.packb(facts.to_hello()))
    assert WorkerFacts.from_hello(hello) == facts
    assert refusal(hello) is None


@pytest.mark.parametrize("field", WorkerFacts._fields)
def test_whatever_is_missing_is_named(field):
    """An older worker may not say all that a scheduler wants to know."""
    hello = {key: value for key, value in GOOD.items() if key != field}
    with pytest.raises(ValueError, match=field):
        WorkerFacts.from_hello(hello)
    assert field in (refusal(hello) or "")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"nthreads": 0}, "0 threads"),
        ({"nthreads": "two"}, "'two' threads"),
        ({"name": 5}, "it was 5"),
        ({"python": "2.7"}, "Python 2.7"),
        ({"python": None}, "Python None"),
    ],
)
def test_what_no_worker_can_be_is_refused(change, words):
    """In words that whoever started it understands."""
    assert words in (refusal({**GOOD, **change}) or "")


def test_clients_need_the_same_python_too():
    """Their pickles would not run on the workers."""
    assert refusal({"role": "client", "python": PYTHON}) is None
    reason = refusal({"role": "client", "python": "3.0"})
    assert reason is not None
    assert reason.startswith("the client runs Python 3.0, the scheduler Python")
