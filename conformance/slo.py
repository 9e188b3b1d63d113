"""Conditions on a load run: `ttfe:p99<500ms, gap:p99<200ms, lost==0, goodput>=99%`, judged to gates.

A condition is a metric, an operator and a value. Times name a percentile (`ttfe:p99`, `stall:max`) and their value
has a unit. Counts (`lost`, `errors`, `timeout`) take a whole number, or a share of what there was: `%` or `ppm` (per
million). What a run must not do is in force without being said (`DEFAULTS`): a server that loses events does not pass
because nobody asked. Whoever accepts it says so: `lost<=5ppm`.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from types import MappingProxyType

from conformance.load_result import DISTRIBUTIONS, ERRORS, INTEGRITY, Gate, LoadResult

_OPERATORS: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {
        "<=": operator.le,
        ">=": operator.ge,
        "==": operator.eq,
        "!=": operator.ne,
        "<": operator.lt,
        ">": operator.gt,
    }
)
# How many of the unit are a second, or the whole: 5 / 1e6 is what 5 of a million are, 5 * 1e-6 is not.
_TIMES = {"us": 1e6, "µs": 1e6, "ms": 1e3, "s": 1.0, "min": 1 / 60}
_SHARES = {"": 1.0, "%": 1e2, "ppm": 1e6}
_RATES = ("events_per_s", "bytes_per_s")
_COUNTS = (*INTEGRITY, "errors", *ERRORS, "reconnects", "lost_by_reconnects")
# What the server's process holds, by the name of its sample.
_GROWTHS = {"rss_growth": "rss", "descriptors_growth": "descriptors"}
METRICS = tuple(dict.fromkeys((*DISTRIBUTIONS, *_COUNTS, *_RATES, "goodput", *_GROWTHS)))
DEFAULTS = ", ".join(f"{name}==0" for name in (*INTEGRITY, "errors"))
_CONDITION = re.compile(
    r"(?P<metric>[a-z_]\w*)\s*(?::\s*(?P<stat>[\w.]+)\s*)?(?P<op>[<>=!]{1,3})\s*(?P<value>[+-]?[\d.]+(?:e[+-]?\d+)?)"
    r"\s*(?P<unit>[%a-zµ/]*)",
    re.I,
)
_EXAMPLE = "ttfe:p99<500ms"


class SloError(ValueError):
    """Conditions that cannot be read. One line: which, why, what was expected."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition: `text` as it is shown. `percent` is of a time (100: its maximum), else None.

    `value` is in seconds, a count, a rate, or a share (0 to 1) where `share` says so.
    """

    text: str
    metric: str
    percent: float | None
    operator: str
    value: float
    share: bool = False

    def gate(self, result: LoadResult) -> Gate:
        """What became of it. What was not measured does not hold."""
        observed, words = self._observed(result)
        held = observed is not None and _OPERATORS[self.operator](observed, self.value)
        return Gate(self.text, words, held)

    def _observed(self, result: LoadResult) -> tuple[float | None, str]:
        if self.percent is not None:
            measured = result.distribution(self.metric)
            time = measured.percentile(self.percent)
            return time, "not measured" if time is None else f"{duration(time)} (of {measured.count:,})"
        if self.metric == "goodput":
            good, streams = result.totals.good, result.totals.streams
            share = result.totals.goodput
            return share, "no streams" if share is None else f"{share:.4%} ({good:,} of {streams:,} streams)"
        if self.metric in _GROWTHS:
            return _growth(_GROWTHS[self.metric], result)
        if self.metric in _RATES:
            rate: float = getattr(result.totals, self.metric)
            return rate, f"{rate:,.1f}"
        count, of, noun = counted(self.metric, result)
        if not of:
            return None, f"there were no {noun}"
        if not self.share:
            return float(count), f"{count:,}"
        shown = f"{count / of:.4%}" if "%" in self.text else f"{count / of * 1e6:,.6g} ppm"
        return count / of, f"{shown} ({count:,} of {of:,.0f} {noun})"


def parse(text: str) -> tuple[Condition, ...]:
    """The conditions, then those of `DEFAULTS` whose metric none of them names. "" gives the defaults alone.

    A goodput says how many streams may fail, so `errors==0` is not added to it. Raises `SloError`.
    """
    said = _list(text) if text.strip() else ()
    named = {condition.metric for condition in said if condition.percent is None}
    if "goodput" in named:
        named.add("errors")
    return (*said, *(condition for condition in _list(DEFAULTS) if condition.metric not in named))


def gates(conditions: Sequence[Condition], result: LoadResult) -> tuple[Gate, ...]:
    """Each condition, judged."""
    return tuple(condition.gate(result) for condition in conditions)


def limits(conditions: Sequence[Condition]) -> dict[str, float]:
    """The tightest upper limit on each time, in seconds: what a good stream keeps to, whatever the percentile."""
    found: dict[str, float] = {}
    for condition in conditions:
        if condition.percent is not None and condition.operator in ("<", "<="):
            found[condition.metric] = min(condition.value, found.get(condition.metric, float("inf")))
    return found


def counted(metric: str, result: LoadResult) -> tuple[int, float, str]:
    """How often what that metric counts was seen, and of how many of what."""
    integrity, totals = result.integrity, result.totals
    if metric in INTEGRITY:
        noun = {"unfinished": "streams", "invalid": "validated events"}.get(metric, "events")
        return integrity.count(metric), integrity.of(metric), noun
    if metric in ("reconnects", "lost_by_reconnects"):
        seen: int = getattr(totals, metric)
        return seen, float(totals.streams), "streams"
    return result.all_errors if metric == "errors" else result.error(metric), float(totals.streams), "streams"


def duration(seconds: float) -> str:
    """A time with a unit that fits: 0.4 ms, 12.5 ms, 1.24 s."""
    if seconds < 0.9995:
        return f"{seconds * 1e3:.3g} ms" if seconds < 0.0995 else f"{seconds * 1e3:.0f} ms"
    return f"{seconds:.3g} s" if seconds < 99.5 else f"{seconds:,.0f} s"


def _growth(name: str, result: LoadResult) -> tuple[float | None, str]:
    """By which share it grew from the second quarter of the samples to the last: the first is for warming up."""
    held = [value for sample in result.process if (value := getattr(sample, name)) is not None]
    quarter = len(held) // 4
    if not quarter:
        return None, f"{len(held)} samples of the server's process: at least 4 are needed (--target-pid)"
    before, after = median(held[quarter : 2 * quarter]), median(held[-quarter:])
    share = after / before - 1 if before else 0.0
    return share, f"{share:.1%} (from {before:,.0f} to {after:,.0f})"


def _list(text: str) -> tuple[Condition, ...]:
    return tuple(_condition(part.strip()) for part in text.split(","))


def _condition(text: str) -> Condition:
    if not text:
        raise SloError(
            f"an empty condition: expected conditions such as {_EXAMPLE!r}, with commas between them"
        )
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise SloError(f"{text!r}: expected METRIC OPERATOR VALUE, such as {_EXAMPLE!r} or 'lost==0'")
    metric, stat, sign, unit = found["metric"], found["stat"], found["op"], found["unit"]
    if metric not in METRICS:
        raise SloError(f"{text!r}: unknown metric {metric!r}{_meant(metric)}")
    if sign not in _OPERATORS:
        raise SloError(f"{text!r}: unknown operator {sign!r}: expected one of {', '.join(_OPERATORS)}")
    try:
        value = float(found["value"])
    except ValueError:
        raise SloError(f"{text!r}: {found['value']!r} is no number") from None
    if value < 0:
        raise SloError(f"{text!r}: nothing that is measured is below 0")
    tidy = f"{metric}{f':{stat}' if stat else ''}{sign}{found['value']}{unit}"
    if stat is not None or (metric in DISTRIBUTIONS and metric not in _COUNTS):
        percent = _percent(text, metric, stat)
        if unit not in _TIMES:
            raise SloError(
                f"{text!r}: a time has a unit: expected one of {', '.join(_TIMES)}, such as {_EXAMPLE!r}"
            )
        _ordered(text, sign)
        return Condition(tidy, metric, percent, sign, value / _TIMES[unit])
    if metric in _COUNTS:
        return _count(text, tidy, metric, sign, value, unit)
    _ordered(text, sign)
    if metric in _RATES:
        if unit not in ("", "/s"):
            raise SloError(f"{text!r}: {metric} is a number without a unit")
        return Condition(tidy, metric, None, sign, value)
    if metric in _GROWTHS:
        if unit not in ("", "%"):
            raise SloError(f"{text!r}: {metric} is a share of what there was: expected '{metric}<10%', say")
        return Condition(tidy, metric, None, sign, value / _SHARES[unit], share=True)
    if unit not in ("", "%") or value / _SHARES[unit] > 1:
        raise SloError(
            f"{text!r}: goodput is a share of the streams: expected 0% to 100%, such as 'goodput>=99%'"
        )
    return Condition(tidy, metric, None, sign, value / _SHARES[unit], share=True)


def _percent(text: str, metric: str, stat: str | None) -> float:
    if metric not in DISTRIBUTIONS:
        raise SloError(f"{text!r}: {metric} is counted, so it has no {stat!r}: expected {metric}==0, say")
    if stat is None:
        raise SloError(
            f"{text!r}: which of the times? expected {metric}:p50, {metric}:p99, {metric}:max, say"
        )
    if stat == "max":
        return 100.0
    try:
        percent = float(stat[1:]) if stat[:1] == "p" else 0.0
    except ValueError:
        percent = 0.0
    if not 0 < percent <= 100:
        raise SloError(f"{text!r}: {stat!r} is no percentile: expected p50, p99, p99.9, … or max")
    return percent


def _count(text: str, tidy: str, metric: str, sign: str, value: float, unit: str) -> Condition:
    if unit and unit in _SHARES:
        if value / _SHARES[unit] > 1:
            raise SloError(f"{text!r}: a share above 100%")
        return Condition(tidy, metric, None, sign, value / _SHARES[unit], share=True)
    if unit:
        time = f"; its time is {metric}:p99{sign}{value:g}{unit}" if metric in DISTRIBUTIONS else ""
        raise SloError(
            f"{text!r}: {metric} is counted: expected a whole number, or a share in % or ppm{time}"
        )
    if not value.is_integer():
        raise SloError(f"{text!r}: {metric} is counted: expected a whole number, or a share in % or ppm")
    return Condition(tidy, metric, None, sign, value)


def _ordered(text: str, sign: str) -> None:
    if sign in ("==", "!="):
        raise SloError(f"{text!r}: what is measured is never exactly so: expected <, <=, > or >=")


def _meant(metric: str) -> str:
    close = difflib.get_close_matches(metric.lower(), METRICS, 1)
    return f": did you mean {close[0]!r}?" if close else f": expected one of {', '.join(METRICS)}"


__all__ = ["DEFAULTS", "METRICS", "Condition", "SloError", "counted", "duration", "gates", "limits", "parse"]
