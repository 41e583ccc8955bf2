"""A client's part about itself and its scheduler: names, how they stand, on what all of it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import islice
from typing import Any

from jobqueue.client.scattering import Scattering
from jobqueue.errors import ConfigError
from jobqueue.protocol.serialize import dumps, loads
from jobqueue.protocol.versions import versions


class About(Scattering):
    """What a client tells of itself; see `jobqueue.client.client.Client`."""

    @property
    def id(self) -> str:
        """What no other client of its scheduler is called; its name until it is connected."""
        return f"{self.name}-{self._connection.number}" if self._started else self.name

    @property
    def status(self) -> str:
        """``"newly-created"`` until it is connected, then ``"running"``, then ``"closed"``."""
        if self._book.closed is not None:
            return "closed"
        return "running" if self._started else "newly-created"

    @property
    def futures(self) -> dict[str, str]:
        """The tasks of which this client holds futures: their status, by key.

        Examples
        --------
        >>> future = client.submit(pow, 2, 10)  # doctest: +SKIP
        >>> client.futures  # doctest: +SKIP
        {'pow-0': 'pending'}
        """
        return {key: state.status for key, state in list(self._book.states.items())}

    def scheduler_info(self, n_workers: int | None = None) -> Any:
        """Return what the scheduler knows of its workers; to be awaited if asynchronous.

        Parameters
        ----------
        n_workers
            Of how many workers at most; None or -1 for all.

        Returns
        -------
        dict
            ``"address"``, the scheduler's, and ``"workers"``: a dict for each, by name.
        """
        count = None if n_workers is None or n_workers < 0 else n_workers

        def finish(workers: dict[str, Any]) -> dict[str, Any]:
            some = dict(islice(workers.items(), count))
            return {"type": "Scheduler", "address": self._connection.address, "workers": some}

        return self._sync(self._ask("workers"), finish)

    def get_versions(self, check: bool = False, packages: Sequence[str] = ()) -> Any:
        """Return what client, scheduler and workers run on; to be awaited if asynchronous.

        Parameters
        ----------
        check
            Whether it is an error if they differ in the version of a package.
        packages
            Names of more packages to look for.

        Returns
        -------
        dict
            ``"client"`` and ``"scheduler"``, each a dict with ``"host"`` and ``"packages"``; and
            ``"workers"``, a dict of such, by worker.

        Raises
        ------
        ConfigError
            They differ, and `check` is true; says who has which version.

        Examples
        --------
        >>> client.get_versions()["client"]["packages"]["python"]  # doctest: +SKIP
        '3.11.7'
        """
        call = dumps((versions, (list(packages),), {}))
        here = versions(packages)

        def finish(answers: tuple[Any, Any]) -> dict[str, Any]:
            there = {
                "client": here,
                "scheduler": loads(answers[0]),
                "workers": self._by_worker(answers[1], "raise"),
            }
            if check:
                _compare({"client": here, "scheduler": there["scheduler"], **there["workers"]})
            return there

        async def ask() -> tuple[Any, Any]:
            asked = self._ask("run-on-scheduler", call), self._called(None, call)
            return await asyncio.gather(*asked)

        return self._sync(ask(), finish)

    def shutdown(self) -> Any:
        """Close the client's cluster, with its scheduler and jobs, and then the client.

        To be awaited if the client is asynchronous. `close` ends the client alone.

        Raises
        ------
        ConfigError
            The client knows its scheduler by an address alone: whoever has started that ends it.
        """
        if self.cluster is None:
            raise ConfigError(
                f"the scheduler at {self._where} belongs to another program, which ends it; "
                "close() ends this client"
            )
        self._owns_cluster = True
        return self.close()

    def _repr_html_(self) -> str:
        from html import escape  # for notebooks only; it brings all of HTML's names of characters

        where, count = escape(str(self._where)), len(self._book.states)
        return (
            f"<b>Client</b> <code>{escape(self.id)}</code> {self.status}, {count} futures, "
            f"<code>{where}</code>"
        )


def _compare(all_versions: dict[str, Any]) -> None:
    """Raise ConfigError if processes differ in what they run on."""
    differing = []
    first = next(iter(all_versions.values()))["packages"]
    for package in first:
        found: dict[str | None, list[str]] = {}
        for name, one in all_versions.items():
            found.setdefault(one["packages"].get(package), []).append(name)
        if len(found) > 1:
            said = (f"{version or 'none'} ({', '.join(who)})" for version, who in found.items())
            differing.append(f"{package}: {'; '.join(said)}")
    if differing:
        raise ConfigError(
            "not everywhere is the same software: " + "; ".join(differing) + "; install the same "
            "versions"
        )
