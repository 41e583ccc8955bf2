"""What happens to workers, agents and connections: a table, and dice that choose from it."""

from __future__ import annotations

import random
import signal
import threading
import time
import traceback
from collections.abc import Callable

from place import WORKER_TTL, Place, send_signal

from jobqueue import Client

Say = Callable[[str], None]


class Trouble:
    """Makes trouble until told to stop, in a thread of its own.

    Parameters
    ----------
    place
        Where.
    dice
        Chooses what, whom and when.
    say
        Told of each thing that is done.
    kinds
        Names from `KINDS` to choose from.
    """

    def __init__(self, place: Place, dice: random.Random, say: Say, kinds: list[str]) -> None:
        self._place = place
        self._dice = dice
        self._say = say
        self._kinds = kinds
        self._client = Client(place.scheduler, name="trouble")
        self._stop = threading.Event()
        self._later: list[tuple[float, Callable[[], None]]] = []
        self.count = 0
        self.error: str | None = None
        self._thread = threading.Thread(target=self._run, name="trouble", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._make()
        except Exception:
            self.error = traceback.format_exc()

    def _make(self) -> None:
        while not self._stop.wait(self._dice.uniform(0.05, 0.9)):
            kind = self._dice.choices(self._kinds, [KINDS[name][0] for name in self._kinds])[0]
            done = KINDS[kind][1](self)
            if done is not None:
                self.count += 1
                self._say(f"{kind} {done}")
            self._undo(time.monotonic())
        self._undo(float("inf"))

    def _undo(self, now: float) -> None:
        due = [action for at, action in self._later if at <= now]
        self._later = [(at, action) for at, action in self._later if at > now]
        for action in due:
            action()

    def stop(self) -> None:
        """Make no more, and undo what can be undone.

        Raises
        ------
        RuntimeError
            It had come to an end before.
        """
        self._stop.set()
        self._thread.join()
        self._place.calm()
        self._client.close()
        if self.error is not None:
            raise RuntimeError(f"no more trouble was made: {self.error}")

    # -- kinds -------------------------------------------------------------------------------------

    def _worker(self) -> tuple[str, int] | None:
        workers = self._place.workers()
        return self._dice.choice(workers) if workers else None

    def kill_worker(self) -> str | None:
        """SIGKILL."""
        if (worker := self._worker()) is None:
            return None
        send_signal(worker[1], signal.SIGKILL)
        return f"{worker[0]} pid {worker[1]}"

    def kill_agent(self) -> str | None:
        """SIGKILL, and the kernel kills its workers."""
        agents = self._place.agents
        if len(agents) < 2:
            return None
        agent = self._dice.choice(agents)
        agent.process.kill()
        return agent.name

    def stop_worker(self) -> str | None:
        """SIGSTOP, and later SIGCONT, before or after it counts as silent."""
        if (worker := self._worker()) is None:
            return None
        seconds = self._dice.choice((0.2, 1.0, WORKER_TTL * 1.2, WORKER_TTL * 2))
        send_signal(worker[1], signal.SIGSTOP)
        self._after(seconds, lambda: send_signal(worker[1], signal.SIGCONT))
        return f"{worker[0]} pid {worker[1]} for {seconds:g} s"

    def stop_agent(self) -> str | None:
        """SIGSTOP, and later SIGCONT: crashed workers are not replaced meanwhile."""
        agent = self._dice.choice(self._place.agents)
        send_signal(agent.process.pid, signal.SIGSTOP)
        self._after(2.0, lambda: send_signal(agent.process.pid, signal.SIGCONT))
        return agent.name

    def cut(self) -> str | None:
        """End any connection: a worker's, or the one that its tasks share."""
        ports = self._place.proxy.ports()
        return self._cut(self._dice.choice(ports)) if ports else None

    def half_cut(self) -> str | None:
        """End a worker's connection for one side, so that the other one hears nothing any more."""
        ports = self._place.worker_ports()
        end = self._dice.choice(("worker", "scheduler"))
        return self._cut(self._dice.choice(ports), end) if ports else None

    def _cut(self, port: int, *ends: str) -> str | None:
        done = self._place.proxy.cut(port, *ends)
        return f"{port} {' '.join(ends)}" if done else None

    def freeze(self) -> str | None:
        """Let a connection be silent for a while."""
        seconds = self._dice.choice((0.5, WORKER_TTL * 1.2, WORKER_TTL * 2))
        ports = self._place.proxy.ports()
        if not ports or not self._place.proxy.freeze(port := self._dice.choice(ports)):
            return None
        self._after(seconds, self._place.proxy.heal)
        return f"{port} for {seconds:g} s"

    def darken(self) -> str | None:
        """Let all connections be silent for a while."""
        seconds = self._dice.choice((0.2, 1.0, WORKER_TTL * 1.5))
        self._place.proxy.darken()
        self._after(seconds, self._place.proxy.heal)
        return f"for {seconds:g} s"

    def retire(self) -> str | None:
        """Have a worker end in order."""
        names = sorted(worker.name for worker in self._place.scheduler.workers())
        if len(names) < 2:
            return None
        name = self._dice.choice(names)
        self._place.retired(name)
        self._client.retire_workers([name], timeout=2.0)
        return name

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        self._later.append((time.monotonic() + seconds, action))


KINDS: dict[str, tuple[float, Callable[[Trouble], str | None]]] = {
    "kill-worker": (5, Trouble.kill_worker),
    "kill-agent": (1, Trouble.kill_agent),
    "stop-worker": (4, Trouble.stop_worker),
    "stop-agent": (0.5, Trouble.stop_agent),
    "cut": (2, Trouble.cut),
    "half-cut": (2, Trouble.half_cut),
    "freeze": (2, Trouble.freeze),
    "darken": (1, Trouble.darken),
    "retire": (2, Trouble.retire),
}
"""Each kind of trouble: how often, compared with the others, and what does it."""
