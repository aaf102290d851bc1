"""Signatures: a bundle that its maker signed holds, and one that was changed and sealed again is found."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from tiny_bundle import change_manifest

from explorer.deploy.verify.verification import Signature, verify
from explorer.errors import NotAvailable, UsageError
from explorer.measure import quality_pass


@pytest.fixture(autouse=True)
def _ssh_keygen():
    if shutil.which("ssh-keygen") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("signatures are checked by ssh-keygen, which CI must install")
        pytest.skip("no ssh-keygen on this machine")


@pytest.fixture
def makers_keys(tmp_path):
    """Makes a key, and gives its private file and its line of allowed signers."""

    def make(name):
        key = tmp_path / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(key)], check=True)
        return key, f"{name} {key.with_suffix('.pub').read_text()}"

    return make


@pytest.fixture
def signed(bundle, tmp_path, makers_keys):
    """A bundle with its maker's signature beside it."""
    key, line = makers_keys("maker")
    signers, file = tmp_path / "allowed_signers", tmp_path / "bundle.sig"
    signers.write_text(line)
    sign(key, bundle, file)
    return Signature(file, signers)


def sign(key, bundle, file, namespace="pareto-explorer"):
    command = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", namespace]
    done = subprocess.run(command, input=(bundle / "manifest.json").read_bytes(), capture_output=True, check=True)
    file.write_bytes(done.stdout)


def row_of(report):
    return next(row for row in report.rows if row.what == "signature")


@pytest.fixture
def unloaded(monkeypatch):
    monkeypatch.setattr(quality_pass, "WorkerProcess", lambda *_: pytest.fail("a probe was started"))


def test_signature_of_an_allowed_signer_holds(bundle, signed):
    report = verify(bundle, is_quick=True, signature=signed)
    assert report.verdict == "holds"
    assert (row_of(report).found, row_of(report).verdict) == ("signed by maker", "holds")
    assert "SHA256:" in row_of(report).why


def test_signature_finds_a_manifest_that_was_changed_and_sealed_again(bundle, signed, unloaded):
    change_manifest(bundle, lambda values: values.update(name="mine-now"))
    report = verify(bundle, signature=signed)
    assert [row.verdict for row in report.rows] == ["holds", "fails"]
    assert row_of(report).found == "a key of maker, not of this manifest.json, or not for bundles"


def test_signature_of_somebody_else_fails(bundle, signed, makers_keys, unloaded):
    key, _ = makers_keys("stranger")
    sign(key, bundle, signed.file)
    assert row_of(verify(bundle, signature=signed)).verdict == "fails"


def test_signature_for_another_purpose_fails(bundle, signed, tmp_path, unloaded):
    sign(tmp_path / "maker", bundle, signed.file, namespace="file")
    assert row_of(verify(bundle, signature=signed)).verdict == "fails"


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 100, b"-----BEGIN SSH SIGNATURE-----\nU1NI\n-----END SSH SIGNATURE-----\n"]
)
def test_signature_that_is_none_fails(bundle, signed, content, unloaded):
    signed.file.write_bytes(content)
    report = verify(bundle, signature=signed)
    assert row_of(report).verdict == "fails"
    assert row_of(report).why.startswith("ssh-keygen")


def test_signature_of_a_signer_who_may_sign_other_things_alone_fails(bundle, signed, unloaded):
    name, key = signed.signers.read_text().split(" ", 1)
    signed.signers.write_text(f'{name} namespaces="git" {key}')
    assert row_of(verify(bundle, signature=signed)).verdict == "fails"


def test_signature_is_not_looked_at_when_the_files_are_not_those_of_the_manifest(bundle, signed, unloaded):
    (bundle / "run.py").write_text("")
    (row,) = verify(bundle, signature=signed).rows
    assert (row.what, row.verdict) == ("files", "fails")


@pytest.mark.parametrize("which", ["file", "signers"])
def test_signature_file_that_is_missing_or_giant_is_a_usage_error(bundle, signed, which):
    path = getattr(signed, which)
    path.write_bytes(b"x" * (2**20 + 1))
    with pytest.raises(UsageError, match="is larger than 1,048,576 bytes"):
        verify(bundle, signature=signed)
    path.unlink()
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        verify(bundle, signature=signed)
    os.mkfifo(path)
    with pytest.raises(UsageError, match="is no regular file"):
        verify(bundle, signature=signed)


def test_signature_without_ssh_keygen_is_not_available(bundle, signed, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NotAvailable, match="install OpenSSH"):
        verify(bundle, signature=signed)
