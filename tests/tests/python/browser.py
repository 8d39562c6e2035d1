"""The console in headless Chromium, as a person uses it. Needs no SDK: the runs are started by `console.py`.

It prints what it found as one line `RESULT {..}`. SPANWISE_TEST_PICTURES names a folder for pictures of what was seen.
"""

import json
import os
import re
import shutil
import subprocess
import sys

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

BASE = "http://" + os.environ["SPANWISE_ENDPOINT"]
PICTURES = os.environ.get("SPANWISE_TEST_PICTURES")
PATIENCE = 60_000

problems = []
violations = []

SHIFTS = """
window.shifted = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""


def browser():
    """The browser of this machine: the package brings none along."""
    for name in ["chromium", "chromium-browser", "google-chrome"]:
        if found := shutil.which(name):
            return found
    sys.exit("the browser test needs Chromium, which is not on the PATH: apt-get install chromium")


def start(case, program="console.py"):
    """Starts a run by a program with the SDK."""
    command = [os.environ["SPANWISE_TEST_SDK"], "launch.py", program, case]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result(process):
    """What the program found."""
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    return json.loads(next(line for line in stdout.splitlines() if line.startswith("RESULT ")).removeprefix("RESULT "))


def watched(context):
    """A page that notes every complaint of the browser, and every script that should not run."""
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: (problems.append("a dialog: " + dialog.message), dialog.dismiss()))
    page.add_init_script(SHIFTS)
    return page


def look(page, name):
    """Checks the page for what keeps people out, and takes a picture."""
    for violation in Axe().run(page).response["violations"]:
        if violation["impact"] in ("serious", "critical"):
            nodes = [node["html"][:200] for node in violation["nodes"][:3]]
            violations.append({"page": name, "rule": violation["id"], "nodes": nodes})
    if PICTURES:
        page.screenshot(path=f"{PICTURES}/{name}.png")


def tour(chromium):
    context = chromium.new_context(viewport={"width": 1500, "height": 950}, color_scheme="light")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = watched(context)

    # The list fills by itself.
    page.goto(BASE)
    expect(page.get_by_role("heading", name="No runs yet")).to_be_visible()
    page.get_by_role("button", name="Copy the Shell commands").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("cat > hello.py") and os.environ["SPANWISE_ENDPOINT"] in copied, copied
    look(page, "list-empty")
    failing, long = start("a_failing_run"), start("a_long_run")
    page.evaluate("window.same = true")
    expect(page.locator("tr", has_text="console.long")).to_be_visible(timeout=PATIENCE)
    failed = page.locator("tr", has_text="console.everything")
    expect(failed.locator(".badge")).to_have_text("Failed", timeout=PATIENCE)
    assert page.evaluate("window.same"), "the list was loaded again"
    run = result(failing)["run"]
    look(page, "list-light")

    # Two clicks to the child that failed.
    failed.get_by_role("link", name=run).click()
    page.locator(".failures a").first.click()
    panel = page.locator("#action")
    expect(panel.locator("h2")).to_have_text("train")
    expect(panel.locator(".error")).to_contain_text("no data for <script>alert(1)</script>")
    expect(panel.locator(".log")).to_contain_text("ValueError")
    expect(panel.get_by_label("Attempts").locator("tbody tr")).to_have_count(2)
    look(page, "child-light")
    page.get_by_role("link", name="Log").nth(1).click()
    expect(panel).to_contain_text("attempt 1,")
    page.get_by_role("button", name="Copy the Shell command").click()
    expect(page.get_by_role("button", name="Copy the Shell command")).to_have_text("Copied")
    assert "rerun " + run in page.evaluate("navigator.clipboard.readText()")

    # Values, a report, the cache.
    page.locator(".grid tr", has_text="evaluate").first.click()
    expect(panel.locator("h2")).to_have_text("evaluate")
    expect(panel).to_contain_text("<img src=x>")
    expect(panel).to_contain_text("2026-01-02 00:00:00 UTC")
    expect(panel.get_by_role("link", name="s3://spanwise/")).to_be_visible()
    with context.expect_page() as opened:
        panel.get_by_role("link", name="Report").click()
    expect(opened.value.locator("body")).to_contain_text("Report")
    opened.value.close()

    # The keyboard.
    page.keyboard.press("/")
    expect(page.locator("#find")).to_be_focused()
    page.keyboard.type("prep")
    page.keyboard.press("Enter")
    expect(page.locator(".grid tbody tr")).to_have_count(3)
    page.get_by_role("link", name="Show the tree").click()
    expect(page.locator(".grid tbody tr").first).to_contain_text("everything")
    page.keyboard.press("j")
    group = page.locator(".grid tbody tr", has=page.locator(".group", has_text="prepare"))
    group.locator("a.tw").focus()
    page.keyboard.press("ArrowLeft")
    expect(group).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("ArrowRight")
    expect(group).to_have_attribute("aria-expanded", "true")

    # A run that goes on, and its log.
    run = result(long)["run"]
    page.goto(f"{BASE}/v2/domain/development/project/flytesnacks/runs/{run}")
    page.evaluate("window.same = true")
    expect(page.locator("#live")).to_have_text("Live")
    child = page.locator(".grid tr", has_text="child_that_prints")
    expect(child.locator(".badge")).to_have_text("Running", timeout=PATIENCE)
    child.click()
    expect(panel.locator("h2")).to_have_text("child_that_prints")
    log = panel.locator(".log")
    expect(log).to_contain_text("of the log", timeout=PATIENCE)
    line = int(re.findall(r"line (\d+) of the log", log.inner_text())[-1]) + 5
    expect(log).to_contain_text(f"line {line} of the log", timeout=PATIENCE)
    numbers = [int(number) for number in re.findall(r"line (\d+) of the log", log.inner_text())]
    assert numbers == list(range(len(numbers))), numbers
    look(page, "live-light")

    # Abort, with the reason; then again.
    page.locator("#abort-run summary").click()
    page.locator("#abort-run").get_by_label("Reason").fill("<em>enough</em>")
    page.get_by_role("button", name="Abort the run").click()
    expect(page.locator(".head .badge")).to_have_text("Aborted")
    expect(panel.locator(".error")).to_contain_text("<em>enough</em>")
    page.get_by_role("button", name="Run again").click()
    expect(page.locator(".head")).to_contain_text("repeats")
    expect(page.get_by_role("link", name=run)).to_be_visible()
    page.evaluate("window.same = true")
    expect(page.locator(".grid tr", has_text="prepare")).to_be_visible(timeout=PATIENCE)
    assert page.evaluate("window.same"), "the page was loaded again"
    shift = page.evaluate("window.shifted")
    page.locator("#abort-run summary").click()
    page.get_by_role("button", name="Abort the run").click()
    expect(page.locator(".head .badge")).to_have_text("Aborted")
    context.close()

    # Dark, narrow, and without JavaScript.
    for name, options in {
        "dark": {"color_scheme": "dark", "viewport": {"width": 1500, "height": 950}},
        "narrow": {"color_scheme": "light", "viewport": {"width": 420, "height": 900}},
    }.items():
        context = chromium.new_context(**options)
        page = watched(context)
        page.goto(BASE)
        look(page, f"list-{name}")
        page.locator("tr", has_text="console.everything").get_by_role("link").first.click()
        page.locator(".failures a").first.click()
        expect(page.locator("#action h2")).to_have_text("train")
        look(page, f"child-{name}")
        context.close()
    context = chromium.new_context(java_script_enabled=False)
    page = watched(context)
    page.goto(BASE)
    page.get_by_label("Phase").select_option("FAILED")
    page.get_by_role("button", name="Filter").click()
    page.locator("tr", has_text="console.everything").get_by_role("link").first.click()
    page.locator(".failures a").first.click()
    expect(page.locator("#action h2")).to_have_text("train")
    context.close()
    return shift


def main():
    os.environ["SPANWISE_TEST_MODE"] = "remote"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser(), args=["--no-sandbox"])
        shift = tour(chromium)
        chromium.close()
    assert not problems, problems
    print("RESULT " + json.dumps({"violations": violations, "layout_shift": shift}), flush=True)


if __name__ == "__main__":
    main()
