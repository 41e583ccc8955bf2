"""Paired benchmarks: jobqueue and its peers in turns, on one machine, in one run.

Not part of the installed package; run from the checkout with ``python -m benchmarks``.
``docs/benchmarks.md`` says how to install the peers and how to read what comes out.

====================  ==============================================================
``__main__``        the command line
``turns``           who runs when; starts each measurement in a fresh process
``measure``         what such a process does: one row, one contender, one figure
``rows``            the table of what is measured, and the goals
``contenders``      jobqueue and its peers behind one small interface
``tasks``           the functions that the contenders' workers run
``results``         medians, ratios, verdicts
``report``, ``plot``  the Markdown table and the SVG drawing
``simulate``        the scheduler's core by itself, with simulated workers
``profile``         where the time of one task goes
``stages``          the clocks that it puts around the stages
``neighbour``       what many jobs cost the batch system and the login node
====================  ==============================================================
"""
