"""The pages in a real browser, with and without JavaScript."""

from __future__ import annotations

import pytest
from PIL import Image
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.helpers.browser import opened
from tests.helpers.pictures import noise_picture
from tests.helpers.servers import running
from tests.helpers.waiting import PATIENCE_S

ADDRESSES = (
    "/", "/browse", "/groups", "/groups/0", "/map", "/duplicates", "/collection", "/docs", "/x",
)  # fmt: skip
WIDTHS = {"desk": 1280, "phone": 390}


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    """Give a browser with JavaScript."""
    with opened(tmp_path_factory.mktemp("profile")) as one:
        yield one


@pytest.fixture(scope="module")
def plain_window(tmp_path_factory):
    """Give a browser with JavaScript switched off."""
    with opened(tmp_path_factory.mktemp("plain"), javascript=False) as one:
        yield one


@pytest.fixture
def query(tmp_path):
    """Give the file of a picture that is not in the collection, but resembles its picture 7."""
    path = tmp_path / "query.jpg"
    noise_picture(7).resize((500, 300)).save(path)
    return path


def one(window, selector):
    """Return the only element that matches a selector."""
    (element,) = window.find_elements(By.CSS_SELECTOR, selector)
    return element


def many(window, selector):
    """Return all elements that match a selector."""
    return window.find_elements(By.CSS_SELECTOR, selector)


def wait_for(window, claim):
    """Wait until a claim about a whole page holds, even while the next page loads."""
    # A stale element by any of its names, or `one` found none of the old or new page.
    gone = [WebDriverException, ValueError]
    state = "return document.readyState"

    def holds(w):
        return w.execute_script(state) == "complete" and claim(w)

    return WebDriverWait(window, PATIENCE_S, ignored_exceptions=gone).until(holds)


def wait_for_results(window):
    """Wait for a page of results, and return the addresses of their links."""
    return wait_for(
        window,
        lambda w: [link.get_attribute("href") for link in many(w, ".found a.frame")],
    )


def broken_pictures(window):
    """Return the addresses of pictures that the browser could not show."""
    script = """
      const images = [...document.images];
      for (const image of images) image.loading = "eager";
      return Promise.all(images.map((image) => image.decode().then(() => null, () => image.src)));
    """
    return [source for source in window.execute_script(script) if source]


def complaints(window):
    """Return the browser's log: refused files and errors in scripts."""
    return [entry["message"] for entry in window.get_log("browser")]


def test_upload_without_javascript(plain_window, server, query):
    """The form works without JavaScript: the query picture, and results with scores."""
    plain_window.get(server.url + "/")
    one(plain_window, "input[type=file]").send_keys(str(query))
    one(plain_window, "form button").click()
    results = wait_for_results(plain_window)
    assert len(results) == 24
    assert one(plain_window, ".badge").text == "new"
    assert one(plain_window, ".query img").get_attribute("src").startswith("data:image/jpeg")
    names = [name.text for name in many(plain_window, ".found .name")]
    assert names[0] == "007.png"
    scores = [float(score.text) for score in many(plain_window, ".score")]
    assert scores == sorted(scores, reverse=True)


def test_next_page_of_an_upload_without_javascript(plain_window, server, query):
    """A button leads to the rest of the results, and another leads back."""
    plain_window.get(server.url + "/")
    one(plain_window, "input[type=file]").send_keys(str(query))
    one(plain_window, "form button").click()
    first = wait_for_results(plain_window)
    one(plain_window, ".pager button").click()
    wait_for(plain_window, lambda w: "Page 2" in one(w, ".pager").text)
    second = wait_for_results(plain_window)
    assert len(set(first + second)) == len(first + second) == 41
    one(plain_window, ".pager button").click()
    wait_for(plain_window, lambda w: "Page 1" in one(w, ".pager").text)
    assert wait_for_results(plain_window) == first


def test_choosing_a_file_searches_at_once(window, server, query):
    """With JavaScript, no button is needed."""
    window.get(server.url + "/")
    one(window, "input[type=file]").send_keys(str(query))
    wait_for_results(window)
    assert one(window, ".badge").text == "new"
    assert broken_pictures(window) == []
    assert complaints(window) == []


