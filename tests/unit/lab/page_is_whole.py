"""Pages of runs that never were: well-formed, complete, self-contained, small."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET

FORGE = sys.argv[1]
HTML, SVG = "", "{http://www.w3.org/2000/svg}"
LANES = ["faults", "scenario", "east: writes", "west: writes", "leader", "epoch", "phase", "run",
         "east: lease", "east: gate", "east: step", "west: lease", "west: gate", "west: step",
         "alarm", "log", "told"]
KNOWN = set("html head meta title style body header h1 span p ul li section h2 dl div dt dd pre "
            "figure figcaption q table thead tbody tr th td".split())
DRAWN = set("svg title desc defs pattern path circle g rect line text".split())
MOST = 2_000_000


def page(kind):
    r = subprocess.run([FORGE, kind], check=True, capture_output=True)
    assert len(r.stdout) < MOST, (kind, len(r.stdout))
    # The page is both HTML and XML, so that a strict parser can be asked.
    return ET.fromstring(r.stdout), r.stdout.decode()


def text_of(element):
    return "".join(element.itertext())


def check_elements(kind, root):
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids)), (kind, ids)
    for e in root.iter():
        name = e.tag.removeprefix(SVG)
        assert name in (DRAWN if e.tag.startswith(SVG) else KNOWN), (kind, e.tag)
        for key in e.keys():
            assert not key.startswith("on") and key not in ("href", "src"), (kind, e.tag, key)
        for ref in (e.get("aria-labelledby") or "").split():
            assert ref in ids, (kind, ref)
    style = text_of(root.find("head/style"))
    for ref in re.findall(r"url\(#(\w+)-(\w+)\)", style):
        assert ref[0] not in ids or "-".join(ref) in ids, (kind, ref)
    assert "://" not in style and "@import" not in style


def check_pictures(kind, root, count):
    pictures = root.findall(f".//{SVG}svg")
    assert len(pictures) == count, (kind, len(pictures))
    for svg in pictures:
        lanes = [text_of(t) for t in svg.iter(f"{SVG}text") if t.get("class") == "lane"]
        assert lanes == LANES, (kind, lanes)
        assert svg.get("role") == "img" and svg.find(f"{SVG}desc") is not None
        wide, high = (float(v) for v in svg.get("viewBox").split()[2:])
        for r in svg.iter(f"{SVG}rect"):
            x, w = float(r.get("x")), float(r.get("width"))
            y, h = float(r.get("y")), float(r.get("height"))
            assert 0 <= x and x + w <= wide and 0 <= y and y + h <= high, (kind, r.attrib)


def rows(root):
    return [[text_of(c) for c in tr] for tr in root.findall(".//tbody/tr")]


def bars(root, picture, kind, side):
    path = [p for p in root.iter(f"{SVG}path") if p.get("class") == f"{kind} acks-{side}"]
    at = {}
    for m in re.findall(r"M([\d.]+) \d+v(-?[\d.]+)", path[picture].get("d")):
        at[float(m[0])] = float(m[1])
    return at


def check_story(root):
    said = rows(root)
    for lane in LANES:
        assert any(r[3] == lane for r in said), lane
    assert ["-0.005", "1.048", "1053.0", "outage",
            "no write of the writer was acknowledged"] in said, said
    assert ["0.000", "2.050", "2050.0", "faults", "east is cut off"] in said
    assert ["-2.000", "0.890", "2890.0", "east: gate", "open"] in said
    # Leases that overlap are one stretch, and end with the last deadline.
    assert [r[:3] for r in said if r[3] == "east: lease"] == [
        ["-2.000", "0.800", "2800.0"], ["2.800", "5.900", "3100.0"]], said
    assert [r[0] for r in said] == sorted((r[0] for r in said), key=float)
    # East is above and ends where west, below, has not begun.
    east, west = (bars(root, 0, "most", s) for s in ("east", "west"))
    assert max(east) < min(west) and all(v < 0 for v in east.values())
    assert all(v > 0 for v in west.values())
    faults = [r for r in root.iter(f"{SVG}rect") if r.get("class") == "s-bad"]
    assert len({r.get("y") for r in faults[:2]}) == 2, "faults that overlap hide each other"
    # An instant among spans is a tick, and the spans stay spans.
    ticks = [t for t in root.iter(f"{SVG}title") if text_of(t) == "0.100 s: a kill"]
    assert len(ticks) == 2, ticks


def check_hostile(root, text):
    assert "<script" not in text and text.count("</svg>") == 2
    assert text_of(root.find("head/title")).startswith("</title></text></svg><script>")
    assert root.find(".//h1/span").get("class") == "badge not"
    assert len(root.findall(".//header/ul/li")) == 8


def check_large(root):
    # 12 ms apart is one or two in each 20 ms: only in one column is the emptiest one empty.
    least, most = (bars(root, 0, k, "east") for k in ("least", "most"))
    assert set(most) - set(least) == {158.5}, set(most) - set(least)
    assert len(most) > 500 and all(most[x] < least[x] < 0 for x in least if x < 640)
    assert "more events had no room" in text_of(root)


def main():
    for kind, pictures in (("story", 2), ("hostile", 2), ("empty", 1), ("large", 1)):
        root, text = page(kind)
        check_elements(kind, root)
        check_pictures(kind, root, pictures)
        if kind == "story":
            check_story(root)
        elif kind == "hostile":
            check_hostile(root, text)
        elif kind == "large":
            check_large(root)
        else:
            assert rows(root) == []


main()
