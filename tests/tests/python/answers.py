"""A run that waits for somebody, answered in headless Chromium. The run is started by `console.py`; prints one line `RESULT {..}`."""

import json
import os

import browser
from playwright.sync_api import expect, sync_playwright


def tour(chromium):
    run = browser.result(browser.start("a_run_that_asks"))["run"]
    context = chromium.new_context(viewport={"width": 1500, "height": 950}, color_scheme="light")
    page = browser.watched(context)

    # The list says who waits, and leads there.
    page.goto(browser.BASE)
    row = page.locator("tr", has_text=run)
    expect(row.locator(".badge")).to_have_text("Waiting for you", timeout=browser.PATIENCE)
    browser.look(page, "list-waiting")
    page.get_by_role("link", name="One run waits for you").click()
    expect(page.locator("tr[data-row]")).to_have_count(1)
    expect(page.get_by_label("Phase")).to_have_value("PAUSED")
    row.get_by_role("link", name=run).click()

    # Yes or no.
    page.evaluate("window.same = true")
    question = page.locator(".question")
    expect(question).to_contain_text("Release <b>now</b>?")
    expect(question).to_contain_text("The ledger is closed")
    expect(page.locator(".head .badge").first).to_have_text("Waiting for you")
    browser.look(page, "question-bool")
    question.get_by_role("button", name="Yes").click()

    # A number: what is none is refused and said, and nothing is answered.
    expect(question).to_contain_text("How much <b>now</b>?", timeout=browser.PATIENCE)
    browser.look(page, "question-float")
    question.get_by_label("A number").fill("1e400")
    question.get_by_role("button", name="Answer").click()
    expect(page.locator("main")).to_contain_text("expected a number of 64 bits")
    browser.problems[:] = [problem for problem in browser.problems if "status of 400" not in problem]
    page.go_back()
    question.get_by_label("A number").fill("2.5")
    question.get_by_role("button", name="Answer").click()

    # A text, which is not lost while the page follows the run.
    expect(question).to_contain_text("Whom <b>now</b>?", timeout=browser.PATIENCE)
    question.get_by_label("A text").fill("<i>Ada</i>")
    expect(page.locator("#live")).to_have_text("Live")
    expect(question.get_by_label("A text")).to_have_value("<i>Ada</i>")
    question.get_by_role("button", name="Answer").click()
    expect(page.locator(".head .badge").first).to_have_text("Succeeded", timeout=browser.PATIENCE)
    expect(question).to_have_count(0)
    panel = page.locator("#action")
    expect(panel).to_contain_text("Signalled by")
    expect(panel).to_contain_text("<i>Ada</i>")
    expect(panel).to_contain_text("Whom <b>now</b>?")
    browser.look(page, "answered")
    page.goto(f"{browser.BASE}/v2/domain/development/project/flytesnacks/runs/{run}")
    expect(panel.get_by_label("Outputs")).to_contain_text("2.5")
    shift = page.evaluate("window.shifted")
    context.close()

    # Without JavaScript, in the dark.
    run = browser.result(browser.start("a_run_that_asks"))["run"]
    context = chromium.new_context(java_script_enabled=False, color_scheme="dark", viewport={"width": 420, "height": 900})
    page = browser.watched(context)
    page.goto(f"{browser.BASE}/v2/domain/development/project/flytesnacks/runs/{run}")
    while not page.locator(".question").count():
        page.reload()
    if browser.PICTURES:
        page.screenshot(path=f"{browser.PICTURES}/question-narrow.png")
    page.locator(".question").get_by_role("button", name="No").click()
    expect(page.locator("#action")).to_contain_text("Signalled by")
    context.close()
    return shift


def main():
    os.environ["SPANWISE_TEST_MODE"] = "remote"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser.browser(), args=["--no-sandbox"])
        shift = tour(chromium)
        chromium.close()
    assert not browser.problems, browser.problems
    print("RESULT " + json.dumps({"violations": browser.violations, "layout_shift": shift}), flush=True)


if __name__ == "__main__":
    main()
