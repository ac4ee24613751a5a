"""The report's plots, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from perdure_workers.chaos.result import Result

_WIDTH, _LEFT, _RIGHT = 900, 50, 50
_HEIGHT, _TOP, _BOTTOM = 220, 40, 24
_SUBMITTED, _ENDED, _WAIT, _FAULT = "#8a97a6", "#17703a", "#b5651d", "#b3261e"


def timeline_plot(result: Result) -> str:
    """Return throughput and waits over time, with the faults on the axis."""
    seconds = result.seconds
    length = max(1, len(seconds))
    most = max((max(each.submitted, each.ended) for each in seconds), default=0) or 1
    longest = max((each.p95 or 0.0 for each in seconds), default=0.0) or 1.0

    def x(at: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * min(at, length) / length

    def y(share: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share

    parts = [_open(f"Jobs a second and waits of {result.scenario}, with its faults")]
    for fault in result.faults:
        width = max(1.5, x(fault.at + fault.lasted) - x(fault.at))
        place = f'x="{x(fault.at):.1f}" y="{_TOP}" width="{width:.1f}" height="{_HEIGHT - _TOP - _BOTTOM}"'
        title = f"<title>{escape(fault.fault)}: {escape(fault.told)}</title>"
        parts.append(f'<rect {place} fill="{_FAULT}" fill-opacity="0.2">{title}</rect>')
    parts += [
        _line([(x(each.at), y(each.submitted / most)) for each in seconds], _SUBMITTED, "4 3"),
        _line([(x(each.at), y(each.ended / most)) for each in seconds], _ENDED),
        _line([(x(each.at), y(each.p95 / longest)) for each in seconds if each.p95 is not None], _WAIT),
        _text(_LEFT, 14, "jobs a second: submitted", _SUBMITTED),
        _text(_LEFT + 160, 14, "ended", _ENDED),
        _text(_LEFT + 230, 14, "wait until a job first runs, p95", _WAIT),
        _text(_LEFT + 430, 14, "faults", _FAULT),
        _text(_LEFT - 6, _TOP + 4, str(most), _ENDED, "end"),
        _text(_LEFT - 6, y(0) + 4, "0", _ENDED, "end"),
        _text(_WIDTH - _RIGHT + 6, _TOP + 4, f"{longest:.1f} s", _WAIT),
        _text(_LEFT, _HEIGHT - 6, "0 s", "#5d6b7a"),
        _text(_WIDTH - _RIGHT, _HEIGHT - 6, f"{length} s", "#5d6b7a", "end"),
        f'<path d="M{_LEFT} {y(0):.1f}H{_WIDTH - _RIGHT}" stroke="#c9d2dc"/>',
        "</svg>",
    ]
    return "".join(parts)


def recovery_plot(times: Sequence[float]) -> str:
    """Return the share of faults from which work had recovered after so many seconds."""
    if not times:
        return ""
    ordered = sorted(times)
    longest = ordered[-1] or 1.0
    points = [(_LEFT + 0.0, float(_HEIGHT - _BOTTOM))]
    for number, seconds in enumerate(ordered, 1):
        at = _LEFT + (_WIDTH - _LEFT - _RIGHT) * seconds / longest
        points += [(at, points[-1][1]), (at, _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * number / len(ordered))]
    return "".join(
        [
            _open("Share of faults from which work had recovered, by seconds"),
            _line(points, _ENDED),
            _text(_LEFT, 14, "share of faults from which work had recovered after so many seconds", _ENDED),
            _text(_LEFT - 6, _TOP + 4, "100 %", _ENDED, "end"),
            _text(_LEFT, _HEIGHT - 6, "0 s", "#5d6b7a"),
            _text(_WIDTH - _RIGHT, _HEIGHT - 6, f"{longest:.1f} s", "#5d6b7a", "end"),
            f'<path d="M{_LEFT} {_HEIGHT - _BOTTOM}H{_WIDTH - _RIGHT}" stroke="#c9d2dc"/>',
            "</svg>",
        ]
    )


def _open(title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" font-family="sans-serif" '
        f'font-size="12"><title>{escape(title)}</title>'
    )


def _line(points: Sequence[tuple[float, float]], colour: str, dashes: str = "") -> str:
    drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="1.5" stroke-dasharray="{dashes}"/>'


def _text(x: float, y: float, text: str, colour: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">{escape(text)}</text>'
