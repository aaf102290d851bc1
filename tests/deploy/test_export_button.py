"""The dashboard's button that exports: what it answers, and the click itself."""

from __future__ import annotations

import http.client
import json
import re
import shutil

import pytest

from explorer.deploy.selection import Selection, choose
from explorer.study.front import front_view
from explorer.study.read import load_result
from explorer.views.server.feed import Feed
from explorer.views.server.thread import Server


@pytest.fixture
def site(small_study, tmp_path):
    """The dashboard of a copy of the small study; `status` is the study's."""
    result = load_result(shutil.copytree(small_study.folder, tmp_path / "small"))
    feed = Feed(result, "finished")
    server = Server(feed, port=0)
    server.feed, server.result = feed, result
    yield server
    server.stop()


def cookie_of(server):
    return {"Cookie": f"explore-{server.port}={server.link.partition('token=')[2]}"}


def write_token(server, headers):
    """What the page is given to write with, and the answer's status."""
    connection = http.client.HTTPConnection(f"127.0.0.1:{server.port}", timeout=120)
    connection.request("GET", "/api/write-token", headers=headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text)["token"] if answer.status == 200 else None


def post(server, body, headers=None):
    host = f"127.0.0.1:{server.port}"
    connection = http.client.HTTPConnection(host, timeout=120)
    if headers is None:
        headers = cookie_of(server) | {"X-Explore-Token": write_token(server, cookie_of(server))[1]}
    connection.request("POST", "/api/exports", body=body, headers=headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, text


def test_export_request_writes_the_bundle_into_the_studys_folder(site):
    knee = front_view(site.result).knee.trial.number
    status, text = post(site, json.dumps({"trial": knee}))
    said = json.loads(text)
    assert status == 200, said
    folder = site.result.folder / "exports" / f"trial-{knee}"
    assert said["folder"] == str(folder)
    assert json.loads((folder / "manifest.json").read_text())["chosen"]["trial"] == knee
    assert said["test_accuracy"]["n"] == 359


@pytest.mark.parametrize(
    "body",
    ["", "null", "[]", "{}", '{"trial": "1"}', '{"trial": true}', '{"trial": 999}', '{"trial": 1' + " " * 2000 + "}"],
)
def test_export_request_that_is_none_is_refused(site, body):
    status, text = post(site, body)
    assert status == 400
    assert json.loads(text)["error"].startswith('expected {"trial": n}')
    assert not (site.result.folder / "exports").exists()


@pytest.mark.parametrize("origin", [None, "http://evil.example", "null", "ours"])
@pytest.mark.parametrize("token", [None, "", "wrong"])
def test_export_request_without_the_pages_token_is_refused_though_the_cookie_comes_along(site, origin, token):
    headers = cookie_of(site)
    if origin is not None:
        headers["Origin"] = f"http://127.0.0.1:{site.port}" if origin == "ours" else origin
    if token is not None:
        headers["X-Explore-Token"] = token
    assert post(site, '{"trial": 1}', headers)[0] == 403
    assert not (site.result.folder / "exports").exists()


def test_export_request_with_the_pages_token_and_no_cookie_is_refused(site):
    assert write_token(site, {}) == (403, None)
    headers = {"X-Explore-Token": write_token(site, cookie_of(site))[1]}
    assert post(site, '{"trial": 1}', headers)[0] == 403


def test_export_request_while_the_study_measures_is_refused(site):
    site.feed.update(site.result, "running", None, None, None)
    status, text = post(site, '{"trial": 1}')
    assert status == 409
    assert "the study is measuring, which an export would disturb" in json.loads(text)["error"]


def test_export_request_that_fails_says_why(site):
    shutil.rmtree(site.result.folder / "artifacts")
    status, text = post(site, '{"trial": 1}')
    assert status == 422
    assert "the artifact of trial 1 does not read" in json.loads(text)["error"]


def dominated_trial(result):
    """A trial that another one dominates: by the times that are known, what ONNX Runtime runs as well as eager does."""
    numbers = [trial.number for trial in result.trials]
    return next(n for n in numbers if choose(result, Selection(trial=n), is_forced=True).objections)


@pytest.mark.slow
def test_export_button_exports_the_selected_trial(site, browser):
    knee, dominated = front_view(site.result).knee.trial.number, dominated_trial(site.result)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(site.link)
    page.wait_for_selector("body[data-ready=true]")
    page.evaluate(f"location.hash = 'trial={knee}'")
    page.locator("#export").click()
    page.wait_for_selector("#exported")
    said = page.locator("#exported").inner_text()
    page.evaluate(f"location.hash = 'trial={dominated}'")
    page.get_by_text(re.compile(f"--trial {dominated} --force$")).wait_for()
    page.locator("#export").click()
    page.wait_for_selector("#exported")
    of_the_dominated = page.locator("#exported").inner_text()
    context.close()
    assert "Its model card says that it " in of_the_dominated
    assert "Its model card" not in said
    assert said.startswith(f"Exported to {site.result.folder}/exports/trial-{knee}.")
    assert "Accuracy on the test split, which chose nothing: " in said
    assert (site.result.folder / "exports" / f"trial-{knee}" / "manifest.json").is_file()
