"""The package for the web answers to the bit in Node and in a real Chromium, and its page looks as it should."""

from __future__ import annotations

import base64
import functools
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgexl import __version__
from edgexl.bundle.receipt import differences, parse_receipts
from edgexl.runtime.binding import open_bundle
from edgexl.ship.machines import LOOK_UP
from edgexl.ship.npm import ship_web
from edgexl.ship.product import Product
from edgexl.use.diff import write_patch
from tests.runtime.tiny_bundle import build
from tests.serve.browser import browse
from tests.ship.conftest import Run, unpack

pytestmark = pytest.mark.slow
ALL = r"""
import { readFileSync } from "node:fs";
import { open, addSignature, recordOf, EdgexlError } from "tiny-words";
const b = await open({ verify: true });
const texts = JSON.parse(process.argv[2]);
const out = { version: b.version, info: b.info, report: b.selfTest() };
out.answers = b.predictBatch(texts, { k: 3 }).map((a) => a.labels.map((l) => [l.id, l.probability, l.logit]));
out.threshold = b.predict(texts[0], { threshold: 0.999999 }).labels.length;
out.noneFits = b.predict(texts[0]).noneFits;
out.rank = b.explain(texts[0], out.answers[0][0][0]).reasonerRank;
out.complete = b.complete("old", 2).map((l) => [l.id, l.text]);
out.vectors = readFileSync("node_modules/tiny-words/vectors.tsv", "utf8").trimEnd().split("\n").filter((line) => {
  const [text, noneFits, ...cells] = line.split("\t");
  const a = b.predict(text, { k: cells.length / 2 });
  const bits = (x) => new Uint32Array(new Float32Array([x]).buffer)[0].toString(16).padStart(8, "0");
  const got = a.labels.flatMap((l) => [l.id, bits(l.probability)]);
  return JSON.stringify(got) === JSON.stringify(cells) && a.noneFits === (noneFits === "1");
}).length;
out.receipts = texts.map((text) => {
  const { receipt, answer } = b.receipt(text, { key: "a secret of the app", note: "web", time: 7, k: 3, coverage: 0 });
  const signed = addSignature(receipt, new Uint8Array([1, 2, 3]));
  if (recordOf(signed).length !== receipt.length - 4) throw new Error("the record is another one");
  return [Buffer.from(signed).toString("base64"), answer.labels[0].id];
});
try { b.receipt(texts[0], { key: "too short" }); } catch (error) { out.shortKey = [error.message, error.status]; }
out.changes = b.changes();
b.addLabel({ id: "new-1", text: "zebra lantern" });
out.added = b.predict("zebra lantern", { k: 1 }).labels[0].id;
const later = await open({ changes: b.changes() });
out.kept = later.predict("zebra lantern", { k: 1 }).labels[0].id;
b.retireLabel("new-1");
out.states = [...b.labels()].filter((l) => l.id === "new-1").map((l) => l.state);
try { b.predict(""); } catch (error) { out.refused = [error instanceof EdgexlError, error.message, error.status]; }
b.close();
try { b.predict("old"); } catch (error) { out.closed = error.message; }
console.log(JSON.stringify(out));
"""
PAGE = """<!doctype html><title>t</title><link rel="icon" href="data:,"><script type="module">
import { open, openInWorker } from "/package/index.js";
const steps = [];
const first = performance.now();
const here = await open({ onProgress: (done, total) => steps.push(done / total) });
const again = performance.now();
const warm = await open();
const told = { steps, cached: (await (await caches.open("edgexl")).keys()).length };
told.warm_ms = performance.now() - again;
const texts = %s;
const told_of = (answers) => answers.map((a) => a.labels.map((l) => [l.id, l.probability, l.logit]));
told.answers = told_of(warm.predictBatch(texts, { k: 3 }));
const worker = await openInWorker();
told.worker = told_of(await worker.predictBatch(texts, { k: 3 }));
told.receipt = (await worker.receipt(texts[0], { key: "a secret of the app" })).receipt.length;
told.refused = await worker.predict("").catch((error) => error.message);
worker.close();
told.wrong = await open({ sha256: "0".repeat(64) }).catch((error) => error.message);
const service = await navigator.serviceWorker.register("/service.js", { type: "module" });
await navigator.serviceWorker.ready;
const channel = new MessageChannel();
told.service = await new Promise((resolve) => {
  channel.port1.onmessage = ({ data }) => resolve(data);
  service.active.postMessage(texts, [channel.port2]);
});
window.told = told;
</script>"""
UPDATE = """<!doctype html><title>t</title><link rel="icon" href="data:,"><script type="module">
import { open, openInWorker, update } from "/package/index.js";
const told = { labels: [] };
const worker = await openInWorker();
told.labels.push(worker.info.labels);
await worker.addLabel({ id: "new-1", text: "zebra lantern" });
const { bytes, info } = await worker.update("/next.exlp");
told.labels.push(info.labels, worker.info.labels, (await open()).info.labels);
told.bytes = bytes.length;
told.added = (await worker.predict("zebra lantern", { k: 1 })).labels[0].id;
told.again = await update("/next.exlp").catch((error) => error.status);
const cache = await caches.open("edgexl");
const kept = (await cache.keys()).filter((request) => request.url.includes("updated="));
told.kept = kept.length;
await cache.put(kept[0], new Response(new Uint8Array(100)));
told.labels.push((await open()).info.labels, (await update("/next.exlp")).bundle.info.labels);
window.told = told;
</script>"""
SERVICE = """
import { open } from "/package/index.js";
addEventListener("install", () => skipWaiting());
addEventListener("message", (event) => {
  const answer = async () => {
    try {
      const b = await open();
      return b.predictBatch(event.data, { k: 3 }).map((a) => a.labels.map((l) => [l.id, l.probability, l.logit]));
    } catch (error) { return error.message; }
  };
  event.waitUntil(answer().then((told) => event.ports[0].postMessage(told)));
});
"""


