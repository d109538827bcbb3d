"""A bundle opened before a fork answers after it, in the parent and in every child (gunicorn --preload, Pool)."""

from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from edgexl.base.errors import DeviceError
from edgexl.bundle.label_file import label_file_of, read_label_file
from edgexl.runtime.binding import BundleHandle, NewLabel, Prediction, open_bundle
from tests.runtime.forks import in_child
from tests.runtime.tiny_bundle import build

TEXTS = ["red river", "old king", "silver song", "storm apple glass"]
handle_of_the_parent: BundleHandle  # as a server has it that loads its application before it forks


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return build(aliases=True, native=True).write(tmp_path / "tiny.exl")


def answers(handle: BundleHandle) -> list[list[tuple[str, float]]]:
    return [labels_of(handle.predict(text)) for text in TEXTS]


def labels_of(prediction: Prediction) -> list[tuple[str, float]]:
    return [(label.id, label.logit) for label in prediction.labels]


@pytest.mark.parametrize("scan_threads", [1, 4])
def test_a_child_answers_changes_and_closes(bundle: Path, scan_threads: int) -> None:
    with open_bundle(bundle, scan_threads=scan_threads) as handle:
        expected = answers(handle)

        def work(name: str) -> None:
            assert answers(handle) == expected  # on the parent's session
            with open_bundle(bundle, scan_threads=scan_threads) as own:
                assert answers(own) == expected  # on threads of its own
            if name == "A":
                in_child(lambda: work("B"))
            handle.add_labels([NewLabel(name, "winter bread")])
            assert name in [label.id for label in handle.predict("winter bread").labels]
            handle.close()

        in_child(lambda: work("A"))
        assert answers(handle) == expected
        handle.refresh_labels()
        assert handle.labels_info().labels == 302
        in_child(handle.close)
    assert [label.id for label in read_label_file(label_file_of(bundle)).added] == ["B", "A"]


def answer_in_pool(text: str) -> list[tuple[str, float]]:
    return labels_of(handle_of_the_parent.predict(text))


def test_a_pool_of_children(bundle: Path) -> None:
    global handle_of_the_parent
    with open_bundle(bundle, scan_threads=3) as handle_of_the_parent:
        expected = answers(handle_of_the_parent)
        with multiprocessing.get_context("fork").Pool(3) as pool:
            assert pool.map_async(answer_in_pool, TEXTS * 5).get(timeout=100) == expected * 5


def test_children_of_a_process_whose_threads_are_at_it(bundle: Path) -> None:
    with open_bundle(bundle, scan_threads=2) as handle:
        expected = answers(handle)
        ended = threading.Event()

        def predict() -> None:
            while not ended.is_set():
                assert answers(handle) == expected

        def change() -> None:
            while not ended.is_set():
                handle.retire_labels(["L0299"])
                handle.add_labels([NewLabel("L0299", handle.label_text(299))])

        assert "L0299" not in {label for found in expected for label, _ in found}
        with ThreadPoolExecutor() as pool:
            at_it = [pool.submit(predict), pool.submit(predict), pool.submit(change)]
            try:
                for child in range(6):
                    in_child(partial(use_in_child, handle, f"C{child}"))
            finally:
                ended.set()
            for thread in at_it:
                thread.result()


def use_in_child(handle: BundleHandle, name: str) -> None:
    assert [len(labels) for labels in answers(handle)] == [5] * len(TEXTS)
    handle.add_labels([NewLabel(name, "winter bread")])
    handle.close()


def test_onnx_runtimes_threads_are_told_to_be_gone(tmp_path: Path) -> None:
    bundle = build().write(tmp_path / "ort.exl")
    with open_bundle(bundle, threads=2) as two:
        expected = answers(two)

        def work() -> None:
            with pytest.raises(DeviceError, match="do not outlive a fork: open the bundle again"):
                two.predict("red river")
            for threads in (1, 2):
                with open_bundle(bundle, threads=threads) as own:
                    assert answers(own) == expected
            two.close()

        in_child(work)
        assert answers(two) == expected
    with open_bundle(bundle) as one:

        def answer() -> None:
            assert answers(one) == expected
            one.close()

        in_child(answer)
