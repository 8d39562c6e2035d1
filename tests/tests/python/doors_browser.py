"""What a browser does with what tasks and strangers have stored, and with pages of other ports of this machine.

It prints what it found as one line `RESULT {..}`. Scripts that should not run tell the page of the other port that they did.
"""

import json
import os
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from browser import BASE, PATIENCE, browser, result, start
from playwright.sync_api import Error, expect, sync_playwright

OTHER = "http://localhost:" + os.environ["SPANWISE_TEST_OTHER_PORT"]
TELL = f"fetch('{OTHER}/ran?' + location.href, {{ mode: 'no-cors' }})"

# All that a page may try that the browser lets it send without asking.
ATTACK = f"""<!doctype html><title>attack</title>
<iframe src="{BASE}/s3/spanwise/evil.html"></iframe>
<iframe name="frame"></iframe>
<img src="{BASE}/s3/spanwise/evil.html">
<script src="{BASE}/s3/spanwise/evil.js?response-content-type=text/javascript"></script>
<form id="form" method="post" enctype="text/plain" target="frame" action="{BASE}/s3/spanwise?delete">
<input name="<Delete><Object><Key>victim</Key></Object></Delete><!--" value="-->"></form>
<script>
const deletion = "<Delete><Object><Key>victim</Key></Object></Delete>";
const asked = [
  fetch("{BASE}/s3/spanwise?delete", {{ method: "POST", mode: "no-cors", body: deletion }}),
  fetch("{BASE}/s3/spanwise/victim", {{ method: "DELETE" }}),
  fetch("{BASE}/s3/spanwise/victim", {{ method: "PUT", body: "overwritten" }}),
  fetch("{BASE}/v1/traces", {{ method: "POST", mode: "no-cors", body: "{{}}" }}),
  fetch("{BASE}/").then((answer) => answer.text()).then(() => fetch("/ran?read")),
];
document.getElementById("form").submit();
Promise.allSettled(asked).then(() => setTimeout(() => (document.title = "done"), 500));
</script>
"""

ran, problems = [], []


class Other(BaseHTTPRequestHandler):
    """Another program of this machine, on a port of its own."""

    def do_GET(self):
        if self.path.startswith("/ran"):
            ran.append(self.path)
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(ATTACK.encode())

    def log_message(self, *_):
        pass


def store(key, content):
    request = urllib.request.Request(f"{BASE}/s3/spanwise/{key}", data=content.encode(), method="PUT")
    urllib.request.urlopen(request).close()


def content_of_victim():
    try:
        with urllib.request.urlopen(f"{BASE}/s3/spanwise/victim") as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code}"


def check(what, holds):
    if not holds:
        problems.append(what)


def attacked(context):
    store("evil.html", f"<script>{TELL}</script>")
    store("evil.js", TELL)
    store("victim", "alive")
    page = context.new_page()
    try:
        page.goto(f"{BASE}/s3/spanwise/evil.html")
        check("a stored page is shown", False)
    except Error as error:
        check(f"a stored page is kept as a file: {error}", "ownload" in str(error))
    page.goto(OTHER)
    page.wait_for_function("document.title === 'done'", timeout=PATIENCE)
    check(f"the victim is {content_of_victim()} after the attack", content_of_victim() == "alive")
    # A script of the console's own origin, if there were markup to ask for it.
    page.goto(BASE)
    page.evaluate(
        """() => new Promise((done) => {
            const script = document.createElement("script");
            script.src = "/s3/spanwise/evil.js?response-content-type=text/javascript";
            script.onload = script.onerror = done;
            document.head.append(script);
        })"""
    )
    page.close()


def reported(context):
    run = result(start("a_report", "doors.py"))["run"]
    page = context.new_page()
    page.goto(f"{BASE}/v2/domain/development/project/flytesnacks/runs/{run}")
    with context.expect_page() as opened:
        page.locator("#action").get_by_role("link", name="Report", exact=True).click()
    report = opened.value
    expect(report.locator("h1")).to_be_visible(timeout=PATIENCE)
    expect(report.locator("#drawn")).to_contain_text("drawn in", timeout=PATIENCE)
    colour = report.locator("h1").evaluate("element => getComputedStyle(element).color")
    check(f"the report's style is applied: {colour}", colour == "rgb(1, 2, 3)")
    check(f"the victim is {content_of_victim()} after the report", content_of_victim() == "alive")
    return report.locator("body").inner_text()


def main():
    server = ThreadingHTTPServer(("localhost", int(OTHER.rsplit(":", 1)[1])), Other)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser(), args=["--no-sandbox"])
        context = chromium.new_context()
        attacked(context)
        report = reported(context)
        chromium.close()
    print("RESULT " + json.dumps({"problems": problems, "report": report, "ran": len(ran), "by": ran}), flush=True)


if __name__ == "__main__":
    main()
