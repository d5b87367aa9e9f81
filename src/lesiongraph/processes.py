"""Worker processes that share the cores: one thread each, started afresh, ended with their parent."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

# BLAS and OpenMP start a thread a core in every process; two processes on two cores then spend most of
# their time waiting for each other (measured: 66 s instead of 12 s for six phantom patients).
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@contextlib.contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Give a pool of `workers` processes; on an error the work that has not begun is cancelled.

    Processes are spawned: a fork of a process that holds torch's or BLAS's threads may hang.
    """
    context = multiprocessing.get_context("spawn")
    with _environment(_ONE_THREAD):
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_leave_with_parent)
        try:
            yield pool
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables for the processes started meanwhile; this process has read its own already."""
    former = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _leave_with_parent() -> None:
    """End this worker when the parent is killed; it would otherwise wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
