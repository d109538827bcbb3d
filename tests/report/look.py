"""What every page must do in a browser: be read on a phone and on a desk, in light and in dark, by everybody."""

from __future__ import annotations

from pathlib import Path

from tests.axe import find_violations
from tests.serve.browser import Page, browse

WIDTHS = (400, 1400)


def look(chromium: str, axe: str, html: str, folder: Path) -> str:
    """The text that a page shows. Asserts that it asks for nothing, scrolls in one direction only, cuts no text of a
    plot, and that axe-core finds no fault in it; leaves a picture of each form in `folder`."""
    file = folder / "page.html"
    file.write_text(html, encoding="utf-8")
    with browse(chromium, folder / "profile") as page:
        page.go(file.as_uri())
        for width in WIDTHS:
            for dark in (False, True):
                page.show(width, 900, dark)
                assert page.evaluate("document.documentElement.scrollWidth") <= width
                assert not (cut := page.evaluate(_CUT_TEXTS)), cut
                assert not (found := find_violations(page, axe)), found
                page.screenshot(folder / f"{width}-{'dark' if dark else 'light'}.png")
        _walk(page)
        assert page.problems == [], page.problems
        assert {url for url in page.requests if url != file.as_uri()} == set()
        return str(page.evaluate("document.body.innerText"))


def _walk(page: Page) -> None:
    """Every table of numbers opens by its summary, which keys reach."""
    summaries = "[...document.querySelectorAll('figure summary')]"
    assert page.evaluate(f"{summaries}.every((one) => (one.focus(), document.activeElement === one))")
    if page.evaluate(f"{summaries}.length"):
        page.evaluate(f"{summaries}[0].focus()")
        page.press("Enter")
        assert page.evaluate(f"{summaries}[0].parentElement.open")
        page.evaluate(f"{summaries}.forEach((one) => one.parentElement.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS[-1]


# Texts of plots that end outside their drawing.
_CUT_TEXTS = """[...document.querySelectorAll("svg.chart")].flatMap((svg) => {
    const frame = svg.getBoundingClientRect();
    return [...svg.querySelectorAll("text")].filter((text) => {
        const box = text.getBoundingClientRect();
        return box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1;
    }).map((text) => `${svg.getAttribute("aria-label")}: ${text.textContent}`);
})"""
