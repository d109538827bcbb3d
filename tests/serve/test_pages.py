"""The playground and the API's page in a real Chromium: what a user sees of what the runtime answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgexl.runtime.binding import BundleHandle
from edgexl.serve.endpoints import ENDPOINTS
from tests.axe import find_violations
from tests.runtime.tiny_bundle import TinyBundle
from tests.serve.browser import Page, browse
from tests.serve.server import Server, serving

TEXT = "the red river and an old bridge"
NONE = "\N{EN DASH}"
EVIDENCE_IS_THERE = "document.querySelector('td.found')"


@pytest.fixture
def page(chromium: str, tmp_path: Path) -> Iterator[Page]:
    """A browser that nothing has gone wrong in, and that asked nothing of any other server."""
    with browse(chromium, tmp_path / "profile") as opened:
        opened.show(1280, 900)
        yield opened
        assert opened.problems == []
        origins = {url.split("/")[2] for url in opened.requests if not url.startswith("data:")}
        assert all(origin.startswith("127.0.0.1:") for origin in origins)


def shown_labels(page: Page) -> list[str]:
    return list(page.evaluate("[...document.querySelectorAll('button.label span')].map((one) => one.innerText)"))


def ask(page: Page, text: str) -> None:
    """Put a text in the place of what is there, and wait for its answers and their evidence."""
    page.evaluate("document.querySelector('#text').select()")
    page.click("#text")
    page.evaluate("document.querySelector('#text').select()")
    page.type(text)
    page.wait(f"location.hash.includes({str(text.split()[-1])!r}) && {EVIDENCE_IS_THERE}")


def test_what_is_typed_is_answered_with_ranks_evidence_and_times(
    page: Page, unchanged: Server, handle: BundleHandle
) -> None:
    page.go(unchanged.url)
    page.wait("document.querySelector('#facts').innerText.includes('300 labels')")
    ask(page, TEXT)
    expected = handle.predict(TEXT, k=10)
    assert shown_labels(page) == [label.text for label in expected.labels]
    rows = page.evaluate("[...document.querySelectorAll('#answers tbody tr')].map((row) => row.innerText)")
    order = expected.shortlist_labels.tolist()
    for row, label in zip(rows, expected.labels, strict=True):
        way = handle.explain(TEXT, label.index)
        cells = row.split("\t")
        assert cells[2].strip() == f"{label.probability:.1%}"
        assert cells[3].split()[0] == str(1 + order.index(label.index))
        scores = (way.text_score, way.alias_score, way.description_score, way.votes_score, way.words_score)
        assert [cell.strip() for cell in cells[4:]] == [NONE if one is None else written(one) for one in scores]
    assert [line.split()[0] for line in page.text("#legend").splitlines()] == list(expected.ms)
    screened = page.evaluate("[...document.querySelectorAll('.screened li')].map((one) => one.children[1].innerText)")
    assert screened == [handle.label_text(label) for label in order[:10]]
    assert expected.labels[0].text in page.text("#evidence")
    assert "1 by reasoning" in page.text("#evidence")


def written(score: float) -> str:
    return f"{score:.3f}".replace("0.", ".", 1) if abs(score) < 1 else f"{score:.3f}"


def test_flags_say_what_the_runtime_doubts(page: Page, unchanged: Server, handle: BundleHandle) -> None:
    page.go(unchanged.url)
    long = "the storm and the snow " * 20 + "king"
    for text in (TEXT, "zebra zebra zebra", long):
        ask(page, text)
        page.wait(f"document.querySelector('#flags').innerText.includes('{handle.predict(text).tokens} tokens')")
        said, expected = page.text("#flags"), handle.predict(text)
        assert ("perhaps none of these" in said) == expected.none_fits
        assert ("cut:" in said) == expected.truncated
    page.evaluate("document.querySelector('#threshold').value = '99.99'")
    page.evaluate("document.querySelector('#threshold').dispatchEvent(new Event('input'))")
    page.wait("document.querySelector('#flags').innerText.includes('no label is that probable')")


def test_many_keystrokes_are_one_question(page: Page, unchanged: Server) -> None:
    page.go(unchanged.url)
    page.wait("document.querySelector('#facts').innerText")
    page.evaluate(
        "for (const letter of 'red river') { const text = document.querySelector('#text'); text.value += letter;"
        "text.dispatchEvent(new Event('input')); }"
    )
    page.wait(EVIDENCE_IS_THERE)
    assert len([url for url in page.requests if url.endswith("/api/predict")]) == 1


def test_a_late_reply_does_not_take_the_place_of_a_newer_one(
    page: Page, unchanged: Server, handle: BundleHandle
) -> None:
    page.go(unchanged.url)
    page.wait("document.querySelector('#facts').innerText")
    page.call("Fetch.enable", patterns=[{"urlPattern": "*/api/predict", "requestStage": "Response"}])
    page.evaluate("document.querySelector('#text').focus()")
    page.type("red river")
    held = page.event("Fetch.requestPaused")
    page.evaluate("document.querySelector('#text').value = ''")
    page.type("dark forest snow")
    newer = page.event("Fetch.requestPaused", after=held)
    page.call("Fetch.continueRequest", requestId=newer["requestId"])
    page.wait(EVIDENCE_IS_THERE)
    page.try_call("Fetch.continueRequest", requestId=held["requestId"])
    page.evaluate("new Promise((done) => setTimeout(done, 300))")
    assert shown_labels(page) == [label.text for label in handle.predict("dark forest snow", k=10).labels]


def test_keys_reach_everything(page: Page, unchanged: Server, handle: BundleHandle) -> None:
    page.go(unchanged.url)
    page.wait("document.querySelector('#facts').innerText")
    page.evaluate("document.activeElement.blur()")
    page.press("/")
    assert page.evaluate("document.activeElement.id") == "text"
    page.type(TEXT)
    page.wait(EVIDENCE_IS_THERE)
    page.evaluate("document.querySelector('button.label').focus()")
    page.press("ArrowDown")
    second = handle.predict(TEXT, k=2).labels[1]
    assert page.evaluate("document.activeElement.dataset.id") == second.id
    page.wait(f"document.querySelector('#evidence').innerText.includes({second.text!r})")
    page.press("g")
    assert page.evaluate("document.activeElement.id") == "gold"
    page.type(handle.label_text(9)[:3])
    page.wait("document.querySelectorAll('#matches li').length")
    page.press("ArrowDown")
    chosen = page.evaluate("document.querySelector('[aria-selected=true]').firstChild.textContent")
    page.press("Enter")
    page.wait("document.querySelector('#fate .scale')")
    assert page.evaluate("document.querySelector('#gold').value") == chosen


def test_a_gold_label_is_found_or_lost(page: Page, unchanged: Server, handle: BundleHandle) -> None:
    page.go(f"{unchanged.url}#text=red+river")
    page.wait(EVIDENCE_IS_THERE)
    ways = [handle.explain("red river", label) for label in range(300)]
    lost = max(ways, key=lambda way: way.screening_rank)
    found = next(way for way in ways if way.shortlisted and way.reasoner_rank == 4)
    for way, said in (
        (lost, f"Lost at screening: rank {lost.screening_rank} by vector;"),
        (found, f"Found: rank {found.screening_rank} by vector, 4 after reasoning"),
    ):
        page.evaluate("document.querySelector('#gold').select()")
        page.click("#gold")
        page.evaluate("document.querySelector('#gold').select()")
        page.type(way.id)
        page.press("Enter")
        page.wait(f"document.querySelector('#fate').innerText.includes({said!r})")
    assert page.evaluate("document.querySelectorAll('#answers .flag.good').length") == 1


def test_labels_are_added_given_aliases_and_retired(server: Server, page: Page) -> None:
    page.go(f"{server.url}#text=green+silver+moon")
    page.wait(EVIDENCE_IS_THERE)
    text = "<img src=x onerror=alert(1)> green"
    page.click("#new-id")
    page.type("N1")
    page.click("#new-text")
    page.type(text)
    page.press("Enter")
    page.wait("document.querySelector('#said').innerText.includes('is added; 301 labels now')")
    page.wait("document.querySelector('#added .grow')")
    assert page.text("#added .grow").startswith(text)
    assert page.evaluate("document.querySelectorAll('main img').length") == 0
    ask(page, text)
    page.wait("document.querySelector('button.label').dataset.id === 'N1'")
    ask(page, "old king winter")
    page.evaluate("document.querySelector('#gold').focus()")
    page.type("N1")
    page.press("Enter")
    page.wait("document.querySelector('#fate .scale')")
    page.click("#fate button")
    page.wait("document.querySelector('#evidence code')?.innerText === 'N1'")
    page.click("#evidence .actions button")
    page.wait("document.querySelector('#said').innerText.includes('one more alias')")
    page.wait("document.querySelector('#fate').innerText.includes('Found: rank 1 by vector')")
    assert server.get("/api/labels").json["labels"][0]["aliases"] == ["old king winter"]
    page.click("#added button")
    page.click("#added button")
    page.wait("document.querySelector('#said').innerText.includes('is retired; 300 labels now')")
    page.wait("document.querySelectorAll('#added li').length === 0")


def test_losing_what_was_compiled_takes_a_second_press(server: Server, page: Page, handle: BundleHandle) -> None:
    label = next(label for label in range(300) if handle.label_description(label))
    text = handle.label_description(label).splitlines()[0]
    page.go(server.url)
    ask(page, text)
    page.evaluate("document.querySelector('#gold').focus()")
    page.type(f"L{label:04d}")
    page.press("Enter")
    page.wait("document.querySelector('#fate .scale')")
    page.evaluate("document.querySelector('#fate button')?.click()")
    page.wait(f"document.querySelector('#evidence code')?.innerText === 'L{label:04d}'")
    assert text in page.text("#evidence .described")
    page.click("#evidence .actions button")
    page.wait("document.querySelector('#evidence').innerText.includes('would be lost')")
    assert server.get("/api/bundle").json["label_set"]["generation"] == 0
    page.click("#evidence .actions button")
    page.wait("document.querySelector('#said').innerText.includes('one more alias')")
    # the browser's console tells of the 409 as a failed request
    assert [one for one in page.problems if "409" not in one] == []
    page.forget_problems()


def test_a_gold_label_that_someone_retires_is_let_go(server: Server, page: Page) -> None:
    page.go(f"{server.url}#text=red+river")
    page.wait(EVIDENCE_IS_THERE)
    page.evaluate("document.querySelector('#gold').focus()")
    page.type("L0004")
    page.press("Enter")
    page.wait("document.querySelector('#fate .scale')")
    assert server.post("/api/labels/retire", {"ids": ["L0004"]}).status == 200
    ask(page, "dark forest snow")
    page.wait("document.querySelector('#fate').innerText === 'L0004 is not in the label set any more.'")
    assert page.evaluate("document.querySelector('#problem').hidden")
    # the browser's console tells of the 404
    assert [one for one in page.problems if "404" not in one] == []
    page.forget_problems()


def test_a_read_only_server_shows_nothing_to_change(small: TinyBundle, page: Page, tmp_path: Path) -> None:
    with serving(small.write(tmp_path / "small.exl"), "--read-only") as server:
        page.go(f"{server.url}#text=red+river")
        page.wait(EVIDENCE_IS_THERE)
        assert "read-only" in page.text("#set")
        assert page.evaluate("getComputedStyle(document.querySelector('#add')).display") == "none"
        assert page.evaluate("document.querySelectorAll('.danger').length") == 0


@pytest.mark.parametrize("path", ["", "docs"])
def test_a_phone_needs_no_scrolling_sideways(path: str, page: Page, unchanged: Server) -> None:
    page.show(390, 844)
    page.go(f"{unchanged.url}{path}#text=red+river")
    page.wait("document.querySelector('td.found') || document.querySelector('details[open] pre')")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.show(320, 568)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("path", ["", "docs"])
def test_all_text_can_be_read(path: str, dark: bool, page: Page, unchanged: Server) -> None:
    """WCAG 2's contrast of at least 4.5 between a text and what it stands on, for all that has text of its own."""
    page.show(1280, 900, dark)
    page.go(f"{unchanged.url}{path}#text=zebra+zebra+zebra")
    page.wait("document.querySelector('td.found') || document.querySelector('details[open] pre')")
    assert (page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(19, 21, 18)") == dark
    assert page.evaluate(_LOW_CONTRAST) == []


@pytest.mark.parametrize("path", ["", "docs"])
def test_axe_finds_no_fault(path: str, page: Page, unchanged: Server, axe: str) -> None:
    page.go(f"{unchanged.url}{path}#text=red+river")
    page.wait("document.querySelector('td.found') || document.querySelector('details[open] pre')")
    for width in (390, 1280):
        for dark in (False, True):
            page.show(width, 900, dark)
            assert find_violations(page, axe) == []


_LOW_CONTRAST = """(() => {
    const linear = (v) => v / 255 <= .04045 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4;
    const light = (c) => c.slice(0, 3).map(linear)
        .reduce((sum, v, at) => sum + v * [.2126, .7152, .0722][at], 0);
    const parts = (color) => color.match(/[\\d.]+/g).map(Number);
    const ground = (e) => {
        for (; e; e = e.parentElement) {
            const c = parts(getComputedStyle(e).backgroundColor);
            if (c.length === 3 || c[3] === 1) return c;
        }
        return [255, 255, 255];
    };
    const shown = [...document.body.querySelectorAll("*")].filter((e) => e.checkVisibility() && e.tagName !== "NOSCRIPT"
        && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()));
    return shown.map((e) => {
        const [a, b] = [light(parts(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
        return [(a + .05) / (b + .05), e.tagName, e.innerText];
    }).filter(([ratio]) => ratio < 4.5);
})()"""


@pytest.mark.parametrize("path", ["", "docs"])
def test_what_takes_the_focus_has_a_name(path: str, page: Page, unchanged: Server) -> None:
    page.go(f"{unchanged.url}{path}#text=red+river")
    page.wait("document.querySelector('td.found') || document.querySelector('details[open] pre')")
    page.call("Accessibility.enable")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    used = ("button", "textbox", "combobox", "searchbox", "spinbutton", "link", "table", "img", "image")
    named = [(node["role"]["value"], node["name"]["value"]) for node in nodes if node["role"]["value"] in used]
    assert {role for role, _ in named} >= {"button", "textbox", "link"}
    # the icon beside the title says nothing of its own, and has no node
    assert [role for role, name in named if not name and role != "table"] == []


def test_the_policy_stops_scripts_that_are_not_the_servers(page: Page, unchanged: Server) -> None:
    page.go(unchanged.url)
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.foreign = 1'}))"
    )
    assert page.evaluate("window.foreign ?? 'stopped'") == "stopped"
    assert any("Content Security Policy" in one or "content security policy" in one.lower() for one in page.problems)
    page.forget_problems()


def test_the_apis_page_lists_and_tries_every_path(page: Page, unchanged: Server) -> None:
    page.go(f"{unchanged.url}docs")
    page.wait(f"document.querySelectorAll('.endpoint').length === {len(ENDPOINTS)}")
    listed = page.evaluate("[...document.querySelectorAll('.endpoint > summary code')].map((one) => one.innerText)")
    assert listed == [one.path for one in ENDPOINTS]
    page.click("#predict .actions button")
    page.wait("document.querySelector('#predict pre[aria-label=Answer]').innerText.includes('probability')")
    assert "200" in page.text("#predict [role=status]")
    page.click("#tell > summary")
    page.click("#tell .actions button")
    page.wait("document.querySelector('#tell pre[aria-label=Answer]').innerText.includes('small.exl')")
