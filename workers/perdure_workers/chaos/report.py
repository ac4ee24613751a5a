"""The reports of a run: ``report.json`` for scripts, ``junit.xml`` for CI servers, ``report.html`` for people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec

from perdure_workers.chaos.page import page
from perdure_workers.chaos.result import Result


def write_reports(document: dict[str, Any], results: Sequence[Result], folder: Path) -> None:
    """Write all reports into a folder.

    Args:
        document: What ``report.json`` has.
        results: What came of each scenario.
        folder: Where to.
    """
    (folder / "report.json").write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2))
    (folder / "junit.xml").write_text(junit(results), encoding="utf-8")
    (folder / "report.html").write_text(page(document, results), encoding="utf-8")


def junit(results: Sequence[Result]) -> str:
    """Return a test suite for each scenario, with a test case for each invariant."""
    root = ET.Element("testsuites", name="perdure chaos")
    for result in results:
        broken = sum(each.verdict == "broken" for each in result.judgements)
        skipped = sum(each.verdict == "untested" for each in result.judgements)
        counts: dict[str, Any] = {"tests": str(len(result.judgements)), "failures": str(broken), "skipped": str(skipped)}
        suite = ET.SubElement(root, "testsuite", name=result.scenario, time=str(len(result.seconds)), **counts)
        for each in result.judgements:
            name = f"{each.number}. {each.text}"
            case = ET.SubElement(suite, "testcase", classname=f"chaos.{result.scenario}", name=name)
            if each.verdict == "broken":
                failure = ET.SubElement(case, "failure", message=f"{len(each.breaches)} breaches; {result.command}")
                failure.text = "\n".join(f"{breach.key}: {breach.told}" for breach in each.breaches)
            elif each.verdict == "untested":
                ET.SubElement(case, "skipped", message="nothing in this scenario bears on it")
    return ET.tostring(root, encoding="unicode", xml_declaration=True)
