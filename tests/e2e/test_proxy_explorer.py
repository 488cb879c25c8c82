"""The explorer of `kubegate proxy` in a real browser, on a real cluster, and a workload whose page wants the user's rights."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.cluster.cluster import Cluster
from tests.support.expose import home
from tests.support.proxy import Proxying, proxying

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

PATIENCE_SECONDS = 30
# What the page of a workload tries, with the proxy's address as it can guess it; the results stand in its title.
HOSTILE = """<!doctype html><title>waiting</title><h1>workload</h1><a id=link href="/other">other</a><script>
const main = new URLSearchParams(location.search).get('main') || location.origin;
const tries = {
  own: () => fetch('/api/v1/secrets').then(r => r.text()),
  main: () => fetch(main + '/api/v1/secrets').then(r => r.text()),
  blind: () => fetch(main + '/api/v1/namespaces/dev/configmaps', {method: 'POST', mode: 'no-cors',
    body: JSON.stringify({apiVersion: 'v1', kind: 'ConfigMap', metadata: {name: 'taken'}})}).then(r => 'sent'),
  socket: () => new Promise((done, fail) => { const s = new WebSocket(main.replace('http', 'ws') + '/api/v1/watch/pods');
    s.onopen = () => done('open'); s.onerror = () => fail('closed'); }),
  storage: async () => { localStorage.setItem('kubegate-dark', '1'); return 'stored'; },
};
(async () => { const found = {};
  for (const [name, go] of Object.entries(tries)) {
    try { found[name] = await go(); } catch (error) { found[name] = 'failed: ' + error; } }
  document.title = JSON.stringify(found); })();
</script>"""


@pytest.fixture(scope="module")
def workload(cluster: Cluster) -> Iterator[str]:
    """The name of a Service whose page is hostile."""
    page = HOSTILE.replace("'", "'\\''")
    files = f"mkdir -p /www/other; printf '%s' '{page}' > /www/index.html; echo other > /www/other/index.html"
    script = f"{files}; httpd -f -p 8080 -h /www"
    cluster.run_pod("hostile", command=["sh", "-c", script])
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "hostile", "namespace": "dev"},
        "spec": {"selector": {"app": "hostile"}, "ports": [{"name": "web", "port": 80, "targetPort": 8080}]},
    }
    cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump(service))
    yield "hostile"
    cluster.kubectl("delete", "service", "-n", "dev", "hostile")
    cluster.delete_pod("hostile")


@pytest.fixture(scope="module")
def proxy(cluster: Cluster, workload: str) -> Iterator[Proxying]:
    assert workload
    with home() as person, proxying("--port=0", f"--kubeconfig={cluster.kubeconfig}", home=person) as running:
        yield running


class Browser:
    """A browser, and what a person sees in it."""

    def __init__(self, driver: WebDriver, proxy: Proxying) -> None:
        self.driver = driver
        self.main = f"http://127.0.0.1:{proxy.port}"

    def open(self, path: str) -> None:
        self.driver.get(f"{self.main}{path}")

    def until(self, condition: Callable[[], Any]) -> Any:
        """Wait for something, and return it."""
        return WebDriverWait(self.driver, PATIENCE_SECONDS, ignored_exceptions=[Exception]).until(lambda _: condition())

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        return self.find(selector).text

    def report(self) -> dict[str, str]:
        """What the page of the workload achieved."""
        found: dict[str, str] = json.loads(self.until(lambda: self.driver.title.startswith("{") and self.driver.title))
        return found


@pytest.fixture
def browser(proxy: Proxying, tmp_path: Path) -> Iterator[Browser]:
    """A new one for each test, with nothing remembered."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,1000", f"--user-data-dir={tmp_path}"):
        options.add_argument(word)
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        yield Browser(driver, proxy)
    finally:
        driver.quit()


def test_who_am_i_and_what_is_there(browser: Browser) -> None:
    browser.open("/")
    browser.until(lambda: len(browser.driver.find_elements(By.CSS_SELECTOR, "#groups tr")) > 10)
    facts = browser.text("#facts")
    assert "You are\nadmin" in facts
    assert "Kubernetes\nv1." in facts
    assert "apps" in browser.text("#groups")


def test_a_script_gets_the_api_servers_own_answer(proxy: Proxying) -> None:
    assert "paths" in proxy.ask("/", "Accept: application/json").json
    assert "paths" in proxy.ask("/").json
    assert proxy.ask("/", "Accept: text/html").header("content-type") == "text/html; charset=utf-8"


