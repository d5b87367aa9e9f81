"""Try several ways to train the regressor side by side, by leave-patients-out, on one GPU (or a CPU).

    python benchmarks/ssbr_trials.py --prepare .scratch/prepared.pkl.xz          # where the data lie
    python benchmarks/ssbr_trials.py --run .scratch/prepared.pkl.xz --device cuda --seconds 270 --out DIR

Trainings share the GPU, each with a process of its own; what does not fit into `--seconds` is not started.
DIR gets results.jsonl (a line a training) and, packed, the models of the best two trials that have all folds
and a model of everyone (ssbr-TRIAL-0.tar, -1.tar), and everyone's model of the others (ssbr-others.tar).
Unpacked into .scratch/ssbr-folds/packaged, `ssbr.py` judges the folds in full. `locating/trials.py` lists the
trials.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import tarfile
import time
import traceback
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path

import numpy as np
import torch

from lesiongraph.bodypart import SsbrModel
from locating.carried import draw_all, prepare, read, write
from locating.folds import EVERYONE
from locating.trials import FOLD_NAMES, Ground, Job, all_jobs, judge, merit, summary, train
from provenance import add_data_argument, commit, print_header

_FORK = get_context("fork")  # what was read and drawn is shared, not copied
_PACK_S = 6.0  # for packing at the end
_OVERHEAD_S = 6.0  # of a training beside its steps
_FIRST_FOLDS = 3  # models in a trial's first archive: each stays below 16 MiB
_MPS = "CUDA_MPS_PIPE_DIRECTORY"


def main() -> None:
    """Prepare, or run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_argument(parser)
    parser.add_argument("--prepare", type=Path, help="write the file that travels")
    parser.add_argument("--run", type=Path, help="the file that travelled")
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--seconds", type=float, default=270, help="until everything is written")
    parser.add_argument("--until", type=float, help="the same as a time of day, seconds since 1970")
    parser.add_argument("--workers", type=int, default=14)
    parser.add_argument("--judged", type=int, default=30, help="phantoms of each kind to judge by")
    parser.add_argument("--trial", nargs="+", help="only these")
    parser.add_argument("--scale", type=float, default=1.0, help="of steps and phantoms; to try the script")
    parser.add_argument("--step-s", type=float, default=0.06, help="seconds a step, until one was measured")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.prepare:
        write(prepare(chosen.data), chosen.prepare)
        print(f"{chosen.prepare}: {chosen.prepare.stat().st_size / 2**20:.1f} MiB")
        return
    left_s = chosen.seconds if chosen.until is None else chosen.until - time.time()
    run(chosen, time.monotonic(), left_s)


def run(chosen: argparse.Namespace, started: float, left_s: float) -> None:
    """Draw phantoms, train what fits into the time, judge, pack."""
    print_header(torch=torch.__version__)
    jobs = [_scaled(job, chosen.scale) for job in all_jobs(chosen.trial)]
    carried = read(chosen.run)
    print(f"read after {time.monotonic() - started:.0f} s", flush=True)
    phantoms, carried.judging = draw_all([job.trial.mix for job in jobs], chosen.judged, os.cpu_count() or 1)
    print(f"{len(phantoms)} training phantoms after {time.monotonic() - started:.0f} s", flush=True)
    ground = Ground(carried, phantoms, chosen.device)
    chosen.out.mkdir(parents=True, exist_ok=True)
    desk = Desk(ground, jobs, chosen.out, started, started + left_s - _PACK_S, chosen.step_s)
    try:
        desk.work(chosen.workers)
    finally:
        pack(desk.rows, desk.weights, chosen.out)
    print("\n".join(summary(desk.rows)))
    print(f"ended after {time.monotonic() - started:.0f} s", flush=True)


def _scaled(job: Job, scale: float) -> Job:
    if scale == 1:
        return job
    mix = tuple((kind, max(4, round(scale * count))) for kind, count in job.trial.mix)
    return replace(job, trial=replace(job.trial, mix=mix, steps=max(2, round(scale * job.trial.steps))))


@dataclass
class Worker:
    """A process that trains what it is given."""

    process: object
    line: Connection
    job: Job | None = None
    since: float = 0.0


