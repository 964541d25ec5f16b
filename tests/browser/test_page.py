"""The page as a reader meets it: opened from disk, in a real browser."""

import shutil

import lens_case
import pytest

from mindthegap.tracklens import ExperimentFiles, build

pytestmark = pytest.mark.browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BACKGROUND_PIXELS = """() => {
  const canvas = document.querySelector("#video canvas");
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let painted = 0;
  for (let i = 3; i < data.length; i += 4) if (data[i] > 0) painted++;
  return painted / (data.length / 4);
}"""


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on PATH")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        # Chromium's own sandbox does not work for root, as containers and CI often are.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser):
    """Opens an address; at the end there must have been no error and no request that leaves the disk."""
    problems, contexts = [], []

    def note(message):
        # Reading pixels back is the test's doing, the browser's advice about it is not about the page.
        if message.type in ("error", "warning") and not message.text.startswith("Canvas2D"):
            problems.append(message.text)

    def open_page(path, fragment="", width=1300, height=900):
        context = browser.new_context(viewport={"width": width, "height": height})
        contexts.append(context)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: request.url.startswith("file://") or problems.append(request.url))
        page.goto(path.as_uri() + fragment)
        page.wait_for_selector("#video canvas")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def make_page(folder, title="A page", count=1, **options):
    inputs = {key: options[key] for key in ("frames", "hostile", "predictions") if key in options}
    oracle = {key: options[key] for key in ("failures", "predictions", "hedging") if key in options}
    truth, rows = lens_case.write_inputs(folder / "in", **inputs)
    found = lens_case.write_oracle(folder / "oracle", **oracle)
    return build(folder / "page", [ExperimentFiles(f"run {i}", truth, rows, found) for i in range(count)], title=title)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return make_page(tmp_path_factory.mktemp("page"), count=2)


def wait_for_fragment(page, *parts):
    page.wait_for_function("parts => parts.every((part) => location.hash.includes(part))", arg=list(parts))


def test_opens_on_the_worst_object_at_its_costliest_event(opened, index):
    page = opened(index)
    wait_for_fragment(page, "v=1", "o=12", "t=6")
    assert page.inner_text("#video h2") == "crossing: square #12"
    assert page.inner_text(".badge") == "synthetic data"
    assert "carried by q0 at IoU 1.00 · oracle: q0 at IoU 1.00" in page.inner_text("#video")
    names = page.eval_on_selector_all("#worst li b", "nodes => nodes.map((node) => node.textContent)")
    assert names == ["square #12", "square #21", "square #11"]
    assert "+50.0" in page.inner_text("#waterfall")


def test_rows_per_query_are_told_where_queries_have_several(opened, index, tmp_path):
    best = {"AP": 15.0, "gaps": {"tracking": 20.0, "classification": 35.0, "segmentation": 30.0}}
    hedging = {"queries": 2, "rows": 7, "rows_per_query": 3.5, "best_row_alone": best}
    text = opened(make_page(tmp_path, hedging=hedging)).inner_text("#waterfall .hedging")
    assert "3.5 rows per query" in text
    assert "AP 15.0, tracking gap 20.0, classification gap 35.0, segmentation gap 30.0" in text
    assert opened(index).locator("#waterfall .hedging").count() == 0


def test_the_frame_image_and_the_masks_are_drawn(opened, index):
    page = opened(index, "#v=1&o=12&t=0")
    page.wait_for_function("() => document.querySelector('#video img').naturalWidth === 100")
    # Two squares of 20 x 20 in 100 x 60 pixels, and their labels.
    assert 0.13 < page.evaluate(BACKGROUND_PIXELS) < 0.16


def test_a_swap_is_a_change_of_colour_in_the_lanes(opened, index):
    page = opened(index, "#v=1&o=12&t=0")
    lane = page.locator("#video svg[aria-label='Objects over time'] > g.lane").nth(1)
    carriers = lane.locator("rect[fill][height='14']")
    colours = carriers.evaluate_all("nodes => nodes.map((node) => node.getAttribute('fill'))")
    assert len(colours) == len(set(colours)) == 2
    widths = carriers.evaluate_all("nodes => nodes.map((node) => node.getBoundingClientRect().width)")
    assert widths[0] == pytest.approx(widths[1], abs=2)
    glyphs = page.locator("#video .glyph")
    assert glyphs.count() == 2


def test_the_keyboard_walks_through_frames_events_and_objects(opened, index):
    page = opened(index, "#v=1&o=12&t=0")
    page.keyboard.press("ArrowRight")
    wait_for_fragment(page, "t=1")
    page.keyboard.press("Shift+ArrowRight")
    wait_for_fragment(page, "t=11")
    page.keyboard.press("p")
    wait_for_fragment(page, "t=6")
    page.keyboard.press("ArrowLeft")
    wait_for_fragment(page, "t=5")
    page.keyboard.press("n")
    wait_for_fragment(page, "t=6")
    page.keyboard.press("j")
    wait_for_fragment(page, "v=2", "o=21")
    page.wait_for_function("() => document.querySelector('#video h2').textContent === 'e: square #21'")
    page.keyboard.press("k")
    wait_for_fragment(page, "v=1", "o=12")
    page.keyboard.press("m")
    wait_for_fragment(page, "e=1")
    assert "run 1" in page.inner_text("#waterfall h2")
    page.keyboard.press("?")
    assert page.locator("dialog[open]").count() == 1
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0


