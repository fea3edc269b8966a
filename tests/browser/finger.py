"""A technician's thumb: a real touch screen in a real browser, whose every touch is counted."""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars",
]  # fmt: skip
SCREEN = {"width": 390, "height": 844, "pixelRatio": 2.0}  # a phone


def programs() -> tuple[str, str]:
    """Chromium and its driver; without them the test is skipped, loudly."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        warnings.warn("Chromium is not installed: the setup page was not tested (make test-browser)", stacklevel=2)
        pytest.skip("needs chromium and chromium-driver: make test-browser installs them")
    return browser, driver


@contextmanager
def phone(folder: Path, key_digest: str, language: str = "en-GB") -> Iterator[Finger]:
    """A browser that believes the certificate of ``key_digest`` (base64 SHA-256 of its public key) besides those that
    everybody believes, and no other."""
    browser, driver = programs()
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS, f"--user-data-dir={folder}", f"--lang={language}"):
        options.add_argument(flag)
    options.add_argument(f"--ignore-certificate-errors-spki-list={key_digest}")
    options.add_experimental_option("mobileEmulation", {"deviceMetrics": SCREEN | {"touch": True}})
    options.add_experimental_option("prefs", {"intl.accept_languages": language})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    running = webdriver.Chrome(options=options, service=Service(driver))
    try:
        running.set_page_load_timeout(60)
        yield Finger(running)
    finally:
        running.quit()


class Finger:
    """``taps``: how often the screen was touched, a stroke counting as one touch. Typing is not counted: the tap on the
    field is."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self.taps = 0

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def wait(self, selector: str, seconds: float = 30.0) -> WebElement:
        """The element, once it is there and can be used."""
        try:
            found = WebDriverWait(self.driver, seconds).until(lambda _: self._usable(selector))
        except TimeoutException as error:
            shown = self.driver.find_element(By.TAG_NAME, "body").text
            raise AssertionError(f"no {selector} to use within {seconds:.0f} s; the page says:\n{shown}") from error
        assert isinstance(found, WebElement)
        return found

    def tap(self, selector: str, seconds: float = 30.0) -> None:
        element = self.wait(selector, seconds)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        builder = self._builder()
        builder.pointer_action.move_to(element).pointer_down().pointer_up()
        builder.perform()
        self.taps += 1

    def type(self, selector: str, text: str) -> None:
        self.tap(selector)
        self.find(selector).send_keys(text)

    def stroke(self, selector: str, start: tuple[float, float], end: tuple[float, float]) -> None:
        """From one place of the element to another, in fractions of its size."""
        element = self.wait(selector)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        box = element.rect
        builder = self._builder()
        for number in range(7):
            share = number / 6
            x, y = (a + (b - a) * share for a, b in zip(start, end, strict=True))
            offset = round((x - 0.5) * box["width"]), round((y - 0.5) * box["height"])
            builder.pointer_action.move_to(element, *offset)
            if number == 0:
                builder.pointer_action.pointer_down()
        builder.pointer_action.pointer_up()
        builder.perform()
        time.sleep(0.4)  # a thumb is not faster, and the browser takes a touch within 0.1 s for half of a double tap
        self.taps += 1

    def picture(self, path: Path) -> None:
        """A screenshot of what the phone shows, small, without what changes every minute."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(path))
        with Image.open(path) as shot:
            shot.convert("RGB").resize((585, 1266), Image.Resampling.LANCZOS).quantize(192).save(path, optimize=True)

    def complaints(self) -> list[str]:
        """What the browser's console says of errors and of the content security policy."""
        return [
            entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")
        ]

    def _usable(self, selector: str) -> WebElement | None:
        found = self.driver.find_elements(By.CSS_SELECTOR, selector)
        return found[0] if found and found[0].is_displayed() and found[0].is_enabled() else None

    def _builder(self) -> ActionBuilder:
        return ActionBuilder(self.driver, mouse=PointerInput("touch", "finger"), duration=20)
