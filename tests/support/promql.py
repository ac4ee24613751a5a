"""What Prometheus would answer: an evaluator of the PromQL that rules and dashboard use, over pages that were scraped.

It does what https://prometheus.io/docs/prometheus/latest/querying/ says, ``promql-parser`` reads the expressions; what is
not known here is an error and no empty answer.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import promql_parser as parser
from prometheus_client.parser import text_string_to_metric_families

#: Labels and their values, without the name of the metric.
Labels: TypeAlias = frozenset[tuple[str, str]]
#: An instant vector: a value for each set of labels; a number is a scalar.
Vector: TypeAlias = dict[Labels, float]
Samples: TypeAlias = Sequence[tuple[float, float]]

#: Seconds for which the newest sample of a series stands for it.
LOOKBACK = 300.0


class Scrapes:
    """Pages that were scraped, at the moments of a clock that the test moves.

    Args:
        read: Returns a page in Prometheus' text format, as the platform exposes it now.
        every: Seconds from one scrape to the next.
    """

    def __init__(self, read: Callable[[], bytes], every: float = 15.0) -> None:
        self._read, self._every = read, every
        self._series: dict[str, dict[Labels, list[tuple[float, float]]]] = {}
        #: The moment of the newest scrape.
        self.now = 0.0

    def stay(self, seconds: float, every: float | None = None) -> None:
        """Let so much time pass, with everything as it is now."""
        found = [
            (sample.name, frozenset(sample.labels.items()), sample.value)
            for family in text_string_to_metric_families(self._read().decode())
            for sample in family.samples
        ]
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + (every or self._every))
            for name, labels, value in found:
                self._series.setdefault(name, {}).setdefault(labels, []).append((self.now, value))

    def ask(self, expression: str) -> Vector | float:
        """Return what an expression is at the moment of the newest scrape."""
        return self._value(parser.parse(expression))

    def _value(self, node: Any) -> Any:
        match node:
            case parser.NumberLiteral() | parser.StringLiteral():
                return node.val
            case parser.ParenExpr():
                return self._value(node.expr)
            case parser.VectorSelector():
                found = self._between(node, LOOKBACK)
                return {labels: samples[-1][1] for labels, samples in found.items()}
            case parser.MatrixSelector():
                seconds = node.range.total_seconds()
                return seconds, self._until(node.vector_selector), self._between(node.vector_selector, seconds)
            case parser.Call():
                return self._called(node.func.name, [self._value(one) for one in node.args])
            case parser.AggregateExpr():
                return _aggregated(str(node.op), node.modifier, self._value(node.expr))
            case parser.BinaryExpr():
                return _combined(str(node.op), self._value(node.lhs), self._value(node.rhs), node.modifier)
        raise NotImplementedError(node.prettify())

    def _between(self, node: Any, seconds: float) -> dict[Labels, Samples]:
        """Return the samples of a selector's series in so many seconds before the moment that it asks for."""
        until = self._until(node)
        found = {
            labels: [(at, value) for at, value in samples if until - seconds < at <= until]
            for labels, samples in self._series.get(node.name, {}).items()
            if all(_matches(one, dict(labels)) for one in node.matchers.matchers)
        }
        return {labels: samples for labels, samples in found.items() if samples}

    def _until(self, node: Any) -> float:
        return self.now - (node.offset.total_seconds() if node.offset else 0.0)

    def _called(self, name: str, args: list[Any]) -> Vector:
        if name == "vector":
            return {frozenset(): args[0]}
        if name == "histogram_quantile":
            return _quantiles(*args)
        if name in ("clamp_min", "clamp_max"):
            bound = max if name == "clamp_min" else min
            return {labels: bound(value, args[1]) for labels, value in args[0].items()}
        if name == "label_replace":
            vector, label, text, source, _ = args
            assert source == "", "only for a new label"
            return {labels | {(label, text)}: value for labels, value in vector.items()}
        seconds, until, ranges = args[0]
        of_range = {"increase": _increase, "rate": lambda *each: _increase(*each) / seconds, "deriv": _slope}[name]
        return {labels: of_range(each, seconds, until) for labels, each in ranges.items() if len(each) > 1}


def _matches(matcher: Any, labels: Mapping[str, str]) -> bool:
    value = labels.get(matcher.name, "")
    by_pattern = matcher.op in (parser.MatchOp.Re, parser.MatchOp.NotRe)
    found = re.fullmatch(matcher.value, value) is not None if by_pattern else value == matcher.value
    return found == (matcher.op in (parser.MatchOp.Re, parser.MatchOp.Equal))


