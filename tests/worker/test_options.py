"""WorkerOptions: the JSON line between agent and worker."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.worker.limits import Fractions
from jobqueue.worker.options import WorkerOptions

text = st.text(max_size=30)
maybe_text = st.none() | text
options = st.builds(
    WorkerOptions,
    addresses=st.lists(text, max_size=3).map(tuple),
    name=text,
    nthreads=st.integers(1, 1000),
    memory_limit=st.none() | st.integers(1, 2**50),
    memory_fractions=st.tuples(*[st.none() | st.floats(0, 1)] * 4).map(lambda f: Fractions(*f)),
    credentials=maybe_text,
    job_id=maybe_text,
    slot=st.integers(0, 1000),
    death_timeout=st.floats(0, 1e9),
    local_directory=maybe_text,
    interface=maybe_text,
    host=maybe_text,
    ports=st.none() | st.tuples(st.integers(1, 65535), st.integers(1, 65535)),
    resources=st.dictionaries(text, st.floats(0, 1e9), max_size=3),
    preload=st.lists(text, max_size=3).map(tuple),
    agent_pid=st.integers(1, 2**22),
    pool=text,
    ends=st.none() | st.floats(0, 1e9),
    devices=st.dictionaries(text, st.lists(text, max_size=3).map(tuple), max_size=2),
    nodefile=maybe_text,
)


@given(options)
def test_json_line_brings_the_same_options_back(original: WorkerOptions) -> None:
    """Whatever the agent says arrives unchanged, on exactly one line."""
    line = original.to_json()
    assert "\n" not in line
    assert WorkerOptions.from_json(line + "\n") == original


@pytest.mark.parametrize("line", ["", "\n", "[]", "{}", "null", '{"addresses": 3}', '{"a": 1}'])
def test_anything_else_is_refused_with_the_way_out(line: str) -> None:
    """A worker process started by hand says how it is started."""
    with pytest.raises(ValueError, match=r"python -m jobqueue\.worker"):
        WorkerOptions.from_json(line)
