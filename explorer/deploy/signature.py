"""A signature of a bundle: whose it is. OpenSSH makes it and checks it, over the bytes of manifest.json.

The manifest has the SHA-256 of every file, so that who signs it signs all of them. With any key that OpenSSH knows:

    ssh-keygen -Y sign -f ~/.ssh/id_ed25519 -n pareto-explorer < BUNDLE/manifest.json > BUNDLE.sig

Who may sign is a file of allowed signers, a line each with a name and a public key, as in ssh-keygen(1); of several
lines with the same key the first one counts.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from explorer.deploy.report import Row
from explorer.errors import NotAvailable, UsageError

NAMESPACE = "pareto-explorer"
_MAX_BYTES = 2**20
_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature's file, from whoever made the bundle, and the file of those whom the user lets sign."""

    file: Path
    signers: Path


def signature_row(manifest: bytes, signature: Signature) -> Row:
    """Whether one of the signers signed this manifest.

    Raises UsageError when a file cannot be read, NotAvailable without ssh-keygen.
    """
    program = shutil.which("ssh-keygen")
    if program is None:
        raise NotAvailable("a signature is checked by ssh-keygen, which is not on the PATH: install OpenSSH")
    file, signers = (_readable(path) for path in (signature.file, signature.signers))
    promised = f"signed by one of {signature.signers}"
    found = _run([program, "-Y", "find-principals", "-s", file, "-f", signers])
    names = found.stdout.decode("utf-8", "replace").splitlines()
    if found.returncode or not names:
        return Row("signature", promised, "made with another key, or no signature", "fails", _said(found))
    checked = _run([program, "-Y", "verify", "-n", NAMESPACE, "-s", file, "-f", signers, "-I", names[0]], manifest)
    if checked.returncode:
        said = f"a key of {names[0]}, not of this manifest.json, or not for bundles"
        return Row("signature", promised, said, "fails", _said(checked))
    return Row("signature", promised, f"signed by {names[0]}", "holds", _said(checked))


def _readable(path: Path) -> str:
    """The absolute path of a file of a sane size: no option, whatever its name begins with."""
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is no regular file: it is read more than once")
    try:
        with path.open("rb") as file:
            if len(file.read(_MAX_BYTES + 1)) > _MAX_BYTES:
                raise UsageError(f"{path} is larger than {_MAX_BYTES:,} bytes, and no file of signatures or signers")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    return str(path.absolute())


def _run(arguments: list[str], content: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(arguments, input=content, capture_output=True, timeout=_PATIENCE_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise NotAvailable(f"ssh-keygen did not answer within {_PATIENCE_S:.0f} s") from error


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    """The first line of what ssh-keygen said."""
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    return f"ssh-keygen: {lines[0]}" if lines else f"ssh-keygen ended with {done.returncode}"