def test_click_on_a_result_searches_with_it(window, server, query):
    """A result leads to its own look-alikes, itself first and marked as known."""
    window.get(server.url + "/")
    one(window, "input[type=file]").send_keys(str(query))
    wait_for_results(window)
    name = many(window, ".found .name")[3].text
    many(window, ".found a.frame")[3].click()
    wait_for(window, lambda w: "/similar/" in w.current_url and one(w, ".badge").text == "known")
    assert one(window, ".query .name").text == name
    assert many(window, ".found .name")[0].text == f"this picture · {name}"


def test_browse_to_a_picture_and_its_group(window, server):
    """Links lead from the collection to a picture, and to its group."""
    window.get(server.url + "/")
    one(window, "nav a[href='/browse']").click()
    wait_for(window, lambda w: len(many(w, "main a.frame")) == 41)
    many(window, "main a.frame")[2].click()
    wait_for_results(window)
    one(window, ".links a[href^='/groups/']").click()
    wait_for(window, lambda w: one(w, "h1").text.startswith("Group "))
    assert many(window, "main a.frame")


def test_too_large_a_picture_is_a_page_with_a_form(plain_window, server, tmp_path):
    """A browser that sends 25 MB shows the error, not a broken connection."""
    large = tmp_path / "large.jpg"
    large.write_bytes(bytes(25_000_000))
    plain_window.get(server.url + "/")
    one(plain_window, "input[type=file]").send_keys(str(large))
    one(plain_window, "form button").click()
    wait_for(plain_window, lambda w: "Too large" in one(w, "h1").text)
    assert many(plain_window, "input[type=file]")


def test_file_that_is_no_picture(window, server, tmp_path):
    """The page names the error, and another picture can be chosen at once."""
    note = tmp_path / "note.txt"
    note.write_text("not a picture")
    window.get(server.url + "/")
    one(window, "input[type=file]").send_keys(str(note))
    wait_for(window, lambda w: many(w, "[role=alert]"))
    assert one(window, "h1").text == "Not a supported picture"
    assert many(window, "input[type=file]")


@pytest.mark.parametrize(
    "address",
    ["/", "/browse", "/groups", "/groups/0", "/map", "/duplicates", "/collection", "/docs", "/x"],
)
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_page_fits_and_breaks_no_rule(window, server, width, address, tmp_path):
    """On a desktop and on a phone, the page fits, has its pictures and breaks no policy."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    window.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    complaints(window)  # of the pages before
    window.get(server.url + address)
    assert window.execute_script("return document.documentElement.scrollWidth") <= width
    assert broken_pictures(window) == []
    assert [line for line in complaints(window) if "/x - Failed to load" not in line] == []
    shot = tmp_path / "page.png"
    assert window.save_screenshot(str(shot))
    assert len(Image.open(shot).convert("RGB").getcolors(1 << 24)) > 3  # not blank


def test_search_is_tried_on_the_docs_page(window, server, query):
    """The API page's form returns results, and the browser has no complaints."""
    try_search(window, server.url + "/docs", query)


def try_search(window, page, query):
    """Send a picture with the form of the API page, and check the response."""
    complaints(window)  # of the pages before
    window.get(page)
    route = "#operations-search-post_search .opblock-summary-control"
    wait_for(window, lambda w: one(w, route)).click()
    wait_for(window, lambda w: one(w, ".try-out__btn")).click()
    wait_for(window, lambda w: one(w, "#swagger input[type=file]")).send_keys(str(query))
    one(window, "#swagger .execute").click()
    status = "#swagger .live-responses-table tbody .response-col_status"
    assert wait_for(window, lambda w: one(w, status).text) == "200"
    assert complaints(window) == []


