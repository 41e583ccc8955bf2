"""What is asked of a batch system's adapter; `answers.py` has the words in which it answers.

Rules:

1. An adapter is pure. It is asked what to run and what an answer means; it runs nothing, reads no
   file, no clock and no environment. `commands.py` runs what it says.
2. A job is known by the id that the batch system's own commands take: `5`, `5_3`, `22[3].server`.
   An element of an array is a job like any other.
3. A query that failed raises `BatchSystemError`; a job that a successful query does not mention is
   simply absent from the answer. The two are never confused.
4. A state the adapter has never heard of becomes `BatchState.UNKNOWN` and an error in the log.
"""

from __future__ import annotations

import dataclasses
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self, cast

from jobqueue.batch.answers import Argv, BatchState, Completed, Meaning, Query
from jobqueue.errors import ConfigError, SubmissionRejected

logger = logging.getLogger("jobqueue.batch")


class BatchAdapter(ABC):
    """One batch system.

    Subclasses are frozen dataclasses: what differs between sites stands in their fields.

    Attributes
    ----------
    name
        Its name, which is also its section in `jobqueue.yaml`.
    template
        The file in `templates/` that its job scripts are rendered from.
    directive_prefix
        What a line of the script begins with to be read by the batch system.
    job_id_expression
        Shell text that yields, inside a running job, the id by which we know that job.
    job_label_expression
        Shell text that yields what its workers are named after, from `$JOBQUEUE_JOB_ID`.
    credentials_expression
        Shell text that yields, inside a running job, the folder with the cluster's credentials; ""
        where that is where they were written, on a file system that the nodes see.
    keywords
        Keywords that are for this batch system alone, and that its template or its commands use.
        Each is a field of the same name, and a variable of the template.
    probe_argv
        A command whose answer shows `fallback` which dialect is spoken here, worth running once
        before the first submission; () if there is nothing to find out.
    array_limit
        How many jobs one submission may start; 1 where there are no arrays.
    option_aliases
        Short option -> long option, for directives that have two names.
    node_script
        Whether `launcher` starts a script, and not the words after it: where processes on other
        nodes begin without the job's environment. The template's block `each_node` begins it.
    """

    name: ClassVar[str]
    template: ClassVar[str]
    directive_prefix: ClassVar[str]
    job_id_expression: ClassVar[str]
    job_label_expression: ClassVar[str] = "$JOBQUEUE_JOB_ID"
    credentials_expression: ClassVar[str] = ""
    keywords: ClassVar[tuple[str, ...]] = ()
    probe_argv: ClassVar[Argv] = ()
    option_aliases: ClassVar[Mapping[str, str]] = {}
    node_script: ClassVar[bool] = False
    array_limit: int

    @abstractmethod
    def with_directives(self, directives: Sequence[str]) -> Self:
        """Return the adapter for jobs whose script holds these extra directives.

        Some of them concern the other commands as well: a job sent to another cluster of a
        federation has to be looked for there.
        """

    def with_keywords(self, values: Mapping[str, Any]) -> Self:
        """Return the adapter for a cluster that was told this.

        Parameters
        ----------
        values
            Keyword -> value; what is None, or is not among `keywords`, changes nothing.
        """
        told = {name: values[name] for name in self.keywords if values.get(name) is not None}
        if not told:
            return self
        fixed = {name: tuple(v) if isinstance(v, list) else v for name, v in told.items()}
        return cast(Self, dataclasses.replace(cast(Any, self), **fixed))

    def variables(self) -> dict[str, Any]:
        """Return what its template may use beside the variables that all templates have."""
        return {name: getattr(self, name) for name in self.keywords}

    def job_values(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return keywords with directives in the form that they have in the job script."""
        return values

    def advice(self, values: Mapping[str, Any]) -> str:
        """Return what is probably not meant in these keywords, "" if nothing is."""
        return ""

    def launcher(self, nodes: int, cores: int) -> str:
        """Return the shell words that start something on each node of a job.

        Parameters
        ----------
        nodes, cores
            Nodes of the job, from 2, and cores of each.

        Raises
        ------
        ConfigError
            There are no such jobs here.
        """
        if not self.node_script:
            raise ConfigError(
                f"nodes={nodes}: how {self.name} starts something on several nodes is not known; "
                "say it by launcher, or leave nodes out"
            )
        return '/bin/bash "$JOBQUEUE_NODE_SCRIPT"'

    def marked(self, text: str, tag: str, *, count: int = 1) -> str:
        """Return the job script with a submission's mark in it, for a system that shows it then.

        Parameters
        ----------
        text
            The script.
        tag, count
            As for `submit_argv`, which is where others put the mark.
        """
        return text

    @abstractmethod
    def submit_argv(
        self, script: str, *, count: int = 1, tag: str = "", log_directory: str | None = None
    ) -> Argv:
        """Return the command that submits a script, as `count` jobs at once.

        Parameters
        ----------
        script
            Path of the job script, which was rendered with `array=count > 1`.
        count
            Jobs to start, from 1 to `array_limit`.
        tag
            A mark unique to this submission (ids.py), by which it can be found again if the batch
            system did not answer. Batch systems that show no such mark ignore it.
        log_directory
            As in the script, for those that do not read it there.
        """

    def submit_input(self, script: str, text: str, *, count: int = 1) -> str | None:
        """Return what the submit command reads on its standard input.

        Parameters
        ----------
        script, text
            Path of the job script, and what it says.
        count
            As for `submit_argv`.

        Returns
        -------
        str or None
            None where the command reads the script by itself.
        """
        return None

    @abstractmethod
    def parse_job_ids(self, output: str, count: int = 1) -> tuple[str, ...]:
        """Return the ids of the `count` jobs just submitted; () if there is no id in the output.

        Only a line that is an id from its first to its last character counts, so that whatever a
        site prints around it does no harm.
        """

    @abstractmethod
    def rejection(self, completed: Completed) -> str:
        """Return why a submission was refused, in the batch system's own words."""

    def uncertain(self, completed: Completed) -> bool:
        """Tell whether a failed submission may have been accepted all the same.

        Then the job has to be looked for by its tag before it is submitted again.
        """
        return False

    def submitted(
        self, completed: Completed, count: int = 1, *, script: str = ""
    ) -> tuple[str, ...]:
        """Return the ids of the jobs that a submission started.

        Parameters
        ----------
        completed, count
            What the command said, and how many jobs it was to start.
        script
            Path of the job script, for the error.

        Raises
        ------
        SubmissionRejected
            The batch system refused, or answered without an id.
        """
        ids = self.parse_job_ids(completed.stdout, count) if completed.returncode == 0 else ()
        if ids:
            return ids
        words = self.rejection(completed) or "it said nothing"
        raise SubmissionRejected(
            f"{completed.argv[0]} refused the job (exit status {completed.returncode}): {words}",
            argv=completed.argv,
            returncode=completed.returncode,
            output=completed.words,
            script=script,
        )

    @abstractmethod
    def status_query(self, job_ids: Sequence[str]) -> Query:
        """Return one question that covers all these jobs, which may be many.

        Of no ids: one that covers all jobs of the user, with the marks of their submissions.
        """

    @abstractmethod
    def ended_queries(self, job_ids: Sequence[str]) -> tuple[Query, ...]:
        """Return second looks at jobs that `status_query` does not show any more.

        Best first; each is worth asking for the jobs that those before it did not explain. None of
        them need know a job: then it ended, and nobody says how.
        """

    def offers_none(self, words: str) -> bool:
        """Tell whether a second look that failed with these words will fail here for ever."""
        return False

    def reason_query(self, job_ids: Sequence[str]) -> Query | None:
        """Return a question why these jobs are pending, where `status_query` does not tell.

        Its answer is taken for the reasons in it alone. None where there is nothing more to ask.
        """
        return None

    @abstractmethod
    def cancel_argv(self, job_ids: Sequence[str]) -> Argv:
        """Return the one command that cancels all these jobs."""

    @abstractmethod
    def cancel_problem(self, completed: Completed) -> str:
        """Return what went wrong with a cancellation, "" if nothing did.

        A job that had ended already is not a problem.
        """

    @abstractmethod
    def log_pattern(self, *, array: bool) -> str:
        """Return how a job's id stands in its log's name, in the batch system's notation."""

    @abstractmethod
    def log_paths(
        self, job_id: str, *, job_name: str, log_directory: str | None
    ) -> tuple[str, ...]:
        """Return the files that a job's output goes to, stdout before stderr.

        Relative paths start at the folder that the job was submitted from.
        """

    def fallback(self, completed: Completed) -> Self | None:
        """Return an adapter for the simpler dialect that this answer shows, if it shows one.

        A command may be a relative of what was expected, without an option that was used, or a
        site may have other limits. Whoever runs commands asks after `probe_argv`, and after each
        command that failed or whose answer could not be read; it keeps the adapter returned and
        tries again.
        """
        return None

    def meaning(self, raw_state: str, table: Mapping[str, Meaning]) -> Meaning:
        """Look a raw state up; an unknown one is an error in the log."""
        try:
            return table[raw_state]
        except KeyError:
            logger.error("unknown job state batch_system=%s state=%r", self.name, raw_state)
            return BatchState.UNKNOWN, None