def test_switches_change_what_is_drawn(opened, index):
    page = opened(index, "#v=1&o=12&t=8")
    both = page.evaluate(BACKGROUND_PIXELS)
    page.keyboard.press("g")
    wait_for_fragment(page, "gt=0")
    assert page.evaluate(BACKGROUND_PIXELS) < both
    page.keyboard.press("o")
    wait_for_fragment(page, "oracle=1")
    assert "query 0, query 1" in page.get_attribute("#video canvas", "aria-label")
    page.keyboard.press("z")
    wait_for_fragment(page, "zoom=1")
    assert page.evaluate("() => parseFloat(document.querySelector('.stage').style.width)") > 150


def test_a_click_on_a_gap_sorts_by_it_and_a_search_filters(opened, index):
    page = opened(index)
    page.locator("#waterfall .step", has_text="segmentation").click()
    wait_for_fragment(page, "by=segmentation")
    page.wait_for_function("() => document.querySelector('#worst li b').textContent === 'square #21'")
    page.fill("#worst input[type=search]", "crossing")
    page.wait_for_function("() => document.querySelectorAll('#worst li').length === 2")
    assert page.evaluate("() => document.activeElement.type") == "search"
    page.fill("#worst input[type=search]", "zebra")
    page.wait_for_function("() => document.querySelector('#worst .empty') !== null")


def test_a_click_on_a_failure_mode_keeps_the_objects_that_have_it(opened, index):
    page = opened(index)
    page.click("#modes button:has-text('identity switch')")
    wait_for_fragment(page, "m=identity_switch")
    page.wait_for_function("() => document.querySelectorAll('#worst li').length === 2")
    cells = page.eval_on_selector_all("#modes tr.chosen td", "nodes => nodes.map((node) => node.textContent)")
    assert cells[:2] == ["2", "48.00"]
    assert "carries the object" in page.get_attribute("#modes tr.chosen button", "title")


def test_drawings_follow_the_width_of_the_window(opened, index):
    page = opened(index)
    page.set_viewport_size({"width": 700, "height": 800})
    script = """() => [...document.querySelectorAll('#waterfall svg, svg.lanes')]
      .every((drawing) => drawing.getAttribute('width') <= drawing.parentNode.clientWidth)"""
    page.wait_for_function(script)
    assert page.evaluate("() => document.documentElement.scrollWidth") == 700


def test_a_shared_address_shows_the_same_view(opened, index):
    page = opened(index, "#v=1&o=11&t=3&by=tracking")
    page.wait_for_function("() => document.querySelector('#video h2').textContent === 'crossing: square #11'")
    assert "#11 is absent" in page.inner_text("#video")
    page.evaluate("() => { location.hash = '#v=2&o=21&t=1'; }")
    page.wait_for_function("() => document.querySelector('#video h2').textContent === 'e: square #21'")


@pytest.mark.parametrize("fragment", ["", "#v=1&o=12&t=6&oracle=1&zoom=1", "#v=2&o=21"])
def test_a_phone_needs_no_sideways_scroll(opened, index, fragment):
    page = opened(index, fragment, width=360, height=740)
    assert page.evaluate("() => document.documentElement.scrollWidth") == 360
    box = page.locator("#video canvas").bounding_box()
    assert box["width"] > 200


def test_hostile_names_stay_text(opened, tmp_path):
    page = opened(make_page(tmp_path, title=lens_case.HOSTILE, hostile=True, frames=False))
    page.wait_for_timeout(200)
    assert page.inner_text("h1") == lens_case.HOSTILE
    assert page.title() == f"{lens_case.HOSTILE} · TrackLens"
    assert lens_case.HOSTILE in page.inner_text("#worst li b")
    assert page.locator("img[onerror]").count() == 0


def test_empty_states_read_well(opened, tmp_path):
    page = opened(make_page(tmp_path, frames=False, failures=False, predictions=False), "#v=1&o=11&t=0")
    text = page.inner_text("#video")
    assert "No frames were given: masks are shown on grey." in text
    assert "No predictions in this video: every object is missed." in text
    assert "Failure modes were not sought" in text
    assert page.locator("#worst select[name=m]").is_disabled()


def test_a_missing_data_file_is_named(browser, tmp_path):
    index = make_page(tmp_path)
    (index.parent / "data" / "p0" / "1.js").unlink()
    page = browser.new_page()
    page.goto(index.as_uri())
    page.wait_for_selector("#video .error")
    assert "data/p0/1.js is missing from the page's folder: build the page again." in page.inner_text("#video")
    page.close()
