"""A chart as SVG: for each figure a row with a dot for each tool, on a logarithmic axis of seconds."""

import math
from dataclasses import dataclass
from xml.sax.saxutils import escape

SUBJECT = "lapstrake"
# In the light and in the dark. The one that it is about is the only warm one.
COLOURS = {
    SUBJECT: ("#d9480f", "#ff922b"),
    "buildah": ("#1971c2", "#4dabf7"),
    "podman": ("#7048e8", "#9775fa"),
    "docker": ("#0b7285", "#3bc9db"),
    "umoci+skopeo": ("#2b8a3e", "#69db7c"),
    "crane": ("#5c677d", "#adb5bd"),
    "buildkit": ("#a61e4d", "#f783ac"),
}
LEFT, RIGHT, TOP, ROW, WIDTH = 236, 150, 74, 30, 960

STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #212529 }
.title { font-weight: 600; font-size: 15px } .quiet { fill: #5c677d; font-size: 12px }
.grid { stroke: #dee2e6 } .span { stroke: #adb5bd; stroke-width: 2 } .target { stroke: #212529; stroke-width: 2 }
.paper { fill: #ffffff }
"""
DARK = """
text { fill: #e9ecef } .quiet { fill: #adb5bd } .grid { stroke: #343a40 } .span { stroke: #5c677d }
.target { stroke: #e9ecef } .paper { fill: #16181d }
"""


@dataclass(frozen=True)
class Row:
    label: str
    # Tool → seconds.
    values: dict
    # Seconds that were aimed for, where they were.
    target: float = 0.0


def tick(value):
    if value < 1:
        return f"{value * 1000:g} ms"
    return f"{value:g} s"


class Axis:
    """Seconds to places, by their logarithm, between whole powers of ten."""

    def __init__(self, values):
        self.low = math.floor(math.log10(min(values)) + 1e-9)
        self.high = max(math.ceil(math.log10(max(values)) - 1e-9), self.low + 1)

    def x(self, value):
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def ticks(self):
        return [10.0**power for power in range(self.low, self.high + 1)]


def chart(title, rows):
    """The chart, or one that says that there is nothing, where there is nothing."""
    rows = [row for row in rows if row.values]
    values = [value for row in rows for value in [*row.values.values(), row.target] if value > 0]
    height = TOP + ROW * len(rows) + 44
    classes = {name: f"tool{number}" for number, name in enumerate(COLOURS)}
    light = "".join(f".{classes[name]} {{ fill: {pair[0]} }}\n" for name, pair in COLOURS.items())
    dark = "".join(f".{classes[name]} {{ fill: {pair[1]} }}\n" for name, pair in COLOURS.items())
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}{light}@media (prefers-color-scheme: dark) {{{DARK}{dark}}}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}" rx="6"/>',
        f'<text class="title" x="16" y="26">{escape(title)}</text>',
    ]
    if not values:
        return "\n".join([*out, '<text x="16" y="56">nothing was measured</text>', "</svg>", ""])
    axis = Axis(values)
    place = 16
    for name in [name for name in COLOURS if any(name in row.values for row in rows)]:
        out.append(f'<circle class="{classes[name]}" cx="{place + 5}" cy="46" r="5"/>')
        out.append(f'<text x="{place + 15}" y="50">{escape(name)}</text>')
        place += 34 + 7.4 * len(name)
    if any(row.target for row in rows):
        out.append(f'<line class="target" x1="{place + 5:.1f}" y1="40" x2="{place + 5:.1f}" y2="52"/>')
        out.append(f'<text x="{place + 15:.1f}" y="50">target</text>')
    if any(SUBJECT in row.values and len(row.values) > 1 for row in rows):
        out.append(f'<text class="quiet" x="{WIDTH - 14}" y="50" text-anchor="end">beside the fastest peer</text>')
    bottom = TOP + ROW * len(rows)
    for value in axis.ticks():
        x = axis.x(value)
        out.append(f'<line class="grid" x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{bottom}"/>')
        out.append(f'<text class="quiet" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{tick(value)}</text>')
    out.append(f'<text class="quiet" x="16" y="{bottom + 18}">median, logarithmic axis</text>')
    for number, row in enumerate(rows):
        out += drawn(row, TOP + ROW * number + ROW / 2, axis, classes)
    return "\n".join([*out, "</svg>", ""])


def drawn(row, y, axis, classes):
    out = [f'<text x="{LEFT - 14}" y="{y + 4}" text-anchor="end">{escape(row.label)}</text>']
    own = row.values.get(SUBJECT)
    peers = sorted((value, name) for name, value in row.values.items() if name != SUBJECT)
    if own and peers:
        x1, x2 = axis.x(own), axis.x(peers[0][0])
        out.append(f'<line class="span" x1="{x1:.1f}" y1="{y}" x2="{x2:.1f}" y2="{y}"/>')
        faster = peers[0][0] / own
        words = f"{faster:.1f} times faster" if faster < 10 else f"{faster:.0f} times faster"
        if faster < 1:
            words = f"{1 / faster:.1f} times slower"
        out.append(f'<text class="quiet" x="{WIDTH - RIGHT + 24}" y="{y + 4}">{words}</text>')
    if row.target:
        x = axis.x(row.target)
        out.append(f'<line class="target" x1="{x:.1f}" y1="{y - 8}" x2="{x:.1f}" y2="{y + 8}"/>')
    # The one that it is about is drawn last, on top.
    for name in [name for name in row.values if name != SUBJECT] + [SUBJECT] * (SUBJECT in row.values):
        radius = 6.5 if name == SUBJECT else 5
        told = escape(f"{name}: {row.values[name]:.4g} s")
        out.append(f'<circle class="{classes.get(name, "quiet")}" cx="{axis.x(row.values[name]):.1f}" cy="{y}" r="{radius}"><title>{told}</title></circle>')
    return out
