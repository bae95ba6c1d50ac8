#!/usr/bin/env python3
"""The status page in a real browser, against a server that runs: page.py URL FOLDER [--stop COMMAND --start COMMAND]

URL is the endpoint's, FOLDER where pictures go. The server is the one of PGHOST and PGPORT, where whoever PGUSER is has to be a
superuser. With the two commands it is stopped and started; without, the browser is cut off from it. Writes TAP; what it
leaves behind is as it was.
"""

import argparse
import base64
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

import psycopg2
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.keys import Keys

# What a screen shows; the sizes of a phone and of a desk.
SIZES = ((390, 844), (1440, 900))
THEMES = ("light", "dark")

# How long something may take that takes two seconds at most where nobody else uses the machine.
PATIENCE = 60

# What the page asks for in each round.
HEALTH = "/api/v1/health/detailed"

# Names that a browser would run if they were taken for HTML.
NAMES = ("<img src=x onerror=alert(1)>", "\"><script>alert(2)</script>", "'-alert(3)-'", "</style><b>x", "&lt;i&gt;")
ROLE = "<svg onload=alert(4)>"

parser = argparse.ArgumentParser()
parser.add_argument("url")
parser.add_argument("folder")
parser.add_argument("--stop")
parser.add_argument("--start")
parser.add_argument("--token", help="the one that opens everything where access is summary")
args = parser.parse_args()
base = args.url.rstrip("/")

tests = 0
failures = 0


def ok(good, name, detail=None):
    global tests, failures
    tests += 1
    print(f"{'ok' if good else 'not ok'} {tests} - {name}", flush=True)
    if not good:
        failures += 1
        for line in str(detail if detail is not None else "").splitlines() or [""]:
            print(f"# {line}", flush=True)
    return good


def same(got, wanted, name):
    return ok(got == wanted, name, f"got    {got}\nwanted {wanted}")


def note(text):
    print(f"# {text}", flush=True)


def poll(question, patience=PATIENCE):
    """What question answers when it is true, or its last answer."""
    end = time.monotonic() + patience
    while True:
        answer = question()
        if answer or time.monotonic() > end:
            return answer
        time.sleep(0.02)


def connect(**how):
    connection = psycopg2.connect(application_name=how.pop("application_name", "page.py"), **how)
    connection.autocommit = True
    return connection


class Database:
    """One session that asks; the page sees it idle, and it sees itself active."""

    def __init__(self):
        self.connection = connect()

    def rows(self, sql, *values):
        with self.connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            return cursor.fetchall() if cursor.description else []

    def value(self, sql, *values):
        return self.rows(sql, *values)[0][0]


def start_browser(profile):
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--force-prefers-reduced-motion",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)


def run(script, *values):
    return browser.execute_script(script, *values)


def cdp(command, **values):
    return browser.execute_cdp_cmd(command, values)


def screen(width, height, theme):
    cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
    cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
    # Drawn as it is now.
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")