def _increase(samples: Samples, seconds: float, until: float) -> float:
    """Return by how much a counter grew; as Prometheus has it, what lies before and after the samples is guessed."""
    values = [value for _, value in samples]
    resets = sum(before for before, after in itertools.pairwise(values) if after < before)
    grown = values[-1] - values[0] + resets
    sampled = samples[-1][0] - samples[0][0]
    usual = sampled / (len(samples) - 1)
    before, after = samples[0][0] - (until - seconds), until - samples[-1][0]
    if grown > 0 and values[0] >= 0:
        before = min(before, sampled * values[0] / grown)
    ends = (edge if edge < usual * 1.1 else usual / 2 for edge in (before, after))
    return grown * (sampled + sum(ends)) / sampled


def _slope(samples: Samples, _seconds: float, _until: float) -> float:
    """Return a gauge's change a second, by least squares."""
    count = len(samples)
    mean_at, mean = sum(at for at, _ in samples) / count, sum(value for _, value in samples) / count
    return sum((at - mean_at) * (value - mean) for at, value in samples) / sum((at - mean_at) ** 2 for at, _ in samples)


def _quantiles(part: float, buckets: Vector) -> Vector:
    grouped: dict[Labels, list[tuple[float, float]]] = {}
    for labels, count in buckets.items():
        others = frozenset(each for each in labels if each[0] != "le")
        grouped.setdefault(others, []).append((float(dict(labels)["le"]), count))
    return {labels: _quantile(part, sorted(each)) for labels, each in grouped.items()}


def _quantile(part: float, buckets: Sequence[tuple[float, float]]) -> float:
    assert buckets[-1][0] == math.inf
    wanted = part * buckets[-1][1]
    if not buckets[-1][1]:
        return math.nan
    lower, below = 0.0, 0.0
    for bound, count in buckets:
        if count >= wanted:
            return lower if bound == math.inf else lower + (bound - lower) * (wanted - below) / ((count - below) or 1.0)
        lower, below = bound, count
    raise AssertionError("the last bucket has all")


def _aggregated(how: str, modifier: Any, vector: Vector) -> Vector:
    by = set(modifier.labels) if modifier else set()
    assert modifier is None or modifier.type == parser.AggModifierType.By
    grouped: dict[Labels, list[float]] = {}
    for labels, value in vector.items():
        grouped.setdefault(frozenset(each for each in labels if each[0] in by), []).append(value)
    assert how in ("sum", "max"), how
    return {labels: max(values) if how == "max" else math.fsum(values) for labels, values in grouped.items()}


_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b if b else (math.nan if not a else math.copysign(math.inf, a)),
}
_COMPARISON: dict[str, Callable[[float, float], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
}


def _combined(how: str, left: Any, right: Any, modifier: Any) -> Any:
    key = _key_of(modifier)
    if how in ("and", "or", "unless"):
        there = {key(labels) for labels in right}
        if how == "or":
            mine = {key(labels) for labels in left}
            return left | {labels: value for labels, value in right.items() if key(labels) not in mine}
        return {labels: value for labels, value in left.items() if (key(labels) in there) == (how == "and")}
    pairs = list(_pairs(left, right, key))
    if how in _ARITHMETIC:
        found = {key(labels): _ARITHMETIC[how](a, b) for labels, a, b in pairs}
        return found if isinstance(left, dict) or isinstance(right, dict) else next(iter(found.values()))
    return {labels: a if isinstance(left, dict) else b for labels, a, b in pairs if _COMPARISON[how](a, b)}


def _key_of(modifier: Any) -> Callable[[Labels], Labels]:
    matching = modifier.matching if modifier else None
    if matching is None:
        return lambda labels: labels
    assert matching.type == parser.LabelModifierType.Include
    return lambda labels: frozenset(each for each in labels if each[0] in matching.labels)


def _pairs(left: Any, right: Any, key: Callable[[Labels], Labels]) -> Iterable[tuple[Labels, float, float]]:
    if not isinstance(left, dict):
        one = right if isinstance(right, dict) else {frozenset[tuple[str, str]](): right}
        return [(labels, left, value) for labels, value in one.items()]
    if not isinstance(right, dict):
        return [(labels, value, right) for labels, value in left.items()]
    others = {key(labels): value for labels, value in right.items()}
    assert len(others) == len(right), "many to one"
    return [(labels, value, others[key(labels)]) for labels, value in left.items() if key(labels) in others]
