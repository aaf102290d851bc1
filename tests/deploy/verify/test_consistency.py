"""artifact.json and the manifest: where the two differ, or the manifest from itself, the bundle is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_bundle import change_manifest, state

from explorer.deploy.verify.bundle import read_bundle
from explorer.deploy.verify.verification import verify
from explorer.errors import NotAvailable, VerificationFailed


def refused(bundle: Path, match: str) -> None:
    with pytest.raises(VerificationFailed, match=match):
        read_bundle(bundle)


def change_artifact(bundle: Path, old: str, new: str) -> None:
    """Change artifact.json as somebody would who sees to it that its hash still fits."""
    path = bundle / "model" / "artifact.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    state(bundle, "model/artifact.json")


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('"exit_threshold": 0.9', '"exit_threshold": 0.8', "exit_threshold 0.8, and manifest.json has 0.9"),
        ('"quantization": "none"', '"quantization": "static_int8"', "the quantization 'static_int8'"),
        ('"runtime": "onnxruntime"', '"runtime": "eager"', "the runtime 'eager'"),
        ('"is_batch_invariant": true', '"is_batch_invariant": false', "the is_batch_invariant False"),
        ('"shape": [1, 8, 8]', '"shape": [8, 8, 1]', "the input .*8, 8, 1"),
        ('"id": "0123', '"id": "4567', "the id '4567"),
        ('"format": 2', '"format": 2, "format": 2', "the key 'format' is there twice"),
        ('"format": 2', '"format": 3', "format"),
        ('"int8_range": null', '"int8_range": "full range"', "the int8_range 'full range', and .* has None"),
        ('"n_parameters": 1300', '"n_parameters": -1', "n_parameters"),
        ('"mega_macs": 0.00064', '"mega_macs": "0"', "segments.0.mega_macs"),
        ('"mega_macs": 0.00064', '"mega_macs": 1e999', "segments.0.mega_macs"),
        ('"mega_macs": 0.00064', '"mega_macs": 1e308', "segments.0.mega_macs"),
        ("segment_0.onnx", "../segment_0.onnx", "segments.0.file .*expected the name of a file"),
        ("segment_0.onnx", "segment_1.onnx", "do not list the segments"),
        ('"sha256": "', '"sha256": "0', "segments.0.sha256"),
        ('"bytes": ', '"bytes": 1', "another size or SHA-256 in artifact.json"),
    ],
)
def test_check_artifact_that_says_something_else_is_refused(bundle, old, new, match):
    change_artifact(bundle, old, new)
    refused(bundle, f"^model/.*{match}")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda facts: facts["variant"].update(threads=2), "variant.threads 2 and execution.threads 1"),
        (lambda facts: facts["variant"].update(exit_threshold=1.0), "variant.exit_threshold 1.0"),
        (lambda facts: facts["execution"].update(n_exits=3), "number of segments 2, and manifest.json has 3"),
        (lambda facts: facts["execution"].update(packages={}), "packages none: expected those that onnxruntime needs"),
        (lambda facts: facts["execution"]["packages"].update(torch="2.0"), "packages .*torch: expected those"),
        (lambda facts: facts["variant"].update(batch_size=2**40), "variant.batch_size: expected at most 1024"),
    ],
)
def test_check_manifest_that_contradicts_itself_is_refused(bundle, change, match):
    change_manifest(bundle, change)
    refused(bundle, match)


def in_both(bundle: Path, name: str, old: str, new: str) -> None:
    change_artifact(bundle, f'"{name}": "{old}"', f'"{name}": "{new}"')

    def change(facts) -> None:
        facts["variant"][name] = facts["execution"][name] = new

    change_manifest(bundle, change)


def test_check_runtime_that_is_not_registered_is_not_available(bundle):
    in_both(bundle, "runtime", "onnxruntime", "abacus")
    with pytest.raises(NotAvailable, match=r"'abacus', which is not registered .*eager, onnxruntime") as missing:
        verify(bundle)
    assert missing.value.exit_code == 5


def test_check_parameters_of_a_runtime_that_is_not_registered_are_no_damage(bundle):
    in_both(bundle, "runtime", "onnxruntime", "abacus")
    change_manifest(bundle, lambda facts: facts["variant"].update(beads=10))
    change_manifest(bundle, lambda facts: facts["execution"].update(plugin="abacus-explorer"))
    with pytest.raises(NotAvailable, match=r"'abacus', which is not registered .* manifest 'abacus-explorer'"):
        verify(bundle)


def test_check_task_that_is_not_registered_is_not_available(bundle):
    change_manifest(bundle, lambda facts: facts["task"].update(name="haiku"))
    with pytest.raises(NotAvailable, match="task 'haiku', which is not registered here, where there are cl") as missing:
        verify(bundle)
    assert missing.value.exit_code == 5


@pytest.mark.parametrize(
    "facts", [{}, {"classes": []}, {"classes": "ab"}, {"classes": [1]}, {"classes": ["a"], "b": 1}]
)
def test_check_facts_that_are_not_the_tasks_are_refused(bundle, facts):
    change_manifest(bundle, lambda manifest: manifest["task"].update(facts=facts))
    refused(bundle, "other facts than the task classification: expected classes alone")


def test_check_quantization_of_nobody_is_refused(bundle):
    in_both(bundle, "quantization", "none", "one_bit")
    refused(bundle, "'one_bit', which onnxruntime cannot execute")


def test_check_runtime_decides_what_its_files_are_called(bundle):
    """A file is loaded, and so checked, by its runtime: no archive for torch comes in as an ONNX file."""
    in_both(bundle, "runtime", "onnxruntime", "eager")
    refused(bundle, "do not list the segments segment_0.pt2")
