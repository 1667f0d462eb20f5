#!/usr/bin/env python3
"""Opens HTML reports in headless Chromium, clicks a legend entry and a header of a table, and looks at what changes.

Usage: scripts/check_report.py CHROMIUM REPORT.html... [--shot FOLDER]

Every report must show without an error on the console and without asking for anything but itself. Where it has
curves, a click on the first name of the legend must switch the curve off and change the picture, and a second one on
again. Where it has a table of two lines or more, clicks on a header must sort by that column, both ways. Ends with
code 1 at the first report that does otherwise. --shot FOLDER keeps pictures: light, dark and as printed.

Needs no package: Chromium's remote protocol goes over pipes.
"""

import base64
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile


SECONDS_MAX = 300


class Browser:
    """A Chromium without a window, told what to do over pipes: file descriptors 3 and 4 of its process."""

    def __init__(self, chromium, profile):
        (self.read_to, write_to), (read_from, self.write_from) = os.pipe(), os.pipe()
        command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                   "--disable-background-networking", "--remote-debugging-pipe", f"--user-data-dir={profile}"]
        shell = ["sh", "-c", f'exec "$@" 3<&{read_from} 4>&{write_to}', "sh", *command, "about:blank"]
        self.process = subprocess.Popen(shell, pass_fds=(read_from, write_to), stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        os.close(read_from)
        os.close(write_to)
        self.buffer, self.count, self.events = b"", 0, []

    def message(self):
        while b"\0" not in self.buffer:
            part = os.read(self.read_to, 1 << 16)
            if not part:
                raise SystemExit("Chromium ended early")
            self.buffer += part
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, session=None, **parameters):
        self.count += 1
        request = {"id": self.count, "method": method, "params": parameters}
        if session:
            request["sessionId"] = session
        os.write(self.write_from, json.dumps(request).encode() + b"\0")
        while True:
            message = self.message()
            if message.get("id") == self.count:
                if "error" in message:
                    raise SystemExit(f"{method}: {message['error']}")
                return message["result"]
            self.events.append(message)

    def wait(self, event):
        while not any(message.get("method") == event for message in self.events):
            self.events.append(self.message())

    def close(self):
        self.call("Browser.close")
        self.process.wait(timeout=20)


class Page:
    """A tab with one report."""

    def __init__(self, browser, path):
        self.browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.target = target
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Page", "Runtime", "Log", "Network"]:
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=1100, height=900, deviceScaleFactor=1, mobile=False)
        browser.events.clear()
        self.url = path.resolve().as_uri()
        self.call("Page.navigate", url=self.url)
        browser.wait("Page.loadEventFired")

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def value(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise SystemExit(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def click(self, selector):
        """Clicks as a mouse does, in the middle of what the selector finds first."""
        x, y = self.value(f"""(() => {{
            const found = document.querySelector({json.dumps(selector)});
            found.scrollIntoView({{block: "center"}});
            const box = found.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})()""")
        for kind in ["mousePressed", "mouseReleased"]:
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        # Two frames: what a click changes is drawn.
        self.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))")

    def faults(self):
        """Errors on the console, exceptions, and requests for anything but the page."""
        found = []
        for event in self.browser.events:
            method, of = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                found.append(f"exception: {of['exceptionDetails']}")
            if method == "Runtime.consoleAPICalled" and of["type"] in ("error", "warning", "assert"):
                found.append(f"console: {of['args']}")
            if method == "Log.entryAdded" and of["entry"]["level"] in ("error", "warning"):
                found.append(f"console: {of['entry']['text']}")
            if method == "Network.requestWillBeSent" and of["request"]["url"] != self.url:
                found.append(f"request: {of['request']['url'][:200]}")
        return found

    def shot(self, path):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 6000), "scale": 1}
        data = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))


def expect(is_so, what):
    if not is_so:
        raise SystemExit(what)


def check_legend(page):
    """A click switches a curve off and on."""
    name, canvas = ".u-legend .u-series:nth-child(2) th", "document.querySelector('.uplot canvas').toDataURL()"
    is_off = "document.querySelector('.u-legend .u-series:nth-child(2)').classList.contains('u-off')"
    before = page.value(canvas)
    expect(not page.value(is_off), "the first curve is off before a click")
    page.click(name)
    expect(page.value(is_off), "a click on its name does not switch a curve off")
    expect(page.value(canvas) != before, "a curve that is off is still drawn")
    page.click(name)
    expect(not page.value(is_off), "a second click does not switch a curve on")


def check_table(page, index):
    """Clicks on a header with different values sort the lines, both ways."""
    column = page.value(f"""(() => {{
        const table = document.querySelectorAll("table.results")[{index}], rows = [...table.tBodies[0].rows];
        const differs = (column) => new Set(rows.map((row) => row.cells[column].dataset.value ?? "")).size > 2;
        const column = [...table.tHead.rows[0].cells].findIndex((_, column) => differs(column));
        table.tHead.rows[0].cells[Math.max(column, 0)].querySelector("button").id = "to-click-{index}";
        return column;
    }})()""")
    if column < 0:
        return False
    values = f"""[...document.querySelectorAll("table.results")[{index}].tBodies[0].rows]
        .map((row) => row.cells[{column}].dataset.value)"""
    before = page.value(values)
    for is_rising in [True, False]:
        page.click(f"#to-click-{index}")
        known = sorted((float(value) for value in before if value != ""), reverse=not is_rising)
        after = page.value(values)
        found = [float(value) for value in after if value != ""]
        expect(found == known, f"table {index}, column {column}: {after} is not sorted")
        expect(after[:len(found)].count("") == 0, "what is not known comes last")
    return True


def check(browser, path, shots):
    page = Page(browser, path)
    expect(not page.faults(), f"{path}: {page.faults()}")
    if shots:
        page.shot(shots / f"{path.stem}-light.png")
        page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        page.value("new Promise(done => setTimeout(done, 50))")
        page.shot(shots / f"{path.stem}-dark.png")
        page.call("Emulation.setEmulatedMedia", features=[])
        pdf = page.call("Page.printToPDF", printBackground=False)["data"]
        (shots / f"{path.stem}.pdf").write_bytes(base64.b64decode(pdf))
    curves = page.value("document.querySelectorAll('.uplot').length")
    expect(curves == page.value("JSON.parse(document.getElementById('curves').textContent).length"), "a curve is missing")
    if curves:
        check_legend(page)
    tables = page.value("document.querySelectorAll('table.results').length")
    sorted_tables = sum(check_table(page, index) for index in range(tables))
    # No name may have become markup.
    expect(page.value("document.querySelectorAll('img, iframe, b').length") == 0, "text became elements")
    expect(not page.faults(), f"{path}: {page.faults()}")
    browser.call("Target.closeTarget", targetId=page.target)
    browser.events.clear()
    print(f"{path.name}: {curves} curves, {tables} tables, {sorted_tables} sorted by a click")


def main():
    arguments = sys.argv[1:]
    shots = None
    if "--shot" in arguments:
        place = arguments.index("--shot")
        shots = pathlib.Path(arguments[place + 1])
        shots.mkdir(exist_ok=True)
        del arguments[place:place + 2]
    if len(arguments) < 2:
        raise SystemExit(__doc__)
    # A browser that hangs must not hang us.
    signal.alarm(SECONDS_MAX)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(arguments[0], profile)
        try:
            for path in arguments[1:]:
                check(browser, pathlib.Path(path), shots)
            browser.close()
        finally:
            browser.process.kill()


if __name__ == "__main__":
    main()
