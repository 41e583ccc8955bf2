"""Every message that scheduler, workers and clients say to each other, with its fields.

A message is a plain tuple whose first element is the operation. Plain tuples because the hot ones
(`SUBMIT`, `RUN`, `DONE`, `FINISHED`) carry thousands of tasks each and are packed, and unpacked, by
msgpack without an object per task. Everything said to one peer in one turn of the event loop
travels as one frame, a list of messages.

`value` below is a serialized value (`jobqueue.protocol.payload.Serialized`), `failure` what
`jobqueue.protocol.failures.Failure.to_wire` makes; keys are strings; a function is named by the
digest of its pickle, `fid` (16 bytes).
"""

from __future__ import annotations

from typing import Any

Message = tuple[Any, ...]

# -- client -> scheduler ---------------------------------------------------------------------------

FUNCTIONS = "functions"
"""(FUNCTIONS, [(fid, name, pickle), …]): functions that later messages name. Also to workers."""

SUBMIT = "submit"
"""(SUBMIT, fid, options, [(key, arguments: value, inputs: [key, …] or None), …]).

One function and one set of options (a dict, or None) for all the tasks listed, which is what both
`submit` and `map` need. Whoever submits a key wants it until it says RELEASE.

Options, each only where it differs from its default:

- ``priority`` (number, 0; higher first), ``retries`` (number, 0)
- ``workers`` ([text, …]): names, addresses, hosts or job ids of the workers that may run it;
  ``allow_other_workers`` (bool, False): these only if they are there
- ``resources`` ({name: amount}): what it takes of its worker's resources while it runs
- ``actor`` (bool, False): the result is an object with a state of its own, and stays where it is
- ``digest`` (bytes): of function and arguments, if the user chose the key
- ``tags`` ({name: anything}): the user's own, for the event log
"""

SCATTER = "scatter"
"""(SCATTER, options, [(key, value), …]): values that the client had; they go to workers if large.

Options, or None: ``workers`` as in SUBMIT; ``broadcast`` (True for all workers, or how many).
"""

WANT = "want"
"""(WANT, [key, …]): this client holds futures of these now, which somebody else submitted."""

KEEP = "keep"
"""(KEEP, [key, …]): run these to their end, even if nobody holds a future of them any more."""

RETRY = "retry"
"""(RETRY, [key, …]): run failed tasks again, and the inputs that they failed of."""

FORGET_FUNCTIONS = "forget-functions"
"""(FORGET_FUNCTIONS, [fid, …]): nobody here will name these any more, without sending them again.
Also to workers."""

CALL = "call"
"""(CALL, number, [worker, …] or None, call: value, actor: key or None), answered by CALLED.

Not a task: runs at once, beside the tasks, on each of these workers (None: on all). The call is
a pickled (function, args, kwargs), or (method, args, kwargs) of an actor. To workers it is
(CALL, number, call, actor).
"""

RELEASE = "release"
"""(RELEASE, [key, …]): this client holds no future of these any more."""

FETCH = "fetch"
"""(FETCH, [key, …]): send the values; answered by FETCHED or FETCH_FAILED, one for each key."""

CANCEL = "cancel"
"""(CANCEL, force, [key, …]): do not run these. Force (bool): even if other clients want them, and
what runs is interrupted. Also to workers."""

ASK = "ask"
"""(ASK, number, question, arguments): answered by (ANSWER, number, answer), or by REFUSED.

Workers are named by their names; where a list of workers or of keys is None, all are meant. A
worker in it may also be an address, a host or a job id.

===================  ==========================================  ===================================
question             arguments                                   answer
===================  ==========================================  ===================================
situation            key or None: what is waited for             {"workers", "running", "text"}
wait-for-workers     how many                                    None, or a failure
workers              None                                        {worker: {what is known of it}}
nthreads             [worker, …] or None                         {worker: threads}
who-has              [key, …] or None                            {key: [worker, …]}
has-what             [worker, …] or None                         {worker: [key, …]}
processing           [worker, …] or None                         {worker: [key, …]}
explain              key                                         text: why it is not done
replicate            [[key, …], n or None, [worker, …] or None]  None, when the copies are there
rebalance            [[key, …] or None, [worker, …] or None]     None, when they have moved
retire-workers       [[worker, …] or None, seconds or None]      [worker, …], when they are gone
restart              seconds or None                             None, when all are back; it is an
                                                                 error if not within these seconds
task-counts          None                                        {state: how many tasks}
run-on-scheduler     value: (function, args, kwargs)             value
coordinate           [kind, name, operation, arguments]          see `scheduler/coordination.py`
===================  ==========================================  ===================================
"""

# -- scheduler -> client ---------------------------------------------------------------------------

WELCOME = "welcome"
"""(WELCOME, number): the client's number on this scheduler, part of the keys it makes."""

FINISHED = "finished"
"""(FINISHED, [(key, value or None), …]): done; a small value rides along, others want a FETCH."""

FAILED = "failed"
"""(FAILED, [(key, failure), …]); from workers (FAILED, [(key, failure, seconds), …])."""

CANCELLED = "cancelled"
"""(CANCELLED, [key, …]): these will never have a value, because somebody cancelled them."""

LOST = "lost"
"""(LOST, [key, …]): what a FINISHED announced is gone from all workers; it is computed again."""

GONE = "gone"
"""(GONE, [(key, failure), …]): scattered values, or actors, that existed only on workers that are
gone."""

FETCHED = "fetched"
"""(FETCHED, key, value)."""

