"""The waterfall of a run in headless Chromium. The runs are started by `traced.py`; prints one line `RESULT {..}`."""

import json
import os

import browser
from playwright.sync_api import expect, sync_playwright

RUNS = "/v2/domain/development/project/flytesnacks/runs/"


def start(case):
    return browser.start(case, program="traced.py")


def row(page, name, number=0):
    return page.locator(".grid tbody tr", has=page.locator("a.row", has_text=name)).nth(number)


def open_row(page, closed):
    key = closed.first.get_attribute("id")
    if page.locator("#" + key).get_attribute("aria-expanded") == "false":
        closed.first.locator("a.tw").click()
        expect(page.locator("#" + key)).to_have_attribute("aria-expanded", "true")


def is_waterfall(page, run):
    """Parts of a retried task, spans of its code, and the ways to other spans."""
    page.goto(browser.BASE + RUNS + run)
    charge = row(page, "charge")
    expect(charge).to_contain_text("try 2")
    # Retried: open by itself, with what was between the attempts.
    expect(charge).to_have_attribute("aria-expanded", "true")
    expect(row(page, "backoff")).to_be_visible()
    attempt = row(page, "attempt 1", 1)
    expect(attempt).to_contain_text("Failed")
    expect(attempt).to_have_attribute("aria-expanded", "true")
    expect(page.locator("#export")).to_contain_text("lifecycle")

    # The keyboard opens what is closed, goes in, and comes out again.
    second = row(page, "attempt 2")
    second.locator("a.row").focus()
    expect(second).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("ArrowRight")
    expect(second).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    expect(second.locator("a.row")).to_be_focused()
    page.keyboard.press("Enter")
    panel = page.locator("#action")
    expect(panel.get_by_label("Links of the span")).to_contain_text("previous attempt")
    panel.get_by_label("Links of the span").get_by_role("link", name="attempt 1").click()
    expect(panel.locator("h2")).to_have_text("attempt 1")
    expect(panel.get_by_label("Attributes of the span")).to_contain_text("flyte.attempt")
    panel.get_by_role("button", name="Copy the trace id of the span").click()
    trace = page.evaluate("navigator.clipboard.readText()")
    assert len(trace) == 32, trace
    elsewhere = panel.get_by_role("link", name="Open in traces.example").get_attribute("href")
    assert trace in elsewhere and run in elsewhere, elsewhere

    # The span of the task's own, under the span of its task.
    page.goto(browser.BASE + RUNS + run + "?find=charge")
    page.get_by_role("link", name="Show the tree").click()
    expect(row(page, "attempt 2")).to_be_visible()
    while page.locator(".k-part[aria-expanded=false], .k-user[aria-expanded=false]").count():
        closed = page.locator(".k-part[aria-expanded=false], .k-user[aria-expanded=false]").first
        key = closed.get_attribute("id")
        closed.locator("a.tw").click()
        expect(page.locator("#" + key)).to_have_attribute("aria-expanded", "true")
    posted = row(page, "POST /charges", 1)
    posted.locator("a.row").click()
    expect(panel).to_contain_text("client span of shop")
    expect(panel.get_by_label("Events of the span")).to_contain_text("accepted")

    # A cache hit leads to the attempt that made the value.
    row(page, "load_orders").locator("a.row").click()
    panel.locator("details.span summary").click()
    expect(panel).to_contain_text("Cache hit")
    row(page, "load_orders").locator("a.tw").click()
    row(page, "cache lookup").locator("a.row").click()
    producer = panel.get_by_label("Links of the span").get_by_role("link", name="run ")
    producer.click()
    expect(page.locator(".bar")).not_to_contain_text(run)
    expect(panel.locator("h2")).to_have_text("load_orders")
    expect(panel).to_contain_text("miss, now stored")
    page.goto(browser.BASE + RUNS + run)

    # Where the time went.
    page.locator("#explain summary").click()
    expect(page.locator("#explain")).to_contain_text("Backoff")
    expect(page.locator("#explain .sum")).to_contain_text("100 %")
    browser.look(page, "run-explained")
    return trace


def pictures(chromium, run):
    """The page in light and dark, for the eyes and the documents."""
    sizes = {"width": 1440, "height": 960}
    for scheme in ["light", "dark"]:
        context = chromium.new_context(viewport=sizes, color_scheme=scheme)
        page = browser.watched(context)
        page.goto(browser.BASE + RUNS + run)
        open_row(page, row(page, "attempt 2"))
        open_row(page, row(page, "price"))
        open_row(page, row(page, "attempt 1", 1))
        open_row(page, page.locator(".grid tbody tr.k-user", has_text="shop.price"))
        row(page, "attempt 2").locator("a.row").click()
        expect(page.locator("#action h2")).to_have_text("attempt 2")
        page.mouse.move(5, 5)
        page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
        browser.look(page, f"run-{scheme}")
        context.close()
    context = chromium.new_context(viewport={"width": 420, "height": 900})
    page = browser.watched(context)
    page.goto(browser.BASE + RUNS + run)
    browser.look(page, "run-narrow")
    context.close()


def tour(chromium):
    context = chromium.new_context(viewport={"width": 1500, "height": 950}, color_scheme="light")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = browser.watched(context)
    found = browser.result(start("a_retried_run"))
    is_waterfall(page, found["run"])

    # A name that is a script is a name; the error is open, and two clicks from the list.
    hostile = browser.result(start("a_hostile_run"))["run"]
    page.goto(browser.BASE)
    page.locator("tr", has_text=hostile).get_by_role("link", name=hostile).click()
    expect(row(page, "attempt 3")).to_contain_text("ConnectionError")
    page.locator(".failures a").first.click()
    expect(page.locator("#action .error")).to_contain_text("the bank does not answer")
    script = page.locator(".k-user", has_text="<script>alert(1)</script>")
    if not script.count():
        row(page, "attempt 1").locator("a.tw").click()
        row(page, "checkout", 1).locator("a.tw").click()
    script.first.locator("a.row").click()
    expect(page.locator("#action h2")).to_have_text("<script>alert(1)</script>")

    # A run that goes on: what it does appears by itself.
    slow = browser.result(start("a_slow_run"))["run"]
    page.goto(browser.BASE + RUNS + slow)
    page.evaluate("window.same = true")
    expect(row(page, "charge")).to_be_visible(timeout=browser.PATIENCE)
    expect(row(page, "backoff")).to_be_visible(timeout=browser.PATIENCE)
    expect(page.locator(".head .badge").first).to_have_text("Succeeded", timeout=browser.PATIENCE)
    assert page.evaluate("window.same"), "the page was loaded again"
    shift = page.evaluate("window.shifted")
    context.close()

    # Read without JavaScript.
    context = chromium.new_context(java_script_enabled=False)
    page = browser.watched(context)
    page.goto(browser.BASE + RUNS + found["run"])
    row(page, "attempt 2").locator("a.tw").click()
    expect(row(page, "attempt 2")).to_have_attribute("aria-expanded", "true")
    context.close()
    pictures(chromium, found["run"])
    return {"layout_shift": shift, "run": found["run"]}


def main():
    os.environ["SPANWISE_TEST_MODE"] = "remote"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser.browser(), args=["--no-sandbox"])
        found = tour(chromium)
        chromium.close()
    assert not browser.problems, browser.problems
    print("RESULT " + json.dumps({"violations": browser.violations, **found}), flush=True)


if __name__ == "__main__":
    main()