def test_region_is_drawn_on_the_picture(window, server):
    """A box drawn with the pointer fills the fields, and the button searches with it."""
    window.get(server.url + "/browse")
    many(window, "main a.frame")[2].click()
    wait_for_results(window)
    one(window, ".region-form summary").click()
    wait_for(window, lambda w: one(w, ".cut"))
    picture = one(window, ".query figure .frame")
    size = picture.size["width"]
    steps = ActionChains(window).move_to_element_with_offset(picture, -size // 4, 0)
    steps.click_and_hold().move_by_offset(size // 2, size // 8).release().perform()
    edges = {
        name: float(one(window, f".region-form [name={name}]").get_attribute("value"))
        for name in ("left", "right", "top", "bottom")
    }
    assert edges["left"] == pytest.approx(25, abs=2)
    assert edges["right"] == pytest.approx(75, abs=2)
    assert edges["top"] == pytest.approx(50, abs=2)
    one(window, ".region-form button").click()
    wait_for(window, lambda w: "left=" in w.current_url and one(w, ".badge").text == "region")
    assert wait_for_results(window)
    assert broken_pictures(window) == []
    assert complaints(window) == []


def test_ticked_results_are_searched_with_without_javascript(plain_window, server):
    """Two ticks and a button lead to pictures like one and unlike the other."""
    plain_window.get(server.url + "/browse")
    many(plain_window, "main a.frame")[2].click()
    wait_for_results(plain_window)
    ticks = {name: many(plain_window, f".found [name={name}]") for name in ("positive", "negative")}
    ids = [ticks["positive"][0].get_attribute("value"), ticks["negative"][3].get_attribute("value")]
    ticks["positive"][0].click()
    ticks["negative"][3].click()
    one(plain_window, ".refine button").click()
    wait_for(plain_window, lambda w: one(w, "h1").text == "More like these")
    kept = [box.get_attribute("value") for box in many(plain_window, ".picked input:checked")]
    assert kept == ids


def test_map_shows_the_picture_under_the_pointer(window, server):
    """Every picture is a link. Pointing at it shows the picture and its name."""
    window.get(server.url + "/map")
    dots = many(window, "[data-map] a")
    assert len(dots) >= 41
    assert not one(window, "[data-preview]").is_displayed()
    ActionChains(window).move_to_element(many(window, "[data-map] rect")[0]).perform()
    wait_for(window, lambda w: one(w, "[data-preview]").is_displayed())
    assert "typical of group" in one(window, "[data-preview] span").text
    assert broken_pictures(window) == []
    assert complaints(window) == []


def test_keyboard_reaches_everything(window, server):
    """The first tab stop skips the header, and the focus is visible."""
    window.get(server.url + "/")
    script = "return document.activeElement.textContent.trim()"
    body = one(window, "body")
    body.send_keys("\ue004")  # the tabulator key
    assert window.execute_script(script) == "Skip to content"
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert window.execute_script(outline) != "none"


@pytest.fixture(scope="module")
def below_look(built, tmp_path_factory):
    """Give a server whose pages are below /look/."""
    log = tmp_path_factory.mktemp("below") / "log"
    with running(built, log, LOOKALIKE_PREFIX="/look") as server:
        yield server


def test_upload_below_a_path(window, below_look, query):
    """Below /look/, an upload, its second page and a click on a result stay there."""
    complaints(window)  # of the pages before
    window.get(below_look.url + "/look/")
    one(window, "input[type=file]").send_keys(str(query))
    results = wait_for_results(window)
    assert window.current_url == below_look.url + "/look/search"
    assert broken_pictures(window) == []
    one(window, ".pager button").click()
    wait_for(window, lambda w: "Page 2" in one(w, ".pager").text)
    results += wait_for_results(window)
    assert len(set(results)) == 41
    assert all(link.startswith(below_look.url + "/look/similar/") for link in results)
    many(window, ".found a.frame")[0].click()
    wait_for(window, lambda w: one(w, ".badge").text == "known")
    assert window.current_url.startswith(below_look.url + "/look/similar/")
    assert broken_pictures(window) == []
    assert complaints(window) == []


@pytest.mark.parametrize("address", ADDRESSES)
def test_page_below_a_path_breaks_no_rule(window, below_look, address):
    """Below /look/, every page has its pictures, styles and scripts."""
    complaints(window)  # of the pages before
    window.get(f"{below_look.url}/look{address}")
    assert broken_pictures(window) == []
    assert [line for line in complaints(window) if "/x - Failed to load" not in line] == []


def test_search_is_tried_on_the_docs_page_below_a_path(window, below_look, query):
    """The form of the API page sends its request below /look/."""
    try_search(window, below_look.url + "/look/docs", query)
    address = one(window, "#swagger .request-url pre").text
    assert address == below_look.url + "/look/api/v1/search"
