"""What a fresh process does: measure one row with one contender and write the figure down.

``python -m benchmarks.measure CONTENDER ROW SIZE FILE``: the runner in `turns` starts this.
The figure goes to a file, because contenders and their children own stdout and stderr.
"""

import sys
from pathlib import Path

from benchmarks.contenders import CONTENDERS
from benchmarks.rows import ROWS


def main(contender: str, row: str, size: str, file: str) -> None:
    """Measure and write."""
    figure = ROWS[row].measure(CONTENDERS[contender](), int(size))
    Path(file).write_text(repr(figure), encoding="ascii")


# Workers that are spawned import this file again under another name: they mustn't measure.
if __name__ == "__main__":
    main(*sys.argv[1:])