def picture(name, width, height):
    """The whole page, as if the screen were as high."""
    height = max(height, run("return document.documentElement.scrollHeight"))
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    shot = cdp("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
    with open(os.path.join(args.folder, name + ".png"), "wb") as file:
        file.write(base64.b64decode(shot["data"]))


# What is on the page, by what a reader goes by: headings, heads of rows and of columns.
READ = """
const text = n => n ? n.textContent.trim() : null;
const table = id => Object.fromEntries([...document.querySelectorAll('#' + id + ' tbody tr')].map(tr =>
    [text(tr.children[0]), Object.fromEntries([...tr.children].slice(1).map((td, i) => [
        text(tr.closest('table').tHead.rows[0].cells[i + 1]),
        text(td.querySelector('.conns > :first-child') || td)]))]));
return {
    status: text(document.querySelector('#word')),
    verdict: text(document.querySelector('#verdict')),
    tiles: Object.fromEntries([...document.querySelectorAll('#now > div')].map(d => [text(d.querySelector('dt')), text(d.querySelector('dd'))])),
    pools: table('pools'),
    breakers: table('breakers'),
    titles: [...document.querySelectorAll('#advice .title')].map(text),
    legend: Object.fromEntries([...document.querySelectorAll('#legend li')].filter(l => l.querySelector('b')).map(l => [text(l.children[1]), text(l.querySelector('b'))])),
};
"""


def with_token():
    return base.replace("//", f"//somebody:{args.token}@")


def load(url=base):
    browser.get(url + "/")
    return poll(lambda: read()["breakers"] and read()["pools"] and read()["legend"].get("idle", "–") != "–")


def read():
    return run(READ)


def shown(count):
    return f"{count:,}"


# What stands there, from SQL, the same figures as the page has them. The asking session is idle between two questions.
def expected():
    states = dict(db.rows("SELECT state, connections FROM pooldiag.connection_states"))
    states["active"] -= 1
    states["idle"] += 1
    usable = db.value(
        "SELECT capacity FROM pooldiag.utilization WHERE scope = 'server'",
    )
    mine = db.value("SELECT pool FROM pooldiag.connections WHERE pid = pg_backend_pid()")
    pools = {
        pool: (
            f"{shown(connections)} / {shown(capacity)}" if capacity is not None else shown(connections),
            shown(out - (pool == mine)),
            shown(leaks),
            state.replace("_", " ") if state else "–",
        )
        for pool, connections, capacity, out, leaks, state in db.rows(
            "SELECT pool, connections, capacity, checked_out, leaks, breaker_state FROM pooldiag.pools WHERE declared OR connections > 0"
        )
    }
    breakers = {
        name: (state.replace("_", " "), shown(trips))
        for name, state, trips in db.rows("SELECT breaker, state, trips FROM pooldiag.breakers")
    }
    held = states["idle in transaction"] + states["idle in transaction (aborted)"]
    return {
        "connections": f"{sum(states.values())} of {usable}",
        "active": shown(states["active"] + states["fastpath function call"]),
        "idle in transaction": shown(held),
        "idle": shown(states["idle"]),
        "refused": shown(int(db.value("SELECT coalesce(sum(refused), 0) FROM pooldiag.refusals"))),
        "pools": pools,
        "breakers": breakers,
    }


def on_page():
    page = read()
    return {
        "connections": page["tiles"].get("Connections", "").split(",")[0],
        "active": page["tiles"].get("Active"),
        "idle in transaction": page["tiles"].get("Idle in transaction"),
        "idle": page["tiles"].get("Idle"),
        "refused": page["tiles"].get("Refused", "").split(" ")[0],
        "pools": {
            name: (row["Connections of capacity"], row["Out"], row["Leaks"], row["Breaker"])
            for name, row in page["pools"].items()
        },
        "breakers": {
            name: (row["State"].split(",")[0], row["Trips"]) for name, row in page["breakers"].items()
        },
    }


def agree():
    """The page and SQL, when they agree, or the last that they said; a poll later than what has changed."""
    said = [None, None]

    def equal():
        said[:] = on_page(), expected()
        return said[0] == said[1]

    poll(equal, 20)
    return said


def state_of(breaker):
    return read()["breakers"].get(breaker, {}).get("State")


# Text whose colour is too close to what is behind it: at least 4.5 to 1, 3 to 1 where it is large.
FAINT = """
const rgb = s => { const m = s.match(/[\\d.]+/g).map(Number); return s.startsWith('color(') ? m.slice(0, 3).map(v => v * 255).concat(m[3] ?? 1) : m.length < 4 ? m.concat(1) : m; };
const light = c => { const [r, g, b] = c.map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const behind = n => { for (; n; n = n.parentElement) { const c = rgb(getComputedStyle(n).backgroundColor); if (c[3] === 1) return c; } return [255, 255, 255, 1]; };
const found = [];
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
    const n = walk.currentNode.parentElement, style = getComputedStyle(n);
    if (!walk.currentNode.textContent.trim() || !n.checkVisibility() || n.closest('.away, script, style')) continue;
    const a = light(rgb(n.closest('svg') ? style.fill : style.color)), b = light(behind(n));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) found.push(ratio.toFixed(2) + ' ' + n.tagName + '.' + n.className + ' ' + walk.currentNode.textContent.trim().slice(0, 40));
}
return found;
"""

# What the keyboard should come to, in this order.
CONTROLS = """
const groups = new Set();
return [...document.querySelectorAll('a[href], button, input, summary, [tabindex="0"]')].filter(n => {
    if (!n.checkVisibility() || n.tabIndex < 0) return false;
    if (n.type === 'radio') return n.checked;
    return true;
}).map(n => (n.dataset.nth = n.dataset.nth || String(window.nth = (window.nth || 0) + 1)));
"""
FOCUS = """
const n = document.activeElement, box = n.type === 'radio' ? n.nextElementSibling : n, style = getComputedStyle(box);
return [n.dataset.nth || null, n.matches(':focus-visible') && style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
    n.tagName + ' ' + (n.id || n.textContent.trim().slice(0, 30))];
"""


def press(*keys):
    webdriver.ActionChains(browser).send_keys(*keys).perform()


def browser_log():
    return [f"{entry['level']} {entry['message']}" for entry in browser.get_log("browser")]


asked = []


def requests():
    """What the browser has asked for since this was called last; asked has all."""
    found = []
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated"):
            found.append(message["params"].get("request", message["params"])["url"])
    asked.extend(found)
    return found


def wait_for_rounds(count):
    """Until the page has asked, been answered and drawn so often again: a round begins when the one before has ended."""
    requests()
    begun = 0

    def enough():
        nonlocal begun
        begun += requests().count(base + HEALTH)
        return begun > count

    ok(poll(enough), f"{count} more rounds of the page", f"{begun} begun")


def check_hidden():
    """Nobody looks, and nothing is asked for; then somebody does. The page looks twice a second at whether it is hidden."""
    hide = """
    window.looks = 0;
    Object.defineProperty(document, 'hidden', {configurable: true, get: () => { window.looks++; return arguments[0]; }});
    document.dispatchEvent(new Event('visibilitychange'));
    """
    run(hide, True)
    ok(poll(lambda: run("return window.looks") >= 3), "a hidden page goes on looking at whether it is")
    # What was asked for before is no matter.
    requests()
    ok(poll(lambda: run("return window.looks") >= 9), "for longer than it leaves between two questions")
    same(requests(), [], "and asks for nothing")
    run(hide, False)
    ok(poll(lambda: base + HEALTH in requests(), 5), "but at once when it is seen again")
    run("delete document.hidden")


def check_document():
    with urllib.request.urlopen(base + "/") as response:
        policy = response.headers["Content-Security-Policy"] or ""
        body = response.read()
    with urllib.request.urlopen(base + "/") as response:
        ok(response.headers["Content-Security-Policy"] != policy, "each response has a nonce of its own")
    ok(len(body) < 60000, "the document is smaller than 60 kB", len(body))
    note(f"{len(body)} bytes")
    ok("default-src 'none'" in policy and "unsafe" not in policy, "the policy allows nothing that is not named", policy)
    ok(b"@NONCE@" not in body and b"http://" not in body.replace(b"http://www.w3.org/2000/svg", b""), "nothing in it is elsewhere")


def check_looks():
    for width, height in SIZES:
        for theme in THEMES:
            screen(width, height, theme)
            picture(f"page-{width}x{height}-{theme}", width, height)
            same(run("return document.documentElement.scrollWidth"), width, f"{width} px, {theme}: as wide as the screen")
            same(run(FAINT), [], f"{width} px, {theme}: all text stands out")
    screen(320, 600, "light")
    ok(run("return document.documentElement.scrollWidth") <= 320, "320 px: as wide as the screen")
    screen(1440, 900, "light")
    before = run("return getComputedStyle(document.body).backgroundColor")
    for theme in ("light", "dark"):
        browser.find_element("id", "theme").click()
        same(run("return document.getElementById('theme').textContent"), f"Theme: {theme}", f"the theme's button: {theme}")
    ok(run("return getComputedStyle(document.body).backgroundColor") != before, "and it is dark then")
    browser.find_element("id", "theme").click()
    same(run("return getComputedStyle(document.body).backgroundColor"), before, "and as the system has it after a third time")


def check_meaning():
    """What a screen reader goes by."""
    same(run("return [...document.querySelectorAll('main, header, footer')].map(n => n.tagName)"), ["HEADER", "MAIN", "FOOTER"], "landmarks")
    same(run("return document.querySelectorAll('section:not([aria-labelledby])').length"), 0, "each section has a name")
    same(run("return [...document.querySelectorAll('[aria-labelledby], [aria-describedby]')].filter(n => !document.getElementById(n.getAttribute('aria-labelledby') || n.getAttribute('aria-describedby'))).length"), 0, "and each name is there")
    same(run("return [...document.querySelectorAll('[aria-live]')].map(n => n.id)"), ["live"], "one thing is told when it changes")
    same(run("return [...document.querySelectorAll('table')].filter(t => !t.caption || [...t.tHead.rows[0].cells].some(c => c.scope !== 'col') || [...t.tBodies[0].rows].some(r => r.cells[0].scope !== 'row')).length"), 0, "each table has a caption, heads of columns and heads of rows")
    ok(run("return document.getElementById('slots-summary').textContent").startswith("Last 10 min: on average"), "the chart is told in a sentence")
    run("document.getElementById('series').open = true")
    ok(poll(lambda: run("return document.querySelectorAll('#series-table tbody tr').length") > 0, 5), "and as a table")
    run("document.getElementById('series').open = false")


def walk():
    """Controls, what Tab comes to, and where one doesn't see that; None if a control came or went meanwhile, as with a new recommendation."""
    run("document.activeElement.blur(); document.querySelectorAll('.item').forEach(d => { d.open = true; });")
    controls = run(CONTROLS)
    run("getSelection().removeAllRanges(); scrollTo(0, 0); document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex');")
    came, hidden = [], []
    for _ in controls:
        press(Keys.TAB)
        nth, visible, name = run(FOCUS)
        came.append(nth)
        if not visible:
            hidden.append(name)
    return (controls, came, hidden) if run(CONTROLS) == controls else None


def check_keyboard():
    controls, came, hidden = poll(walk)
    same(came, controls, f"Tab comes to all {len(controls)} controls in their order")
    same(hidden, [], "and one sees where it is")
    run("document.querySelector('.item > summary').focus()")
    wait_for_rounds(3)
    same(run("return document.activeElement.className + document.activeElement.tagName"), "SUMMARY", "the focus stays where it is when figures change")
    run("document.querySelector('.skip').focus()")
    press(Keys.ENTER)
    same(run("return document.activeElement.id"), "main", "the first link leads to the figures")
    run("document.getElementById('cursor').focus()")
    press(Keys.HOME)
    first = run("return document.getElementById('cursor').getAttribute('aria-valuetext')")
    press(Keys.END, Keys.ARROW_LEFT)
    ok(run("return document.getElementById('cursor').getAttribute('aria-valuetext')") != first, "arrows move through the charts", first)
    load()


def check_breaker(breaker):
    before = state_of(breaker)
    db.rows("SELECT pooldiag.breaker_force_open(%s)", breaker)
    began = time.monotonic()
    ok(poll(lambda: state_of(breaker) == "forced open"), f"{breaker} is shown as forced open", state_of(breaker))
    took = time.monotonic() - began
    note(f"shown {took * 1000:.0f} ms after it was opened")
    ok(took < 2, "within two seconds", took)
    ok(read()["status"] != "healthy", "and that is not healthy")
    db.rows("SELECT pooldiag.breaker_reset(%s)", breaker)
    ok(poll(lambda: state_of(breaker) == "closed"), "closed again after a reset", f"{state_of(breaker)}, {before} before")


def check_names():
    role = '"' + ROLE + '"'
    db.rows(f"CREATE ROLE {role} LOGIN")
    sessions = []
    try:
        for name in NAMES:
            sessions.append(connect(application_name=name))
        try:
            sessions.append(connect(user=ROLE))
        except psycopg2.OperationalError as error:
            note(f"no session as {ROLE}: {error}")
        pids = [session.info.backend_pid for session in sessions]
        pools = [row[0] for row in db.rows("SELECT pool FROM pooldiag.connections WHERE pid = ANY (%s)", pids)]
        ok(len(pools) == len(sessions) and poll(lambda: set(pools) <= set(read()["pools"]), 20), "names that would break out are shown as they are", f"{pools}\n{list(read()['pools'])}")
        same(run("return [document.querySelectorAll('script').length, document.querySelectorAll('style').length, document.images.length, document.querySelectorAll('#pools b, #pools i:not(.bar i)').length]"), [1, 1, 0, 0], "and nothing has come of them")
        picture("page-names", 1440, 900)
    finally:
        for session in sessions:
            session.close()
        poll(lambda: db.value("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", ROLE) == 0, 10)
        db.rows(f"DROP ROLE {role}")


def told(names):
    """Which of them can be read in the page's tables and recommendations."""
    text = run("return ['pools', 'breakers', 'advice', 'alerts', 'verdict'].map(id => document.getElementById(id).textContent).join(' ')")
    return [name for name in names if name in text]


def check_rights():
    """Access is taken away from a page that is open, and given back."""
    if db.value("SELECT current_setting('pooldiag.http_access', true)") != "all":
        note("http_access is not all: what a page does without access is not tested")
        return
    db.rows("ALTER SYSTEM SET pooldiag.http_access = summary")
    db.rows("SELECT pg_reload_conf()")
    try:
        ok(poll(lambda: "pooldiag.http_access" in run("return document.getElementById('notice').textContent"), 20), "without access it says what to set")
        ok(poll(lambda: read()["status"] in ("healthy", "degraded"), 10), "and what everybody may see is still there")
        names = [row[0] for row in db.rows("SELECT pool FROM pooldiag.pools WHERE connections > 0 AND length(pool) > 3")]
        ok(poll(lambda: not told(names), 20), "no name that it had seen before is left", told(names))
        picture("page-summary", 1440, 900)
        if args.token:
            load(with_token())
            ok(read()["pools"], "with the token as a password everything is there", read())
    finally:
        db.rows("ALTER SYSTEM RESET pooldiag.http_access")
        db.rows("SELECT pg_reload_conf()")
    browser_log()
    ok(load(), "with access everything is there again")


def go_away():
    if args.stop:
        db.connection.close()
        subprocess.run(shlex.split(args.stop), check=True, stdout=subprocess.DEVNULL)
    else:
        cdp("Network.enable")
        cdp("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1)


def come_back():
    global db
    if args.start:
        subprocess.run(shlex.split(args.start), check=True, stdout=subprocess.DEVNULL)
        db = Database()
    else:
        cdp("Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1)


def check_silence():
    before = time.time()
    go_away()
    ok(poll(lambda: read()["status"] == "no answer", 20), "a server that is gone: no answer")
    verdict = read()["verdict"]
    since = verdict.split(" ")[3] if verdict.startswith("No answer since ") else ""
    # The second of the last answer, which is a poll or two before.
    about = [time.strftime("%H:%M:%S", time.gmtime(t)) for t in range(int(before) - 5, int(time.time()) + 1)]
    ok(since in about, "it says since when", f"{verdict}\n{about[0]} to {about[-1]}")
    ok(poll(lambda: "(3 s ago)" in read()["verdict"], 20), "and how long ago that was", read()["verdict"])
    ok(run("return parseFloat(getComputedStyle(document.getElementById('figures')).opacity)") < 0.7, "figures that are old look old")
    ok(read()["breakers"], "and are still there")
    for width, height in SIZES:
        screen(width, height, "light" if width > 600 else "dark")
        picture(f"page-no-answer-{width}x{height}", width, height)
    screen(1440, 900, "light")
    come_back()
    began = time.monotonic()
    ok(poll(lambda: read()["status"] not in ("no answer", "no answer yet", "starting"), 30), "the server is back, and so is the page", read())
    note(f"seen {time.monotonic() - began:.1f} s after the server was there again")
    ok(run("return getComputedStyle(document.getElementById('figures')).opacity") == "1", "its figures are new")


def check_policy():
    """Were there a way to bring markup in, it would run nothing."""
    run("""
    window.stopped = [];
    document.addEventListener('securitypolicyviolation', event => window.stopped.push(event.effectiveDirective));
    document.addEventListener('error', event => { if (event.target.tagName === 'IMG') window.stopped.push('error'); }, true);
    """)
    run("const d = document.createElement('div'); document.body.append(d); d.innerHTML = '<img src=\"https://example.invalid/x.png\" onerror=\"window.broken = 1\">'")
    run("const s = document.createElement('script'); s.textContent = 'window.broken = 2'; document.body.append(s);")
    # The image has failed, and what was to run then, or by itself, has had its turn.
    wanted = {"img-src", "error", "script-src-attr", "script-src-elem"}
    ok(poll(lambda: wanted <= set(run("return window.stopped"))), "the policy stops an image, its handler and a script", run("return window.stopped"))
    same(run("return window.broken === undefined"), True, "and nothing of theirs has run")


os.makedirs(args.folder, exist_ok=True)
db = Database()
with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
    browser = start_browser(profile)
    try:
        check_document()
        screen(1440, 900, "light")
        ok(load(), "the page has figures", read())
        same(*agree(), "figures equal SQL's: slots, states, refused, pools, breakers")
        titles = [row[0] for row in db.rows("SELECT title FROM pooldiag.recommendations")]
        plain = lambda text: "".join(c for c in text if not c.isdigit() and c not in ".,")
        ok(any(plain(title) in plain(read()["verdict"]) for title in titles), "the verdict is a recommendation's title", f"{read()['verdict']}\n{titles}")
        check_looks()
        check_meaning()
        check_keyboard()
        check_hidden()
        check_breaker("lock_waits")
        check_names()
        same(browser_log(), [], "nothing in the browser's log: no error, no violation of the policy")
        check_rights()
        check_silence()
        requests()
        ok(len(asked) > 50, "the browser's requests are known", len(asked))
        elsewhere = [url for url in asked if not url.startswith((base + "/", with_token(), "data:", "chrome"))]
        same(elsewhere, [], "no request to anywhere else")
        check_policy()
    except Exception as error:  # pylint: disable=broad-except
        ok(False, "the test has come to its end", f"{type(error).__name__}: {error}")
    finally:
        browser.quit()
print(f"1..{tests}")
sys.exit(1 if failures else 0)
