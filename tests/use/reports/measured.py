"""A profile with all that one may have, of the form that `edgexl profile --json` has."""

from __future__ import annotations

from typing import Any

import numpy as np

STAGES = {
    "tokenize": 0.006,
    "encode": 0.62,
    "scan": 0.31,
    "match": 0.12,
    "rescore": 0.04,
    "gather": 0.01,
    "reason": 0.84,
}


def summarise(samples: list[float]) -> dict[str, float]:
    p50, p90, p99 = (float(np.quantile(samples, share)) for share in (0.5, 0.9, 0.99))
    return {"min_ms": min(samples), "p50_ms": p50, "p90_ms": p90, "p99_ms": p99}


def whole_profile(runs: int = 400) -> dict[str, Any]:
    """Samples are drawn; every figure that is made of them agrees."""
    draw = np.random.default_rng(0)
    samples = {stage: (ms * draw.lognormal(0, 0.18, runs)).tolist() for stage, ms in STAGES.items()}
    samples["total"] = [sum(times) for times in zip(*samples.values(), strict=True)]
    samples["total"][7] = 40.0
    kinds = [("linear_int8", "gelu", 2_900_000), ("attention", None, 90_000), ("layer_norm", None, None)]
    operations = [
        {
            "graph": graph, "number": number, "kind": kind, "shape": f"11x256x{256 * (1 + number % 4)}",
            "function": function, "p50_ms": 0.02 + 0.01 * ((7 * number) % 11), "macs": macs, "bytes": 260_000,
            "limit_ms": None if macs is None else 0.015, "share_of_limit": None if macs is None else 0.4,
            "bounds": "compute" if macs else None,
        }
        for graph in ("screener", "reasoner") for number in range(9) for kind, function, macs in [kinds[number % 3]]
    ]  # fmt: skip
    return {
        "device": "ssh://pi@till", "cpu": "Cortex-A76", "timed": True, "threads": 1, "engine": "native",
        "kernel": "neon", "runs": runs, "load_ms": 3.2, "first_ms": 9.8, "peak_resident_bytes": 38_200_000,
        "mapped_bytes": 35_100_000,
        "stages": {stage: summarise(samples[stage]) for stage in STAGES}, "total": summarise(samples["total"]),
        "samples": samples, "operations": operations,
        "throughput": [
            {"sessions": n, "queries_per_s": 480.0 * n**0.9, "p50_ms": 1.95 * n**0.1, "p99_ms": 2.5 * n}
            for n in (1, 2, 4)
        ],
        "scan": [{"threads": n, "scan_ms": 0.31 / n, "p50_ms": 1.64 + 0.31 / n} for n in (1, 2, 4)],
        "limits": {
            "int8_gmacs": 38.4, "f32_gmacs": 9.6, "file_mb_per_s": 88.0,
            "read": [{"bytes": 1 << n, "gb_per_s": 60.0 - 2 * n} for n in range(14, 28)],
        },
        "sustained": [
            {"s": 10.0 * s, "p50_ms": 1.95 + 0.02 * s, "mhz": 2400.0 - 20 * s, "celsius": 48.0 + s} for s in range(12)
        ],
        "memory": {
            "resident_bytes": 30_100_000, "peak_resident_bytes": 38_200_000, "anonymous_bytes": 4_100_000,
            "file_bytes": 26_000_000,
        },
        "busy": {
            "steal_percent": 3.2, "run_queue": 2.0, "spread_percent": 9.1,
            "warning": "The machine was busy: repeated runs differ by 9.1%.",
        },
        "baseline": {
            "name": "MiniLM, faiss and a cross-encoder", "p50_ms": 210.0, "p90_ms": 260.0, "bundle_p50_ms": 2.0,
            "stages": {"encode": 20.0, "search": 8.0, "rerank": 182.0},
        },
        "energy_mj_per_query": 4.2,
        "cold": {"first_ms": 61.0, "load_ms": 12.0, "cached_percent": 0.0},
    }  # fmt: skip
