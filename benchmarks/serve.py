"""How many answers a second does `edgexl serve` give to many clients, how late, and does its memory stay flat?

    python -m benchmarks.serve BUNDLE [--clients 50] [--threads 8] [--seconds 60] [--json]

The server is a process of its own, over loopback. Each client keeps one connection and sends the texts of the bundle's
goldens, one after the other, without a pause; clients share one Python process, which takes CPU of its own. An error is
any other status than 200, a lost connection, or an answer other than the first one to its text. Resident memory is the
server's: once every client has had twenty answers, at half time and at the end; `anonymous` is the part that is not the
mapped bundle. Linux only.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edgexl.device.local import this_machine
from edgexl.runtime.binding import open_bundle

WARM_UP = 20  # answers a client: by then there are as many sessions as threads
HEADERS = {"Content-Type": "application/json"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    report = measure(options.bundle, options.clients, options.threads, options.seconds)
    if options.json:
        print(json.dumps(report))
        return
    for name, value in report.items():
        print(f"{name:26}{value:,.2f}" if isinstance(value, float) else f"{name:26}{value}")


def measure(bundle: Path, clients: int, threads: int, seconds: float) -> dict[str, Any]:
    """Serve the bundle to so many clients for so long."""
    with open_bundle(bundle, engine=False) as handle:
        texts = handle.golden_texts()
    command = [sys.executable, "-m", "edgexl", "serve", str(bundle), "--port", "0", "--threads", str(threads)]
    server = subprocess.Popen([*command, "--read-only", "--json"], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        url = json.loads(server.stdout.readline())["url"]
        expected = {text: labels_of(ask(connect(url), text)) for text in texts}
        load = Load(url, texts, expected, clients)
        load.warm_up()
        resident = [memory(server.pid)]
        cpu = cpu_seconds(server.pid)
        began = time.perf_counter()
        for _ in range(2):
            time.sleep(seconds / 2)
            resident.append(memory(server.pid))
        took, cpu = time.perf_counter() - began, cpu_seconds(server.pid) - cpu
        ms = load.stop()
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)
        server.stdout.close()
    return {
        "cpu": this_machine().facts().cpu, "cores": this_machine().facts().cores,
        "clients": clients, "threads": threads, "seconds": took,
        "answers": len(ms), "answers_per_second": len(ms) / took, "errors": len(load.errors),
        "first_error": load.errors[0] if load.errors else "",
        "p50_ms": ms[len(ms) // 2], "p99_ms": ms[len(ms) * 99 // 100], "max_ms": ms[-1],
        "server_cpu_percent": 100 * cpu / took,
        **{f"resident_mb_{when}": part[0] for when, part in zip(("start", "middle", "end"), resident, strict=True)},
        **{f"anonymous_mb_{when}": part[1] for when, part in zip(("start", "middle", "end"), resident, strict=True)},
    }  # fmt: skip


class Load:
    """Clients, a thread each, and what they saw."""

    def __init__(self, url: str, texts: list[str], expected: dict[str, Any], clients: int) -> None:
        self.errors: list[str] = []
        self._ms: list[float] = []
        self._counts, self._over = False, False
        self._warm = threading.Barrier(clients + 1)
        self._threads = [
            threading.Thread(
                target=self._run, args=(url, texts[at % len(texts) :] + texts[: at % len(texts)], expected)
            )
            for at in range(clients)
        ]
        for thread in self._threads:
            thread.start()

    def warm_up(self) -> None:
        """Until every client has had its first answers; those after them count."""
        self._warm.wait()
        self._counts = True

    def stop(self) -> list[float]:
        """The milliseconds of all answers, least first."""
        self._over = True
        for thread in self._threads:
            thread.join()
        return sorted(self._ms)

    def _run(self, url: str, texts: list[str], expected: dict[str, Any]) -> None:
        connection, answers = connect(url), 0
        while not self._over:
            for text in texts:
                began = time.perf_counter()
                try:
                    if labels_of(ask(connection, text)) != expected[text]:
                        self.errors.append(f"another answer to {text!r}")
                except (OSError, http.client.HTTPException, ValueError) as error:
                    self.errors.append(f"{type(error).__name__}: {error}")
                    connection = connect(url)
                if self._counts and not self._over:
                    self._ms.append(1000 * (time.perf_counter() - began))
                answers += 1
                if answers == WARM_UP:
                    self._warm.wait()
                if self._over:
                    break
        connection.close()


def connect(url: str) -> http.client.HTTPConnection:
    place = urlsplit(url)
    return http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)


def ask(connection: http.client.HTTPConnection, text: str) -> dict[str, Any]:
    """An answer. Raises `ValueError` for an error of the server's."""
    connection.request("POST", "/api/predict", json.dumps({"text": text, "k": 5}), HEADERS)
    response = connection.getresponse()
    content = response.read()
    if response.status != 200:
        raise ValueError(f"{response.status} {content[:200]!r}")
    return dict(json.loads(content))


def labels_of(answer: dict[str, Any]) -> list[tuple[str, float]]:
    return [(label["id"], label["probability"]) for label in answer["labels"]]


def memory(process: int) -> tuple[float, float]:
    """Resident and anonymous megabytes."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    known = {line.partition(":")[0]: line.split()[1] for line in lines if line.startswith(("VmRSS", "RssAnon"))}
    return int(known["VmRSS"]) / 1024, int(known["RssAnon"]) / 1024


def cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