FETCH_FAILED = "fetch-failed"
"""(FETCH_FAILED, key, failure)."""

OUTAGE = "outage"
"""(OUTAGE, failure or None): no worker will come, and why; None once that is over."""

STRANDED = "stranded"
"""(STRANDED, bool): whether some tasks wait for workers that will not come, while others do not:
the question ``in-vain`` tells. Said again when it may concern others."""

ANSWER = "answer"
"""(ANSWER, number, answer)."""

REFUSED = "refused"
"""(REFUSED, number, failure): the answer to a question, or to a CALL, is an exception."""

CALLED = "called"
"""(CALLED, number, [(worker, value or None, failure or None), …]); from a worker
(CALLED, number, value or None, failure or None)."""

# -- scheduler -> worker ---------------------------------------------------------------------------

RESERVED = "reserved"
"""(RESERVED, [(key, {name: amount}), …]): what these tasks, about to be said in a RUN, take of the
worker's resources."""

RUN = "run"
"""(RUN, [(key, fid, arguments: value, inputs), …]).

`inputs` is None, or [(key, value or None, [address, …]), …]: a small input stands in the message
itself, a large one is to be fetched from a worker listening at one of the addresses.
"""

FREE = "free"
"""(FREE, [key, …]): nobody needs these results any more."""

RECALL = "recall"
"""(RECALL, [key, …]): hand these back if they have not begun; answered by RETURNED."""

SEND = "send"
"""(SEND, number, key): answered by (DATA, number, value) or (NO_DATA, number, failure or None)."""

STORE = "store"
"""(STORE, [(key, value), …]): keep these."""

COPY = "copy"
"""(COPY, [(key, [address, …]), …]): fetch and keep copies of other workers' results."""

RELAYED = "relayed"
"""(RELAYED, key, value or None, failure or None): what a RELAY asked for; None twice if it is not
to be had now, a failure if it never will be."""

INLINE_LIMIT = "inline-limit"
"""(INLINE_LIMIT, bytes): results up to this size ride along with DONE, larger ones stay."""

IMPORT_FROM = "import-from"
"""(IMPORT_FROM, [folder, …]): where the modules of the user's program are; a worker looks there
last, and passes over those that its node does not have."""

BEAT = "beat"
"""(BEAT, seconds): give a sign of life that often, see HEARTBEAT."""

MENTIONED = "mentioned"
"""(MENTIONED, [key, …]): a MENTIONS was heard; the futures inside these results may be dropped."""

RESTART = "restart"
"""(RESTART, reason): end this process; its agent starts another in its place."""

END = "end"
"""(END, reason): finish; the worker process exits. To a client: nothing more will come."""

# -- worker -> scheduler ---------------------------------------------------------------------------
# What a worker is and has (`jobqueue.protocol.hello.WorkerFacts`) stands in its hello.

DONE = "done"
"""(DONE, [(key, value or None, nbytes, seconds), …]): None: the result stays at this worker."""

RETURNED = "returned"
"""(RETURNED, [key, …]): tasks handed back without having begun."""

INPUT_GONE = "input-gone"
"""(INPUT_GONE, key, input): the task could not be run, its input is nowhere to be had."""

CUT_OFF = "cut-off"
"""(CUT_OFF, key, failure): the task failed since the connection that tasks here share was lost; it
is run again, as if its worker had died."""

COPIED = "copied"
"""(COPIED, [key, …], [key, …]): copies of these are here now; of those they could not be made."""

MENTIONS = "mentions"
"""(MENTIONS, key, [key, …]): a result, told of in the next DONE, holds futures of these."""

SECEDED = "seceded"
"""(SECEDED, key): this task has left its thread to others, and goes on."""

REJOINED = "rejoined"
"""(REJOINED, key): it has a thread again."""

LINGERING = "lingering"
"""(LINGERING, [key, …]): these run on after they were cancelled, and hold a thread each. Said
whenever it changes, and before a RECALL is answered that was said after the CANCEL."""

PAUSED = "paused"
"""(PAUSED, reason or None): no new tasks for now, for lack of memory; None: it is over."""

LEAVING = "leaving"
"""(LEAVING, reason): this worker ends, in order; what it was running is not to blame."""

DRAIN = "drain"
"""(DRAIN, reason, seconds, {key: seconds}): this worker's job ends in so many seconds. Give it no
more tasks, move what only it holds, and say END; what it still runs by then is not to blame. What
it runs now, and for how long it has."""

RELAY = "relay"
"""(RELAY, key): this worker cannot reach those that hold the key; send it through here."""

HEARTBEAT = "heartbeat"
"""(HEARTBEAT, numbers): what the worker measured of itself; each may be missing. Empty, the answer.

- ``memory``, ``spilled``: bytes that its process has in memory, and that it has put on disk
- ``cpu``: processor time it uses, in percent of one core
"""

# -- job agent -> scheduler ------------------------------------------------------------------------

WORKER_ENDED = "worker-ended"
"""(WORKER_ENDED, name, cause, blame, [line, …], running: [key, …] or None, pid): how a worker ended
without being told to; whether the tasks it ran may be to blame; the last it wrote to standard
error; which tasks those are, None if that is not known; and its process."""

# -- worker -> worker ------------------------------------------------------------------------------
# SEND, DATA and NO_DATA as above, over a connection of their own.

DATA = "data"
"""(DATA, number, value): the answer to SEND."""

NO_DATA = "no-data"
"""(NO_DATA, number, failure or None): the answer to SEND when the key is not here (None), or
cannot be pickled."""