@pytest.fixture(scope="module")
def package(product: Product, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked package."""
    pytest.importorskip("ziglang", reason="PyPI's ziglang is not installed (the extra `cross`)")
    ((name, content),) = ship_web(product).items()
    assert name == "tiny-words-1.2.3.tgz"
    return unpack(content, tmp_path_factory.mktemp("web"))


@pytest.fixture(scope="module")
def texts(bundle: Path) -> list[str]:
    with open_bundle(bundle) as opened:
        return opened.golden_texts()


@pytest.fixture(scope="module")
def expected(bundle: Path, texts: list[str]) -> list[list[list[object]]]:
    with open_bundle(bundle) as opened:
        return [[[each.id, each.probability, each.logit] for each in opened.predict(text, 3).labels] for text in texts]


@pytest.fixture(scope="module")
def site(package: Path, texts: list[str]) -> Iterator[str]:
    """The package behind HTTP, beside a page that uses it."""
    (package.parent / "page.html").write_text(PAGE % json.dumps(texts))
    (package.parent / "service.js").write_text(SERVICE)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(package.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_module_is_small_and_imports_a_clock_alone(package: Path) -> None:
    content = (package / "edgexl.wasm").read_bytes()
    assert len(content) <= 240_000
    assert b"wasi_snapshot_preview1" not in content
    files = [file for file in package.rglob("*") if file.is_file() and file.suffix != ".exl"]
    assert sum(file.stat().st_size for file in files) <= 300_000


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_node_answers_to_the_bit(
    package: Path, bundle: Path, texts: list[str], expected: list[list[list[object]]], tmp_path: Path, run: Run
) -> None:
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "tiny-words").symlink_to(package)
    (tmp_path / "all.mjs").write_text(ALL)
    said = json.loads(run("node", "--preserve-symlinks", "all.mjs", json.dumps(texts)))
    assert said["answers"] == expected
    with open_bundle(bundle) as opened:
        assert said["info"]["labels"] == opened.info.labels
        assert said["threshold"] == len(opened.predict(texts[0], threshold=0.999999).labels)
        assert said["noneFits"] == opened.predict(texts[0]).none_fits
        assert said["complete"] == [[opened.label_id(i), opened.label_text(i)] for i in opened.complete("old", 2)]
    assert (said["version"], said["rank"], said["info"]["kernel"]) == (__version__, 1, "wasm-simd128")
    assert said["vectors"] == 50
    assert said["report"]["goldens"] == len(texts)
    with open_bundle(bundle) as opened:
        for text, (receipt, best) in zip(texts, said["receipts"], strict=True):
            (there,) = parse_receipts(base64.b64decode(receipt))
            (here,) = parse_receipts(opened.receipt(text, b"a secret of the app", 3)[0])
            assert differences(there, here) == []
            assert (there.note, there.time, there.signature) == (b"web", 7, bytes([1, 2, 3]))
            assert best == opened.predict(text).labels[0].id
    assert said["shortKey"] == ["the key has 9 bytes, receipts need one of 16 at least", 100]
    assert (said["changes"], said["added"], said["kept"], said["states"]) == (None, "new-1", "new-1", ["retired"])
    assert (said["refused"][0], said["refused"][2]) == (True, 101)
    assert said["closed"] == "the bundle is closed"


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_relaxed_look_ups_answer_to_the_bit(
    package: Path, texts: list[str], expected: list[list[list[object]]], tmp_path: Path, run: Run
) -> None:
    """Where the engine has them; `relax` puts them in, and leaves what it is given as it is."""
    script = (package / "edgexl.js").read_text().replace("function relax(", "export function relax(")
    (tmp_path / "edgexl.mjs").write_text(script)
    (tmp_path / "relaxed.mjs").write_text(
        'import { readFileSync } from "node:fs";\nimport { Bundle, relax } from "./edgexl.mjs";\n'
        "const [wasm, bundle, texts] = process.argv.slice(2);\nconst plain = readFileSync(wasm);\n"
        "const relaxed = relax(plain);\n"
        "const changed = plain.filter((byte, at) => byte !== relaxed[at]).length;\n"
        "const b = await Bundle.open(readFileSync(bundle), { wasm: plain });\n"
        "const of = (a) => a.labels.map((l) => [l.id, l.probability, l.logit]);\n"
        "const answers = b.predictBatch(JSON.parse(texts), { k: 3 }).map(of);\n"
        "console.log(JSON.stringify({ changed, valid: WebAssembly.validate(relaxed), answers }));\n"
    )
    (file,) = package.glob("*.exl")
    words = ("relaxed.mjs", str(package / "edgexl.wasm"), str(file), json.dumps(texts))
    flag = "--experimental-wasm-relaxed-simd"
    if subprocess.run(["node", flag, "-e", "0"], capture_output=True, check=False).returncode:
        flag = "--no-warnings"  # newer ones have them without being told
    said = json.loads(run("node", flag, *words))
    assert said == {"changed": 2 * package_look_ups(package), "valid": True, "answers": expected}


def package_look_ups(package: Path) -> int:
    count = (package / "edgexl.wasm").read_bytes().count(LOOK_UP)
    assert count > 0
    return count


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_readme_gives_the_first_answer(package: Path, product: Product, tmp_path: Path, run: Run) -> None:
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "tiny-words").symlink_to(package)
    first = (package / "README.md").read_text().split("```js\n")[1].split("```")[0]
    assert len(first.splitlines()) <= 5
    (tmp_path / "first.mjs").write_text(first)
    assert run("node", "--preserve-symlinks", "first.mjs") == product.answer


def test_chromium_answers_to_the_bit(
    site: str, chromium: str, expected: list[list[list[object]]], tmp_path: Path
) -> None:
    """In a page, from the cache, in a worker and in a service worker."""
    with browse(chromium, tmp_path / "profile") as page:
        page.go(f"{site}/page.html")
        page.wait("window.told !== undefined")
        told = page.evaluate("window.told")
        problems = page.problems
    assert told["answers"] == told["worker"] == told["service"] == expected
    assert (told["steps"][-1], told["cached"]) == (1, 1)
    assert told["receipt"] > 212
    assert "no token" in told["refused"]
    assert "not the bundle" in told["wrong"]
    assert problems == []


def test_a_page_keeps_what_a_patch_makes(site: str, package: Path, bundle: Path, chromium: str, tmp_path: Path) -> None:
    """In a worker, with a label that was added; the next visit opens it, and one that is damaged is let go."""
    new = build(native=True, aliases=True, lexical=True, labels=310).write(tmp_path / "new.exl")
    write_patch(bundle, new, package.parent / "next.exlp")
    (package.parent / "update.html").write_text(UPDATE)
    with browse(chromium, tmp_path / "profile") as page:
        page.go(f"{site}/update.html")
        page.wait("window.told !== undefined")
        told = page.evaluate("window.told")
        assert page.problems == []
    assert told["labels"] == [300, 311, 311, 310, 300, 310]
    assert (told["bytes"], told["added"]) == (new.stat().st_size, "new-1")
    assert (told["again"], told["kept"]) == (321, 1)


def test_the_page_answers_and_fits(site: str, chromium: str, axe: str, tmp_path: Path) -> None:
    with browse(chromium, tmp_path / "profile") as page:
        for width, dark in ((400, False), (400, True), (1200, False), (1200, True)):
            page.show(width, 800, dark)
            page.go(f"{site}/package/demo/index.html")
            page.wait("document.body.dataset.ready === 'yes'")
            assert page.evaluate("document.querySelectorAll('#labels li').length") == 8
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            page.evaluate(axe)
            found = page.evaluate("axe.run().then((said) => said.violations.map((each) => each.id))")
            assert found == []
        page.evaluate("text.value = ''; text.dispatchEvent(new Event('input')); 0")
        page.wait("document.querySelectorAll('#labels li').length === 0")
        assert page.problems == []


def test_the_types_hold(package: Path, tmp_path: Path) -> None:
    """By TypeScript, strictly, where npm has it at hand."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    done = subprocess.run(
        ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefer-offline", "typescript@5"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip("npm cannot install typescript here")
    (tmp_path / "node_modules" / "tiny-words").symlink_to(package)
    (tmp_path / "app.ts").write_text(
        'import { Bundle, open, openInWorker, update, type Answer } from "tiny-words";\n'
        "const words = await open();\nconst answer: Answer = words.predict('old', { k: 2 });\n"
        "const id: string = answer.labels[0]!.id;\nconst kept: Uint8Array = words.receipt(id, { key: 'k' }).receipt;\n"
        "void kept;\nconst other = await openInWorker();\n"
        "const later: Promise<Answer> = other.predict(id);\nvoid later;\n// @ts-expect-error\nwords.predict(5);\n"
        "const made = await update('/a.exlp', { keys: [], signedPatch: false });\nmade.bundle.predict(id);\n"
        "const { bundle, bytes } = await Bundle.update(made.bytes, new URL('https://a.b/c.exlp'));\n"
        "bundle.close();\nvoid new Response(bytes);\nvoid (await other.update(bytes)).info.labels;\n"
    )
    flags = ["--strict", "--noEmit", "--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom"]
    (tmp_path / "package.json").write_text('{"type": "module"}')
    tsc = subprocess.run(["npx", "tsc", *flags, "app.ts"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert tsc.returncode == 0, tsc.stdout


def test_vite_takes_it_along(site: str, package: Path, product: Product, chromium: str, tmp_path: Path) -> None:
    """What Vite builds answers in Chromium, in the page and in a worker."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    app = package.parent / "app"
    app.mkdir()
    (app / "package.json").write_text('{"type": "module", "private": true}')
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefer-offline", "vite@5"]
    if subprocess.run(install, cwd=app, capture_output=True, check=False).returncode:
        pytest.skip("npm cannot install vite here")
    shutil.copytree(package, app / "node_modules" / "tiny-words")
    (app / "vite.config.js").write_text('export default { base: "./", build: { target: "es2022" } };')
    (app / "index.html").write_text('<!doctype html><title>t</title><link rel="icon" href="data:,">'
                                    '<script type="module" src="/main.js"></script>')  # fmt: skip
    text = json.dumps(product.example)
    (app / "main.js").write_text(
        'import { open, openInWorker } from "tiny-words";\nconst here = await open();\n'
        "const there = await openInWorker();\n"
        f"window.told = [here.predict({text}).labels[0].id, (await there.predict({text})).labels[0].id];\n"
    )
    built = subprocess.run(["npx", "vite", "build"], cwd=app, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    with browse(chromium, tmp_path / "profile") as page:
        page.go(f"{site}/app/dist/index.html")
        page.wait("window.told !== undefined")
        assert page.evaluate("window.told") == [product.answer, product.answer]
        assert page.problems == []
