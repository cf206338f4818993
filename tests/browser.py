"""Chromium without a window, driven through its DevTools pipe: json messages, each ended by a zero."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MISSING = "no chromium here (apt-get install chromium)"


def until(condition: str) -> str:
    """A promise that a condition of the page will hold."""
    return (
        f"new Promise((d) => {{ const look = () => {condition} ? d(true) : setTimeout(look, 10); look(); }})"
    )


class Browser:
    """One page in a browser of its own; `dark` is what its user prefers, `loaded` waits for all of it."""

    def __init__(
        self,
        folder: Path,
        page: Path,
        size: tuple[int, int] = (1280, 900),
        dark: bool = False,
        loaded: bool = True,
    ) -> None:
        assert CHROMIUM is not None
        down, up = os.pipe(), os.pipe()

        def fds() -> None:  # the browser reads 3 and writes 4
            os.dup2(down[0], 103)
            os.dup2(up[1], 104)
            os.dup2(103, 3)
            os.dup2(104, 4)

        self.process = subprocess.Popen(
            [
                CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--autoplay-policy=no-user-gesture-required", f"--user-data-dir={folder}",
                "--remote-debugging-pipe", f"--window-size={size[0]},{size[1]}", "about:blank",
            ],
            preexec_fn=fds, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(down[0])
        os.close(up[1])
        self.into, self.out = down[1], up[0]
        self.rest, self.number, self.session = b"", 0, ""
        self.said: list[dict[str, Any]] = []  # events
        targets = self.ask("Target.getTargets")["targetInfos"]
        target = next(each["targetId"] for each in targets if each["type"] == "page")
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.ask("Page.enable")
        self.ask("Runtime.enable")
        self.ask("Log.enable")
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.ask("Emulation.setEmulatedMedia", features=scheme)
        self.ask("Page.navigate", url=page.resolve().as_uri())
        if loaded:
            self.until("Page.loadEventFired")

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.into)
        os.close(self.out)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.into, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]
            self.said.append(answer)

    def until(self, event: str) -> None:
        """Wait for an event."""
        while not any(each.get("method") == event for each in self.said):
            self.said.append(self._read())

    def run(self, script: str) -> Any:
        """The value of an expression in the page, awaited where it is a promise."""
        answer = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def click(self, x: float, y: float) -> None:
        """Press and release the pointer's button."""
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        for what in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=what, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str, text: str = "") -> None:
        """Press and release a key."""
        self.ask("Input.dispatchKeyEvent", type="keyDown", key=key, **({"text": text} if text else {}))
        self.ask("Input.dispatchKeyEvent", type="keyUp", key=key)

    def picture(self, path: Path) -> None:
        """What it shows, as a PNG."""
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot")["data"]))

    def complaints(self) -> list[str]:
        """Errors and warnings that the page has caused so far."""
        self.ask("Runtime.evaluate", expression="0")
        found = []
        for each in self.said:
            if each.get("method") == "Runtime.exceptionThrown":
                found.append(str(each["params"]["exceptionDetails"]))
            if each.get("method") == "Log.entryAdded" and each["params"]["entry"]["level"] != "verbose":
                found.append(each["params"]["entry"]["text"])
        return found

    def _read(self, seconds: float = 60.0) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.out], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            part = os.read(self.out, 1 << 20)
            assert part, "the browser has ended"
            self.rest += part
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)
