"""DuckDB over the parts of a store, timed as `benches/store.rs` times the store's own queries.

usage: store.py FOLDER ROUNDS, with one statement per line on standard input, `{readings}` and `{alerts}` for the tables.
Prints for each statement the median in milliseconds and the number of rows. Needs the package `duckdb`.
"""

import statistics
import sys
import time

import duckdb


def main() -> None:
    folder, rounds = sys.argv[1], int(sys.argv[2])
    tables = {
        name: f"read_parquet('{folder}/parquet/{name}/**/*.parquet', hive_partitioning = true)" for name in ("readings", "alerts")
    }
    connection = duckdb.connect()
    # The store's queries run on one thread each, for the sake of the alarms.
    connection.execute("SET threads = 1; SET TimeZone = 'UTC'")
    for statement in sys.stdin.read().splitlines():
        sql = statement.format(**tables)
        times, rows = [], 0
        for _ in range(rounds):
            began = time.perf_counter()
            rows = len(connection.execute(sql).fetchall())
            times.append((time.perf_counter() - began) * 1000)
        print(f"{statistics.median(times):.3f} {rows}")


if __name__ == "__main__":
    main()
