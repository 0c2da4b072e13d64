"""Runs the benchmarks: ``python benchmarks/run.py [--quick] [--only NAME ...] [--servers NAME ...]``."""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from install import install

RAW = Path(__file__).resolve().parent / "results" / "raw"


def arguments() -> argparse.Namespace:
    from servers import PEERS
    from workloads import WORKLOADS

    parser = argparse.ArgumentParser(description="Server CPU per operation: asyncsock and its peers.")
    parser.add_argument(
        "--quick", action="store_true", help="all of it in about two minutes, with fewer clients"
    )
    names = [workload.name for workload in WORKLOADS]
    names += sorted({workload.group for workload in WORKLOADS if workload.group})
    parser.add_argument("--only", nargs="+", choices=names, metavar="WORKLOAD", help=", ".join(names))
    parser.add_argument("--servers", nargs="+", choices=list(PEERS), metavar="SERVER", help=", ".join(PEERS))
    parser.add_argument("--before", metavar="COMMIT", help="asyncsock as it was then is a further server")
    parser.add_argument("--python", metavar="PATH", help="asyncsock on that Python is a further server")
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds (3)")
    parser.add_argument("--seconds", type=float, help="length of a round (1, quick: 0.1)")
    return parser.parse_args()


def main() -> None:
    install()
    import report
    from measure import machine
    from servers import LOAD_CORE, OURS, SERVER_CORE, Pool, add_before, add_python, raise_file_limit, versions
    from workloads import QUEUE, WORKLOADS

    options = arguments()
    further = []
    if options.before is not None:
        further.append(add_before(options.before))
    if options.python is not None:
        further.append(add_python(options.python))
    seconds = options.seconds or (0.1 if options.quick else 1.0)
    raise_file_limit()
    os.sched_setaffinity(0, {LOAD_CORE})
    gc.disable()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))  # so that the servers end too
    started = time.monotonic()
    results: dict = {
        "quick": options.quick,
        "machine": machine(),
        "versions": versions(),
        "rounds": options.rounds,
        "workloads": [],
    }
    if SERVER_CORE == LOAD_CORE:
        print("There is one core: the load shares it with the servers", file=sys.stderr)
    with Pool() as pool:
        try:
            for workload in WORKLOADS:
                size = workload.size[1] if options.quick else workload.size[0]
                asked_for = options.only and {workload.name, workload.group}.intersection(options.only)
                if not (size if options.only is None else asked_for):
                    continue
                names = [n for n in workload.servers if options.servers is None or n in options.servers]
                if OURS in workload.servers:
                    names += further
                if names:
                    begun = time.monotonic()
                    rounds = measure(pool, workload, size or workload.size[0], names, seconds, options)
                    results["workloads"].append(report.summarise(workload, size or workload.size[0], rounds))
                    results["workloads"][-1]["seconds"] = round(time.monotonic() - begun, 1)
                    print(report.text(results["workloads"][-1]), flush=True)
        finally:
            QUEUE.end()
    results["minutes"] = round((time.monotonic() - started) / 60, 1)
    RAW.mkdir(parents=True, exist_ok=True)
    (RAW / time.strftime("%Y%m%d-%H%M%S.json")).write_text(json.dumps(results, indent=1))
    report.write(results, partial=options.only is not None or options.servers is not None)


def measure(pool, workload, size, names, seconds, options) -> dict[str, list | str]:
    """All rounds of one workload: each server's outcomes, or what went wrong with it.

    The servers take turns within a round, since a machine's speed drifts.
    """
    from servers import PEERS, too_many
    from workloads import QUEUE

    outcomes: dict[str, list | str] = {}
    for name in names:
        reason = too_many(size, name)
        outcomes[name] = f"not run: {reason}" if reason else []
    first = 1 if workload.fresh else 0  # round 0 warms up
    for number in range(first, options.rounds + 1):
        for name in names:
            if isinstance(outcomes[name], str):
                continue
            queue = None
            try:
                queue = QUEUE.url(name) if workload.queue and PEERS[name].channel else None
                if workload.fresh:
                    pool.drop(name, queue)
                server = pool.get(name, queue)
                outcome = workload.measure(server, size, seconds)
                server.rest()
            except Exception as error:
                outcomes[name] = f"failed: {type(error).__name__}: {error}"
                pool.drop(name, queue)
                continue
            if number:
                outcomes[name].append(outcome)
        gc.collect()
    if workload.fresh:
        for name in names:
            pool.drop(name)
    return outcomes


if __name__ == "__main__":
    main()
