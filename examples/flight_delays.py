"""Ask a folder of CSV files which flights are late: dask's data frames, computed by workers.

    python examples/flight_delays.py
    python examples/flight_delays.py --folder flights --years 30 --flights 200000

The folder is made if it is not there: one file a year, with a row for each flight. The program is
dask's as it is written everywhere; `Client()` is what has it computed by jobqueue. On a batch
system, put `SLURMCluster(cores=8, memory="32GB") as cluster, Client(cluster)` in its place, with
`cluster.scale(jobs=4)`, and the folder where the nodes see it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from jobqueue import Client

try:
    import dask
    import dask.dataframe as dd
    import numpy as np
    import pandas as pd
except ImportError as missing:
    sys.exit(f"This example needs dask's data frames ({missing}): pip install 'jobqueue[examples]'")

CARRIERS = {"AA": 4.0, "DL": 2.0, "HA": -1.0, "UA": 6.0, "WN": 8.0}
"""How late the flights of each are on average, in minutes, before the day goes wrong."""

AIRPORTS = ["ATL", "DEN", "HNL", "JFK", "LAX", "ORD", "SFO"]


def write_year(path, year, flights):
    """Make up a year: who leaves later in the day is later."""
    random = np.random.default_rng(year)
    carrier = random.choice(list(CARRIERS), flights)
    hour = random.integers(5, 24, flights)
    delay = random.gamma(1.0, 2.0 + hour, flights) - 12 + [CARRIERS[c] for c in carrier]
    day = pd.Timestamp(year, 1, 1) + pd.to_timedelta(random.integers(0, 365, flights), "D")
    columns = {
        "date": day.strftime("%Y-%m-%d"),
        "hour": hour,
        "carrier": carrier,
        "origin": random.choice(AIRPORTS, flights),
        "delay": delay.round(1),
        "cancelled": random.random(flights) < 0.02,
    }
    pd.DataFrame(columns).to_csv(path, index=False)


def make_folder(client, folder, years, flights):
    """Have the files written that are missing, each by a task."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {folder / f"{year}.csv": year for year in range(1990, 1990 + years)}
    missing = [path for path in paths if not path.exists()]
    client.gather(client.map(write_year, missing, map(paths.get, missing), flights=flights))


def ask(folder):
    """Return what there is to be known, as small tables of pandas'."""
    flights = dd.read_csv(str(folder / "*.csv"), parse_dates=["date"])
    flown = flights[~flights.cancelled]
    # All at once: each file is read once for all of them.
    return dask.compute(
        flights.cancelled.mean(),
        flown.groupby("carrier").delay.agg(["mean", "std", "count"]),
        flown.groupby("hour").delay.mean(),
        (flown.delay > 15).groupby(flown.date.dt.year).mean(),
    )


def main():
    """Write the files, and print three tables about them."""
    options = parse_arguments()
    with Client() as client, tempfile.TemporaryDirectory() as temporary:
        folder = Path(options.folder or temporary).absolute()
        make_folder(client, folder, options.years, options.flights)
        cancelled, carriers, hours, years = ask(folder)
    print(f"{cancelled:.2%} of the flights were cancelled; the others, by carrier:")
    print(carriers.sort_values("mean").round(2).to_string())
    print(f"The best hour is {hours.idxmin()}, with {hours.min():.2f} minutes on average,")
    print(f"the worst {hours.idxmax()}, with {hours.max():.2f}.")
    print("More than a quarter of an hour late:")
    print("\n".join(f"  {year}: {share:.2%}" for year, share in years.sort_index().items()))


def parse_arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", help="where the files are, or are to be (a temporary one)")
    parser.add_argument("--years", type=count, default=6, help="files (6)")
    parser.add_argument("--flights", type=count, default=5000, help="flights a year (5000)")
    return parser.parse_args()


def count(text):
    """Read a number of files, or of their rows."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is too few: there has to be one")
    return number


if __name__ == "__main__":
    main()