def test_the_api_is_tried_out(browser: Browser) -> None:
    browser.open("/#api")
    block = browser.until(lambda: browser.find("[id*=listCoreV1Namespace] .opblock-summary-control"))
    block.click()
    browser.until(lambda: browser.find("[id*=listCoreV1Namespace] button.execute")).click()
    answer = browser.until(
        lambda: browser.find("[id*=listCoreV1Namespace] table.live-responses-table tbody .response-col_status").text
    )
    assert answer.startswith("200")
    assert "kube-system" in browser.text("[id*=listCoreV1Namespace] .live-responses-table .highlight-code")


def test_a_change_is_tried_out(browser: Browser, cluster: Cluster) -> None:
    """A POST of the page itself: its origin is the proxy's own."""
    browser.open("/")
    script = """
        const done = arguments[0];
        fetch('/api/v1/namespaces/dev/configmaps', {method: 'POST', headers: {'Content-Type': 'application/json'},
          body: JSON.stringify({apiVersion: 'v1', kind: 'ConfigMap', metadata: {name: 'tried'}})}).then(r => done(r.status));"""
    assert browser.driver.execute_async_script(script) == 201
    cluster.kubectl("delete", "configmap", "-n", "dev", "tried")


def test_services_that_answer(browser: Browser) -> None:
    browser.open("/#services")
    rows = browser.until(lambda: _rows(browser, "hostile", "answers (200)"))
    assert "web (80)" in rows
    kubernetes = _rows(browser, "kubernetes", "")
    assert "encrypted, not verified" in kubernetes


def _rows(browser: Browser, service: str, words: str) -> str:
    """The row of a service, once it says that."""
    lines = [one.text for one in browser.driver.find_elements(By.CSS_SELECTOR, "#service-list tr")]
    return next((one for one in lines if service in one and words in one), "")


def test_a_hostile_page_on_an_origin_of_its_own(browser: Browser, proxy: Proxying, cluster: Cluster) -> None:
    browser.open("/#services")
    button = browser.until(lambda: browser.find("[aria-label='Open hostile web of dev']"))
    before = set(browser.driver.window_handles)
    button.click()
    [fresh] = browser.until(lambda: set(browser.driver.window_handles) - before)
    browser.driver.switch_to.window(fresh)
    browser.until(lambda: browser.text("h1") == "workload")
    url = urlsplit(browser.driver.current_url)
    assert (url.hostname, url.port) != ("127.0.0.1", proxy.port)
    browser.driver.get(f"http://{url.netloc}/?main={browser.main}")
    found = browser.report()
    assert "SecretList" not in json.dumps(found)
    assert "404" in found["own"]
    assert found["main"].startswith("failed")
    assert found["socket"].startswith("failed")
    # It was sent, for nobody asks before such a request, and refused.
    assert "taken" not in cluster.kubectl("get", "configmaps", "-n", "dev", "-o", "name").stdout
    browser.find("#link").click()
    browser.until(lambda: "other" in browser.text("body"))


def test_a_hostile_page_on_the_proxys_own_origin(browser: Browser, cluster: Cluster) -> None:
    browser.open("/api/v1/namespaces/dev/services/hostile:web/proxy/")
    found = browser.report()
    assert {name: words.startswith("failed") for name, words in found.items() if name != "blind"} == {
        "own": True,
        "main": True,
        "socket": True,
        "storage": True,
    }
    assert "taken" not in cluster.kubectl("get", "configmaps", "-n", "dev", "-o", "name").stdout


def test_by_keys_alone(browser: Browser) -> None:
    browser.open("/")
    active = browser.driver.switch_to
    names = []
    for _ in range(5):
        active.active_element.send_keys(Keys.TAB)
        names.append(active.active_element.text)
    assert names == ["Skip to content", "Overview", "Services", "API", "Dark"]
    browser.find("nav a[href='#services']").send_keys(Keys.ENTER)
    browser.until(lambda: browser.find("#services").is_displayed())
    assert browser.find("nav a[href='#services']").get_attribute("aria-current") == "page"


def test_dark_and_light(browser: Browser) -> None:
    browser.open("/")
    before = browser.find("body").value_of_css_property("background-color")
    browser.find("#theme").click()
    after = browser.find("body").value_of_css_property("background-color")
    assert before != after
    browser.driver.refresh()
    assert browser.find("body").value_of_css_property("background-color") == after
