"""A page in a real browser: what it says on its console, what it asks of the network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

_OWN = ("file:", "data:", "blob:", "about:")


@dataclass(frozen=True)
class Browser:
    """A driver, and what the last opened page did."""

    driver: webdriver.Chrome

    @classmethod
    def start(cls, chromium: str, chromedriver: str) -> Browser:
        options = Options()
        options.binary_location = chromium
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        return cls(webdriver.Chrome(options=options, service=Service(chromedriver)))

    def open(self, page: Path, *, width: int = 1280, height: int = 900) -> webdriver.Chrome:
        """Open a file in a window whose page area is so many CSS pixels wide and high."""
        self.driver.get("about:blank")
        self.console(), self.network()  # what other pages left in the logs
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.get(page.resolve().as_uri())
        return self.driver

    def console(self) -> list[dict[str, Any]]:
        """Return what was written to the console since it was last asked for, uncaught errors included."""
        return self.driver.get_log("browser")

    def network(self) -> list[str]:
        """Return the addresses outside of this machine's files that were asked for since the last time."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [
            event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"
        ]
        return [address for address in asked if not address.startswith(_OWN)]
