"""What is published: the wheel has the sources and nothing else, and a release without its changes is refused."""

from __future__ import annotations

import hashlib
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UV = shutil.which("uv", path=str(ROOT / ".tools" / "bin")) or shutil.which("uv")
release = runpy.run_path(str(ROOT / ".ci" / "release.py"))

CHANGELOG = """# Changelog

## 1.2.0 (2026-11-28)

- A thing.

## 1.1.0 (2026-10-01)

- Another.
"""


@pytest.mark.slow
@pytest.mark.skipif(UV is None, reason="the wheel is built by uv: run the tests with make")
def test_the_wheel_has_the_three_packages_whole_and_nothing_else(tmp_path: Path) -> None:
    subprocess.run([str(UV), "build", "--quiet", "--wheel", "--out-dir", tmp_path], cwd=ROOT, check=True)
    [wheel] = tmp_path.glob("*.whl")
    check = [Path(sys.executable).parent / "check-wheel-contents", wheel]
    checked = subprocess.run(check, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_notes_are_the_newest_section_and_the_checksums(tmp_path: Path) -> None:
    (tmp_path / "perdure.whl").write_bytes(b"wheel")
    text = release["notes"](tmp_path, "1.2.0", release["changes"](CHANGELOG, "1.2.0"))
    assert "- A thing." in text
    assert "Another" not in text
    assert f"{hashlib.sha256(b'wheel').hexdigest()}  perdure.whl" in text


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="OpenSSH is not installed")
def test_a_release_is_signed_and_checked_by_the_commands_of_the_documentation(tmp_path: Path) -> None:
    (tmp_path / "perdure.whl").write_bytes(b"wheel")
    (tmp_path / "RELEASE.md").write_text(release["notes"](tmp_path, "1.2.0", release["changes"](CHANGELOG, "1.2.0")))
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path.with_suffix(".key")], check=True)
    public = tmp_path.with_suffix(".key.pub").read_text()
    (tmp_path / "allowed_signers").write_text(f'releases@example.org namespaces="perdure" {public}')
    release["sign"](tmp_path, str(tmp_path.with_suffix(".key")))
    page = (ROOT / "docs/security.md").read_text()
    commands = re.findall(r"^(?:ssh-keygen|sed) .+$", page.partition("## Check a release")[2], re.MULTILINE)
    assert len(commands) == 2

    def codes() -> list[int]:
        return [
            subprocess.run(each, shell=True, cwd=tmp_path, capture_output=True, check=False).returncode for each in commands
        ]

    assert codes() == [0, 0]
    (tmp_path / "perdure.whl").write_bytes(b"another")
    assert codes() == [0, 1]
    with (tmp_path / "RELEASE.md").open("a") as notes:
        notes.write("and more")
    assert codes()[0] != 0


@pytest.mark.parametrize("changelog", [CHANGELOG, CHANGELOG.replace("1.2.0 (2026-11-28)", "Unreleased"), ""])
def test_a_version_without_its_section_is_refused(changelog: str) -> None:
    with pytest.raises(ValueError, match=r"a release of 1\.3\.0 begins with '## 1\.3\.0 \(YYYY-MM-DD\)'"):
        release["changes"](changelog, "1.3.0")