class Desk:
    """Hands out trainings, writes down what comes back.

    A training whose process died is given to one more process, which does without MPS.
    """

    def __init__(
        self, ground: Ground, jobs: list[Job], out: Path, started: float, deadline: float, step_s: float
    ) -> None:
        self.ground, self.jobs, self.out, self.started, self.deadline = ground, jobs, out, started, deadline
        self.step_s = [step_s]  # seconds a step, as measured while all share the GPU
        self.rows: list[dict[str, object]] = []
        self.weights: dict[tuple[str, str], bytes] = {}
        self.failed: set[Job] = set()

    def work(self, count: int) -> None:
        """Keep `count` processes busy until nothing more fits."""
        workers = [self._hire(mps=True) for _ in range(min(count, len(self.jobs)))]
        for worker in workers:
            self._give(worker)
        while any(worker.job for worker in workers) and time.monotonic() < self.deadline:
            left = max(0.0, self.deadline - time.monotonic())
            busy = {worker.line: worker for worker in workers if worker.job}
            for line in wait(list(busy), timeout=left):
                worker = busy[line]  # type: ignore[index]
                try:
                    self._take(worker, *worker.line.recv())
                except (EOFError, OSError):
                    workers[workers.index(worker)] = self._replace(worker)
                worker.job = None
            for worker in workers:
                if worker.job is None:
                    self._give(worker)
        for worker in workers:
            if worker.job:
                self._say(f"{worker.job.trial.name} {worker.job.fold}: not done in time")
            worker.process.kill()  # type: ignore[attr-defined]

    def _hire(self, *, mps: bool) -> Worker:
        ours, theirs = _FORK.Pipe()
        process = _FORK.Process(target=_serve, args=(self.ground, theirs, mps), daemon=True)
        process.start()
        theirs.close()
        return Worker(process, ours)

    def _give(self, worker: Worker) -> None:
        """Give the first training that will be done in time."""
        rate = float(np.median(self.step_s))
        for job in self.jobs:
            if time.monotonic() + _OVERHEAD_S + 1.15 * job.cost * rate < self.deadline:
                worker.line.send(job)
                self.jobs.remove(job)
                worker.job, worker.since = job, time.monotonic()
                return

    def _take(self, worker: Worker, row: dict[str, object], weights: bytes) -> None:
        job = worker.job
        assert job is not None
        if "error" in row:
            self._say(f"{job.trial.name} {job.fold}: {row['error']}")
        else:
            if len(self.step_s) == 1 and not self.rows:
                self.step_s.clear()
            self.step_s.append(max(0.0, time.monotonic() - worker.since - _OVERHEAD_S) / job.cost)
            self.step_s[:] = self.step_s[-15:]
            self.rows.append(row)
            self.weights[job.trial.name, job.fold] = weights
            self._say(f"{job.trial.name} {job.fold}: {summary([row])[0]}")
        with (self.out / "results.jsonl").open("a") as stream:
            stream.write(json.dumps({"trial": job.trial.name, "fold": job.fold, **row}) + "\n")

    def _replace(self, worker: Worker) -> Worker:
        job = worker.job
        assert job is not None
        worker.process.join(1)  # type: ignore[attr-defined]
        again = "" if job in self.failed else ", once more without MPS"
        self._say(f"{job.trial.name} {job.fold}: its process died ({worker.process.exitcode}){again}")  # type: ignore[attr-defined]
        if job not in self.failed:
            self.failed.add(job)
            self.jobs.insert(0, job)
        return self._hire(mps=False)

    def _say(self, text: str) -> None:
        print(f"[{time.monotonic() - self.started:4.0f} s] {text}", flush=True)


def _serve(ground: Ground, line: Connection, mps: bool) -> None:
    """Train what comes down the line until the process is ended."""
    torch.set_num_threads(1)
    if not mps:
        os.environ[_MPS] = "/nonexistent"
    torch.backends.cudnn.allow_tf32 = False  # scores as a CPU gives them; training is in bfloat16
    while True:
        job: Job = line.recv()
        try:
            model, told = train(job, ground)
            told |= judge(model, told, ground)
            told["commit"] = os.environ.get("LESIONGRAPH_COMMIT") or commit()  # a carried tree has no git
            line.send((told, _weights(model)))
        except Exception as cause:  # one training's end is not the others'
            traceback.print_exc()
            if "CUDA" in str(cause):  # nothing runs in this process after that: let the desk see it die
                os._exit(1)
            line.send(({"error": f"{type(cause).__name__}: {cause}"}, b""))


def _weights(model: SsbrModel) -> bytes:
    path = Path("/tmp") / f"ssbr-{os.getpid()}.safetensors"
    model.save(path)
    found = path.read_bytes()
    path.unlink()
    return found


def pack(rows: list[dict[str, object]], weights: dict[tuple[str, str], bytes], out: Path) -> None:
    """Pack all models of the best two trials that have every one, and everyone's model of the others."""
    by_trial: dict[str, list[dict[str, object]]] = {}
    for row in rows:
        by_trial.setdefault(str(row["trial"]), []).append(row)
    finals = {name: own for name, own in by_trial.items() if (name, EVERYONE) in weights}
    whole = [name for name, own in finals.items() if len(own) == len(FOLD_NAMES) + 1]
    best = sorted(whole, key=lambda name: -merit(_folds(finals[name])))[:2]
    for name in best:
        own = sorted(finals[name], key=lambda row: str(row["fold"]))
        for part, some in enumerate((own[:_FIRST_FOLDS], own[_FIRST_FOLDS:])):
            _pack(out / f"ssbr-{name}-{part}.tar", some, weights)
    others = [
        row for name, own in finals.items() if name not in best for row in own if row["fold"] == EVERYONE
    ]
    if others:
        _pack(out / "ssbr-others.tar", others[:_FIRST_FOLDS], weights)


def _folds(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return [row for row in rows if row["fold"] != EVERYONE]


def _pack(path: Path, rows: list[dict[str, object]], weights: dict[tuple[str, str], bytes]) -> None:
    """Write models and, beside each fold's, the JSON that `locating.folds` reads."""
    with tarfile.open(path, "w") as tar:
        for row in rows:
            trial, fold = str(row["trial"]), str(row["fold"])
            name = f"ssbr-{trial}" if fold == EVERYONE else f"fold-{fold}"
            keys = ("commit", "left_out", "steps", "phantoms", "volumes_per_batch", "train_s", "device")
            told = {key: row[key] for key in keys}
            _add(tar, f"{name}.safetensors", weights[trial, fold])
            _add(tar, f"{name}.json", (json.dumps(told, indent=2) + "\n").encode())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


if __name__ == "__main__":
    main()
