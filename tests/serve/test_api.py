"""The API over real connections: its answers are the runtime's, its errors one sentence with the right status."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from edgexl.runtime.binding import BundleHandle, open_bundle
from edgexl.serve.app import MOST_BODY_BYTES
from edgexl.serve.endpoints import ENDPOINTS
from edgexl.use.labels import list_labels
from tests.command_line import Edgexl
from tests.runtime.tiny_bundle import TinyBundle, build
from tests.serve.server import JSON, Server, serving

TEXT = "the red river and an old bridge"


def without_times(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != "ms"}


def test_an_answer_is_the_runtimes(unchanged: Server, handle: BundleHandle) -> None:
    said = unchanged.post("/api/predict", {"text": TEXT, "k": 7, "screening": 4}).json
    expected = handle.predict(TEXT, k=7)
    assert list(said["ms"]) == list(expected.ms)
    assert (
        without_times(expected.as_json()).items()
        <= {
            **without_times(said),
            "labels": [{key: label[key] for key in ("id", "text", "probability")} for label in said["labels"]],
        }.items()
    )
    order = expected.shortlist_labels.tolist()
    assert [label["shortlist_rank"] for label in said["labels"]] == [
        1 + order.index(label.index) for label in expected.labels
    ]
    assert [label["id"] for label in said["screening"]] == [handle.label_id(label) for label in order[:4]]
    ranked = expected.ranked.tolist()
    assert [label["reasoner_rank"] for label in said["screening"]] == [1 + ranked.index(label) for label in order[:4]]
    assert said["shortlist"] == len(order)
    assert "coverage_holds" not in said


def test_several_texts_are_answered_each_by_itself(unchanged: Server) -> None:
    said = unchanged.post("/api/predict", {"texts": [TEXT, " ", "dark forest"], "k": 2}).json["answers"]
    alone = [unchanged.post("/api/predict", {"text": text, "k": 2}).json for text in (TEXT, "dark forest")]
    assert [without_times(said[place]) for place in (0, 2)] == [without_times(answer) for answer in alone]
    assert said[1] == {"text": " ", "error": "the text holds no token."}


def test_sets_by_threshold_and_coverage(unchanged: Server, handle: BundleHandle) -> None:
    for asked, expected in (
        ({"k": 9, "threshold": 0.2}, handle.predict(TEXT, 9, 0.2)),
        ({"threshold": "own"}, handle.predict(TEXT, threshold=-1)),
        ({"coverage": 0.5}, handle.predict(TEXT, coverage=0.5)),
    ):
        said = unchanged.post("/api/predict", {"text": TEXT, **asked}).json
        assert [label["id"] for label in said["labels"]] == [label.id for label in expected.labels]
        assert said.get("coverage_holds", False) == expected.coverage_holds


def test_a_long_text_is_read_in_windows(tmp_path: Path) -> None:
    bundle = build(native=True, windows=3).write(tmp_path / "long.exl")
    text = " ".join(["storm", "snow", "rain", "river"] * 8)
    with serving(bundle) as server, open_bundle(bundle) as handle:
        for windows in (None, 1, 2):
            said = server.post("/api/predict", {"text": text} | ({"windows": windows} if windows else {})).json
            expected = handle.predict(text, windows=windows or 0)
            assert (said["windows"], said["truncated"]) == (expected.windows, expected.truncated)
            assert [label["id"] for label in said["labels"]] == [label.id for label in expected.labels]
        assert expected.windows == 2


def test_an_explanation_is_the_runtimes(unchanged: Server, handle: BundleHandle) -> None:
    told = next(label for label in range(300) if handle.label_description(label))
    said = unchanged.post("/api/explain", {"text": TEXT, "labels": [f"L{told:04d}", handle.label_text(3)]}).json
    assert said["text"] == TEXT
    for way, index in zip(said["explanations"], (told, 3), strict=True):
        described = {"state": "compiled", "description": handle.label_description(index)}
        assert way == handle.explain(TEXT, index).as_json() | described
    assert said["explanations"][0]["description"]


def test_labels_are_completed_and_listed_by_pages(unchanged: Server, handle: BundleHandle) -> None:
    prefix = handle.label_text(7)[:2]
    said = unchanged.get(f"/api/labels/complete?{urlencode({'prefix': prefix, 'limit': 3})}").json
    found = handle.complete(prefix, 3)
    assert said["labels"] == [{"id": handle.label_id(label), "text": handle.label_text(label)} for label in found]
    first = unchanged.get("/api/labels?state=all&limit=298").json
    second = unchanged.get(f"/api/labels?state=all&start={first['next']}").json
    listed = first["labels"] + second["labels"]
    assert [label["id"] for label in listed] == [handle.label_id(label) for label in range(300)]
    assert second["next"] is None


def test_a_label_comes_gets_an_alias_and_goes(server: Server, edgexl: Edgexl) -> None:
    added = server.post("/api/labels/add", {"labels": [{"id": "N1", "text": "red river horse", "aliases": ["snow"]}]})
    assert (added.status, added.json["added"], added.json["labels"], added.json["first_index"]) == (200, 1, 301, 300)
    assert not {"bundle", "labels_file"} & set(added.json)
    assert server.post("/api/predict", {"text": "red river horse"}).json["labels"][0]["id"] == "N1"
    assert server.post("/api/labels/alias", {"label": "red river horse", "aliases": ["silver song"]}).status == 200
    way = server.post("/api/explain", {"text": "silver song", "labels": ["N1"]}).json["explanations"][0]
    assert (way["screening_rank"], way["found_by"], way["state"]) == (1, "alias", "added")
    listed = server.get("/api/labels").json["labels"]
    assert [(label["id"], label["text"], label["aliases"]) for label in listed] == [
        ("N1", "red river horse", ["snow", "silver song"])
    ]
    assert [label.aliases for label in list_labels(server.bundle)] == [("snow", "silver song")]
    gone = server.post("/api/labels/retire", {"ids": ["N1", "L0004"]}).json
    assert (gone["retired"], gone["labels"]) == (2, 299)
    assert [label["id"] for label in server.get("/api/labels?state=retired").json["labels"]] == ["L0004", "N1", "N1"]
    # what another process changes is seen at once
    assert edgexl("labels", "add", server.bundle, "N2", "dark forest snow").status == 0
    assert server.post("/api/predict", {"text": "dark forest snow"}).json["labels"][0]["id"] == "N2"
    assert server.get("/api/bundle").json["label_set"]["labels"] == 300


def test_an_alias_that_would_forget_what_was_compiled_waits_for_a_word(server: Server, handle: BundleHandle) -> None:
    uid = next(f"L{label:04d}" for label in range(300) if handle.label_description(label))
    described = {"label": uid, "aliases": ["silver song"]}
    server.post("/api/labels/alias", described).refuses(409, uid, "descriptions", "forget_compiled")
    assert server.get("/api/bundle").json["label_set"]["generation"] == 0
    assert server.post("/api/labels/alias", described | {"forget_compiled": True}).status == 200
    plain = next(at for at in range(300) if not _has_more_rows(handle, at))
    assert server.post("/api/labels/alias", {"label": f"L{plain:04d}", "aliases": ["old king"]}).status == 200
    assert server.get("/api/labels").json["labels"][1]["text"] == handle.label_text(plain)


def _has_more_rows(handle: BundleHandle, label: int) -> bool:
    way = handle.explain(TEXT, label)
    return way.alias_score is not None or way.description_score is not None


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/api/predict", b"{", 400, ["not readable JSON"]),
        ("/api/predict", b"\xff\xfe", 400, ["UTF-8"]),
        ("/api/predict", b'{"text": NaN}', 400, ["NaN"]),
        ("/api/predict", b"[" * 100_000, 400, ["nested too deeply"]),
        ("/api/predict", b"[]", 422, ["type list", "JSON object"]),
        ("/api/predict", b"{}", 422, ["either 'text' or 'texts'"]),
        ("/api/predict", b'{"text": "a", "texts": ["a"]}', 422, ["either 'text' or 'texts'"]),
        ("/api/predict", b'{"txt": "a"}', 422, ["unknown key 'txt'", "did you mean 'text'"]),
        ("/api/predict", b'{"text": 3}', 422, ["text must be str"]),
        ("/api/predict", b'{"text": ""}', 422, ["no token"]),
        ("/api/predict", b'{"text": "a\\ud800"}', 422, ["not valid UTF-8"]),
        ("/api/predict", b'{"text": "a", "k": 0}', 422, ["k is 0"]),
        ("/api/predict", b'{"text": "a", "k": 1.5}', 422, ["k must be int"]),
        ("/api/predict", b'{"texts": ["a"], "k": 1000}', 422, ["k is 1000"]),
        ("/api/predict", b'{"texts": ["a"], "windows": 99}', 422, ["windows is 99"]),
        ("/api/predict", b'{"text": "a", "windows": 0}', 422, ["windows is 0"]),
        ("/api/predict", b'{"texts": []}', 422, ["0 items"]),
        ("/api/predict", b'{"text": "a", "threshold": 2}', 422, ["threshold is 2"]),
        ("/api/predict", b'{"text": "a", "threshold": "mine"}', 422, ["mine", "own"]),
        ("/api/predict", b'{"text": "a", "coverage": 0}', 422, ["coverage is 0"]),
        ("/api/explain", b'{"text": "a", "labels": []}', 422, ["0 items"]),
        ("/api/explain", b'{"text": "a", "labels": ["nosuch"]}', 404, ["'nosuch'"]),
        ("/api/labels/add", b'{"labels": [{"id": "L0001", "text": "a"}]}', 409, ["L0001"]),
        ("/api/labels/add", b'{"labels": [{"id": "N1", "text": " "}]}', 422, ["no token"]),
        ("/api/labels/add", b'{"labels": [{"id": "N1"}]}', 422, ["labels[0]", "'text' is missing"]),
        ("/api/labels/add", b'{"labels": [{"id": "N1", "text": "a"}], "replace": true}', 404, ["N1"]),
        ("/api/labels/retire", b'{"ids": ["N1"]}', 404, ["N1"]),
        ("/api/labels/alias", b'{"label": "N1", "aliases": ["a"]}', 404, ["N1"]),
    ],
)
def test_what_cannot_be_done(unchanged: Server, path: str, body: bytes, status: int, words: list[str]) -> None:
    unchanged.send("POST", path, body, JSON).refuses(status, *words)
    assert unchanged.get("/api/bundle").json["label_set"]["generation"] == 0


def test_paths_methods_and_parameters_that_there_are_not(unchanged: Server) -> None:
    unchanged.get("/nosuch").refuses(404, "no such path")
    unchanged.get("/api/predict").refuses(405, "another method")
    unchanged.send("DELETE", "/api/labels").refuses(405, "another method")
    unchanged.get("/api/labels?start=x").refuses(422, "start is 'x'")
    unchanged.get("/api/labels?state=new").refuses(422, "new")
    unchanged.get("/api/labels?limit=9999").refuses(422, "limit is 9999")
    unchanged.get("/api/labels/complete").refuses(422, "'prefix' is missing")
    unchanged.send("POST", "/api/predict", b"{}", {"Content-Type": "text/plain"}).refuses(415, "application/json")


def test_bodies_that_are_too_large_are_not_read(unchanged: Server) -> None:
    too_large = b" " * (MOST_BODY_BYTES + 1)
    unchanged.send("POST", "/api/predict", too_large, JSON).refuses(413, "larger than")
    chunked = (too_large[at : at + 65536] for at in range(0, len(too_large), 65536))
    unchanged.send("POST", "/api/predict", chunked, JSON).refuses(413, "larger than")
    most = json.dumps({"text": "red " * 100}).encode().ljust(MOST_BODY_BYTES)
    assert unchanged.send("POST", "/api/predict", most, JSON).json["truncated"] is True


# ---- who may call ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "[::", "", "8.8.8.8"])
def test_another_hosts_name_is_refused(unchanged: Server, host: str) -> None:
    for path in ("/", "/api/health", "/api/labels"):
        unchanged.get(path, Host=host).refuses(421, "not called")


def test_own_names_are_known(unchanged: Server) -> None:
    for host in ("localhost", "localhost:9999", "LOCALHOST", "127.0.0.1", "[::1]:80"):
        assert unchanged.get("/api/health", Host=host).status == 200


def test_pages_of_other_origins_get_nothing(unchanged: Server) -> None:
    host = urlsplit(unchanged.url).netloc
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": f"http://localhost:{int(host.split(':')[1]) + 1}"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        reply = unchanged.send("POST", "/api/labels/retire", b'{"ids": ["L0001"]}', JSON | headers)
        reply.refuses(403, "another origin")
        unchanged.send("GET", "/api/bundle", headers=headers).refuses(403, "another origin")
        preflight = unchanged.send("OPTIONS", "/api/labels/retire", headers=headers)
        assert preflight.status in (403, 405)
        assert not [name for name in {**reply.headers, **preflight.headers} if name.startswith("access-control")]
    own = {"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin", "Host": host}
    assert unchanged.send("GET", "/api/bundle", headers=own).status == 200


def test_a_server_that_others_reach_changes_no_labels_unless_told(small: TinyBundle, tmp_path: Path) -> None:
    bundle, change = small.write(tmp_path / "small.exl"), {"labels": [{"id": "N1", "text": "red"}]}
    with serving(bundle, "--host", "0.0.0.0", "--name", "till.example") as server:
        assert server.said["writable"] is False
        server.post("/api/labels/add", change).refuses(403, "--writable")
        assert server.post("/api/predict", {"text": TEXT}).status == 200
        for host in ("till.example", "192.0.2.7:8000", socket.gethostname()):
            assert server.get("/api/health", Host=host).status == 200
        server.get("/api/health", Host="evil.example").refuses(421, "not called")
    with serving(bundle, "--read-only") as server:
        server.post("/api/labels/retire", {"ids": ["L0001"]}).refuses(403, "--writable")
    with serving(bundle, "--host", "0.0.0.0", "--writable") as server:
        assert server.post("/api/labels/add", change).json["labels"] == 301


# ---- the document ------------------------------------------------------------------------------------------------


def test_answers_are_what_the_document_says(server: Server) -> None:
    document = server.get("/openapi.json").json
    assert {(path, method.upper()) for path, of in document["paths"].items() for method in of} == {
        (one.path, one.method) for one in ENDPOINTS
    }
    new = {"labels": [{"id": "N1", "text": "watering can", "aliases": ["old king"]}]}
    asked: list[tuple[str, Any]] = [
        ("/api/predict", {"text": TEXT, "screening": 2}),
        ("/api/predict", {"texts": [TEXT, ""], "coverage": 0.5}),
        ("/api/explain", {"text": TEXT, "labels": ["L0001", "L0299"]}),
        ("/api/labels/add", new),
        ("/api/labels/alias", {"label": "N1", "aliases": ["song"]}),
        ("/api/labels?state=all", None),
        ("/api/labels/complete?prefix=w", None),
        ("/api/labels/retire", {"ids": ["N1"]}),
        ("/api/bundle", None),
        ("/api/health", None),
    ]
    for path, body in asked:
        reply = server.get(path) if body is None else server.post(path, body)
        operation = document["paths"][path.partition("?")[0]]["get" if body is None else "post"]
        assert reply.status == 200
        check(reply.json, operation["responses"]["200"]["content"]["application/json"]["schema"])
        if body is not None:
            check(body, operation["requestBody"]["content"]["application/json"]["schema"])
    assert {path.partition("?")[0] for path, _ in asked} == {one.path for one in ENDPOINTS}
    refused = server.post("/api/predict", {})
    operation = document["paths"]["/api/predict"]["post"]
    check(refused.json, operation["responses"]["default"]["content"]["application/json"]["schema"])


def check(value: Any, schema: dict[str, Any]) -> None:
    """The value is as its schema says, and an object has no key that the schema does not name."""
    if "anyOf" in schema:
        failures = []
        for choice in schema["anyOf"]:
            try:
                return check(value, choice)
            except AssertionError as error:
                failures.append(str(error))
        raise AssertionError(failures)
    if "const" in schema or "enum" in schema:
        assert value in schema.get("enum", [schema.get("const")])
        return None
    kinds = {"string": str, "number": int | float, "integer": int, "boolean": bool, "array": list, "object": dict}
    named = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    if value is None:
        assert "null" in named
        return None
    assert any(isinstance(value, kinds[kind]) for kind in named if kind != "null"), (value, schema)
    assert isinstance(value, bool) == (named == ["boolean"])
    for item in value if "items" in schema else ():
        check(item, schema["items"])
    if "properties" in schema:
        assert set(schema.get("required", ())) <= set(value) <= set(schema["properties"]), (value, schema)
        for key, item in value.items():
            check(item, schema["properties"][key])
    return None


# ---- many at once ------------------------------------------------------------------------------------------------


def test_many_clients_get_what_each_gets_alone_while_labels_change(server: Server, small: TinyBundle) -> None:
    texts = [f"{small.texts[place]} {small.texts[place + 1]}" for place in range(0, 200, 4)]
    before = [server.post("/api/predict", {"text": text, "k": 3}).json for text in texts]

    def change(number: int) -> list[int]:
        new = {"labels": [{"id": f"N{number}", "text": f"z{number} q x z"}]}
        ids = {"ids": [f"N{number}"]}
        return [
            server.post(path, body).status for path, body in (("/api/labels/add", new), ("/api/labels/retire", ids))
        ]

    with ThreadPoolExecutor(16) as pool:
        changes = pool.map(change, range(20))
        after = list(pool.map(lambda text: server.post("/api/predict", {"text": text, "k": 3}), texts * 8))
        assert all(statuses == [200, 200] for statuses in changes)
    assert {reply.status for reply in after} == {200}
    alone = [server.post("/api/predict", {"text": text, "k": 3}).json for text in texts]
    assert [answer["labels"] for answer in alone] == [answer["labels"] for answer in before]
    known = {label["id"] for answer in before for label in answer["labels"]}
    assert all(label["id"] in known or label["id"][0] in "NL" for reply in after for label in reply.json["labels"])
